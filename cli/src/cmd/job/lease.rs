//! `assay job lease`: takes the sole right to be paid for jobs.

use crate::{
    App,
    chain::address,
    economy::{EconomyArgs, explained, units},
    error::Outcome,
    output::count,
};
use assay_contracts::{Address, U256};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct Lease {
    /// The jobs, all or none of them
    #[arg(required = true, value_name = "ID", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    ids: Vec<u64>,
    /// Who is paid, and gets the bond back [default: the account that sends]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    payout: Option<Address>,
    /// How long the lease must last, from the block that includes it: one that would end sooner, at the job's deadline, is not
    /// taken
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = units::duration)]
    min_lease: u64,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Lease) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    let payout = args.payout.map_or_else(|| system.sender(), Ok)?;
    let market = system.at.market();
    let mut each = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        each.push(system.job(*id)?.bond);
    }
    let bonds: U256 = each.iter().copied().map(U256::from).sum();
    let (token, at) = (system.at.token(), market.address());
    token.ensure_allowance(system.chain.as_mut(), at, bonds, bonds).map_err(explained)?;
    let (until, done) =
        market.lease(system.chain.as_mut(), &args.ids, payout, &each, args.min_lease).map_err(explained)?;
    let now = system.moment()?.now;
    let price = market.job(system.chain.as_mut(), args.ids.first().copied().unwrap_or(0))?.price;
    o.answer(format!("leased   {} for {}", list(&args.ids), units::span(until.saturating_sub(now))));
    o.say(format!("price    {} locked", units::shown(U256::from(price))));
    o.say(format!("bond     {}, back with the price when it is done in time", units::shown(bonds)));
    o.say(format!("payout   {payout}"));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.result(json!({
        "job_ids": args.ids,
        "payout": payout.to_string(),
        "until": until,
        "price": price.to_string(),
        "bond": bonds.to_string(),
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
    }));
    Ok(())
}

/// "job 3", "jobs 3, 4".
pub(super) fn list(ids: &[u64]) -> String {
    let all: Vec<String> = ids.iter().map(u64::to_string).collect();
    format!("{} {}", if ids.len() == 1 { "job" } else { "jobs" }, all.join(", "))
}
