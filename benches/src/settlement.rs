//! Settling one network's inference, and what a contract charges for it.

use crate::run::{Failure, median, stages, timed};
use assay_circuits::{Program, Tensor, model::Model};
use assay_contracts::{Address, B256, Chain, Embedded, Verifier};
use assay_prover::{
    Recorder, Stage,
    device::Cpu,
    settle::{Optimize, SettlementOptions, check_key, choose_row_bits, needed_power, settle, setup_settlement},
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::{
    core::hex,
    settle::key::{Context, SettledProof},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What settling adds to the core.
const ADDED: [&str; 3] = [Stage::Circuit.name(), Stage::Halo2.name(), Stage::Opening.name()];

/// A settled proof of `inputs` for the contract's tests: key, public values, context and proof in hexadecimal. It is bound to
/// chain 31337, consumer 0x1111.., job 0x2222.. and recipient 0x3333...
pub fn vector(model: &Model, inputs: &[Vec<Tensor>]) -> Result<Value, Failure> {
    let program = Program::inference(&model.graph, inputs.len(), Default::default())?;
    let registration = Program::registration(&model.graph)?;
    let options = SettlementOptions {
        visibility: Default::default(),
        batch: u32::try_from(inputs.len())?,
        row_bits: None,
        optimize: Optimize::Gas,
        stacks: vec![],
        secret: [1; 32],
    };
    let row_bits = choose_row_bits(&program, &registration, options.optimize);
    let srs = Srs::development(needed_power(&program, &registration, row_bits)?, DEVELOPMENT_SEED)?;
    let prover = setup_settlement(&Cpu::default(), model, &srs, &options, &Recorder::default())?;
    let context = Context { chain_id: 31337, consumer: [0x11; 20], job: [0x22; 32], recipient: [0x33; 20] };
    let proof = settle(&Cpu::default(), &prover, inputs, context, &Recorder::default())?.proof;
    prover.key.verify(&proof)?;
    let field = |bytes: &[u8]| format!("0x{}", hex(bytes));
    Ok(json!({
        "key": field(&prover.key.descriptor.to_bytes()),
        "publicValues": field(&proof.public),
        "context": field(&proof.context.digest()),
        "proof": field(&proof.argument),
    }))
}

/// Settles `inputs` `repeats` times (reporting medians), checks each proof natively, and submits one on the embedded EVM.
pub fn settlement(model: &Model, inputs: &[Vec<Tensor>], repeats: usize, optimize: Optimize) -> Result<Value, Failure> {
    let batch = inputs.len();
    let program = Program::inference(&model.graph, batch, Default::default())?;
    let registration = Program::registration(&model.graph)?;
    let row_bits = choose_row_bits(&program, &registration, optimize);
    let srs = Srs::development(needed_power(&program, &registration, row_bits)?, DEVELOPMENT_SEED)?;
    let device = Cpu::default();
    let options = SettlementOptions {
        visibility: Default::default(),
        batch: u32::try_from(batch)?,
        row_bits: Some(row_bits),
        optimize,
        stacks: vec![],
        secret: [1; 32],
    };
    let (prover, setup_seconds) = timed(|| setup_settlement(&device, model, &srs, &options, &Recorder::default()));
    let prover = prover?;
    let (checked, key_check_seconds) = timed(|| check_key(&prover.key, &srs));
    checked?;

    let mut chain = Embedded::new();
    let (verifier, deployed) = Verifier::deploy(&mut chain, true)?;
    let registered = verifier.register(&mut chain, &prover.key.descriptor.to_bytes())?;
    let context = Context {
        chain_id: chain.chain_id(),
        consumer: verifier.address().into_array(),
        job: [0; 32],
        recipient: Embedded::ACCOUNT.into_array(),
    };
    let (mut core, mut added, mut check, mut by_stage) = (vec![], vec![], vec![], BTreeMap::new());
    let mut last = None;
    for _ in 0..repeats.max(1) {
        let recorder = Recorder::default();
        let settled = settle(&device, &prover, inputs, context.clone(), &recorder)?;
        let mut sums = [0.0; 2];
        for (stage, seconds) in stages(&recorder) {
            sums[usize::from(ADDED.contains(&stage))] += seconds;
            by_stage.entry(stage).or_insert_with(Vec::new).push(seconds);
        }
        core.push(sums[0]);
        added.push(sums[1]);
        let bytes = settled.proof.to_bytes();
        let (verified, seconds) = timed(|| {
            let proof = SettledProof::from_bytes(&bytes)?;
            prover.key.verify(&proof)
        });
        verified?;
        check.push(seconds);
        last = Some((settled.proof, bytes.len()));
    }
    let (proof, proof_bytes) = last.ok_or("no proof")?;
    let cost = verifier.verify_cost(
        &mut chain,
        registered.model_id,
        &proof.public,
        proof.context.digest(),
        &proof.argument,
    )?;
    let submitted = verifier.submit(
        &mut chain,
        registered.model_id,
        &proof.public,
        B256::from(proof.context.job),
        Address::from(proof.context.recipient),
        &proof.argument,
    )?;
    let descriptor = &prover.key.descriptor;
    let by_stage: BTreeMap<_, _> = by_stage.into_iter().map(|(k, v)| (k, median(v))).collect();
    Ok(json!({
        "optimize": match optimize { Optimize::Gas => "gas", Optimize::Time => "time" },
        "setup_seconds": setup_seconds,
        "key_check_seconds": key_check_seconds,
        "core_seconds": median(core),
        "settle_seconds": median(added),
        "stage_seconds": by_stage,
        "verify_seconds": median(check),
        "proof_bytes": proof_bytes,
        "circuit_k": descriptor.circuit.k,
        "row_bits": descriptor.row_bits,
        "witness_rows": descriptor.witness_rows(),
        "model_rows": descriptor.model_rows.len(),
        "gas": cost.gas_used,
        "submit_gas": submitted.transaction.measured.gas_used,
        "calldata_bytes": cost.calldata_bytes,
        "calldata_gas": cost.calldata_gas,
        "contract_bytes": cost.contract_bytes,
        "deploy_gas": deployed.gas_used,
        "register_gas": registered.transaction.map(|t| t.measured.gas_used),
        "security_bits": prover.key.level()?,
    }))
}
