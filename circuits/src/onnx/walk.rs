//! Lowering of a whole model: inputs, every node, outputs; then dropping what nothing needs.

use super::{
    calibrate::Stats,
    equalize::Equalized,
    error::ImportError,
    expr::{Expr, Form},
    load::FloatModel,
    lower::{Lazy, Lowering, Result, Root, Value, Widths, fit_exponent, to_int},
    ops::FAMILIES,
    own::{self, FEATURE_BITS as TREE_BITS, Kind, Own, Quantize},
    rounded::{Rounded, whole_bits},
    tables::{Plan, Requests},
};
use crate::{
    error::GraphError,
    graph::{Graph, GraphBuilder, NodeId},
    model::{Features, TensorSpec},
    ops::{AxisScale, Lookup, Op},
    table::TableId,
    tensor::Tensor,
};
use std::{collections::HashMap, rc::Rc};
use tract_onnx::{
    prelude::{DatumType, IntoTValue, OutletId, TypedModel, TypedNode},
    tract_hir::{
        internal::{AxisOp, IntoArcTensor},
        tract_core::ops::{array::Gather, cast::Cast, konst::Const, source::TypedSource},
    },
};

/// Least width of an input with a scale for each feature.
const FEATURE_BITS: u32 = 12;
/// Most values of such an input.
const TABLE_VALUES: usize = 1 << 12;
/// Rows of a table have longer tails than pixels: a new row may be further out than all calibration rows.
const TABLE_HEADROOM: f64 = 2.0;
/// Widest output.
const OUTPUT_BITS: i32 = 58;

/// A lowered model.
pub(crate) struct Lowered {
    pub(crate) graph: Graph,
    pub(crate) weights: Vec<Rc<Tensor>>,
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
    pub(crate) traces: Vec<(OutletId, NodeId, f64)>,
    pub(crate) limits: Vec<(NodeId, (i64, i64))>,
    /// For each output, the step of its own type where it is a quantized model's integers.
    pub(crate) steps: Vec<Option<f64>>,
    pub(crate) requests: Requests,
    /// Multiply-adds of everything that was lowered, needed or not: where a node cannot be, nothing before it seems needed.
    pub(crate) lowered_multiply_adds: u128,
}

/// What to do about a node that cannot be lowered: give up, or go on with a made-up input in its place.
pub(crate) type OnError<'e> = &'e mut dyn FnMut(&mut Lowering<'_>, &TypedNode, ImportError) -> Result<()>;

/// How a model is lowered.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'s> {
    pub(crate) widths: Widths,
    /// Whether outputs are rounded to the activation width.
    pub(crate) private_output: bool,
    pub(crate) plan: &'s Plan,
    /// Weights of earlier calls for the same model.
    pub(crate) rounded: &'s Rounded,
}

/// Lowers all nodes.
pub(crate) fn lower_model(
    source: &FloatModel,
    rewritten: &Equalized,
    stats: &Stats,
    settings: Settings<'_>,
    on_error: OnError<'_>,
) -> Result<Lowered> {
    let Settings { widths, private_output, plan, rounded } = settings;
    let model = &rewritten.model;
    let mut c = Lowering::new(source, model, stats, widths, plan, rounded);
    // Numbers of unlike kinds deserve more bits than pixels, and there are few of them.
    let table = |k: usize| {
        let several = rewritten.inputs[k].as_ref().is_some_and(|f| f.scale.len() > 1);
        let values: usize = source.inputs[k].1.iter().product();
        (several && values <= TABLE_VALUES) || rewritten.columns[k]
    };
    if (0..source.inputs.len()).any(table) {
        c.headroom = TABLE_HEADROOM;
    }
    let mut inputs = Vec::new();
    let mut input_ids = Vec::new();
    for (k, ((name, shape), features)) in source.inputs.iter().zip(&rewritten.inputs).enumerate() {
        let node = model.nodes().iter().find(|n| n.op_is::<TypedSource>() && n.name == *name);
        let range = node.map_or((-1.0, 1.0), |n| stats.range(OutletId::new(n.id, 0)));
        let kind = node.map_or(DatumType::F32, |n| n.outputs[0].fact.datum_type);
        let quantize = node.filter(|_| features.is_none()).and_then(|n| quantizer(model, n.id));
        let (width, room) =
            if table(k) { (widths.activation.max(FEATURE_BITS), TABLE_HEADROOM) } else { (widths.activation, 1.0) };
        let width = node.map_or(width, |n| c.fineness.bits(OutletId::new(n.id, 0), range, width));
        let limit = f64::from((1u32 << (width - 1)) - 1);
        let (e, bits) = if kind.is_float() {
            (fit_exponent(range.1.max(-range.0) * room, limit + 0.49), width)
        } else {
            // Every row of a table can be named, whatever the calibration data did.
            let range = match node.map(|n| rows_read(model, OutletId::new(n.id, 0))) {
                Some(Some(rows)) => (range.0, range.1.max(rows as f64)),
                _ => range,
            };
            (0, integer_bits(kind, range, widths.activation).map_err(|e| e.at(name, "input"))?)
        };
        if let (Some(q), Some(n)) = (quantize, node) {
            // The model's own integers are what is proven.
            let id = c.g.input(name, shape, q.input_bits())?;
            input_ids.push(id);
            inputs.push(TensorSpec { features: Some(q.features(shape)), ..TensorSpec::uniform(name, shape, 0) });
            c.name = name.clone();
            c.quantized.insert(id);
            let outlet = OutletId::new(n.id, 0);
            let value = c.result(outlet, id, f64::from(q.scale));
            c.values.insert(outlet, value);
            continue;
        }
        let trees = node.filter(|_| kind.is_float()).and_then(|n| {
            let outlet = OutletId::new(n.id, 0);
            Some((outlet, own::steps(model, outlet, stats.entries(outlet))?))
        });
        if let Some((outlet, steps)) = trees {
            let id = c.g.input(name, shape, TREE_BITS)?;
            input_ids.push(id);
            let features = features.as_ref().map_or_else(|| steps.clone(), |f| f.of(&steps));
            inputs.push(TensorSpec { features: Some(features), ..TensorSpec::uniform(name, shape, 0) });
            c.name = name.clone();
            let value = c.result(outlet, id, 1.0);
            own::put(&mut c, id, own::columns(&steps));
            c.values.insert(outlet, value);
            continue;
        }
        let id = c.g.input(name, shape, bits)?;
        input_ids.push(id);
        inputs.push(TensorSpec { features: features.clone(), ..TensorSpec::uniform(name, shape, e) });
        if let Some(n) = node {
            let outlet = OutletId::new(n.id, 0);
            c.name = name.clone();
            // Nobody may pass two for a boolean, or 300 for a byte.
            let id = match kind {
                DatumType::Bool => c.clamp(id, 0, (0, 1))?,
                DatumType::U8 => c.clamp(id, 0, (0, 255))?,
                DatumType::U16 => c.clamp(id, 0, (0, 65535))?,
                _ => id,
            };
            let value = c.result(outlet, id, (-f64::from(e)).exp2());
            c.values.insert(outlet, value);
        }
    }
    for node in model.nodes() {
        if let Some(k) = node.op_as::<Const>() {
            c.values.insert(OutletId::new(node.id, 0), Value::Const(k.val().clone()));
        }
    }
    let order = model.eval_order().map_err(|e| ImportError::engine("ordering the model", &e))?;
    for id in order {
        let node = &model.nodes()[id];
        if c.skip.contains(&id) || c.values.contains_key(&OutletId::new(id, 0)) {
            continue;
        }
        c.name = c.display_name(id);
        let lowered = lower_node(&mut c, node).map_err(|e| {
            let op = node.op.name();
            let (name, op) = source.origin(&node.name, &op);
            e.at(name, op)
        });
        match lowered {
            Ok(values) => {
                for (slot, v) in values.into_iter().enumerate() {
                    c.values.insert(OutletId::new(id, slot), v);
                }
            }
            Err(e) => {
                on_error(&mut c, node, e)?;
                for slot in 0..node.outputs.len() {
                    let shape = c.out_shape(node, slot);
                    let id = c.g.input(&node.name, &shape, widths.activation)?;
                    input_ids.push(id);
                    let outlet = OutletId::new(node.id, slot);
                    let value = c.result(outlet, id, 1.0);
                    c.values.insert(outlet, value);
                }
            }
        }
    }
    let made = lower_outputs(&mut c, &rewritten.outputs, private_output)?;
    prune(c, input_ids, inputs, made)
}

/// The quantization that is all that reads a source.
fn quantizer(model: &TypedModel, source: usize) -> Option<Quantize> {
    let outlet = OutletId::new(source, 0);
    let [only] = model.outlet_successors(outlet) else { return None };
    match &model.nodes()[only.node].op_as::<Own>()?.0.kind {
        Kind::Quantize(q) if !model.outputs.contains(&outlet) => Some(*q),
        _ => None,
    }
}

/// The number of rows that a tensor chooses from, where it is the index of gathers.
fn rows_read(model: &TypedModel, outlet: OutletId) -> Option<usize> {
    let (mut open, mut most) = (vec![outlet], None);
    while let Some(outlet) = open.pop() {
        for reader in &model.nodes()[outlet.node].outputs[outlet.slot].successors {
            let node = &model.nodes()[reader.node];
            if let (Some(op), 1) = (node.op_as::<Gather>(), reader.slot) {
                let table = model.outlet_fact(node.inputs[0]).ok()?.shape.as_concrete()?;
                most = most.max(table.get(op.axis).copied());
            } else if node.op_is::<Cast>() || node.op_is::<AxisOp>() {
                open.push(OutletId::new(node.id, 0));
            }
        }
    }
    most
}

/// Width of an input of integers: of its type where that is narrow, of the calibrated values otherwise.
fn integer_bits(kind: DatumType, range: (f64, f64), least: u32) -> Result<u32> {
    let fixed = match kind {
        DatumType::Bool => 2,
        DatumType::I8 => 8,
        DatumType::U8 => 9,
        DatumType::I16 => 16,
        DatumType::U16 => 17,
        _ => whole_bits(range.1.max(-range.0)).max(least),
    };
    if fixed > 20 {
        let top = range.1.max(-range.0);
        return Err(ImportError::unsupported(format!("integers up to {top}; at most {} are possible", (1 << 19) - 1)));
    }
    Ok(fixed)
}

fn lower_node(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Vec<Value>> {
    let constant = node.inputs.iter().all(|i| matches!(c.values.get(i), Some(Value::Const(_))));
    if constant && !node.inputs.is_empty() {
        let args = (0..node.inputs.len())
            .filter_map(|i| match c.input(node, i) {
                Ok(Value::Const(t)) => Some(t.into_tvalue()),
                _ => None,
            })
            .collect();
        let out = node.op.eval_out_of_plan(args).map_err(|e| ImportError::engine("folding a constant", &e))?;
        let out = out.ok_or_else(|| ImportError::unsupported("it keeps state between runs"))?;
        return Ok(out.into_iter().map(|t| Value::Const(t.into_arc_tensor())).collect());
    }
    for family in FAMILIES {
        if let Some(values) = family(c, node)? {
            for (v, o) in values.iter().zip(&node.outputs) {
                if let (Value::Lazy(l), Some(expected)) = (v, o.fact.shape.as_concrete()) {
                    let got = c.shape(l.root.node);
                    if got != expected {
                        return Err(GraphError::Shape { expected: expected.to_vec(), got }.into());
                    }
                }
            }
            return Ok(values);
        }
    }
    Err(ImportError::unsupported(format!("there is no way to prove it yet (it was read as {})", node.op.name())))
}

type Factors = Option<(usize, Vec<i32>)>;

/// Nodes of the outputs, their descriptions, and the steps of their own types.
type Made = (Vec<NodeId>, Vec<TensorSpec>, Vec<Option<f64>>);

/// Whether an operator's results are integers of a quantized model, or stand for them.
fn quantized(op: &str) -> bool {
    matches!(op, "DequantizeLinear" | "QuantizeLinear" | "QGemm") || op.starts_with("QLinear")
}

fn lower_outputs(c: &mut Lowering<'_>, factors: &[Factors], private_output: bool) -> Result<Made> {
    let mut ids = Vec::new();
    let mut specs = Vec::new();
    let mut steps = Vec::new();
    for (k, outlet) in c.model.outputs.clone().into_iter().enumerate() {
        let name = c.source.outputs.get(k).cloned().unwrap_or_else(|| format!("output {k}"));
        let at = |e: ImportError| e.at(&name, "output");
        let Some(Value::Lazy(l)) = c.values.get(&outlet).cloned() else {
            return Err(at(ImportError::unsupported("the output does not depend on the inputs")));
        };
        c.name = name.clone();
        let root = if private_output { private(c, &l) } else { c.materialize(&l) }.map_err(at)?;
        let plain = root;
        let root = match factors.get(k) {
            Some(Some((axis, powers))) => scale_axis(c, &l, root, *axis, powers).map_err(at)?,
            _ => root,
        };
        // The values of a quantized model are integers times a scale that is no power of two: it is no part of the statement.
        let own = c.exact.contains(&l.root.node) && factors.get(k).is_none_or(Option::is_none) && !is_power(root.scale);
        let (node, e) = if own { (root.node, 0) } else { to_power_of_two(c, root).map_err(at)? };
        let whole = c.exact.contains(&l.root.node) && l.form.affine().is_some_and(|(_, b)| b == 0.0);
        let named = c.source.nodes.iter().any(|n| n.outputs.contains(&name) && quantized(&n.op));
        steps.push((whole && named && plain.node == root.node).then_some(root.scale));
        // An output that is an input, or another output, gets a node of its own.
        let fresh = matches!(c.g.node(node).op, Op::Input(_) | Op::Weight(_)) || ids.contains(&node);
        let node = if fresh { c.g.linear(&name, &[(node, 1)], 0)? } else { node };
        if plain.node == root.node {
            c.traces.push((outlet, node, if own { root.scale } else { (-f64::from(e)).exp2() }));
        } else {
            c.traces.push((outlet, plain.node, plain.scale));
        }
        let shape = c.shape(node);
        let features = own.then(|| {
            let n = shape.first().copied().unwrap_or(1);
            Features { axis: 0, scale: vec![root.scale; n], offset: vec![0.0; n] }
        });
        specs.push(TensorSpec { features, ..TensorSpec::uniform(name, &shape, e) });
        ids.push(node);
    }
    Ok((ids, specs, steps))
}

/// Multiplies each index of an axis by its power of two: entries of unlike sizes keep their own precision.
fn scale_axis(c: &mut Lowering<'_>, l: &Lazy, root: Root, axis: usize, powers: &[i32]) -> Result<Root> {
    let least = powers.iter().copied().min().unwrap_or(0);
    let most = powers.iter().copied().max().unwrap_or(0);
    let bits = |root: &Root, c: &Lowering<'_>| {
        let r = c.g.node(root.node).range;
        128 - (r.hi - r.lo).leading_zeros() as i32
    };
    let room = |root: &Root, c: &Lowering<'_>| bits(root, c) + most - least <= OUTPUT_BITS;
    let root = if room(&root, c) { root } else { c.commit(&Lazy { outlet: None, ..l.clone() })? };
    let factors = powers.iter().map(|p| 1i64 << (p - least)).collect();
    let node = c.push(Op::AxisScale(AxisScale { axis, factors }), &[root.node])?;
    Ok(Root { node, scale: root.scale * f64::from(least).exp2(), range: l.range })
}

/// The tensor, committed.
fn private(c: &mut Lowering<'_>, l: &Lazy) -> Result<Root> {
    let is_input = matches!(c.g.node(l.root.node).op, Op::Input(_) | Op::Weight(_));
    if !is_input || l.form.affine().is_none() {
        return c.commit(l);
    }
    let expr = Expr::root();
    let root = c.materialize(l)?;
    c.commit(&Lazy { root, expr, form: Form::identity(), range: l.range, outlet: l.outlet })
}

fn is_power(scale: f64) -> bool {
    let power = scale.log2();
    (power - power.round()).abs() < 1e-12
}

/// Multiplies by an integer where the scale is no power of two.
fn to_power_of_two(c: &mut Lowering<'_>, root: Root) -> Result<(NodeId, i32)> {
    let power = root.scale.log2();
    if is_power(root.scale) {
        return Ok((root.node, -(power.round() as i32)));
    }
    let range = c.g.node(root.node).range;
    let width = 129 - range.hi.max(-range.lo).leading_zeros() as i32;
    let e = (58 - width).clamp(0, 16) - power.floor() as i32;
    let factor = to_int(root.scale * f64::from(e).exp2())?;
    Ok((c.linear(&[(root.node, factor)], 0)?, e))
}

/// Drops what no output needs.
fn prune(
    c: Lowering<'_>,
    input_ids: Vec<NodeId>,
    inputs: Vec<TensorSpec>,
    (output_ids, outputs, steps): Made,
) -> Result<Lowered> {
    let (limb, traces, limits, requests) = (c.widths.limb, c.traces, c.limits, c.requests);
    let full = c.g.finish(input_ids.clone(), output_ids.clone())?;
    let mut live = vec![false; full.nodes().len()];
    for id in output_ids.iter().chain(&input_ids) {
        live[id.0] = true;
    }
    // The state of a delay comes later in the graph.
    let mut open: Vec<NodeId> = output_ids.iter().chain(&input_ids).copied().collect();
    while let Some(at) = open.pop() {
        for id in &full.node(at).inputs {
            if !std::mem::replace(&mut live[id.0], true) {
                open.push(*id);
            }
        }
    }
    let mut b = GraphBuilder::new(limb);
    let mut map: HashMap<NodeId, NodeId> = HashMap::new();
    let mut tables: HashMap<TableId, TableId> = HashMap::new();
    let mut weights = Vec::new();
    let mut all_weights = c.weights.into_iter();
    for (i, node) in full.nodes().iter().enumerate() {
        let weight = if matches!(node.op, Op::Weight(_)) { all_weights.next() } else { None };
        if !live[i] {
            continue;
        }
        weights.extend(weight);
        let before = if matches!(node.op, Op::Delay(_)) { &node.inputs[..1] } else { &node.inputs[..] };
        let ids: Vec<NodeId> = before.iter().map(|id| map[id]).collect();
        let new = match &node.op {
            Op::Lookup(l) => {
                let table = match tables.get(&l.table) {
                    Some(known) => *known,
                    None => b.table(l.table(full.tables())?.clone())?,
                };
                tables.insert(l.table, table);
                b.push(&node.name, Op::Lookup(Lookup { table, shift: l.shift }), &ids)?
            }
            op => b.push(&node.name, op.clone(), &ids)?,
        };
        map.insert(NodeId(i), new);
    }
    for (i, node) in full.nodes().iter().enumerate().filter(|(i, _)| live[*i]) {
        if let (Op::Delay(_), Some(state)) = (&node.op, node.inputs.get(1)) {
            b.connect(map[&NodeId(i)], map[state])?;
        }
    }
    let remap = |ids: Vec<NodeId>| ids.iter().map(|id| map[id]).collect::<Vec<_>>();
    let used: Vec<NodeId> = full
        .nodes()
        .iter()
        .zip(&live)
        .filter(|(n, l)| **l && matches!(n.op, Op::Lookup(_)))
        .map(|(n, _)| n.inputs[0])
        .collect();
    Ok(Lowered {
        lowered_multiply_adds: full.multiply_adds(),
        graph: b.finish(remap(input_ids), remap(output_ids))?,
        weights,
        inputs,
        outputs,
        steps,
        traces: traces.into_iter().filter_map(|(o, id, s)| map.get(&id).map(|n| (o, *n, s))).collect(),
        limits: limits.into_iter().filter_map(|(id, l)| map.get(&id).map(|n| (*n, l))).collect(),
        requests: requests.into_iter().filter(|(_, id, _)| used.contains(id)).collect(),
    })
}
