//! The steps of a batch. Each is in the journal before it is taken, and asks the chain what is true after any doubt.

use super::{
    Trouble, Worker,
    board::Batch,
    journal::{Begun, Step},
};
use crate::{
    economy::{explained, units, work::slots},
    error::{Failure, Outcome},
    output::{count, seconds},
};
use assay_contracts::{
    B256, Bytes, Error, U256,
    economy::{Fulfilled, Job, Status},
};
use assay_verifier::settle::key::SettledProof;
use serde_json::json;
use std::time::Instant;

/// What became of a job that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its lease is ours.
    Ours { until: u64 },
    /// Nobody has it now.
    Free,
    /// Paid to us.
    Paid,
    /// Paid to others, leased by others, refunded or too late.
    Lost,
}

impl Worker<'_> {
    /// Leases a batch and does it.
    pub(super) fn take(&mut self, batch: Batch) -> Result<(), Trouble> {
        let mut jobs = batch.jobs;
        jobs.sort_unstable();
        let (token, market) = (self.system.at.token(), self.system.at.market());
        let balance = token.balance(self.system.chain.as_mut(), self.sender)?;
        token.ensure_allowance(self.system.chain.as_mut(), market.address(), batch.bonds, balance.max(batch.bonds))?;
        self.journal.write(Step::Leasing { jobs: jobs.clone(), verifier: batch.verifier })?;
        self.lease(&jobs)
    }

    /// Asks for leases that the journal has as begun.
    fn lease(&mut self, jobs: &[u64]) -> Result<(), Trouble> {
        let market = self.system.at.market();
        let mut bonds = Vec::with_capacity(jobs.len());
        for id in jobs {
            bonds.push(market.job(self.system.chain.as_mut(), *id)?.bond);
        }
        match market.lease(self.system.chain.as_mut(), jobs, self.payout, &bonds, 0) {
            Ok((until, done)) => {
                self.journal.write(Step::Leased { jobs: jobs.to_vec(), until })?;
                let left = until.saturating_sub(self.now()?);
                self.log(
                    "leased",
                    &format!("{} for {}", names(jobs), units::span(left)),
                    json!({ "job_ids": jobs, "until": until, "gas": done.gas_used, "transaction": done.hash.to_string() }),
                );
                self.work(jobs)
            }
            // It may be part of the chain later: the journal keeps it, and the next round asks.
            Err(e) if e.is_transient() => Err(Trouble::Node(e)),
            Err(e) => {
                self.journal.write(Step::NotLeased { jobs: jobs.to_vec() })?;
                let now = self.now()?;
                jobs.iter().for_each(|id| self.board.defer(*id, now));
                let text = format!("{}: {}", names(jobs), reason(&e));
                self.log("not_leased", &text, json!({ "job_ids": jobs, "reason": reason(&e) }));
                if e.revert().is_some() { Ok(()) } else { Err(e.into()) }
            }
        }
    }

    /// Goes on with a batch that was begun before.
    pub(super) fn go_on(&mut self, begun: &Begun) -> Result<(), Trouble> {
        let jobs = begun.jobs.as_slice();
        if self.served_at(begun.verifier).is_none() {
            self.app.output.warn(format!("{} were begun with a model that this worker was not given", names(jobs)));
            return Ok(());
        }
        let now = self.now()?;
        let mut fates = Vec::with_capacity(jobs.len());
        for id in jobs {
            let job = self.system.at.market().job(self.system.chain.as_mut(), *id)?;
            fates.push(self.fate(&job, now));
        }
        if fates.iter().all(|f| *f == Fate::Paid) {
            return self.found_paid(jobs);
        }
        let payable = fates.iter().all(|f| matches!(f, Fate::Ours { .. } | Fate::Free));
        if payable && begun.proof.is_some() {
            self.log("resumed", &format!("{}: the proof is there", names(jobs)), json!({ "job_ids": jobs }));
            return self.fulfil(jobs);
        }
        let until = fates.iter().filter_map(|f| if let Fate::Ours { until } = f { Some(*until) } else { None }).min();
        if let (true, Some(until)) = (fates.iter().all(|f| matches!(f, Fate::Ours { .. })), until) {
            if begun.until.is_none() {
                self.journal.write(Step::Leased { jobs: jobs.to_vec(), until })?;
            }
            let left = units::span(until.saturating_sub(now));
            self.log("resumed", &format!("{}: leased for another {left}", names(jobs)), json!({ "job_ids": jobs }));
            return self.work(jobs);
        }
        if begun.until.is_none() && fates.iter().all(|f| *f == Fate::Free) {
            // It was never leased, so this is no second lease.
            return self.lease(jobs);
        }
        self.split(begun, &fates)
    }

    /// A batch of which a part is lost: the rest, if its lease is ours, becomes a batch of its own.
    fn split(&mut self, begun: &Begun, fates: &[Fate]) -> Result<(), Trouble> {
        let ours = |f: &Fate| if let Fate::Ours { until } = f { Some(*until) } else { None };
        let rest: Vec<u64> =
            begun.jobs.iter().zip(fates).filter(|(_, f)| ours(f).is_some()).map(|(id, _)| *id).collect();
        let until = fates.iter().filter_map(ours).min();
        let reason = "the lease ended, or somebody else was paid, before the proof was handed in";
        self.give_up(&begun.jobs, begun.jobs.len() - rest.len(), reason)?;
        let Some(until) = until.filter(|_| !rest.is_empty()) else { return Ok(()) };
        self.journal.write(Step::Leasing { jobs: rest.clone(), verifier: begun.verifier })?;
        self.journal.write(Step::Leased { jobs: rest.clone(), until })?;
        self.work(&rest)
    }

    fn fate(&self, job: &Job, now: u64) -> Fate {
        let (until, deadline) = (job.leaseEnd.to::<u64>(), job.deadline.to::<u64>());
        match job.status {
            Status::Fulfilled if job.payout == self.payout => Fate::Paid,
            Status::Open if now < until && job.payout == self.payout => Fate::Ours { until },
            Status::Open if now >= until && now < deadline => Fate::Free,
            _ => Fate::Lost,
        }
    }

    fn served_at(&self, verifier: B256) -> Option<usize> {
        self.served.iter().position(|s| s.verifier_id == verifier)
    }

    /// Proves a batch whose lease is ours, in a bounded number of attempts, and hands the proof in.
    fn work(&mut self, jobs: &[u64]) -> Result<(), Trouble> {
        loop {
            let Some(begun) = self.journal.of(jobs).cloned() else { return Ok(()) };
            let attempt = begun.attempts + 1;
            if attempt > self.args.tries {
                let reason = format!("{} attempts failed; the bond is lost when the lease ends", self.args.tries);
                return self.give_up(jobs, jobs.len(), &reason);
            }
            self.journal.write(Step::Proving { jobs: jobs.to_vec(), attempt })?;
            self.log("proving", &names(jobs), json!({ "job_ids": jobs, "attempt": attempt }));
            match self.prove(jobs, begun.verifier) {
                Ok(proof) => {
                    self.journal.write(Step::Proven { jobs: jobs.to_vec(), proof })?;
                    return self.fulfil(jobs);
                }
                Err(Trouble::Node(e)) => return Err(Trouble::Node(e)),
                Err(Trouble::Fatal(f)) => {
                    let text = format!("{}, attempt {attempt} of {}: {f}", names(jobs), self.args.tries);
                    let fields = json!({ "job_ids": jobs, "attempt": attempt, "error": f.message, "help": f.help });
                    self.log("failed", &text, fields);
                }
            }
        }
    }

    fn prove(&mut self, jobs: &[u64], verifier: B256) -> Result<Bytes, Trouble> {
        let index = self.served_at(verifier).ok_or_else(|| {
            Failure::new("the verifier is not served any more").help("start the worker again with that model")
        })?;
        let mut inputs = Vec::with_capacity(jobs.len());
        for id in jobs {
            let job = self.system.at.market().job(self.system.chain.as_mut(), *id)?;
            let secret = self.secret(*id, job.inputCommitment).ok_or_else(|| {
                Failure::new(format!("the input of job {id} is not known"))
                    .help("if it is private, pass the requester's file with --private-input")
            })?;
            let served = self.served.get(index).ok_or_else(|| {
                Failure::new("the verifier is not served any more").help("start the worker again with that model")
            })?;
            inputs.push(
                served
                    .tensors(&secret.input)
                    .map_err(|e| Failure::new(e).help("the job asks for something that this model does not take"))?,
            );
        }
        let start = Instant::now();
        let market = (self.system.at.chain_id, self.system.at.contracts.market);
        let settled = match self.served.get(index) {
            Some(served) => {
                let slots = slots(jobs, served.batch())?;
                served.prove(self.app, &inputs, &slots, market, self.payout)?
            }
            None => {
                return Err(Failure::new("the verifier is not served any more")
                    .help("start the worker again with that model")
                    .into());
            }
        };
        let took = start.elapsed().as_secs_f64();
        if let Some(t) = self.took.get_mut(index) {
            *t = took;
        }
        self.log(
            "proven",
            &format!("{} in {}", names(jobs), seconds(took)),
            json!({ "job_ids": jobs, "seconds": took }),
        );
        Ok(settled.bytes.into())
    }

    /// Hands in the proof that the journal has.
    fn fulfil(&mut self, jobs: &[u64]) -> Result<(), Trouble> {
        let Some(begun) = self.journal.of(jobs).cloned() else { return Ok(()) };
        match self.hand_in(&begun) {
            Ok((paid, gas)) => {
                self.journal
                    .write(Step::Paid { jobs: jobs.to_vec(), transaction: paid.first().map(|p| p.transaction) })?;
                self.count_paid(jobs, &paid, Some(gas));
                self.withdraw();
                Ok(())
            }
            Err(Trouble::Node(e)) => Err(Trouble::Node(e)),
            Err(Trouble::Fatal(f)) => {
                // It may have been paid by a transaction that was in doubt, or by somebody who sent our proof.
                let mut all = true;
                for id in jobs {
                    let job = self.system.at.market().job(self.system.chain.as_mut(), *id)?;
                    all &= job.status == Status::Fulfilled && job.payout == self.payout;
                }
                if all { self.found_paid(jobs) } else { self.give_up(jobs, jobs.len(), &f.message) }
            }
        }
    }

    fn hand_in(&mut self, begun: &Begun) -> Result<(Vec<Fulfilled>, u64), Trouble> {
        let bytes = begun.proof.as_ref().ok_or_else(|| Failure::new("the proof is not in the journal").bug())?;
        let proof = SettledProof::from_bytes(bytes).map_err(Failure::from)?;
        let batch = self.served_at(begun.verifier).and_then(|i| self.served.get(i)).map_or(1, |s| s.batch());
        let slots = slots(&begun.jobs, batch)?;
        let market = self.system.at.market();
        let mut salts = Vec::with_capacity(begun.jobs.len());
        for id in &begun.jobs {
            let job = market.job(self.system.chain.as_mut(), *id)?;
            let secret = self.secret(*id, job.inputCommitment);
            salts.push(
                secret
                    .ok_or_else(|| {
                        Failure::new(format!("the salt of job {id} is not known"))
                            .help("if the input is private, pass the requester's file with --private-input")
                    })?
                    .salt,
            );
        }
        let chain = self.system.chain.as_mut();
        let (paid, done) = market.fulfil(chain, &slots, &salts, self.payout, &proof.public, &proof.argument)?;
        Ok((paid, done.gas_used))
    }

    /// Jobs that were paid to us without our having seen it.
    fn found_paid(&mut self, jobs: &[u64]) -> Result<(), Trouble> {
        let head = self.system.chain.head()?.number;
        let mut paid = Vec::new();
        for id in jobs {
            let chain = self.system.chain.as_mut();
            paid.extend(self.system.at.market().payments(chain, Some(*id), self.system.at.block, head)?);
        }
        self.journal.write(Step::Paid { jobs: jobs.to_vec(), transaction: paid.first().map(|p| p.transaction) })?;
        self.count_paid(jobs, &paid, None);
        self.withdraw();
        Ok(())
    }

    fn count_paid(&mut self, jobs: &[u64], paid: &[Fulfilled], gas: Option<u64>) {
        let total: U256 = paid.iter().map(|p| U256::from(p.to_worker)).sum();
        self.paid += jobs.len() as u64;
        self.batches += 1;
        self.earned += total;
        let cost = gas.map_or_else(|| "found on the chain".to_owned(), |g| format!("{} gas", count(g)));
        self.log(
            "paid",
            &format!("{} for {}, bonds included ({cost})", units::shown(total), names(jobs)),
            json!({ "job_ids": jobs, "to_worker": total.to_string(), "gas": gas,
                    "transaction": paid.first().map(|p| p.transaction.to_string()) }),
        );
    }

    fn give_up(&mut self, jobs: &[u64], lost: usize, reason: &str) -> Result<(), Trouble> {
        self.journal.write(Step::GaveUp { jobs: jobs.to_vec(), reason: reason.to_owned() })?;
        self.given_up += lost as u64;
        self.batches += 1;
        self.log("gave_up", &format!("{}: {reason}", names(jobs)), json!({ "job_ids": jobs, "reason": reason }));
        Ok(())
    }

    /// Collects the pay. It is not lost if that fails: it stays in the market, and the next time collects all.
    fn withdraw(&mut self) {
        let market = self.system.at.market();
        match self.try_withdraw() {
            Ok(amount) if amount.is_zero() => {}
            Ok(amount) => {
                self.withdrawn += amount;
                let text = format!("{} to {}", units::shown(amount), self.payout);
                self.log(
                    "withdrawn",
                    &text,
                    json!({ "amount": amount.to_string(), "payout": self.payout.to_string() }),
                );
            }
            Err(e) => self.app.output.warn(format!("the pay is still in the market {}: {e}", market.address())),
        }
    }

    fn try_withdraw(&mut self) -> Outcome<U256> {
        let (market, payout) = (self.system.at.market(), self.payout);
        let chain = self.system.chain.as_mut();
        if market.claimable(chain, payout)?.is_zero() {
            return Ok(U256::ZERO);
        }
        Ok(market.withdraw(chain, payout).map_err(explained)?.0)
    }
}

/// What the contract says, without where.
fn reason(e: &Error) -> String {
    e.revert().map_or_else(|| e.to_string(), ToString::to_string)
}

/// "job 3", "jobs 3 to 12 (10)".
fn names(jobs: &[u64]) -> String {
    match jobs {
        [one] => format!("job {one}"),
        [first, .., last] => format!("jobs {first} to {last} ({})", jobs.len()),
        [] => "no jobs".to_owned(),
    }
}
