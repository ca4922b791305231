//! `assay farm drain`.

use super::FarmArgs;
use crate::{
    App,
    economy::units,
    error::{Failure, Outcome},
    farm::status::overview,
};
use clap::Args;
use serde_json::json;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(super) struct Drain {
    /// Address of the farm's server
    #[arg(long, value_name = "URL", default_value = "nats://127.0.0.1:4222")]
    nats: String,
    /// Let workers take jobs again
    #[arg(long, conflicts_with = "wait")]
    undo: bool,
    /// Wait until no worker has a job, at most for that long
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    wait: Option<u64>,
    #[command(flatten)]
    farm: FarmArgs,
}

pub(super) fn run(app: &App, args: &Drain) -> Outcome<()> {
    let (farm, o) = (args.farm.ask(&args.nats)?, &app.output);
    farm.set_draining(!args.undo)?;
    let start = Instant::now();
    let counts = loop {
        let counts = overview(&farm)?.counts;
        match args.wait {
            Some(limit) if counts.leased > 0 => {
                if start.elapsed() > Duration::from_secs(limit) {
                    return Err(Failure::new(format!("{} jobs are still with workers", counts.leased)).help(
                        "wait longer; the job of a worker that is gone goes on when others take jobs again (`assay farm drain --undo`)",
                    ));
                }
                std::thread::sleep(Duration::from_millis(300));
            }
            _ => break counts,
        }
    };
    if args.undo {
        o.answer(format!("workers take jobs again; {} wait", counts.queued));
    } else {
        o.answer(format!("workers take no more jobs: {} are with workers, {} wait", counts.leased, counts.queued));
    }
    o.result(json!({ "draining": !args.undo, "leased": counts.leased, "queued": counts.queued }));
    Ok(())
}
