//! Settled proofs, from end to end.

mod support;

use assay_prover::{
    Recorder,
    device::Cpu,
    settle::{Optimize, SettlementOptions, SettlementProver, check_key, settle, setup_settlement},
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::settle::key::{Context, SettlementKey};
use std::time::Instant;
use support::{inputs, mlp, model};

fn prover(batch: u32) -> (SettlementProver, Srs, assay_circuits::model::Model) {
    let model = model(mlp(), 5);
    let srs = Srs::development(15, DEVELOPMENT_SEED).unwrap();
    let options = SettlementOptions {
        visibility: Default::default(),
        batch,
        row_bits: None,
        optimize: Optimize::Gas,
        stacks: vec![],
        secret: [7; 32],
    };
    let t = Instant::now();
    let recorder = Recorder::default();
    let prover = setup_settlement(&Cpu::default(), &model, &srs, &options, &recorder).unwrap();
    println!("setup {:?} {:?}", t.elapsed(), recorder.seconds());
    (prover, srs, model)
}

#[test]
fn a_settled_proof_is_accepted_and_its_key_is_what_it_says() {
    let (prover, srs, model) = prover(1);
    let context = Context { chain_id: 31337, consumer: [1; 20], job: [2; 32], recipient: [3; 20] };
    let t = Instant::now();
    let recorder = Recorder::default();
    let settled = settle(&Cpu::default(), &prover, &inputs(&model, 1, 9), context, &recorder).unwrap();
    println!("settle {:?} {:?}", t.elapsed(), recorder.seconds());
    let bytes = prover.key.to_bytes().unwrap();
    let key = SettlementKey::from_bytes(&bytes).unwrap();
    assert_eq!(key, prover.key);
    check_key(&key, &srs).unwrap();
    let t = Instant::now();
    let shown = key.verify(&settled.proof).unwrap();
    println!(
        "verify {:?}, {} bytes, k {} m {}",
        t.elapsed(),
        settled.proof.argument.len(),
        key.descriptor.circuit.k,
        key.descriptor.row_bits
    );
    assert_eq!((shown.tensors, shown.stacks.len()), (settled.outputs, 0));
}
