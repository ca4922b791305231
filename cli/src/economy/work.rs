//! From a job to its proof: the model behind a verifier, the inputs of a batch, the settled proof bound to market and payout.

use super::inbox::{Inbox, Missing};
use crate::{
    App,
    args::{SettleArgs, ShapeArgs},
    error::{Failure, Outcome},
    settlement::{self, Prepared, Settled},
    stacks,
};
use assay_circuits::{Program, Tensor, confidential::Confidential, model::Model};
use assay_contracts::{
    Address, B256,
    economy::{Entry, context_job},
};
use assay_prover::{
    Stack,
    device::Cpu,
    settle::{Optimize, SettledStack, choose_row_bits},
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
    /// The weights lie in this stack, which the key pins: what `assay stack commit MODEL` wrote. Its id is the same for every key
    /// that pins it
    #[arg(long, value_name = "STACK", conflicts_with = "public_weights")]
    pub(crate) weights: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settle: SettleArgs,
}

impl RegisteredKeyArgs {
    fn shape(&self, row_bits: Option<u8>) -> ShapeArgs {
        ShapeArgs { public_inputs: true, private_outputs: false, public_weights: self.public_weights, row_bits }
    }

    /// The settlement key for a batch: inputs and outputs are public.
    pub(crate) fn prepare(&self, app: &App, model: &Model, batch: usize) -> Outcome<Prepared> {
        let (shape, srs) = (self.shape(self.row_bits), self.srs.as_deref());
        settlement::prepare_named(app, model, batch, &shape, srs, &self.settle, self.pinned(model)?)
    }

    /// The stack of weights, if there is one.
    fn pinned(&self, model: &Model) -> Outcome<Vec<SettledStack>> {
        self.weights.iter().map(|path| stacks::pinned_weights(model, path)).collect()
    }

    /// The settlement key for a batch of confidential jobs: a given stack for each, masked outputs.
    pub(crate) fn prepare_confidential(&self, app: &App, of: &Confidential, jobs: usize) -> Outcome<Prepared> {
        let shape = self.shape(None);
        let pinned = self.pinned(&of.model)?;
        let row_bits = match (pinned.first(), self.row_bits) {
            (Some(weights), _) => weights.named.schema.row_bits,
            (None, Some(bits)) => bits,
            (None, None) => confidential_row_bits(of, jobs, &shape, self.settle.optimize.into())?,
        };
        let mut stacks = given(of, row_bits, jobs)?;
        stacks.extend(pinned);
        settlement::prepare_named(app, &of.for_jobs(jobs)?, 1, &shape, self.srs.as_deref(), &self.settle, stacks)
    }
}

/// The row length of a key for confidential jobs: as of any key, of those that stacks may have.
pub(crate) fn confidential_row_bits(
    of: &Confidential,
    jobs: usize,
    shape: &ShapeArgs,
    optimize: Optimize,
) -> Outcome<u8> {
    let program = Program::inference(&of.model.graph, jobs, shape.visibility())?;
    let registration = Program::registration(&of.model.graph)?;
    Ok(of.row_bits(choose_row_bits(&program, &registration, optimize)))
}

/// The stacks of a key for confidential jobs, as a settlement takes them.
pub(crate) fn given(of: &Confidential, row_bits: u8, jobs: usize) -> Outcome<Vec<SettledStack>> {
    Ok(of.stacks(row_bits, jobs)?.into_iter().map(|named| SettledStack { named, pinned: None }).collect())
}

/// A model as a verifier proves it.
#[derive(Clone, Debug)]
pub(crate) enum Offered {
    /// Inputs and outputs are public.
    Plain(Box<Model>),
    /// The input is in a stack, the output is masked.
    Confidential(Box<Confidential>),
}

impl Offered {
    /// A model that can be sold.
    pub(crate) fn plain(model: &Model) -> Outcome<Self> {
        check_model(model)?;
        Ok(Self::Plain(Box::new(model.clone())))
    }

    /// Its confidential version.
    pub(crate) fn confidential(model: &Model) -> Outcome<Self> {
        check_model(model)?;
        Ok(Self::Confidential(Box::new(Confidential::new(model)?)))
    }

    /// What is proven of one job.
    pub(crate) fn model(&self) -> &Model {
        match self {
            Self::Plain(model) => model,
            Self::Confidential(of) => &of.model,
        }
    }

    /// The settlement key for a batch.
    pub(crate) fn prepare(&self, app: &App, key: &RegisteredKeyArgs, batch: usize) -> Outcome<Prepared> {
        match self {
            Self::Plain(model) => key.prepare(app, model, batch),
            Self::Confidential(of) => key.prepare_confidential(app, of, batch),
        }
    }
}

/// What a job asks for, as it is proven.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// Public inputs.
    Open(Vec<Tensor>),
    /// Input and pad, in a stack.
    Sealed(Box<Stack>),
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
    pub(crate) offered: Offered,
    pub(crate) prepared: Prepared,
    /// What is proven at once, of confidential jobs.
    batch_model: Option<Model>,
}

impl Served {
    /// Makes the prover of a verifier, and checks that its key is the registered one.
    pub(crate) fn new(
        app: &App,
        offered: Offered,
        verifier_id: B256,
        entry: Entry,
        key: &RegisteredKeyArgs,
    ) -> Outcome<Self> {
        let batch = usize::try_from(entry.batch).map_err(|_| {
            Failure::new("the verifier's batch is too large").help("its registry entry is wrong: do not use it")
        })?;
        let prepared = offered.prepare(app, key, batch)?;
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
        let batch_model = match &offered {
            Offered::Plain(_) => None,
            Offered::Confidential(of) => Some(of.for_jobs(batch)?),
        };
        Ok(Self { verifier_id, entry, offered, prepared, batch_model })
    }

    /// Slots of a proof.
    pub(crate) fn batch(&self) -> usize {
        usize::try_from(self.entry.batch).unwrap_or(usize::MAX)
    }

    /// What is proven of one job.
    pub(crate) fn model(&self) -> &Model {
        self.offered.model()
    }

    /// Whether it proves confidential jobs.
    pub(crate) fn is_confidential(&self) -> bool {
        matches!(self.offered, Offered::Confidential(_))
    }

    /// What a job asks for, or why it cannot be proven. Of a confidential job, `input` is the id of a stack, whose opening is in
    /// the inbox.
    pub(crate) fn task(&self, input: &[u8], inbox: &mut Inbox) -> Result<Task, Missing> {
        let of = match &self.offered {
            Offered::Plain(model) => {
                let tensors = input_tensors(model, input).map_err(Missing::Bad)?;
                // What the interpreter takes, the prover takes: a lease on anything else would lose its bond.
                model.eval(&tensors).map_err(|e| Missing::Bad(e.to_string()))?;
                return Ok(Task::Open(tensors));
            }
            Offered::Confidential(of) => of,
        };
        let bad = |what: &str| Missing::Bad(what.to_owned());
        let id = B256::try_from(input).map_err(|_| bad("what was posted is no id of a stack"))?;
        let prover = &self.prepared.prover;
        let named = prover.key.stacks.first().ok_or_else(|| bad("the key has no stack"))?;
        let pads = of.masks.first().map_or(0, |m| m.first_input)..named.schema.tensors.len();
        let check = |stack: &Stack| prover.check_given(&Cpu::default(), 0, stack).map_err(|e| e.to_string());
        let stack = inbox.open(id, &named.schema, pads, check)?;
        // Without what it says: that may show values.
        let taken = of.inputs(stack.values()).map_err(|_| ()).and_then(|t| of.model.eval(&t).map_err(|_| ()));
        taken.map_err(|()| bad("the model does not take the input in its opening"))?;
        Ok(Task::Sealed(Box::new(stack)))
    }

    /// Proves a batch; slots without a job repeat the first input.
    pub(crate) fn prove(
        &self,
        app: &App,
        tasks: &[Task],
        slots: &[u64],
        market: (u64, Address),
        payout: Address,
    ) -> Outcome<Settled> {
        let filler =
            tasks.first().ok_or_else(|| Failure::new("there is no job to prove").help("name at least one job"))?;
        let mut all = tasks.to_vec();
        all.resize(self.batch(), filler.clone());
        let context = Context {
            chain_id: market.0,
            consumer: market.1.into_array(),
            job: context_job(slots).0,
            recipient: payout.into_array(),
        };
        let (mut inputs, mut stacks) = (Vec::new(), Vec::new());
        for task in all {
            match task {
                Task::Open(tensors) => inputs.push(tensors),
                Task::Sealed(stack) => stacks.push(Some(*stack)),
            }
        }
        let prover = &self.prepared.prover;
        // What the key pins is the prover's already.
        stacks.resize(prover.key.stacks.len(), None);
        match &self.batch_model {
            None => settlement::prove_named(app, self.model(), prover, &inputs, stacks, context).map(|(s, _)| s),
            // Nobody is warned of what was clamped: that would tell of the input.
            Some(model) => {
                settlement::prove_integers(app, model, prover, &[vec![]], stacks, context).map(|(s, _, _)| s)
            }
        }
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

/// The masked outputs that a confidential job was paid for, as integers; none if they are not of its length.
pub(crate) fn masked_outputs(of: &Confidential, output: &[u8]) -> Option<Vec<Tensor>> {
    let spec = of.model.outputs.first()?;
    let (chunks, rest) = output.as_chunks::<8>();
    let data: Vec<i64> = chunks.iter().map(|c| i64::from_be_bytes(*c)).collect();
    (rest.is_empty() && data.len() == spec.len()).then(|| vec![Tensor { shape: spec.shape.clone(), data }])
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
