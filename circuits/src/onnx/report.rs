//! Comparing the quantized model with the float model.

use super::{
    calibrate::run_float,
    load::FloatModel,
    lower::{Result, Widths},
};
use crate::{
    graph::{Graph, NodeId},
    model::{Model, OutputReport, QuantReport},
    ops::Op,
};
use std::collections::BTreeMap;
use tract_onnx::prelude::{OutletId, TypedModel};

/// What the report needs to know of a quantized model.
pub(crate) struct Trace {
    pub(crate) widths: Widths,
    /// Integer nodes that stand for a tract outlet, with their scale.
    pub(crate) nodes: Vec<(OutletId, NodeId, f64)>,
    /// Keys of lookups beyond which values are clipped.
    pub(crate) limits: Vec<(NodeId, (i64, i64))>,
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

impl Trace {
    /// The limits of all lookups, in the graph's order; a lookup without any never clamps.
    pub(crate) fn lookup_limits(&self, graph: &Graph) -> Vec<(i64, i64)> {
        let all: BTreeMap<NodeId, (i64, i64)> = self.limits.iter().copied().collect();
        let of = |id: NodeId| all.get(&id).copied().unwrap_or((i64::MIN, i64::MAX));
        let lookups = graph.nodes().iter().enumerate().filter(|(_, n)| matches!(n.op, Op::Lookup(_)));
        lookups.map(|(i, _)| of(NodeId(i))).collect()
    }
}

/// Runs both models on samples and reports how far they are apart.
pub(crate) fn compare(
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
        for (id, (lo, hi)) in &trace.limits {
            let node = model.graph.node(*id);
            let Op::Lookup(op) = &node.op else { continue };
            let outside = |v: &&i64| !(*lo..=*hi).contains(&op.key(**v));
            let count = values.of(node.inputs[0]).data.iter().filter(outside).count();
            if count > 0 {
                *saturated.entry(node.name.clone()).or_default() += count as u64;
            }
        }
        run_float(source, typed, sample, &mut |outlet, float| {
            for (i, (o, id, scale)) in trace.nodes.iter().enumerate() {
                if *o == outlet {
                    layers.entry(i).or_insert_with(Errors::new).add(float, &values.of(*id).data, *scale);
                }
            }
            for (o, (errors, spec)) in typed.outputs.iter().zip(outputs.iter_mut().zip(&model.outputs)) {
                if *o == outlet
                    && let Some(id) =
                        model.graph.outputs().get(model.outputs.iter().position(|s| s == spec).unwrap_or(0))
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
