//! What settling will cost: seconds, key, bytes and gas.
//!
//! Bytes are exact, and so is the gas that the contract's code takes: the contract itself is asked, on an EVM in this process,
//! about a key and a proof of the same shape ([`Template`]). Calldata is charged by its bytes, of which zeros are cheaper: what is
//! said here is for bytes that are not, which is the most it can be.

use super::{LEAF, Machine, OPEN_ENTRY, OPEN_ROW, REDUCE_ENTRY};
use crate::error::Outcome;
use assay_circuits::{Graph, Program, Visibility, model::TensorSpec, stack::NamedStack};
use assay_contracts::{BASE_GAS, Embedded, Verifier};
use assay_prover::settle::{Optimize, Template};
use assay_verifier::{
    meter::measure,
    protocol::Mode,
    settle::key::{Context, SettledProof},
};
use serde_json::{Value, json};

/// Seconds of one core per row of the circuit: a Halo2 proof, and the keys of a circuit.
pub(super) const HALO2_ROW: f64 = 205e-6;
const KEYGEN_ROW: f64 = 230e-6;
/// Per row of the circuit: recording the verifier's run and laying it out.
const CIRCUIT_ROW: f64 = 4e-6;
/// Per entry of a row: commitment to the mask, which is of full width.
const MASK_ENTRY: f64 = 8e-6;
/// Bytes per row of a circuit: its key, its advice and their transforms.
const ROW_BYTES: f64 = 1_830.0;
/// Bytes of the record of a run, per multiplication of the verifier; a key takes those of two circuits.
const RECORDED: f64 = 250.0;
/// Bytes besides, mostly powers of tau and their Lagrange basis: of settling with a key that was made before, and of making one.
const SETTLE_BYTES: f64 = 55e6;
const KEY_BYTES: f64 = 110e6;
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
    /// At the peak of making the key and settling.
    pub(crate) memory_bytes: u64,
    /// The same with a key that was made before.
    pub(crate) cached_memory_bytes: u64,
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

/// Bytes at the peak of settling with a key that was made before: those of its core proof, and what a circuit of `2^k` rows adds
/// that records so many multiplications of the verifier.
pub(crate) fn memory(core: u64, multiplications: u64, k: usize) -> u64 {
    let added = SETTLE_BYTES + ROW_BYTES * (k as f64).exp2() + RECORDED * multiplications as f64;
    core.saturating_add(added as u64)
}

/// What is to be settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) specs: (&'a [TensorSpec], &'a [TensorSpec]),
    pub(crate) batch: u32,
    pub(crate) visibility: Visibility,
    pub(crate) row_bits: Option<usize>,
    pub(crate) optimize: Optimize,
    /// Named stacks, and whether the key pins them.
    pub(crate) stacks: &'a [(NamedStack, bool)],
}

/// Estimates the settlement of a batch.
pub(crate) fn estimate(machine: &Machine, a: &Asked<'_>) -> Outcome<Settlement> {
    let template = Template::new(a.graph, a.specs, a.visibility, a.batch, a.row_bits, a.optimize, a.stacks)?;
    let (d, registration_k) = (&template.key.descriptor, template.key.registration_circuit.k);
    let (public, argument) = template.proof();
    let proof = SettledProof::new(d, Context::default(), &public, &argument);
    let (public, argument) = (&proof.public, &proof.argument);
    let words = d.to_bytes();

    let mut chain = Embedded::new();
    let (verifier, deployed) = Verifier::deploy(&mut chain, true)?;
    let registered = verifier.register(&mut chain, &words)?;
    let asked = verifier.verify_cost(&mut chain, registered.model_id, public, [0xa5; 32], argument)?;
    let executed = asked.gas_used.saturating_sub(BASE_GAS + asked.calldata_gas);
    let executed_gas = executed.saturating_add_signed(ACCEPTED);
    let zeros = public.iter().chain(argument).filter(|b| **b == 0).count() as u64;

    let speed = super::speed();
    let k = d.circuit.k;
    let settle_seconds =
        stages(&template.program, d.row_bits, k, speed).iter().map(|(s, t)| machine.seconds(s, *t)).sum();
    let key = key_seconds(&template.registration, d.row_bits, k, registration_k, speed);
    let rows = (k as f64).exp2() + (registration_k as f64).exp2();
    let multiplications = measure(&template.program, d.row_bits, Mode::Core)?.0.multiplications;
    let core = |program| super::memory::core(program, d.row_bits);
    let settling = memory(core(&template.program)?, multiplications, k);
    let making = core(&template.registration)? as f64 + KEY_BYTES + ROW_BYTES * rows;
    let making = (making + 2.0 * RECORDED * multiplications as f64) as u64;
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
        gas: BASE_GAS + executed_gas + asked.calldata_gas + 12 * zeros,
        deploy_gas: deployed.gas_used,
        register_gas: registered.transaction.map_or(0, |t| t.measured.gas_used),
        memory_bytes: making.max(settling),
        cached_memory_bytes: settling,
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
            "cached_memory_bytes": self.cached_memory_bytes,
        })
    }
}
