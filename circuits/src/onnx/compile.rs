//! From the float model to the quantized one: lower, choose tables, compare.

use super::{
    calibrate::{Stats, check_samples, generate_samples, measure, run_float},
    error::ImportError,
    expr::{Expr, Form},
    load::FloatModel,
    lower::{Lazy, Lowering, Result, Root, Value, Widths, fit_exponent, to_int},
    ops::FAMILIES,
    tables::{Plan, Requests, choose_limb_bits},
};
use crate::{
    graph::{Graph, GraphBuilder, NodeId},
    model::{Model, OutputReport, QuantReport, TensorSpec},
    ops::Op,
    tensor::Tensor,
};
use std::collections::{BTreeMap, HashMap};
use tract_onnx::{
    prelude::{IntoTValue, OutletId, TypedModel, TypedNode},
    tract_hir::{
        internal::IntoArcTensor,
        tract_core::ops::{konst::Const, source::TypedSource},
    },
};

/// How to quantize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileOptions {
    /// Width of weights, 2 to 16; `None` tries 8, 10 and 12.
    pub weight_bits: Option<u32>,
    /// Width of activations, 4 to 14; `None` tries 8, 10 and 12.
    pub activation_bits: Option<u32>,
    /// Whether outputs are rounded to the activation width by a lookup, instead of being raw accumulators.
    pub private_output: bool,
    /// Seed of the samples that stand in for missing calibration data.
    pub seed: u64,
    /// Width of a remainder's limb, 4 to 16; `None` chooses the cheapest.
    pub limb_bits: Option<u32>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self { weight_bits: None, activation_bits: None, private_output: false, seed: 1, limb_bits: None }
    }
}

/// Widths (weights, activations) that are tried in turn.
const ATTEMPTS: [(u32, u32); 4] = [(8, 8), (10, 10), (12, 10), (12, 12)];
/// An attempt is good enough from this top-1 agreement on.
const TARGET_TOP1: f64 = 0.99;
/// And up to this error, relative to the output's range.
const TARGET_ERROR: f64 = 0.01;
/// Samples compared while searching for widths, and at the end.
const SEARCH_SAMPLES: usize = 32;
const REPORT_SAMPLES: usize = 512;
const GENERATED_SAMPLES: usize = 32;

/// Calibration data: for each sample, for each input, its values in row-major order.
pub type Samples<'a> = &'a [Vec<Vec<f32>>];

/// Quantizes a float model.
///
/// `progress(stage, done, total)` is called as work advances.
///
/// # Errors
/// An operator that cannot be proven, calibration data that does not fit, widths out of range, or a model whose worst-case
/// values leave 61 bits.
pub fn compile(
    model: &FloatModel,
    options: &CompileOptions,
    calibration: Option<Samples<'_>>,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Model> {
    check_options(options)?;
    let typed = model.typed()?;
    let generated;
    let samples = match calibration {
        Some(s) if !s.is_empty() => s,
        _ => {
            generated = generate_samples(model, options.seed, GENERATED_SAMPLES);
            &generated
        }
    };
    check_samples(model, samples)?;
    let samples = &samples[..samples.len().min(REPORT_SAMPLES)];
    let stats = measure(model, typed, samples, progress)?;
    let attempts: Vec<(u32, u32)> = match (options.weight_bits, options.activation_bits) {
        (Some(w), Some(a)) => vec![(w, a)],
        (w, a) => {
            let mut v: Vec<_> = ATTEMPTS.iter().map(|(x, y)| (w.unwrap_or(*x), a.unwrap_or(*y))).collect();
            v.dedup();
            v
        }
    };
    let mut best: Option<(Model, Trace)> = None;
    for (k, (weight, activation)) in attempts.iter().enumerate() {
        progress("quantize", k as u64, attempts.len() as u64);
        let widths = Widths { weight: *weight, activation: *activation, limb: options.limb_bits.unwrap_or(8) };
        let (mut candidate, trace) = quantize(model, typed, &stats, widths, options)?;
        if attempts.len() > 1 {
            let few = &samples[..samples.len().min(SEARCH_SAMPLES)];
            candidate.report = compare(model, typed, &candidate, &trace, few, progress)?;
        }
        let good = candidate.report.top1() >= TARGET_TOP1 && candidate.report.max_error() <= TARGET_ERROR;
        let better = best.as_ref().is_none_or(|(b, _)| quality(&candidate.report) > quality(&b.report));
        if good || better {
            best = Some((candidate, trace));
        }
        if good && attempts.len() > 1 {
            break;
        }
    }
    progress("quantize", attempts.len() as u64, attempts.len() as u64);
    let Some((mut out, trace)) = best else {
        return Err(ImportError::Malformed { reason: "no widths to try".to_owned() });
    };
    out.report = compare(model, typed, &out, &trace, samples, progress)?;
    out.report.weight_bits = trace.widths.weight;
    out.report.activation_bits = trace.widths.activation;
    out.report.generated = calibration.is_none_or(<[_]>::is_empty);
    out.report.notes = model.notes.clone();
    if out.report.generated {
        out.report.notes.push(
            "no calibration data: ranges come from made-up samples; give real ones for a dependable model".to_owned(),
        );
    }
    out.validate()?;
    Ok(out)
}

/// Ranks attempts: agreement first, then error.
fn quality(r: &QuantReport) -> f64 {
    r.top1().min(TARGET_TOP1) - r.max_error()
}

fn check_options(o: &CompileOptions) -> Result<()> {
    let check = |name: &'static str, v: Option<u32>, range: std::ops::RangeInclusive<u32>, allowed: &'static str| match v {
        Some(v) if !range.contains(&v) => Err(ImportError::Option { name, got: v.to_string(), allowed }),
        _ => Ok(()),
    };
    check("weight_bits", o.weight_bits, 2..=16, "2 to 16")?;
    check("activation_bits", o.activation_bits, 4..=14, "4 to 14")?;
    check("limb_bits", o.limb_bits, 4..=16, "4 to 16")
}

/// What the report needs to know of a quantized model.
struct Trace {
    widths: Widths,
    nodes: Vec<(OutletId, NodeId, f64)>,
}

fn quantize(
    source: &FloatModel,
    typed: &TypedModel,
    stats: &Stats,
    widths: Widths,
    options: &CompileOptions,
) -> Result<(Model, Trace)> {
    let mut widths = widths;
    let mut plan = Plan::default();
    let mut strict = |_: &mut Lowering<'_>, _: &TypedNode, e: ImportError| Err(e);
    let mut out = lower_model(source, typed, stats, widths, options.private_output, &plan, &mut strict)?;
    // Tables widen ranges a little and limbs change what aligning costs: a second round settles both.
    for _ in 0..2 {
        let next = Plan::choose(out.requests.iter());
        let limb = options.limb_bits.unwrap_or_else(|| choose_limb_bits(&shifts(&out.graph)));
        if next == plan && limb == widths.limb {
            break;
        }
        plan = next;
        widths.limb = limb;
        out = lower_model(source, typed, stats, widths, options.private_output, &plan, &mut strict)?;
    }
    let model = Model {
        graph: out.graph,
        weights: out.weights,
        inputs: out.inputs,
        outputs: out.outputs,
        report: QuantReport::default(),
    };
    Ok((model, Trace { widths, nodes: out.traces }))
}

fn shifts(graph: &Graph) -> Vec<(u32, u64)> {
    graph
        .nodes()
        .iter()
        .filter_map(|n| match &n.op {
            Op::Lookup(l) => Some((l.shift, n.shape.iter().product::<usize>() as u64)),
            _ => None,
        })
        .collect()
}

/// A lowered model.
pub(crate) struct Lowered {
    pub(crate) graph: Graph,
    pub(crate) weights: Vec<Tensor>,
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
    pub(crate) traces: Vec<(OutletId, NodeId, f64)>,
    pub(crate) requests: Requests,
}

/// What to do about a node that cannot be lowered: give up, or go on with a made-up input in its place.
pub(crate) type OnError<'e> = &'e mut dyn FnMut(&mut Lowering<'_>, &TypedNode, ImportError) -> Result<()>;

/// Lowers all nodes with given widths and tables.
pub(crate) fn lower_model(
    source: &FloatModel,
    model: &TypedModel,
    stats: &Stats,
    widths: Widths,
    private_output: bool,
    plan: &Plan,
    on_error: OnError<'_>,
) -> Result<Lowered> {
    let mut c = Lowering::new(source, model, stats, widths, plan);
    let mut inputs = Vec::new();
    let mut input_ids = Vec::new();
    for (name, shape) in &source.inputs {
        let node = model.nodes().iter().find(|n| n.op_is::<TypedSource>() && n.name == *name);
        let range = node.map_or((-1.0, 1.0), |n| stats.range(OutletId::new(n.id, 0)));
        let limit = f64::from((1u32 << (widths.activation - 1)) - 1);
        let e = fit_exponent(range.1.max(-range.0), limit + 0.49);
        let id = c.g.input(name, shape, widths.activation)?;
        input_ids.push(id);
        inputs.push(TensorSpec { name: name.clone(), shape: shape.clone(), scale_bits: e });
        if let Some(n) = node {
            let outlet = OutletId::new(n.id, 0);
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
    let (output_ids, outputs) = lower_outputs(&mut c, private_output)?;
    prune(c, input_ids, output_ids, inputs, outputs)
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
            return Ok(values);
        }
    }
    Err(ImportError::unsupported(format!("there is no lowering for it (tract: {})", node.op.name())))
}

fn lower_outputs(c: &mut Lowering<'_>, private_output: bool) -> Result<(Vec<NodeId>, Vec<TensorSpec>)> {
    let mut ids = Vec::new();
    let mut specs = Vec::new();
    for (k, outlet) in c.model.outputs.clone().into_iter().enumerate() {
        let name = c.source.outputs.get(k).cloned().unwrap_or_else(|| format!("output {k}"));
        let at = |e: ImportError| e.at(&name, "output");
        let Some(Value::Lazy(l)) = c.values.get(&outlet).cloned() else {
            return Err(at(ImportError::unsupported("the output does not depend on the inputs")));
        };
        c.name = name.clone();
        let root = if private_output { private(c, &l) } else { c.materialize(&l) }.map_err(at)?;
        let (node, e) = to_power_of_two(c, root).map_err(at)?;
        // An output that is an input, or another output, gets a node of its own.
        let fresh = matches!(c.g.node(node).op, Op::Input(_) | Op::Weight(_)) || ids.contains(&node);
        let node = if fresh { c.g.linear(&name, &[(node, 1)], 0)? } else { node };
        c.traces.push((outlet, node, (-f64::from(e)).exp2()));
        specs.push(TensorSpec { name, shape: c.shape(node), scale_bits: e });
        ids.push(node);
    }
    Ok((ids, specs))
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

/// Multiplies by an integer where the scale is no power of two.
fn to_power_of_two(c: &mut Lowering<'_>, root: Root) -> Result<(NodeId, i32)> {
    let power = root.scale.log2();
    if (power - power.round()).abs() < 1e-12 {
        return Ok((root.node, -(power.round() as i32)));
    }
    let e = 16 - power.floor() as i32;
    let factor = to_int(root.scale * f64::from(e).exp2())?;
    Ok((c.linear(&[(root.node, factor)], 0)?, e))
}

/// Drops what no output needs.
fn prune(
    c: Lowering<'_>,
    input_ids: Vec<NodeId>,
    output_ids: Vec<NodeId>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
) -> Result<Lowered> {
    let (limb, traces, requests) = (c.widths.limb, c.traces, c.requests);
    let full = c.g.finish(input_ids.clone(), output_ids.clone())?;
    let mut live = vec![false; full.nodes().len()];
    for id in output_ids.iter().chain(&input_ids) {
        live[id.0] = true;
    }
    for i in (0..live.len()).rev() {
        if live[i] {
            full.nodes()[i].inputs.iter().for_each(|id| live[id.0] = true);
        }
    }
    let mut b = GraphBuilder::new(limb);
    let mut map: HashMap<NodeId, NodeId> = HashMap::new();
    let mut weights = Vec::new();
    let mut all_weights = c.weights.into_iter();
    for (i, node) in full.nodes().iter().enumerate() {
        let weight = if matches!(node.op, Op::Weight(_)) { all_weights.next() } else { None };
        if !live[i] {
            continue;
        }
        weights.extend(weight);
        let ids: Vec<NodeId> = node.inputs.iter().map(|id| map[id]).collect();
        let new = match &node.op {
            Op::Lookup(l) => b.lookup(&node.name, ids[0], l.shift, l.table(full.tables())?.clone())?,
            op => b.push(&node.name, op.clone(), &ids)?,
        };
        map.insert(NodeId(i), new);
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
        graph: b.finish(remap(input_ids), remap(output_ids))?,
        weights,
        inputs,
        outputs,
        traces: traces.into_iter().filter_map(|(o, id, s)| map.get(&id).map(|n| (o, *n, s))).collect(),
        requests: requests.into_iter().filter(|(_, id, _)| used.contains(id)).collect(),
    })
}

/// Errors of one tensor over all samples.
#[derive(Clone, Debug)]
struct Errors {
    sum: f64,
    max: f64,
    count: u64,
    lo: f64,
    hi: f64,
    agree: u64,
}

impl Errors {
    fn new() -> Self {
        Self { sum: 0.0, max: 0.0, count: 0, lo: f64::INFINITY, hi: f64::NEG_INFINITY, agree: 0 }
    }

    fn add(&mut self, float: &[f32], integer: &[i64], scale: f64) {
        let top = |best: Option<(usize, f64)>, i: usize, v: f64| match best {
            Some((_, b)) if v <= b => best,
            _ => Some((i, v)),
        };
        let (mut a, mut b) = (None, None);
        for (i, (f, q)) in float.iter().zip(integer).enumerate() {
            let (f, q) = (f64::from(*f), *q as f64 * scale);
            self.sum += (f - q).abs();
            self.max = self.max.max((f - q).abs());
            self.lo = self.lo.min(f);
            self.hi = self.hi.max(f);
            a = top(a, i, f);
            b = top(b, i, q);
        }
        self.count += float.len() as u64;
        self.agree += u64::from(a.map(|x| x.0) == b.map(|x| x.0));
    }

    fn relative(&self, v: f64) -> f64 {
        let range = self.hi - self.lo;
        if range > 0.0 { v / range } else { v }
    }
}

/// Runs both models on samples and reports how far they are apart.
fn compare(
    source: &FloatModel,
    typed: &TypedModel,
    model: &Model,
    trace: &Trace,
    samples: &[Vec<Vec<f32>>],
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<QuantReport> {
    let mut layers: BTreeMap<usize, Errors> = BTreeMap::new();
    let mut outputs = vec![Errors::new(); model.outputs.len()];
    let mut saturated: BTreeMap<String, u64> = BTreeMap::new();
    for (k, sample) in samples.iter().enumerate() {
        progress("compare", k as u64, samples.len() as u64);
        let (inputs, clipped) = model.quantize_all(sample)?;
        if clipped > 0 {
            *saturated.entry("input".to_owned()).or_default() += clipped as u64;
        }
        let values = model.eval(&inputs)?;
        for s in values.saturations(&model.graph) {
            *saturated.entry(s.name).or_default() += s.count as u64;
        }
        run_float(source, typed, sample, &mut |outlet, float| {
            for (i, (o, id, scale)) in trace.nodes.iter().enumerate() {
                if *o == outlet {
                    layers.entry(i).or_insert_with(Errors::new).add(float, &values.of(*id).data, *scale);
                }
            }
            for (o, (errors, spec)) in typed.outputs.iter().zip(outputs.iter_mut().zip(&model.outputs)) {
                if *o == outlet
                    && let Some(id) = model.graph.outputs().get(model.outputs.iter().position(|s| s == spec).unwrap_or(0))
                {
                    errors.add(float, &values.of(*id).data, (-f64::from(spec.scale_bits)).exp2());
                }
            }
        })?;
    }
    progress("compare", samples.len() as u64, samples.len() as u64);
    let worst = layers
        .iter()
        .filter(|(_, e)| e.count > 0)
        .max_by(|(_, a), (_, b)| a.relative(a.max).total_cmp(&b.relative(b.max)))
        .map(|(i, e)| {
            let name = &typed.nodes()[trace.nodes[*i].0.node].name;
            (source.origin(name, "").0.to_owned(), e.relative(e.max))
        });
    let n = samples.len().max(1) as f64;
    Ok(QuantReport {
        samples: samples.len() as u64,
        outputs: outputs
            .iter()
            .zip(&model.outputs)
            .map(|(e, spec)| OutputReport {
                name: spec.name.clone(),
                top1: e.agree as f64 / n,
                mean_error: e.relative(e.sum / e.count.max(1) as f64),
                max_error: e.relative(e.max),
                range: (e.hi - e.lo).max(0.0),
            })
            .collect(),
        worst_layer: worst,
        saturations: saturated.into_iter().collect(),
        ..QuantReport::default()
    })
}

