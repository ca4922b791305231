//! `assay setup`: commits to a model and writes the verifying key.

use crate::{
    App,
    args::{KeyArgs, QuantArgs},
    error::Outcome,
    files, flow,
    output::{bytes, seconds},
    stacks::CommitArgs,
};
use assay_verifier::core::hex;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// A compiled model, or an ONNX model
    model: PathBuf,
    /// Where to write the verifying key
    #[arg(long, short, value_name = "KEY")]
    output: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    stacks: CommitArgs,
    #[command(flatten)]
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &SetupArgs) -> Outcome<()> {
    let o = &app.output;
    files::check_target(&args.output)?;
    let model = flow::load_model(app, &args.model, &args.quant, args.key.shape.private_outputs)?.model;
    let (named, batch) = args.stacks.resolve(&model, None)?;
    let prepared = if args.stacks.is_used() {
        flow::prepare_named(app, &model, &args.key, &named.named, batch)?
    } else {
        flow::prepare(app, &model, &args.key, true)?
    };
    let file = prepared.key.verifying.to_bytes()?;
    files::write(&args.output, &file)?;
    let v = &prepared.key.verifying;
    let (id, digest) = (hex(&v.model_id()?), hex(&prepared.key.digest));
    o.say(format!("model   {id}"));
    o.say(format!("key     {digest}"));
    for n in &v.stacks {
        o.say(format!("stack   '{}', {} tensors, for a batch of {batch}", n.name, n.schema.tensors.len()));
    }
    o.say(format!(
        "wrote   {} ({}, {} rows of 2^{}) in {}{}",
        args.output.display(),
        bytes(file.len() as u64),
        v.rows.len(),
        v.row_bits,
        seconds(prepared.seconds),
        if prepared.cached { ", from the cache" } else { "" }
    ));
    o.result(json!({
        "model_id": id,
        "key_digest": digest,
        "setup_seconds": prepared.seconds,
        "setup_cached": prepared.cached,
        "key_bytes": file.len(),
        "model_rows": v.rows.len(),
        "row_bits": v.row_bits,
        "stacks": v.stacks.iter().map(|n| n.name.clone()).collect::<Vec<_>>(),
        "srs_hash": hex(&v.srs.srs_hash),
        "insecure_srs": v.srs.insecure_dev,
    }));
    Ok(())
}
