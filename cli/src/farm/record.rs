//! What a job is, and the states that it goes through.
//!
//! A job's record is the only truth about it. Messages of the queue are hints that say which record to look at; an
//! acknowledgement proves nothing (a late one, of a delivery that timed out, removes the message all the same), so every step is a
//! change of the record that succeeds only if nobody changed it in between, and only for the lease that the record names:
//!
//! ```text
//!            take (new lease, attempt + 1)         hand in (by the lease)          accept
//!  queued ------------------------------> leased ------------------------> proven --------> accepted
//!    ^ ^                                   |  |                               |
//!    | +-- release (by the lease) ---------+  +-- take again, when the        | refuse (run + 1)
//!    |                                          message comes back            |
//!    +------------------------------------------------------------------------+
//!  queued, leased, proven -- too many attempts, or work that nobody can do --> failed -- retry (run + 1) --> queued
//! ```

use assay_circuits::canonical;
use assay_contracts::B256;
use assay_verifier::settle::key::Context;
use serde::{Deserialize, Serialize};

/// Longest name of a job or worker, in bytes.
pub(crate) const MAX_NAME: usize = 120;
/// Longest text about an error that is kept, in bytes.
const MAX_ERROR: usize = 800;

/// Which proof is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Sound, not hiding.
    Core,
    /// Of constant size, zero-knowledge.
    Settled,
}

/// What a settled proof is for: [`Context`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purpose {
    pub(crate) chain_id: u64,
    pub(crate) consumer: assay_contracts::Address,
    pub(crate) job: B256,
    pub(crate) recipient: assay_contracts::Address,
}

impl From<&Context> for Purpose {
    fn from(c: &Context) -> Self {
        Self { chain_id: c.chain_id, consumer: c.consumer.into(), job: c.job.into(), recipient: c.recipient.into() }
    }
}

impl From<&Purpose> for Context {
    fn from(p: &Purpose) -> Self {
        Self { chain_id: p.chain_id, consumer: p.consumer.0.0, job: p.job.0, recipient: p.recipient.0.0 }
    }
}

/// What is to be proven. Files are named by the Keccak-256 of their bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// A compiled model.
    pub(crate) model: B256,
    /// A verifying key, or a settlement key.
    pub(crate) key: B256,
    /// The integers of all inputs: [`super::shelf::pack`].
    pub(crate) input: B256,
    /// Inferences in the proof.
    pub(crate) batch: u32,
    /// Of settled proofs.
    pub(crate) purpose: Option<Purpose>,
    /// Digest of the secret that blinds the weights of the settlement key ([`super::shelf::secret_digest`]): a worker with another
    /// one cannot use the key.
    pub(crate) secret: Option<B256>,
    /// Stack files, in the order of the key's named stacks: boundaries of a segment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stacks: Vec<B256>,
}

/// Which part of a larger work a job is. It is no part of the job's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// All jobs of one inference of a split model have the same.
    pub(crate) whole: B256,
    /// The segment, from 1.
    pub(crate) segment: u32,
    /// How many there are.
    pub(crate) of: u32,
}

impl Spec {
    /// The job's id: the same work has the same id, whoever submits it and however often.
    pub(crate) fn id(&self) -> B256 {
        let purpose = self.purpose.as_ref().map_or([0; 32], |p| Context::from(p).digest());
        let kind = [self.kind as u8];
        let secret = self.secret.unwrap_or_default();
        let batch = self.batch.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&kind, &self.model.0, &self.key.0, &self.input.0, &batch, &purpose, &secret.0];
        parts.extend(self.stacks.iter().map(|s| s.0.as_slice()));
        canonical::digest("assay.farm.job.v1", &parts).into()
    }
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum State {
    /// It waits for a worker.
    Queued,
    /// A worker has it. Whatever another lease sends is not taken.
    Leased { lease: B256, worker: String },
    /// A proof was handed in, and nobody has checked it yet.
    Proven { worker: String, proof: B256, millis: u64 },
    /// The proof is valid, and it is of this job.
    Accepted { worker: String, proof: B256, millis: u64 },
    /// Nobody works on it any more.
    Failed { reason: String },
}

/// All that is known of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) spec: Spec,
    /// What whoever submitted it first calls it.
    pub(crate) name: String,
    /// What it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<Part>,
    /// How often it was put back into the queue by somebody who checked or retried it. A message of another run is none.
    pub(crate) run: u32,
    /// Leases since it was submitted or retried.
    pub(crate) attempts: u32,
    /// Number of the message that stands for this run in the queue, once it was delivered: others of the same run are copies.
    pub(crate) message: Option<u64>,
    /// What went wrong last.
    pub(crate) error: Option<String>,
    pub(crate) at: State,
}

/// A message of the queue: look at that job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    pub(crate) job: B256,
    pub(crate) run: u32,
}

/// What a worker does with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Write this, and the job is the worker's.
    Lease(Record),
    /// Write this: it was tried often enough.
    GiveUp(Record),
    /// It was proven, and perhaps nobody told the checkers.
    Announce,
    /// The message stands for nothing: an older run, a copy, or a job that is over.
    Drop,
}

impl Record {
    pub(crate) fn new(spec: Spec, name: &str) -> Self {
        let name = cut(name, MAX_NAME);
        Self { spec, name, part: None, run: 0, attempts: 0, message: None, error: None, at: State::Queued }
    }

    /// Whether nothing more happens to it by itself.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.at, State::Accepted { .. } | State::Failed { .. })
    }

    /// Whether it may be that no message stands for it, because whoever wrote it stopped before sending one.
    pub(crate) fn needs_message(&self) -> bool {
        self.at == State::Queued && self.message.is_none()
    }

    pub(crate) fn note(&self) -> Note {
        Note { job: self.spec.id(), run: self.run }
    }

    /// Whether that lease is the one in force.
    pub(crate) fn holds(&self, lease: B256) -> bool {
        matches!(self.at, State::Leased { lease: held, .. } if held == lease)
    }

    fn becomes(&self, at: State) -> Self {
        Self { at, ..self.clone() }
    }

    /// A worker got a message about the job, with a number in the queue.
    pub(crate) fn take(&self, run: u32, sequence: u64, lease: B256, worker: &str, tries: u32) -> Take {
        if run != self.run || self.message.is_some_and(|m| m != sequence) {
            return Take::Drop;
        }
        match &self.at {
            State::Accepted { .. } | State::Failed { .. } => Take::Drop,
            State::Proven { .. } => Take::Announce,
            State::Queued | State::Leased { .. } if self.attempts >= tries => {
                let last = match (&self.at, &self.error) {
                    (State::Leased { worker, .. }, _) => {
                        format!("worker '{worker}' took it and was not heard of again")
                    }
                    (_, Some(e)) => e.clone(),
                    _ => "no reason is known".to_owned(),
                };
                let reason = format!("gave up after {} attempts; the last: {last}", self.attempts);
                Take::GiveUp(self.becomes(State::Failed { reason: cut(&reason, MAX_ERROR) }))
            }
            State::Queued | State::Leased { .. } => {
                let mut next = self.becomes(State::Leased { lease, worker: cut(worker, MAX_NAME) });
                if let State::Leased { worker, .. } = &self.at {
                    next.error = Some(format!("worker '{worker}' took it and was not heard of again"));
                }
                next.attempts += 1;
                next.message = Some(sequence);
                Take::Lease(next)
            }
        }
    }

    /// The holder of a lease has a proof; nothing if the lease is not the job's any more.
    pub(crate) fn hand_in(&self, lease: B256, proof: B256, millis: u64) -> Option<Self> {
        match &self.at {
            State::Leased { worker, .. } if self.holds(lease) => {
                Some(self.becomes(State::Proven { worker: worker.clone(), proof, millis }))
            }
            _ => None,
        }
    }

    /// The holder of a lease could not do it; `hopeless` if nobody can.
    pub(crate) fn release(&self, lease: B256, error: &str, hopeless: bool) -> Option<Self> {
        if !self.holds(lease) {
            return None;
        }
        let error = cut(error, MAX_ERROR);
        let mut next = self.becomes(if hopeless { State::Failed { reason: error.clone() } } else { State::Queued });
        next.error = Some(error);
        Some(next)
    }

    /// The holder of a lease ends before it tried: that is no attempt.
    pub(crate) fn give_back(&self, lease: B256) -> Option<Self> {
        self.holds(lease).then(|| Self { attempts: self.attempts.saturating_sub(1), ..self.becomes(State::Queued) })
    }

    /// The proof is valid and of this job.
    pub(crate) fn accept(&self, expected: B256) -> Option<Self> {
        match &self.at {
            State::Proven { worker, proof, millis } if *proof == expected => {
                Some(self.becomes(State::Accepted { worker: worker.clone(), proof: *proof, millis: *millis }))
            }
            _ => None,
        }
    }

    /// The proof is not what it should be: the job waits again, under another run, or it was tried often enough.
    pub(crate) fn refuse(&self, expected: B256, why: &str, tries: u32) -> Option<Self> {
        let State::Proven { worker, proof, .. } = &self.at else { return None };
        if *proof != expected {
            return None;
        }
        let error = cut(&format!("worker '{worker}' handed in a proof that was refused: {why}"), MAX_ERROR);
        if self.attempts >= tries {
            let reason = cut(&format!("gave up after {} attempts; the last: {error}", self.attempts), MAX_ERROR);
            return Some(Self { error: Some(error), ..self.becomes(State::Failed { reason }) });
        }
        Some(Self { error: Some(error), ..self.again() })
    }

    /// Nobody can say whether the proof is one.
    pub(crate) fn abandon(&self, expected: B256, why: &str) -> Option<Self> {
        matches!(self.at, State::Proven { proof, .. } if proof == expected)
            .then(|| self.becomes(State::Failed { reason: cut(why, MAX_ERROR) }))
    }

    /// As [`again`](Self::again), of a job that failed: it has all its attempts once more.
    pub(crate) fn retry(&self) -> Option<Self> {
        matches!(self.at, State::Failed { .. }).then(|| Self { attempts: 0, ..self.again() })
    }

    /// The job waits under a new run: no message that is still about stands for it.
    fn again(&self) -> Self {
        Self { run: self.run.wrapping_add(1), message: None, ..self.becomes(State::Queued) }
    }
}

/// At most so many bytes of a text, without control characters: it may come from another machine, and goes to a terminal.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() > limit {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spec(n: u8) -> Spec {
        let [model, key, input] = [1, 2, n].map(B256::repeat_byte);
        Spec { kind: Kind::Core, model, key, input, batch: 1, purpose: None, secret: None, stacks: vec![] }
    }

    fn lease(n: u8) -> B256 {
        B256::repeat_byte(n)
    }

    fn taken(record: &Record, sequence: u64, by: u8) -> Record {
        match record.take(record.run, sequence, lease(by), "w", 4) {
            Take::Lease(r) => r,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_work_has_the_same_id_and_all_else_another() {
        let purpose = Purpose {
            chain_id: 1,
            consumer: assay_contracts::Address::ZERO,
            job: B256::ZERO,
            recipient: assay_contracts::Address::ZERO,
        };
        let base = spec(3);
        let mut all = vec![base.id()];
        for change in 0..10 {
            let mut s = base.clone();
            match change {
                0 => s.kind = Kind::Settled,
                1 => s.model = lease(9),
                2 => s.key = lease(9),
                3 => s.input = lease(9),
                4 => s.batch = 2,
                5 => s.purpose = Some(purpose),
                6 => s.secret = Some(lease(9)),
                7 => s.stacks = vec![lease(9)],
                8 => s.stacks = vec![lease(9), lease(8)],
                _ => s.purpose = Some(Purpose { chain_id: 2, ..purpose }),
            }
            all.push(s.id());
        }
        all.sort();
        all.dedup();
        assert_eq!((all.len(), spec(3).id()), (11, base.id()));
    }

    #[test]
    fn only_the_lease_that_the_record_names_may_do_anything() {
        let first = taken(&Record::new(spec(1), "n"), 7, 1);
        // The message came back: the first worker was not heard of.
        let second = taken(&first, 7, 2);
        assert_eq!(second.attempts, 2);
        for stale in [
            second.hand_in(lease(1), lease(8), 5),
            second.release(lease(1), "e", false),
            second.release(lease(1), "e", true),
            second.give_back(lease(1)),
        ] {
            assert_eq!(stale, None);
        }
        let proven = second.hand_in(lease(2), lease(8), 5).unwrap();
        assert_eq!(proven.hand_in(lease(2), lease(9), 5), None, "a proof is handed in once");
        assert_eq!(proven.release(lease(2), "e", true), None);
        assert_eq!(proven.accept(lease(9)), None, "what was checked is what is accepted");
        let accepted = proven.accept(lease(8)).unwrap();
        assert!(accepted.is_over() && accepted.refuse(lease(8), "late", 4).is_none() && accepted.retry().is_none());
    }

    #[test]
    fn messages_that_stand_for_nothing_are_dropped() {
        let new = Record::new(spec(1), "n");
        assert_eq!(new.take(1, 7, lease(1), "w", 4), Take::Drop, "another run");
        let first = taken(&new, 7, 1);
        assert_eq!(first.take(0, 8, lease(2), "w", 4), Take::Drop, "a copy does not take a live lease");
        let proven = first.hand_in(lease(1), lease(8), 5).unwrap();
        assert_eq!(proven.take(0, 7, lease(2), "w", 4), Take::Announce);
        let refused = proven.refuse(lease(8), "why", 4).unwrap();
        assert_eq!((refused.run, refused.message, refused.attempts), (1, None, 1));
        assert_eq!(refused.take(0, 7, lease(2), "w", 4), Take::Drop, "the message of the run before");
        assert!(refused.needs_message() && !first.needs_message());
    }

    #[test]
    fn a_poisoned_job_ends_in_a_state_that_says_why() {
        let mut r = Record::new(spec(1), "n");
        for n in 1..=4 {
            r = taken(&r, 7, n);
        }
        let Take::GiveUp(over) = r.take(0, 7, lease(9), "w", 4) else { panic!() };
        let State::Failed { reason } = &over.at else { panic!() };
        assert_eq!(reason, "gave up after 4 attempts; the last: worker 'w' took it and was not heard of again");
        let again = over.retry().unwrap();
        assert_eq!((again.attempts, again.run, &again.at), (0, 1, &State::Queued));
        // A worker that ends by itself costs no attempt.
        assert_eq!(taken(&again, 9, 1).give_back(lease(1)).unwrap().attempts, 0);
        let hopeless = taken(&again, 9, 1).release(lease(1), "cannot be", true).unwrap();
        assert_eq!(hopeless.at, State::Failed { reason: "cannot be".to_owned() });
    }

    #[test]
    fn records_are_small_and_texts_are_harmless() {
        let long = "é\u{1b}[31m".repeat(10_000);
        let r = taken(&Record::new(spec(1), &long), 7, 1).release(lease(1), &long, true).unwrap();
        let bytes = serde_json::to_vec(&r).unwrap();
        assert!(bytes.len() < 4_000 && !bytes.contains(&0x1b), "{}", bytes.len());
        assert_eq!(serde_json::from_slice::<Record>(&bytes).unwrap(), r);
        assert!(serde_json::from_slice::<Record>(&bytes[..bytes.len() - 1]).is_err());
    }
}
