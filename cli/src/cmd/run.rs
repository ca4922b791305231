//! `assay run`: model and input in, checked proof out.

use crate::{
    App,
    args::{BatchArgs, KeyArgs, QuantArgs},
    error::{Failure, Outcome},
    files, flow,
    output::seconds,
};
use assay_verifier::core::hex;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// An ONNX model, or a compiled model
    model: PathBuf,
    /// The inputs, as floats: JSON {"input_data": [[...]]}, .npy or .npz
    input: PathBuf,
    /// Also write the proof
    #[arg(long, short, value_name = "PROOF")]
    output: Option<PathBuf>,
    /// Also write the verifying key
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    /// Make the key anew, even if one is in the cache
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &RunArgs) -> Outcome<()> {
    let o = &app.output;
    for target in [&args.output, &args.key_out].into_iter().flatten() {
        files::check_target(target)?;
    }
    let compiled = flow::load_model(app, &args.model, &args.quant, args.key.shape.private_outputs)?;
    let model = compiled.model;
    let samples = flow::read_samples(&model, &args.input, args.batch)?;
    o.say(format!("model   {}", hex(&model.model_id()?)));
    if let Some(s) = compiled.seconds {
        flow::report_lines(&model).iter().for_each(|l| o.say(l));
        o.say(format!("compile {}", seconds(s)));
    }
    let prepared = flow::prepare(app, &model, &args.key, !args.fresh)?;
    let proven = flow::prove(app, &model, &prepared.key, &samples)?;
    let checked = flow::check(&prepared.key.verifying, &proven.proof)?;
    if let Some(path) = &args.output {
        files::write(path, &proven.bytes)?;
    }
    if let Some(path) = &args.key_out {
        files::write(path, &prepared.key.verifying.to_bytes().map_err(Failure::from)?)?;
    }
    flow::say_outputs(app, &model.outputs, &proven.outputs, "output");
    flow::say_proven(app, &prepared, &proven);
    for target in [&args.output, &args.key_out].into_iter().flatten() {
        o.say(format!("wrote   {}", target.display()));
    }
    o.say("valid");
    let mut result = flow::proven_json(&model, &prepared, &proven)?;
    result["compile_seconds"] = json!(compiled.seconds);
    result["registration_seconds"] = json!(checked.registration_seconds);
    result["report"] = flow::report_json(&model);
    o.result(result);
    Ok(())
}
