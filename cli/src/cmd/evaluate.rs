//! `assay evaluate`: what a training run gained on rows that it has not seen, proven.

use crate::{
    App,
    error::{Failure, Outcome},
    files,
    output::{bytes, seconds},
    training::{self, Record},
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// The record of a training run: OUT/training.json
    training: PathBuf,
    /// Held-out data: .npz with x and y, as for `assay train`
    data: PathBuf,
    /// Where to write the proof
    #[arg(long, short, value_name = "PROOF")]
    output: Option<PathBuf>,
    /// Where to write the verifying key
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    srs: Option<PathBuf>,
}

pub(crate) fn run(app: &App, args: &EvaluateArgs) -> Outcome<()> {
    let o = &app.output;
    for target in [&args.output, &args.key_out].into_iter().flatten() {
        files::check_target(target)?;
    }
    let record = Record::read(&args.training)?;
    let spec = &record.spec;
    let given = training::arrays(&args.data, &spec.network.input)?;
    let data = given.integers(spec, &record.mean, &record.scale)?;
    let [before, after] = record.weights()?;
    let model = spec.evaluation(given.rows)?.model(data.rows.clone(), data.targets.clone())?;
    let (prepared, proven, shown) =
        training::prove(app, &model, [before.clone(), after.clone()].concat(), args.srs.clone())?;
    let line = record.check(&prepared.key.verifying, &shown).map_err(|f| Failure::new(f.message).bug())?;
    if let Some(path) = &args.output {
        files::write(path, &proven.bytes)?;
    }
    if let Some(path) = &args.key_out {
        files::write(path, &prepared.key.verifying.to_bytes().map_err(Failure::from)?)?;
    }
    let losses: Vec<f64> = shown
        .outputs
        .first()
        .map(|t| t.data.iter().map(|l| training::mean_loss(spec.loss, *l, given.rows)).collect())
        .unwrap_or_default();
    let accuracy = [training::accuracy(spec, &before, &data)?, training::accuracy(spec, &after, &data)?];
    o.say(format!("proven  {line}"));
    if let [Some(b), Some(a)] = accuracy {
        o.say(format!("rows    {:.1} % to {:.1} % right (computed, not proven)", 100.0 * b, 100.0 * a));
    }
    o.say(format!(
        "time    key {}, proof {} ({}), verified in {}",
        seconds(prepared.seconds),
        seconds(proven.prove_seconds),
        bytes(proven.bytes.len() as u64),
        seconds(proven.verify_seconds)
    ));
    o.result(json!({
        "valid": true,
        "rows": given.rows,
        "loss_before": losses.first(),
        "loss_after": losses.get(1),
        "accuracy_before": accuracy[0],
        "accuracy_after": accuracy[1],
        "prove_seconds": proven.prove_seconds,
        "verify_seconds": proven.verify_seconds,
        "proof_bytes": proven.bytes.len(),
        "insecure_srs": prepared.key.verifying.srs.insecure_dev,
        "hiding": false,
    }));
    Ok(())
}
