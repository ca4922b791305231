//! The jobs that were posted and may still be open, and which of them to take.

use super::{Trouble, Worker};
use crate::economy::{inputs::Secret, units};
use assay_contracts::{
    B256, Error, U256,
    economy::{Job, Posted, Status, input_commitment},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Blocks that are read again, in case the chain was reorganised.
const OVERLAP: u64 = 3;
/// Seconds until a job is looked at again that cannot be taken now.
const LATER: u64 = 5;
/// A lease must be so many times longer than a proof takes.
const MARGIN: f64 = 1.5;

/// A job that may be taken.
#[derive(Debug)]
struct Card {
    posted: Posted,
    /// Not looked at before, in seconds of the chain's time.
    not_before: u64,
}

/// What was posted so far.
#[derive(Debug)]
pub(super) struct Board {
    cards: BTreeMap<u64, Card>,
    /// Jobs that are never looked at again.
    dropped: BTreeSet<u64>,
    /// The first block that was not read.
    next: u64,
    /// Since when a batch is being filled, by verifier and offer.
    filling: BTreeMap<(B256, B256), Instant>,
}

/// Jobs that go into one proof.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) verifier: B256,
    pub(super) jobs: Vec<u64>,
    pub(super) bonds: U256,
}

/// What to do with a card.
enum Verdict {
    Take(Box<Job>),
    Wait(u64),
    /// With the reason, if it should be told.
    Drop(Option<String>),
}

impl Board {
    pub(super) fn new(first: u64) -> Self {
        Self { cards: BTreeMap::new(), dropped: BTreeSet::new(), next: first, filling: BTreeMap::new() }
    }

    /// Looks at a job again after some seconds.
    pub(super) fn defer(&mut self, id: u64, now: u64) {
        if let Some(card) = self.cards.get_mut(&id) {
            card.not_before = now.saturating_add(LATER);
        }
    }

    /// A job that was posted.
    pub(super) fn posted(&self, id: u64) -> Option<&Posted> {
        self.cards.get(&id).map(|c| &c.posted)
    }
}

impl Worker<'_> {
    /// Reads what was posted since the last look.
    pub(super) fn read_board(&mut self) -> Result<(), Error> {
        let chain = self.system.chain.as_mut();
        let head = chain.head()?.number;
        let from = self.board.next.saturating_sub(OVERLAP).max(self.system.at.block);
        for posted in self.system.at.market().posted(chain, from, head)? {
            let id = posted.id;
            if !self.journal.is_over(id) && !self.board.dropped.contains(&id) {
                self.board.cards.entry(id).or_insert(Card { posted, not_before: 0 });
            }
        }
        self.board.next = head.saturating_add(1);
        Ok(())
    }

    /// The jobs to take now; none if there is nothing to do. At most `limit`.
    pub(super) fn choose(&mut self, limit: usize) -> Result<Option<Batch>, Trouble> {
        let now = self.now()?;
        let mut ids: Vec<u64> = self.board.cards.keys().copied().collect();
        // Workers that start at different jobs are less often in each other's way.
        let start = usize::from(self.payout.as_slice().last().copied().unwrap_or(0)) % ids.len().max(1);
        ids.rotate_left(start);
        let mut groups: BTreeMap<(B256, B256), Batch> = BTreeMap::new();
        let balance = self.system.at.token().balance(self.system.chain.as_mut(), self.sender)?;
        for id in ids {
            let Some(card) = self.board.cards.get(&id) else { continue };
            if card.not_before > now || self.journal.is_begun(id) {
                continue;
            }
            let posted = card.posted.clone();
            match self.judge(&posted, now)? {
                Verdict::Take(job) => {
                    let key = (job.verifierId, job.offerId);
                    let bond = U256::from(job.bond);
                    let batch = groups.entry(key).or_insert(Batch {
                        verifier: job.verifierId,
                        jobs: Vec::new(),
                        bonds: U256::ZERO,
                    });
                    if batch.bonds + bond > balance {
                        self.say_short(batch.bonds + bond, balance);
                        continue;
                    }
                    batch.bonds += bond;
                    batch.jobs.push(id);
                    if batch.jobs.len() >= self.batch_of(job.verifierId).min(limit) {
                        self.board.filling.remove(&key);
                        return Ok(groups.remove(&key));
                    }
                }
                Verdict::Wait(until) => {
                    if let Some(card) = self.board.cards.get_mut(&id) {
                        card.not_before = until;
                    }
                }
                Verdict::Drop(reason) => {
                    self.board.cards.remove(&id);
                    self.board.dropped.insert(id);
                    if let Some(reason) = reason {
                        self.log("skipped", &format!("job {id}: {reason}"), json!({ "job_id": id, "reason": reason }));
                    }
                }
            }
        }
        groups.retain(|_, b| !b.jobs.is_empty());
        self.board.filling.retain(|key, _| groups.contains_key(key));
        let patience = Duration::from_secs(self.args.fill);
        let ripe = groups
            .keys()
            .find(|key| self.board.filling.entry(**key).or_insert_with(Instant::now).elapsed() >= patience);
        let ripe = ripe.copied();
        Ok(ripe.and_then(|key| {
            self.board.filling.remove(&key);
            groups.remove(&key)
        }))
    }

    /// Whether a job can and should be taken.
    fn judge(&mut self, posted: &Posted, now: u64) -> Result<Verdict, Trouble> {
        let id = posted.id;
        let drop = |reason: String| Ok(Verdict::Drop(Some(reason)));
        if self.journal.is_over(id) {
            return Ok(Verdict::Drop(None));
        }
        let Some(served) = self.served.iter().position(|s| s.verifier_id == posted.spec.verifierId) else {
            return Ok(Verdict::Drop(None));
        };
        if posted.spec.maxPrice < self.args.min_price {
            return drop(format!("it pays {} at most", units::shown(U256::from(posted.spec.maxPrice))));
        }
        if let Some(most) = self.args.max_bond
            && posted.spec.bond > most
        {
            return drop(format!("it asks for a bond of {}", units::shown(U256::from(posted.spec.bond))));
        }
        let market = self.system.at.market();
        let job = market.job(self.system.chain.as_mut(), id)?;
        let (lease_end, deadline) = (job.leaseEnd.to::<u64>(), job.deadline.to::<u64>());
        if job.status != Status::Open || now >= deadline {
            return Ok(Verdict::Drop(None));
        }
        if now < lease_end {
            return Ok(Verdict::Wait(now + LATER));
        }
        if market.current_price(self.system.chain.as_mut(), id)? < self.args.min_price {
            return Ok(Verdict::Wait(if lease_end > 0 { deadline } else { now + 1 }));
        }
        let seconds = u64::from(job.leaseSeconds).min(deadline - now);
        let needed = self.expected_seconds(served) * MARGIN;
        if (seconds as f64) < needed {
            return drop(format!("{} are left, and a proof takes about {needed:.0} s", units::span(seconds)));
        }
        let Some(secret) = self.secret(id, job.inputCommitment) else {
            return drop("its input is private, and no --private-input file has it".to_owned());
        };
        match self.served.get(served).map(|s| s.tensors(&secret.input)) {
            Some(Ok(_)) => Ok(Verdict::Take(Box::new(job))),
            Some(Err(e)) => drop(format!("its input cannot be proven: {e}")),
            None => Ok(Verdict::Drop(None)),
        }
    }

    /// Salt and input of a job: from a requester's file, or as posted.
    pub(super) fn secret(&self, id: u64, commitment: B256) -> Option<Secret> {
        if let Some(s) = self.secrets.open(commitment) {
            return Some(s.clone());
        }
        let posted = self.board.posted(id).filter(|p| p.is_public())?;
        (input_commitment(posted.salt, &posted.input) == commitment)
            .then(|| Secret { salt: posted.salt, input: posted.input.clone() })
    }

    fn batch_of(&self, verifier: B256) -> usize {
        self.served.iter().find(|s| s.verifier_id == verifier).map_or(1, |s| s.batch())
    }

    fn say_short(&self, needed: U256, balance: U256) {
        self.app.output.warn(format!(
            "account {} has {} and needs {} for the bonds; send it tokens to take more jobs",
            self.sender,
            units::shown(balance),
            units::shown(needed)
        ));
    }
}
