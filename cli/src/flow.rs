//! The steps that commands are made of: model, key, proof, check.

use crate::{
    App, accuracy,
    args::{BatchArgs, KeyArgs, QuantArgs, ReadArgs},
    cost,
    device::on_device,
    error::{Failure, Outcome},
    files::{self, Kind},
    input::{self, Role, Samples},
    output::{bytes, count, seconds},
    progress::Progress,
    srs,
    stacks::{CommitArgs, Named},
};
use assay_circuits::{
    Program, Tensor, Visibility, canonical,
    eval::Saturation,
    model::{Model, TensorSpec},
    onnx::{self, CompileOptions, FloatModel},
    stack::{self, NamedStack},
};
use assay_prover::{
    Linked, ProveError, ProvingKey, Recorder, SetupOptions, Stack, Stage, prove_linked,
    setup::{self, SetupError, choose_row_bits},
    srs::Srs,
};
use assay_verifier::{
    CoreProof, VerifyingKey,
    core::{Verified, check_registration, hex, verify},
};
use serde_json::{Value, json};
use std::{path::Path, sync::atomic::Ordering, time::Instant};

/// Runs `f` and returns its seconds too.
pub(crate) fn timed<T>(f: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let out = f();
    (out, start.elapsed().as_secs_f64())
}

/// A model and the seconds that compiling it took, if it was compiled now.
pub(crate) struct Compiled {
    pub(crate) model: Model,
    pub(crate) seconds: Option<f64>,
}

/// Reads a compiled model, or compiles an ONNX one.
pub(crate) fn load_model(app: &App, path: &Path, quant: &QuantArgs, private_output: bool) -> Outcome<Compiled> {
    match files::kind(path)? {
        Kind::Model => {
            if quant.is_used() {
                return Err(Failure::new(format!("'{}' is compiled already", path.display())).help(
                    "options for quantization, --dim, --batch-axis, --set and --drop-softmax need the .onnx file",
                ));
            }
            let bytes = files::read_kind(path, Kind::Model)?;
            let model = Model::from_bytes(&bytes).map_err(|e| Failure::from(e).in_file(path))?;
            accuracy::remind(app, &model);
            Ok(Compiled { model, seconds: None })
        }
        kind if kind.may_be_onnx() => {
            let float = load_onnx(path, &quant.read)?;
            let samples = calibration(app, &float, quant.calibrate.as_deref())?;
            let (model, seconds) = timed(|| compile(app, &float, &quant.options(private_output), samples.as_deref()));
            let model = model.map_err(|f| f.in_file(path))?;
            accuracy::gate(app, &model, quant.accept_accuracy).map_err(|f| f.in_file(path))?;
            Ok(Compiled { model, seconds: Some(seconds) })
        }
        kind => {
            let order = if matches!(kind, Kind::Json | Kind::Npy | Kind::Npz) {
                "are the arguments swapped? MODEL comes before INPUT; "
            } else {
                ""
            };
            Err(Failure::new(format!("'{}' is {}; expected a model", path.display(), kind.name()))
                .help(format!("{order}pass an .onnx file, or what `assay compile MODEL.onnx -o FILE` wrote")))
        }
    }
}

pub(crate) fn load_onnx(path: &Path, args: &ReadArgs) -> Outcome<FloatModel> {
    let kind = files::kind(path)?;
    if !kind.may_be_onnx() {
        return Err(files::wrong_kind(path, Kind::Onnx, kind));
    }
    onnx::load_with(path, &args.options()).map_err(|e| Failure::from(e).in_file(path))
}

/// Samples for calibration from a file.
pub(crate) fn calibration(app: &App, float: &FloatModel, path: Option<&Path>) -> Outcome<Option<Samples>> {
    let Some(path) = path else { return Ok(None) };
    let specs: Vec<TensorSpec> = float.inputs.iter().map(|(name, shape)| TensorSpec::uniform(name, shape, 0)).collect();
    input::read(app, path, &specs, Role::Calibration).map(Some)
}

/// Quantizes, with progress, and warns where the report is bad.
pub(crate) fn compile(
    app: &App,
    float: &FloatModel,
    options: &CompileOptions,
    calibration: Option<&[Vec<Vec<f32>>]>,
) -> Outcome<Model> {
    let progress = Progress::start(&app.output, "compile", 0.0);
    let mut report = |stage: &str, done: u64, total: u64| progress.set(stage, done, total);
    let model = onnx::compile(float, options, calibration, &mut report)?;
    drop(progress);
    if model.report.generated {
        app.output
            .warn("no calibration data: ranges come from made-up samples; pass real inputs with --calibrate DATA");
    }
    Ok(model)
}

/// A key ready to prove with.
pub(crate) struct Prepared {
    pub(crate) key: ProvingKey,
    pub(crate) seconds: f64,
    pub(crate) cached: bool,
}

/// Makes a key, or takes it from the cache.
pub(crate) fn prepare(app: &App, model: &Model, args: &KeyArgs, use_cache: bool) -> Outcome<Prepared> {
    let visibility = args.shape.visibility();
    let program = Program::inference(&model.graph, 1, visibility)?;
    let row_bits = args.shape.row_bits.map_or_else(|| choose_row_bits(&program), usize::from);
    let srs = srs::choose(app, args.srs.as_deref(), u32::try_from(row_bits).unwrap_or(u32::MAX))?;
    warn_insecure(app, srs.insecure_dev);
    let start = Instant::now();
    let entry = srs::key_entry(&[
        &model.model_id()?,
        &canonical::to_bytes(&(&model.inputs, &model.outputs))?,
        &canonical::to_bytes(&visibility)?,
        &row_bits.to_be_bytes(),
        &srs.hash,
        env!("CARGO_PKG_VERSION").as_bytes(),
    ]);
    if use_cache && let Some(bytes) = app.cache.get(&entry, &app.output) {
        match VerifyingKey::from_bytes(&bytes).ok().map(|k| setup::load(model, k, &srs)) {
            Some(Ok(key)) if key.verifying.visibility == visibility && key.verifying.row_bits == row_bits => {
                return Ok(Prepared { key, seconds: start.elapsed().as_secs_f64(), cached: true });
            }
            // The entry is good: these powers of tau, of the same ceremony, are too few to use it, or to make another.
            Some(Err(e @ SetupError::Prove(ProveError::SrsTooSmall { .. }))) => return Err(e.into()),
            _ => app.cache.discard(&entry, &app.output),
        }
    }
    let key = set_up(app, model, &srs, visibility, row_bits)?;
    let seconds = start.elapsed().as_secs_f64();
    app.cache.put(&entry, &key.verifying.to_bytes()?);
    Ok(Prepared { key, seconds, cached: false })
}

fn set_up(app: &App, model: &Model, srs: &Srs, visibility: Visibility, row_bits: usize) -> Outcome<ProvingKey> {
    let predicted = cost::estimate(&app.machine(), &model.graph, 1, visibility, Some(row_bits))?;
    let progress = Progress::start(&app.output, "setup", predicted.setup_seconds);
    let watch = |stage: Stage| progress.stage(stage.name(), predicted.setup_seconds / 3.0);
    let options = SetupOptions { visibility, row_bits: Some(row_bits) };
    let recorder = Recorder::new(Some(&watch));
    let card = app.devices.card(app, predicted.leaves, predicted.model_entries)?;
    Ok(on_device!(app, card, |device| setup::setup(device, model, srs, options, &recorder))?)
}

/// Makes a key about named stacks, or takes it from the cache. What the stacks hold is no part of it.
pub(crate) fn prepare_named(
    app: &App,
    model: &Model,
    args: &KeyArgs,
    named: &[NamedStack],
    batch: usize,
) -> Outcome<Prepared> {
    let visibility = args.shape.visibility();
    let row_bits = named.first().map_or(0, |n| n.schema.row_bits);
    let srs = srs::choose(app, args.srs.as_deref(), u32::from(row_bits) + 1)?;
    warn_insecure(app, srs.insecure_dev);
    let start = Instant::now();
    let options = SetupOptions { visibility, row_bits: args.shape.row_bits.map(usize::from) };
    let entry = srs::key_entry(&[
        b"linked",
        &model.model_id()?,
        &canonical::to_bytes(&(&model.inputs, &model.outputs))?,
        &canonical::to_bytes(&visibility)?,
        &canonical::to_bytes(&args.shape.row_bits.map(u32::from))?,
        &srs.hash,
        &canonical::to_bytes(&named.to_vec())?,
        &(batch as u64).to_be_bytes(),
        env!("CARGO_PKG_VERSION").as_bytes(),
    ]);
    if let Some(bytes) = app.cache.get(&entry, &app.output) {
        match VerifyingKey::from_bytes(&bytes).ok().map(|k| setup::load(model, k, &srs)) {
            Some(Ok(key)) if key.verifying.visibility == visibility && key.verifying.stacks == named => {
                return Ok(Prepared { key, seconds: start.elapsed().as_secs_f64(), cached: true });
            }
            Some(Err(e @ SetupError::Prove(ProveError::SrsTooSmall { .. }))) => return Err(e.into()),
            _ => app.cache.discard(&entry, &app.output),
        }
    }
    let predicted = cost::estimate_linked(&app.machine(), &model.graph, batch, visibility, None, named)?;
    let progress = Progress::start(&app.output, "setup", predicted.setup_seconds);
    let watch = |stage: Stage| progress.stage(stage.name(), predicted.setup_seconds / 3.0);
    let recorder = Recorder::new(Some(&watch));
    let card = app.devices.card(app, predicted.leaves, predicted.model_entries)?;
    let (key, seconds) = timed(|| {
        on_device!(app, card, |device| setup::setup_linked(device, model, named, batch, &srs, options, &recorder))
    });
    let key = key?;
    app.cache.put(&entry, &key.verifying.to_bytes()?);
    Ok(Prepared { key, seconds, cached: false })
}

/// Loads a key from a file for proving.
pub(crate) fn load_key(app: &App, model: &Model, path: &Path, srs_file: Option<&Path>) -> Outcome<Prepared> {
    use_key(app, model, read_key(path)?, srs_file, |f| f.in_file(path))
}

/// The powers of tau that proofs under a key take: a row of a named stack comes with what blinds it.
pub(crate) fn powers_of(app: &App, key: &VerifyingKey, srs_file: Option<&Path>) -> Outcome<Srs> {
    let power = key.row_bits + usize::from(!key.stacks.is_empty());
    srs::of_key(app, &key.srs, srs_file, u32::try_from(power).unwrap_or(u32::MAX))
}

/// As [`load_key`], of a key that was read; `blame` says where, if it is not the model's.
pub(crate) fn use_key(
    app: &App,
    model: &Model,
    verifying: VerifyingKey,
    srs_file: Option<&Path>,
    blame: impl FnOnce(Failure) -> Failure,
) -> Outcome<Prepared> {
    let srs = powers_of(app, &verifying, srs_file)?;
    warn_insecure(app, srs.insecure_dev);
    let (key, seconds) = timed(|| setup::load(model, verifying, &srs));
    let key = match key {
        Ok(key) => key,
        Err(e) => return Err(blame(e.into())),
    };
    // Names and steps are no part of a model's id: under a key with others, one proof would be read in two ways.
    if (&key.verifying.inputs, &key.verifying.outputs) != (&model.inputs, &model.outputs) {
        let f = Failure::new(
            "the key describes inputs and outputs otherwise than the model does: other names, shapes or steps",
        );
        return Err(blame(f.help("make a key of this model: assay setup MODEL -o KEY")));
    }
    Ok(Prepared { key, seconds, cached: true })
}

pub(crate) fn read_key(path: &Path) -> Outcome<VerifyingKey> {
    let bytes = files::read_kind(path, Kind::Key)?;
    VerifyingKey::from_bytes(&bytes).map_err(|e| Failure::from(e).in_file(path))
}

pub(crate) fn warn_insecure(app: &App, insecure: bool) {
    if insecure {
        app.output.warn(srs::INSECURE);
    }
}

/// A proof that was made and checked.
pub(crate) struct Proven {
    pub(crate) proof: CoreProof,
    pub(crate) bytes: Vec<u8>,
    /// `outputs[i][k]`: output `k` of inference `i`.
    pub(crate) outputs: Vec<Vec<Vec<f32>>>,
    pub(crate) stages: Vec<(Stage, f64)>,
    pub(crate) prove_seconds: f64,
    pub(crate) verify_seconds: f64,
}

/// Reads the samples that a proof will be about.
pub(crate) fn read_samples(app: &App, model: &Model, path: &Path, batch: BatchArgs) -> Outcome<Samples> {
    let samples = input::read(app, path, &model.inputs, Role::Input)?;
    let samples = input::take(samples, batch.from, batch.batch, path)?;
    app.output.strict.store(batch.strict, Ordering::Relaxed);
    if batch.strict {
        refuse_clamped(model, &samples, batch.from).map_err(|f| f.in_file(path))?;
    }
    Ok(samples)
}

/// As [`read_samples`], of the inputs that no stack holds; without a file the samples are empty, as many as the batch has.
pub(crate) fn read_open_samples(
    app: &App,
    model: &Model,
    path: Option<&Path>,
    commits: &CommitArgs,
    batch: BatchArgs,
) -> Outcome<(Named, Samples)> {
    let missing = || {
        Failure::new("INPUT is missing: the model has inputs that no stack holds")
            .help("name a file with the inputs behind the model")
    };
    let open = |named: &Named| {
        stack::open(&named.named, stack::Role::Input, &model.inputs).into_iter().cloned().collect::<Vec<_>>()
    };
    // Which inputs are left to read follows from the names in the stacks, the batch from the samples.
    let (named, size) = commits.resolve(model, None, None)?;
    let specs = open(&named);
    let Some(path) = path else {
        if !specs.is_empty() {
            return Err(missing());
        }
        return Ok((named, vec![vec![]; size]));
    };
    if specs.is_empty() {
        return Err(Failure::new(format!("'{}' is not needed: a stack holds all inputs", path.display()))
            .help("leave it out, or leave out --commit input=FILE"));
    }
    let samples = input::take(input::read(app, path, &specs, Role::Input)?, batch.from, batch.batch, path)?;
    app.output.strict.store(batch.strict, Ordering::Relaxed);
    if batch.strict && specs.len() == model.inputs.len() {
        refuse_clamped(model, &samples, batch.from).map_err(|f| f.in_file(path))?;
    }
    let (named, _) = commits.resolve(model, Some(samples.len()), None)?;
    Ok((named, samples))
}

/// Refuses inputs that leave the calibrated range.
fn refuse_clamped(model: &Model, samples: &Samples, first: usize) -> Outcome<()> {
    for (i, sample) in samples.iter().enumerate() {
        for (spec, v) in model.inputs.iter().zip(sample) {
            let (_, clamped) = model.quantize(spec, v)?;
            if clamped > 0 {
                let text = format!(
                    "sample {}, input '{}': {} outside of the calibrated range would be clamped",
                    first + i,
                    spec.name,
                    values(clamped)
                );
                return Err(Failure::new(text).help("calibrate with inputs like these, or leave --strict out"));
            }
        }
    }
    Ok(())
}

/// Inputs as integers, with a warning where they left the calibrated range.
pub(crate) fn quantize(app: &App, model: &Model, samples: &Samples) -> Outcome<Vec<Vec<Tensor>>> {
    let mut tensors = Vec::with_capacity(samples.len());
    let mut clamped = 0;
    for s in samples {
        let (t, n) = model.quantize_all(s)?;
        clamped += n;
        tensors.push(t);
    }
    warn_clamped(app, clamped);
    Ok(tensors)
}

/// Warns of inputs that were clamped.
pub(crate) fn warn_clamped(app: &App, clamped: usize) {
    if clamped > 0 {
        app.output.warn(format!(
            "{} of the input {} outside of the calibrated range and clamped; calibrate with such inputs",
            values(clamped),
            if clamped == 1 { "is" } else { "are" }
        ));
    }
}

/// Warns of values that a proof clamped, or refuses them (`--strict`).
pub(crate) fn warn_saturations(app: &App, saturations: &[Saturation]) -> Outcome<()> {
    if let Some(s) = saturations.first().filter(|_| app.output.strict.load(Ordering::Relaxed)) {
        let text = format!("at node '{}' {} left the calibrated range", s.name, values(s.count));
        return Err(Failure::new(text).help("calibrate with inputs like these, or leave --strict out"));
    }
    for s in saturations {
        app.output.warn(format!(
            "at node '{}' {} left the calibrated range and {} clamped, which the proof covers; the output may be far from \
             the float model's: calibrate with inputs like these",
            s.name,
            values(s.count),
            if s.count == 1 { "was" } else { "were" }
        ));
    }
    Ok(())
}

/// Quantizes, proves, and checks the proof as a verifier would.
pub(crate) fn prove(app: &App, model: &Model, key: &ProvingKey, samples: &Samples) -> Outcome<Proven> {
    let tensors = quantize(app, model, samples)?;
    let (proven, saturations, _) = prove_integers(app, model, key, &tensors, vec![])?;
    warn_saturations(app, &saturations)?;
    Ok(proven)
}

/// As [`prove()`], about named stacks; `tensors` are the inputs that no stack holds. The stacks come back, those made of outputs
/// too.
pub(crate) fn prove_named(
    app: &App,
    model: &Model,
    key: &ProvingKey,
    tensors: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
) -> Outcome<(Proven, Vec<Stack>)> {
    let (proven, saturations, stacks) = prove_integers(app, model, key, tensors, stacks)?;
    warn_saturations(app, &saturations)?;
    Ok((proven, stacks))
}

/// As [`prove_named`], in a graph where clamping is meant: nobody is warned of it.
pub(crate) fn prove_integers(
    app: &App,
    model: &Model,
    key: &ProvingKey,
    tensors: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
) -> Outcome<(Proven, Vec<Saturation>, Vec<Stack>)> {
    let (machine, k, batch) = (app.machine(), &key.verifying, tensors.len());
    let predicted = cost::estimate_linked(&machine, &model.graph, batch, k.visibility, Some(k.row_bits), &k.stacks)?;
    let progress = Progress::start(&app.output, "prove", predicted.prove_seconds());
    let watch = |stage: Stage| progress.stage(stage.name(), predicted.of(stage));
    let recorder = Recorder::new(Some(&watch));
    let card = app.devices.card(app, predicted.leaves, predicted.witness_entries.max(predicted.model_entries))?;
    let (proved, prove_seconds) =
        timed(|| on_device!(app, card, |device| prove_linked(device, key, tensors, stacks.clone(), &recorder)));
    let stages = recorder.seconds();
    drop(progress);
    let Linked { proved, stacks } = proved?;
    let (verified, verify_seconds) = timed(|| verify(&key.verifying, &proved.proof));
    verified.map_err(|e| Failure::new(format!("the new proof does not verify: {e}")).bug())?;
    let proven = Proven {
        bytes: proved.proof.to_bytes(),
        outputs: by_sample(&model.outputs, &proved.outputs, tensors.len())?,
        proof: proved.proof,
        stages,
        prove_seconds,
        verify_seconds,
    };
    Ok((proven, proved.saturations, stacks))
}

/// "1 value", "1,234 values".
fn values(n: usize) -> String {
    format!("{} value{}", count(n as u64), if n == 1 { "" } else { "s" })
}

/// Floats of tensors that hold a whole batch: `[sample][tensor]`.
pub(crate) fn by_sample(specs: &[TensorSpec], tensors: &[Tensor], batch: usize) -> Outcome<Vec<Vec<Vec<f32>>>> {
    let one = |i: usize, spec: &TensorSpec, t: &Tensor| -> Outcome<Vec<f32>> {
        let n = spec.len();
        let data = t.data.get(i * n..(i + 1) * n).ok_or_else(|| {
            Failure::new("a tensor of the proof is cut short").help("do not trust what the proof claims")
        })?;
        Ok(spec.dequantize(&Tensor { shape: spec.shape.clone(), data: data.to_vec() })?)
    };
    (0..batch).map(|i| specs.iter().zip(tensors).map(|(s, t)| one(i, s, t)).collect()).collect()
}

/// A key and a proof, checked; all times in seconds.
pub(crate) struct Checked {
    pub(crate) verified: Verified,
    pub(crate) registration_seconds: f64,
    pub(crate) verify_seconds: f64,
}

/// Counts the meanings that a remembered registration has had: raise it with every change of what [`check_registration`]
/// accepts, and all are checked again.
const REGISTRATION_CHECK: u32 = 1;

/// The cache entry that says that a key's registration was checked. It names all bytes of the key, the argument's too.
fn registration_entry(key: &VerifyingKey) -> Outcome<String> {
    Ok(format!(
        "registration-{}-{REGISTRATION_CHECK}-{}",
        env!("CARGO_PKG_VERSION"),
        hex(&assay_verifier::keccak::keccak256(&[&key.to_bytes()?]))
    ))
}

/// Checks a key's registration. One that was found valid is remembered in the cache.
pub(crate) fn check_key(app: &App, key: &VerifyingKey) -> Outcome<()> {
    let entry = registration_entry(key)?;
    if app.cache.get(&entry, &app.output).is_some() {
        return Ok(());
    }
    check_registration(key).map_err(|e| {
        Failure::new(format!("the key is not valid: {e}"))
            .help("its weights or tables are not what it says: no proof under it means anything")
            .invalid()
    })?;
    app.cache.put(&entry, b"valid");
    Ok(())
}

/// Checks a key and a proof.
pub(crate) fn check(app: &App, key: &VerifyingKey, proof: &CoreProof) -> Outcome<Checked> {
    let (registered, registration_seconds) = timed(|| check_key(app, key));
    registered?;
    let (verified, verify_seconds) = timed(|| verify(key, proof));
    Ok(Checked { verified: verified?, registration_seconds, verify_seconds })
}

/// Floats for JSON with as few digits as give the same 32-bit float.
pub(crate) fn floats_json(values: &[f32]) -> Value {
    values.iter().map(|v| v.to_string().parse::<f64>().map_or(Value::Null, Value::from)).collect()
}

/// One list for each tensor of each sample, as in input files.
pub(crate) fn samples_json(samples: &[Vec<Vec<f32>>]) -> Value {
    samples.iter().flatten().map(|v| floats_json(v)).collect()
}

/// Stage seconds for JSON.
pub(crate) fn stages_json(stages: &[(Stage, f64)]) -> Value {
    Value::Object(stages.iter().map(|(s, t)| (s.name().to_owned(), json!(t))).collect())
}

/// "commit 12 ms, lookups 30 ms".
pub(crate) fn stages_text(stages: &[(Stage, f64)]) -> String {
    stages.iter().map(|(s, t)| format!("{} {}", s.name(), seconds(*t))).collect::<Vec<_>>().join(", ")
}

/// Says what was proven, and how long it took.
pub(crate) fn say_proven(app: &App, prepared: &Prepared, proven: &Proven) {
    let o = &app.output;
    let n = proven.proof.batch;
    o.say(format!(
        "setup   {}{}",
        seconds(prepared.seconds),
        if prepared.cached { " (the key was there already)" } else { "" }
    ));
    o.say(format!(
        "prove   {} for {n} inference{} ({})",
        seconds(proven.prove_seconds),
        if n == 1 { "" } else { "s" },
        stages_text(&proven.stages)
    ));
    o.say(format!("verify  {}", seconds(proven.verify_seconds)));
    o.say(format!("proof   {}; sound, but NOT hiding", bytes(proven.bytes.len() as u64)));
}

/// The fields of a result that every proof has.
pub(crate) fn proven_json(model: &Model, prepared: &Prepared, proven: &Proven) -> Outcome<Value> {
    let v = prepared.key.verifying.visibility;
    Ok(json!({
        "valid": true,
        "model_id": hex(&model.model_id()?),
        "key_digest": hex(&prepared.key.digest),
        "batch": proven.proof.batch,
        "setup_seconds": prepared.seconds,
        "setup_cached": prepared.cached,
        "prove_seconds": proven.prove_seconds,
        "verify_seconds": proven.verify_seconds,
        "stage_seconds": stages_json(&proven.stages),
        "proof_bytes": proven.bytes.len(),
        "outputs": samples_json(&proven.outputs),
        "visibility": { "inputs": v.inputs, "weights": v.weights, "outputs": v.outputs },
        "insecure_srs": prepared.key.verifying.srs.insecure_dev,
        "hiding": false,
    }))
}

/// At most `limit` numbers of a tensor, for people.
pub(crate) fn short_list(values: &[f32], limit: usize) -> String {
    let shown: Vec<String> = values.iter().take(limit).map(|v| format!("{v:.4}")).collect();
    let more = values.len().saturating_sub(limit);
    let tail = if more > 0 { format!(", ... {} more", count(more as u64)) } else { String::new() };
    format!("[{}{tail}]", shown.join(", "))
}

/// Index of the largest entry.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if values.get(best).is_some_and(|b| v > b) {
            best = i;
        }
    }
    best
}

/// Says the outputs, a few inferences of them.
pub(crate) fn say_outputs(app: &App, specs: &[TensorSpec], outputs: &[Vec<Vec<f32>>], what: &str) {
    const SHOWN: usize = 8;
    for (i, sample) in outputs.iter().take(SHOWN).enumerate() {
        for (spec, values) in specs.iter().zip(sample) {
            let top = if values.len() > 1 { format!("  largest at {}", argmax(values)) } else { String::new() };
            app.output.say(format!("{what} {i} '{}' {:?} = {}{top}", spec.name, spec.shape, short_list(values, 12)));
        }
    }
    if outputs.len() > SHOWN {
        app.output.say(format!("... and {} more inferences (--json has all)", outputs.len() - SHOWN));
    }
}
