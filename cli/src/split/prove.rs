//! Proving a split model on this machine: one segment after another, so that no more than one model, key and witness is in memory.

use super::{Split, check, rows_of_stacks};
use crate::{
    App,
    args::{BatchArgs, KeyArgs, SettleArgs, ShapeArgs},
    error::{Failure, Outcome},
    files,
    flow::{self, Prepared},
    output::{bytes, seconds},
    settlement, srs,
    stacks::CommitArgs,
};
use assay_circuits::{Program, Tensor, model::Model, split::schema, stack::ROW_BITS};
use assay_prover::{
    Blinding, Stack,
    device::Cpu,
    settle::{SettledStack, choose_row_bits},
};
use assay_verifier::{
    VerifyingKey,
    core::hex,
    segments::{SegmentKeys, SegmentProofs, Shown},
    settle::key::{Context, SettlementKey},
};
use serde_json::json;
use std::path::Path;

/// Refuses what a split model cannot be combined with.
pub(crate) fn allows(commits: &CommitArgs, quantized: bool) -> Outcome<()> {
    if commits.is_used() {
        return Err(Failure::new("--commit is not possible with a split model: its stacks are its boundaries")
            .help("leave it out, or prove the model as a whole"));
    }
    if quantized {
        return Err(Failure::new("a split model is compiled already")
            .help("options for quantization belong to `assay split MODEL.onnx`"));
    }
    Ok(())
}

/// Row length of core proofs: as asked for, or the manifest's.
fn core_rows(split: &Split, shape: &ShapeArgs) -> u8 {
    shape.row_bits.unwrap_or_else(|| split.row_bits())
}

/// Without a row length of its own: that of the stacks holds.
fn beside_stacks(args: &KeyArgs) -> KeyArgs {
    KeyArgs { shape: ShapeArgs { row_bits: None, ..args.shape.clone() }, ..args.clone() }
}

/// Where keys of segments come from: a file, or they are made or found in the cache.
enum CoreKeys {
    Given(Vec<VerifyingKey>),
    Made(KeyArgs),
}

impl CoreKeys {
    fn read(split: &Split, path: Option<&Path>, args: &KeyArgs) -> Outcome<Self> {
        let Some(path) = path else { return Ok(Self::Made(beside_stacks(args))) };
        match check::read_keys(path)? {
            SegmentKeys::Core(keys) if keys.len() == split.len() => Ok(Self::Given(keys)),
            keys => Err(Failure::new(format!(
                "'{}' holds {} keys for other proofs; the model has {} segments",
                path.display(),
                keys.len(),
                split.len()
            ))
            .help("make them: assay setup FOLDER -o KEYS")),
        }
    }

    fn of(&self, app: &App, split: &Split, k: usize, model: &Model, batch: usize, args: &KeyArgs) -> Outcome<Prepared> {
        match self {
            Self::Given(keys) => {
                let key = keys.get(k).cloned().ok_or_else(|| Failure::new("a key is missing").bug())?;
                let named = split.stacks(k, batch, u8::try_from(key.row_bits).unwrap_or(u8::MAX));
                if named.ok().as_ref() != Some(&key.stacks) {
                    return Err(Failure::new("its key is of another split, or of another batch").help(format!(
                        "make keys for {batch} inferences: assay setup FOLDER -o KEYS --batch {batch}"
                    )));
                }
                flow::use_key(app, model, key, args.srs.as_deref(), |f| f)
            }
            Self::Made(own) => {
                let named = split.stacks(k, batch, core_rows(split, &args.shape))?;
                flow::prepare_named(app, model, own, &named, batch)
            }
        }
    }
}

/// Keys that a verifier takes.
fn whole(keys: SegmentKeys) -> Outcome<SegmentKeys> {
    keys.wires()?;
    Ok(keys)
}

/// Keys of core proofs of all segments.
pub(crate) fn core_keys(app: &App, split: &Split, args: &KeyArgs, batch: usize) -> Outcome<SegmentKeys> {
    let source = CoreKeys::read(split, None, args)?;
    let mut keys = Vec::with_capacity(split.len());
    for k in 0..split.len() {
        let model = split.model(k)?;
        keys.push(source.of(app, split, k, &model, batch, args).map_err(|f| check::at(k, f))?.key.verifying);
    }
    whole(SegmentKeys::Core(keys))
}

/// What was proven of a split model.
pub(crate) struct Proven {
    pub(crate) keys: SegmentKeys,
    pub(crate) proofs: SegmentProofs,
    pub(crate) shown: Shown,
    /// `outputs[i][k]`: output `k` of inference `i`.
    pub(crate) outputs: Vec<Vec<Vec<f32>>>,
    pub(crate) setup_seconds: f64,
    pub(crate) prove_seconds: f64,
}

/// The integers of the first segment's inputs, which no stack can hold.
pub(crate) fn inputs(app: &App, split: &Split, path: Option<&Path>, batch: BatchArgs) -> Outcome<Vec<Vec<Tensor>>> {
    let path = path.ok_or_else(|| Failure::new("INPUT is missing").help("name a file with the inputs"))?;
    let first = split.model(0)?;
    let samples = flow::read_samples(app, &first, path, batch)?;
    flow::quantize(app, &first, &samples)
}

/// What one segment gave, or all of them: outputs are the last one's.
#[derive(Default)]
struct Made {
    /// The boundaries that were made.
    stacks: Vec<Stack>,
    outputs: Vec<Vec<Vec<f32>>>,
    setup_seconds: f64,
    prove_seconds: f64,
}

impl Made {
    fn proven(self, keys: SegmentKeys, proofs: SegmentProofs) -> Outcome<Proven> {
        let shown =
            keys.verify(&proofs).map_err(|e| Failure::new(format!("the new proofs do not verify: {e}")).bug())?;
        let Self { outputs, setup_seconds, prove_seconds, .. } = self;
        Ok(Proven { keys, proofs, shown, outputs, setup_seconds, prove_seconds })
    }
}

/// Proves one segment after another: `one` is given its number, model, inputs that no stack holds, and the stacks that it is about,
/// with a place for its own.
fn each(
    split: &Split,
    tensors: &[Vec<Tensor>],
    mut one: impl FnMut(usize, &Model, &[Vec<Tensor>], Vec<Option<Stack>>) -> Outcome<Made>,
) -> Outcome<Made> {
    let mut all = Made::default();
    let none = vec![vec![]; tensors.len()];
    for k in 0..split.len() {
        let given = split.boundaries(k)?.into_iter().map(|b| all.stacks.get(b).cloned()).collect();
        let made =
            one(k, &split.model(k)?, if k == 0 { tensors } else { &none }, given).map_err(|f| check::at(k, f))?;
        // Its own boundary is the last of its stacks; the last segment has none.
        if k + 1 < split.len() {
            all.stacks.extend(made.stacks.into_iter().next_back());
        }
        all.setup_seconds += made.setup_seconds;
        all.prove_seconds += made.prove_seconds;
        all.outputs = made.outputs;
    }
    Ok(all)
}

/// Proves all segments, one after another.
pub(crate) fn core(
    app: &App,
    split: &Split,
    tensors: &[Vec<Tensor>],
    key: Option<&Path>,
    args: &KeyArgs,
) -> Outcome<Proven> {
    let source = CoreKeys::read(split, key, args)?;
    let (mut keys, mut proofs) = (vec![], vec![]);
    let made = each(split, tensors, |k, model, open, given| {
        let prepared = source.of(app, split, k, model, tensors.len(), args)?;
        let (proven, stacks) = flow::prove_named(app, model, &prepared.key, open, given)?;
        keys.push(prepared.key.verifying);
        proofs.push(proven.proof);
        let (setup_seconds, prove_seconds) = (prepared.seconds, proven.prove_seconds);
        Ok(Made { stacks, outputs: proven.outputs, setup_seconds, prove_seconds })
    })?;
    made.proven(SegmentKeys::Core(keys), SegmentProofs::Core(proofs))
}

/// Row length of settled proofs: what the segment that wants the longest rows chooses, if nothing was asked for.
fn settled_rows(split: &Split, batch: usize, shape: &ShapeArgs, args: &SettleArgs) -> Outcome<u8> {
    if let Some(bits) = shape.row_bits {
        return Ok(bits);
    }
    let visibility = shape.visibility();
    let mut bits = ROW_BITS[0];
    for k in 0..split.len() {
        let graph = split.model(k)?.graph;
        let program = Program::inference(&graph, batch, visibility)?;
        let registration = Program::registration(&graph)?;
        bits = bits.max(rows_of_stacks(choose_row_bits(&program, &registration, args.optimize.into())));
    }
    Ok(bits)
}

/// The settlement key of segment `k`.
fn settled_key(
    app: &App,
    split: &Split,
    (k, model): (usize, &Model),
    (batch, row_bits): (usize, u8),
    args: &KeyArgs,
    settling: &SettleArgs,
) -> Outcome<settlement::Prepared> {
    let named = split.stacks(k, batch, row_bits)?;
    let stacks = named.into_iter().map(|named| SettledStack { named, pinned: None }).collect();
    let shape = beside_stacks(args).shape;
    settlement::prepare_named(app, model, batch, &shape, args.srs.as_deref(), settling, stacks)
}

/// Settlement keys of all segments.
pub(crate) fn settled_keys(
    app: &App,
    split: &Split,
    args: &KeyArgs,
    settling: &SettleArgs,
    batch: usize,
) -> Outcome<SegmentKeys> {
    let row_bits = settled_rows(split, batch, &args.shape, settling)?;
    let mut keys = Vec::with_capacity(split.len());
    for k in 0..split.len() {
        let model = split.model(k)?;
        let prepared = settled_key(app, split, (k, &model), (batch, row_bits), args, settling);
        keys.push(prepared.map_err(|f| check::at(k, f))?.prover.key);
    }
    whole(SegmentKeys::Settled(keys))
}

/// Settles all segments for one purpose, one after another.
pub(crate) fn settle(
    app: &App,
    split: &Split,
    tensors: &[Vec<Tensor>],
    args: &KeyArgs,
    settling: &SettleArgs,
    context: &Context,
) -> Outcome<Proven> {
    let batch = tensors.len();
    let row_bits = settled_rows(split, batch, &args.shape, settling)?;
    let (mut keys, mut proofs): (Vec<SettlementKey>, _) = (vec![], vec![]);
    let made = each(split, tensors, |k, model, open, given| {
        let prepared = settled_key(app, split, (k, model), (batch, row_bits), args, settling)?;
        let (settled, stacks) = settlement::prove_named(app, model, &prepared.prover, open, given, context.clone())?;
        keys.push(prepared.prover.key);
        proofs.push(settled.proof);
        let (setup_seconds, prove_seconds) = (prepared.seconds, settled.prove_seconds + settled.settle_seconds);
        Ok(Made { stacks, outputs: settled.outputs, setup_seconds, prove_seconds })
    })?;
    made.proven(SegmentKeys::Settled(keys), SegmentProofs::Settled(proofs))
}

/// The boundaries of an inference, computed and committed to, without a proof: what jobs that are proven side by side are about.
pub(crate) fn boundaries(
    app: &App,
    split: &Split,
    tensors: &[Vec<Tensor>],
    keys: &SegmentKeys,
    srs_file: Option<&Path>,
) -> Outcome<Vec<Stack>> {
    let (row_bits, of) = match keys {
        SegmentKeys::Core(keys) => keys.first().map(|k| (k.row_bits, k.srs.clone())),
        SegmentKeys::Settled(keys) => keys.first().map(|k| (k.descriptor.row_bits, k.srs())),
    }
    .ok_or_else(|| Failure::new("there are no keys").bug())?;
    let power = u32::try_from(row_bits + 1).unwrap_or(u32::MAX);
    let powers = srs::of_key(app, &of, srs_file, power)?;
    let row_bits = u8::try_from(row_bits).unwrap_or(u8::MAX);
    let mut out: Vec<Stack> = Vec::with_capacity(split.len());
    // Values of the boundaries of each inference.
    let mut values: Vec<Vec<Vec<Tensor>>> = vec![vec![]; tensors.len()];
    for k in 0..split.len().saturating_sub(1) {
        let model = split.model(k)?;
        let missing = || Failure::new("a boundary is read before it is written").bug();
        let wires = split.wires().get(k).ok_or_else(missing)?;
        for (one, sample) in values.iter_mut().zip(tensors) {
            let read = |(from, t): &(usize, usize)| one.get(*from).and_then(|b| b.get(*t)).cloned().ok_or_else(missing);
            let given = if k == 0 { sample.clone() } else { wires.reads.iter().map(read).collect::<Outcome<_>>()? };
            let made = model.eval(&given)?.outputs(&model.graph);
            one.push(made);
        }
        let schema = schema(&wires.boundary, tensors.len(), row_bits)?;
        let joined = schema.tensors.iter().enumerate().map(|(t, s)| {
            let data =
                values.iter().filter_map(|one| one.get(k)?.get(t)).flat_map(|v| v.data.iter().copied()).collect();
            Tensor::new(s.shape.clone(), data)
        });
        let joined = joined.collect::<Result<Vec<_>, _>>()?;
        out.push(Stack::commit(&Cpu::default(), &schema, joined, &powers, Blinding::Random)?);
    }
    Ok(out)
}

/// Writes proofs and keys, and says what was proven.
pub(crate) fn report(app: &App, split: &Split, proven: &Proven, output: &Path, key_out: Option<&Path>) -> Outcome<()> {
    let o = &app.output;
    let file = proven.proofs.to_bytes();
    files::write(output, &file)?;
    if let Some(path) = key_out {
        files::write(path, &proven.keys.to_bytes()?)?;
    }
    let d = check::describe(&proven.keys)?;
    let id = check::id(&proven.keys)?;
    let hiding = matches!(proven.proofs, SegmentProofs::Settled(_));
    flow::say_outputs(app, d.outputs, &proven.outputs, "output");
    o.say(format!("setup   {}", seconds(proven.setup_seconds)));
    o.say(format!("prove   {} for {} segments", seconds(proven.prove_seconds), split.len()));
    let kind = if hiding { "zero-knowledge" } else { "sound, but NOT hiding" };
    o.say(format!("proofs  {}; {kind}; split {id}", bytes(file.len() as u64)));
    for target in [Some(output), key_out].into_iter().flatten() {
        o.say(format!("wrote   {}", target.display()));
    }
    o.result(json!({
        "valid": true,
        "model_id": split.model_id(),
        "split_id": id,
        "segments": split.len(),
        "batch": proven.shown.batch,
        "boundaries": proven.shown.boundaries.iter().map(|b| hex(b)).collect::<Vec<_>>(),
        "setup_seconds": proven.setup_seconds,
        "prove_seconds": proven.prove_seconds,
        "proof_bytes": file.len(),
        "outputs": flow::samples_json(&proven.outputs),
        "insecure_srs": d.insecure,
        "hiding": hiding,
    }));
    Ok(())
}
