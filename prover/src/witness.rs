//! From the values of a graph to the witness stack and the lookups (docs/protocol.md#layout).

use crate::device::zeroed_integers;
use assay_circuits::{
    GraphError, Interval, NodeId, Op, Program, Tensor,
    eval::Values,
    functional::grid_offsets,
    ops::Lookup,
    program::{BlockValues, CommittedTensor, Content, MODEL, Segment, Source, VectorLookup, WITNESS, side_of},
    ring::index_bits,
};
use rayon::prelude::*;

/// The entries of a lookup segment, without padding.
#[derive(Clone, Debug)]
pub struct SegmentValues {
    /// Keys.
    pub keys: Vec<i32>,
    /// Values; empty where the segment has none.
    pub values: Vec<i32>,
    /// Added to the tag; empty where the segment has none.
    pub sides: Vec<i32>,
}

/// The entries of a vector lookup, without padding.
#[derive(Clone, Debug, Default)]
pub struct VectorValues {
    /// Which row each index names.
    pub index: Vec<i32>,
    /// The place of each index within the common axes; empty where there is one place.
    pub index_places: Vec<i32>,
    /// The rows that were gathered, one after the other.
    pub gathered: Vec<i32>,
    /// The key of each row of the table.
    pub keys: Vec<i32>,
    /// The place of each row within the common axes; empty where there is one place.
    pub row_places: Vec<i32>,
    /// The table's rows, one after the other.
    pub table: Vec<i32>,
    /// How often each row is read.
    pub counts: Vec<i32>,
}

/// All that is committed with a proof, and all lookups.
#[derive(Clone, Debug)]
pub struct Witness {
    /// The witness stack, all `2^bits` entries.
    pub stack: Vec<i32>,
    /// One entry per segment of the program.
    pub segments: Vec<SegmentValues>,
    /// One entry per vector lookup of the program.
    pub vectors: Vec<VectorValues>,
    /// Multiplicities of each block's rows.
    pub multiplicities: Vec<Vec<i32>>,
}

/// A value that does not fit its place. The interpreter and the range analysis exclude it for honest inputs.
fn misfit(what: &str) -> GraphError {
    GraphError::Parameter(format!("a {what} does not fit its table or 32 bits"))
}

fn narrow(values: impl Iterator<Item = i64>, what: &str) -> Result<Vec<i32>, GraphError> {
    values.map(|v| i32::try_from(v).map_err(|_| misfit(what))).collect()
}

/// Places of a tensor's entries within its padded block, outer runs only, with the length of a contiguous run.
pub fn padded_runs(shape: &[usize]) -> (Vec<usize>, usize) {
    let mut strides = vec![1usize; shape.len()];
    for k in (0..shape.len().saturating_sub(1)).rev() {
        strides[k] = strides[k + 1] << index_bits(shape[k + 1]);
    }
    // Trailing axes that are full powers of two stay contiguous with the axis before them.
    let mut run = 1usize;
    let mut split = shape.len();
    while split > 0 {
        run *= shape[split - 1];
        split -= 1;
        if !shape[split].is_power_of_two() {
            break;
        }
    }
    (grid_offsets(shape[..split].iter().copied().zip(strides[..split].iter().copied())), run)
}

/// Copies entries to their padded places.
pub fn scatter<T: Copy>(shape: &[usize], entries: &[T], target: &mut [T]) {
    let (starts, run) = padded_runs(shape);
    for (start, chunk) in starts.iter().zip(entries.chunks_exact(run.max(1))) {
        target[*start..*start + run].copy_from_slice(chunk);
    }
}

/// The lookup behind a node, with the input it reads.
fn lookup_of<'a>(program: &'a Program, values: &'a Values<'_>, s: &Segment) -> Option<(&'a Lookup, &'a Tensor)> {
    let node = program.graph.node(s.node);
    match &node.op {
        Op::Lookup(op) => node.inputs.first().map(|i| (op, values.of(*i))),
        _ => None,
    }
}

fn half(op: &Lookup) -> i64 {
    if op.shift == 0 { 0 } else { 1 << (op.shift - 1) }
}

/// The sum that a range check of a node is about, entry by entry.
fn checked_sum(program: &Program, values: &Values<'_>, id: NodeId, check: usize) -> Result<Vec<i64>, GraphError> {
    let node = program.graph.node(id);
    let ranges: Vec<Interval> = node.inputs.iter().map(|i| program.graph.node(*i).range).collect();
    let inputs: Vec<&Tensor> = node.inputs.iter().map(|i| values.of(*i)).collect();
    let checks = node.op.checks(&ranges)?.unwrap_or_default();
    let check = checks.get(check).ok_or_else(|| misfit("check"))?;
    check.eval(&inputs, values.of(id))
}

/// The keys of a segment by its definition: the sum of its terms, over a common power of two.
fn keys(values: &Values<'_>, tensors: &[Vec<i32>], s: &Segment) -> Result<Vec<i32>, GraphError> {
    let (constant, exponent) = s.key_constant;
    let lowest = s.key.iter().map(|k| k.exponent).chain([exponent, 0]).min().unwrap_or(0);
    let scaled = |c: i64, exponent: i32| i128::from(c) << (exponent - lowest);
    let mut sums = vec![scaled(constant, exponent); s.shape.iter().product()];
    for k in &s.key {
        let c = scaled(k.coefficient, k.exponent);
        let value = |i: usize| match k.source {
            Source::Node(id) => i128::from(values.of(id).data[i]),
            Source::Tensor(t) => i128::from(tensors[t][i]),
            Source::Product(a, b) => i128::from(values.of(a).data[i]) * i128::from(values.of(b).data[i]),
        };
        sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += c * value(i));
    }
    let key = |v: i128| i32::try_from(v >> -lowest).map_err(|_| misfit("key"));
    sums.into_iter().map(key).collect()
}

/// The entries of a witness tensor other than a multiplicity.
fn contents(program: &Program, values: &Values<'_>, t: &CommittedTensor) -> Result<Vec<i32>, GraphError> {
    let lookup = |id| {
        let node = program.graph.node(id);
        match &node.op {
            Op::Lookup(op) => Ok((op, values.of(node.inputs[0]), op.table(program.graph.tables())?)),
            _ => Err(GraphError::Parameter("a remainder of no lookup".to_owned())),
        }
    };
    match &t.content {
        Content::Node(id) => narrow(values.of(*id).data.iter().copied(), "value"),
        Content::Remainder { node, low, bits } => {
            let (op, input, _) = lookup(*node)?;
            let (half, mask) = (half(op), (1i64 << bits) - 1);
            narrow(input.data.iter().map(|v| ((v + half) >> low) & mask), "remainder")
        }
        Content::Limb { node, check, low, bits } => {
            let mask = (1i64 << bits) - 1;
            narrow(checked_sum(program, values, *node, *check)?.into_iter().map(|v| (v >> low) & mask), "limb")
        }
        Content::High(node) | Content::Side(node) => {
            let (op, input, table) = lookup(*node)?;
            let k = table.key_bits();
            let high = input.data.iter().map(|v| (op.key(*v) - table.key_min) >> k);
            if matches!(t.content, Content::High(_)) { narrow(high, "clamp") } else { Ok(high.map(side_of).collect()) }
        }
        _ => Ok(vec![]),
    }
}

/// The values of the public tensors, in the program's order; none for those that are no nodes.
pub fn public_values(program: &Program, values: &Values<'_>) -> Vec<Vec<i64>> {
    let of = |source: &Source| match source {
        Source::Node(id) => values.of(*id).data.clone(),
        Source::Tensor(_) | Source::Product(..) => vec![],
    };
    program.public.iter().map(|p| of(&p.source)).collect()
}

impl Witness {
    /// Builds the witness of a program from the values of its graph.
    pub fn build(program: &Program, values: &Values<'_>) -> Result<Self, GraphError> {
        let mut stack = zeroed_integers(1 << program.stack_bits(WITNESS));
        let mut tensors: Vec<Vec<i32>> = vec![vec![]; program.tensors.len()];
        tensors.par_iter_mut().zip(&program.tensors).try_for_each(|(slot, t)| {
            if t.stack == WITNESS {
                *slot = contents(program, values, t)?;
            }
            Ok::<_, GraphError>(())
        })?;
        for (t, entries) in program.tensors.iter().zip(&tensors) {
            if t.stack == WITNESS && !entries.is_empty() {
                scatter(&t.shape, entries, &mut stack[t.offset..t.offset + (1 << t.bits())]);
            }
        }
        let segments = segments(program, values, tensors)?;
        let mut multiplicities: Vec<Vec<i32>> = program.blocks.iter().map(|b| vec![0; 1 << b.bits]).collect();
        for (s, v) in program.segments.iter().zip(&segments) {
            count(program, s, v, &mut multiplicities)?;
        }
        for (b, m) in program.blocks.iter().zip(&multiplicities) {
            let t = &program.tensors[b.multiplicity];
            stack[t.offset..t.offset + m.len()].copy_from_slice(m);
        }
        let vectors: Vec<VectorValues> =
            program.vectors.par_iter().map(|v| vector(program, values, v)).collect::<Result<_, _>>()?;
        for (v, w) in program.vectors.iter().zip(&vectors) {
            let t = &program.tensors[v.counts];
            scatter(&t.shape, &w.counts, &mut stack[t.offset..t.offset + (1 << t.bits())]);
        }
        Ok(Self { stack, segments, vectors, multiplicities })
    }
}

/// The entries of all lookups. What is no part of a later one goes into them without a copy.
fn segments(
    program: &Program,
    values: &Values<'_>,
    mut tensors: Vec<Vec<i32>>,
) -> Result<Vec<SegmentValues>, GraphError> {
    let all = &program.segments;
    let computed: Vec<Vec<i32>> =
        all.par_iter().map(|s| computed_keys(program, values, &tensors, s)).collect::<Result<_, _>>()?;
    let mut uses = vec![0usize; tensors.len()];
    let parts = |s: &Segment| [committed_key(s), s.value, s.side];
    all.iter().flat_map(parts).flatten().for_each(|t| uses[t] += 1);
    let mut entries = |t: usize| {
        uses[t] -= 1;
        if uses[t] == 0 { std::mem::take(&mut tensors[t]) } else { tensors[t].clone() }
    };
    let mut filled = |s: &Segment, computed| {
        let [key, value, side] = parts(s).map(|t| t.map(&mut entries));
        SegmentValues {
            keys: key.unwrap_or(computed),
            values: value.unwrap_or_default(),
            sides: side.unwrap_or_default(),
        }
    };
    Ok(all.iter().zip(computed).map(|(s, computed)| filled(s, computed)).collect())
}

/// The committed tensor that is a segment's key.
fn committed_key(s: &Segment) -> Option<usize> {
    match s.key.first()?.source {
        Source::Tensor(t) => Some(t),
        Source::Node(_) | Source::Product(..) => None,
    }
}

/// The keys of a segment, but for those that are a committed tensor.
fn computed_keys(
    program: &Program,
    values: &Values<'_>,
    tensors: &[Vec<i32>],
    s: &Segment,
) -> Result<Vec<i32>, GraphError> {
    match (s.key.first().map(|k| k.source), lookup_of(program, values, s)) {
        (Some(Source::Tensor(_)), _) => Ok(vec![]),
        (Some(Source::Node(_)), Some((op, input))) => {
            let table = op.table(program.graph.tables())?;
            let k = table.key_bits();
            let clamped = s.side.is_some();
            narrow(
                input.data.iter().map(|v| {
                    let t = op.key(*v);
                    if clamped { t - (((t - table.key_min) >> k) << k) } else { t }
                }),
                "key",
            )
        }
        (Some(_), None) if matches!(program.graph.node(s.node).op, Op::Divide(_) | Op::Root(_)) => {
            keys(values, tensors, s)
        }
        (Some(Source::Node(id)), None) => {
            let start = s.key_constant.0;
            narrow(values.of(id).data.iter().map(|v| v + start), "key")
        }
        (Some(Source::Product(..)), _) | (None, _) => Err(GraphError::Parameter("a lookup without a key".to_owned())),
    }
}

fn vector(program: &Program, values: &Values<'_>, v: &VectorLookup) -> Result<VectorValues, GraphError> {
    let name = &program.graph.node(v.node).name;
    let (table, index) = (values.of(v.table), values.of(v.index));
    let all = |id: NodeId, what| narrow(values.of(id).data.iter().copied(), what);
    let places: usize = v.rows_shape[..v.leading].iter().product();
    let spread = |of: &[usize]| {
        let inner: usize = of[v.leading..].iter().product();
        let whole = if places == 1 { 0 } else { places };
        (0..whole).flat_map(|g| std::iter::repeat_n(g as i32, inner)).collect()
    };
    let n = v.rows_shape.last().copied().unwrap_or(0);
    let mut counts = vec![0i32; places * n];
    for row in v.op().rows(&table.shape, index).map_err(|e| e.at(name, "Gather"))? {
        counts[row] = counts[row].checked_add(1).ok_or_else(|| misfit("count"))?;
    }
    Ok(VectorValues {
        index: all(v.index, "index")?,
        index_places: spread(&v.index_shape),
        gathered: all(v.node, "row")?,
        keys: (0..places).flat_map(|_| 0..n as i32).collect(),
        row_places: spread(&v.rows_shape),
        table: all(v.table, "row")?,
        counts,
    })
}

fn count(program: &Program, s: &Segment, v: &SegmentValues, multiplicities: &mut [Vec<i32>]) -> Result<(), GraphError> {
    for (i, key) in v.keys.iter().enumerate() {
        let side = v.sides.get(i).copied().unwrap_or(0) as usize;
        let block = s.block + side;
        let row = i64::from(*key) - program.blocks[block].key_min;
        let slot = usize::try_from(row)
            .ok()
            .and_then(|row| multiplicities[block].get_mut(row))
            .ok_or_else(|| misfit("key").at(&program.graph.node(s.node).name, "lookup"))?;
        *slot = slot.checked_add(1).ok_or_else(|| misfit("count"))?;
    }
    Ok(())
}

/// The model stack: weights and table values, all `2^bits` entries.
pub fn model_stack(program: &Program, weights: &[Tensor]) -> Result<Vec<i32>, GraphError> {
    let mut stack = zeroed_integers(1 << program.stack_bits(MODEL));
    for t in program.tensors.iter().filter(|t| t.stack == MODEL) {
        let entries = match &t.content {
            Content::Node(id) => {
                program.graph.weights().position(|w| w == *id).and_then(|k| weights.get(k)).map(|w| w.data.clone())
            }
            _ => program.table_contents(t),
        };
        let entries = entries.ok_or(GraphError::Arity { expected: 1, got: 0 })?;
        let entries = narrow(entries.into_iter(), "weight")?;
        scatter(&t.shape, &entries, &mut stack[t.offset..t.offset + (1 << t.bits())]);
    }
    Ok(stack)
}

/// The values of a block's rows.
pub fn block_values(program: &Program, block: usize) -> Vec<i32> {
    let b = &program.blocks[block];
    match b.values {
        BlockValues::Constant(v) => vec![v; 1 << b.bits],
        BlockValues::Committed(t) => {
            let contents = program.table_contents(&program.tensors[t]).unwrap_or_default();
            contents.into_iter().map(|v| v as i32).collect()
        }
    }
}
