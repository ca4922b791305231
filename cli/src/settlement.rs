//! The steps of settling: secret, settlement key, settled proof, check.

use crate::{
    App,
    args::{SettleArgs, ShapeArgs},
    device::on_device,
    error::{Failure, Outcome},
    files::{self, Kind},
    flow::{self, by_sample, timed},
    input::Samples,
    output::{bytes, seconds},
    progress::Progress,
    srs,
};
use assay_circuits::{
    Program, Tensor, Visibility, canonical,
    eval::Saturation,
    model::Model,
    program::{MODEL, WITNESS},
    stack::{self, NamedStack},
};
use assay_prover::{
    Recorder, Stack, Stage,
    device::Cpu,
    settle::{
        Optimize, SettleFailure, SettledStack, SettlementOptions, SettlementProver, check_key, choose_row_bits,
        load_settlement, needed_power, reopen_settlement, settle_linked, setup_settlement,
    },
};
use assay_verifier::{
    core::{Verified, hex},
    settle::key::{Context, SettledProof, SettlementKey},
};
use rand::{RngCore, rngs::OsRng};
use serde_json::{Value, json};
use std::{path::Path, time::Instant};

/// Cache entry of the secret that blinds weights.
const SECRET: &str = "settlement.secret";

/// A settlement key ready to prove with.
pub(crate) struct Prepared {
    pub(crate) prover: SettlementProver,
    pub(crate) seconds: f64,
    pub(crate) cached: bool,
}

/// The secret that blinds weights: the user's file, or one of this machine's, made on first use. Public weights are not
/// blinded and need none.
pub(crate) fn secret(app: &App, visibility: Visibility, file: Option<&Path>) -> Outcome<[u8; 32]> {
    let short = |what: &str| {
        Failure::new(format!("{what} must hold 32 bytes, as 64 hexadecimal digits"))
            .help("make one: openssl rand -hex 32 > FILE (then chmod 600 FILE)")
    };
    if let Some(path) = file {
        let text = files::read(path, 256)?;
        return parse_hex(&String::from_utf8_lossy(&text)).ok_or_else(|| short(&format!("'{}'", path.display())));
    }
    if visibility.weights {
        return Ok([0; 32]);
    }
    if let Some(bytes) = app.cache.get(SECRET, &app.output) {
        return bytes.try_into().map_err(|_| short("the cached secret"));
    }
    let fresh = random()?;
    // A secret that is forgotten gives another settlement id the next time.
    let kept = app.cache.keep_private(SECRET, &fresh, &app.output).map_err(|why| {
        Failure::new(format!("the secret that blinds the weights cannot be kept: {why}")).help(
            "without it the same model would get another settlement id every time: make a secret and pass it with \
             --secret FILE (openssl rand -hex 32 > FILE; keep it to yourself), or set ASSAY_CACHE to a folder that can be written",
        )
    })?;
    kept.try_into().map_err(|_| short("the cached secret"))
}

/// Thirty-two bytes from the system.
pub(crate) fn random() -> Outcome<[u8; 32]> {
    let mut fresh = [0u8; 32];
    OsRng.try_fill_bytes(&mut fresh).map_err(|e| {
        Failure::new(format!("no random numbers from the system: {e}")).help("check that /dev/urandom can be read here")
    })?;
    Ok(fresh)
}

/// Hexadecimal digits, with or without `0x`.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    if digits.len() != 2 * N || !digits.is_ascii() {
        return None;
    }
    let mut out = [0u8; N];
    for (i, b) in out.iter_mut().enumerate() {
        *b = u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

/// Makes a settlement key, or takes it from the cache.
pub(crate) fn prepare(
    app: &App,
    model: &Model,
    batch: usize,
    shape: &ShapeArgs,
    srs_file: Option<&Path>,
    args: &SettleArgs,
) -> Outcome<Prepared> {
    prepare_named(app, model, batch, shape, srs_file, args, vec![])
}

/// As [`prepare`], of a key about named stacks.
pub(crate) fn prepare_named(
    app: &App,
    model: &Model,
    batch: usize,
    shape: &ShapeArgs,
    srs_file: Option<&Path>,
    args: &SettleArgs,
    stacks: Vec<SettledStack>,
) -> Outcome<Prepared> {
    let secret = secret(app, shape.visibility(), args.secret.as_deref())?;
    prepare_with(app, model, batch, shape, srs_file, (args.optimize.into(), secret, stacks))
}

/// As [`prepare_named`], of a graph all of whose weights are in stacks: what is left to blind are tables, which are no secret, so
/// that whoever knows graph and powers of tau makes the key of the same id.
pub(crate) fn prepare_shared(
    app: &App,
    model: &Model,
    shape: &ShapeArgs,
    srs_file: Option<&Path>,
    args: &SettleArgs,
    stacks: Vec<SettledStack>,
) -> Outcome<Prepared> {
    let secret = match args.secret.as_deref() {
        Some(path) => secret(app, shape.visibility(), Some(path))?,
        None => [0; 32],
    };
    prepare_with(app, model, 1, shape, srs_file, (args.optimize.into(), secret, stacks))
}

/// As [`prepare`], for a demonstration: where no secret can be kept, one is made that nobody will need again.
pub(crate) fn prepare_once(
    app: &App,
    model: &Model,
    batch: usize,
    shape: &ShapeArgs,
    stacks: Vec<SettledStack>,
) -> Outcome<Prepared> {
    let secret = secret(app, shape.visibility(), None).or_else(|_| random())?;
    prepare_with(app, model, batch, shape, None, (Optimize::default(), secret, stacks))
}

fn prepare_with(
    app: &App,
    model: &Model,
    batch: usize,
    shape: &ShapeArgs,
    srs_file: Option<&Path>,
    (optimize, secret, stacks): (Optimize, [u8; 32], Vec<SettledStack>),
) -> Outcome<Prepared> {
    let visibility = shape.visibility();
    let named: Vec<NamedStack> = stacks.iter().map(|s| s.named.clone()).collect();
    let program = Program::linked(&model.graph, batch, visibility, &named)?;
    let registration = Program::registration_beside(&model.graph, &named)?;
    let of_stacks = named.first().map(|n| usize::from(n.schema.row_bits));
    let chosen = || of_stacks.unwrap_or_else(|| choose_row_bits(&program, &registration, optimize));
    let row_bits = shape.row_bits.map_or_else(chosen, usize::from);
    let power = needed_power(&program, &registration, row_bits)?;
    let srs = srs::choose(app, srs_file, power)?;
    flow::warn_insecure(app, srs.insecure_dev);
    let options = SettlementOptions {
        visibility,
        batch: u32::try_from(batch)
            .map_err(|_| Failure::new("the batch is too large").help("settle fewer inferences at once: --batch N"))?,
        row_bits: Some(row_bits),
        optimize,
        stacks,
        secret,
    };
    let start = Instant::now();
    let pins: Vec<[u8; 32]> =
        options.stacks.iter().filter_map(|s| s.pinned.as_ref()).map(|s| s.id()).collect::<Result<_, _>>()?;
    let entry = srs::key_entry(&[
        b"settlement",
        &model.model_id()?,
        &canonical::to_bytes(&(&model.inputs, &model.outputs))?,
        &canonical::to_bytes(&visibility)?,
        &row_bits.to_be_bytes(),
        &options.batch.to_be_bytes(),
        &srs.hash,
        &canonical::to_bytes(&named)?,
        &pins.concat(),
        // A name must not tell the secret to whoever sees it.
        &canonical::digest("assay.cache.secret.v1", &[&options.secret]),
        env!("CARGO_PKG_VERSION").as_bytes(),
    ]);
    let progress = Progress::start(&app.output, "settlement key", 3.0);
    let watch = |stage: Stage| progress.stage(stage.name(), 1.0);
    let recorder = Recorder::new(Some(&watch));
    let device = Cpu::default();
    if let Some(bytes) = app.cache.get(&entry, &app.output) {
        let key = SettlementKey::from_bytes(&bytes).ok();
        let made = key.map(|k| {
            srs::keep_lagrange(app, &srs, k.descriptor.circuit.k);
            // The entry's name binds the model, its shape and the secret; the mark says that the circuit was computed here.
            if app.cache.get(&checked_entry(&k), &app.output).is_some() {
                reopen_settlement(&device, model, &srs, &options, k, &recorder)
            } else {
                load_settlement(&device, model, &srs, &options, k, &recorder)
            }
        });
        match made {
            Some(Ok(prover)) => return Ok(Prepared { prover, seconds: start.elapsed().as_secs_f64(), cached: true }),
            None | Some(Err(SettleFailure::Key(_))) => app.cache.discard(&entry, &app.output),
            // The entry is good; what there is to use it with is not, such as too few powers of tau of the same ceremony.
            Some(Err(e)) => return Err(e.into()),
        }
    }
    let (leaves, entries) = size(&program);
    let card = app.devices.card(app, leaves, entries)?;
    let prover = on_device!(app, card, |device| setup_settlement(device, model, &srs, &options, &recorder))?;
    drop(progress);
    app.cache.put(&entry, &prover.key.to_bytes()?);
    app.cache.put(&checked_entry(&prover.key), b"made here");
    srs::keep_lagrange(app, &srs, prover.key.descriptor.circuit.k);
    Ok(Prepared { prover, seconds: start.elapsed().as_secs_f64(), cached: false })
}

/// Leaves of the lookup tree, and entries of the longest stack.
fn size(program: &Program) -> (usize, usize) {
    (1 << program.leaf_bits, 1 << program.stack_bits(WITNESS).max(program.stack_bits(MODEL)))
}

/// A settled proof that was made and checked.
pub(crate) struct Settled {
    pub(crate) proof: SettledProof,
    pub(crate) bytes: Vec<u8>,
    /// `outputs[i][k]`: output `k` of inference `i`.
    pub(crate) outputs: Vec<Vec<Vec<f32>>>,
    pub(crate) stages: Vec<(Stage, f64)>,
    /// Stages of the core protocol.
    pub(crate) prove_seconds: f64,
    /// Everything after them: circuit, Halo2 proof, opening.
    pub(crate) settle_seconds: f64,
    pub(crate) verify_seconds: f64,
}

/// Stages that settling adds to the core.
const SETTLING: [Stage; 3] = [Stage::Circuit, Stage::Halo2, Stage::Opening];

/// Quantizes, proves, settles, and checks the proof as a verifier would.
pub(crate) fn prove(
    app: &App,
    model: &Model,
    prover: &SettlementProver,
    samples: &Samples,
    context: Context,
) -> Outcome<Settled> {
    let tensors = flow::quantize(app, model, samples)?;
    prove_tensors(app, model, prover, &tensors, context)
}

/// As [`prove`], from integers.
pub(crate) fn prove_tensors(
    app: &App,
    model: &Model,
    prover: &SettlementProver,
    tensors: &[Vec<Tensor>],
    context: Context,
) -> Outcome<Settled> {
    prove_named(app, model, prover, tensors, vec![], context).map(|(settled, _)| settled)
}

/// As [`prove_tensors`], about named stacks; `tensors` are the inputs that no stack holds. The stacks come back, those made of
/// outputs too.
pub(crate) fn prove_named(
    app: &App,
    model: &Model,
    prover: &SettlementProver,
    tensors: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
    context: Context,
) -> Outcome<(Settled, Vec<Stack>)> {
    let (settled, saturations, stacks) = prove_integers(app, model, prover, tensors, stacks, context)?;
    flow::warn_saturations(app, &saturations)?;
    Ok((settled, stacks))
}

/// As [`prove_named`], in a graph where clamping is meant: nobody is warned of it.
pub(crate) fn prove_integers(
    app: &App,
    model: &Model,
    prover: &SettlementProver,
    tensors: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
    context: Context,
) -> Outcome<(Settled, Vec<Saturation>, Vec<Stack>)> {
    let progress = Progress::start(&app.output, "settle", 2.5);
    let watch = |stage: Stage| progress.stage(stage.name(), if stage == Stage::Halo2 { 2.0 } else { 0.05 });
    let recorder = Recorder::new(Some(&watch));
    let (leaves, entries) = size(&prover.program);
    let card = app.devices.card(app, leaves, entries)?;
    let settled = on_device!(app, card, |device| settle_linked(
        device,
        prover,
        tensors,
        stacks.clone(),
        context.clone(),
        &recorder
    ));
    let stages = recorder.seconds();
    drop(progress);
    let settled = settled?;
    let (verified, verify_seconds) = timed(|| prover.key.verify(&settled.proof));
    verified.map_err(|e| Failure::new(format!("the new settled proof does not verify: {e}")).bug())?;
    let (after, before): (Vec<_>, Vec<_>) = stages.iter().partition(|(s, _)| SETTLING.contains(s));
    let total = |part: Vec<&(Stage, f64)>| part.iter().map(|(_, t)| t).sum::<f64>();
    let made = Settled {
        bytes: settled.proof.to_bytes(),
        outputs: by_sample(&model.outputs, &settled.outputs, tensors.len())?,
        proof: settled.proof,
        prove_seconds: total(before),
        settle_seconds: total(after),
        stages: stages.clone(),
        verify_seconds,
    };
    Ok((made, settled.saturations, settled.stacks))
}

/// What a settled proof shows under a key that is known to be good: one's own.
pub(crate) fn shown(key: &SettlementKey, proof: &SettledProof) -> Outcome<Verified> {
    let shown = key.verify(proof).map_err(|e| Failure::new(format!("the settled proof does not verify: {e}")).bug())?;
    Ok(verified(key, shown.tensors, shown.stacks))
}

/// The public tensors of a settled proof, sorted into inputs and outputs.
pub(crate) fn verified(key: &SettlementKey, public: Vec<Tensor>, stacks: Vec<[u8; 32]>) -> Verified {
    let open = stack::open(&key.stacks, stack::Role::Input, &key.inputs).len();
    let mut tensors = public.into_iter();
    let inputs = tensors.by_ref().take(if key.visibility.inputs { open } else { 0 }).collect();
    Verified { batch: usize::try_from(key.batch).unwrap_or(0), stacks, inputs, outputs: tensors.collect() }
}

/// Says what was settled, and how long it took.
pub(crate) fn say(app: &App, prepared: &Prepared, settled: &Settled) {
    let o = &app.output;
    let d = &prepared.prover.key.descriptor;
    let cached = if prepared.cached { " (the settlement key was there already)" } else { "" };
    o.say(format!("key     {}{cached}", seconds(prepared.seconds)));
    o.say(format!(
        "settle  {} after {} for the core ({})",
        seconds(settled.settle_seconds),
        seconds(settled.prove_seconds),
        flow::stages_text(&settled.stages)
    ));
    o.say(format!("check   {}", seconds(settled.verify_seconds)));
    o.say(format!(
        "settled {}, zero-knowledge; circuit of 2^{} rows; settlement id {}",
        bytes(settled.bytes.len() as u64),
        d.circuit.k,
        hex(&settled.proof.id)
    ));
}

/// The fields of a result that every settled proof has.
pub(crate) fn json(prepared: &Prepared, settled: &Settled) -> Value {
    let key = &prepared.prover.key;
    let d = &key.descriptor;
    json!({
        "settlement_id": hex(&settled.proof.id),
        "settlement_setup_seconds": prepared.seconds,
        "settlement_setup_cached": prepared.cached,
        "settle_core_seconds": settled.prove_seconds,
        "settle_seconds": settled.settle_seconds,
        "settle_stage_seconds": flow::stages_json(&settled.stages),
        "settle_verify_seconds": settled.verify_seconds,
        "settled_proof_bytes": settled.bytes.len(),
        "circuit_k": d.circuit.k,
        "row_bits": d.row_bits,
        "witness_rows": d.witness_rows(),
        "model_rows": d.model_rows.len(),
        "context": hex(&settled.proof.context.digest()),
    })
}

pub(crate) fn read_key(path: &Path) -> Outcome<SettlementKey> {
    let bytes = files::read_kind(path, Kind::SettlementKey)?;
    SettlementKey::from_bytes(&bytes).map_err(|e| Failure::from(e).in_file(path))
}

pub(crate) fn read_proof(path: &Path) -> Outcome<SettledProof> {
    let bytes = files::read_kind(path, Kind::SettledProof)?;
    SettledProof::from_bytes(&bytes).map_err(|e| Failure::from(e).in_file(path))
}

fn checked_entry(key: &SettlementKey) -> String {
    // The registration is no part of the id.
    let bytes = key.to_bytes().unwrap_or_default();
    format!("checked-{}.settlement", hex(&canonical::digest("assay.cache.checked.v1", &[&bytes])))
}

/// What a valid settled proof shows, and the seconds of the checks.
pub(crate) struct Checked {
    pub(crate) public: Vec<Tensor>,
    /// Ids of the stacks that the proof is about, in the key's order.
    pub(crate) stacks: Vec<[u8; 32]>,
    pub(crate) key_seconds: f64,
    pub(crate) verify_seconds: f64,
}

/// Recomputes a key, unless this machine did so before.
pub(crate) fn check_key_of(app: &App, key: &SettlementKey, srs_file: Option<&Path>) -> Outcome<()> {
    let entry = checked_entry(key);
    if app.cache.get(&entry, &app.output).is_some() {
        return Ok(());
    }
    let invalid = |e: String| {
        Failure::new(format!("the settlement key is not valid: {e}"))
            .help("its circuit, weights or tables are not what it says: no proof under it means anything")
            .invalid()
    };
    // What is cheap comes before powers of tau are looked for, or made, for a key that may be nonsense.
    key.check().map_err(|e| invalid(e.to_string()))?;
    let power = u32::try_from(key.power()).unwrap_or(u32::MAX);
    let srs = srs::of_key(app, &key.srs(), srs_file, power)?;
    let progress = Progress::start(&app.output, "check key", 2.0);
    progress.stage("recomputing the circuits of the key", 2.0);
    check_key(key, &srs).map_err(|e| invalid(e.to_string()))?;
    app.cache.put(&entry, b"checked");
    Ok(())
}

/// Checks a key and a proof.
pub(crate) fn check(app: &App, key: &SettlementKey, proof: &SettledProof, srs_file: Option<&Path>) -> Outcome<Checked> {
    let (known, key_seconds) = timed(|| check_key_of(app, key, srs_file));
    known?;
    let (shown, verify_seconds) = timed(|| key.verify(proof));
    let shown = shown.map_err(|e| {
        Failure::new(format!("the settled proof is not valid: {e}"))
            .help("do not trust what the proof claims")
            .invalid()
    })?;
    Ok(Checked { public: shown.tensors, stacks: shown.stacks, key_seconds, verify_seconds })
}
