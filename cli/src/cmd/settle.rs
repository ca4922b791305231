//! `assay settle`: a constant-size, zero-knowledge proof that a contract verifies.

use crate::{
    App, accuracy,
    args::{BatchArgs, ContextArgs, KeyArgs, QuantArgs, SettleArgs},
    error::Outcome,
    files, flow, settlement,
    split::{
        Split,
        own::Own,
        prove::{allows, report, settle},
    },
    stacks::{self, CommitArgs},
};
use assay_verifier::settle::key::Context;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct SettleCommand {
    /// A compiled model, an ONNX model, or the folder of a split model
    model: PathBuf,
    /// The inputs, as floats: JSON {"input_data": [[...]]}, .npy or .npz; none where a stack holds them
    #[arg(required_unless_present = "commits")]
    input: Option<PathBuf>,
    /// Where to write the settled proof
    #[arg(long, short, value_name = "PROOF")]
    output: PathBuf,
    /// Also write the settlement key, which checks proofs and is registered with the contract
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    settle: SettleArgs,
    #[command(flatten)]
    stacks: CommitArgs,
    #[command(flatten)]
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &SettleCommand) -> Outcome<()> {
    let o = &app.output;
    files::check_target(&args.output)?;
    args.key_out.as_deref().map_or(Ok(()), files::check_target)?;
    let context = args.context.context()?;
    if Split::is_at(&args.model) {
        return segments(app, args, &context);
    }
    let model = flow::load_model(app, &args.model, &args.quant, args.key.shape.private_outputs)?.model;
    args.stacks.check_targets()?;
    let (mut named, samples) = flow::read_open_samples(app, &model, args.input.as_deref(), &args.stacks, args.batch)?;
    let (shape, srs, batch) = (&args.key.shape, args.key.srs.as_deref(), samples.len());
    let prepared = settlement::prepare_named(app, &model, batch, shape, srs, &args.settle, named.settled())?;
    let (tensors, clamped) = named.open_inputs(&model, &samples)?;
    flow::warn_clamped(app, clamped);
    let given = std::mem::take(&mut named.stacks);
    let made: Vec<bool> = given.iter().map(Option::is_none).collect();
    let (settled, stacks) = settlement::prove_named(app, &model, &prepared.prover, &tensors, given, context)?;
    files::write(&args.output, &settled.bytes)?;
    let written = named.write_outputs(&made, &stacks)?;
    if let Some(path) = &args.key_out {
        files::write(path, &prepared.prover.key.to_bytes()?)?;
    }
    o.say(accuracy::line(&model));
    flow::say_outputs(app, &model.outputs, &settled.outputs, "output");
    settlement::say(app, &prepared, &settled);
    for target in [Some(&args.output), args.key_out.as_ref()].into_iter().flatten().chain(&written) {
        o.say(format!("wrote   {}", target.display()));
    }
    let mut result = settlement::json(&prepared, &settled);
    result["report"] = accuracy::to_json(&model);
    result["stacks"] = stacks::to_json(&named.named, &stacks)?;
    result["valid"] = json!(true);
    result["hiding"] = json!(true);
    result["outputs"] = flow::samples_json(&settled.outputs);
    result["insecure_srs"] = json!(prepared.prover.key.descriptor.insecure_dev);
    o.result(result);
    Ok(())
}

/// Settled proofs of all segments of a split model, in one file.
fn segments(app: &App, args: &SettleCommand, context: &Context) -> Outcome<()> {
    allows(&args.stacks, args.quant.is_used())?;
    let split = Split::read(&args.model)?;
    let (own, tensors) = Own::read(app, &split, args.input.as_deref(), &args.stacks, args.batch)?;
    let proven = settle(app, &split, (&tensors, own), &args.key, &args.settle, context)?;
    report(app, &split, &proven, &args.output, args.key_out.as_deref())
}
