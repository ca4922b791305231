//! Commands of those who watch over a system: votes, canaries, ends of verifiers, pauses, tokens.

mod canary;
mod rights;
mod token;
mod vote;

pub(crate) use canary::{Canary, canary, canary_key};
pub(crate) use rights::{Check, Pause, Tombstone, check, pause, tombstone};
pub(crate) use token::{TokenCommand, token};
pub(crate) use vote::{VoteCommand, vote};

use crate::{
    App,
    economy::{System, explained},
    error::{Failure, Outcome},
    output::count,
};
use assay_contracts::{
    Address, Bytes, Error,
    economy::{Done, Proposal, abi::Economy::EconomyErrors},
};
use clap::Args;
use serde_json::{Value, json};

/// Proposes instead of doing.
#[derive(Debug, Args)]
pub(crate) struct ProposeArgs {
    /// Do not do it, but propose it to a vote, with this reason
    #[arg(long, value_name = "WHY")]
    propose: Option<String>,
}

/// One call that takes a right: done, or proposed to a vote.
fn act(
    app: &App,
    system: &mut System,
    args: &ProposeArgs,
    (what, target, data): (&str, Address, Bytes),
    done: impl FnOnce(&mut System) -> Result<Done, Error>,
) -> Outcome<()> {
    if let Some(why) = &args.propose {
        let proposal = Proposal { calls: vec![(target, data)], description: why.clone() };
        return propose(app, system, &proposal);
    }
    match done(system) {
        Ok(done) => {
            finished(app, what, done, json!({ "target": target.to_string() }));
            Ok(())
        }
        Err(e) if lacks_right(&e) => {
            app.output.answer(format!("target     {target}"));
            app.output.answer(format!("calldata   {data}"));
            let event = json!({ "target": target.to_string(), "calldata": data.to_string() });
            app.output.event("proposal", event);
            Err(Failure::new(format!("{e}")).help("propose it to a vote: the same command with --propose WHY"))
        }
        Err(e) => Err(explained(e)),
    }
}

fn lacks_right(e: &Error) -> bool {
    matches!(
        e.economy(),
        Some(EconomyErrors::AccessManagedUnauthorized(_) | EconomyErrors::AccessManagedRequiredDelay(_))
    )
}

fn finished(app: &App, what: &str, done: Done, mut result: Value) {
    app.output.answer(what);
    app.output.say(format!("gas      {}", count(done.gas_used)));
    crate::chain::merge(&mut result, json!({ "gas": done.gas_used, "transaction": done.hash.to_string() }));
    app.output.result(result);
}

fn propose(app: &App, system: &mut System, proposal: &Proposal) -> Outcome<()> {
    let (id, done) = system.at.governor().propose(system.chain.as_mut(), proposal).map_err(|e| match e.economy() {
        Some(EconomyErrors::GovernorInsufficientProposerVotes(_)) => Failure::from(e)
            .help("tokens vote once they are delegated: assay vote delegate, a second before the proposal"),
        _ => explained(e),
    })?;
    let tally = system.at.governor().tally(system.chain.as_mut(), id)?;
    app.output.say(format!("next     assay vote cast {id} for"));
    let result = json!({
        "proposal": id.to_string(), "starts": tally.starts.to_string(), "ends": tally.ends.to_string(),
    });
    finished(app, &format!("proposal {id}"), done, result);
    Ok(())
}
