//! Checks what workers hand in: nothing is accepted that was not verified here, against the job's own inputs.

use super::{
    backend::{Backend, Changed, Lane, Message, Trouble, change, checked},
    beat::{Beat, Life, Why},
    check::{Verdict, check},
    record::{Note, Record, State},
    shelf::{Shelf, Undone},
};
use crate::{
    App,
    error::{Failure, Outcome},
};
use assay_contracts::B256;
use assay_prover::cancel::scope;
use serde_json::json;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long one look for a proof takes.
const LOOK: Duration = Duration::from_secs(1);
/// Longest check: a settlement key is recomputed once.
const LIMIT: Duration = Duration::from_secs(3_600);

/// How a keeper works.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) srs: Option<PathBuf>,
    pub(crate) ending: Arc<AtomicBool>,
}

/// Checks until it is told to end; `meanwhile` is asked between checks whether to go on.
pub(crate) fn keep(
    app: &App,
    backend: &Arc<dyn Backend>,
    options: &Options,
    mut meanwhile: impl FnMut() -> Outcome<()>,
) -> Outcome<()> {
    let mut keeper = Keeper { app, backend, options, shelf: Shelf::default() };
    while !options.ending.load(Ordering::Relaxed) {
        meanwhile()?;
        let Some(message) = backend.take(&[Lane::Check], LOOK)? else { continue };
        match keeper.message(&Arc::new(message)) {
            // The message comes back.
            Ok(()) | Err(Undone::Farm(Trouble::Away(_))) => {}
            Err(Undone::Farm(Trouble::Full(why))) => {
                app.output.warn(format!("the farm's store is full ({why}); no proof can be accepted"));
                std::thread::sleep(Duration::from_millis(500));
            }
            Err(Undone::Farm(t)) => return Err(t.into()),
            Err(Undone::Unfit(f)) => return Err(f),
            Err(Undone::Hopeless(why) | Undone::Failed(why)) => return Err(Failure::new(why).bug()),
        }
    }
    Ok(())
}

struct Keeper<'a> {
    app: &'a App,
    backend: &'a Arc<dyn Backend>,
    options: &'a Options,
    shelf: Shelf,
}

impl Keeper<'_> {
    fn message(&mut self, message: &Arc<Message>) -> Result<(), Undone> {
        let (backend, note) = (self.backend.as_ref(), message.note);
        let record = backend.read(note.job, true)?.map(|(record, _)| record);
        if let Some(record) = &record
            && let State::Proven { proof, .. } = &record.at
            && record.run == note.run
        {
            return self.proof(message, record, *proof);
        }
        Ok(checked(backend, message)?)
    }

    fn proof(&mut self, message: &Arc<Message>, record: &Record, proof: B256) -> Result<(), Undone> {
        let Note { job, run } = message.note;
        let tries = self.backend.terms().tries;
        if message.deliveries > u64::from(tries) {
            return self.refuse(message, record, proof, "checking it came to no end");
        }
        let beat = Beat::start(Life {
            backend: Arc::clone(self.backend),
            message: Arc::clone(message),
            job,
            wanted: Box::new(move |r| r.run == run && matches!(&r.at, State::Proven { proof: p, .. } if *p == proof)),
            limit: LIMIT,
            ending: Arc::clone(&self.options.ending),
        });
        let (app, srs) = (self.app, self.options.srs.as_deref());
        let work =
            || scope(beat.token(), || check(app, &mut self.shelf, self.backend.as_ref(), (&record.spec, proof), srs));
        let done = catch_unwind(AssertUnwindSafe(work));
        let why = beat.why();
        drop(beat);
        match done {
            Ok(Ok(Ok((_, Verdict::Valid)))) => self.accept(message, record, proof),
            Ok(Ok(Ok((_, Verdict::Refused(why))))) => self.refuse(message, record, proof, &why),
            Ok(Ok(Err(Undone::Hopeless(why)))) => self.refuse(message, record, proof, &why),
            Ok(Ok(Err(Undone::Unfit(f)))) => self.abandon(message, record, proof, &f),
            Ok(Ok(Err(e))) => Err(e),
            Ok(Err(_)) if why == Why::Late => self.refuse(message, record, proof, "checking it took too long"),
            Ok(Err(_)) => Ok(()),
            Err(_) => {
                self.shelf = Shelf::default();
                self.refuse(message, record, proof, "the check broke down: a bug in assay")
            }
        }
    }

    fn accept(&self, message: &Message, record: &Record, proof: B256) -> Result<(), Undone> {
        let (backend, job) = (self.backend.as_ref(), message.note.job);
        if let Changed::Done(next) = change(backend, job, |r| r.accept(proof))?
            && let State::Accepted { worker, .. } = &next.at
        {
            self.app.output.event("accepted", json!({ "job": job, "name": record.name, "worker": worker }));
            self.app.output.say(format!("accepted {} by {worker}", record.name));
        }
        Ok(checked(backend, message)?)
    }

    /// Powers of tau that are not here, for example: the job fails, and says what is missing.
    fn abandon(&self, message: &Message, record: &Record, proof: B256, f: &Failure) -> Result<(), Undone> {
        let (backend, job) = (self.backend.as_ref(), message.note.job);
        let why = format!("the proof cannot be checked here: {f}; {}", f.help);
        if let Changed::Done(_) = change(backend, job, |r| r.abandon(proof, &why))? {
            self.app.output.event("unchecked", json!({ "job": job, "name": record.name, "why": why }));
            self.app.output.warn(format!("{}: {why}", record.name));
        }
        Ok(checked(backend, message)?)
    }

    fn refuse(&self, message: &Message, record: &Record, proof: B256, why: &str) -> Result<(), Undone> {
        let (backend, job) = (self.backend.as_ref(), message.note.job);
        let tries = backend.terms().tries;
        if let Changed::Done(_) = change(backend, job, |r| r.refuse(proof, why, tries))? {
            let worker = match &record.at {
                State::Proven { worker, .. } => worker.as_str(),
                _ => "",
            };
            self.app.output.event("refused", json!({ "job": job, "name": record.name, "worker": worker, "why": why }));
            self.app.output.warn(format!("{}: a proof of worker '{worker}' is refused: {why}", record.name));
        }
        Ok(checked(backend, message)?)
    }
}
