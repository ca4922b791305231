//! Measuring the prover: one case after another, each in a pool of its own, with a warm-up.

pub(crate) mod plot;

use crate::{
    App,
    args::{KeyArgs, QuantArgs, SettleArgs, ShapeArgs},
    cost::{self, Machine},
    demo_data,
    error::{Failure, Outcome},
    flow::{self, timed},
    output, settlement,
};
use assay_circuits::{Tensor, Visibility, model::Model};
use assay_prover::{
    Recorder, Stage,
    device::{Cpu, cuda::recovering},
    settle::settle,
};
use assay_verifier::{core::verify, settle::key::Context};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, time::Instant};

/// What the kernels run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// The processor, with the vector instructions that it has
    Cpu,
    /// The processor, without them
    Portable,
    /// The CUDA card that --device names, or the first one
    Cuda,
}

impl Device {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Portable => "portable",
            Self::Cuda => "cuda",
        }
    }

    /// What runs the kernels: the instructions, or the card.
    fn kernels(self, app: &App) -> Outcome<String> {
        Ok(match self {
            Self::Cpu => Cpu::default().kernels().to_owned(),
            Self::Portable => Cpu::portable().kernels().to_owned(),
            Self::Cuda => app.devices.named()?.1,
        })
    }
}

/// Runs an expression with a case's device, `$device`. A card that fails ends the measurement: what the processor would do instead is
/// not what was asked for.
macro_rules! measured_on {
    ($app:expr, $which:expr, |$device:ident| $work:expr) => {
        match $which {
            Device::Cpu => {
                let $device = &Cpu::default();
                let out = $work;
                crate::device::announce_trouble($app, $device);
                out
            }
            Device::Portable => {
                let $device = &Cpu::portable();
                $work
            }
            Device::Cuda => {
                let ($device, _) = $app.devices.named()?;
                recovering(|| $work).unwrap_or_else(|failure| {
                    Err(Failure::new(failure.to_string())
                        .help("measure smaller batches, or the processor: --kernels cpu"))
                })
            }
        }
    };
}

/// A model and inputs for it.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) model: Model,
    inputs: Vec<Vec<Tensor>>,
}

/// Made-up inputs of a model that brings none.
const MADE_UP: usize = 16;

impl Subject {
    /// The demo's networks and test images.
    pub(crate) fn defaults(app: &App) -> Outcome<Vec<Self>> {
        let mut out = Vec::new();
        for network in [demo_data::Network::Mlp, demo_data::Network::Cnn] {
            let (float, calibration) = network.load()?;
            let model = flow::compile(app, &float, &QuantArgs::default().options(false), Some(&calibration))?;
            let samples = demo_data::images()?.into_iter().map(|i| vec![i]).collect();
            let inputs = flow::quantize(app, &model, &samples)?;
            out.push(Self { name: network.name().to_owned(), model, inputs });
        }
        Ok(out)
    }

    /// A model of the user's, with made-up inputs within the middle half of its calibrated ranges: what they are changes
    /// nothing about the work.
    pub(crate) fn load(app: &App, path: &Path, quant: &QuantArgs) -> Outcome<Self> {
        let model = flow::load_model(app, path, quant, false)?.model;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |lo: i128, hi: i128| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (lo, hi) = (lo / 2, hi / 2);
            (lo + i128::from(state >> 33) % (hi - lo + 1).max(1)) as i64
        };
        let one = |next: &mut dyn FnMut(i128, i128) -> i64| {
            let tensor = |id: &assay_circuits::NodeId| {
                let node = model.graph.node(*id);
                let n = node.shape.iter().product();
                let data = (0..n).map(|_| next(node.range.lo, node.range.hi)).collect();
                Tensor { shape: node.shape.clone(), data }
            };
            model.graph.inputs().iter().map(tensor).collect::<Vec<_>>()
        };
        let inputs = (0..MADE_UP).map(|_| one(&mut next)).collect();
        let name = path.file_stem().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        Ok(Self { name, model, inputs })
    }

    fn batch(&self, n: u32) -> Vec<Vec<Tensor>> {
        self.inputs.iter().cycle().take(n as usize).cloned().collect()
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) subject: usize,
    pub(crate) batch: u32,
    pub(crate) threads: usize,
    pub(crate) device: Device,
    pub(crate) settle: bool,
}

impl Case {
    pub(crate) fn title(&self) -> String {
        let kind = if self.settle { "settled" } else { "core" };
        let threads = if self.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", self.threads) };
        format!("{kind}, batch {}, {threads}, {}", self.batch, self.device.name())
    }
}

/// What was measured.
pub(crate) struct Measured {
    /// Of each proof, in ascending order.
    prove_seconds: Vec<f64>,
    pub(crate) verify_seconds: f64,
    setup_seconds: f64,
    pub(crate) proof_bytes: usize,
    pub(crate) peak_memory: Option<u64>,
    /// Median seconds of the prover's stages.
    prover: Vec<(Stage, f64)>,
    /// What ran the kernels.
    kernels: String,
    /// Seconds that the constants of `cost` predict and seconds measured, by the names that `cost` uses.
    pub(crate) stages: BTreeMap<String, (f64, f64)>,
}

/// The value that a share of all values does not exceed (nearest rank); values ascend.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

impl Measured {
    pub(crate) fn median(&self) -> f64 {
        percentile(&self.prove_seconds, 0.5)
    }

    pub(crate) fn p95(&self) -> f64 {
        percentile(&self.prove_seconds, 0.95)
    }

    pub(crate) fn inferences_per_second(&self, case: &Case) -> f64 {
        f64::from(case.batch) / self.median()
    }

    pub(crate) fn macs_per_second(&self, subject: &Subject, case: &Case) -> f64 {
        subject.model.graph.multiply_adds() as f64 * self.inferences_per_second(case)
    }

    /// Shares of the stages in the time of a proof.
    pub(crate) fn shares(&self) -> Vec<(&'static str, f64)> {
        let total: f64 = self.prover.iter().map(|(_, s)| s).sum();
        self.prover.iter().map(|(stage, s)| (stage.name(), s / total.max(1e-12))).collect()
    }

    pub(crate) fn json(&self, subject: &Subject, case: &Case) -> Value {
        json!({
            "model": subject.name,
            "settled": case.settle,
            "batch": case.batch,
            "threads": case.threads,
            "device": case.device.name(),
            "kernels": self.kernels,
            "parameters": subject.model.graph.parameters(),
            "macs": u64::try_from(subject.model.graph.multiply_adds()).unwrap_or(u64::MAX),
            "repeats": self.prove_seconds.len(),
            "median_seconds": self.median(),
            "p95_seconds": self.p95(),
            "inferences_per_second": self.inferences_per_second(case),
            "macs_per_second": self.macs_per_second(subject, case),
            "setup_seconds": self.setup_seconds,
            "verify_seconds": self.verify_seconds,
            "proof_bytes": self.proof_bytes,
            "peak_memory_bytes": self.peak_memory,
            "stage_seconds": flow::stages_json(&self.prover),
        })
    }
}

/// Measures a case.
pub(crate) fn measure(app: &App, subject: &Subject, case: &Case, repeats: usize, limit: f64) -> Outcome<Measured> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(case.threads).stack_size(crate::STACK_BYTES).build();
    let pool = pool.map_err(|e| {
        Failure::new(format!("cannot start {} threads: {e}", case.threads)).help("choose fewer: --with-threads N")
    })?;
    output::reset_peak_memory();
    let mut measured = pool.install(|| {
        if case.settle { settled(app, subject, case, repeats, limit) } else { core(app, subject, case, repeats, limit) }
    })?;
    measured.peak_memory = output::peak_memory_bytes();
    Ok(measured)
}

/// What came of running a proof again and again.
struct Repeated<T> {
    /// The last one.
    proof: T,
    /// Seconds of each, in ascending order.
    seconds: Vec<f64>,
    /// Median seconds of the stages.
    stages: Vec<(Stage, f64)>,
}

/// Runs a proof once to warm up, and then as often as is asked for or time allows.
fn repeat<T>(repeats: usize, limit: f64, mut prove: impl FnMut(&Recorder<'_>) -> Outcome<T>) -> Outcome<Repeated<T>> {
    let mut last = prove(&Recorder::default())?;
    let (mut all, mut by_stage) = (Vec::new(), Vec::<(Stage, Vec<f64>)>::new());
    let start = Instant::now();
    while all.len() < repeats && (all.is_empty() || start.elapsed().as_secs_f64() < limit) {
        let recorder = Recorder::default();
        let (proof, seconds) = timed(|| prove(&recorder));
        last = proof?;
        all.push(seconds);
        for (stage, seconds) in recorder.seconds() {
            match by_stage.iter_mut().find(|(s, _)| *s == stage) {
                Some((_, list)) => list.push(seconds),
                None => by_stage.push((stage, vec![seconds])),
            }
        }
    }
    all.sort_by(f64::total_cmp);
    let median = |mut list: Vec<f64>| {
        list.sort_by(f64::total_cmp);
        percentile(&list, 0.5)
    };
    let stages = by_stage.into_iter().map(|(s, list)| (s, median(list))).collect();
    Ok(Repeated { proof: last, seconds: all, stages })
}

fn core(app: &App, subject: &Subject, case: &Case, repeats: usize, limit: f64) -> Outcome<Measured> {
    let kernels = case.device.kernels(app)?;
    let prepared = flow::prepare(app, &subject.model, &KeyArgs::default(), false)?;
    let key = &prepared.key;
    let inputs = subject.batch(case.batch);
    let Repeated { proof, seconds: prove_seconds, stages: prover } =
        measured_on!(app, case.device, |device| repeat(repeats, limit, |recorder| {
            Ok(assay_prover::prove(device, key, &inputs, recorder)?.proof)
        }))?;
    let (verified, verify_seconds) = timed(|| verify(&key.verifying, &proof));
    verified.map_err(|e| Failure::new(format!("a proof of the benchmark does not verify: {e}")).bug())?;
    let visibility = key.verifying.visibility;
    let row_bits = Some(key.verifying.row_bits);
    let predicted = cost::estimate(&Machine::unit(), &subject.model.graph, case.batch as usize, visibility, row_bits)?;
    let mut stages: BTreeMap<String, (f64, f64)> =
        prover.iter().map(|(s, t)| (s.name().to_owned(), (predicted.of(*s), *t))).collect();
    stages.insert("setup".to_owned(), (predicted.setup_seconds, prepared.seconds));
    Ok(Measured {
        prove_seconds,
        verify_seconds,
        setup_seconds: prepared.seconds,
        proof_bytes: proof.to_bytes().len(),
        peak_memory: None,
        prover,
        kernels,
        stages,
    })
}

fn settled(app: &App, subject: &Subject, case: &Case, repeats: usize, limit: f64) -> Outcome<Measured> {
    let kernels = case.device.kernels(app)?;
    let batch = case.batch as usize;
    let prepared =
        settlement::prepare(app, &subject.model, batch, &ShapeArgs::default(), None, &SettleArgs::default())?;
    let p = &prepared.prover;
    let inputs = subject.batch(case.batch);
    let Repeated { proof, seconds: prove_seconds, stages: prover } =
        measured_on!(app, case.device, |device| repeat(repeats, limit, |recorder| {
            Ok(settle(device, p, &inputs, Context::default(), recorder)?.proof)
        }))?;
    let (verified, verify_seconds) = timed(|| p.key.verify(&proof));
    verified.map_err(|e| Failure::new(format!("a settled proof of the benchmark does not verify: {e}")).bug())?;
    let (d, registration_k) = (&p.key.descriptor, p.key.registration_circuit.k);
    let speed = cost::speed();
    let of = |wanted: &[Stage]| prover.iter().filter(|(s, _)| wanted.contains(s)).map(|(_, t)| t).sum::<f64>();
    let mut stages = BTreeMap::new();
    for (name, predicted) in cost::settlement::stages(&p.program, d.row_bits, d.circuit.k, speed) {
        let measured = match name {
            "settle commit" => of(&[Stage::Commit]),
            "circuit" => of(&[Stage::Circuit]),
            "halo2" => of(&[Stage::Halo2]),
            "settle opening" => of(&[Stage::Opening]),
            _ => of(&[Stage::Evaluate, Stage::Witness, Stage::Lookups, Stage::Operators, Stage::Reduction]),
        };
        stages.insert(name.to_owned(), (predicted, measured));
    }
    if !prepared.cached {
        let registration = assay_circuits::Program::registration(&subject.model.graph)?;
        let predicted = cost::settlement::key_seconds(&registration, d.row_bits, d.circuit.k, registration_k, speed);
        stages.insert("settlement key".to_owned(), (predicted, prepared.seconds));
    }
    debug_assert_eq!(p.key.visibility, Visibility::default());
    Ok(Measured {
        prove_seconds,
        verify_seconds,
        setup_seconds: prepared.seconds,
        proof_bytes: proof.to_bytes().len(),
        peak_memory: None,
        prover,
        kernels,
        stages,
    })
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let v: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((percentile(&v, 0.5), percentile(&v, 0.95), percentile(&v, 1.0)), (10.0, 19.0, 20.0));
        assert_eq!((percentile(&[3.0], 0.5), percentile(&[3.0], 0.95)), (3.0, 3.0));
        assert!(percentile(&[], 0.5).is_nan());
    }
}
