//! Commands of those who watch over a system: votes, canaries, ends of verifiers, pauses, tokens.

use crate::{
    App,
    chain::address,
    economy::{EconomyArgs, System, explained, hash, units},
    error::{Failure, Outcome},
    output::count,
    srs,
};
use assay_contracts::{
    Address, B256, Bytes, Error, U256,
    economy::{Ballot, Done, Market, Proposal, Registry, State, Tally, abi::Economy::EconomyErrors, srs_hash},
    is_development,
};
use assay_prover::{
    Recorder,
    device::Cpu,
    settle::{SettlementProver, canary::setup_canary},
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Enough powers of tau for the canary.
const CANARY_POWER: u32 = 12;

/// The canary's key under the powers of tau of a file, or the development ones: the same for everybody.
pub(crate) fn canary_key(app: &App, file: Option<&Path>) -> Outcome<Vec<u8>> {
    Ok(make_canary(app, file)?.key.descriptor.to_bytes())
}

fn make_canary(app: &App, file: Option<&Path>) -> Outcome<SettlementProver> {
    let powers = srs::choose(app, file, CANARY_POWER)?;
    Ok(setup_canary(&Cpu::default(), &powers, &Recorder::default())?)
}

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

// Rights.

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
    #[command(flatten)]
    propose: ProposeArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn pause(app: &App, args: &Pause, stop: bool) -> Outcome<()> {
    let mut system = args.economy.connect(true)?;
    let market = system.at.market();
    if args.propose.propose.is_none() && market.paused(system.chain.as_mut())? == stop {
        let state = if stop { "paused" } else { "not paused" };
        return Err(Failure::new(format!("the market is {state} already")).help("there is nothing to do"));
    }
    let what = if stop {
        "paused   posting and leasing; payments, refunds and withdrawals go on"
    } else {
        "resumed  posting and leasing"
    };
    act(app, &mut system, &args.propose, (what, market.address(), Market::pause_data(stop)), |s| {
        if stop { market.pause(s.chain.as_mut()) } else { market.unpause(s.chain.as_mut()) }
    })
}

#[derive(Debug, Args)]
pub(crate) struct Canary {
    /// Powers of tau, as `assay srs import` writes them [default: a development setup, which anybody can forge under]
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
    /// Name it, if it is not named: takes a vote after deployment
    #[arg(long)]
    set: bool,
    #[command(flatten)]
    propose: ProposeArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

/// Makes the canary's key again and compares it with the one that the registry has: exit code 1 if another is named.
pub(crate) fn canary(app: &App, args: &Canary) -> Outcome<()> {
    let sends = args.set || args.propose.propose.is_some();
    let mut system = args.economy.connect(sends)?;
    let (registry, verifier) = (system.at.registry(), system.at.verifier());
    let made = make_canary(app, args.srs.as_deref())?;
    let key = made.key.descriptor.to_bytes();
    let powers = srs_hash(&key).unwrap_or_default();
    let id = B256::from(made.key.id());
    let (named, stopped) = registry.canary(system.chain.as_mut(), verifier.address(), powers)?;
    app.output.say(format!("powers   {powers}"));
    if named.is_none() && sends {
        args.economy.chain.guard(system.chain.as_ref(), is_development(&key))?;
        verifier.register(system.chain.as_mut(), &key)?;
        let data = Registry::canary_data(verifier.address(), id);
        let what = format!("canary   {id}");
        return act(app, &mut system, &args.propose, (&what, registry.address(), data), |s| {
            registry.set_canary(s.chain.as_mut(), verifier.address(), id)
        });
    }
    let text = named.map_or_else(|| "none".to_owned(), |n| n.to_string());
    app.output.answer(format!("canary   {text}"));
    app.output.say(if stopped { "these powers were STOPPED: the impossible was proven" } else { "not stopped" });
    app.output.result(json!({
        "srs_hash": powers.to_string(),
        "canary": named.map(|n| n.to_string()),
        "expected": id.to_string(),
        "matches": named.map(|n| n == id),
        "stopped": stopped,
        "valid": named.is_none_or(|n| n == id),
    }));
    match named {
        Some(n) if n != id => Err(Failure::new(format!("the canary is {n}, and that of these powers is {id}"))
            .help("whoever named it can end all verifiers with these powers of tau: do not post here")
            .invalid()),
        _ => Ok(()),
    }
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

// Votes.

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

// Tokens.

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
