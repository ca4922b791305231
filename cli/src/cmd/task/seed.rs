//! `assay task seed`: fixes the seed of a round.

use super::show::binding;
use crate::{
    App,
    economy::{EconomyArgs, explained, units},
    error::{Failure, Outcome},
    output::count,
    progress::Progress,
};
use assay_contracts::economy::Phase;
use clap::Args;
use serde_json::json;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Seed {
    /// The task
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// How long to wait for the block that the seed comes from
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = units::duration)]
    wait: u64,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Seed) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    let market = system.at.training();
    let task = system.task(args.id)?;
    let mut sent = None;
    if task.phase == Phase::Leased {
        let pinned = market.round(system.chain.as_mut(), args.id).map_err(explained)?.pinned.to::<u64>();
        let end = Instant::now() + Duration::from_secs(args.wait);
        let progress = Progress::start(o, "seed", 0.0);
        // The next block includes the call, and the block before it must be the pinned one or a later one.
        loop {
            let head = system.chain.head()?.number;
            if head >= pinned {
                break;
            }
            if Instant::now() >= end {
                return Err(Failure::new(format!("the seed comes from block {pinned}, and the last block is {head}"))
                    .help("wait for the block, or let the command wait: --wait 5m"));
            }
            progress.stage(&format!("waiting for block {pinned}"), 0.0);
            std::thread::sleep(Duration::from_millis(500));
        }
        drop(progress);
        let (_, done) = market.pin_seed(system.chain.as_mut(), args.id).map_err(explained)?;
        sent = Some(done);
    } else if task.phase != Phase::Seeded {
        return Err(Failure::new(format!("task {} has no round that waits for a seed", args.id))
            .help("`assay task show ID` tells where it is; `assay task lease ID` begins a round"));
    }
    let task = system.task(args.id)?;
    let round = market.round(system.chain.as_mut(), args.id).map_err(explained)?;
    o.answer(format!("seed     {}", round.seed));
    let mut result = json!({
        "task_id": args.id,
        "seed": round.seed.to_string(),
        "examples": round.examples,
        "head": task.ids.head.to_string(),
        "dataset": round.dataset.to_string(),
        "until": round.until.to::<u64>(),
        "gas": sent.as_ref().map(|d| d.gas_used),
        "transaction": sent.as_ref().map(|d| d.hash.to_string()),
    });
    binding(app, &mut system, args.id, &task, &round, &mut result)?;
    match sent {
        Some(done) => o.say(format!("gas      {}", count(done.gas_used))),
        None => o.say("it was fixed before"),
    }
    o.result(result);
    Ok(())
}
