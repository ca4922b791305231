//! Work on tasks of training: leases rounds, fixes their seeds, trains, proves, hands in, and settles what was revealed.
//!
//! As the worker for jobs, it writes each step down before it takes it, asks the chain after any doubt, knows its rounds by their payout,
//! and stops by itself after failures. What a round gave lies in a folder of its own before the proof is handed in, so that a start after
//! a crash hands in the same proof.

mod confirm;
mod known;

use super::{
    Timer,
    hand_in::{Says, says},
    journal::Journal,
    place,
    policy::Pace,
    record::{Begun, Identity, Step},
};
use crate::{
    App,
    cmd::task::{lease, work::Work},
    economy::{System, explained, tasks, units},
    error::{Failure, Outcome},
    stacks as named,
    training::{self, Proof, Record, Runs},
};
use assay_circuits::{
    Tensor,
    train::{Spec, data_schema, reference},
};
use assay_contracts::{
    Address, B256, Error, U256,
    economy::{Phase, Round, RoundProof, Task, TaskStatus},
};
use assay_prover::{Stack, pages};
use assay_verifier::settle::key::{Context, SettledProof};
use known::Stacks;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Bits of a round's number in the journal's.
const ROUND_BITS: u32 = 24;
/// How often trouble with the node is told.
const TELL_EVERY: Duration = Duration::from_secs(60);

struct Trainer<'a> {
    app: &'a App,
    args: &'a Work,
    system: System,
    payout: Address,
    spec: Spec,
    row_bits: u8,
    runs: Runs,
    /// Settlement id of the steps.
    train_id: B256,
    stacks: Stacks,
    dataset_id: B256,
    journal: Journal,
    pace: Pace,
    /// Whether a verifier is that of the steps.
    ours: BTreeMap<B256, bool>,
    /// How long proofs of a verifier of evaluations take; none of one that this worker cannot make them for.
    evaluations: BTreeMap<B256, Option<Pace>>,
    /// Tasks that take other datasets, of which that was said.
    left_alone: BTreeSet<u64>,
    /// Blocks until a payment is for good.
    confirmations: u64,
    paid: u64,
    earned: U256,
    /// What rounds brought whose payment is not for good.
    pending: BTreeMap<Vec<u64>, U256>,
    told: bool,
}

pub(crate) fn run(app: &App, args: &Work) -> Outcome<()> {
    let mut t = Trainer::start(app, args)?;
    let mut trouble = Timer::new();
    loop {
        let busy = match t.look() {
            Ok(busy) => busy,
            Err(f) if args.once => return Err(f),
            Err(f) => {
                if trouble.rings(TELL_EVERY) {
                    app.output.warn(format!("{f}; trying again"));
                }
                true
            }
        };
        let enough = args.rounds.is_some_and(|n| t.paid >= n) && !t.waits();
        if enough || (args.once && !busy) || (t.is_broken() && !busy) {
            break;
        }
        pages::give_back();
        std::thread::sleep(Duration::from_secs(args.poll.max(1)));
    }
    t.finish()
}

impl<'a> Trainer<'a> {
    fn start(app: &'a App, args: &'a Work) -> Outcome<Self> {
        let mut system = args.sending.connect(&args.economy)?;
        let payout = args.payout.map_or_else(|| system.sender(), Ok)?;
        let source = args.lora.adapted(training::load(&args.model)?, [0; 32])?;
        // The number of rows is the dataset's.
        let probe = args.hyper.hyper().spec(&source, 1, true, [0; 32])?;
        let (stacks, row_bits) = Stacks::sort(app, args, &probe)?;
        let spec = Spec { rows: training::rows_of(&stacks.dataset.1), ..probe };
        spec.validate()?;
        let runs = Runs::training(&spec.training()?, row_bits)?.over(stacks.base.clone());
        let prepared = runs.prepared(app, args.srs.as_deref(), &args.settlement)?;
        let key = &prepared.prover.key;
        let train_id = B256::from(key.id());
        let (mut pace, _) = Pace::over(app, &runs.model().graph, runs.named(), key.descriptor.circuit.k)?;
        let dataset_id = registered(&mut system, args, stacks.dataset.0)?;
        folder(&args.output)?;
        let market = system.at.contracts.training;
        let place = place(&mut system, market, payout)?;
        let mut journal = Journal::open(&args.output.join("journal"), place)?;
        if args.reset_failures {
            journal.write(Step::Failures { count: 0 })?;
        }
        if let Some(seconds) = journal.state().seconds.get(&train_id) {
            pace.measure(*seconds);
        }
        let confirmations = args.sending.confirmations(system.at.chain_id);
        let mut this = Self {
            app,
            args,
            system,
            payout,
            spec,
            row_bits,
            runs,
            train_id,
            stacks,
            dataset_id,
            journal,
            pace,
            ours: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            left_alone: BTreeSet::new(),
            confirmations,
            paid: 0,
            earned: U256::ZERO,
            pending: BTreeMap::new(),
            told: false,
        };
        this.recall()?;
        this.log(
            "started",
            &format!("training for {payout} under settlement key {train_id} on dataset {dataset_id}"),
            json!({ "payout": payout.to_string(), "settlement_id": train_id.to_string(),
                    "dataset_id": dataset_id.to_string(), "weights": this.stacks.weights.len(),
                    "confirmations": confirmations,
                    "failures": this.journal.state().failures }),
        );
        Ok(this)
    }

    /// Weights that rounds of before have given.
    fn recall(&mut self) -> Outcome<()> {
        let entries = std::fs::read_dir(&self.args.output).into_iter().flatten().flatten();
        for path in entries.map(|e| e.path().join("trained.stack")).filter(|p| p.exists()) {
            let stack = named::read(&path)?;
            self.stacks.weights.insert(stack.id()?.into(), stack);
        }
        Ok(())
    }

    fn log(&self, event: &str, text: &str, fields: Value) {
        self.app.output.say(format!("{:<9} {text}", event.replace('_', " ")));
        self.app.output.event(event, fields);
    }

    /// Whether failures are too many for another lease; says so once.
    fn is_broken(&mut self) -> bool {
        let failures = self.journal.state().failures;
        if failures < self.args.max_failures {
            return false;
        }
        if !self.told {
            self.told = true;
            let text = format!(
                "{failures} lost bonds or refused proofs one after another: nothing more is leased; start again with \
                 --reset-failures when what caused them is mended"
            );
            self.log("breaker", &text, json!({ "failures": failures, "max_failures": self.args.max_failures }));
        }
        true
    }

    /// One look at all tasks; whether there was something to do, or will be without anybody else.
    fn look(&mut self) -> Outcome<bool> {
        let market = self.system.at.training();
        let count = market.tasks(self.system.chain.as_mut())?;
        // A reorganisation took the task away with the lease.
        for b in self.journal.state().begun.clone() {
            if b.ids().iter().any(|n| n >> ROUND_BITS > count) {
                self.journal.write(Step::NotLeased { jobs: b.ids() })?;
            }
        }
        // What goes wrong with one task must not keep another one's proof from being handed in.
        let (mut busy, mut trouble) = (false, None);
        for id in 1..=count {
            match self.look_at(id) {
                Ok(acts) => busy |= acts,
                Err(f) => trouble = trouble.or(Some(f)),
            }
        }
        trouble.map_or(Ok(busy), Err)
    }

    fn look_at(&mut self, id: u64) -> Outcome<bool> {
        let market = self.system.at.training();
        let task = market.task(self.system.chain.as_mut(), id).map_err(explained)?;
        let waits = self.settle_accounts(id, &task)?;
        if task.status != TaskStatus::Open || !self.is_ours(task.ids.trainId)? {
            return Ok(waits);
        }
        if task.phase == Phase::None {
            return Ok(self.lease(id, &task)? || waits);
        }
        let round = market.round(self.system.chain.as_mut(), id).map_err(explained)?;
        if self.system.moment()?.now >= round.until.to::<u64>() {
            // Whoever leases the next round ends this one.
            return Ok(self.lease(id, &task)? || waits);
        }
        if round.payout != self.payout || round.dataset != self.stacks.dataset.0 {
            return Ok(waits);
        }
        let acts = match task.phase {
            Phase::Leased => self.seed(id, &round)?,
            Phase::Seeded => self.train(id, &task, &round)?,
            Phase::Revealed => self.evaluate(id, &task, &round)?,
            _ => false,
        };
        Ok(acts || waits)
    }

    /// Whether a payment is not for good yet.
    fn waits(&self) -> bool {
        self.journal.state().begun.iter().any(|b| b.paid.is_some())
    }

    /// Leases the next round, if it is worth it and the weights to begin with are at hand.
    fn lease(&mut self, id: u64, task: &Task) -> Outcome<bool> {
        if self.args.rounds.is_some_and(|n| self.paid >= n) || self.is_broken() || task.used >= task.shards {
            return Ok(false);
        }
        // One at a time: another round's proof would come first, or after this one's.
        if self.journal.state().begun.iter().any(|b| b.paid.is_none()) {
            return Ok(false);
        }
        if !self.stacks.weights.contains_key(&task.ids.head) {
            return Ok(false);
        }
        let market = self.system.at.training();
        let price = market.current_price(self.system.chain.as_mut(), id).map_err(explained)?;
        let bond = task.bond.to::<u128>();
        if self.args.min_price.is_some_and(|least| price < least) || self.args.max_bond.is_some_and(|most| bond > most)
        {
            return Ok(false);
        }
        if !self.evaluates(id, task)? {
            return Ok(false);
        }
        let path = match tasks::path_to(id, task.ids.datasets, &self.args.allowed, self.dataset_id) {
            Ok(path) => path,
            Err(f) => {
                if self.left_alone.insert(id) {
                    self.log("left_alone", &f.to_string(), json!({ "task_id": id, "reason": f.message }));
                }
                return Ok(false);
            }
        };
        lease::approve(&mut self.system, U256::from(bond), "the bond is")?;
        let moment = self.system.moment()?;
        let number = id << ROUND_BITS | u64::from(task.rounds + 1);
        let identity =
            Identity { id: number, block: moment.head.number, commitment: task.ids.head, deadline: task.deadline.to() };
        self.journal.write(Step::Begin { jobs: vec![identity], verifier: task.ids.trainId, nonce: None })?;
        // Two blocks for the seed, two for the proof's way.
        let least = self.pace.bound().ceil() as u64 + 4 * moment.interval;
        let dataset = (self.dataset_id, path.as_slice());
        let leased = market.lease(self.system.chain.as_mut(), id, task.ids.head, dataset, self.payout, bond, least);
        let (leased, _) = match leased {
            Ok(done) => done,
            Err(e) if e.revert().is_some() => {
                self.journal.write(Step::NotLeased { jobs: vec![number] })?;
                let f = explained(e);
                self.log("not_leased", &format!("task {id}: {f}"), json!({ "task_id": id, "error": f.to_string() }));
                return Ok(false);
            }
            // It may be in some pool: the next look asks the chain.
            Err(e) => return Err(explained(e)),
        };
        self.journal.write(Step::Leased { jobs: vec![number], until: leased.until })?;
        self.log(
            "leased",
            &format!("round {} of task {id}, for {}", leased.round, units::shown(U256::from(leased.price))),
            json!({ "task_id": id, "round": leased.round, "price": leased.price.to_string(), "until": leased.until }),
        );
        Ok(true)
    }

    fn seed(&mut self, id: u64, round: &Round) -> Outcome<bool> {
        if self.system.chain.head()?.number < round.pinned.to::<u64>() {
            return Ok(true);
        }
        let market = self.system.at.training();
        match market.pin_seed(self.system.chain.as_mut(), id) {
            Ok((seed, _)) => {
                self.log("seeded", &format!("task {id}: {seed}"), json!({ "task_id": id, "seed": seed.to_string() }))
            }
            // Somebody else was first, or its block is too old to be asked for: the next look tells.
            Err(e) if e.revert().is_some() => {
                let f = explained(e);
                self.log("not_seeded", &format!("task {id}: {f}"), json!({ "task_id": id, "error": f.to_string() }));
                return Ok(false);
            }
            Err(e) => return Err(explained(e)),
        }
        Ok(true)
    }

    fn folder(&self, id: u64, task: &Task) -> PathBuf {
        self.args.output.join(format!("{id}-{}", task.rounds))
    }

    fn context(&self, id: u64, task: &Task, round: &Round, proof: RoundProof) -> Context {
        Context {
            chain_id: self.system.at.chain_id,
            consumer: self.system.at.training().address().into_array(),
            job: proof.job(id, task).0,
            recipient: round.payout.into_array(),
        }
    }

    /// Trains and proves a round, or takes the proof of a start before, and hands it in.
    fn train(&mut self, id: u64, task: &Task, round: &Round) -> Outcome<bool> {
        let Some(head) = self.stacks.weights.get(&task.ids.head).cloned() else { return Ok(false) };
        let number = id << ROUND_BITS | u64::from(task.rounds);
        let folder = self.folder(id, task);
        let context = self.context(id, task, round, RoundProof::Training);
        // A block that is gone took its hash with it, and so the seed: the rows of a proof in hand may be those of another one.
        let walk: Vec<u8> = Spec { seed: round.seed.0, ..self.spec.clone() }
            .sampler()
            .tensor()
            .data
            .iter()
            .flat_map(|v| v.to_be_bytes())
            .collect();
        let suits = |p: &SettledProof| p.context == context && p.public.get(32 * 3..32 * 3 + 16) == Some(&walk[..]);
        let ready = crate::settlement::read_proof(&folder.join("settled")).ok().filter(suits);
        let proof = match ready {
            Some(proof) => proof,
            None => self.prove(id, &folder, (head, round), context)?,
        };
        let market = self.system.at.training();
        let trained = B256::from_slice(proof.public.get(32..64).unwrap_or(&[0; 32]));
        let losses = proof.public.get(32 * 3 + 16..).unwrap_or_default();
        let (e, done) = match market.submit(self.system.chain.as_mut(), id, trained, losses, &proof.argument, "") {
            Ok(done) => done,
            Err(e) => return self.not_paid(id, number, e),
        };
        let stack = named::read(&folder.join("trained.stack"))?;
        self.stacks.weights.insert(trained, stack);
        let begun = self.begun(number, task);
        self.paid_in(id, &begun, done.block, &e, (done.hash, Some(done.gas_used)))?;
        Ok(true)
    }

    /// A round as the journal has it, or as it would, if its lease was found by its payout.
    fn begun(&self, number: u64, task: &Task) -> Begun {
        let identity = Identity { id: number, block: 0, commitment: task.ids.head, deadline: task.deadline.to() };
        let new = Begun {
            jobs: vec![identity],
            verifier: task.ids.trainId,
            nonce: None,
            until: None,
            attempts: 0,
            proof: None,
            paid: None,
        };
        self.journal.of(&[number]).cloned().unwrap_or(new)
    }

    /// A proof that was handed in and not paid: for good, or for now, which the next look finds out.
    fn not_paid(&mut self, id: u64, number: u64, e: Error) -> Outcome<bool> {
        let failure = match says(&e) {
            Says::Again => return Err(explained(e)),
            Says::Never => true,
            Says::Ended => false,
        };
        let reason = explained(e).to_string();
        self.log("refused", &format!("task {id}: {reason}"), json!({ "task_id": id, "error": reason }));
        self.journal.write(Step::GaveUp { jobs: vec![number], reason, failure })?;
        if !failure {
            // Its verifier has ended: the bond goes back to who asks.
            let market = self.system.at.training();
            if let Err(e) = market.finish(self.system.chain.as_mut(), id) {
                self.app.output.warn(format!("the bond of task {id} is not back yet: {}", explained(e)));
            }
        }
        Ok(false)
    }

    /// Everything of a round on disk: trained weights, record, proof.
    fn prove(
        &mut self,
        id: u64,
        folder: &Path,
        (head, round): (Stack, &Round),
        context: Context,
    ) -> Outcome<SettledProof> {
        let start = Instant::now();
        let spec = Spec { seed: round.seed.0, ..self.spec.clone() };
        let data = training::data_of(&spec, &self.stacks.dataset.1, folder)?;
        let initial: Vec<Tensor> = training::weights_of(&spec, &head, folder)?;
        let base = self.stacks.base.as_ref();
        let kept = base.map(|s| s.values().to_vec()).unwrap_or_default();
        let end = reference::train_over(&spec, initial, kept, &data.rows, &data.targets)?;
        let open = vec![spec.sampler().tensor()];
        let about = vec![Some(head), None, Some(self.stacks.dataset.1.clone())];
        let options = (self.args.srs.as_deref(), &self.args.settlement);
        let proof = Proof::bound(self.app, &self.runs, (open, about), options, context)?;
        let [weights, trained, dataset, ..] = &proof.stacks[..] else {
            return Err(Failure::new("a proof of training with fewer stacks than three").bug());
        };
        let record = Record::new(spec, [weights, trained, dataset], base, &end, (vec![], vec![]))?;
        record.check(proof.statement(), &proof.shown).map_err(|f| Failure::new(f.message).bug())?;
        self::folder(folder)?;
        named::write(&folder.join("trained.stack"), trained)?;
        record.write(&folder.join("training.json"))?;
        // Last: what is there then is whole.
        proof.write(&|name: &str| folder.join(name))?;
        let seconds = start.elapsed().as_secs_f64();
        self.pace.measure(seconds);
        self.journal.note(Step::Measured { verifier: self.train_id, seconds })?;
        self.log("proven", &format!("task {id} in {seconds:.1} s"), json!({ "task_id": id, "seconds": seconds }));
        crate::settlement::read_proof(&folder.join("settled"))
    }

    /// Settles a round whose shard is at hand.
    fn evaluate(&mut self, id: u64, task: &Task, round: &Round) -> Outcome<bool> {
        let (Some(before), Some(after), Some(shard)) = (
            self.stacks.weights.get(&task.ids.head).cloned(),
            self.stacks.weights.get(&round.trained).cloned(),
            self.stacks.rows.get(&round.revealed).cloned(),
        ) else {
            return Ok(false);
        };
        let rows = training::rows_of(&shard);
        let schema = data_schema(&self.spec, rows, self.row_bits)?;
        if *shard.schema() != schema {
            return Ok(false);
        }
        let start = Instant::now();
        let runs = self.evaluation(rows)?;
        let context = self.context(id, task, round, RoundProof::Evaluation);
        let about = vec![Some(before), Some(after), Some(shard)];
        let options = (self.args.srs.as_deref(), &self.args.settlement);
        let proof = Proof::bound(self.app, &runs, (vec![], about), options, context)?;
        if let Some(Some(pace)) = self.evaluations.get_mut(&task.ids.evaluateId) {
            pace.measure(start.elapsed().as_secs_f64());
        }
        let losses = proof.shown.outputs.first().map(|t| t.data.clone()).unwrap_or_default();
        let [before, later] = losses[..] else { return Err(Failure::new("an evaluation without two losses").bug()) };
        let pair = (u64::try_from(before).unwrap_or(0), u64::try_from(later).unwrap_or(0));
        let argument = proof.argument().ok_or_else(|| Failure::new("an evaluation that was not settled").bug())?;
        let market = self.system.at.training();
        let (e, done) = match market.settle(self.system.chain.as_mut(), id, pair, &argument) {
            Ok(done) => done,
            Err(e) if e.revert().is_some() => {
                let f = explained(e);
                self.log("not_settled", &format!("task {id}: {f}"), json!({ "task_id": id, "error": f.to_string() }));
                return Ok(false);
            }
            Err(e) => return Err(explained(e)),
        };
        self.earned += U256::from(e.gain);
        self.log(
            "gained",
            &format!("{} for round {} of task {id}", units::shown(U256::from(e.gain)), e.round),
            json!({ "task_id": id, "round": e.round, "gain": e.gain.to_string(), "before": e.before, "after": e.later,
                    "head": e.head.to_string(), "gas": done.gas_used }),
        );
        Ok(true)
    }

    fn finish(mut self) -> Outcome<()> {
        let market = self.system.at.training();
        let withdrawn = market.ledger().withdraw(self.system.chain.as_mut(), self.payout).map_err(explained)?;
        let o = &self.app.output;
        let plural = if self.paid == 1 { "" } else { "s" };
        o.answer(format!("paid for {} round{plural}: {}", self.paid, units::shown(self.earned)));
        o.result(json!({
            "rounds_paid": self.paid,
            "earned": self.earned.to_string(),
            "withdrawn": withdrawn.0.to_string(),
            "payout": self.payout.to_string(),
            "failures": self.journal.state().failures,
        }));
        if self.is_broken() {
            return Err(Failure::new(format!(
                "stopped after {} failures one after another",
                self.journal.state().failures
            ))
            .help("find out why with the lines above, then start again with --reset-failures"));
        }
        Ok(())
    }
}

/// Makes a folder, if it is not there.
fn folder(path: &Path) -> Outcome<()> {
    std::fs::create_dir_all(path).map_err(|e| {
        Failure::new(format!("cannot make the folder '{}': {e}", path.display()))
            .help("name a folder that can be made, or one that is there")
    })
}

/// The dataset as it is registered: the one that is named, or the newest of the stack.
fn registered(system: &mut System, args: &Work, stack: B256) -> Outcome<B256> {
    let datasets = system.at.datasets();
    if let Some(id) = args.dataset {
        let found = datasets.get(system.chain.as_mut(), id).map_err(explained)?;
        if found.stackId != stack {
            return Err(Failure::new(format!(
                "dataset {id} is stack {}, and the first stack of rows is {stack}",
                found.stackId
            ))
            .help("name the dataset's own stack first"));
        }
        return Ok(id);
    }
    let all = datasets.all(system.chain.as_mut())?;
    let found = all.into_iter().rev().find(|(_, d)| d.stackId == stack && d.retired.is_zero());
    found.map(|(id, _)| id).ok_or_else(|| {
        Failure::new(format!("stack {stack} is not registered as a dataset"))
            .help("assay dataset register STACK --licence FILE")
    })
}
