//! `assay token`: what accounts have, and moving it.

use super::finished;
use crate::{
    App,
    chain::address,
    economy::{EconomyArgs, explained, units},
    error::Outcome,
};
use assay_contracts::{Address, U256, economy::Done};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Debug, Subcommand)]
enum TokenAction {
    /// What an account has
    Balance(Balance),
    /// Send tokens
    Transfer(Move),
    /// Let an account take tokens, exactly so many from now on
    Approve(Move),
}

#[derive(Debug, Args)]
struct Balance {
    /// The account [default: the one that sends]
    #[arg(value_parser = address)]
    account: Option<Address>,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
struct Move {
    /// The other account
    #[arg(value_parser = address)]
    account: Address,
    /// Tokens
    #[arg(value_parser = units::tokens)]
    amount: u128,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn token(app: &App, args: &TokenCommand) -> Outcome<()> {
    match &args.action {
        TokenAction::Balance(a) => {
            let mut system = a.economy.connect(a.account.is_none())?;
            let account = a.account.map_or_else(|| system.sender(), Ok)?;
            let token = system.at.token();
            let balance = token.balance(system.chain.as_mut(), account)?;
            let votes = token.votes(system.chain.as_mut(), account)?;
            app.output.answer(format!("{account} has {}", units::shown(balance)));
            app.output.say(format!("votes    {}", units::shown(votes)));
            app.output.result(json!({
                "account": account.to_string(), "balance": balance.to_string(), "votes": votes.to_string(),
            }));
            Ok(())
        }
        TokenAction::Transfer(a) => {
            let mut system = a.economy.connect(true)?;
            let value = U256::from(a.amount);
            let done = system.at.token().transfer(system.chain.as_mut(), a.account, value).map_err(explained)?;
            moved(app, "sent", a, done)
        }
        TokenAction::Approve(a) => {
            let mut system = a.economy.connect(true)?;
            let value = U256::from(a.amount);
            let done = system.at.token().approve(system.chain.as_mut(), a.account, value).map_err(explained)?;
            moved(app, "allowed", a, done)
        }
    }
}

fn moved(app: &App, what: &str, args: &Move, done: Done) -> Outcome<()> {
    let text = format!("{what} {} to {}", units::shown(U256::from(args.amount)), args.account);
    finished(app, &text, done, json!({ "account": args.account.to_string(), "amount": args.amount.to_string() }));
    Ok(())
}
