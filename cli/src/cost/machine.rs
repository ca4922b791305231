//! How fast this machine is, as `assay bench` measured it: one factor for each stage, by which predictions are multiplied.
//!
//! Measurements are kept in the cache folder. They hold for one processor, its vector instructions, one number of threads and
//! one version of Assay, all of which are in the entry's name.

use crate::{App, srs};
use assay_prover::device::Cpu;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Factors on predicted seconds, by stage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Machine {
    factors: BTreeMap<String, f64>,
    /// Where nothing was measured.
    default: f64,
    /// Whether anything was measured here.
    pub(crate) measured: bool,
}

/// How many times as long as with AVX-512 IFMA a proof takes with AVX2, and with neither: at most, over the networks of `benches`
/// (`benches/README.md`).
const AVX2: f64 = 2.0;
const PORTABLE: f64 = 2.7;
/// A factor is believed within these bounds; beyond them something else was measured.
const BOUNDS: (f64, f64) = (0.02, 50.0);

/// The processor, as the system calls it.
pub(crate) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn entry(threads: usize) -> String {
    let parts = [
        processor().into_bytes(),
        Cpu::default().kernels().as_bytes().to_vec(),
        threads.to_be_bytes().to_vec(),
        env!("CARGO_PKG_VERSION").as_bytes().to_vec(),
        if cfg!(debug_assertions) { b"debug".to_vec() } else { b"release".to_vec() },
    ];
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    srs::key_entry(&parts).replace(".key", ".machine")
}

impl Machine {
    /// What is known without a measurement.
    pub(crate) fn unmeasured() -> Self {
        Self { factors: BTreeMap::new(), default: Self::slowdown(), measured: false }
    }

    /// How many times as long as with AVX-512 IFMA, from which the figures are, the kernels of this machine take.
    pub(crate) fn slowdown() -> f64 {
        match Cpu::default().kernels() {
            "AVX-512 IFMA" => 1.0,
            "AVX2" => AVX2,
            _ => PORTABLE,
        }
    }

    /// What was measured here before with that many threads, or [`Self::unmeasured`].
    pub(crate) fn load(app: &App, threads: usize) -> Self {
        let mut out = Self::unmeasured();
        let Some(bytes) = app.cache.get(&entry(threads), &app.output) else { return out };
        let Ok(Value::Object(map)) = serde_json::from_slice(&bytes) else { return out };
        for (stage, factor) in map {
            if let Some(f) = factor.as_f64().filter(|f| (BOUNDS.0..=BOUNDS.1).contains(f)) {
                out.factors.insert(stage, f);
                out.measured = true;
            }
        }
        out
    }

    /// Keeps measurements: for each stage, seconds predicted by [`Self::unit`] and seconds measured. Stages that were not
    /// measured now keep what was known of them.
    pub(crate) fn store(app: &App, threads: usize, seconds: &BTreeMap<String, (f64, f64)>) -> Self {
        let mut out = Self::load(app, threads);
        for (stage, (predicted, measured)) in seconds {
            if *predicted > 0.0 && *measured > 0.0 {
                out.factors.insert(stage.clone(), (measured / predicted).clamp(BOUNDS.0, BOUNDS.1));
                out.measured = true;
            }
        }
        let map: Map<String, Value> = out.factors.iter().map(|(k, v)| (k.clone(), Value::from(*v))).collect();
        app.cache.put(&entry(threads), Value::Object(map).to_string().as_bytes());
        out
    }

    /// A machine whose predictions are those of the table of constants.
    pub(crate) fn unit() -> Self {
        Self { factors: BTreeMap::new(), default: 1.0, measured: false }
    }

    /// Seconds that a stage takes here, of those that the constants say.
    pub(crate) fn seconds(&self, stage: &str, by_constants: f64) -> f64 {
        by_constants * self.factors.get(stage).copied().unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::Cache, device::Devices, output::Output};

    #[test]
    fn measurements_are_kept_by_threads_and_bounded() {
        let dir = std::env::temp_dir().join(format!("assay-machine-test-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let app = App { output: Output::new(false, true), cache: Cache::at(dir.clone()), devices: Devices::default() };
        assert_eq!(Machine::load(&app, 2), Machine::unmeasured());
        let of = |p: f64, m: f64| BTreeMap::from([("commit".to_owned(), (p, m))]);
        let stored = Machine::store(&app, 2, &of(2.0, 5.0));
        assert_eq!(stored, Machine::load(&app, 2));
        assert!(stored.measured && stored.seconds("commit", 4.0) == 10.0);
        assert_eq!(stored.seconds("lookups", 4.0), Machine::unmeasured().seconds("lookups", 4.0));
        // Another stage is added; another number of threads is another machine; nonsense is bounded.
        let more = BTreeMap::from([("halo2".to_owned(), (1.0, 1e9))]);
        let both = Machine::store(&app, 2, &more);
        assert_eq!((both.seconds("commit", 4.0), both.seconds("halo2", 1.0)), (10.0, 50.0));
        assert_eq!(Machine::load(&app, 1), Machine::unmeasured());
        // What was not written by us is not believed.
        app.cache.put(&entry(2), br#"{"commit": -3, "lookups": "x", "halo2": 1e99}"#);
        assert_eq!(Machine::load(&app, 2), Machine::unmeasured());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
