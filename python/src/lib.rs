//! The extension module `assay._native`: runs commands of Assay's in this process. Everything that Python users see is in
//! the package `assay`, written in Python, on top of it.
//!
//! While a command runs, the interpreter's lock is given up; it is taken twenty times a second to see whether the user
//! pressed Ctrl+C and to tell how far the command is.

use assay_cli::embed::{End, Job, Reading, Refusal};
use pyo3::{exceptions::PyKeyboardInterrupt, prelude::*};
use serde_json::{Value, json};
use std::{ffi::OsString, time::Duration};

/// How often Python gets to have its say.
const STEP: Duration = Duration::from_millis(50);

/// What a call comes to: exit code of the command line, and its fields as JSON.
type Answer = (u8, String);

fn refused(r: Refusal) -> Answer {
    let fields = json!({ "cause": r.cause, "help": r.help, "warnings": r.warnings });
    (r.code, fields.to_string())
}

fn done(result: &Value) -> Answer {
    (0, result.to_string())
}

/// Tells the observer, if anything changed since it was told last.
fn tell(py: Python<'_>, observer: Option<&Py<PyAny>>, job: &Job, told: &mut Option<Reading>) -> PyResult<()> {
    let (Some(observer), Some(now)) = (observer, job.reading()) else { return Ok(()) };
    if told.as_ref() != Some(&now) {
        observer.call1(py, (&now.title, &now.stage, now.share, now.left))?;
        *told = Some(now);
    }
    Ok(())
}

/// Runs a command and returns its exit code and the fields of its result or of its refusal.
///
/// `observer(title, stage, share, left)` is called in the calling thread. What it raises, and Ctrl+C, ends the command; the
/// second Ctrl+C does not wait for that.
#[pyfunction]
#[pyo3(signature = (args, observer=None))]
fn run(py: Python<'_>, args: Vec<OsString>, observer: Option<Py<PyAny>>) -> PyResult<Answer> {
    let mut job = match Job::start(args) {
        Ok(job) => job,
        Err(r) => return Ok(refused(r)),
    };
    let mut told = None;
    let mut stopped = None;
    while !py.detach(|| job.wait(STEP)) {
        let result = match &stopped {
            None => py.check_signals().and_then(|()| tell(py, observer.as_ref(), &job, &mut told)),
            Some(_) => py.check_signals(),
        };
        if let Err(e) = result {
            job.cancel();
            if stopped.is_some() {
                return Err(e);
            }
            stopped = Some(e);
        }
    }
    let end = py.detach(|| job.finish());
    match (stopped, end) {
        (Some(e), _) => Err(e),
        (None, End::Done(result)) => Ok(done(&result)),
        (None, End::Refused(r)) => Ok(refused(r)),
        // Nobody but this function cancels.
        (None, End::Cancelled) => Err(PyKeyboardInterrupt::new_err(())),
    }
}

/// Fixes the number of threads that prove; returns as [`run`] does.
#[pyfunction]
fn set_threads(count: u16) -> Answer {
    assay_cli::embed::set_threads(count).map_or_else(refused, |()| done(&Value::Null))
}

/// The command line, printing as it does: for `python -m assay`. Returns the exit code.
#[pyfunction]
fn main(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| assay_cli::main(args))
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{main, run, set_threads};

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
