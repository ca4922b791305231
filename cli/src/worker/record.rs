//! What a worker has begun: steps, and what all of them together say.

use assay_contracts::{B256, Bytes};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which job an id stands for: after a reorganisation it may be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) id: u64,
    /// The block that has its posting.
    pub(crate) block: u64,
    pub(crate) commitment: B256,
    /// Whoever has not been paid then never is.
    pub(crate) deadline: u64,
}

/// A step of a batch; `jobs` rise and have no zeros.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// Work begins: a lease is about to be asked for, by the transaction with this number, or the jobs are proven without
    /// one.
    Begin { jobs: Vec<Identity>, verifier: B256, nonce: Option<u64> },
    /// The lease was not given, and nothing was paid: the jobs may be tried again.
    NotLeased { jobs: Vec<u64> },
    /// It was given.
    Leased { jobs: Vec<u64>, until: u64 },
    /// An attempt to prove begins.
    Proving { jobs: Vec<u64>, attempt: u32 },
    /// The proof file.
    Proven { jobs: Vec<u64>, proof: Bytes },
    /// The market has paid in a block; `late` if the lease was over then.
    Paid { jobs: Vec<u64>, transaction: Option<B256>, block: u64, late: bool },
    /// The block with the payment is not part of the chain any more.
    Vanished { jobs: Vec<u64> },
    /// The payment is for good.
    Final { jobs: Vec<u64> },
    /// Nothing more is done for these jobs. A failure cost a bond, or work that should have been paid.
    GaveUp { jobs: Vec<u64>, reason: String, failure: bool },
    /// A proof took so long.
    Measured { verifier: B256, seconds: f64 },
    /// Jobs that were posted before this block are not looked for.
    From { block: u64 },
    /// So many failures came one after another.
    Failures { count: u32 },
}

/// A batch that is begun and not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) jobs: Vec<Identity>,
    pub(crate) verifier: B256,
    /// Number of the transaction that asks for the lease; none if the jobs are done without one.
    pub(crate) nonce: Option<u64>,
    /// When the lease ends; none if it is not known whether it was given.
    pub(crate) until: Option<u64>,
    pub(crate) attempts: u32,
    pub(crate) proof: Option<Bytes>,
    /// The block with the payment, which is not for good yet.
    pub(crate) paid: Option<u64>,
}

impl Begun {
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.jobs.iter().map(|j| j.id).collect()
    }

    /// Whether a proof waits to be handed in.
    pub(crate) fn is_in_hand(&self) -> bool {
        self.proof.is_some() && self.paid.is_none()
    }

    fn is(&self, jobs: &[u64]) -> bool {
        self.jobs.iter().map(|j| j.id).eq(jobs.iter().copied())
    }
}

/// What all steps together say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) begun: Vec<Begun>,
    /// Jobs that are over for this worker: paid for good, or given up.
    pub(crate) over: BTreeSet<u64>,
    /// Seconds that the last proof of each verifier took.
    pub(crate) seconds: BTreeMap<B256, f64>,
    pub(crate) from: Option<u64>,
    /// Failures since the last payment in time.
    pub(crate) failures: u32,
}

impl State {
    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Begin { jobs, verifier, nonce } => {
                let ids: Vec<u64> = jobs.iter().map(|j| j.id).collect();
                if self.of(&ids).is_none() {
                    let (until, proof, paid) = (None, None, None);
                    self.begun.push(Begun { jobs, verifier, nonce, until, attempts: 0, proof, paid });
                }
            }
            Step::NotLeased { jobs } => self.begun.retain(|b| !b.is(&jobs)),
            Step::Leased { jobs, until } => self.with(&jobs, |b| b.until = Some(until)),
            Step::Proving { jobs, attempt } => self.with(&jobs, |b| b.attempts = b.attempts.max(attempt)),
            Step::Proven { jobs, proof } => self.with(&jobs, |b| b.proof = Some(proof)),
            Step::Paid { jobs, block, late, .. } => {
                self.with(&jobs, |b| b.paid = Some(block));
                self.failures = if late { self.failures.saturating_add(1) } else { 0 };
            }
            Step::Vanished { jobs } => self.with(&jobs, |b| b.paid = None),
            Step::Final { jobs } => self.end(jobs),
            Step::GaveUp { jobs, failure, .. } => {
                self.end(jobs);
                self.failures = self.failures.saturating_add(u32::from(failure));
            }
            Step::Measured { verifier, seconds } => {
                self.seconds.insert(verifier, seconds);
            }
            Step::From { block } => self.from = Some(block),
            Step::Failures { count } => self.failures = count,
        }
    }

    fn with(&mut self, jobs: &[u64], change: impl FnOnce(&mut Begun)) {
        if let Some(b) = self.begun.iter_mut().find(|b| b.is(jobs)) {
            change(b);
        }
    }

    fn end(&mut self, jobs: Vec<u64>) {
        self.begun.retain(|b| !b.is(&jobs));
        self.over.extend(jobs);
    }

    pub(crate) fn of(&self, jobs: &[u64]) -> Option<&Begun> {
        self.begun.iter().find(|b| b.is(jobs))
    }

    /// The fewest lines that say the same.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut out: Vec<Step> = self.from.map(|block| Step::From { block }).into_iter().collect();
        out.extend(self.seconds.iter().map(|(v, s)| Step::Measured { verifier: *v, seconds: *s }));
        if !self.over.is_empty() {
            let jobs = self.over.iter().copied().collect();
            out.push(Step::GaveUp { jobs, reason: "over before the last start".to_owned(), failure: false });
        }
        for b in &self.begun {
            let jobs = || b.ids();
            out.push(Step::Begin { jobs: b.jobs.clone(), verifier: b.verifier, nonce: b.nonce });
            out.extend(b.until.map(|until| Step::Leased { jobs: jobs(), until }));
            if b.attempts > 0 {
                out.push(Step::Proving { jobs: jobs(), attempt: b.attempts });
            }
            out.extend(b.proof.clone().map(|proof| Step::Proven { jobs: jobs(), proof }));
            out.extend(b.paid.map(|block| Step::Paid { jobs: jobs(), transaction: None, block, late: false }));
        }
        // Behind the payments, which count as successes.
        out.push(Step::Failures { count: self.failures });
        out
    }
}
