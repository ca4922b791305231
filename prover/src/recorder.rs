//! Where time goes: stages, their seconds, and progress for whoever watches.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// A stage of setup or proving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Running the integer graph.
    Evaluate,
    /// Laying out the witness: keys, remainders, multiplicities.
    Witness,
    /// Row commitments.
    Commit,
    /// The fraction tree.
    Lookups,
    /// The sumcheck of all contractions.
    Operators,
    /// The opening reduction.
    Reduction,
    /// The opening of the combined row.
    Opening,
    /// Proving that a model is well formed.
    Registration,
    /// Laying out the settlement circuit.
    Circuit,
    /// Proving the settlement circuit.
    Halo2,
}

impl Stage {
    /// Every stage, in the order in which they run.
    pub const ALL: [Self; 10] = [
        Self::Evaluate,
        Self::Witness,
        Self::Commit,
        Self::Lookups,
        Self::Operators,
        Self::Reduction,
        Self::Opening,
        Self::Registration,
        Self::Circuit,
        Self::Halo2,
    ];

    /// A short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Witness => "witness",
            Self::Commit => "commit",
            Self::Lookups => "lookups",
            Self::Operators => "operators",
            Self::Reduction => "reduction",
            Self::Opening => "opening",
            Self::Registration => "registration",
            Self::Circuit => "circuit",
            Self::Halo2 => "halo2",
        }
    }
}

/// Called when a stage begins.
pub type Watcher<'a> = &'a (dyn Fn(Stage) + Sync);

/// Records the seconds of each stage.
pub struct Recorder<'a> {
    watcher: Option<Watcher<'a>>,
    times: Mutex<Vec<(Stage, Duration)>>,
}

impl<'a> Recorder<'a> {
    /// A recorder that tells a watcher of every stage.
    pub fn new(watcher: Option<Watcher<'a>>) -> Self {
        Self { watcher, times: Mutex::new(Vec::new()) }
    }

    /// Runs a stage; before it work may be [cancelled](crate::cancel).
    pub fn run<T>(&self, stage: Stage, f: impl FnOnce() -> T) -> T {
        crate::cancel::point();
        if let Some(w) = self.watcher {
            w(stage);
        }
        let start = Instant::now();
        let out = f();
        if let Ok(mut times) = self.times.lock() {
            times.push((stage, start.elapsed()));
        }
        out
    }

    /// Seconds by stage, in order of first occurrence.
    pub fn seconds(&self) -> Vec<(Stage, f64)> {
        let mut out: Vec<(Stage, f64)> = Vec::new();
        if let Ok(times) = self.times.lock() {
            for (stage, d) in times.iter() {
                match out.iter_mut().find(|(s, _)| s == stage) {
                    Some((_, total)) => *total += d.as_secs_f64(),
                    None => out.push((*stage, d.as_secs_f64())),
                }
            }
        }
        out
    }
}

impl Default for Recorder<'_> {
    fn default() -> Self {
        Self::new(None)
    }
}
