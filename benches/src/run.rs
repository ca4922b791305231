//! One network, from ONNX file to verified proof, with a time for every step.

use crate::{
    held_out::{Expected, named},
    settlement::{settlement, vector},
};
use assay_circuits::{
    Program, Tensor,
    model::Model,
    onnx::{CompileOptions, compile, load},
};
use assay_prover::{ProvingKey, Recorder, SetupOptions, device::Cpu, prove, settle::Optimize, setup, srs::Srs};
use assay_verifier::{core, meter, protocol::Mode, security::security};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    time::Instant,
};

/// Any error, as text: a benchmark has nobody to match on it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An array of an npz file, cut into samples.
fn samples(path: &Path, array: &str, len: usize) -> Result<Vec<Vec<f32>>, Failure> {
    let mut npz = npyz::npz::NpzArchive::new(BufReader::new(File::open(path)?))?;
    let array = npz.by_name(array)?.ok_or_else(|| format!("no array '{array}' in {}", path.display()))?;
    let values: Vec<f32> = array.into_vec()?;
    Ok(values.chunks_exact(len.max(1)).map(<[f32]>::to_vec).collect())
}

/// The first sample of `<name>_input.json`.
fn input(path: &Path) -> Result<Vec<f32>, Failure> {
    let value: Value = serde_json::from_reader(BufReader::new(File::open(path)?))?;
    let row = value["input_data"][0].as_array().ok_or("no input_data")?;
    row.iter().map(|v| v.as_f64().map(|v| v as f32).ok_or_else(|| "a value that is no number".into())).collect()
}

/// Pixels of an image of the digits.
const DIGIT: usize = 64;

/// A network as it is found.
struct Source {
    onnx: PathBuf,
    /// Samples with a tensor for each input.
    inputs: Vec<Vec<Vec<f32>>>,
    calibration: Vec<Vec<Vec<f32>>>,
    /// What the float model makes of the inputs, where a file says so.
    expected: Option<Expected>,
}

/// Samples of networks with one input.
fn single(values: Vec<Vec<f32>>) -> Vec<Vec<Vec<f32>>> {
    values.into_iter().map(|v| vec![v]).collect()
}

/// A network of the demo (`digits_*`), of the folder, or generated there.
fn source(folder: &Path, name: &str) -> Result<Source, Failure> {
    if name.starts_with("digits_") {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/assets");
        let data = assets.join("digits_test.npz");
        let inputs = single(samples(&data, "x", DIGIT)?);
        let calibration = single(samples(&data, "calibration", DIGIT)?);
        return Ok(Source { onnx: assets.join(format!("{name}.onnx")), inputs, calibration, expected: None });
    }
    let here = folder.join(format!("{name}.onnx")).exists();
    let folder = if here { folder.to_path_buf() } else { folder.join("generated") };
    let onnx = folder.join(format!("{name}.onnx"));
    let of = |part: &str| folder.join(format!("{name}_{part}.npz"));
    if of("held_out").exists() {
        let inputs = named(&onnx, &of("held_out"))?;
        let calibration = named(&onnx, &of("calibration"))?;
        return Ok(Source { expected: Some(Expected::read(&of("expected"))?), onnx, inputs, calibration });
    }
    let x = input(&folder.join(format!("{name}_input.json")))?;
    let calibration = single(samples(&of("calibration"), "x", x.len())?);
    Ok(Source { onnx, inputs: vec![vec![x]], calibration, expected: None })
}

/// Largest resident size of this process so far, in bytes.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn stages(recorder: &Recorder<'_>) -> BTreeMap<&'static str, f64> {
    recorder.seconds().into_iter().map(|(s, x)| (s.name(), x)).collect()
}

pub(crate) fn timed<T>(f: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let out = f();
    (out, start.elapsed().as_secs_f64())
}

/// A network that is compiled, and its inputs.
struct Loaded {
    model: Model,
    compile_seconds: f64,
    inputs: Vec<Vec<Tensor>>,
    /// Input values that were clamped.
    saturated: usize,
    /// How far held-out outputs are from the float model's.
    held_out: Option<Value>,
}

fn prepare(folder: &Path, name: &str, batch: usize) -> Result<Loaded, Failure> {
    let Source { onnx, inputs: all, calibration, expected } = source(folder, name)?;
    let (model, compile_seconds) = timed(|| {
        let float = load(&onnx)?;
        compile(&float, &CompileOptions::default(), Some(&calibration), &mut |_, _, _| {})
    });
    let model: Model = model?;
    let mut saturated = 0;
    let mut inputs = Vec::with_capacity(batch);
    // Fewer images than the batch has slots are proven again.
    for sample in all.iter().cycle().take(batch) {
        let (quantized, clamped) = model.quantize_all(sample)?;
        saturated += clamped;
        inputs.push(quantized);
    }
    let held_out = expected.map(|e| e.compare(&model, &all)).transpose()?;
    Ok(Loaded { model, compile_seconds, inputs, saturated, held_out })
}

/// A golden vector of a network: see [`vector`].
pub fn golden(folder: &Path, name: &str, batch: usize) -> Result<Value, Failure> {
    let loaded = prepare(folder, name, batch)?;
    vector(&loaded.model, &loaded.inputs)
}

/// Compiles, sets up, proves `repeats` times (reporting medians) and verifies the network `name` of a folder; with `settle`, also
/// settles it and submits the proof on the embedded EVM.
pub fn network(folder: &Path, name: &str, batch: usize, repeats: usize, settle: bool) -> Result<Value, Failure> {
    let Loaded { model, compile_seconds, inputs, saturated, held_out } = prepare(folder, name, batch)?;
    let (srs, srs_seconds) = timed(|| {
        let program = Program::inference(&model.graph, batch, Default::default())?;
        let power = assay_prover::setup::choose_row_bits(&program);
        Ok::<_, Failure>(Srs::development(u32::try_from(power)?, 1)?)
    });
    let srs = srs?;
    let device = Cpu::default();
    let setup_recorder = Recorder::default();
    let (key, setup_seconds) = timed(|| setup(&device, &model, &srs, SetupOptions::default(), &setup_recorder));
    let key: ProvingKey = key?;
    let (checked, key_check_seconds) = timed(|| core::check_registration(&key.verifying));
    checked?;
    let (mut prove_seconds, mut verify_seconds, mut stage_seconds) = (vec![], vec![], BTreeMap::new());
    let mut proof_bytes = 0;
    for _ in 0..repeats.max(1) {
        let recorder = Recorder::default();
        let (proved, seconds) = timed(|| prove(&device, &key, &inputs, &recorder));
        let proved = proved?;
        prove_seconds.push(seconds);
        for (stage, s) in stages(&recorder) {
            stage_seconds.entry(stage).or_insert_with(Vec::new).push(s);
        }
        let bytes = proved.proof.to_bytes();
        proof_bytes = bytes.len();
        let (verified, seconds) = timed(|| {
            let proof = assay_verifier::CoreProof::from_bytes(&bytes)?;
            Ok::<_, Failure>(core::verify(&key.verifying, &proof)?)
        });
        verified?;
        verify_seconds.push(seconds);
    }
    let core_peak = peak_memory();
    // Large networks settle too, but not on a machine of this size in a benchmark's time.
    let settled = if settle { Some(settlement(&model, &inputs, repeats, Optimize::Gas)?) } else { None };
    let program = key.verifying.program(batch)?;
    let (cost, _) = meter::measure(&program, key.verifying.row_bits, Mode::Core)?;
    let stage_seconds: BTreeMap<_, _> = stage_seconds.into_iter().map(|(k, v)| (k, median(v))).collect();
    Ok(json!({
        "network": name,
        "batch": batch,
        "repeats": repeats,
        "threads": rayon_threads(),
        "parameters": model.graph.parameters(),
        "multiply_adds": u64::try_from(model.graph.multiply_adds()).unwrap_or(u64::MAX),
        "weight_bits": model.report.weight_bits,
        "activation_bits": model.report.activation_bits,
        "top1_agreement": model.report.top1(),
        "max_error": model.report.max_error(),
        "saturated_inputs": saturated,
        "held_out": held_out,
        "compile_seconds": compile_seconds,
        "srs_seconds": srs_seconds,
        "setup_seconds": setup_seconds,
        "setup_stages": stages(&setup_recorder),
        "key_check_seconds": key_check_seconds,
        "prove_seconds": median(prove_seconds),
        "prove_stages": stage_seconds,
        "verify_seconds": median(verify_seconds),
        "proof_bytes": proof_bytes,
        "key_bytes": key.verifying.to_bytes()?.len(),
        "peak_memory_bytes": core_peak,
        "settled_peak_memory_bytes": settled.as_ref().and_then(|_| peak_memory()),
        "settled": settled,
        "row_bits": key.verifying.row_bits,
        "witness_rows": cost.witness_rows,
        "model_rows": cost.model_rows,
        "lookups": program.lookups(),
        "table_rows": program.table_rows(),
        "messages": cost.messages,
        "permutations": cost.permutations,
        "security_bits": security(&program, key.verifying.row_bits).bits,
    }))
}

fn rayon_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
