//! The heartbeat of one job, from a thread of its own: the message does not come back while somebody works on it, and work that
//! nobody will take any more is stopped.

use super::{
    backend::{Backend, Message},
    record::Record,
};
use assay_contracts::B256;
use assay_prover::cancel::Token;
use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often it is looked whether the process is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Why the work was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The record says that it is somebody else's, or over.
    Lost,
    /// It took longer than it may.
    Late,
    /// The process is to end.
    Ending,
}

#[derive(Debug, Default)]
struct Shared {
    over: Mutex<bool>,
    changed: Condvar,
    why: Mutex<Option<Why>>,
}

/// It beats until it is dropped.
#[derive(Debug)]
pub(crate) struct Beat {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    token: Token,
}

/// Whose heart beats.
pub(crate) struct Life {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) message: Arc<Message>,
    pub(crate) job: B256,
    /// Whether the work is still wanted, by the job's record.
    pub(crate) wanted: Box<dyn Fn(&Record) -> bool + Send>,
    /// Longest time that the work may take.
    pub(crate) limit: Duration,
    /// Whether the process is to end.
    pub(crate) ending: Arc<AtomicBool>,
}

impl Beat {
    /// Starts it. Without a thread there is none, and the message may come back while it is worked on: slower, and no harm.
    pub(crate) fn start(life: Life) -> Self {
        let (shared, token) = (Arc::new(Shared::default()), Token::default());
        let (of_thread, of_token) = (Arc::clone(&shared), token.clone());
        let thread = std::thread::Builder::new().name("assay-beat".to_owned()).spawn(move || {
            if let Some(why) = beat(&life, &of_thread) {
                *of_thread.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                of_token.cancel();
            }
        });
        Self { shared, thread: thread.ok(), token }
    }

    /// Cancelled when the work is not wanted any more.
    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// Why it was cancelled.
    pub(crate) fn why(&self) -> Why {
        self.shared.why.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(Why::Lost)
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        *self.shared.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn beat(life: &Life, shared: &Shared) -> Option<Why> {
    let start = Instant::now();
    let every = life.backend.terms().lease / 3;
    let mut next = start + every;
    loop {
        let over = shared.over.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = LOOK.min(next.saturating_duration_since(Instant::now()));
        let waited = shared.changed.wait_timeout_while(over, wait, |over| !*over);
        if waited.map_or_else(|e| *e.into_inner().0, |(over, _)| *over) {
            return None;
        }
        if life.ending.load(Ordering::Relaxed) {
            return Some(Why::Ending);
        }
        if start.elapsed() > life.limit {
            return Some(Why::Late);
        }
        if Instant::now() < next {
            continue;
        }
        // A beat that is lost is made up for by the next one.
        let _ = life.backend.progress(&life.message);
        if let Ok(Some((record, _))) = life.backend.read(life.job, false)
            && !(life.wanted)(&record)
        {
            return Some(Why::Lost);
        }
        next = Instant::now() + every;
    }
}
