//! `assay farm status`.

use super::FarmArgs;
use crate::{
    App,
    error::{Failure, Outcome},
    farm::{
        backend::Backend,
        record::State,
        status::{Overview, overview},
    },
    output::{count, table},
    settlement::parse_hex,
};
use assay_contracts::B256;
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Address of the farm's server
    #[arg(long, value_name = "URL", default_value = "nats://127.0.0.1:4222")]
    nats: String,
    /// Describe this job
    #[arg(long, value_name = "HEX", value_parser = job)]
    job: Option<B256>,
    #[command(flatten)]
    farm: FarmArgs,
}

fn job(text: &str) -> Result<B256, String> {
    parse_hex::<32>(text).map(B256::from).ok_or_else(|| "expected 0x and 64 hexadecimal digits".to_owned())
}

pub(super) fn run(app: &App, args: &StatusArgs) -> Outcome<()> {
    let farm = args.farm.ask(&args.nats)?;
    if let Some(job) = args.job {
        return one(app, &farm, job);
    }
    let (all, draining) = (overview(&farm)?, farm.is_draining()?);
    say(app, &all, draining);
    let mut result = all.json();
    result["draining"] = json!(draining);
    app.output.result(result);
    Ok(())
}

fn one(app: &App, farm: &dyn Backend, job: B256) -> Outcome<()> {
    let Some((record, _)) = farm.read(job, true)? else {
        return Err(Failure::new(format!("the farm does not know job {job}"))
            .help("`assay farm submit --json` prints ids; jobs are kept as long as --keep of `assay farm up` says"));
    };
    let o = &app.output;
    o.say(format!("job     {} ({job})", record.name));
    let (state, detail) = match &record.at {
        State::Queued => ("queued", String::new()),
        State::Leased { worker, .. } => ("leased", format!(" by {worker}")),
        State::Proven { worker, .. } => ("proven", format!(" by {worker}, not checked yet")),
        State::Accepted { worker, .. } => ("accepted", format!(", a proof by {worker}")),
        State::Failed { reason } => ("failed", format!(": {reason}")),
    };
    o.answer(format!("state   {state}{detail}, attempt {}", record.attempts));
    if let Some(error) = &record.error {
        o.say(format!("last    {error}"));
    }
    o.result(json!({ "job": job, "name": record.name, "state": state, "attempts": record.attempts, "record": record }));
    Ok(())
}

fn say(app: &App, all: &Overview, draining: bool) {
    const SHOWN: usize = 20;
    let (o, c) = (&app.output, &all.counts);
    o.answer(format!(
        "jobs    {} queued, {} leased, {} proven, {} accepted, {} failed{}",
        count(c.queued),
        count(c.leased),
        count(c.proven),
        count(c.accepted),
        count(c.failed),
        if draining { "; the farm drains" } else { "" }
    ));
    if !all.workers.is_empty() {
        let mut rows = vec![["worker", "has", "accepted"].map(str::to_owned).to_vec()];
        let workers = all.workers.iter().take(SHOWN);
        rows.extend(workers.map(|(name, w)| vec![name.clone(), count(w.works_on), count(w.accepted)]));
        o.say(table(&rows));
    }
    for w in all.wholes.values().take(SHOWN) {
        let failed: Vec<String> = w.failed.iter().map(u32::to_string).collect();
        let failed = if failed.is_empty() { String::new() } else { format!("; failed: {}", failed.join(", ")) };
        o.say(format!("split   {}: {} of {} segments accepted{failed}", w.name, w.accepted, w.of));
    }
    for (_, name, reason) in all.failures.iter().take(SHOWN) {
        o.say(format!("failed  {name}: {reason}"));
    }
    if all.failures.len() > SHOWN {
        o.say(format!("... and {} more (--json has up to 1,000)", count(c.failed - SHOWN as u64)));
    }
}
