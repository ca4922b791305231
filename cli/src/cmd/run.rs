//! `assay run`: model and input in, checked proof out.

use crate::{
    App, accuracy,
    args::{BatchArgs, KeyArgs, QuantArgs, SettleArgs},
    chain::{self, Local},
    cmd::chain::LocalSegments,
    error::{Failure, Outcome},
    files, flow,
    input::Samples,
    output::{count, seconds},
    settlement,
    split::{Split, check, own::Own, prove},
    stacks::CommitArgs,
};
use assay_circuits::model::Model;
use assay_verifier::core::hex;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// An ONNX model, a compiled model, or the folder of a split model, whose segments are proven one after another
    model: PathBuf,
    /// The inputs, as floats: JSON {"input_data": [[...]]}, .npy or .npz
    input: PathBuf,
    /// Also write the proof
    #[arg(long, short, value_name = "PROOF")]
    output: Option<PathBuf>,
    /// Also write the verifying key
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    /// Make a settled proof instead of a core proof, and have the contract on the embedded EVM check it
    #[arg(long, conflicts_with = "fresh")]
    settle: bool,
    /// Make the key anew, even if one is in the cache
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    settlement: SettleArgs,
    #[command(flatten)]
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &RunArgs) -> Outcome<()> {
    let o = &app.output;
    for target in [&args.output, &args.key_out].into_iter().flatten() {
        files::check_target(target)?;
    }
    if Split::is_at(&args.model) {
        return segments(app, args);
    }
    let compiled = flow::load_model(app, &args.model, &args.quant, args.key.shape.private_outputs)?;
    let model = compiled.model;
    let samples = flow::read_samples(app, &model, &args.input, args.batch)?;
    o.say(format!("model   {}", hex(&model.model_id()?)));
    if let Some(s) = compiled.seconds {
        accuracy::lines(&model).iter().for_each(|l| o.say(l));
        o.say(format!("compile {}", seconds(s)));
    }
    if args.settle {
        return settle(app, args, &model, &samples, compiled.seconds);
    }
    let prepared = flow::prepare(app, &model, &args.key, !args.fresh)?;
    let proven = flow::prove(app, &model, &prepared.key, &samples)?;
    let checked = flow::check(app, &prepared.key.verifying, &proven.proof)?;
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
    result["report"] = accuracy::to_json(&model);
    o.result(result);
    Ok(())
}

/// The same of a split model: proofs of all segments, judged together.
fn segments(app: &App, args: &RunArgs) -> Outcome<()> {
    let commits = CommitArgs::default();
    prove::allows(&commits, args.quant.is_used())?;
    if args.fresh {
        return Err(Failure::new("--fresh is not possible with a split model")
            .help("make keys anew with `assay setup FOLDER -o KEYS`, and pass them to `assay prove --key KEYS`"));
    }
    let split = Split::read(&args.model)?;
    app.output.say(format!("model   {}, {} segments", split.model_id(), split.len()));
    let (own, tensors) = Own::read(app, &split, Some(&args.input), &commits, args.batch)?;
    let (output, key_out) = (args.output.as_deref(), args.key_out.as_deref());
    if !args.settle {
        let proven = prove::core(app, &split, (&tensors, own), None, &args.key)?;
        // Registrations are part of what a verifier checks of keys.
        check::check(app, &proven.keys, &proven.proofs, None)?;
        let result = prove::write(app, &split, &proven, output, key_out)?;
        app.output.say("valid");
        app.output.result(result);
        return Ok(());
    }
    let local = LocalSegments::deploy()?;
    let context = local.context();
    let proven = prove::settle(app, &split, (&tensors, own), &args.key, &args.settlement, &context)?;
    let on_chain = local.submit(&proven.keys, &proven.proofs)?;
    let mut result = prove::write(app, &split, &proven, output, key_out)?;
    app.output.say(format!("gas     {}; {} to register the keys", count(on_chain.gas), count(on_chain.register_gas)));
    app.output.say("valid");
    result["gas"] = json!(on_chain.gas);
    result["register_gas"] = json!(on_chain.register_gas);
    result["plan_id"] = json!(on_chain.plan_id.to_string());
    app.output.result(result);
    Ok(())
}

/// The whole way to a contract that accepts.
fn settle(app: &App, args: &RunArgs, model: &Model, samples: &Samples, compile_seconds: Option<f64>) -> Outcome<()> {
    let o = &app.output;
    let local = Local::deploy()?;
    let prepared =
        settlement::prepare(app, model, samples.len(), &args.key.shape, args.key.srs.as_deref(), &args.settlement)?;
    let settled = settlement::prove(app, model, &prepared.prover, samples, local.context([0; 32]))?;
    let on_chain = local.submit(&prepared, &settled)?;
    if let Some(path) = &args.output {
        files::write(path, &settled.bytes)?;
    }
    if let Some(path) = &args.key_out {
        files::write(path, &prepared.prover.key.to_bytes()?)?;
    }
    flow::say_outputs(app, &model.outputs, &settled.outputs, "output");
    settlement::say(app, &prepared, &settled);
    chain::say(app, &on_chain);
    for target in [&args.output, &args.key_out].into_iter().flatten() {
        o.say(format!("wrote   {}", target.display()));
    }
    o.say("valid");
    let mut result = json!({
        "valid": true,
        "hiding": true,
        "model_id": hex(&model.model_id()?),
        "batch": samples.len(),
        "compile_seconds": compile_seconds,
        "prove_seconds": settled.prove_seconds,
        "outputs": flow::samples_json(&settled.outputs),
        "insecure_srs": prepared.prover.key.descriptor.insecure_dev,
        "report": accuracy::to_json(model),
    });
    chain::settled_json(&mut result, &prepared, &settled, &on_chain);
    o.result(result);
    Ok(())
}
