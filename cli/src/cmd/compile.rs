//! `assay compile`: from ONNX to the integer graph that proofs are about.

use crate::{
    App, accuracy,
    args::QuantArgs,
    error::Outcome,
    files, flow,
    output::{bytes, count, seconds},
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    /// The ONNX model
    model: PathBuf,
    /// Where to write the compiled model
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    quant: QuantArgs,
    /// Round the outputs to the activation width, so that they can be kept private
    #[arg(long, alias = "private-output", help_heading = "Quantization")]
    private_outputs: bool,
}

pub(crate) fn run(app: &App, args: &CompileArgs) -> Outcome<()> {
    let o = &app.output;
    files::check_target(&args.output)?;
    let float = flow::load_onnx(&args.model, &args.quant.read)?;
    let samples = flow::calibration(app, &float, args.quant.calibrate.as_deref())?;
    let options = args.quant.options(args.private_outputs);
    let (model, compile_seconds) = flow::timed(|| flow::compile(app, &float, &options, samples.as_deref()));
    let model = model.map_err(|f| f.in_file(&args.model))?;
    accuracy::lines(&model).iter().for_each(|l| o.say(l));
    accuracy::gate(app, &model, args.quant.accept_accuracy).map_err(|f| f.in_file(&args.model))?;
    let (length, id) = files::write_model(&args.output, &model)?;
    let parameters = model.graph.parameters();
    o.say(format!("model   {id}"));
    o.say(format!(
        "wrote   {} ({}, {} parameters) in {}",
        args.output.display(),
        bytes(length as u64),
        count(parameters as u64),
        seconds(compile_seconds)
    ));
    o.result(json!({
        "model_id": id,
        "parameters": parameters,
        "nodes": model.graph.nodes().len(),
        "compile_seconds": compile_seconds,
        "file_bytes": length,
        "report": accuracy::to_json(&model),
    }));
    Ok(())
}
