//! `assay job refund`: what is left of jobs goes back to who posted them.

use crate::{
    App,
    economy::{EconomyArgs, explained, units},
    error::Outcome,
    output::count,
};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct Refund {
    /// The jobs: fulfilled ones give back the rest of the highest price; open ones everything, after the deadline, after the
    /// end of their verifier, or when their requester asks and no lease is live
    #[arg(required = true, value_name = "ID", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    ids: Vec<u64>,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Refund) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    for id in &args.ids {
        system.job(*id)?;
    }
    let (amount, done) = system.at.market().refund(system.chain.as_mut(), &args.ids).map_err(explained)?;
    o.answer(format!("credited {}", units::shown(amount)));
    o.say("collect  assay job claim --account REQUESTER");
    o.say(format!("gas      {}", count(done.gas_used)));
    o.result(json!({
        "job_ids": args.ids,
        "credited": amount.to_string(),
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
    }));
    Ok(())
}
