//! The worker: looks at the market, takes jobs, proves them, hands the proofs in and collects the pay.
//!
//! What it holds to, and under which names that is tested, is in `docs/worker.md`.

mod board;
mod choose;
mod confirm;
mod hand_in;
mod journal;
mod policy;
mod purse;
mod record;
mod sending;
mod serve;
mod steps;
pub(crate) mod tasks;

use crate::{
    App,
    cmd::worker::WorkerArgs,
    economy::{
        System,
        clock::{Clock, Moment},
        inbox::Inbox,
        inputs::Secrets,
        units,
    },
    error::{Failure, Outcome},
};
use assay_contracts::{Address, B256, Error, U256, is_local};
use assay_prover::pages;
use board::Board;
use journal::{Journal, Place, beside};
use policy::Gas;
use record::Step;
pub(crate) use sending::SendingArgs;
use serde_json::{Value, json};
use serve::Bench;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Waits after trouble with the node grow from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(60);
/// Where something is at stake.
const DEPTH: u64 = 2;
/// A part of the time between blocks: no longer is waited with a proof in hand.
const IN_HAND: f64 = 0.5;

pub(crate) struct Worker<'a> {
    app: &'a App,
    args: &'a WorkerArgs,
    system: System,
    sender: Address,
    payout: Address,
    bench: Bench,
    secrets: Secrets,
    inbox: Inbox,
    journal: Journal,
    board: Board,
    clock: Clock,
    /// The chain when the round began, or a step asked anew.
    moment: Moment,
    gas: Gas,
    /// Blocks until a payment is for good, and until a job is taken.
    confirmations: u64,
    depth: u64,
    /// The parts of owner and data in an offer, in 1/10000.
    offers: BTreeMap<B256, u32>,
    counts: Counts,
    /// What batches brought whose payment is not for good.
    earned: BTreeMap<Vec<u64>, U256>,
    /// Jobs whose batch was begun, or announced, in this start.
    known: BTreeSet<u64>,
    /// First jobs of batches whose proof waits for the end of somebody else's lease.
    waiting: BTreeSet<u64>,
    /// Jobs that were asked for and not leased: a lease on one of them that is ours nevertheless is taken up.
    doubted: BTreeSet<u64>,
    /// What was said of openings, so that it is said once.
    told: BTreeMap<u64, String>,
    /// No leases are taken any more, and that was said.
    broken: bool,
}

/// Since this start.
#[derive(Debug, Default)]
struct Counts {
    paid: u64,
    given_up: u64,
    batches: u64,
    earned: U256,
    withdrawn: U256,
}

pub(crate) fn run(app: &App, args: &WorkerArgs) -> Outcome<()> {
    let mut worker = Worker::start(app, args)?;
    let mut wait = FIRST_WAIT;
    loop {
        let pause = match worker.round() {
            Ok(true) => {
                wait = FIRST_WAIT;
                Duration::ZERO
            }
            Ok(false) => {
                wait = FIRST_WAIT;
                pages::give_back();
                Duration::from_secs_f64(args.poll)
            }
            Err(Trouble::Node(e)) => {
                let pause = worker.patience(wait);
                let text = format!("{e}; trying again in {} s", pause.as_secs_f64());
                worker.log("node_trouble", &text, json!({ "error": e.to_string(), "seconds": pause.as_secs_f64() }));
                wait = (wait * 2).min(LAST_WAIT);
                pause
            }
            Err(Trouble::Fatal(f)) => return Err(f),
        };
        if worker.is_done() {
            break;
        }
        std::thread::sleep(pause);
    }
    worker.finish()
}

/// Why a round ended early.
pub(super) enum Trouble {
    /// The chain, the node or the way to it, an account without ether: the same may work later.
    Node(Error),
    /// What only a person can mend.
    Fatal(Failure),
}

impl From<Error> for Trouble {
    /// No answer of a node ends the worker: a proof in hand is worth more than an early end.
    fn from(e: Error) -> Self {
        match e {
            Error::NoSigner { .. } | Error::InsideRuntime | Error::Setup(_) => Self::Fatal(e.into()),
            e => Self::Node(e),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(f: Failure) -> Self {
        Self::Fatal(f)
    }
}

impl<'a> Worker<'a> {
    fn start(app: &'a App, args: &'a WorkerArgs) -> Outcome<Self> {
        let mut system = args.sending.connect(&args.economy)?;
        policy::check_terms(is_local(system.at.chain_id), args.min_price, args.ether_price)?;
        let sender = system.sender()?;
        let payout = args.payout.unwrap_or(sender);
        let secrets = Secrets::read(&args.private_input)?;
        let market = system.at.contracts.market;
        let place = place(&mut system, market, payout)?;
        // Before the keys are made: a second worker on the same journal is told at once.
        let mut journal = Journal::open(&args.journal, place)?;
        if args.reset_failures {
            journal.write(Step::Failures { count: 0 })?;
        }
        let idle = journal.state().begun.is_empty();
        let inbox = Inbox::keeping(args.inbox.as_ref(), beside(&args.journal, ".openings"), idle)?;
        let mut clock = Clock::default();
        let moment = clock.read(system.chain.as_mut())?;
        let first = board::first_block(&mut system, args, journal.state().from, moment)?;
        journal.write(Step::From { block: first })?;
        let local = is_local(system.at.chain_id);
        let confirmations = args.sending.confirmations(system.at.chain_id);
        let depth = args.depth.unwrap_or(if local { 0 } else { DEPTH });
        let bench = Bench::new(app, args, &mut system, journal.state())?;
        let this = Self {
            app,
            args,
            system,
            sender,
            payout,
            bench,
            secrets,
            inbox,
            journal,
            board: Board::new(first, confirmations.max(depth)),
            clock,
            moment,
            gas: Gas::default(),
            confirmations,
            depth,
            offers: BTreeMap::new(),
            counts: Counts::default(),
            earned: BTreeMap::new(),
            known: BTreeSet::new(),
            waiting: BTreeSet::new(),
            doubted: BTreeSet::new(),
            told: BTreeMap::new(),
            broken: false,
        };
        let verifiers: Vec<Value> = this.bench.served().iter().map(|s| s.described()).collect();
        let plural = if verifiers.len() == 1 { "" } else { "s" };
        this.log(
            "started",
            &format!("working for {payout} on {} verifier{plural}, jobs since block {first}", verifiers.len()),
            json!({ "payout": payout.to_string(), "sender": sender.to_string(), "verifiers": verifiers,
                    "from_block": first, "confirmations": confirmations, "depth": depth,
                    "failures": this.journal.state().failures }),
        );
        Ok(this)
    }

    /// One look at the chain and at most one new batch; whether there was something to do.
    fn round(&mut self) -> Result<bool, Trouble> {
        self.look()?;
        self.bench.refresh(self.app, self.args, &mut self.system)?;
        self.read_board()?;
        // What goes wrong with one batch must not keep another one's proof from being handed in.
        let mut trouble = None;
        let mut busy = false;
        for begun in self.journal.state().begun.clone() {
            let step = if begun.paid.is_some() { self.confirm(&begun) } else { self.go_on(&begun) };
            match step {
                Ok(acted) => busy |= acted,
                Err(Trouble::Node(e)) => trouble = trouble.or(Some(e)),
                Err(fatal) => return Err(fatal),
            }
        }
        if let Some(e) = trouble {
            return Err(Trouble::Node(e));
        }
        if self.has_worked() || self.is_broken() {
            return Ok(busy);
        }
        let limit = self.args.jobs.map_or(u64::MAX, |n| n.saturating_sub(self.counts.paid));
        match self.choose(usize::try_from(limit).unwrap_or(usize::MAX))? {
            Some(batch) => self.take(batch).map(|()| true),
            None => Ok(busy),
        }
    }

    /// Asks the chain for its time.
    fn look(&mut self) -> Result<(), Error> {
        self.moment = self.clock.read(self.system.chain.as_mut())?;
        Ok(())
    }

    /// Whether the failures are too many for another lease; says so once.
    fn is_broken(&mut self) -> bool {
        let failures = self.journal.state().failures;
        if failures < self.args.max_failures {
            return false;
        }
        if !self.broken {
            self.broken = true;
            let text = format!(
                "{failures} lost bonds or failed proofs one after another: no more leases are taken. Is this machine slower than \
                 it was, short of memory, or are its keys wrong? Start again with --reset-failures when that is mended"
            );
            self.log("breaker", &text, json!({ "failures": failures, "max_failures": self.args.max_failures }));
        }
        true
    }

    /// Whether as much was done as was asked for.
    fn has_worked(&self) -> bool {
        let open = !self.journal.state().begun.is_empty() as u64;
        (self.args.once && self.counts.batches + open > 0) || self.args.jobs.is_some_and(|n| self.counts.paid >= n)
    }

    /// Whether nothing is left to do: also payments must be for good.
    fn is_done(&self) -> bool {
        let idle = self.journal.state().begun.is_empty();
        let enough =
            (self.args.once && self.counts.batches > 0) || self.args.jobs.is_some_and(|n| self.counts.paid >= n);
        idle && (enough || self.broken)
    }

    /// How long to wait after trouble: not long with a proof in hand.
    fn patience(&self, wait: Duration) -> Duration {
        if self.journal.state().begun.iter().any(|b| b.is_in_hand()) {
            let most = Duration::from_secs_f64(self.moment.interval as f64 * IN_HAND);
            return wait.min(most.max(FIRST_WAIT));
        }
        wait
    }

    fn finish(mut self) -> Outcome<()> {
        self.withdraw(true);
        let (o, c) = (&self.app.output, &self.counts);
        let plural = if c.paid == 1 { "" } else { "s" };
        o.answer(format!("paid for {} job{plural}: {}", c.paid, units::shown(c.earned)));
        o.result(json!({
            "jobs_paid": c.paid,
            "jobs_given_up": c.given_up,
            "batches": c.batches,
            "earned": c.earned.to_string(),
            "withdrawn": c.withdrawn.to_string(),
            "payout": self.payout.to_string(),
            "failures": self.journal.state().failures,
        }));
        if self.broken {
            return Err(Failure::new(format!(
                "stopped after {} failures one after another",
                self.journal.state().failures
            ))
            .help("find out why with the lines above, then start again with --reset-failures"));
        }
        if c.paid == 0 && c.given_up > 0 {
            return Err(Failure::new("no job could be done").help("the lines above say why"));
        }
        Ok(())
    }

    /// A line for people, or an event for programs.
    fn log(&self, event: &str, text: &str, fields: Value) {
        self.app.output.say(format!("{:<9} {text}", event.replace('_', " ")));
        self.app.output.event(event, fields);
    }
}

/// Whose journal it is: a chain that is made anew has other blocks under the same addresses.
fn place(system: &mut System, market: Address, payout: Address) -> Outcome<Place> {
    let at = &system.at;
    let mut hash = |number: u64| {
        let block = system.chain.block(number)?;
        block.map(|b| b.hash).ok_or_else(|| {
            Failure::new(format!("the node does not have block {number} of the chain"))
                .help("the deployment file is of another chain, or the node is not in step yet")
        })
    };
    Ok(Place { chain_id: at.chain_id, genesis: hash(0)?, deployed: hash(at.block.saturating_add(1))?, market, payout })
}

/// Something that is done now and then.
#[derive(Debug)]
pub(super) struct Timer(Option<Instant>);

impl Timer {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// Whether so much time has passed since this last said so.
    pub(super) fn rings(&mut self, every: Duration) -> bool {
        if self.0.is_some_and(|t| t.elapsed() < every) {
            return false;
        }
        self.0 = Some(Instant::now());
        true
    }
}
