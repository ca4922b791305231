//! From a batch to its proof. Each step is in the journal before it is taken, and asks the chain what is true after any
//! doubt: which job an id stands for, and whose its lease is.

use super::{
    Trouble, Worker,
    choose::Batch,
    policy::{INCLUSION, needed},
    record::{Begun, Identity, Step},
};
use crate::{
    economy::{
        units,
        work::{Task, slots},
    },
    error::{Failure, Outcome},
    output::seconds,
};
use assay_contracts::{
    B256, BASE_GAS, Bytes, Call, Error,
    economy::{Job, Status},
};
use serde_json::json;
use std::time::{Duration, Instant};

const NOT_SERVED: &str = "the verifier is not served any more";
const NOT_SERVED_HELP: &str = "start the worker again with that model";

/// What became of a job that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its lease is ours.
    Ours { until: u64 },
    /// Nobody has it now.
    Free,
    /// Somebody else has it now, and may lose it.
    Taken,
    /// Paid to us.
    Paid,
    /// The block that posted it is gone; it may come back.
    Unknown,
    /// Its number stands for another job.
    Changed,
    /// Paid to others, refunded or too late.
    Over,
}

impl Worker<'_> {
    /// Begins a batch: leases it, or goes to work at once if there are no tokens for bonds.
    pub(super) fn take(&mut self, mut batch: Batch) -> Result<(), Trouble> {
        batch.jobs.sort_unstable_by_key(|j| j.id);
        let ids: Vec<u64> = batch.jobs.iter().map(|j| j.id).collect();
        if !self.has_ether(ids.len())? {
            self.later(&ids);
            return Ok(());
        }
        if let Err(f) = self.keep_openings(&batch)? {
            self.log("no_opening", &format!("{}: {f}", names(&ids)), json!({ "job_ids": ids, "reason": f.message }));
            self.later(&ids);
            return Ok(());
        }
        self.known.extend(&ids);
        if !batch.leased {
            self.journal.write(Step::Begin { jobs: batch.jobs, verifier: batch.verifier, nonce: None })?;
            let text = format!("{}: no tokens for the bond, so somebody else may be paid first", names(&ids));
            self.log("unleased", &text, json!({ "job_ids": ids }));
            return self.work(&ids).map(|_| ());
        }
        self.fund(&batch)?;
        let nonce = Some(self.system.chain.nonce(self.sender)?);
        self.journal.write(Step::Begin { jobs: batch.jobs.clone(), verifier: batch.verifier, nonce })?;
        self.lease(&ids, &batch)
    }

    /// Before a bond is at stake: what the proof needs is here, and not only where others can delete it.
    fn keep_openings(&mut self, batch: &Batch) -> Result<Outcome<()>, Trouble> {
        if !self.bench.of(batch.verifier).is_some_and(|s| s.served.is_confidential()) {
            return Ok(Ok(()));
        }
        for job in &batch.jobs {
            if let Some(secret) = self.secret(job.id, job.block, job.commitment)?
                && let Err(f) = self.keep_opening(job.id, &secret.input)
            {
                return Ok(Err(f));
            }
        }
        Ok(Ok(()))
    }

    fn keep_opening(&mut self, job: u64, input: &[u8]) -> Outcome<()> {
        B256::try_from(input).map_or(Ok(()), |id| self.inbox.keep(job, id))
    }

    /// Asks for leases that the journal has as begun.
    fn lease(&mut self, ids: &[u64], batch: &Batch) -> Result<(), Trouble> {
        self.look()?;
        let (now, interval) = (self.moment.now, self.moment.interval);
        let Some(station) = self.bench.of(batch.verifier) else {
            return self.not_leased(ids, "its verifier is not served any more");
        };
        let left = needed(&station.pace, interval, self.proof_bytes(batch.verifier));
        // How long the transaction may wait until the lease that it takes would be too short.
        let slack = batch.deadline.saturating_sub(now.saturating_add(left));
        if slack < INCLUSION * interval {
            return self.not_leased(ids, "too little time is left");
        }
        let limit =
            Duration::from_secs(slack - interval).min(Duration::from_secs(self.args.sending.receipt_timeout) / 2);
        let market = self.system.at.market();
        self.system.chain.withdraw_after(Some(limit));
        let bonds: Vec<u128> = ids.iter().map(|id| batch.max_bonds.get(id).copied().unwrap_or(0)).collect();
        // The bonds that were looked at: what the numbers stand for may have changed since. And the time that is needed, from
        // whichever block includes it.
        let answer = market.lease(self.system.chain.as_mut(), ids, self.payout, &bonds, left);
        self.system.chain.withdraw_after(None);
        match answer {
            Ok((until, done)) => {
                self.note(Step::Leased { jobs: ids.to_vec(), until });
                self.gas.leased(done.gas_used, ids.len());
                let left = until.saturating_sub(now);
                self.log(
                    "leased",
                    &format!("{} for {}", names(ids), units::span(left)),
                    json!({ "job_ids": ids, "until": until, "gas": done.gas_used, "transaction": done.hash.to_string() }),
                );
                self.work(ids).map(|_| ())
            }
            // Nothing was sent, or it was sent and is known to have had no effect.
            Err(e) if e.revert().is_some() || matches!(e, Error::Withdrawn { .. } | Error::LeaseTooLong { .. }) => {
                let Some(begun) = self.journal.of(ids).cloned() else { return Ok(()) };
                let fates = self.fates(&begun)?;
                if fates.iter().all(|f| matches!(f, Fate::Ours { .. })) {
                    return self.go_on(&begun).map(|_| ());
                }
                self.not_leased(ids, &reason(&e))
            }
            // It may be part of the chain now or later: the journal keeps it, and the next round asks.
            Err(e) => Err(e.into()),
        }
    }

    fn not_leased(&mut self, ids: &[u64], why: &str) -> Result<(), Trouble> {
        self.journal.write(Step::NotLeased { jobs: ids.to_vec() })?;
        self.inbox.forget(ids);
        self.doubted.extend(ids);
        self.later(ids);
        self.log("not_leased", &format!("{}: {why}", names(ids)), json!({ "job_ids": ids, "reason": why }));
        Ok(())
    }

    fn later(&mut self, ids: &[u64]) {
        let until = self.moment.now + 5;
        ids.iter().for_each(|id| self.board.defer(*id, until));
    }

    /// Goes on with a batch that was begun; whether something was done.
    pub(super) fn go_on(&mut self, begun: &Begun) -> Result<bool, Trouble> {
        self.look()?;
        let ids = begun.ids();
        let fates = self.fates(begun)?;
        let all = |ok: fn(&Fate) -> bool| fates.iter().all(ok);
        let any = |is: fn(&Fate) -> bool| fates.iter().any(is);
        let ours = all(|f| matches!(f, Fate::Ours { .. }));
        let payable = all(|f| matches!(f, Fate::Ours { .. } | Fate::Free));
        self.waiting.retain(|id| Some(id) != ids.first());
        if all(|f| *f == Fate::Paid) {
            return self.found_paid(begun).map(|()| true);
        }
        if any(|f| *f == Fate::Changed) {
            // What is leased under these numbers is found by its new posting.
            return self
                .not_leased(&ids, "the chain was reorganised, and a number stands for another job")
                .map(|()| true);
        }
        if any(|f| matches!(f, Fate::Over | Fate::Paid)) {
            return self.split(begun, &fates).map(|()| true);
        }
        if begun.proof.is_some() {
            if payable {
                self.announce(&ids, "the proof is there");
                return self.fulfil(&ids);
            }
            self.waiting.extend(ids.first());
            return Ok(false);
        }
        if self.bench.of(begun.verifier).is_none() {
            self.app.output.warn(format!("{} were begun with a model that this worker was not given", names(&ids)));
            return Ok(false);
        }
        if begun.nonce.is_some() && begun.until.is_none() && !ours {
            return self.settle_doubt(begun).map(|()| true);
        }
        if ours {
            let until =
                fates.iter().filter_map(|f| if let Fate::Ours { until } = f { Some(*until) } else { None }).min();
            if let Some(until) = until.filter(|_| until != begun.until) {
                self.journal.write(Step::Leased { jobs: ids.clone(), until })?;
            }
            let left = until.unwrap_or(0).saturating_sub(self.moment.now);
            self.announce(&ids, &format!("leased for another {}", units::span(left)));
            return self.work(&ids);
        }
        if payable {
            // Whoever proves a job whose lease is lost gets half of the bond back with the price.
            self.announce(&ids, "without a lease");
            return self.work(&ids);
        }
        if any(|f| *f == Fate::Unknown) {
            return self.not_leased(&ids, "the block that posted it is gone").map(|()| true);
        }
        let lost = begun.until.is_some();
        self.give_up(&ids, "somebody else has leased it", lost).map(|()| true)
    }

    /// Says once that a batch of an earlier start goes on.
    fn announce(&mut self, ids: &[u64], what: &str) {
        if ids.iter().all(|id| self.known.contains(id)) {
            return;
        }
        self.known.extend(ids);
        self.log("resumed", &format!("{}: {what}", names(ids)), json!({ "job_ids": ids }));
    }

    /// A lease was asked for, nobody knows what became of the transaction, and the lease is not there. Before the jobs are
    /// given up the transaction's number is used for one that does nothing, so that it cannot take the lease later.
    fn settle_doubt(&mut self, begun: &Begun) -> Result<(), Trouble> {
        let ids = begun.ids();
        let next = self.system.chain.nonce(self.sender)?;
        if begun.nonce.is_some_and(|n| next <= n) {
            let nothing = Call { gas_limit: Some(BASE_GAS), ..Call::new(self.sender, Bytes::new()) };
            self.system.chain.send(&nothing)?;
        }
        let fates = self.fates(begun)?;
        if fates.iter().all(|f| matches!(f, Fate::Ours { .. })) {
            return self.go_on(begun).map(|_| ());
        }
        self.not_leased(&ids, "the transaction was not included")
    }

    /// A batch of which a part is over: the rest, if its lease is ours, becomes a batch of its own.
    fn split(&mut self, begun: &Begun, fates: &[Fate]) -> Result<(), Trouble> {
        let ids = begun.ids();
        let ours = |f: &Fate| if let Fate::Ours { until } = f { Some(*until) } else { None };
        let part = |keep: &dyn Fn(&Fate) -> bool| -> Vec<Identity> {
            begun.jobs.iter().zip(fates).filter(|(_, f)| keep(f)).map(|(j, _)| *j).collect()
        };
        let rest = part(&|f| ours(f).is_some());
        let over: Vec<u64> = part(&|f| matches!(f, Fate::Over | Fate::Paid)).iter().map(|j| j.id).collect();
        let until = fates.iter().filter_map(ours).min();
        // The rest is written first: a crash in between must not lose a lease.
        if let Some(until) = until {
            let rest_ids: Vec<u64> = rest.iter().map(|j| j.id).collect();
            self.known.extend(&rest_ids);
            self.journal.write(Step::Begin { jobs: rest, verifier: begun.verifier, nonce: begun.nonce })?;
            self.journal.write(Step::Leased { jobs: rest_ids, until })?;
        }
        let late = begun.until.is_some_and(|u| self.moment.now >= u);
        self.journal.write(Step::NotLeased { jobs: ids })?;
        let why = "the lease ended, or somebody else was paid, before the proof was handed in";
        self.give_up(&over, why, late)
    }

    /// What the chain says of the jobs of a batch.
    pub(super) fn fates(&mut self, begun: &Begun) -> Result<Vec<Fate>, Trouble> {
        let mut fates = Vec::with_capacity(begun.jobs.len());
        for identity in &begun.jobs {
            let fate = match self.system.at.market().job(self.system.chain.as_mut(), identity.id) {
                Ok(job) if job.inputCommitment != identity.commitment || job.verifierId != begun.verifier => {
                    Fate::Changed
                }
                Ok(job) if job.status == Status::Closed && job.payout == self.payout => self.closed(identity)?,
                Ok(job) => self.fate(&job),
                Err(e) if e.revert().is_some() && self.moment.now < identity.deadline => Fate::Unknown,
                Err(e) if e.revert().is_some() => Fate::Over,
                Err(e) => return Err(e.into()),
            };
            fates.push(fate);
        }
        Ok(fates)
    }

    /// A job that its requester closed: after it was paid, or because it never was. The market's events tell.
    fn closed(&mut self, identity: &Identity) -> Result<Fate, Trouble> {
        let head = self.moment.head.number;
        let (market, chain) = (self.system.at.market(), self.system.chain.as_mut());
        let paid = market.payments(chain, Some(identity.id), identity.block.min(head), head)?;
        Ok(if paid.iter().any(|p| p.payout == self.payout) { Fate::Paid } else { Fate::Over })
    }

    fn fate(&self, job: &Job) -> Fate {
        let now = self.moment.now;
        let (until, deadline) = (job.leaseEnd.to::<u64>(), job.deadline.to::<u64>());
        match job.status {
            Status::Fulfilled if job.payout == self.payout => Fate::Paid,
            Status::Open if now >= deadline => Fate::Over,
            Status::Open if now < until && job.payout == self.payout => Fate::Ours { until },
            Status::Open if now < until => Fate::Taken,
            Status::Open => Fate::Free,
            _ => Fate::Over,
        }
    }

    /// Proves a batch in a bounded number of attempts, and hands the proof in.
    pub(super) fn work(&mut self, ids: &[u64]) -> Result<bool, Trouble> {
        loop {
            let Some(begun) = self.journal.of(ids).cloned() else { return Ok(true) };
            let attempt = begun.attempts + 1;
            if attempt > self.args.tries {
                let reason = format!("{} attempts failed", self.args.tries);
                return self.give_up(ids, &reason, true).map(|()| true);
            }
            // Asked before the attempt is counted: a node in trouble is no failure of this machine.
            let inputs = self.inputs(&begun)?;
            self.note(Step::Proving { jobs: ids.to_vec(), attempt });
            self.log("proving", &names(ids), json!({ "job_ids": ids, "attempt": attempt }));
            match inputs.and_then(|inputs| self.prove(&begun, &inputs)) {
                Ok((proof, took)) => {
                    self.note(Step::Proven { jobs: ids.to_vec(), proof });
                    self.note(Step::Measured { verifier: begun.verifier, seconds: took });
                    self.log(
                        "proven",
                        &format!("{} in {}", names(ids), seconds(took)),
                        json!({ "job_ids": ids, "seconds": took }),
                    );
                    return self.fulfil(ids);
                }
                Err(f) => {
                    let text = format!("{}, attempt {attempt} of {}: {f}", names(ids), self.args.tries);
                    let fields = json!({ "job_ids": ids, "attempt": attempt, "error": f.message, "help": f.help });
                    self.log("failed", &text, fields);
                }
            }
        }
    }

    /// The inputs of a batch as the model takes them; what cannot be proven is a failure of the attempt.
    fn inputs(&mut self, begun: &Begun) -> Result<Result<Vec<Task>, Failure>, Trouble> {
        let mut inputs = Vec::with_capacity(begun.jobs.len());
        for job in &begun.jobs {
            let Some(secret) = self.secret(job.id, job.block, job.commitment)? else {
                return Ok(Err(Failure::new(format!("the input of job {} is not known", job.id))
                    .help("if it is private, pass the requester's file with --private-input")));
            };
            let Some(station) = self.bench.of(begun.verifier) else {
                return Ok(Err(Failure::new(NOT_SERVED).help(NOT_SERVED_HELP)));
            };
            match station.served.task(&secret.input, &mut self.inbox) {
                Ok(task) => {
                    inputs.push(task);
                    if station.served.is_confidential() {
                        // After a restart, or for a lease that was found: a failure here costs nothing yet.
                        if let Err(f) = self.keep_opening(job.id, &secret.input) {
                            self.app.output.warn(f.to_string());
                        }
                    }
                }
                Err(e) if station.served.is_confidential() => {
                    return Ok(Err(Failure::new(e).help("put the requester's file into the inbox again")));
                }
                Err(e) => {
                    return Ok(Err(Failure::new(e).help("the job asks for something that this model does not take")));
                }
            }
        }
        Ok(Ok(inputs))
    }

    /// The proof file, and the seconds that it took.
    fn prove(&mut self, begun: &Begun, inputs: &[Task]) -> Result<(Bytes, f64), Failure> {
        let start = Instant::now();
        let market = (self.system.at.chain_id, self.system.at.contracts.market);
        let station = self.bench.of(begun.verifier).ok_or_else(|| Failure::new(NOT_SERVED).help(NOT_SERVED_HELP))?;
        let slots = slots(&begun.ids(), station.served.batch())?;
        let settled = station.served.prove(self.app, inputs, &slots, market, self.payout)?;
        let took = start.elapsed().as_secs_f64();
        if let Some(station) = self.bench.of_mut(begun.verifier) {
            station.pace.measure(took);
        }
        Ok((settled.bytes.into(), took))
    }

    /// Writes a step of work that has begun. A disk that is full does not stop it, since that would cost a bond: what cannot
    /// be written is known until the end of this process, and nothing new begins before it is.
    pub(super) fn note(&mut self, step: Step) {
        if let Err(f) = self.journal.note(step) {
            self.app.output.warn(format!("{f}; what is begun is finished, and nothing new begins"));
        }
    }

    pub(super) fn give_up(&mut self, ids: &[u64], reason: &str, failure: bool) -> Result<(), Trouble> {
        self.note(Step::GaveUp { jobs: ids.to_vec(), reason: reason.to_owned(), failure });
        self.inbox.forget(ids);
        self.counts.given_up += ids.len() as u64;
        self.counts.batches += 1;
        let fields = json!({ "job_ids": ids, "reason": reason, "failure": failure });
        self.log("gave_up", &format!("{}: {reason}", names(ids)), fields);
        Ok(())
    }
}

/// What the contract says, without where.
pub(super) fn reason(e: &Error) -> String {
    e.revert().map_or_else(|| e.to_string(), ToString::to_string)
}

/// "job 3", "jobs 3 to 12 (10)".
pub(super) fn names(jobs: &[u64]) -> String {
    match jobs {
        [one] => format!("job {one}"),
        [first, .., last] => format!("jobs {first} to {last} ({})", jobs.len()),
        [] => "no jobs".to_owned(),
    }
}
