//! Proving a split model on this machine: one segment after another, so that no more than one model, key and witness is in memory.

use super::{
    Split, check,
    own::{Own, Written},
    rows_of_stacks,
};
use crate::{
    App,
    args::{KeyArgs, SettleArgs, ShapeArgs},
    error::{Failure, Outcome},
    files,
    flow::{self, Prepared},
    output::{bytes, seconds},
    settlement, srs,
    stacks::{self, CommitArgs, What},
};
use assay_circuits::{
    Program, Tensor,
    model::Model,
    split::schema,
    stack::{NamedStack, ROW_BITS},
};
use assay_prover::{
    Blinding, Stack,
    device::Cpu,
    settle::{Optimize, SettledStack, choose_row_bits},
};
use assay_verifier::{
    VerifyingKey,
    core::hex,
    segments::{SegmentKeys, SegmentProofs, Shown},
    settle::key::{Context, SettlementKey},
};
use serde_json::{Value, json};
use std::path::Path;

/// Refuses what a split model cannot be combined with.
pub(crate) fn allows(commits: &CommitArgs, quantized: bool) -> Outcome<()> {
    if commits.only(What::Weights).is_used() {
        return Err(Failure::new(
            "--commit weights= is not possible with a split model: each segment has its own weights",
        )
        .help("leave it out, or prove the model as a whole"));
    }
    if quantized {
        return Err(Failure::new("a split model is compiled already")
            .help("options for quantization belong to `assay split MODEL.onnx`"));
    }
    Ok(())
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
    fn read(split: &Split, own: &Own, path: Option<&Path>, args: &KeyArgs) -> Outcome<Self> {
        let Some(path) = path else { return Ok(Self::Made(beside_stacks(args))) };
        let keys = check::read_keys(path)?;
        own.check(&keys.named().into_iter().cloned().collect::<Vec<_>>())?;
        match keys {
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

    /// Row length of all stacks: that of the keys, or that of the given stacks, or as asked for, or the manifest's.
    fn rows(&self, split: &Split, own: &Own, args: &KeyArgs) -> Outcome<u8> {
        match self {
            Self::Given(keys) => Ok(keys.first().and_then(|k| u8::try_from(k.row_bits).ok()).unwrap_or(u8::MAX)),
            Self::Made(_) => Ok(own.rows(args.shape.row_bits)?.unwrap_or_else(|| split.row_bits())),
        }
    }

    /// The stacks behind the boundaries of the key of segment `k`, if there is one.
    fn own(&self, k: usize, boundaries: usize) -> Option<&[NamedStack]> {
        match self {
            Self::Given(keys) => keys.get(k).map(|key| key.stacks.get(boundaries..).unwrap_or_default()),
            Self::Made(_) => None,
        }
    }

    fn of(
        &self,
        app: &App,
        (k, model): (usize, &Model),
        named: &[NamedStack],
        batch: usize,
        args: &KeyArgs,
    ) -> Outcome<Prepared> {
        match self {
            Self::Given(keys) => {
                let key = keys.get(k).cloned().ok_or_else(|| Failure::new("a key is missing").bug())?;
                if named != key.stacks {
                    return Err(Failure::new("its key is of another split, of another batch, or about other stacks")
                        .help(format!(
                            "make keys for {batch} inferences: assay setup FOLDER -o KEYS --batch {batch}"
                        )));
                }
                flow::use_key(app, model, key, args.srs.as_deref(), |f| f)
            }
            Self::Made(own) => flow::prepare_named(app, model, own, named, batch),
        }
    }
}

/// Keys that a verifier takes.
fn whole(keys: SegmentKeys) -> Outcome<SegmentKeys> {
    keys.wires()?;
    Ok(keys)
}

/// Keys of core proofs of all segments.
pub(crate) fn core_keys(app: &App, split: &Split, own: &mut Own, args: &KeyArgs, batch: usize) -> Outcome<SegmentKeys> {
    let source = CoreKeys::read(split, own, None, args)?;
    let row_bits = source.rows(split, own, args)?;
    own.check_outputs(split, batch, row_bits)?;
    let mut keys = Vec::with_capacity(split.len());
    for k in 0..split.len() {
        let model = split.model(k)?;
        let behind = own.of(split, (k, &model), (batch, row_bits), None)?;
        let named = [split.stacks(k, batch, row_bits)?, behind.named].concat();
        keys.push(source.of(app, (k, &model), &named, batch, args).map_err(|f| check::at(k, f))?.key.verifying);
    }
    whole(SegmentKeys::Core(keys))
}

/// What was proven of a split model.
pub(crate) struct Proven {
    pub(crate) keys: SegmentKeys,
    pub(crate) proofs: SegmentProofs,
    pub(crate) shown: Shown,
    written: Written,
    /// `outputs[i][k]`: output `k` of inference `i`.
    pub(crate) outputs: Vec<Vec<Vec<f32>>>,
    pub(crate) setup_seconds: f64,
    pub(crate) prove_seconds: f64,
}

/// What one segment is proven from.
struct Piece<'a> {
    k: usize,
    model: &'a Model,
    /// The inputs that no stack holds.
    open: &'a [Vec<Tensor>],
    /// The stacks that its proof is about, and those of them that are there already.
    named: Vec<NamedStack>,
    given: Vec<Option<Stack>>,
}

/// What one segment gave, or all of them: outputs are the last one's.
#[derive(Default)]
struct Made {
    /// All stacks of a segment's proof; of all segments the boundaries.
    stacks: Vec<Stack>,
    written: Written,
    outputs: Vec<Vec<Vec<f32>>>,
    setup_seconds: f64,
    prove_seconds: f64,
}

impl Made {
    fn proven(self, keys: SegmentKeys, proofs: SegmentProofs) -> Outcome<Proven> {
        let shown =
            keys.verify(&proofs).map_err(|e| Failure::new(format!("the new proofs do not verify: {e}")).bug())?;
        let Self { written, outputs, setup_seconds, prove_seconds, .. } = self;
        Ok(Proven { keys, proofs, shown, written, outputs, setup_seconds, prove_seconds })
    }
}

/// Proves one segment after another. `own` are stacks of inputs and outputs, and `key_of` tells of a segment, by its number and
/// that of its boundaries, which its key names.
fn each<'k>(
    split: &Split,
    (tensors, mut own): (&[Vec<Tensor>], Own),
    row_bits: u8,
    key_of: impl Fn(usize, usize) -> Option<&'k [NamedStack]>,
    mut one: impl FnMut(Piece<'_>) -> Outcome<Made>,
) -> Outcome<Made> {
    let mut all = Made::default();
    let (batch, none) = (tensors.len(), vec![vec![]; tensors.len()]);
    own.check_outputs(split, batch, row_bits)?;
    for k in 0..split.len() {
        let model = &split.model(k)?;
        let numbers = split.boundaries(k)?;
        let mut behind =
            own.of(split, (k, model), (batch, row_bits), key_of(k, numbers.len())).map_err(|f| check::at(k, f))?;
        let named = [split.stacks(k, batch, row_bits)?, behind.named.clone()].concat();
        let mut given: Vec<Option<Stack>> = numbers.iter().map(|b| all.stacks.get(*b).cloned()).collect();
        let is_new: Vec<bool> = behind.stacks.iter().map(Option::is_none).collect();
        given.append(&mut behind.stacks);
        let open = if k == 0 { tensors } else { &none };
        let mut made = one(Piece { k, model, open, named, given }).map_err(|f| check::at(k, f))?;
        let stacks = made.stacks.split_off(numbers.len().min(made.stacks.len()));
        // Its own boundary is the last of the boundaries; the last segment has none.
        if k + 1 < split.len() {
            all.stacks.extend(made.stacks.into_iter().next_back());
        } else {
            all.written = Written { named: behind, made: is_new, stacks };
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
    (tensors, own): (&[Vec<Tensor>], Own),
    key: Option<&Path>,
    args: &KeyArgs,
) -> Outcome<Proven> {
    let source = CoreKeys::read(split, &own, key, args)?;
    let row_bits = source.rows(split, &own, args)?;
    let (mut keys, mut proofs) = (vec![], vec![]);
    let made = each(
        split,
        (tensors, own),
        row_bits,
        |k, n| source.own(k, n),
        |p: Piece<'_>| {
            let prepared = source.of(app, (p.k, p.model), &p.named, tensors.len(), args)?;
            let (proven, stacks) = flow::prove_named(app, p.model, &prepared.key, p.open, p.given)?;
            keys.push(prepared.key.verifying);
            proofs.push(proven.proof);
            let (setup_seconds, prove_seconds) = (prepared.seconds, proven.prove_seconds);
            Ok(Made { stacks, outputs: proven.outputs, setup_seconds, prove_seconds, ..Made::default() })
        },
    )?;
    made.proven(SegmentKeys::Core(keys), SegmentProofs::Core(proofs))
}

/// Row length of settled proofs: what the segment that wants the longest rows chooses, if neither a stack was given nor a length
/// asked for.
pub(crate) fn settled_rows(
    split: &Split,
    own: &Own,
    batch: usize,
    shape: &ShapeArgs,
    optimize: Optimize,
) -> Outcome<u8> {
    if let Some(bits) = own.rows(shape.row_bits)? {
        return Ok(bits);
    }
    let visibility = shape.visibility();
    let mut bits = ROW_BITS[0];
    for k in 0..split.len() {
        let graph = split.model(k)?.graph;
        let program = Program::inference(&graph, batch, visibility)?;
        let registration = Program::registration(&graph)?;
        bits = bits.max(rows_of_stacks(choose_row_bits(&program, &registration, optimize)));
    }
    Ok(bits)
}

/// The settlement key of a segment that is about these stacks.
fn settled_key(
    app: &App,
    model: &Model,
    named: Vec<NamedStack>,
    batch: usize,
    args: &KeyArgs,
    settling: &SettleArgs,
) -> Outcome<settlement::Prepared> {
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
    let row_bits = settled_rows(split, &Own::default(), batch, &args.shape, settling.optimize.into())?;
    let mut keys = Vec::with_capacity(split.len());
    for k in 0..split.len() {
        let model = split.model(k)?;
        let prepared = settled_key(app, &model, split.stacks(k, batch, row_bits)?, batch, args, settling);
        keys.push(prepared.map_err(|f| check::at(k, f))?.prover.key);
    }
    whole(SegmentKeys::Settled(keys))
}

/// Settles all segments for one purpose, one after another.
pub(crate) fn settle(
    app: &App,
    split: &Split,
    (tensors, own): (&[Vec<Tensor>], Own),
    args: &KeyArgs,
    settling: &SettleArgs,
    context: &Context,
) -> Outcome<Proven> {
    let batch = tensors.len();
    let row_bits = settled_rows(split, &own, batch, &args.shape, settling.optimize.into())?;
    let (mut keys, mut proofs): (Vec<SettlementKey>, _) = (vec![], vec![]);
    let made = each(
        split,
        (tensors, own),
        row_bits,
        |_, _| None,
        |p: Piece<'_>| {
            let prepared = settled_key(app, p.model, p.named, batch, args, settling)?;
            let (settled, stacks) =
                settlement::prove_named(app, p.model, &prepared.prover, p.open, p.given, context.clone())?;
            keys.push(prepared.prover.key);
            proofs.push(settled.proof);
            let (setup_seconds, prove_seconds) = (prepared.seconds, settled.prove_seconds + settled.settle_seconds);
            Ok(Made { stacks, outputs: settled.outputs, setup_seconds, prove_seconds, ..Made::default() })
        },
    )?;
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
    app.output.result(write(app, split, proven, Some(output), key_out)?);
    Ok(())
}

/// As [`report`], of proofs that need not be kept; what was proven comes back for programs.
pub(crate) fn write(
    app: &App,
    split: &Split,
    proven: &Proven,
    output: Option<&Path>,
    key_out: Option<&Path>,
) -> Outcome<Value> {
    let o = &app.output;
    let file = proven.proofs.to_bytes();
    if let Some(path) = output {
        files::write(path, &file)?;
    }
    if let Some(path) = key_out {
        files::write(path, &proven.keys.to_bytes()?)?;
    }
    let written = proven.written.files()?;
    let d = check::describe(&proven.keys)?;
    let id = check::id(&proven.keys)?;
    let named: Vec<_> = proven.keys.named().into_iter().cloned().collect();
    let hiding = matches!(proven.proofs, SegmentProofs::Settled(_));
    flow::say_outputs(app, d.outputs, &proven.outputs, "output");
    o.say(format!("setup   {}", seconds(proven.setup_seconds)));
    o.say(format!("prove   {} for {} segments", seconds(proven.prove_seconds), split.len()));
    let kind = if hiding { "zero-knowledge" } else { "sound, but NOT hiding" };
    o.say(format!("proofs  {}; {kind}; split {id}", bytes(file.len() as u64)));
    for target in [output, key_out].into_iter().flatten().chain(written.iter().map(|f| f.as_path())) {
        o.say(format!("wrote   {}", target.display()));
    }
    Ok(json!({
        "valid": true,
        "model_id": split.model_id(),
        "split_id": id,
        "segments": split.len(),
        "batch": proven.shown.batch,
        "boundaries": proven.shown.boundaries.iter().map(|b| hex(b)).collect::<Vec<_>>(),
        "stacks": stacks::ids_json(&named, &proven.shown.stacks),
        "setup_seconds": proven.setup_seconds,
        "prove_seconds": proven.prove_seconds,
        "proof_bytes": file.len(),
        "outputs": flow::samples_json(&proven.outputs),
        "insecure_srs": d.insecure,
        "hiding": hiding,
    }))
}
