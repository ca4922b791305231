//! A worker of a farm: takes jobs, proves them, hands the proofs in.

use super::{
    backend::{self, Backend, Changed, Lane, Message, Trouble, change},
    beat::{Beat, Life, Why},
    prove::{Bench, Means},
    record::{Record, State, Take},
    shelf::Undone,
};
use crate::{
    App,
    error::{Failure, Outcome},
    output::seconds,
};
use assay_contracts::B256;
use assay_prover::{
    cancel::{Cancelled, scope},
    pages,
};
use serde_json::json;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long one look for a job takes.
const LOOK: Duration = Duration::from_secs(1);
/// Between attempts to hand a proof in.
const PAUSE: Duration = Duration::from_millis(500);

/// How a worker works.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) name: String,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) means: Means,
    /// Ends after so many proofs.
    pub(crate) jobs: Option<u64>,
    /// Longest time for one proof.
    pub(crate) limit: Duration,
    /// Failures, one after another, after which it ends.
    pub(crate) max_failures: u32,
    pub(crate) ending: Arc<AtomicBool>,
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) proven: u64,
    pub(crate) failed: u64,
    /// Leases that were somebody else's before the work was done.
    pub(crate) lost: u64,
}

/// Works until it is told to end, the farm drains, or it has done what it was asked for.
pub(crate) fn work(app: &App, backend: &Arc<dyn Backend>, options: &Options) -> Outcome<Tally> {
    let mut worker = Worker { app, backend, options, bench: Bench::default(), tally: Tally::default(), failures: 0 };
    while !options.ending.load(Ordering::Relaxed) && options.jobs.is_none_or(|n| worker.tally.proven < n) {
        if backend.is_draining().or_else(away)? {
            app.output.event("draining", json!({}));
            app.output.say("the farm drains: no more jobs");
            break;
        }
        let Some(message) = backend.take(&options.lanes, LOOK)? else {
            pages::give_back();
            continue;
        };
        worker.message(Arc::new(message))?;
        if worker.failures >= options.max_failures {
            return Err(Failure::new(format!("{} jobs failed one after another", worker.failures)).help(
                "look at the reasons (`assay farm status`); if it is this machine, mend it before it works again",
            ));
        }
    }
    Ok(worker.tally)
}

/// A server that is away for longer than patience goes is looked for again.
fn away<T: Default>(t: Trouble) -> Outcome<T> {
    if matches!(t, Trouble::Away(_)) { Ok(T::default()) } else { Err(t.into()) }
}

struct Worker<'a> {
    app: &'a App,
    backend: &'a Arc<dyn Backend>,
    options: &'a Options,
    bench: Bench,
    tally: Tally,
    failures: u32,
}

impl Worker<'_> {
    fn message(&mut self, message: Arc<Message>) -> Outcome<()> {
        match self.lease(&message) {
            Ok(Some((record, lease))) => self.job(&message, &record, lease),
            Ok(None) => Ok(()),
            // What the record says now is found out when the message comes back.
            Err(Trouble::Away(_)) => Ok(()),
            Err(Trouble::Full(why)) => {
                self.app.output.warn(format!("the farm's store is full ({why}); no job can be taken"));
                std::thread::sleep(PAUSE);
                Ok(())
            }
            Err(t) => Err(t.into()),
        }
    }

    /// Takes the job that a message stands for, if it still is to be done.
    fn lease(&self, message: &Message) -> backend::Result<Option<(Record, B256)>> {
        let (backend, o) = (self.backend.as_ref(), &self.app.output);
        let lease: B256 = crate::settlement::random().map_err(|f| Trouble::Bad(f.message))?.into();
        let note = message.note;
        loop {
            let Some((record, revision)) = backend.read(note.job, true)? else {
                backend.acknowledge(message)?;
                return Ok(None);
            };
            if record.holds(lease) {
                return Ok(Some((record, lease)));
            }
            match record.take(note.run, message.sequence, lease, &self.options.name, backend.terms().tries) {
                Take::Lease(next) => {
                    if backend.write(&next, Some(revision))? {
                        return Ok(Some((next, lease)));
                    }
                }
                Take::GiveUp(next) => {
                    if backend.write(&next, Some(revision))? {
                        if let State::Failed { reason } = &next.at {
                            o.event("gave_up", json!({ "job": note.job, "name": next.name, "reason": reason }));
                            o.say(format!("failed  {}: {reason}", next.name));
                        }
                        backend.acknowledge(message)?;
                        return Ok(None);
                    }
                }
                Take::Announce => {
                    backend.push(Lane::Check, record.note())?;
                    backend.acknowledge(message)?;
                    return Ok(None);
                }
                Take::Drop => {
                    backend.acknowledge(message)?;
                    return Ok(None);
                }
            }
        }
    }

    fn job(&mut self, message: &Arc<Message>, record: &Record, lease: B256) -> Outcome<()> {
        let (app, o, job) = (self.app, &self.app.output, message.note.job);
        o.event("leased", json!({ "job": job, "name": record.name, "attempt": record.attempts }));
        let beat = Beat::start(Life {
            backend: Arc::clone(self.backend),
            message: Arc::clone(message),
            job,
            wanted: Box::new(move |r| r.holds(lease) || r.is_over() || matches!(r.at, State::Proven { .. })),
            limit: self.options.limit,
            ending: Arc::clone(&self.options.ending),
        });
        let start = Instant::now();
        let work =
            || scope(beat.token(), || self.bench.prove(app, self.backend.as_ref(), &record.spec, &self.options.means));
        let done = catch_unwind(AssertUnwindSafe(work));
        let taken = start.elapsed();
        match done {
            Ok(Ok(Ok(proof))) => self.hand_in(message, record, (lease, &proof), taken, &beat),
            Ok(Ok(Err(Undone::Farm(t)))) => {
                drop(beat);
                self.release(message, record, lease, &Failure::from(t).message, false)
            }
            Ok(Ok(Err(Undone::Failed(why)))) => {
                drop(beat);
                self.release(message, record, lease, &why, false)
            }
            Ok(Ok(Err(Undone::Hopeless(why)))) => {
                drop(beat);
                self.release(message, record, lease, &why, true)
            }
            Ok(Ok(Err(Undone::Unfit(f)))) => {
                drop(beat);
                self.give_back(message, lease);
                Err(f)
            }
            Ok(Err(Cancelled)) => {
                let why = beat.why();
                drop(beat);
                match why {
                    Why::Lost => {
                        self.tally.lost += 1;
                        o.event("lost", json!({ "job": job, "name": record.name }));
                        o.warn(format!("{}: somebody else has the job by now; its work was stopped", record.name));
                        Ok(())
                    }
                    Why::Late => {
                        let why = format!("it took longer than {}", seconds(self.options.limit.as_secs_f64()));
                        self.release(message, record, lease, &why, false)
                    }
                    Why::Ending => {
                        self.give_back(message, lease);
                        Ok(())
                    }
                }
            }
            Err(_) => {
                drop(beat);
                // What the work left behind is not trusted.
                self.bench = Bench::default();
                self.release(message, record, lease, "the prover broke down: a bug in assay", false)
            }
        }
    }

    /// Hands a proof in, for as long as the lease holds: a server that is away or full has it later.
    fn hand_in(
        &mut self,
        message: &Message,
        record: &Record,
        (lease, proof): (B256, &[u8]),
        taken: Duration,
        beat: &Beat,
    ) -> Outcome<()> {
        let (backend, o, job) = (self.backend.as_ref(), &self.app.output, message.note.job);
        let millis = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX);
        let changed = loop {
            let done = backend.put(proof).and_then(|hash| change(backend, job, |r| r.hand_in(lease, hash, millis)));
            match done {
                Ok(changed) => break changed,
                Err(t @ (Trouble::Away(_) | Trouble::Full(_))) => {
                    o.warn(format!("a proof cannot be handed in yet: {}", Failure::from(t)));
                    if beat.token().is_cancelled() {
                        self.tally.lost += 1;
                        return Ok(());
                    }
                    std::thread::sleep(PAUSE);
                }
                Err(t) => return Err(t.into()),
            }
        };
        let Changed::Done(next) = changed else {
            self.tally.lost += 1;
            o.event("lost", json!({ "job": job, "name": record.name }));
            o.warn(format!("{}: somebody else has the job by now; the proof is not taken", record.name));
            return Ok(());
        };
        self.tally.proven += 1;
        self.failures = 0;
        o.event(
            "proven",
            json!({ "job": job, "name": record.name, "seconds": taken.as_secs_f64(), "proof_bytes": proof.len() }),
        );
        o.say(format!("proven  {} in {}", record.name, seconds(taken.as_secs_f64())));
        // Without the note to the checkers the message stays, comes back, and whoever gets it sends the note.
        match backend.push(Lane::Check, next.note()) {
            Ok(()) => backend::done(backend, message),
            Err(Trouble::Away(_) | Trouble::Full(_)) => Ok(()),
            Err(t) => Err(t.into()),
        }
    }

    /// Lets others try, after a while, unless nobody can.
    fn release(&mut self, message: &Message, record: &Record, lease: B256, why: &str, hopeless: bool) -> Outcome<()> {
        let (backend, o, job) = (self.backend.as_ref(), &self.app.output, message.note.job);
        self.tally.failed += 1;
        // A job that makes no sense says nothing about this machine.
        self.failures += u32::from(!hopeless);
        o.event("failed", json!({ "job": job, "name": record.name, "error": why, "final": hopeless }));
        o.warn(format!("{}: {why}", record.name));
        match change(backend, job, |r| r.release(lease, why, hopeless)) {
            Ok(Changed::Done(next)) if next.is_over() => backend::done(backend, message),
            Ok(_) => {
                let delay = backend.terms().lease / 8 * record.attempts.min(8);
                backend.postpone(message, delay).or_else(away)
            }
            // The message comes back by itself, and the attempt was counted when it was taken.
            Err(Trouble::Away(_) | Trouble::Full(_)) => Ok(()),
            Err(t) => Err(t.into()),
        }
    }

    /// Lets others try at once; it was no attempt. Where that fails, the message comes back by itself.
    fn give_back(&self, message: &Message, lease: B256) {
        let backend = self.backend.as_ref();
        if change(backend, message.note.job, |r| r.give_back(lease)).is_ok() {
            let _ = backend.postpone(message, Duration::ZERO);
        }
        self.app.output.event("given_back", json!({ "job": message.note.job }));
    }
}
