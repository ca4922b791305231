//! Progress on standard error: a bar with stage and remaining time, for work that takes more than a moment. A program that
//! commands run inside of reads it instead.

use crate::{
    embed::Reading,
    output::{Output, seconds},
};
use assay_prover::cancel;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long work goes on without a bar.
const PATIENCE: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_millis(80);
const STEPS: u64 = 1000;

/// A bar over stages whose durations are predicted. Does nothing unless standard error is a terminal.
pub(crate) struct Progress {
    state: Arc<State>,
    painter: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct State {
    done: AtomicBool,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    title: String,
    stage: String,
    since: Instant,
    /// Predicted seconds before this stage, of this stage, and of everything.
    before: f64,
    here: f64,
    total: f64,
    /// Exact share of the stage, where it is known.
    share: Option<f64>,
}

impl Progress {
    /// A bar named `title`; `total` predicted seconds, or 0 where nothing is known.
    pub(crate) fn start(output: &Output, title: &str, total: f64) -> Self {
        let now = Now {
            title: title.to_owned(),
            stage: String::new(),
            since: Instant::now(),
            before: 0.0,
            here: total,
            total,
            share: None,
        };
        let state = Arc::new(State { done: AtomicBool::new(false), now: Mutex::new(now) });
        if let Some(host) = &output.host {
            host.watch(&state);
        }
        let shown = !output.json && !output.quiet && std::io::stderr().is_terminal();
        // A bar is drawn over itself, which a dumb terminal cannot.
        let shown = shown && std::env::var("TERM").map_or(true, |t| t != "dumb");
        let painter = shown.then(|| {
            let state = Arc::clone(&state);
            std::thread::spawn(move || paint(&state))
        });
        Self { state, painter }
    }

    /// A stage begins that should take `predicted` seconds. Here work may be cancelled.
    pub(crate) fn stage(&self, name: &str, predicted: f64) {
        cancel::point();
        if let Ok(mut now) = self.state.now.lock() {
            if now.stage.is_empty() {
                now.here = 0.0;
            }
            now.before += now.here;
            now.here = predicted;
            now.since = Instant::now();
            name.clone_into(&mut now.stage);
            now.share = None;
        }
    }

    /// Progress of one stage whose name says more as it goes on.
    pub(crate) fn share(&self, name: &str, done: u64, total: u64) {
        cancel::point();
        if let Ok(mut now) = self.state.now.lock() {
            name.clone_into(&mut now.stage);
            now.share = (total > 0).then(|| done as f64 / total as f64);
        }
    }

    /// Progress within the only stage: `done` of `total`. Here work may be cancelled.
    pub(crate) fn set(&self, name: &str, done: u64, total: u64) {
        cancel::point();
        if let Ok(mut now) = self.state.now.lock() {
            if now.stage != name {
                name.clone_into(&mut now.stage);
                now.since = Instant::now();
            }
            now.share = (total > 0).then(|| done as f64 / total as f64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.state.done.store(true, Ordering::Relaxed);
        if let Some(p) = self.painter.take() {
            p.thread().unpark();
            let _ = p.join();
        }
    }
}

impl State {
    /// How far the work is; nothing once it has ended.
    pub(crate) fn read(&self) -> Option<Reading> {
        if self.done.load(Ordering::Relaxed) {
            return None;
        }
        let now = self.now.lock().ok()?;
        let (share, left) = now.estimate(now.since.elapsed());
        let known = now.share.is_some() || now.total > 0.0;
        Some(Reading { title: now.title.clone(), stage: now.stage.clone(), share: known.then_some(share), left })
    }
}

fn paint(state: &State) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if state.done.load(Ordering::Relaxed) {
            return;
        }
        std::thread::park_timeout(PATIENCE.saturating_sub(start.elapsed()));
    }
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix:>12} {bar:30.cyan/blue} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
    while !state.done.load(Ordering::Relaxed) {
        if let Ok(now) = state.now.lock() {
            let (position, left) = now.estimate(now.since.elapsed());
            bar.set_prefix(now.title.clone());
            bar.set_position((position * STEPS as f64) as u64);
            let left = match left {
                None => format!("{} so far", seconds(start.elapsed().as_secs_f64().floor())),
                Some(l) if l < 1.5 => "about a second left".to_owned(),
                Some(l) if l < 100.0 => format!("about {l:.0} s left"),
                Some(l) => format!("about {} left", seconds(l)),
            };
            bar.set_message(if now.stage.is_empty() { left } else { format!("{}, {left}", now.stage) });
        }
        std::thread::park_timeout(TICK);
    }
    bar.finish_and_clear();
}

impl Now {
    /// Share done, and seconds left where they can be told, so long after the stage began.
    fn estimate(&self, elapsed: Duration) -> (f64, Option<f64>) {
        let elapsed = elapsed.as_secs_f64();
        if let Some(share) = self.share {
            let left = (share > 0.02).then(|| elapsed * (1.0 - share) / share);
            return (share, left);
        }
        if self.total <= 0.0 {
            return (0.0, None);
        }
        // A stage that takes longer than predicted slows down instead of overtaking the next one.
        let here = if elapsed < 0.8 * self.here {
            elapsed
        } else {
            self.here * (1.0 - 0.2 * (-(elapsed / self.here.max(1e-9) - 0.8)).exp())
        };
        let done = (self.before + here).min(self.total * 0.995);
        (done / self.total, Some(self.total - done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_stay_in_bounds() {
        let after = |elapsed: u64, before: f64, here: f64, total: f64, share: Option<f64>| {
            let (title, stage, since) = (String::new(), "s".to_owned(), Instant::now());
            Now { title, stage, since, before, here, total, share }.estimate(Duration::from_secs(elapsed))
        };
        let (p, left) = after(1, 1.0, 2.0, 4.0, None);
        assert!((0.45..0.55).contains(&p) && left.is_some_and(|l| (1.8..2.2).contains(&l)));
        let (late, _) = after(1000, 1.0, 2.0, 4.0, None);
        assert!(late <= 0.75);
        let (end, _) = after(1000, 3.0, 1.0, 4.0, None);
        assert!(end < 1.0);
        assert_eq!(after(10, 0.0, 0.0, 0.0, Some(0.5)).0, 0.5);
        assert!(after(10, 0.0, 0.0, 0.0, None).1.is_none());
    }
}
