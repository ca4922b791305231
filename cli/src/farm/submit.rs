//! What goes into a farm, and what comes out of it.

use super::{
    backend::{Backend, Changed, change, create},
    check::{Verdict, check},
    record::{Kind, Purpose, Record, Spec, State},
    shelf::{self, Shelf, Undone},
};
use crate::{
    App,
    error::{Failure, Outcome},
    files,
    output::count,
    progress::Progress,
};
use assay_circuits::Tensor;
use assay_contracts::B256;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What is to be proven, ready to be sent.
pub(crate) struct Work {
    pub(crate) kind: Kind,
    /// A compiled model's file and its key's.
    pub(crate) model: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) secret: Option<B256>,
    pub(crate) purpose: Option<Purpose>,
    /// The inputs of all jobs, one inference after another, and how many make a job.
    pub(crate) samples: Vec<Vec<Tensor>>,
    pub(crate) batch: usize,
    /// What the jobs are called, with a number behind it, and the first number.
    pub(crate) name: String,
    pub(crate) first: usize,
}

/// A job that was sent: what its proof's file is called, and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) name: String,
    pub(crate) spec: Spec,
}

/// How the sending went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sending {
    pub(crate) sent: Vec<Sent>,
    /// Jobs that the farm knew already.
    pub(crate) known: usize,
    /// Jobs that had failed and are tried again.
    pub(crate) retried: usize,
}

/// Sends jobs. Those that the farm knows are left as they are, whatever became of them; with `retry` those that failed are put
/// into the queue again. Doing it twice does it once.
pub(crate) fn send(app: &App, backend: &dyn Backend, work: &Work, retry: bool) -> Outcome<Sending> {
    let total = work.samples.len().div_ceil(work.batch);
    let progress = Progress::start(&app.output, "submit", 0.0);
    let (model, key) = (backend.put(&work.model)?, backend.put(&work.key)?);
    let mut out = Sending::default();
    for (i, samples) in work.samples.chunks(work.batch).enumerate() {
        progress.share(&format!("{} of {} jobs", count(i as u64), count(total as u64)), i as u64, total as u64);
        let spec = Spec {
            kind: work.kind,
            model,
            key,
            input: backend.put(&shelf::pack(samples))?,
            batch: u32::try_from(samples.len()).unwrap_or(u32::MAX),
            purpose: work.purpose,
            secret: work.secret,
            stacks: vec![],
        };
        let name = format!("{}-{:05}", work.name, work.first + i * work.batch);
        out.one(app, backend, Record::new(spec, &name), retry)?;
    }
    Ok(out)
}

impl Sending {
    /// Sends one job.
    pub(super) fn one(&mut self, app: &App, backend: &dyn Backend, new: Record, retry: bool) -> Outcome<()> {
        let (spec, name) = (new.spec.clone(), new.name.clone());
        let (mut record, fresh) = create(backend, &new)?;
        self.known += usize::from(!fresh);
        if retry && let Changed::Done(next) = change(backend, spec.id(), Record::retry)? {
            record = next;
            self.retried += 1;
        }
        // Whoever wrote the record may have stopped before this, or its note may be gone; copies of a note do no harm.
        if record.needs_message() {
            let lane = spec.kind.into();
            if fresh { backend.push(lane, record.note()) } else { backend.push_again(lane, record.note()) }?;
        }
        app.output.event("submitted", json!({ "job": spec.id(), "name": name, "known": !fresh }));
        self.sent.push(Sent { name, spec });
        Ok(())
    }
}

/// Where proofs go.
pub(crate) struct Target<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) srs: Option<&'a Path>,
    /// When to stop waiting.
    pub(crate) end: Option<Instant>,
}

/// What came out of a farm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    pub(crate) proofs: Vec<PathBuf>,
    /// Names of jobs that failed, and why.
    pub(crate) failed: Vec<(String, String)>,
    /// Proofs by worker.
    pub(crate) workers: BTreeMap<String, u64>,
    /// Seconds of all proofs together, as the workers measured them.
    pub(crate) seconds: f64,
}

/// Waits for jobs, checks each proof here once more, and writes it down. `alive` is asked while nothing comes.
pub(crate) fn collect(
    app: &App,
    backend: &dyn Backend,
    sent: &[Sent],
    target: &Target<'_>,
    mut alive: impl FnMut() -> Outcome<()>,
) -> Outcome<Collected> {
    let progress = Progress::start(&app.output, "farm", 0.0);
    let mut shelf = Shelf::default();
    let mut out = Collected::default();
    for (i, job) in sent.iter().enumerate() {
        let mut pause = Duration::from_millis(5);
        let record = loop {
            progress.share(
                &format!("{} of {} proofs", count(i as u64), count(sent.len() as u64)),
                i as u64,
                sent.len() as u64,
            );
            match backend.read(job.spec.id(), true)? {
                Some((record, _)) if record.is_over() => break record,
                Some(_) => {}
                None => {
                    return Err(Failure::new(format!(
                        "the farm does not know job {} ({}) any more",
                        job.spec.id(),
                        job.name
                    ))
                    .help("submit it again; records are kept as long as --keep of `assay farm up` says"));
                }
            }
            if target.end.is_some_and(|end| Instant::now() > end) {
                return Err(Failure::new(format!("{} of {} proofs came in time", i, sent.len()))
                    .help("the jobs go on: the same command collects them later; see `assay farm status`"));
            }
            alive()?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(300));
        };
        match record.at {
            State::Accepted { worker, proof, millis } => {
                let checked = shelf::finish(check(app, &mut shelf, backend, (&job.spec, proof), target.srs));
                let (bytes, verdict) = checked?;
                if let Verdict::Refused(why) = verdict {
                    return Err(Failure::new(format!(
                        "the farm accepted a proof of {} that is refused here: {why}",
                        job.name
                    ))
                    .help("do not trust whoever runs the farm's keeper; look at who can reach its server")
                    .invalid());
                }
                let path = target.folder.join(format!("{}.proof", job.name));
                files::write(&path, &bytes)?;
                app.output.event(
                    "collected",
                    json!({ "job": job.spec.id(), "name": job.name, "worker": worker, "file": path }),
                );
                *out.workers.entry(worker).or_default() += 1;
                out.seconds += millis as f64 / 1e3;
                out.proofs.push(path);
            }
            State::Failed { reason } => {
                app.output.event("job_failed", json!({ "job": job.spec.id(), "name": job.name, "reason": reason }));
                out.failed.push((job.name.clone(), reason));
            }
            State::Queued | State::Leased { .. } | State::Proven { .. } => {}
        }
    }
    Ok(out)
}

impl Collected {
    /// The fields of a result.
    pub(crate) fn json(&self) -> Value {
        json!({
            "accepted": self.proofs.len(),
            "failed": self.failed.iter().map(|(name, reason)| json!({ "name": name, "reason": reason })).collect::<Vec<_>>(),
            "workers": self.workers,
            "proof_seconds": self.seconds,
        })
    }

    /// What is wrong, if jobs failed.
    pub(crate) fn problem(&self) -> Option<Failure> {
        let (name, reason) = self.failed.first()?;
        let more = self.failed.len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        Some(
            Failure::new(format!(
                "{} of {} jobs failed: {name}: {reason}{more}",
                self.failed.len(),
                self.failed.len() + self.proofs.len()
            ))
            .help("mend what the reason says, then submit again with --retry"),
        )
    }
}

/// Whether a key is one of a model and can be used by workers, before anything is sent.
pub(crate) fn preflight(app: &App, work: &Work) -> Outcome<()> {
    let memory = super::memory::Memory::new(super::TERMS);
    let spec = Spec {
        kind: work.kind,
        model: memory.put(&work.model)?,
        key: memory.put(&work.key)?,
        input: B256::ZERO,
        batch: u32::try_from(work.batch).unwrap_or(u32::MAX),
        purpose: work.purpose,
        secret: work.secret,
        stacks: vec![],
    };
    match Shelf::default().about(app, &memory, &spec) {
        Err(Undone::Hopeless(why)) => Err(Failure::new(why).help("make the key from this model, for this --batch")),
        about => shelf::finish(about.map(|_| ())),
    }
}
