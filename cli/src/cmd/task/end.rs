//! `assay task finish`, `refund`, `withdraw`: how rounds and tasks end, and what is left.

use crate::{
    App,
    chain::address,
    economy::{EconomyArgs, explained, units},
    error::Outcome,
    output::count,
};
use assay_contracts::{Address, U256, economy::RoundEnd};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct Finish {
    /// The task
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Refund {
    /// The task: after its deadline, after the end of one of its verifiers, or when its sponsor asks; never during a round
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// Whose [default: of the account that sends]; it gets the tokens, whoever sends
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    account: Option<Address>,
    #[command(flatten)]
    economy: EconomyArgs,
}

fn shown(units: u128) -> String {
    units::shown(U256::from(units))
}

pub(crate) fn finish(app: &App, args: &Finish) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    system.task(args.id)?;
    let (end, done) = system.at.training().finish(system.chain.as_mut(), args.id).map_err(explained)?;
    let (name, text, amount) = match end {
        RoundEnd::Lost { burned, kept } => (
            "lost",
            format!(
                "training was not proven: {} of the bond burned, {} for the next proof or the sponsor",
                shown(burned),
                shown(kept)
            ),
            burned,
        ),
        RoundEnd::NotRevealed { gain } => (
            "not revealed",
            format!("the sponsor revealed nothing, and paid {}; the bond went back", shown(gain)),
            gain,
        ),
        RoundEnd::NotEvaluated => ("not evaluated", "nobody proved the evaluation; the bond went back".to_owned(), 0),
        RoundEnd::Void => ("void", "a verifier of the task has ended; the bond went back".to_owned(), 0),
    };
    o.answer(format!("ended    the round of task {}: {text}", args.id));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.result(json!({
        "task_id": args.id,
        "end": name,
        "amount": amount.to_string(),
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
    }));
    Ok(())
}

pub(crate) fn refund(app: &App, args: &Refund) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    let sponsor = system.task(args.id)?.sponsor;
    let (amount, done) = system.at.training().refund(system.chain.as_mut(), args.id).map_err(explained)?;
    o.answer(format!("credited {} to {sponsor}, and the task is closed", units::shown(amount)));
    o.say(format!("collect  assay task withdraw --account {sponsor}"));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.result(json!({
        "task_id": args.id,
        "sponsor": sponsor.to_string(),
        "credited": amount.to_string(),
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
    }));
    Ok(())
}

pub(crate) fn withdraw(app: &App, args: &Withdraw) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    let account = args.account.map_or_else(|| system.sender(), Ok)?;
    let ledger = system.at.training().ledger();
    let chain = system.chain.as_mut();
    let mut gas = 0;
    let mut withdrawn = U256::ZERO;
    if !ledger.claimable(chain, account)?.is_zero() {
        let (amount, done) = ledger.withdraw(chain, account).map_err(explained)?;
        (withdrawn, gas) = (amount, done.gas_used);
    }
    let balance = system.at.token().balance(chain, account)?;
    o.answer(format!("paid out {}", units::shown(withdrawn)));
    o.say(format!("balance  {} of {account}", units::shown(balance)));
    o.say("rewards  of epochs that are over: assay job claim");
    o.say(format!("gas      {}", count(gas)));
    o.result(json!({
        "account": account.to_string(),
        "withdrawn": withdrawn.to_string(),
        "balance": balance.to_string(),
        "gas": gas,
    }));
    Ok(())
}
