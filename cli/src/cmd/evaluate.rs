//! `assay evaluate`: what a training run gained on rows that it has not seen, proven.

use crate::{
    App,
    args::{ContextArgs, SettleArgs},
    chain,
    error::{Failure, Outcome},
    files, stacks as named,
    training::{self, Checked, Kind, Proof, Record, Runs},
};
use assay_circuits::train::data_schema;
use assay_prover::Stack;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// The record of a training run: OUT/training.json, with weights.stack and trained.stack beside it
    training: PathBuf,
    /// Held-out data: .npz with x and y, as for `assay train`, or a stack of it
    data: PathBuf,
    /// Where to write the proof
    #[arg(long, short, value_name = "PROOF")]
    output: Option<PathBuf>,
    /// Where to write the key that checks it
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    /// Where to write the stack of the held-out data, which is secret
    #[arg(long, value_name = "FILE")]
    holdout_out: Option<PathBuf>,
    /// Settle the proof, so that a contract can check it
    #[arg(long)]
    settle: bool,
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    srs: Option<PathBuf>,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    settlement: SettleArgs,
}

pub(crate) fn run(app: &App, args: &EvaluateArgs) -> Outcome<()> {
    let o = &app.output;
    for target in [&args.output, &args.key_out, &args.holdout_out].into_iter().flatten() {
        files::check_target(target)?;
    }
    let context = args.context.context()?;
    let record = Record::read(&args.training)?;
    let spec = &record.spec;
    let [before, after] = record.weights_beside(&args.training)?;
    let base = record.base_beside(&args.training)?;
    let row_bits = before.schema().row_bits;
    let srs = args.srs.as_deref();
    let (data, holdout) = if files::kind(&args.data)? == files::Kind::Stack {
        let stack = named::read(&args.data)?;
        (training::data_of(spec, &stack, &args.data)?, stack)
    } else {
        let given = training::arrays(&args.data, &spec.network.input)?;
        let data = given.integers(spec, &record.mean, &record.scale)?;
        let schema = data_schema(spec, given.rows, row_bits)?;
        let stack = training::commit(app, &schema, vec![data.rows.clone(), data.targets.clone()], srs)?;
        (data, stack)
    };
    if named::id(&holdout)? == record.dataset {
        return Err(Failure::new(format!("'{}' is the data that was trained on", args.data.display()))
            .help("a gain counts on rows that training has not seen: hold some out"));
    }
    let rows = data.rows.shape.first().copied().unwrap_or(0);
    let runs = Runs::evaluation(&spec.evaluation(rows)?, row_bits)?.over(base.clone());
    let about = vec![Some(before.clone()), Some(after.clone()), Some(holdout.clone())];
    let proof = if args.settle {
        Proof::settled(app, &runs, (vec![], about), (srs, &args.settlement), (&args.context, context))?
    } else {
        Proof::core(app, &runs, (vec![], about), srs)?
    };
    let Checked { kind, line, .. } =
        record.check(proof.statement(), &proof.shown).map_err(|f| Failure::new(f.message).bug())?;
    if kind != Kind::Evaluation {
        return Err(Failure::new("the proof is no evaluation").bug());
    }
    proof.write_to(args.output.as_deref(), args.key_out.as_deref())?;
    args.holdout_out.as_deref().map_or(Ok(()), |path| named::write(path, &holdout))?;
    let losses: Vec<f64> = proof
        .shown
        .outputs
        .first()
        .map(|t| t.data.iter().map(|l| training::mean_loss(spec.loss, *l, rows)).collect())
        .unwrap_or_default();
    let stays = base.as_ref().map_or(&[][..], |b| b.values());
    let right = |weights: &Stack| training::accuracy(spec, (weights.values(), stays), &data);
    let accuracy = [right(&before)?, right(&after)?];
    o.say(format!("proven  {line}"));
    if let [Some(b), Some(a)] = accuracy {
        o.say(format!("rows    {:.1} % to {:.1} % right (computed, not proven)", 100.0 * b, 100.0 * a));
    }
    o.say(format!("stack   holdout: {}", named::id(&holdout)?));
    proof.say(app, 0.0);
    let mut result = json!({
        "valid": true,
        "rows": rows,
        "loss_before": losses.first(),
        "loss_after": losses.get(1),
        "accuracy_before": accuracy[0],
        "accuracy_after": accuracy[1],
        "row_bits": row_bits,
        "stacks": { "weights": record.weights, "trained": record.trained, "holdout": named::id(&holdout)? },
    });
    chain::merge(&mut result, proof.json());
    o.result(result);
    Ok(())
}
