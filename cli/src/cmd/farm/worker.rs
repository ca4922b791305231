//! `assay farm worker`: proves a farm's jobs.

use super::FarmArgs;
use crate::{
    App,
    economy::units,
    error::Outcome,
    farm::{
        backend::{Backend, Lane},
        nats::Nats,
        prove::Means,
        record::cut,
        worker::{self, Options},
    },
    signals,
};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::{path::PathBuf, sync::Arc, time::Duration};

#[derive(Debug, Args)]
pub(super) struct Work {
    /// Address of the farm's server
    #[arg(long, value_name = "URL", default_value = "nats://127.0.0.1:4222")]
    nats: String,
    /// Which jobs to take
    #[arg(long, value_enum, default_value = "all", value_name = "WHICH")]
    kind: Which,
    /// Powers of tau of keys that were not made with development ones
    #[arg(long, value_name = "SRS")]
    srs: Option<PathBuf>,
    /// File with the secret that blinds the weights of settlement keys; all machines of a farm need the same
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
    /// What this worker is called [default: the machine's name and the process's number]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// End after so many proofs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// Give up a proof that takes longer
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = units::duration)]
    limit: u64,
    /// End after so many jobs that failed here, one after another
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: u32,
    /// How long to wait for a server that is away
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = units::duration)]
    patience: u64,
    #[command(flatten)]
    farm: FarmArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Core and settled proofs
    All,
    /// Core proofs alone
    Core,
    /// Settled proofs alone
    Settled,
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    format!("{}-{}", if name.is_empty() { "worker" } else { name }, std::process::id())
}

pub(super) fn run(app: &App, args: &Work) -> Outcome<()> {
    let o = &app.output;
    let ending = signals::ending()?;
    let place = args.farm.place(&args.nats, Duration::from_secs(args.patience), Arc::clone(&ending))?;
    let nats = Nats::open(place)?;
    let name = cut(&args.name.clone().unwrap_or_else(host), crate::farm::record::MAX_NAME);
    o.event("working", json!({ "url": nats.shown(), "farm": args.farm.farm, "name": name }));
    o.say(format!("worker  {name}, of farm {} on {}", args.farm.farm, nats.shown()));
    let backend: Arc<dyn Backend> = Arc::new(nats);
    let lanes = match args.kind {
        Which::All => vec![Lane::Core, Lane::Settled],
        Which::Core => vec![Lane::Core],
        Which::Settled => vec![Lane::Settled],
    };
    let options = Options {
        name,
        lanes,
        means: Means { srs: args.srs.clone(), secret: args.secret.clone() },
        jobs: args.jobs,
        limit: Duration::from_secs(args.limit),
        max_failures: args.max_failures,
        ending,
    };
    let tally = worker::work(app, &backend, &options)?;
    o.say(format!("ended   {} proven, {} failed, {} lost to others", tally.proven, tally.failed, tally.lost));
    o.result(json!({ "proven": tally.proven, "failed": tally.failed, "lost": tally.lost }));
    Ok(())
}
