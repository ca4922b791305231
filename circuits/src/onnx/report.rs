//! Comparing the quantized model with the float model.

use super::{
    calibrate::Measured,
    equalize::Equalized,
    load::FloatModel,
    lower::{Result, Widths},
};
use crate::{
    eval::Evaluator,
    graph::{Graph, NodeId},
    model::{Cause, MAX_ERROR, MIN_AGREEMENT, Metric, Model, OutputReport, QuantReport},
    ops::Op,
    parallel::{PART, on_all_threads},
    tensor::{Tensor, around},
};
use std::collections::{BTreeMap, HashMap};
use tract_onnx::prelude::OutletId;

/// What the report needs to know of a quantized model.
pub(crate) struct Trace {
    pub(crate) widths: Widths,
    /// Integer nodes that stand for a tract outlet, with their scale.
    pub(crate) nodes: Vec<(OutletId, NodeId, f64)>,
    /// Keys of lookups beyond which values are clipped.
    pub(crate) limits: Vec<(NodeId, (i64, i64))>,
    /// For each output, the step of its own type where it is a quantized model's integers.
    pub(crate) steps: Vec<Option<f64>>,
}

/// Outputs of at most so many values are measured value by value: they are targets or classes, not pictures.
const MAX_ELEMENTS: usize = 64;
/// And from so many samples on: the range of one value over two samples says nothing.
const MIN_SAMPLES: usize = 16;
/// Values whose ranges are at most so many times smaller than that of the whole output are of one kind.
const LIKE: f64 = 8.0;
/// Values that are this many times smaller than the whole output are what float32 sums leave of a zero.
const NOISE: f64 = 1e-7;
/// Decisions that the float model leaves within this share of the output's range of one another: either is right.
const TIE: f64 = MAX_ERROR / 2.0;
/// Samples that are run together.
const TOGETHER: usize = 64;
/// Integers held at a time while samples are run together.
const HELD_VALUES: usize = 1 << 25;
/// A tensor is a cause if its middle channel has fewer steps than this.
const FEW_STEPS: f64 = 32.0;

/// Both outputs of a model, `[sample][entry]`: of the float model for all samples, of the integer graph for the first ones.
struct Pair<'p> {
    float: Vec<&'p [f32]>,
    integer: &'p [Vec<f32>],
    /// Samples that do not count: those of a label that the float model's own scores leave open. Empty where all count.
    open: &'p [bool],
    /// The step of the output's own type, where it is a quantized model's integers.
    step: Option<f64>,
}

/// The distance from the least to the largest of all values.
fn span<'v>(values: impl Iterator<Item = &'v f32>) -> f64 {
    let (lo, hi) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| {
        let v = f64::from(*v);
        (lo.min(v), hi.max(v))
    });
    (hi - lo).max(0.0)
}

/// The samples of which the scores of an output leave the decision open ([`TIE`]). `outputs` is `[sample][output]`.
fn open_samples(outputs: &[Vec<Vec<f32>>]) -> Vec<bool> {
    let mut open = vec![false; outputs.len()];
    for o in 0..outputs.first().map_or(0, Vec::len) {
        if outputs.iter().any(|s| s[o].len() < 2) {
            continue;
        }
        let tie = TIE * span(outputs.iter().flat_map(|s| &s[o]));
        for (open, s) in open.iter_mut().zip(outputs) {
            let best = top(&s[o]);
            let others = s[o].iter().enumerate().filter(|(i, _)| *i != best).map(|(_, v)| *v);
            let second = others.fold(f32::NEG_INFINITY, f32::max);
            *open |= f64::from(s[o][best]) - f64::from(second) <= tie;
        }
    }
    open
}

/// Whether an output is one whole number: a label, or a count.
fn is_label(outputs: &[Vec<Vec<f32>>], o: usize) -> bool {
    outputs.iter().all(|s| matches!(s[o].as_slice(), [v] if v.fract() == 0.0))
}

fn top(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

impl Pair<'_> {
    fn metric(&self) -> Metric {
        let values = || self.float.iter().filter_map(|v| v.first());
        match self.float.first().map(|v| v.len()) {
            Some(1) if values().any(|v| *v > 0.0) && values().any(|v| *v < 0.0) => Metric::Sign,
            Some(1)
                if values().all(|v| (0.0..=1.0).contains(v))
                    && values().any(|v| *v > 0.5)
                    && values().any(|v| *v < 0.5) =>
            {
                Metric::Threshold
            }
            Some(1) => Metric::Regression,
            _ => Metric::Top1,
        }
    }

    fn counts(&self, sample: usize) -> bool {
        !self.open.get(sample).copied().unwrap_or(false)
    }

    /// Agreement over all samples, and of the class that agrees least. Another decision agrees too where the float model holds
    /// both to be as good ([`TIE`]).
    fn agreement(&self, metric: Metric) -> (f64, Option<(u64, f64)>) {
        let tie = TIE * span(self.float.iter().flat_map(|v| v.iter()));
        // How far the float model is from another decision.
        let margin = |f: &[f32], other: usize| match (metric, f.first()) {
            (Metric::Top1, _) => f.get(other).map_or(f64::INFINITY, |v| f64::from(f[top(f)]) - f64::from(*v)),
            (Metric::Sign, Some(v)) => f64::from(v.abs()),
            (Metric::Threshold, Some(v)) => (f64::from(*v) - 0.5).abs(),
            _ => f64::INFINITY,
        };
        let class = |v: &[f32]| match metric {
            Metric::Top1 => top(v),
            Metric::Sign => usize::from(v.first().is_some_and(|v| *v > 0.0)),
            Metric::Threshold => usize::from(v.first().is_some_and(|v| *v > 0.5)),
            Metric::Regression => 0,
        };
        let mut classes: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
        for (_, (f, q)) in self.float.iter().zip(self.integer).enumerate().filter(|(k, _)| self.counts(*k)) {
            let c = class(f);
            let (agree, all) = classes.entry(c).or_default();
            let other = class(q);
            *agree += u64::from(other == c || margin(f, other) <= tie);
            *all += 1;
        }
        let (agree, all) = classes.values().fold((0, 0), |(a, n), (b, m)| (a + b, n + m));
        let share = |a: u64, n: u64| a as f64 / n.max(1) as f64;
        let worst = classes.iter().map(|(c, (a, n))| (*c as u64, share(*a, *n))).min_by(|a, b| a.1.total_cmp(&b.1));
        (share(agree, all), worst.filter(|(_, w)| *w < 1.0))
    }

    /// Whether the gate is missed whatever the remaining samples show: errors are measured by the range over all samples, so
    /// the largest one never shrinks, and what disagrees goes on disagreeing.
    /// A mean that is too large so far may still come within the gate, and does not count.
    fn missed(&self) -> bool {
        let counted = |n: usize| (0..n).filter(|k| self.counts(*k)).count() as f64;
        let (all, some) = (counted(self.float.len()).max(1.0), counted(self.integer.len()));
        let most = 1.0 - (1.0 - self.agreement(self.metric()).0) * some / all;
        let so_far = self.report("");
        most < MIN_AGREEMENT || so_far.max_error > so_far.allowed()
    }

    fn report(&self, name: &str) -> OutputReport {
        let n = self.float.first().map_or(0, |v| v.len());
        let apart = n > 1 && n <= MAX_ELEMENTS && self.float.len() >= MIN_SAMPLES;
        let groups: Vec<std::ops::Range<usize>> =
            if apart { (0..n).map(|i| i..i + 1).collect() } else { std::iter::once(0..n).collect() };
        let bounds = |r: &std::ops::Range<usize>| {
            let values = self.float.iter().flat_map(|v| &v[r.clone()]);
            values
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(f64::from(*v)), hi.max(f64::from(*v))))
        };
        let metric = self.metric();
        let (top1, worst_class) = self.agreement(metric);
        let all = bounds(&(0..n));
        let mut out = OutputReport {
            name: name.to_owned(),
            metric,
            top1,
            worst_class,
            explained: 1.0,
            range: (all.1 - all.0).max(0.0),
            ..OutputReport::default()
        };
        for (i, r) in groups.iter().enumerate() {
            let (lo, hi) = bounds(r);
            // What never changes is measured by its size, and classes, which are compared with one another, by what they
            // have in common.
            let size = lo.abs().max(hi.abs());
            let own = if hi - lo > 1e-6 * size { hi - lo } else { size };
            // What is no more than the float model's own rounding of the whole is no target of another kind.
            let noise = own < NOISE * (all.1 - all.0);
            let unit = if noise || LIKE * own > all.1 - all.0 { own.max(all.1 - all.0) } else { own };
            let unit = if unit > 0.0 { unit } else { 1.0 };
            let (mut sum, mut max, mut square, mut total, mut count) = (0.0f64, 0.0f64, 0.0f64, 0.0f64, 0u64);
            for (_, (f, q)) in self.float.iter().zip(self.integer).enumerate().filter(|(k, _)| self.counts(*k)) {
                for (f, q) in f[r.clone()].iter().zip(&q[r.clone()]) {
                    let e = (f64::from(*f) - f64::from(*q)).abs();
                    sum += e;
                    max = max.max(e);
                    square += e * e;
                    total += f64::from(*f);
                    count += 1;
                }
            }
            let count = count.max(1) as f64;
            let mean = total / count;
            let values = self.float.iter().flat_map(|v| &v[r.clone()]);
            let variance: f64 = values.map(|v| (f64::from(*v) - mean).powi(2)).sum();
            if variance > 0.0 {
                out.explained = out.explained.min(1.0 - square / variance);
            }
            let mean = sum / count / unit;
            out.mean_error = out.mean_error.max(mean);
            let this = OutputReport {
                max_error: max / unit,
                step: self.step.map(|step| step / unit),
                worst_element: apart.then_some(i as u64),
                ..OutputReport::default()
            };
            // Elements have units of their own, so a step is a larger share of one than of another: what one may be off, another
            // may not, and must not hide behind it.
            let rank = |r: &OutputReport| (r.max_error > r.allowed(), r.max_error);
            if i == 0 || rank(&this) > rank(&out) {
                (out.max_error, out.step) = (this.max_error, this.step);
                out.worst_element = this.worst_element.filter(|_| max > 0.0);
            }
        }
        out
    }
}

/// Largest error and range of an intermediate tensor.
#[derive(Clone, Copy)]
struct Errors {
    max: f64,
    lo: f64,
    hi: f64,
}

impl Errors {
    const NONE: Self = Self { max: 0.0, lo: f64::INFINITY, hi: f64::NEG_INFINITY };

    fn add(&mut self, float: &[f32], integer: &[i64], scale: f64) {
        let parts: Vec<_> = float.chunks(PART).zip(integer.chunks(PART)).collect();
        for e in on_all_threads(&parts, |(f, q)| errors(f, q, scale)) {
            self.join(e);
        }
    }

    fn join(&mut self, e: Self) {
        self.max = if e.max > self.max { e.max } else { self.max };
        self.lo = if e.lo < self.lo { e.lo } else { self.lo };
        self.hi = if e.hi > self.hi { e.hi } else { self.hi };
    }

    fn relative(&self) -> f64 {
        let range = self.hi - self.lo;
        if range > 0.0 { self.max / range } else { self.max }
    }
}

vectors! {
    /// What two tensors, or parts of them, are apart.
    fn errors(float: &[f32], integer: &[i64], scale: f64) -> Errors {
        // Several at a time, so that no comparison waits for the one before.
        const LANES: usize = 32;
        let (mut max, mut lo, mut hi) = ([0.0f64; LANES], [f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let (floats, integers) = (float.as_chunks::<LANES>(), integer.as_chunks::<LANES>());
        let whole = floats.0.iter().zip(integers.0).map(|(f, q)| (f.as_slice(), q.as_slice()));
        for (f, q) in whole.chain([(floats.1, integers.1)]) {
            for (max, (f, q)) in max.iter_mut().zip(f.iter().zip(q)) {
                let e = (f64::from(*f) - *q as f64 * scale).abs();
                *max = if e > *max { e } else { *max };
            }
            for ((lo, hi), f) in lo.iter_mut().zip(&mut hi).zip(f) {
                *lo = if f < lo { *f } else { *lo };
                *hi = if f > hi { *f } else { *hi };
            }
        }
        let mut all = Errors::NONE;
        for ((max, lo), hi) in max.into_iter().zip(lo).zip(hi) {
            all.join(Errors { max, lo: lo.into(), hi: hi.into() });
        }
        all
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

/// What is compared: the float model's samples, and what it made of them.
pub(crate) struct Truth<'t> {
    pub(crate) source: &'t FloatModel,
    /// The model that was quantized.
    pub(crate) rewritten: &'t Equalized,
    /// Inputs of the model as the file has it.
    pub(crate) samples: &'t [Vec<Vec<f32>>],
    /// Outputs of the model as the file has it, `[sample][output]`.
    pub(crate) outputs: &'t [Vec<Vec<f32>>],
    /// What the rewritten model computed.
    pub(crate) measured: &'t Measured,
}

/// A lookup, and the smallest and largest key that is no clamped value.
type Limited = (NodeId, (i64, i64));

/// How far a comparison goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the last sample.
    End,
    /// Until it is certain that the gate is missed, looking after `first` samples at the earliest; the report is then that of the
    /// samples so far.
    Missed { first: usize },
}

/// Runs the integer graph on the first `count` samples and reports how far it is from the float model.
pub(crate) fn compare(
    truth: &Truth<'_>,
    model: &Model,
    trace: &Trace,
    count: usize,
    until: Until,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<QuantReport> {
    let count = count.min(truth.samples.len());
    let mut layers: BTreeMap<usize, Errors> = BTreeMap::new();
    let mut saturated: BTreeMap<String, u64> = BTreeMap::new();
    let mut integer: Vec<Vec<Vec<f32>>> = vec![vec![]; model.outputs.len()];
    let mut traced: HashMap<NodeId, Vec<usize>> = HashMap::new();
    for (i, (_, id, _)) in trace.nodes.iter().enumerate() {
        traced.entry(*id).or_default().push(i);
    }
    let mut limited: HashMap<NodeId, Vec<Limited>> = HashMap::new();
    for (id, limits) in &trace.limits {
        limited.entry(model.graph.node(*id).inputs[0]).or_default().push((*id, *limits));
    }
    let values = model.graph.nodes().iter().filter(|n| !matches!(n.op, Op::Weight(_)));
    let values: usize = values.map(|n| n.shape.iter().product::<usize>()).sum();
    let together = (HELD_VALUES / values.max(1)).clamp(1, TOGETHER);
    // More samples at a time as it goes well.
    let mut next = match until {
        Until::Missed { first } => first.min(together),
        Until::End => together,
    };
    let undecided = open_samples(&truth.outputs[..count]);
    let undecided = if undecided.contains(&false) { undecided } else { vec![] };
    let open = |o: usize| if is_label(&truth.outputs[..count], o) { undecided.as_slice() } else { &[] };
    let float = |o: usize| truth.outputs[..count].iter().map(move |s| s[o].as_slice()).collect::<Vec<_>>();
    let mut evaluator = Evaluator::new(&model.graph, &model.weights)?;
    let mut done = 0;
    while done < count {
        progress("compare", done as u64, count as u64);
        let part = &truth.samples[done..(done + next).min(count)];
        next = (4 * next).min(together);
        let mut inputs = Vec::with_capacity(part.len());
        for sample in part {
            let (tensors, clipped) = model.quantize_all(sample)?;
            if clipped > 0 {
                *saturated.entry("input".to_owned()).or_default() += clipped as u64;
            }
            inputs.push(tensors);
        }
        let mut failed = None;
        let mut made: Vec<Vec<Option<Vec<f32>>>> = vec![vec![None; part.len()]; model.outputs.len()];
        let last = done + part.len() == count;
        evaluator.run(&inputs, last, &mut |id: NodeId, k: usize, value: &Tensor| {
            for (lookup, (lo, hi)) in limited.get(&id).into_iter().flatten() {
                let node = model.graph.node(*lookup);
                let Op::Lookup(op) = &node.op else { continue };
                if op.leaves(&value.data, (*lo, *hi)) {
                    let outside = value.data.iter().filter(|v| !(*lo..=*hi).contains(&op.key(**v))).count();
                    *saturated.entry(node.name.clone()).or_default() += outside as u64;
                }
            }
            if let Some(record) = truth.measured.recorded.get(done + k) {
                for i in traced.get(&id).into_iter().flatten() {
                    let (outlet, _, scale) = trace.nodes[*i];
                    if let Some(float) = record.get(&outlet) {
                        layers.entry(*i).or_insert(Errors::NONE).add(float, &value.data, scale);
                    }
                }
            }
            for (o, _) in model.graph.outputs().iter().enumerate().filter(|(_, x)| **x == id) {
                match model.outputs[o].dequantize(value) {
                    Ok(v) => made[o][k] = Some(v),
                    Err(e) => failed = Some(e),
                }
            }
        })?;
        if let Some(e) = failed {
            return Err(e.into());
        }
        for (all, new) in integer.iter_mut().zip(made) {
            all.extend(new.into_iter().map(Option::unwrap_or_default));
        }
        done += part.len();
        if until != Until::End && done < count {
            let pair = |(o, some)| Pair { float: float(o), integer: some, open: open(o), step: trace.steps[o] };
            let missed = integer.iter().map(Vec::as_slice).enumerate().any(|p| pair(p).missed());
            if missed {
                break;
            }
        }
    }
    progress("compare", count as u64, count as u64);
    let worst = layers.iter().max_by(|(_, a), (_, b)| a.relative().total_cmp(&b.relative())).map(|(i, e)| {
        let name = &truth.rewritten.model.nodes()[trace.nodes[*i].0.node].name;
        (truth.source.origin(name, "").0.to_owned(), e.relative())
    });
    let pair = |(o, all)| Pair { float: float(o), integer: all, open: open(o), step: trace.steps[o] };
    let outputs = integer.iter().map(Vec::as_slice).enumerate();
    let outputs = outputs.map(|(o, all)| pair((o, all)).report(&model.outputs[o].name));
    Ok(QuantReport {
        samples: done as u64,
        outputs: outputs.collect(),
        worst_layer: worst,
        saturations: saturated.into_iter().collect(),
        ..QuantReport::default()
    })
}

/// The tensor of which one channel leaves the fewest steps to the others.
pub(crate) fn cause(truth: &Truth<'_>, model: &Model, trace: &Trace) -> Option<Cause> {
    let mut worst: Option<Cause> = None;
    for (outlet, id, scale) in &trace.nodes {
        let node = model.graph.node(*id);
        // Sums of products are as fine as can be; what was rounded to a width is not.
        if !matches!(node.op, Op::Lookup(_) | Op::Input(_)) {
            continue;
        }
        let (lo, hi) = truth.measured.entries.get(outlet)?;
        let shape = &node.shape;
        let Some(axis) = (usize::from(shape.len() > 1)..shape.len()).find(|a| shape[*a] > 1) else { continue };
        let (_, len, inner) = around(shape, axis);
        let mut sizes = vec![0.0f64; len];
        for (i, (a, b)) in lo.iter().zip(hi).enumerate() {
            let c = i / inner.max(1) % len.max(1);
            sizes[c] = sizes[c].max(f64::from(a.abs().max(b.abs())));
        }
        let channel = (0..len).max_by(|a, b| sizes[*a].total_cmp(&sizes[*b]))?;
        let largest = sizes[channel];
        let mut live: Vec<f64> = sizes.iter().copied().filter(|s| *s > 0.0).collect();
        live.sort_by(f64::total_cmp);
        let typical = live.get(live.len() / 2).copied().unwrap_or(0.0);
        let steps = typical / scale;
        if steps < FEW_STEPS && worst.as_ref().is_none_or(|w| steps < w.steps) {
            let name = &truth.rewritten.model.nodes()[outlet.node].name;
            let node = truth.source.origin(name, "").0.to_owned();
            worst = Some(Cause { node, channel: channel as u64, largest, typical, steps });
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn errors_are_the_largest_difference_and_the_range(
            values in prop::collection::vec((-1e6f32..1e6, any::<i64>(), 20u32..64), 0..90),
            scale in 1e-9f64..10.0,
        ) {
            let (f, q): (Vec<f32>, Vec<i64>) = values.into_iter().map(|(f, q, s)| (f, q >> s)).unzip();
            let most = f.iter().zip(&q).map(|(f, q)| (f64::from(*f) - *q as f64 * scale).abs()).fold(0.0, f64::max);
            let lo = f.iter().map(|v| f64::from(*v)).fold(f64::INFINITY, f64::min);
            let hi = f.iter().map(|v| f64::from(*v)).fold(f64::NEG_INFINITY, f64::max);
            let e = errors(&f, &q, scale);
            prop_assert_eq!((e.max, e.lo, e.hi), (most, lo, hi));
        }
    }

    #[test]
    fn labels_count_where_the_scores_beside_them_decide() {
        let sample = |label: f32, scores: [f32; 2]| vec![vec![label], scores.to_vec()];
        let outputs = [sample(0.0, [0.9, 0.1]), sample(1.0, [0.4995, 0.5005]), sample(1.0, [0.0, 1.0])];
        let open = open_samples(&outputs);
        assert_eq!(open, [false, true, false]);
        assert!(is_label(&outputs, 0) && !is_label(&outputs, 1));
        let float = || outputs.iter().map(|s| s[0].as_slice()).collect();
        let report =
            |integer: &[Vec<f32>], open: &[bool]| Pair { float: float(), integer, open, step: None }.report("label");
        // The label of the second sample is another one: a fault, unless the scores leave it open.
        let flipped = [vec![0.0], vec![0.0], vec![1.0]];
        let r = report(&flipped, &open);
        assert_eq!((r.top1, r.max_error), (1.0, 0.0));
        let r = report(&flipped, &[]);
        assert!(r.top1 < 0.7 && r.max_error == 1.0, "{r:?}");
        // That of the third is decided.
        let r = report(&[vec![0.0], vec![1.0], vec![0.0]], &open);
        assert!(r.top1 < 0.7 && r.max_error == 1.0, "{r:?}");
    }

    #[test]
    fn what_float32_leaves_of_a_zero_is_no_target() {
        let outputs = |small: f32| -> Vec<Vec<f32>> {
            (0..MIN_SAMPLES).map(|k| vec![k as f32, if k.is_multiple_of(2) { small } else { -small }]).collect()
        };
        let error = |small: f32| {
            let float = outputs(small);
            let integer: Vec<Vec<f32>> = float.iter().map(|v| vec![v[0], 0.0]).collect();
            let pair =
                Pair { float: float.iter().map(Vec::as_slice).collect(), integer: &integer, open: &[], step: None };
            pair.report("y").max_error
        };
        assert!(error(1e-7) < 1e-6);
        // A small target of its own kind is lost.
        assert!(error(1e-2) > 0.4, "{}", error(1e-2));
    }

    #[test]
    fn a_step_of_an_outputs_own_type_is_no_fault_but_many_are() {
        // Twenty-one values of a step of 0.5: one step is 5 % of the range.
        let float: Vec<Vec<f32>> = (0..210).map(|k| vec![(k % 21) as f32 * 0.5]).collect();
        let report = |step: Option<f64>, wrong: usize, by: f32| {
            let other = |(k, v): (usize, &Vec<f32>)| vec![if k < wrong { v[0] + by } else { v[0] }];
            let integer: Vec<Vec<f32>> = float.iter().enumerate().map(other).collect();
            let float = float.iter().map(Vec::as_slice).collect();
            let pair = Pair { float, integer: &integer, open: &[], step };
            let r = pair.report("y");
            (r.max_error, r.step, r.is_near(), pair.missed())
        };
        let (one, two) = (0.5 / 10.0, 1.0 / 10.0);
        // The error is shown as it is, and what excuses it beside it.
        assert_eq!(report(Some(0.5), 4, 0.5), (one, Some(one), true, false));
        assert_eq!(report(Some(0.5), 4, -0.5), (one, Some(one), true, false));
        assert_eq!(report(Some(0.5), 0, 0.0), (0.0, Some(one), true, false));
        // A model that is wrong by a step everywhere, or in many places, is another model; samples to come may tell otherwise.
        assert_eq!(report(Some(0.5), 210, 0.5), (one, Some(one), false, false));
        assert_eq!(report(Some(0.5), 60, -0.5), (one, Some(one), false, false));
        // Two steps, and steps that are not the output's own, count as ever.
        assert_eq!(report(Some(0.5), 1, 1.0), (two, Some(one), false, true));
        assert_eq!(report(None, 1, 0.5), (one, None, false, true));
        // The gate's percent stays where steps are finer than that.
        assert_eq!(report(Some(0.05), 1, 0.05), (f64::from(0.05f32) / 10.0, Some(0.005), true, false));
        assert!(!report(Some(0.05), 1, 0.15).2);
    }

    #[test]
    fn an_element_may_not_be_off_by_the_step_of_another() {
        // The first element has a sixteenth of the range of the second, and so steps of sixteen times its share.
        let float: Vec<Vec<f32>> = (0..64).map(|k| vec![(k % 2) as f32, (k % 17) as f32]).collect();
        let report = |off: [f32; 2]| {
            let mut integer = float.clone();
            integer[3].iter_mut().zip(off).for_each(|(v, by)| *v += by);
            let float = float.iter().map(Vec::as_slice).collect();
            let r = Pair { float, integer: &integer, open: &[], step: Some(0.5) }.report("y");
            (r.max_error, r.step, r.worst_element, r.is_near())
        };
        assert_eq!(report([0.5, 0.0]), (0.5, Some(0.5), Some(0), true));
        assert_eq!(report([0.5, 0.5]), (0.5, Some(0.5), Some(0), true));
        // Two steps of the second are a smaller share than the one of the first.
        assert_eq!(report([0.5, 1.0]), (0.0625, Some(0.03125), Some(1), false));
        assert_eq!(report([0.0, 0.0]).2, None);
    }

    #[test]
    fn either_of_two_equal_decisions_agrees() {
        let float: Vec<Vec<f32>> = vec![vec![0.0, 1.0], vec![0.5, 0.503], vec![0.5, 0.52]];
        let pair = |integer| Pair { float: float.iter().map(Vec::as_slice).collect(), integer, open: &[], step: None };
        let other = [vec![0.0, 1.0], vec![0.51, 0.5], vec![0.5, 0.52]];
        assert_eq!(pair(&other).agreement(Metric::Top1).0, 1.0);
        let other = [vec![0.0, 1.0], vec![0.5, 0.503], vec![0.52, 0.5]];
        assert!(pair(&other).agreement(Metric::Top1).0 < 0.7);
    }
}
