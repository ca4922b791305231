//! `assay prove`: one proof of one inference, or of a batch of them.

use crate::{
    App, accuracy,
    args::{BatchArgs, KeyArgs, QuantArgs},
    error::{Failure, Outcome},
    files, flow,
    split::{
        Split,
        own::Own,
        prove::{allows, core, report},
    },
    stacks::{self, CommitArgs},
};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// A compiled model, an ONNX model, or the folder of a split model
    model: PathBuf,
    /// The inputs, as floats: JSON {"input_data": [[...]]}, .npy or .npz; none where a stack holds them
    #[arg(required_unless_present = "commits")]
    input: Option<PathBuf>,
    /// Where to write the proof
    #[arg(long, short, value_name = "PROOF")]
    output: PathBuf,
    /// A key made by `assay setup` [default: one from the cache, or a new one]
    #[arg(long, value_name = "KEY", conflicts_with_all = ["public_inputs", "private_outputs", "public_weights", "row_bits"])]
    key: Option<PathBuf>,
    /// Also write the verifying key
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    new_key: KeyArgs,
    #[command(flatten)]
    stacks: CommitArgs,
    #[command(flatten)]
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &ProveArgs) -> Outcome<()> {
    let o = &app.output;
    files::check_target(&args.output)?;
    args.key_out.as_deref().map_or(Ok(()), files::check_target)?;
    if Split::is_at(&args.model) {
        return segments(app, args);
    }
    let model = flow::load_model(app, &args.model, &args.quant, args.new_key.shape.private_outputs)?.model;
    args.stacks.check_targets()?;
    let (named, samples) = flow::read_open_samples(app, &model, args.input.as_deref(), &args.stacks, args.batch)?;
    let prepared = match &args.key {
        Some(path) => flow::load_key(app, &model, path, args.new_key.srs.as_deref()).map_err(|f| {
            if files::kind(&args.model).is_ok_and(files::Kind::may_be_onnx) {
                f.help(
                    "an ONNX model is quantized anew each time: compile it once and use the compiled file with its key",
                )
            } else {
                f
            }
        })?,
        None if args.stacks.is_used() => flow::prepare_named(app, &model, &args.new_key, &named.named, samples.len())?,
        None => flow::prepare(app, &model, &args.new_key, true)?,
    };
    let mut named = named.in_order_of(&prepared.key.verifying.stacks)?;
    let (tensors, clamped) = named.open_inputs(&model, &samples)?;
    flow::warn_clamped(app, clamped);
    let given = std::mem::take(&mut named.stacks);
    let made: Vec<bool> = given.iter().map(Option::is_none).collect();
    let (proven, stacks) = flow::prove_named(app, &model, &prepared.key, &tensors, given)?;
    files::write(&args.output, &proven.bytes)?;
    let written = named.write_outputs(&made, &stacks)?;
    if let Some(path) = &args.key_out {
        files::write(path, &prepared.key.verifying.to_bytes().map_err(Failure::from)?)?;
    }
    o.say(accuracy::line(&model));
    flow::say_outputs(app, &model.outputs, &proven.outputs, "output");
    flow::say_proven(app, &prepared, &proven);
    for target in [&args.output].into_iter().chain(&written) {
        o.say(format!("wrote   {}", target.display()));
    }
    let mut result = flow::proven_json(&model, &prepared, &proven)?;
    result["report"] = accuracy::to_json(&model);
    result["stacks"] = stacks::to_json(&named.named, &stacks)?;
    o.result(result);
    Ok(())
}

/// Proofs of all segments of a split model, in one file.
fn segments(app: &App, args: &ProveArgs) -> Outcome<()> {
    allows(&args.stacks, args.quant.is_used())?;
    let split = Split::read(&args.model)?;
    let (own, tensors) = Own::read(app, &split, args.input.as_deref(), &args.stacks, args.batch)?;
    let proven = core(app, &split, (&tensors, own), args.key.as_deref(), &args.new_key)?;
    report(app, &split, &proven, &args.output, args.key_out.as_deref())
}
