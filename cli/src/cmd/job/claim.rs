//! `assay job claim`: collects what an account is owed.

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
pub(crate) struct Claim {
    /// Whose [default: of the account that sends]; it gets the tokens, whoever sends
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    account: Option<Address>,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Claim) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    let account = args.account.map_or_else(|| system.sender(), Ok)?;
    let (market, emission) = (system.at.market(), system.at.emission());
    let chain = system.chain.as_mut();
    let mut gas = 0;
    let mut withdrawn = U256::ZERO;
    if !market.ledger().claimable(chain, account)?.is_zero() {
        let (amount, done) = market.ledger().withdraw(chain, account).map_err(explained)?;
        (withdrawn, gas) = (amount, done.gas_used);
    }
    let epochs = emission.owed(chain, account, system.at.block)?;
    let mut rewarded = U256::ZERO;
    if !epochs.is_empty() {
        let (amount, done) = emission.claim(chain, account, &epochs).map_err(explained)?;
        rewarded = amount;
        gas += done.gas_used;
    }
    let epoch = emission.epoch(chain)?;
    let coming = emission.reward(chain, epoch, account)?;
    let balance = system.at.token().balance(chain, account)?;
    o.answer(format!("paid out {}", units::shown(withdrawn)));
    o.answer(format!(
        "rewards  {} of {} past epoch{}",
        units::shown(rewarded),
        epochs.len(),
        if epochs.len() == 1 { "" } else { "s" }
    ));
    o.say(format!("coming   about {} when epoch {epoch} is over", units::shown(coming)));
    o.say(format!("balance  {} of {account}", units::shown(balance)));
    o.say(format!("gas      {}", count(gas)));
    o.result(json!({
        "account": account.to_string(),
        "withdrawn": withdrawn.to_string(),
        "rewarded": rewarded.to_string(),
        "epochs": epochs,
        "epoch": epoch,
        "coming": coming.to_string(),
        "balance": balance.to_string(),
        "gas": gas,
    }));
    Ok(())
}
