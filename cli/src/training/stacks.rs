//! Stacks of training runs, and proofs over them.

use super::Data;
use crate::{
    App,
    args::{KeyArgs, SettleArgs, ShapeArgs},
    error::{Failure, Outcome},
    flow, settlement, srs,
};
use assay_circuits::{
    Tensor,
    model::Model,
    stack::{NamedStack, Schema},
    train::{Evaluation, Spec, Training, data_schema, weights_schema},
};
use assay_prover::{Blinding, Stack, device::Cpu, settle::SettledStack};
use assay_verifier::{core::Verified, settle::key::Context};
use std::path::Path;

/// A graph of training or of evaluation, with what its stacks are.
pub(crate) struct Runs {
    model: Model,
    named: Vec<NamedStack>,
}

impl Runs {
    /// The steps of a specification, over stacks with rows of `2^row_bits`.
    pub(crate) fn training(training: &Training, row_bits: u8) -> Outcome<Self> {
        Ok(Self { model: training.blank()?, named: training.stacks(row_bits)? })
    }

    /// The losses of two sets of weights.
    pub(crate) fn evaluation(evaluation: &Evaluation, row_bits: u8) -> Outcome<Self> {
        Ok(Self { model: evaluation.blank()?, named: evaluation.stacks(row_bits)? })
    }

    /// The settlement key, for a demonstration.
    pub(crate) fn settled_key(&self, app: &App) -> Outcome<settlement::Prepared> {
        settlement::prepare_named(app, &self.model, 1, &shape(), None, &SettleArgs::default(), self.given())
    }

    fn given(&self) -> Vec<SettledStack> {
        self.named.iter().map(|n| SettledStack { named: n.clone(), pinned: None }).collect()
    }

    /// What keys are of.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }
}

/// A core proof of a run, checked, and all its stacks.
pub(crate) struct Made {
    pub(crate) prepared: flow::Prepared,
    pub(crate) proven: flow::Proven,
    pub(crate) shown: Verified,
    pub(crate) stacks: Vec<Stack>,
}

/// What is shown beside the stacks.
fn shape() -> ShapeArgs {
    ShapeArgs { public_inputs: true, ..ShapeArgs::default() }
}

/// Commits to values under powers of tau that are long enough for a row and what blinds it.
pub(crate) fn commit(app: &App, schema: &Schema, values: Vec<Tensor>, srs: Option<&Path>) -> Outcome<Stack> {
    let powers = srs::choose(app, srs, u32::from(schema.row_bits) + 1)?;
    Ok(Stack::commit(&Cpu::default(), schema, values, &powers, Blinding::Random)?)
}

fn fits(stack: &Stack, expected: &Schema, what: &str, path: &Path) -> Outcome<()> {
    if stack.schema() == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "'{}' holds no {what} of this network in rows of 2^{}",
        path.display(),
        expected.row_bits
    ))
    .help("stacks of one run have one row length; `assay train` writes weights.stack, trained.stack and dataset.stack"))
}

/// The weights that a stack holds.
pub(crate) fn weights_of(spec: &Spec, stack: &Stack, path: &Path) -> Outcome<Vec<Tensor>> {
    fits(stack, &weights_schema(spec, stack.schema().row_bits)?, "weights", path)?;
    Ok(stack.values().to_vec())
}

/// Rows and targets that a stack holds.
pub(crate) fn data_of(spec: &Spec, stack: &Stack, path: &Path) -> Outcome<Data> {
    let rows = stack.schema().tensors.first().and_then(|t| t.shape.first()).copied().unwrap_or(0);
    fits(stack, &data_schema(spec, rows, stack.schema().row_bits)?, "rows with targets", path)?;
    let [rows, targets] = stack.values() else {
        return Err(Failure::new("a stack of data with other tensors than rows and targets").bug());
    };
    Ok(Data { rows: rows.clone(), targets: targets.clone(), classes: None })
}

/// A key, a proof over stacks and its check; `open` are the inputs that no stack holds.
pub(crate) fn prove(
    app: &App,
    runs: &Runs,
    open: Vec<Tensor>,
    stacks: Vec<Option<Stack>>,
    srs: Option<&Path>,
) -> Outcome<Made> {
    let args = KeyArgs { srs: srs.map(Path::to_path_buf), shape: shape() };
    let prepared = flow::prepare_named(app, &runs.model, &args, &runs.named, 1)?;
    let (proven, _, stacks) = flow::prove_integers(app, &runs.model, &prepared.key, &[open], stacks)?;
    let checked = flow::check(app, &prepared.key.verifying, &proven.proof)?;
    Ok(Made { prepared, proven, shown: checked.verified, stacks })
}

/// As [`prove()`], settled for a context; the key comes from the cache where it was made before.
pub(crate) fn prove_settled(
    app: &App,
    runs: &Runs,
    open: Vec<Tensor>,
    stacks: Vec<Option<Stack>>,
    (srs, args): (Option<&Path>, &SettleArgs),
    context: Context,
) -> Outcome<(settlement::Prepared, settlement::Settled, Verified, Vec<Stack>)> {
    let prepared = settlement::prepare_named(app, &runs.model, 1, &shape(), srs, args, runs.given())?;
    let prover = &prepared.prover;
    let (settled, _, stacks) = settlement::prove_integers(app, &runs.model, prover, &[open], stacks, context)?;
    let shown = settlement::shown(&prepared.prover.key, &settled.proof)?;
    Ok((prepared, settled, shown, stacks))
}
