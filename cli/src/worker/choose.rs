//! Which jobs to take now.

use super::{
    Trouble, Worker,
    policy::{INCLUSION, in_tokens, needed, net, until_worth},
    record::{Identity, Step},
};
use crate::economy::{inbox::Missing, units, work::Task};
use assay_contracts::{
    B256, U256,
    economy::{Job, Posted, Status},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Seconds until a job is looked at again that cannot be taken now.
const LATER: u64 = 5;

/// Jobs that go into one proof.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) verifier: B256,
    pub(super) jobs: Vec<Identity>,
    pub(super) bonds: U256,
    /// The bond of each job.
    pub(super) max_bonds: BTreeMap<u64, u128>,
    /// The first deadline among them.
    pub(super) deadline: u64,
    /// With a lease: there are tokens for the bonds.
    pub(super) leased: bool,
}

/// What to do with a card.
enum Verdict {
    Take(Box<Job>),
    /// Not before this time.
    Wait(u64),
    /// With the reason, if it should be told.
    Drop(Option<String>),
}

impl Worker<'_> {
    /// The jobs to take now; none if there is nothing to do. At most `limit`.
    pub(super) fn choose(&mut self, limit: usize) -> Result<Option<Batch>, Trouble> {
        // A proof that waits to be handed in comes first.
        if self.journal.state().begun.iter().any(|b| b.is_in_hand() && !self.is_waiting(b)) {
            return Ok(None);
        }
        let now = self.moment.now;
        let mut ids: Vec<u64> = self.board.cards.keys().copied().collect();
        // Workers that start at different jobs are less often in each other's way.
        let start = usize::from(self.payout.as_slice().last().copied().unwrap_or(0)) % ids.len().max(1);
        ids.rotate_left(start);
        let mut groups: BTreeMap<(B256, B256), Batch> = BTreeMap::new();
        let purse = self.purse()?;
        let mut unleased = None;
        for id in ids {
            let Some(card) = self.board.cards.get(&id) else { continue };
            if card.not_before > now || self.journal.is_begun(id) {
                continue;
            }
            let posted = card.posted.clone();
            match self.judge(&posted)? {
                Verdict::Take(job) => {
                    let key = (job.verifierId, job.offerId);
                    let batch = groups.entry(key).or_insert(Batch {
                        verifier: job.verifierId,
                        jobs: Vec::new(),
                        bonds: U256::ZERO,
                        max_bonds: BTreeMap::new(),
                        deadline: u64::MAX,
                        leased: true,
                    });
                    let bond = U256::from(job.bond);
                    let deadline = job.deadline.to::<u64>();
                    let identity = Identity { id, block: posted.block, commitment: job.inputCommitment, deadline };
                    if batch.bonds + bond > purse {
                        self.say_short(batch.bonds + bond, purse);
                        self.board.defer(id, now + LATER);
                        // Jobs whose bonds can be paid come first.
                        if !self.args.leases_only && bond > purse && unleased.is_none() {
                            let (bonds, max_bonds) = (U256::ZERO, BTreeMap::new());
                            let verifier = job.verifierId;
                            unleased = Some(Batch {
                                verifier,
                                jobs: vec![identity],
                                bonds,
                                max_bonds,
                                deadline,
                                leased: false,
                            });
                        }
                        continue;
                    }
                    batch.bonds += bond;
                    batch.max_bonds.insert(id, job.bond);
                    batch.deadline = batch.deadline.min(deadline);
                    batch.jobs.push(identity);
                    if batch.jobs.len() >= self.batch_of(job.verifierId).min(limit) {
                        self.board.filling.remove(&key);
                        return Ok(groups.remove(&key));
                    }
                }
                Verdict::Wait(until) => self.board.defer(id, until),
                Verdict::Drop(reason) => {
                    self.board.drop_card(id);
                    if let Some(reason) = reason {
                        self.log("skipped", &format!("job {id}: {reason}"), json!({ "job_id": id, "reason": reason }));
                    }
                }
            }
        }
        groups.retain(|_, b| !b.jobs.is_empty());
        self.board.filling.retain(|key, _| groups.contains_key(key));
        let patience = Duration::from_secs(self.args.fill);
        let ripe = groups.keys().find(|key| {
            let single = groups.get(key).is_some_and(|b| self.batch_of(b.verifier) == 1);
            single || self.board.filling.entry(**key).or_insert_with(Instant::now).elapsed() >= patience
        });
        let ripe = ripe.copied().and_then(|key| {
            self.board.filling.remove(&key);
            groups.remove(&key)
        });
        Ok(ripe.or(unleased.filter(|_| groups.is_empty())))
    }

    /// Whether a job can and should be taken.
    fn judge(&mut self, posted: &Posted) -> Result<Verdict, Trouble> {
        let (id, now) = (posted.id, self.moment.now);
        let drop = |reason: String| Ok(Verdict::Drop(Some(reason)));
        if self.journal.is_over(id) {
            return Ok(Verdict::Drop(None));
        }
        let Some(station) = self.bench.of(posted.spec.verifierId) else { return Ok(Verdict::Drop(None)) };
        if !station.active {
            return drop("its verifier has ended".to_owned());
        }
        let left = needed(&station.pace, self.moment.interval, self.proof_bytes(posted.spec.verifierId));
        // First what the posting alone says: jobs by the thousand must not cost a question each.
        let deadline = posted.spec.deadline.to::<u64>();
        if now >= deadline {
            return Ok(Verdict::Drop(None));
        }
        let lease = u64::from(posted.spec.leaseSeconds);
        if lease < left {
            let (has, needs) = (units::span(lease), units::span(left));
            return drop(format!("its leases are {has}, and {needs} are needed"));
        }
        // The lease itself takes time to be included, and all of it must be there then.
        let total = left.saturating_add(INCLUSION * self.moment.interval);
        if deadline - now < total {
            return drop(format!("{} are left, and {} are needed", units::span(deadline - now), units::span(total)));
        }
        let least = self.args.min_price.unwrap_or(0).max(1);
        if posted.spec.maxPrice < least {
            return drop(format!("it pays {} at most", units::shown(U256::from(posted.spec.maxPrice))));
        }
        if let Some(most) = self.args.max_bond
            && posted.spec.bond > most
        {
            return drop(format!("it asks for a bond of {}", units::shown(U256::from(posted.spec.bond))));
        }
        if !posted.is_public() && self.secrets.open(posted.spec.inputCommitment).is_none() {
            return drop("its input is private, and no --private-input file has it".to_owned());
        }
        // Before the chain is asked: jobs whose openings never come must cost nothing but a look into the folder.
        if self.bench.of(posted.spec.verifierId).is_some_and(|s| s.served.is_confidential())
            && posted.is_public()
            && self.prepared(id, posted.spec.verifierId, &posted.input).is_none()
        {
            return Ok(Verdict::Wait(now + LATER));
        }
        if self.moment.head.number < posted.block.saturating_add(self.depth) {
            return Ok(Verdict::Wait(now + 1));
        }
        let market = self.system.at.market();
        let job = match market.job(self.system.chain.as_mut(), id) {
            Ok(job) => job,
            // The block with it is gone; if it comes back, it is read again.
            Err(e) if e.revert().is_some() => return Ok(Verdict::Wait(now + LATER)),
            Err(e) => return Err(e.into()),
        };
        // Another job has taken its number: its own posting is read next.
        if job.inputCommitment != posted.spec.inputCommitment || job.verifierId != posted.spec.verifierId {
            return Ok(Verdict::Wait(now + LATER));
        }
        let lease_end = job.leaseEnd.to::<u64>();
        if job.status != Status::Open {
            return Ok(Verdict::Drop(None));
        }
        if now < lease_end {
            if job.payout == self.payout && self.doubted.remove(&id) {
                self.adopt(posted, &job)?;
            }
            return Ok(Verdict::Wait(now + LATER));
        }
        let parts = self.parts_of(&job)?;
        let cost = self.cost_in_tokens()?;
        let worth = |price: u128| net(price, parts, cost);
        // By the time of the next block: what the contract says of the newest one may be a price of long ago.
        let ramp = (job.rampStart.to::<u64>(), job.rampEnd.to::<u64>());
        match until_worth(ramp, (job.minPrice, job.maxPrice), now, least, worth) {
            Some(0) => {}
            Some(wait) if now.saturating_add(wait) < deadline => return Ok(Verdict::Wait(now + wait)),
            _ => return drop(format!("it leaves {} at most", units::shown(U256::from(worth(job.maxPrice))))),
        }
        let Some(secret) = self.secret(id, posted.block, job.inputCommitment)? else {
            return drop("the input that was posted is not the one it is a commitment to".to_owned());
        };
        let Some(station) = self.bench.of(job.verifierId) else { return Ok(Verdict::Drop(None)) };
        if station.served.is_confidential() {
            return Ok(match self.prepared(id, job.verifierId, &secret.input) {
                Some(_) => Verdict::Take(Box::new(job)),
                None => Verdict::Wait(now + LATER),
            });
        }
        match station.served.task(&secret.input, &mut self.inbox) {
            Ok(_) => Ok(Verdict::Take(Box::new(job))),
            Err(e) => drop(format!("its input cannot be proven: {e}")),
        }
    }

    /// A lease that was asked for and thought not to be given: a node was behind, or the chain was reorganised.
    fn adopt(&mut self, posted: &Posted, job: &Job) -> Result<(), Trouble> {
        let (id, until) = (posted.id, job.leaseEnd.to());
        let identity =
            Identity { id, block: posted.block, commitment: job.inputCommitment, deadline: job.deadline.to() };
        let nonce = Some(self.system.chain.nonce(self.sender)?);
        self.journal.write(Step::Begin { jobs: vec![identity], verifier: job.verifierId, nonce })?;
        self.journal.write(Step::Leased { jobs: vec![id], until })?;
        self.log("adopted", &format!("job {id}: its lease is ours"), json!({ "job_ids": [id], "until": until }));
        Ok(())
    }

    /// What goes to owner, data and treasury, in 1/10000.
    fn parts_of(&mut self, job: &Job) -> Result<u32, Trouble> {
        let offer = match self.offers.get(&job.offerId) {
            Some(parts) => *parts,
            None => {
                let offer = self.system.at.models().get(self.system.chain.as_mut(), job.offerId)?;
                let parts = u32::from(offer.royaltyBps) + u32::from(offer.dataBps);
                self.offers.insert(job.offerId, parts);
                parts
            }
        };
        Ok(offer + u32::from(job.protocolBps))
    }

    /// What the gas of one job costs in tokens; 0 if nobody said what ether is worth.
    fn cost_in_tokens(&mut self) -> Result<u128, Trouble> {
        let Some(ether) = self.args.ether_price else { return Ok(0) };
        let price = self.system.chain.gas_price()?;
        Ok(in_tokens(self.gas.of(1), price, ether))
    }

    pub(super) fn batch_of(&self, verifier: B256) -> usize {
        self.bench.of(verifier).map_or(1, |s| s.served.batch())
    }

    /// Bytes of calldata that a proof of a verifier takes, about.
    pub(super) fn proof_bytes(&self, verifier: B256) -> usize {
        let Some(s) = self.bench.of(verifier) else { return 0 };
        let descriptor = &s.served.prepared.prover.key.descriptor;
        8_192 + descriptor.public_bytes() + 64 * descriptor.given_rows().iter().sum::<usize>()
    }

    /// What a job asks for. `None` if nothing can be done with it now: that was said once, and what is missing may come.
    fn prepared(&mut self, id: u64, verifier: B256, input: &[u8]) -> Option<Task> {
        let station = self.bench.of(verifier)?;
        let why = match station.served.task(input, &mut self.inbox) {
            Ok(task) => return Some(task),
            Err(Missing::Absent) => "its opening is not in the inbox yet".to_owned(),
            Err(Missing::Bad(why) | Missing::Unreachable(why)) => why,
        };
        if self.told.get(&id) != Some(&why) {
            self.log("no_opening", &format!("job {id}: {why}"), json!({ "job_id": id, "reason": why }));
            self.told.insert(id, why);
        }
        None
    }
}
