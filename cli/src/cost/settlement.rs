//! What settling will cost: seconds, key, bytes and gas.
//!
//! Bytes are exact, and so is the gas that the contract's code takes: the contract itself is asked, on an EVM in this process,
//! about a key and a proof of the same shape ([`Template`]). Calldata is charged by its bytes, of which zeros are cheaper: what is
//! said here is for bytes that are not, which is the most it can be.

use super::{LEAF, Machine, OPEN_ENTRY, OPEN_ROW, REDUCE_ENTRY};
use crate::error::Outcome;
use assay_circuits::{Graph, Program, Visibility, model::TensorSpec, stack::NamedStack};
use assay_contracts::{Embedded, Verifier};
use assay_prover::settle::{Optimize, Template};
use assay_verifier::settle::{
    check::public_bytes,
    key::{Context, SettledProof},
};
use serde_json::{Value, json};

/// Seconds of one core per row of the circuit: a Halo2 proof, and the keys of a circuit.
pub(super) const HALO2_ROW: f64 = 205e-6;
const KEYGEN_ROW: f64 = 230e-6;
/// Per row of the circuit: recording the verifier's run and laying it out.
const CIRCUIT_ROW: f64 = 4e-6;
/// Per entry of a row: commitment to the mask, which is of full width.
const MASK_ENTRY: f64 = 8e-6;
/// Bytes per row of both circuits while their keys are in memory.
const ROW_BYTES: f64 = 6_500.0;
/// Gas of a transaction before anything is done.
const TRANSACTION_GAS: u64 = 21_000;
/// A yes takes this much less than a no: the contract then does not ask whether gas ran out. `cli/tests/front/bench.rs` compares with real proofs.
const ACCEPTED: i64 = -22;

/// What settling costs.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    pub(crate) row_bits: usize,
    pub(crate) circuit_k: usize,
    pub(crate) registration_k: usize,
    pub(crate) key_seconds: f64,
    pub(crate) key_bytes: usize,
    pub(crate) settle_seconds: f64,
    pub(crate) proof_bytes: usize,
    pub(crate) calldata_bytes: usize,
    /// Of the contract's code; exact.
    pub(crate) executed_gas: u64,
    /// At most, with the transaction and its calldata.
    pub(crate) gas: u64,
    pub(crate) deploy_gas: u64,
    pub(crate) register_gas: u64,
    pub(crate) memory_bytes: u64,
}

/// Seconds of the stages that settling adds or changes, by the constants.
pub(crate) fn stages(program: &Program, row_bits: usize, k: usize, speed: f64) -> [(&'static str, f64); 5] {
    let row = (row_bits as f64).exp2();
    let longest = program.stacks.iter().map(|s| s.bits).max().unwrap_or(0);
    let rows = (1u64 << longest.saturating_sub(row_bits)) as f64;
    let circuit = (k as f64).exp2();
    let entries: f64 = program.stacks.iter().map(|s| (s.bits as f64).exp2()).sum();
    [
        ("settle commit", (row * MASK_ENTRY) / speed),
        ("circuit", circuit * CIRCUIT_ROW),
        ("halo2", circuit * HALO2_ROW / speed),
        ("settle opening", (row * OPEN_ENTRY + rows * OPEN_ROW) / speed),
        ("settle core", ((program.leaf_bits as f64).exp2() * LEAF + entries * REDUCE_ENTRY) / speed),
    ]
}

/// Seconds of making a key, by the constants.
pub(crate) fn key_seconds(registration: &Program, row_bits: usize, k: usize, registration_k: usize, speed: f64) -> f64 {
    let rows = (k as f64).exp2() + (registration_k as f64).exp2();
    rows * KEYGEN_ROW / speed
        + stages(registration, row_bits, registration_k, speed).iter().map(|(_, s)| s).sum::<f64>()
}

/// Estimates the settlement of a batch, of proofs about stacks that come with them.
pub(crate) fn estimate(
    machine: &Machine,
    graph: &Graph,
    specs: (&[TensorSpec], &[TensorSpec]),
    (batch, visibility): (u32, Visibility),
    row_bits: Option<usize>,
    optimize: Optimize,
    stacks: &[NamedStack],
) -> Outcome<Settlement> {
    let template = Template::new(graph, specs, visibility, batch, row_bits, optimize, stacks)?;
    let (d, registration_k) = (&template.key.descriptor, template.key.registration_circuit.k);
    let (ids, public, argument) = template.proof();
    let (public, argument) = ([ids.concat(), public_bytes(&public)].concat(), argument.to_bytes());
    let words = d.to_bytes();

    let mut chain = Embedded::new();
    let (verifier, deployed) = Verifier::deploy(&mut chain, true)?;
    let registered = verifier.register(&mut chain, &words)?;
    let asked = verifier.verify_cost(&mut chain, registered.model_id, &public, [0xa5; 32], &argument)?;
    let executed = asked.gas_used.saturating_sub(TRANSACTION_GAS + asked.calldata_gas);
    let executed_gas = executed.saturating_add_signed(ACCEPTED);
    let zeros = public.iter().chain(&argument).filter(|b| **b == 0).count() as u64;

    let speed = super::speed();
    let k = d.circuit.k;
    let settle_seconds =
        stages(&template.program, d.row_bits, k, speed).iter().map(|(s, t)| machine.seconds(s, *t)).sum();
    let key = key_seconds(&template.registration, d.row_bits, k, registration_k, speed);
    let rows = (k as f64).exp2() + (registration_k as f64).exp2();
    let proof = SettledProof { id: d.id(), context: Context::default(), public, argument };
    Ok(Settlement {
        row_bits: d.row_bits,
        circuit_k: k,
        registration_k,
        key_seconds: machine.seconds("settlement key", key),
        key_bytes: template.key.to_bytes()?.len(),
        settle_seconds,
        proof_bytes: proof.to_bytes().len(),
        calldata_bytes: asked.calldata_bytes,
        executed_gas,
        gas: TRANSACTION_GAS + executed_gas + asked.calldata_gas + 12 * zeros,
        deploy_gas: deployed.gas_used,
        register_gas: registered.transaction.map_or(0, |t| t.measured.gas_used),
        memory_bytes: (super::BASE_BYTES + ROW_BYTES * rows) as u64,
    })
}

impl Settlement {
    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "row_bits": self.row_bits,
            "circuit_k": self.circuit_k,
            "registration_circuit_k": self.registration_k,
            "key_seconds": self.key_seconds,
            "key_bytes": self.key_bytes,
            "settle_seconds": self.settle_seconds,
            "proof_bytes": self.proof_bytes,
            "calldata_bytes": self.calldata_bytes,
            "executed_gas": self.executed_gas,
            "gas": self.gas,
            "deploy_gas": self.deploy_gas,
            "register_gas": self.register_gas,
            "memory_bytes": self.memory_bytes,
        })
    }
}
