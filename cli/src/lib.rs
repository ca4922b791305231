//! `assay`: prove and verify AI inferences from the command line ([`main()`]), or inside of another program ([`embed`]).
//!
//! Exit codes: 0 done, and a checked proof is valid; 1 a checked proof is not valid; 2 nothing could be checked.

mod accuracy;
mod args;
mod art;
mod bench;
mod cache;
mod chain;
mod cmd;
mod cost;
mod demo_confidential;
mod demo_data;
mod demo_training;
mod device;
mod economy;
pub mod embed;
mod error;
mod explorer;
mod farm;
mod files;
mod flow;
mod input;
mod output;
mod progress;
mod settlement;
mod signals;
mod split;
mod srs;
mod stacks;
mod training;
mod worker;

use crate::{
    args::{Cli, Command},
    cache::Cache,
    device::Devices,
    error::{Exit, Failure, Outcome},
    output::Output,
};
use assay_prover::{device::CpuError, pages};
use clap::Parser;
use std::{
    ffi::OsString,
    sync::{
        Mutex, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// What every command has at hand.
pub(crate) struct App {
    pub(crate) output: Output,
    pub(crate) cache: Cache,
    pub(crate) devices: Devices,
}

impl App {
    /// How fast this machine is with the threads at hand.
    pub(crate) fn machine(&self) -> cost::Machine {
        cost::Machine::load(self, rayon::current_num_threads())
    }
}

/// Where and why the program broke, for the one line that the user sees.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Stack of the thread that does the work: graphs are walked recursively here and there.
pub(crate) const STACK_BYTES: usize = 256 << 20;

/// Keeps what a panic says instead of printing it, for threads that [`spawn`] started.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = std::thread::current().name() == Some(WORKER);
            // Of a program that has other threads, those are its own business.
            if !ours && EMBEDDED.load(Ordering::Relaxed) {
                return before(info);
            }
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
            let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
            if let Ok(mut p) = PANIC.lock() {
                *p = Some(format!("{}{place}", text.lines().next().unwrap_or_default()));
            }
        }));
    });
}

/// Whether another program runs commands inside of itself.
static EMBEDDED: AtomicBool = AtomicBool::new(false);

/// Name of the thread that does the work.
const WORKER: &str = "assay";

/// Starts the thread that does the work.
fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<JoinHandle<T>> {
    keep_panics();
    std::thread::Builder::new().name(WORKER.to_owned()).stack_size(STACK_BYTES).spawn(work).map_err(|e| {
        Failure::new(format!("cannot start a thread: {e}"))
            .help("free memory, or raise the limit on processes (ulimit -u)")
    })
}

/// What the thread that does the work came to; a panic is a failure of Assay's own.
fn join<T>(thread: JoinHandle<T>) -> Outcome<T> {
    thread.join().map_err(|_| {
        let text = PANIC.lock().ok().and_then(|mut p| p.take()).unwrap_or_default();
        Failure::new(text).bug()
    })
}

/// Runs the command that the arguments say; the first one is the program's name. Prints results and errors,
/// and returns the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(e) => return usage(&e, &args),
    };
    let (json, quiet) = (cli.global.json, cli.global.quiet);
    let output = Output::new(json, quiet);
    pages::keep();
    let work = move || {
        let result = setup_threads(cli.global.threads).map(|()| {
            let app = App {
                cache: Cache::open(&output),
                output,
                devices: Devices::new(cli.global.device.unwrap_or_default()),
            };
            let result = run(&app, cli.command);
            if let Err(f) = &result {
                app.output.failure(f);
            }
            result.map_or_else(|f| f.exit, |()| Exit::Success)
        });
        result.unwrap_or_else(|f| {
            Output::new(json, quiet).failure(&f);
            f.exit
        })
    };
    let exit = spawn(work).and_then(join).unwrap_or_else(|f| {
        Output::new(json, quiet).failure(&f);
        f.exit
    });
    exit as u8
}

/// Help and version on standard output; mistakes in the arguments as any other failure.
fn usage(e: &clap::Error, args: &[OsString]) -> u8 {
    if e.use_stderr() && args.iter().any(|a| a == "--json") {
        Output::new(true, false).failure(&mistake(e));
    } else {
        let _ = e.print();
    }
    if e.use_stderr() { Exit::CouldNotCheck as u8 } else { Exit::Success as u8 }
}

/// A mistake in the arguments as a failure.
fn mistake(e: &clap::Error) -> Failure {
    let text = e.to_string();
    let mut lines = text.lines().filter(|l| !l.trim().is_empty());
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Failure::new(first).help("assay --help lists commands and options")
}

/// Commands take the device without asking again.
fn select_device() -> Outcome<()> {
    let cpu = assay_prover::device::Cpu::selected();
    cpu.map(|_| ()).map_err(|e| {
        let help = match e {
            CpuError::Icicle(_) => "name the folder with ICICLE's libraries or its curve library, or unset ASSAY_ICICLE: nothing else needs it",
            _ => "unset ASSAY_CPU, or set it to auto, portable, avx2 or avx512",
        };
        Failure::new(e.to_string()).help(help)
    })
}

fn setup_threads(threads: Option<u16>) -> Outcome<()> {
    select_device()?;
    let Some(n) = threads else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(n))
        .build_global()
        .map_err(|e| Failure::new(format!("cannot start {n} threads: {e}")).help("choose fewer: --threads N"))
}

fn run(app: &App, command: Command) -> Outcome<()> {
    match command {
        Command::Demo(a) => cmd::demo::run(app, &a),
        Command::Inspect(a) => cmd::inspect::run(app, &a),
        Command::Compile(a) => cmd::compile::run(app, &a),
        Command::Split(a) => cmd::split::run(app, &a),
        Command::Setup(a) => cmd::setup::run(app, &a),
        Command::Prove(a) => cmd::prove::run(app, &a),
        Command::Settle(a) => cmd::settle::run(app, &a),
        Command::Verify(a) => cmd::verify::run(app, &a),
        Command::Train(a) => cmd::train::run(app, &a),
        Command::Evaluate(a) => cmd::evaluate::run(app, &a),
        Command::Run(a) => cmd::run::run(app, &a),
        Command::Chain(a) => cmd::chain::run(app, &a),
        Command::Model(a) => cmd::model::run(app, &a),
        Command::Job(a) => cmd::job::run(app, &a),
        Command::Dataset(a) => cmd::dataset::run(app, &a),
        Command::Task(a) => cmd::task::run(app, &a),
        Command::Vote(a) => cmd::govern::vote(app, &a),
        Command::Token(a) => cmd::govern::token(app, &a),
        Command::Worker(a) => cmd::worker::run(app, &a),
        Command::Farm(a) => cmd::farm::run(app, &a),
        Command::Explorer(a) => cmd::explorer::run(app, &a),
        Command::Bench(a) => cmd::bench::run(app, &a),
        Command::Estimate(a) => cmd::estimate::run(app, &a),
        Command::Srs(a) => cmd::srs::run(app, &a),
        Command::Stack(a) => cmd::stack::run(app, &a),
        Command::Show(a) => cmd::show::run(app, &a),
        Command::Doctor(a) => cmd::doctor::run(app, &a),
        Command::Completions(a) => cmd::completions::run(app, &a),
    }
}
