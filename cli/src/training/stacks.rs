//! Stacks of training runs, and proofs over them.

use super::{Data, Hyper, LossName, fixed_weights, load};
use crate::{
    App,
    args::{KeyArgs, SettleArgs, ShapeArgs},
    error::{Failure, Outcome},
    flow, settlement, srs, stacks as named,
};
use assay_circuits::{
    Tensor,
    model::Model,
    ring::index_bits,
    stack::{NamedStack, Schema},
    train::{BASE, Evaluation, Spec, Training, base_schema, data_schema, weights_schema},
};
use assay_prover::{Blinding, Stack, device::Cpu, settle::SettledStack};
use assay_verifier::{core::Verified, settle::key::Context};
use std::path::Path;

/// A graph of training or of evaluation, with what its stacks are.
pub(crate) struct Runs {
    model: Model,
    named: Vec<NamedStack>,
    /// The stack of weights that stay as they are, which settlement keys pin.
    base: Option<Stack>,
}

impl Runs {
    /// The steps of a specification, over stacks with rows of `2^row_bits`.
    pub(crate) fn training(training: &Training, row_bits: u8) -> Outcome<Self> {
        Ok(Self { model: training.blank()?, named: training.stacks(row_bits)?, base: None })
    }

    /// The losses of two sets of weights.
    pub(crate) fn evaluation(evaluation: &Evaluation, row_bits: u8) -> Outcome<Self> {
        Ok(Self { model: evaluation.blank()?, named: evaluation.stacks(row_bits)?, base: None })
    }

    /// Over these weights that stay as they are.
    pub(crate) fn over(self, base: Option<Stack>) -> Self {
        Self { base, ..self }
    }

    /// The stacks of a proof, whose last one is what stays, if anything does.
    fn about(&self, stacks: Vec<Option<Stack>>, settled: bool) -> Vec<Option<Stack>> {
        let base = self.base.iter().map(|b| (!settled).then(|| b.clone()));
        stacks.into_iter().chain(base).collect()
    }

    /// The settlement key, for a demonstration.
    pub(crate) fn settled_key(&self, app: &App) -> Outcome<settlement::Prepared> {
        self.prepared(app, None, &SettleArgs::default())
    }

    /// The settlement key, from the cache where it was made before.
    pub(crate) fn prepared(&self, app: &App, srs: Option<&Path>, args: &SettleArgs) -> Outcome<settlement::Prepared> {
        settlement::prepare_shared(app, &self.model, &shape(), srs, args, self.given())
    }

    fn given(&self) -> Vec<SettledStack> {
        let pinned = |n: &NamedStack| if n.name == BASE { self.base.clone() } else { None };
        self.named.iter().map(|n| SettledStack { named: n.clone(), pinned: pinned(n) }).collect()
    }

    /// The stacks that proofs are about.
    pub(crate) fn named(&self) -> &[NamedStack] {
        &self.named
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
pub(crate) fn shape() -> ShapeArgs {
    ShapeArgs { public_inputs: true, ..ShapeArgs::default() }
}

/// Commits to values, blinded.
pub(crate) fn commit(app: &App, schema: &Schema, values: Vec<Tensor>, srs: Option<&Path>) -> Outcome<Stack> {
    commit_with(app, schema, values, srs, Blinding::Random)
}

/// Commits to values under powers of tau that are long enough for a row and what blinds it.
pub(crate) fn commit_with(
    app: &App,
    schema: &Schema,
    values: Vec<Tensor>,
    srs: Option<&Path>,
    blinding: Blinding,
) -> Outcome<Stack> {
    let powers = srs::choose(app, srs, u32::from(schema.row_bits) + 1)?;
    flow::warn_insecure(app, powers.insecure_dev);
    Ok(Stack::commit(&Cpu::default(), schema, values, &powers, blinding)?)
}

/// The longest rows make the fewest, each of which costs a contract a multiplication.
pub(crate) const SETTLED_ROW_BITS: u8 = 18;

/// The row length of stacks that nothing has fixed: for a contract, or such that the data has few rows.
pub(crate) fn row_bits(spec: &Spec, settled: bool) -> Outcome<u8> {
    if settled {
        return Ok(SETTLED_ROW_BITS);
    }
    let rows = data_schema(spec, spec.rows, SETTLED_ROW_BITS)?;
    Ok(named::choose_row_bits(1 << rows.bits().min(40).max(index_bits(rows.values()))))
}

/// What a stack of the weights of a file holds: those that training starts from.
pub(crate) fn initial(path: &Path, row_bits: Option<u8>) -> Outcome<(Schema, Vec<Tensor>)> {
    let source = load(path)?;
    // Steps, rate and data say nothing about weights.
    let hyper = Hyper { steps: 1, batch: 1, rate_bits: 0, momentum_bits: None, loss: Some(LossName::CrossEntropy) };
    let spec = hyper.spec(&source, 1, true, [0; 32])?;
    let values = fixed_weights(&spec.network.weights(), &source.weights)?;
    Ok((weights_schema(&spec, row_bits.unwrap_or(SETTLED_ROW_BITS))?, values))
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

/// The weights that stay as they are, which a stack holds; `None` where all are trained.
pub(crate) fn base_of(spec: &Spec, stack: Option<Stack>, path: &Path) -> Outcome<Option<Stack>> {
    let Some(stack) = stack else { return Ok(None) };
    match base_schema(spec, stack.schema().row_bits)? {
        Some(schema) => fits(&stack, &schema, "weights that stay as they are", path)?,
        None => {
            return Err(Failure::new(format!("'{}' is given, and all weights are trained", path.display()))
                .help("leave it out, or train adapters: --lora RANK"));
        }
    }
    Ok(Some(stack))
}

/// How many rows a stack of data has.
pub(crate) fn rows_of(stack: &Stack) -> usize {
    stack.schema().tensors.first().and_then(|t| t.shape.first()).copied().unwrap_or(0)
}

/// Rows and targets that a stack holds.
pub(crate) fn data_of(spec: &Spec, stack: &Stack, path: &Path) -> Outcome<Data> {
    fits(stack, &data_schema(spec, rows_of(stack), stack.schema().row_bits)?, "rows with targets", path)?;
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
    let stacks = runs.about(stacks, false);
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
    let prepared = runs.prepared(app, srs, args)?;
    let prover = &prepared.prover;
    let stacks = runs.about(stacks, true);
    let (settled, _, stacks) = settlement::prove_integers(app, &runs.model, prover, &[open], stacks, context)?;
    let shown = settlement::shown(&prepared.prover.key, &settled.proof)?;
    Ok((prepared, settled, shown, stacks))
}
