//! The worker: looks at the market, takes jobs, proves them, hands the proofs in and collects the pay.

mod board;
mod journal;
mod steps;

use crate::{
    App,
    cmd::worker::WorkerArgs,
    economy::{System, explained, inputs::Secrets, units, work::Served},
    error::{Failure, Outcome},
    flow,
};
use assay_contracts::{Address, U256, is_development};
use board::Board;
use journal::Journal;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Waits after trouble with the node grow from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(60);

pub(crate) struct Worker<'a> {
    app: &'a App,
    args: &'a WorkerArgs,
    system: System,
    sender: Address,
    payout: Address,
    served: Vec<Served>,
    /// Seconds that the last proof of each took; 0 before the first.
    took: Vec<f64>,
    secrets: Secrets,
    journal: Journal,
    board: Board,
    /// Since this start.
    paid: u64,
    given_up: u64,
    batches: u64,
    earned: U256,
    withdrawn: U256,
}

pub(crate) fn run(app: &App, args: &WorkerArgs) -> Outcome<()> {
    let mut worker = Worker::start(app, args)?;
    let mut wait = FIRST_WAIT;
    while !worker.is_done() {
        match worker.round() {
            Ok(true) => wait = FIRST_WAIT,
            Ok(false) => {
                wait = FIRST_WAIT;
                std::thread::sleep(Duration::from_secs_f64(args.poll));
            }
            Err(Trouble::Node(e)) => {
                let text = format!("{e}; trying again in {} s", wait.as_secs_f64());
                worker.log("node_trouble", &text, json!({ "error": e.to_string(), "seconds": wait.as_secs_f64() }));
                std::thread::sleep(wait);
                wait = (wait * 2).min(LAST_WAIT);
            }
            Err(Trouble::Fatal(f)) => return Err(f),
        }
    }
    worker.finish()
}

/// Why a round ended early.
pub(super) enum Trouble {
    /// The node or the way to it: the same may work later.
    Node(assay_contracts::Error),
    /// Everything else.
    Fatal(Failure),
}

impl From<assay_contracts::Error> for Trouble {
    fn from(e: assay_contracts::Error) -> Self {
        if e.is_transient() { Self::Node(e) } else { Self::Fatal(explained(e)) }
    }
}

impl From<Failure> for Trouble {
    fn from(f: Failure) -> Self {
        Self::Fatal(f)
    }
}

impl<'a> Worker<'a> {
    fn start(app: &'a App, args: &'a WorkerArgs) -> Outcome<Self> {
        let mut system = args.economy.connect(true)?;
        let sender = system.sender()?;
        let payout = args.payout.unwrap_or(sender);
        let secrets = Secrets::read(&args.private_input)?;
        // Before the keys are made: a second worker on the same journal is told at once.
        let journal = Journal::open(&args.journal, system.at.chain_id, system.at.contracts.market, payout)?;
        let served = serve(app, args, &mut system)?;
        let board = Board::new(system.at.block);
        let took = vec![0.0; served.len()];
        let this = Self {
            app,
            args,
            system,
            sender,
            payout,
            served,
            took,
            secrets,
            journal,
            board,
            paid: 0,
            given_up: 0,
            batches: 0,
            earned: U256::ZERO,
            withdrawn: U256::ZERO,
        };
        let verifiers: Vec<Value> = this
            .served
            .iter()
            .map(|s| json!({ "verifier_id": s.verifier_id.to_string(), "batch": s.batch() }))
            .collect();
        this.log(
            "started",
            &format!(
                "working for {payout} on {} verifier{}",
                verifiers.len(),
                if verifiers.len() == 1 { "" } else { "s" }
            ),
            json!({ "payout": payout.to_string(), "sender": sender.to_string(), "verifiers": verifiers }),
        );
        Ok(this)
    }

    /// One look at the chain and at most one batch; whether there was something to do.
    fn round(&mut self) -> Result<bool, Trouble> {
        self.read_board()?;
        for begun in self.journal.begun() {
            self.go_on(&begun)?;
            if self.is_done() {
                return Ok(true);
            }
        }
        let limit = self.args.jobs.map_or(u64::MAX, |n| n.saturating_sub(self.paid));
        match self.choose(usize::try_from(limit).unwrap_or(usize::MAX))? {
            Some(batch) => self.take(batch).map(|()| true),
            None => Ok(false),
        }
    }

    fn is_done(&self) -> bool {
        (self.args.once && self.batches > 0) || self.args.jobs.is_some_and(|n| self.paid >= n)
    }

    fn finish(self) -> Outcome<()> {
        let o = &self.app.output;
        o.answer(format!(
            "paid for {} job{}: {}",
            self.paid,
            if self.paid == 1 { "" } else { "s" },
            units::shown(self.earned)
        ));
        o.result(json!({
            "jobs_paid": self.paid,
            "jobs_given_up": self.given_up,
            "batches": self.batches,
            "earned": self.earned.to_string(),
            "withdrawn": self.withdrawn.to_string(),
            "payout": self.payout.to_string(),
        }));
        if self.paid == 0 && self.given_up > 0 {
            return Err(Failure::new("no job could be done").help("the lines above say why"));
        }
        Ok(())
    }

    /// A line for people, or an event for programs.
    fn log(&self, event: &str, text: &str, fields: Value) {
        self.app.output.say(format!("{:<9} {text}", event.replace('_', " ")));
        self.app.output.event(event, fields);
    }

    /// The chain's time. A chain without new blocks stands still, and its next block will not.
    fn now(&mut self) -> Result<u64, assay_contracts::Error> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Ok(self.system.chain.head()?.timestamp.max(wall))
    }

    /// Predicted seconds of a proof: those of the last one.
    fn expected_seconds(&self, served: usize) -> f64 {
        self.took.get(served).copied().unwrap_or(0.0)
    }
}

/// Provers for all registered verifiers of the models.
fn serve(app: &App, args: &WorkerArgs, system: &mut System) -> Outcome<Vec<Served>> {
    let registry = system.at.registry();
    let entries = registry.entries(system.chain.as_mut())?;
    let mut served = Vec::new();
    let mut why = None;
    for path in &args.models {
        let model = flow::load_model(app, path, &args.quant, false)?.model;
        let id = model.model_id()?;
        for (verifier_id, entry) in entries.iter().filter(|(_, e)| e.modelId.0 == id) {
            if !registry.is_active(system.chain.as_mut(), *verifier_id)? {
                continue;
            }
            match Served::new(app, &model, *verifier_id, entry.clone(), &args.key) {
                Ok(s) => {
                    let development = is_development(&s.prepared.prover.key.descriptor.to_bytes());
                    args.economy.chain.guard(system.chain.as_ref(), development)?;
                    served.push(s);
                }
                Err(f) => {
                    app.output.warn(format!("verifier {verifier_id} of '{}' is not served: {f}", path.display()));
                    why = Some(f);
                }
            }
        }
    }
    if served.is_empty() {
        return Err(why.unwrap_or_else(|| {
            Failure::new("no verifier of these models is registered here")
                .help("register one: assay model register MODEL. A model must be the same file: ONNX models are quantized anew, so \
                       pass the same --calibrate and widths, or a compiled model")
        }));
    }
    Ok(served)
}
