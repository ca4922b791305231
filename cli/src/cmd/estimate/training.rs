//! `assay estimate --train`: what a proof of training will cost, before a row of data is at hand.

use super::{EstimateArgs, basis, fields, say, say_settlement};
use crate::{
    App, cost,
    error::{Failure, Outcome},
    output::{count, seconds},
    progress::Progress,
    training::{self, Hyper, Runs},
};
use assay_circuits::{
    Tensor,
    stack::NamedStack,
    train::{Spec, reference},
};
use clap::Args;
use serde_json::json;
use std::time::Instant;

/// A run of training.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// What `assay train` would cost, settled too, by the steps, rows and batch
    #[arg(long, requires = "rows")]
    pub(super) train: bool,
    /// Rows of the data
    #[arg(long, value_name = "N", requires = "train")]
    rows: Option<usize>,
    /// Number of optimizer steps
    #[arg(long, value_name = "T", requires = "train", default_value_t = 32)]
    steps: usize,
    /// Learning rate: a power of two, as 2^-4 or 0.0625
    #[arg(long, value_name = "RATE", requires = "train", default_value = "2^-4", value_parser = training::rate)]
    lr: u32,
    /// Momentum: 1 minus a power of two, as 0.875 [default: plain SGD]
    #[arg(long, value_name = "M", requires = "train", value_parser = training::momentum)]
    momentum: Option<u32>,
    /// What is made small [default: cross-entropy]
    #[arg(long, value_enum, requires = "train")]
    loss: Option<training::LossName>,
    #[command(flatten)]
    lora: training::LoraArgs,
}

/// Seconds that the specification takes for a row: one row is computed.
fn row_seconds(spec: &Spec) -> Outcome<f64> {
    let one = Spec { steps: 1, batch_bits: 0, rows: 1, ..spec.clone() };
    let values = |shape: &[usize]| {
        let n = shape.iter().product::<usize>();
        Tensor::new([&[1], shape].concat(), (0..n as i64).map(|k| k * 37 % 255).collect())
    };
    let data = values(&spec.network.input)?;
    let targets = values(&[spec.outputs()?])?;
    // Times do not depend on weights.
    let zeros = |shapes: Vec<Vec<usize>>| shapes.iter().map(|s| Tensor::zeros(s)).collect();
    let mut state = reference::State::over(zeros(spec.network.weights()), zeros(spec.network.base()));
    let start = Instant::now();
    reference::step(&one, &mut state, 0, &data, &targets)?;
    Ok(start.elapsed().as_secs_f64())
}

pub(super) fn run(app: &App, args: &EstimateArgs) -> Outcome<()> {
    let (t, o) = (&args.training, &app.output);
    let source = t.lora.adapted(training::load(&args.file)?, [0; 32])?;
    let hyper = Hyper {
        steps: t.steps,
        batch: args.batch.map_or(32, |b| b as usize),
        rate_bits: t.lr,
        momentum_bits: t.momentum,
        loss: t.loss,
    };
    let rows = t.rows.ok_or_else(|| Failure::new("rows of data that nobody counted").bug())?;
    let spec = hyper.spec(&source, rows, true, [0; 32])?;
    let given = args.shape.row_bits;
    let length = |settled: bool| given.map_or_else(|| training::row_bits(&spec, settled), Ok);
    let machine = app.machine();
    let graph = spec.training()?;
    let (core, settled) = (Runs::training(&graph, length(false)?)?, Runs::training(&graph, length(true)?)?);
    let visibility = training::shape().visibility();
    let e = cost::estimate_linked(&machine, &graph.graph, 1, visibility, None, core.named())?;
    let progress = Progress::start(o, "estimate", 0.0);
    progress.stage("laying out the settlement circuit", 0.0);
    let model = settled.model();
    // Stacks of training and evaluation come with each proof.
    let given: Vec<(NamedStack, bool)> = settled.named().iter().map(|n| (n.clone(), false)).collect();
    let asked = cost::settlement::Asked {
        graph: &graph.graph,
        specs: (&model.inputs, &model.outputs),
        batch: 1,
        visibility,
        row_bits: None,
        optimize: args.optimize.into(),
        stacks: &given,
    };
    let s = cost::settlement::estimate(&machine, &asked);
    drop(progress);
    let parameters: usize = spec.network.weights().iter().map(|s| s.iter().product::<usize>()).sum();
    let train_seconds = row_seconds(&spec)? * (spec.steps * spec.batch()) as f64;
    o.answer(format!(
        "training      {} steps of {} of {} rows, {} weights: {} updates",
        spec.steps,
        spec.batch(),
        count(spec.rows as u64),
        count(parameters as u64),
        count((parameters * spec.steps) as u64)
    ));
    o.answer(format!("              {} to compute, from one row on this machine", seconds(train_seconds)));
    let memory = e.memory_bytes()?;
    say(app, &e, memory);
    match &s {
        Ok(s) => say_settlement(app, s),
        Err(f) => o.warn(format!("this cannot be settled: {f}; {}", f.help)),
    }
    basis(app, machine.measured);
    let mut out = fields(&e, &s, memory);
    out["measured"] = json!(machine.measured);
    out["training"] = json!({
        "steps": spec.steps,
        "batch": spec.batch(),
        "rows": spec.rows,
        "weights": parameters,
        "updates": parameters * spec.steps,
        "train_seconds": train_seconds,
    });
    o.result(out);
    Ok(())
}
