//! From a job to its proof: the model behind a verifier, the inputs of a batch, the settled proof bound to market and payout.

use crate::{
    App,
    args::{SettleArgs, ShapeArgs},
    error::{Failure, Outcome},
    settlement::{self, Prepared, Settled},
};
use assay_circuits::{Tensor, model::Model};
use assay_contracts::{
    Address, B256,
    economy::{Entry, context_job},
};
use assay_verifier::settle::key::Context;
use clap::Args;
use std::path::PathBuf;

/// How settlement keys of registered models are made. Whoever registers and whoever proves must say the same.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Key")]
pub(crate) struct RegisteredKeyArgs {
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    pub(crate) srs: Option<PathBuf>,
    /// The weights are public: anybody who has the model can prove
    #[arg(long)]
    pub(crate) public_weights: bool,
    /// log2 of the length of a committed row [default: the cheapest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=28))]
    pub(crate) row_bits: Option<u8>,
    #[command(flatten)]
    pub(crate) settle: SettleArgs,
}

impl RegisteredKeyArgs {
    /// The settlement key for a batch: inputs and outputs are public.
    pub(crate) fn prepare(&self, app: &App, model: &Model, batch: usize) -> Outcome<Prepared> {
        let shape = ShapeArgs {
            public_inputs: true,
            private_outputs: false,
            public_weights: self.public_weights,
            row_bits: self.row_bits,
        };
        settlement::prepare(app, model, batch, &shape, self.srs.as_deref(), &self.settle)
    }
}

/// Only models with one input and one output can be sold: the market splits public values in two.
pub(crate) fn check_model(model: &Model) -> Outcome<()> {
    if model.inputs.len() == 1 && model.outputs.len() == 1 {
        return Ok(());
    }
    let (i, o) = (model.inputs.len(), model.outputs.len());
    Err(Failure::new(format!("the model has {i} inputs and {o} outputs; the market takes models with one of each"))
        .help("join the inputs, or the outputs, in the ONNX model (Concat) and compile it again"))
}

/// A verifier that this machine can prove for.
pub(crate) struct Served {
    pub(crate) verifier_id: B256,
    pub(crate) entry: Entry,
    pub(crate) model: Model,
    pub(crate) prepared: Prepared,
}

impl Served {
    /// Makes the prover of a verifier, and checks that its key is the registered one.
    pub(crate) fn new(
        app: &App,
        model: &Model,
        verifier_id: B256,
        entry: Entry,
        key: &RegisteredKeyArgs,
    ) -> Outcome<Self> {
        check_model(model)?;
        let batch = usize::try_from(entry.batch).map_err(|_| {
            Failure::new("the verifier's batch is too large").help("its registry entry is wrong: do not use it")
        })?;
        let prepared = key.prepare(app, model, batch)?;
        let own = B256::from(prepared.prover.key.id());
        if own != entry.settlementId {
            return Err(Failure::new(format!(
                "the settlement key made here is {own}, and verifier {verifier_id} has {}",
                entry.settlementId
            ))
            .help(
                "private weights are blinded by a secret: pass the one that the key was registered with (--secret FILE), \
                 and the same --srs, --row-bits, --optimize and --public-weights",
            ));
        }
        Ok(Self { verifier_id, entry, model: model.clone(), prepared })
    }

    /// Slots of a proof.
    pub(crate) fn batch(&self) -> usize {
        usize::try_from(self.entry.batch).unwrap_or(usize::MAX)
    }

    /// The input of a job as the model takes it, or why it cannot be proven.
    pub(crate) fn tensors(&self, input: &[u8]) -> Result<Vec<Tensor>, String> {
        let tensors = input_tensors(&self.model, input)?;
        // What the interpreter takes, the prover takes: a lease on anything else would lose its bond.
        self.model.eval(&tensors).map_err(|e| e.to_string())?;
        Ok(tensors)
    }

    /// Proves a batch; slots without a job repeat the first input.
    pub(crate) fn prove(
        &self,
        app: &App,
        inputs: &[Vec<Tensor>],
        slots: &[u64],
        market: (u64, Address),
        payout: Address,
    ) -> Outcome<Settled> {
        let filler =
            inputs.first().ok_or_else(|| Failure::new("there is no job to prove").help("name at least one job"))?;
        let mut all = inputs.to_vec();
        all.resize(self.batch(), filler.clone());
        let context = Context {
            chain_id: market.0,
            consumer: market.1.into_array(),
            job: context_job(slots).0,
            recipient: payout.into_array(),
        };
        settlement::prove_tensors(app, &self.model, &self.prepared.prover, &all, context)
    }
}

/// The ids of a batch with zeros for the slots that nobody pays for.
pub(crate) fn slots(ids: &[u64], batch: usize) -> Outcome<Vec<u64>> {
    let mut slots = ids.to_vec();
    slots.sort_unstable();
    slots.dedup();
    if slots.is_empty() || slots.len() > batch {
        return Err(Failure::new(format!("{} jobs, and a proof of this verifier is for 1 to {batch}", slots.len()))
            .help(format!("prove at most {batch} at once")));
    }
    slots.resize(batch, 0);
    Ok(slots)
}

/// Values of a job's input as tensors.
pub(crate) fn input_tensors(model: &Model, input: &[u8]) -> Result<Vec<Tensor>, String> {
    let expected: usize = model.inputs.iter().map(|s| 8 * s.len()).sum();
    if input.len() != expected {
        return Err(format!("the input has {} bytes; the model takes {expected}", input.len()));
    }
    let values: Vec<i64> =
        input.chunks_exact(8).map(|c| c.iter().fold(0i64, |v, b| (v << 8) | i64::from(*b))).collect();
    let mut rest = values.as_slice();
    let mut tensors = Vec::with_capacity(model.inputs.len());
    for spec in &model.inputs {
        let (own, more) = rest.split_at(spec.len());
        tensors.push(Tensor { shape: spec.shape.clone(), data: own.to_vec() });
        rest = more;
    }
    Ok(tensors)
}

/// Tensors as a job's input.
pub(crate) fn input_bytes(tensors: &[Tensor]) -> Vec<u8> {
    tensors.iter().flat_map(|t| &t.data).flat_map(|v| v.to_be_bytes()).collect()
}

/// A job's output as floats; none if it is not of the model's length.
pub(crate) fn output_floats(model: &Model, output: &[u8]) -> Option<Vec<f32>> {
    let spec = model.outputs.first()?;
    if output.len() != 8 * spec.len() {
        return None;
    }
    let data = output.chunks_exact(8).map(|c| c.iter().fold(0i64, |v, b| (v << 8) | i64::from(*b))).collect();
    spec.dequantize(&Tensor { shape: spec.shape.clone(), data }).ok()
}
