//! `assay model tombstone`, `assay chain check|pause|unpause`: what takes a role, and who has which.

use super::{ProposeArgs, act};
use crate::{
    App,
    economy::{EconomyArgs, explained, hash},
    error::{Failure, Outcome},
};
use assay_contracts::{
    B256, Error,
    economy::{Ledger, Registry},
};
use clap::{Args, ValueEnum};
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct Tombstone {
    /// The verifier's entry, 32 bytes in hexadecimal
    #[arg(value_parser = hash)]
    verifier_id: B256,
    #[command(flatten)]
    propose: ProposeArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn tombstone(app: &App, args: &Tombstone) -> Outcome<()> {
    let mut system = args.economy.connect(true)?;
    let (registry, id) = (system.at.registry(), args.verifier_id);
    registry.entry(system.chain.as_mut(), id).map_err(explained)?;
    let what = format!("ended    verifier {id}, for good; its open jobs can be refunded");
    act(app, &mut system, &args.propose, (&what, registry.address(), Registry::tombstone_data(id)), |s| {
        registry.tombstone(s.chain.as_mut(), id)
    })
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// Which market: jobs, or tasks of training
    #[arg(long, value_enum, default_value = "jobs", value_name = "WHICH")]
    market: WhichMarket,
    #[command(flatten)]
    propose: ProposeArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

/// One of the two markets of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhichMarket {
    /// Of inferences
    Jobs,
    /// Of training
    Tasks,
}

pub(crate) fn pause(app: &App, args: &Pause, stop: bool) -> Outcome<()> {
    let mut system = args.economy.connect(true)?;
    let (market, entries) = match args.market {
        WhichMarket::Jobs => (system.at.market().ledger(), "posting and leasing"),
        WhichMarket::Tasks => (system.at.training().ledger(), "opening tasks and leasing"),
    };
    if args.propose.propose.is_none() && market.paused(system.chain.as_mut())? == stop {
        let state = if stop { "paused" } else { "not paused" };
        return Err(Failure::new(format!("the market is {state} already")).help("there is nothing to do"));
    }
    let what = if stop {
        format!("paused   {entries}; payments, refunds and withdrawals go on")
    } else {
        format!("resumed  {entries}")
    };
    act(app, &mut system, &args.propose, (&what, market.address(), Ledger::pause_data(stop)), |s| {
        if stop { market.pause(s.chain.as_mut()) } else { market.unpause(s.chain.as_mut()) }
    })
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    economy: EconomyArgs,
}

/// Who may do what, as the deployment file says: exit code 1 if not.
pub(crate) fn check(app: &App, args: &Check) -> Outcome<()> {
    let mut system = args.economy.connect(false)?;
    let result = system.at.check_roles(system.chain.as_mut());
    if let Err(Error::NotAsDeclared { .. }) = &result {
        let text = result.err().map(|e| e.to_string()).unwrap_or_default();
        return Err(Failure::new(text)
            .help("a vote can change roles; if you know of none, do not use this deployment")
            .invalid());
    }
    result?;
    let p = &system.at.parameters;
    app.output
        .answer("as declared: code, references, treasury, roles; the deployer kept no power but what the file says");
    app.output.say(format!("guardian {}", p.guardian));
    app.output.result(json!({
        "valid": true,
        "guardian": p.guardian.to_string(),
        "curator": (!p.curator.is_zero()).then(|| p.curator.to_string()),
        "treasury": system.at.contracts.timelock.to_string(),
        "canary": system.at.canary.map(|c| c.settlement_id.to_string()),
    }));
    Ok(())
}
