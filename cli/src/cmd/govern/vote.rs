//! `assay vote`: proposals, from the first word to the last call.

use super::{finished, propose};
use crate::{
    App,
    chain::address,
    economy::{EconomyArgs, System, explained, units},
    error::{Failure, Outcome},
};
use assay_contracts::{
    Address, Bytes, U256,
    economy::{Ballot, Proposal, State, Tally},
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(crate) struct VoteCommand {
    #[command(subcommand)]
    action: VoteAction,
}

#[derive(Debug, Subcommand)]
enum VoteAction {
    /// Propose calls; takes votes of one's own
    Propose(ProposeCalls),
    /// Vote for or against a proposal
    Cast(Cast),
    /// Hand an accepted proposal to the timelock; anybody may
    Queue(OfProposal),
    /// Execute a queued proposal after the delay; anybody may
    Execute(OfProposal),
    /// How a proposal stands, and what it would do
    Show(OfProposal),
    /// Let an account, or this one, vote with this account's tokens
    Delegate(Delegate),
}

#[derive(Debug, Args)]
struct ProposeCalls {
    /// A call: the contract's address, a colon, and the calldata in hexadecimal; as often as there are calls
    #[arg(long = "call", required = true, value_name = "TARGET:DATA", value_parser = target_and_data)]
    calls: Vec<(Address, Bytes)>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    For,
    Against,
    Abstain,
}

#[derive(Debug, Args)]
struct Cast {
    /// The proposal
    id: U256,
    /// The vote
    choice: Choice,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
struct OfProposal {
    /// The proposal
    id: U256,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
struct Delegate {
    /// Who votes [default: the account that sends]
    #[arg(value_parser = address)]
    to: Option<Address>,
    #[command(flatten)]
    economy: EconomyArgs,
}

fn target_and_data(text: &str) -> Result<(Address, Bytes), String> {
    let (target, data) = text.split_once(':').ok_or("expected TARGET:DATA")?;
    let data = data.parse::<Bytes>().map_err(|_| "the calldata is no hexadecimal number".to_owned())?;
    Ok((address(target)?, data))
}

pub(crate) fn vote(app: &App, args: &VoteCommand) -> Outcome<()> {
    match &args.action {
        VoteAction::Propose(a) => {
            let mut system = a.economy.connect(true)?;
            propose(app, &mut system, &Proposal { calls: a.calls.clone(), description: a.why.clone() })
        }
        VoteAction::Cast(a) => {
            let mut system = a.economy.connect(true)?;
            let ballot = match a.choice {
                Choice::For => Ballot::For,
                Choice::Against => Ballot::Against,
                Choice::Abstain => Ballot::Abstain,
            };
            let done = system.at.governor().vote(system.chain.as_mut(), a.id, ballot).map_err(explained)?;
            finished(app, &format!("voted    on {}", a.id), done, json!({ "proposal": a.id.to_string() }));
            Ok(())
        }
        VoteAction::Queue(a) => {
            let mut system = a.economy.connect(true)?;
            let proposal = found(&mut system, a.id)?;
            let done = system.at.governor().queue(system.chain.as_mut(), &proposal).map_err(explained)?;
            finished(app, &format!("queued   {}", a.id), done, json!({ "proposal": a.id.to_string() }));
            Ok(())
        }
        VoteAction::Execute(a) => {
            let mut system = a.economy.connect(true)?;
            let proposal = found(&mut system, a.id)?;
            let done = system.at.governor().execute(system.chain.as_mut(), &proposal).map_err(explained)?;
            finished(app, &format!("executed {}", a.id), done, json!({ "proposal": a.id.to_string() }));
            Ok(())
        }
        VoteAction::Show(a) => show(app, a),
        VoteAction::Delegate(a) => {
            let mut system = a.economy.connect(true)?;
            let to = a.to.map_or_else(|| system.sender(), Ok)?;
            let token = system.at.token();
            let done = token.delegate(system.chain.as_mut(), to).map_err(explained)?;
            let votes = token.votes(system.chain.as_mut(), to)?;
            let what = format!("{to} has {} votes now", units::shown(votes));
            finished(app, &what, done, json!({ "delegate": to.to_string(), "votes": votes.to_string() }));
            Ok(())
        }
    }
}

fn found(system: &mut System, id: U256) -> Outcome<Proposal> {
    let head = system.chain.head()?.number;
    let from = system.at.block;
    let proposal = system.at.governor().find(system.chain.as_mut(), id, from, head)?;
    proposal.ok_or_else(|| {
        Failure::new(format!("there is no proposal {id}")).help("`assay vote propose` prints the number of a proposal")
    })
}

fn show(app: &App, args: &OfProposal) -> Outcome<()> {
    let mut system = args.economy.connect(false)?;
    let proposal = found(&mut system, args.id)?;
    let t: Tally = system.at.governor().tally(system.chain.as_mut(), args.id).map_err(explained)?;
    let o = &app.output;
    let now = system.chain.head()?.timestamp;
    let at = |time: U256| units::relative(time.saturating_to(), now);
    o.answer(format!("{}: {}", t.state.as_str(), proposal.description));
    for (target, data) in &proposal.calls {
        o.say(format!("call     {target} {data}"));
    }
    o.say(format!("for      {}", units::shown(t.in_favour)));
    o.say(format!("against  {}", units::shown(t.against)));
    o.say(format!("abstain  {}", units::shown(t.abstain)));
    match t.state {
        State::Pending => o.say(format!("starts   {}", at(t.starts))),
        State::Active => o.say(format!("ends     {}", at(t.ends))),
        State::Succeeded => o.say(format!("next     assay vote queue {}", args.id)),
        State::Queued => o.say(format!("next     assay vote execute {}, {}", args.id, at(t.executable))),
        _ => {}
    }
    let calls: Vec<Value> = proposal
        .calls
        .iter()
        .map(|(target, data)| json!({ "target": target.to_string(), "calldata": data.to_string() }))
        .collect();
    o.result(json!({
        "proposal": args.id.to_string(),
        "state": t.state.as_str(),
        "description": proposal.description,
        "calls": calls,
        "for": t.in_favour.to_string(),
        "against": t.against.to_string(),
        "abstain": t.abstain.to_string(),
        "starts": t.starts.to_string(),
        "ends": t.ends.to_string(),
        "executable": t.executable.to_string(),
    }));
    Ok(())
}
