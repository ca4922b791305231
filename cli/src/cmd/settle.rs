//! `assay settle`: a constant-size, zero-knowledge proof that a contract verifies.

use crate::{
    App, accuracy,
    args::{BatchArgs, ContextArgs, KeyArgs, QuantArgs, SettleArgs},
    error::Outcome,
    files, flow, settlement,
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct SettleCommand {
    /// A compiled model, or an ONNX model
    model: PathBuf,
    /// The inputs, as floats: JSON {"input_data": [[...]]}, .npy or .npz
    input: PathBuf,
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
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &SettleCommand) -> Outcome<()> {
    let o = &app.output;
    files::check_target(&args.output)?;
    args.key_out.as_deref().map_or(Ok(()), files::check_target)?;
    let context = args.context.context()?;
    let model = flow::load_model(app, &args.model, &args.quant, args.key.shape.private_outputs)?.model;
    let samples = flow::read_samples(app, &model, &args.input, args.batch)?;
    let prepared =
        settlement::prepare(app, &model, samples.len(), &args.key.shape, args.key.srs.as_deref(), &args.settle)?;
    let settled = settlement::prove(app, &model, &prepared.prover, &samples, context)?;
    files::write(&args.output, &settled.bytes)?;
    if let Some(path) = &args.key_out {
        files::write(path, &prepared.prover.key.to_bytes()?)?;
    }
    o.say(accuracy::line(&model));
    flow::say_outputs(app, &model.outputs, &settled.outputs, "output");
    settlement::say(app, &prepared, &settled);
    for target in [Some(&args.output), args.key_out.as_ref()].into_iter().flatten() {
        o.say(format!("wrote   {}", target.display()));
    }
    let mut result = settlement::json(&prepared, &settled);
    result["report"] = accuracy::to_json(&model);
    result["valid"] = json!(true);
    result["hiding"] = json!(true);
    result["outputs"] = flow::samples_json(&settled.outputs);
    result["insecure_srs"] = json!(prepared.prover.key.descriptor.insecure_dev);
    o.result(result);
    Ok(())
}
