//! `assay setup`: commits to a model and writes the verifying key.

use crate::{
    App,
    args::{KeyArgs, QuantArgs},
    error::{Failure, Outcome},
    files, flow,
    output::{bytes, seconds},
    split::{
        Split, check,
        own::Own,
        prove::{allows, core_keys},
    },
    stacks::CommitArgs,
};
use assay_verifier::core::hex;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// A compiled model, an ONNX model, or the folder of a split model
    model: PathBuf,
    /// Where to write the verifying key
    #[arg(long, short, value_name = "KEY")]
    output: PathBuf,
    /// Of a split model: the number of inferences in a proof, which its keys fix
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    batch: Option<u32>,
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
    if Split::is_at(&args.model) {
        return segments(app, args);
    }
    if args.batch.is_some() {
        return Err(Failure::new("--batch is for split models: the key of another is for every batch")
            .help("leave it out, or cut the model first: assay split MODEL --segments N -o FOLDER"));
    }
    let model = flow::load_model(app, &args.model, &args.quant, args.key.shape.private_outputs)?.model;
    let (named, batch) = args.stacks.resolve(&model, None, None)?;
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

/// Keys of all segments of a split model, in one file.
fn segments(app: &App, args: &SetupArgs) -> Outcome<()> {
    let o = &app.output;
    allows(&args.stacks, args.quant.is_used())?;
    let split = Split::read(&args.model)?;
    let (mut own, batch) = Own::of_key(&split, &args.stacks, args.batch.map(|n| n as usize))?;
    let (keys, taken) = flow::timed(|| core_keys(app, &split, &mut own, &args.key, batch));
    let keys = keys?;
    let file = keys.to_bytes()?;
    files::write(&args.output, &file)?;
    let id = check::id(&keys)?;
    o.say(format!("split   {id}; the folder says: of model {}", split.model_id()));
    o.say(format!(
        "wrote   {} ({}, {} keys, for a batch of {batch}) in {}",
        args.output.display(),
        bytes(file.len() as u64),
        keys.len(),
        seconds(taken)
    ));
    o.result(json!({
        "split_id": id,
        "model_id": split.model_id(),
        "segments": keys.len(),
        "batch": batch,
        "stacks": keys.named().iter().map(|n| n.name.clone()).collect::<Vec<_>>(),
        "setup_seconds": taken,
        "key_bytes": file.len(),
        "insecure_srs": check::describe(&keys)?.insecure,
    }));
    Ok(())
}
