//! Commands run inside of another program: the code is that of the command line, so verdicts, errors and their help are the same;
//! nothing is printed.
//!
//! A command runs in a thread of its own ([`Job`]). Whoever started it waits in steps, reads how far it is, and may cancel it; a
//! cancelled command ends at its next [point](assay_prover::cancel), and the process lives on.

use crate::{
    App, EMBEDDED, WORKER,
    args::Cli,
    cache::Cache,
    device::Devices,
    error::{Failure, Outcome},
    join, mistake,
    output::{Fields, Output},
    progress::State,
    run, select_device, spawn,
};
use assay_prover::cancel::{Cancelled, Token, scope};
use clap::Parser;
use serde_json::Value;
use std::{
    ffi::OsString,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How far a command is.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What is being done, such as `prove`.
    pub title: String,
    /// The stage of it, such as `commit`; empty before the first.
    pub stage: String,
    /// Share that is done, 0 to 1, where it can be told.
    pub share: Option<f64>,
    /// Seconds left, where they can be told.
    pub left: Option<f64>,
}

/// Takes what a command would print.
#[derive(Debug, Default)]
pub(crate) struct Host {
    result: Mutex<Option<Value>>,
    now: Mutex<Option<Arc<State>>>,
}

impl Host {
    pub(crate) fn event(&self, name: &str, fields: Fields) {
        if name == "result" {
            *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(Value::Object(fields));
        }
    }

    pub(crate) fn watch(&self, state: &Arc<State>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(state));
    }
}

/// Why a command stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The command line's exit code: 1 for a proof that is not valid, 2 where nothing could be checked.
    pub code: u8,
    /// What is wrong.
    pub cause: String,
    /// What can be done about it.
    pub help: String,
    /// What was warned of before.
    pub warnings: Vec<String>,
}

impl Refusal {
    fn new(failure: Failure, warnings: Vec<String>) -> Self {
        Self { code: failure.exit as u8, cause: failure.message, help: failure.help, warnings }
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It did what was asked: the fields of the result that `--json` prints.
    Done(Value),
    /// It did not.
    Refused(Refusal),
    /// It was cancelled.
    Cancelled,
}

/// A command that runs.
#[derive(Debug)]
pub struct Job {
    thread: JoinHandle<Result<End, Cancelled>>,
    ended: Receiver<()>,
    host: Arc<Host>,
    token: Token,
}

impl Job {
    /// Starts a command; `args` are those behind the program's name.
    ///
    /// # Errors
    /// If the arguments are wrong, or no thread can be started.
    pub fn start(args: impl IntoIterator<Item = OsString>) -> Result<Self, Refusal> {
        Self::begin(args).map_err(|f| Refusal::new(f, Vec::new()))
    }

    fn begin(args: impl IntoIterator<Item = OsString>) -> Outcome<Self> {
        EMBEDDED.store(true, Ordering::Relaxed);
        let args = std::iter::once(OsString::from("assay")).chain(args);
        let cli = Cli::try_parse_from(args).map_err(|e| mistake(&e))?;
        threads(cli.global.threads)?;
        select_device()?;
        let choice = cli.global.device.unwrap_or_default();
        let (host, token) = (Arc::new(Host::default()), Token::default());
        let (of_work, of_token) = (Arc::clone(&host), token.clone());
        let (says, ended) = channel::<()>();
        let thread = spawn(move || {
            // Dropped when the work ends in whatever way, which wakes who waits.
            let _says = says;
            scope(&of_token, move || {
                let output = Output::embedded(Arc::clone(&of_work));
                let app = App { cache: Cache::open(&output), output, devices: Devices::new(choice) };
                match run(&app, cli.command) {
                    Ok(()) => {
                        let result = of_work.result.lock().unwrap_or_else(PoisonError::into_inner).take();
                        End::Done(result.unwrap_or_default())
                    }
                    Err(f) => End::Refused(Refusal::new(f, app.output.warnings())),
                }
            })
        })?;
        Ok(Self { thread, ended, host, token })
    }

    /// Waits until the command has ended, at most for that long; says whether it has.
    pub fn wait(&mut self, limit: Duration) -> bool {
        !matches!(self.ended.recv_timeout(limit), Err(RecvTimeoutError::Timeout))
    }

    /// How far it is, if it is at anything that takes long.
    pub fn reading(&self) -> Option<Reading> {
        let state = self.host.now.lock().unwrap_or_else(PoisonError::into_inner).clone();
        state.and_then(|s| s.read())
    }

    /// Asks it to end. It does so at its next point, or was done before.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Waits until it has ended.
    pub fn finish(self) -> End {
        match join(self.thread) {
            Ok(Ok(end)) => end,
            Ok(Err(Cancelled)) => End::Cancelled,
            Err(f) => End::Refused(Refusal::new(f, Vec::new())),
        }
    }
}

/// The process that started the threads for proving, and how many were asked for.
static THREADS: Mutex<Option<(u32, Option<u16>)>> = Mutex::new(None);

/// Starts the threads that prove, `count` or one for each core. Once they run, their number is fixed.
///
/// # Errors
/// If another number of threads runs already, or they cannot be started.
pub fn set_threads(count: u16) -> Result<(), Refusal> {
    EMBEDDED.store(true, Ordering::Relaxed);
    threads(Some(count)).map_err(|f| Refusal::new(f, Vec::new()))
}

fn threads(count: Option<u16>) -> Outcome<()> {
    let mut started = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    match *started {
        // The threads stayed behind in the other process: work given to them would wait for ever.
        Some((process, _)) if process != std::process::id() => {
            Err(Failure::new("this process was forked from one that had used assay before")
                .help("start processes anew: multiprocessing.set_start_method(\"spawn\")"))
        }
        Some((_, now)) if count.is_some() && count != now => Err(Failure::new(format!(
            "the number of threads is fixed once they run: now {}",
            now.map_or_else(|| "one for each core".to_owned(), |n| n.to_string())
        ))
        .help("set it before everything else, or set RAYON_NUM_THREADS before the program starts")),
        Some(_) => Ok(()),
        None => {
            // Zero threads mean one for each core.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count.map_or(0, usize::from));
            pool.thread_name(|_| WORKER.to_owned()).build_global().map_err(|e| {
                Failure::new(format!("cannot start the threads that prove: {e}"))
                    .help("free memory, or raise the limit on processes (ulimit -u)")
            })?;
            *started = Some((std::process::id(), count));
            Ok(())
        }
    }
}
