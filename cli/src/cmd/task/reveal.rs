//! `assay task reveal`: opens the shard that a round is evaluated on.

use crate::{
    App,
    economy::{EconomyArgs, explained, shards::Shards, units},
    error::{Failure, Outcome},
    output::count,
};
use assay_contracts::economy::Phase;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Reveal {
    /// The task
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// What `assay task post --sealed` wrote
    #[arg(long, value_name = "FILE")]
    sealed: PathBuf,
    /// Where the shard's values can be had
    #[arg(long, value_name = "URI", default_value = "")]
    uri: String,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Reveal) -> Outcome<()> {
    let o = &app.output;
    let shards = Shards::read(&args.sealed)?;
    let mut system = args.economy.connect(true)?;
    let market = system.at.training();
    let task = system.task(args.id)?;
    if shards.root() != task.ids.holdout {
        return Err(Failure::new(format!(
            "'{}' seals other shards than those of task {}",
            args.sealed.display(),
            args.id
        ))
        .help("pass the file that `assay task post --sealed` wrote for this task"));
    }
    if task.phase != Phase::Trained {
        return Err(Failure::new(format!("task {} has no round that waits for a shard", args.id))
            .help("a shard is revealed when training was proven, and not before: `assay task show ID`"));
    }
    let round = market.round(system.chain.as_mut(), args.id).map_err(explained)?;
    let (shard, path) = shards.open(usize::try_from(round.shard).unwrap_or(usize::MAX)).ok_or_else(|| {
        Failure::new(format!("there is no shard {} in '{}'", round.shard, args.sealed.display()))
            .help("pass the file that `assay task post --sealed` wrote for this task")
    })?;
    let (e, done) = market.reveal(system.chain.as_mut(), args.id, &shard, &path, &args.uri).map_err(explained)?;
    o.answer(format!("shard    {} of task {} is stack {}", e.shard, args.id, e.stackId));
    o.say(format!(
        "next     the worker has {} to prove the evaluation on it; send the stack's file",
        units::span(u64::from(task.evaluateSeconds))
    ));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.result(json!({
        "task_id": args.id,
        "round": e.round,
        "shard": e.shard,
        "stack_id": e.stackId.to_string(),
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
    }));
    Ok(())
}
