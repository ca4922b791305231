//! A farm of threads: one machine, no server.

use super::{
    backend::{Backend, Lane},
    keeper,
    memory::Memory,
    prove::Means,
    submit::{self, Collected, Sending, Target},
    worker,
};
use crate::{
    App, STACK_BYTES,
    cache::Cache,
    device::Devices,
    error::{Failure, Outcome},
    output::Output,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::Scope,
    time::Duration,
};

/// How a machine works on its own jobs.
pub(crate) struct Options<'a> {
    pub(crate) workers: usize,
    pub(crate) means: Means,
    pub(crate) target: Target<'a>,
}

/// What the threads share.
struct Shared<'a> {
    app: &'a App,
    backend: Arc<dyn Backend>,
    ending: Arc<AtomicBool>,
    /// Why a thread stopped.
    broken: Mutex<Option<Failure>>,
    means: &'a Means,
}

/// Proves all of it here; what came out, and how many jobs there were.
pub(crate) fn run(
    app: &App,
    send: impl FnOnce(&dyn Backend) -> Outcome<Sending>,
    options: &Options<'_>,
) -> Outcome<(Collected, usize)> {
    let backend: Arc<dyn Backend> = Arc::new(Memory::new(super::TERMS));
    let sending = send(backend.as_ref())?;
    let shared = Shared { app, backend, ending: Arc::default(), broken: Mutex::default(), means: &options.means };
    // With one worker the threads of this process are its own.
    let share = (options.workers > 1).then(|| (rayon::current_num_threads() / options.workers).max(1));
    let collected = std::thread::scope(|s| {
        let shared = &shared;
        for n in 1..=options.workers {
            shared.start(s, format!("assay-{n}"), move || shared.work(n, share));
        }
        shared.start(s, "assay-keeper".to_owned(), move || {
            let o = keeper::Options { srs: shared.means.srs.clone(), ending: Arc::clone(&shared.ending) };
            keeper::keep(&quiet(shared.app), &shared.backend, &o, || Ok(()))
        });
        let collected =
            submit::collect(app, shared.backend.as_ref(), &sending.sent, &options.target, || shared.trouble());
        shared.ending.store(true, Ordering::Relaxed);
        collected
    })?;
    Ok((collected, sending.sent.len()))
}

impl Shared<'_> {
    fn start<'s, 'e>(&'e self, s: &'s Scope<'s, 'e>, name: String, work: impl FnOnce() -> Outcome<()> + Send + 's) {
        let stop = |f: Failure| *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(f);
        let thread = std::thread::Builder::new().name(name).stack_size(STACK_BYTES);
        let made = thread.spawn_scoped(s, move || {
            if let Err(f) = work() {
                stop(f);
            }
        });
        if let Err(e) = made {
            stop(Failure::new(format!("cannot start a thread: {e}")).help("use fewer --workers"));
        }
    }

    fn trouble(&self) -> Outcome<()> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn work(&self, n: usize, threads: Option<usize>) -> Outcome<()> {
        let o = worker::Options {
            name: format!("thread-{n}"),
            lanes: vec![Lane::Core, Lane::Settled],
            means: self.means.clone(),
            jobs: None,
            limit: Duration::from_secs(7 * 86_400),
            max_failures: u32::MAX,
            ending: Arc::clone(&self.ending),
        };
        let app = quiet(self.app);
        let work = || worker::work(&app, &self.backend, &o).map(|_| ());
        let Some(threads) = threads else { return work() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(STACK_BYTES).build();
        let pool = pool.map_err(|e| Failure::new(format!("cannot start threads: {e}")).help("use fewer --workers"))?;
        pool.install(work)
    }
}

/// What the threads say is said by whoever collects.
fn quiet(app: &App) -> App {
    let output = Output::new(false, true);
    App { cache: Cache::open(&output), output, devices: Devices::new(app.devices.choice()) }
}
