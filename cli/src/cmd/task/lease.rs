//! `assay task lease`: takes the next round of a task.

use crate::{
    App,
    chain::address,
    economy::{EconomyArgs, System, explained, hash, tasks, units},
    error::{Failure, Outcome},
    output::count,
};
use assay_contracts::{Address, B256, U256};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct Lease {
    /// The task
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// The dataset to train on, as registered
    #[arg(long, value_name = "ID", value_parser = hash)]
    dataset: B256,
    /// All datasets that the task takes, if it does not take any
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = hash)]
    allowed: Vec<B256>,
    /// The head to train from: another one is not leased [default: that of the moment]
    #[arg(long, value_name = "STACK", value_parser = hash)]
    head: Option<B256>,
    /// Who is paid, and gets the bond back [default: the account that sends]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    payout: Option<Address>,
    /// How long the lease must last, from the block that includes it
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = units::duration)]
    min_lease: u64,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Lease) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    let payout = args.payout.map_or_else(|| system.sender(), Ok)?;
    let market = system.at.training();
    let task = system.task(args.id)?;
    let path = tasks::path_to(args.id, task.ids.datasets, &args.allowed, args.dataset)?;
    let bond = task.bond.to::<u128>();
    approve(&mut system, U256::from(bond), "the bond is")?;
    let head = args.head.unwrap_or(task.ids.head);
    let dataset = (args.dataset, path.as_slice());
    let (leased, done) =
        market.lease(system.chain.as_mut(), args.id, head, dataset, payout, bond, args.min_lease).map_err(explained)?;
    let now = system.moment()?.now;
    o.answer(format!(
        "leased   task {}, round {}, for {}",
        args.id,
        leased.round,
        units::span(leased.until.saturating_sub(now))
    ));
    o.say(format!("price    {} locked, for a proof of training in time", units::shown(U256::from(leased.price))));
    o.say(format!("bond     {}, back when the round ends after that", units::shown(U256::from(bond))));
    o.say(format!("payout   {payout}"));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.say(format!(
        "next     assay task seed {} when block {} is over, within 256 blocks: the seed comes from it",
        args.id, leased.pinned
    ));
    o.result(json!({
        "task_id": args.id,
        "round": leased.round,
        "payout": payout.to_string(),
        "head": head.to_string(),
        "dataset_id": args.dataset.to_string(),
        "until": leased.until,
        "pinned": leased.pinned,
        "price": leased.price.to_string(),
        "bond": bond.to_string(),
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
    }));
    Ok(())
}

/// Lets the market for training take an amount of the sender's.
pub(crate) fn approve(system: &mut System, amount: U256, what: &str) -> Outcome<()> {
    let (token, market) = (system.at.token(), system.at.training().address());
    let sender = system.sender()?;
    let balance = token.balance(system.chain.as_mut(), sender)?;
    if balance < amount {
        return Err(Failure::new(format!(
            "account {sender} has {} and {what} {}",
            units::shown(balance),
            units::shown(amount)
        ))
        .help("send it tokens; on a chain of `assay chain up` its first accounts have some"));
    }
    token.ensure_allowance(system.chain.as_mut(), market, amount, amount).map_err(explained)?;
    Ok(())
}
