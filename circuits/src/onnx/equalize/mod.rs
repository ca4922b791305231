//! One scale for each feature and channel, at no cost to the prover: the float model is rewritten before it is quantized.
//!
//! A tensor has one integer step. Where one channel is a thousand times another, the small one is rounded away. Such a
//! tensor is divided by a power of two per channel: the rows of the weights that make it are divided, and the columns of
//! the weights that read it are multiplied (cross-layer equalization: Nagel, van Baalen, Blankevoort, Welling, "Data-Free
//! Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1). In between there may be whatever
//! commutes with positive factors: ReLU, pooling, reshapes, sums with constants. The integer graph has the same operators,
//! lookups and ranges as before.
//!
//! At the two ends, where there are no weights to divide:
//! * an input is quantized outside of the statement, so that a factor and an offset for each feature are part of its
//!   [`Features`]; sums, differences, products and quotients with constants directly behind an input (standardization,
//!   BatchNormalization) become part of them too;
//! * columns that come in several inputs, or are chosen from one, are followed each on its own ([`table`], [`columns`]);
//! * an output's factors are applied to the integers by an `AxisScale`, a linear view that is proven without lookups.

mod columns;
mod path;
mod table;
#[cfg(test)]
mod tests;

use super::{
    calibrate::extremes,
    error::ImportError,
    load::FloatModel,
    lower::Result,
    ops::einsum::{floats, with_floats},
};
use crate::{model::Features, parallel::in_parts};
pub(crate) use columns::moved;
use path::{Consumer, Path, Producer};
use std::collections::HashMap;
use tract_onnx::{
    prelude::*,
    tract_hir::{
        internal::EvalOp,
        tract_core::ops::{binary::TypedBinOp, einsum::EinSum, konst::Const, math, source::TypedSource},
    },
};

/// Channels are told apart from this ratio of their ranges on.
const SPREAD: f64 = 32.0;
/// Features of an input: from this ratio on. An image's border is no feature.
const INPUT_SPREAD: f64 = 64.0;
/// No channel is divided by less than two to the power of minus this.
const MAX_SHIFT: f64 = 24.0;
/// Largest offset of a feature, in units of the normalized input.
const MAX_OFFSET: f64 = 1e4;
/// Most features of an input.
const MAX_FEATURES: usize = 1 << 12;

/// A rewritten model.
#[derive(Clone, Debug)]
pub(crate) struct Equalized {
    /// The model; its inputs are the normalized ones.
    pub(crate) model: TypedModel,
    /// For each input, what was taken out of the model.
    pub(crate) inputs: Vec<Option<Features>>,
    /// For each output, an axis and the powers of two that its entries have to be multiplied by.
    pub(crate) outputs: Vec<Option<(usize, Vec<i32>)>>,
    /// For each input, whether it is a single column of a table.
    pub(crate) columns: Vec<bool>,
    /// Whether anything is different from the original.
    pub(crate) changed: bool,
}

/// Magnitudes of every tensor's entries, over all samples: smallest and largest value by position.
pub(crate) type Entries = HashMap<OutletId, (Vec<f32>, Vec<f32>)>;

fn engine(e: TractError) -> ImportError {
    ImportError::engine("equalizing channels", &e)
}

fn shape_of(model: &TypedModel, outlet: OutletId) -> Vec<usize> {
    let fact = &model.nodes()[outlet.node].outputs[outlet.slot].fact;
    fact.shape.as_concrete().map(<[usize]>::to_vec).unwrap_or_default()
}

fn constant(model: &TypedModel, outlet: OutletId) -> Option<std::sync::Arc<Tensor>> {
    model.nodes()[outlet.node].op_as::<Const>().map(|k| k.val().clone())
}

impl Equalized {
    /// The model as it is, but for what can become part of its inputs' quantization.
    pub(crate) fn new(source: &FloatModel, model: &TypedModel) -> Result<Self> {
        let mut out = Self::plain(source, model);
        for k in 0..source.inputs.len() {
            out.fold_input(source, k)?;
            out.fold_columns(source, k)?;
        }
        Ok(out)
    }

    fn source_outlet(&self, source: &FloatModel, k: usize) -> Option<OutletId> {
        let name = &source.inputs[k].0;
        let node = self.model.nodes().iter().find(|n| n.op_is::<TypedSource>() && n.name == *name)?;
        (node.outputs[0].fact.datum_type == DatumType::F32).then(|| OutletId::new(node.id, 0))
    }

    /// The model as it is.
    pub(crate) fn plain(source: &FloatModel, model: &TypedModel) -> Self {
        Self {
            model: model.clone(),
            inputs: vec![None; source.inputs.len()],
            outputs: vec![None; model.outputs.len()],
            columns: vec![false; source.inputs.len()],
            changed: false,
        }
    }

    /// Inputs as the rewritten model takes them.
    pub(crate) fn normalize(&self, source: &FloatModel, sample: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let each = sample.iter().zip(&source.inputs).zip(&self.inputs);
        each.map(|((v, (_, shape)), f)| f.as_ref().map_or_else(|| v.clone(), |f| f.normalize(shape, v))).collect()
    }

    /// Inputs of the original model for inputs of the rewritten one.
    pub(crate) fn denormalize(&self, source: &FloatModel, sample: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let each = sample.iter().zip(&source.inputs).zip(&self.inputs);
        each.map(|((v, (_, shape)), f)| f.as_ref().map_or_else(|| v.clone(), |f| f.denormalize(shape, v))).collect()
    }

    /// Takes the chain of constants behind an input out of the model.
    fn fold_input(&mut self, source: &FloatModel, k: usize) -> Result<()> {
        let Some(start) = self.source_outlet(source, k) else { return Ok(()) };
        let shape = shape_of(&self.model, start);
        let mut axis: Option<usize> = None;
        let (mut a, mut b) = (vec![1.0f64], vec![0.0f64]);
        let mut end = start;
        while let [next] = *self.model.outlet_successors(end) {
            let node = &self.model.nodes()[next.node];
            let outlet = OutletId::new(node.id, 0);
            if self.model.outputs.contains(&end) || self.model.outputs.contains(&outlet) {
                break;
            }
            let Some(op) = node.op_as::<TypedBinOp>() else { break };
            let other = node.inputs[1 - next.slot];
            let Some(t) = constant(&self.model, other) else { break };
            let Ok(values) = floats(&t) else { break };
            if shape_of(&self.model, outlet) != shape || t.rank() != shape.len() {
                break;
            }
            let wide: Vec<usize> = (0..t.rank()).filter(|d| t.shape()[*d] != 1).collect();
            let along = match wide[..] {
                [] => None,
                [d] if axis.is_none_or(|x| x == d) && shape[d] == t.shape()[d] => Some(d),
                _ => break,
            };
            let name = op.0.name();
            let known = matches!((name, next.slot), ("Add" | "Mul", _) | ("Sub" | "Div", 0));
            let scales = matches!(name, "Mul" | "Div");
            if !known || (scales && values.iter().any(|v| v.abs() < 1e-30)) {
                break;
            }
            axis = axis.or(along);
            let n = axis.map_or(1, |d| shape[d]);
            let widen = |v: &mut Vec<f64>| {
                if v.len() < n {
                    *v = vec![v[0]; n];
                }
            };
            widen(&mut a);
            widen(&mut b);
            for i in 0..n {
                let v = values[i % values.len()];
                match name {
                    "Add" => b[i] += v,
                    "Sub" => b[i] -= v,
                    "Mul" => (a[i], b[i]) = (a[i] * v, b[i] * v),
                    _ => (a[i], b[i]) = (a[i] / v, b[i] / v),
                }
            }
            end = outlet;
        }
        // A mask of minus a billion is no offset of a feature: what follows has to see it as it is.
        if b.iter().any(|v| v.abs() > MAX_OFFSET) {
            return Ok(());
        }
        // One factor for all entries without an offset is a matter of units.
        if end == start || (axis.is_none() && b[0] == 0.0) || a.iter().any(|v| !v.is_normal()) {
            return Ok(());
        }
        let axis = axis.or_else(|| shape.iter().position(|d| *d == 1));
        let Some(axis) = axis else { return Ok(()) };
        let features = Features {
            axis,
            scale: a.iter().map(|v| 1.0 / v).collect(),
            offset: a.iter().zip(&b).map(|(a, b)| -b / a).collect(),
        };
        if features.scale.len() > MAX_FEATURES || features.check(&shape).is_err() {
            return Ok(());
        }
        let inlets = self.model.outlet_successors(end).to_vec();
        self.model.nodes[start.node].outputs[start.slot].successors.clear();
        for inlet in inlets {
            self.model.add_edge(start, inlet).map_err(engine)?;
        }
        self.inputs[k] = Some(features);
        self.changed = true;
        Ok(())
    }

    /// Divides tensors by powers of two per channel where their ranges ask for it.
    pub(crate) fn equalize(&mut self, source: &FloatModel, entries: &mut Entries) -> Result<()> {
        for k in 0..source.inputs.len() {
            self.equalize_input(source, k, entries)?;
            self.equalize_columns(source, k, entries)?;
        }
        let order = self.model.eval_order().map_err(engine)?;
        for id in order {
            if let Some(producer) = Producer::of(&self.model, id) {
                self.equalize_producer(&producer, entries)?;
            }
        }
        Ok(())
    }

    fn equalize_input(&mut self, source: &FloatModel, k: usize, entries: &mut Entries) -> Result<()> {
        let Some(start) = self.source_outlet(source, k) else { return Ok(()) };
        let shape = shape_of(&self.model, start);
        for axis in (0..shape.len()).rev() {
            let known = self.inputs[k].as_ref().is_none_or(|f| f.axis == axis || f.scale.len() == 1);
            if shape[axis] < 2 || shape[axis] > MAX_FEATURES || !known {
                continue;
            }
            let Some(path) = Path::explore(&self.model, start, axis) else { continue };
            if !path.outputs.is_empty() || !path.added.is_empty() || path.consumers.is_empty() {
                continue;
            }
            let n = shape[axis];
            let Some((lo, hi)) = channel_bounds(entries, &shape, start, Along { axis, inner: 1 }, n) else { continue };
            // An offset can be moved into the bias of a product, and nowhere else.
            let direct = path.consumers.iter().all(|c| c.direct && self.model.nodes()[c.node].op_is::<EinSum>());
            let centre = |j: usize| {
                let (half, middle) = ((hi[j] - lo[j]) / 2.0, (hi[j] + lo[j]) / 2.0);
                if direct && hi[j] > lo[j] && middle.abs() > half { middle } else { 0.0 }
            };
            let offset: Vec<f64> = (0..n).map(centre).collect();
            let size: Vec<f64> = (0..n).map(|j| (hi[j] - offset[j]).abs().max((lo[j] - offset[j]).abs())).collect();
            let far = (0..n).any(|j| offset[j] != 0.0 && offset[j].abs() > INPUT_SPREAD * size[j]);
            let Some(factors) = powers(&size, INPUT_SPREAD, |_| f64::INFINITY, far) else { return Ok(()) };
            let offset = if far || factors.iter().any(|f| *f < 1.0) { offset } else { vec![0.0; n] };
            let inner = self.inputs[k].clone();
            let of = |j: usize| {
                inner.as_ref().map_or((1.0, 0.0), |f| (f.scale[j % f.scale.len()], f.offset[j % f.offset.len()]))
            };
            let features = Features {
                axis,
                scale: (0..n).map(|j| of(j).0 * factors[j]).collect(),
                offset: (0..n).map(|j| of(j).0 * offset[j] + of(j).1).collect(),
            };
            if features.check(&shape).is_err() {
                return Ok(());
            }
            for c in &path.consumers {
                if direct {
                    self.move_offset(c, &offset, entries)?;
                }
                self.scale_consumer(c, &factors)?;
            }
            self.inputs[k] = Some(features);
            self.changed = true;
            return Ok(());
        }
        Ok(())
    }

    fn equalize_producer(&mut self, producer: &Producer, entries: &Entries) -> Result<()> {
        let start = OutletId::new(producer.node, 0);
        let shape = shape_of(&self.model, start);
        let n = shape[producer.axis];
        let Some(path) = Path::explore(&self.model, start, producer.axis) else { return Ok(()) };
        if n < 2 || (path.consumers.is_empty() && path.outputs.is_empty()) {
            return Ok(());
        }
        let mut size = vec![0.0f64; n];
        for (outlet, along) in path.ends.iter() {
            let shape = shape_of(&self.model, *outlet);
            let Some((lo, hi)) = channel_bounds(entries, &shape, *outlet, *along, n) else { return Ok(()) };
            for (s, (lo, hi)) in size.iter_mut().zip(lo.iter().zip(&hi)) {
                *s = s.max(lo.abs()).max(hi.abs());
            }
        }
        // Rooms only make less of it.
        if powers(&size, SPREAD, |_| f64::INFINITY, false).is_none() {
            return Ok(());
        }
        // The rows that are divided become no larger than the largest row is.
        let rows = producer.row_sizes(&self.model, n)?;
        let rows: Vec<f64> = rows.iter().zip(&path.factors).map(|(r, f)| r * f.abs()).collect();
        let top = rows.iter().fold(0.0f64, |m, v| m.max(*v));
        let mut rooms: Vec<f64> = rows.iter().map(|r| if *r > 0.0 { top / r } else { f64::INFINITY }).collect();
        // Nor does a channel of a tensor on the way become larger than its largest one: a factor behind it, tiny for one
        // channel, would have that channel take all of its steps.
        for (outlet, along) in path.bends.iter() {
            let shape = shape_of(&self.model, *outlet);
            let Some((lo, hi)) = channel_bounds(entries, &shape, *outlet, *along, n) else { return Ok(()) };
            let sizes: Vec<f64> = lo.iter().zip(&hi).map(|(lo, hi)| lo.abs().max(hi.abs())).collect();
            let top = sizes.iter().fold(0.0f64, |m, v| m.max(*v));
            for (room, size) in rooms.iter_mut().zip(&sizes).filter(|(_, size)| **size > 0.0) {
                *room = room.min(top / size);
            }
        }
        let Some(factors) = powers(&size, SPREAD, |j| rooms[j], false) else { return Ok(()) };
        let inverse: Vec<f64> = factors.iter().map(|f| 1.0 / f).collect();
        producer.scale_rows(&mut self.model, &inverse)?;
        for (inlet, along) in &path.added {
            self.scale_operand(*inlet, *along, &inverse)?;
        }
        for c in &path.consumers {
            self.scale_consumer(c, &factors)?;
        }
        for (outlet, along) in &path.outputs {
            for (k, o) in self.model.outputs.iter().enumerate() {
                if o == outlet {
                    self.outputs[k] = Some((along.axis, factors.iter().map(|f| f.log2() as i32).collect()));
                }
            }
        }
        self.changed = true;
        Ok(())
    }

    /// Multiplies the weights of a consumer along the contracted index.
    fn scale_consumer(&mut self, c: &Consumer, factors: &[f64]) -> Result<()> {
        self.scale_operand(InletId::new(c.node, c.slot), c.along, factors)
    }

    /// Replaces a constant operand by itself times a factor per channel.
    fn scale_operand(&mut self, inlet: InletId, along: Along, factors: &[f64]) -> Result<()> {
        let outlet = self.model.nodes()[inlet.node].inputs[inlet.slot];
        let Some(t) = constant(&self.model, outlet) else { return Ok(()) };
        let scaled = times(&t, along, factors)?;
        set_constant(&mut self.model, inlet, scaled)
    }

    /// Adds `sum_j w[.., j] * offset[j]` behind a product.
    fn move_offset(&mut self, c: &Consumer, offset: &[f64], entries: &mut Entries) -> Result<()> {
        if offset.iter().all(|v| *v == 0.0) {
            return Ok(());
        }
        let node = self.model.nodes()[c.node].clone();
        let (Some(op), Some(w)) = (node.op_as::<EinSum>(), constant(&self.model, node.inputs[c.slot])) else {
            return Ok(());
        };
        let x = 1 - c.slot;
        let x_shape = shape_of(&self.model, node.inputs[x]);
        // The offset as an input of the same product; entries do not depend on the other axes.
        let mut plain = vec![1; x_shape.len()];
        plain[c.from] = offset.len();
        let row: Vec<f32> = offset.iter().map(|v| *v as f32).collect();
        let t = Tensor::from_shape(&plain, &row).map_err(engine)?.broadcast_to_shape(&x_shape).map_err(engine)?;
        let mut args: TVec<TValue> = tvec![t.into_tvalue(), (*w).clone().into_tvalue()];
        if c.slot == 0 {
            args.swap(0, 1);
        }
        let out = op.eval_out_of_plan(args).map_err(engine)?;
        let value = out.and_then(|mut o| o.pop()).map(|v| v.into_tensor());
        let value = value.ok_or_else(|| ImportError::unsupported("a product that cannot be evaluated"))?;
        let value = shrink(&value)?;
        let start = OutletId::new(node.id, 0);
        let fact = node.outputs[0].fact.without_value();
        let name = format!("{}.offset", node.name);
        let sum = TypedBinOp(Box::new(math::Add), None);
        let inlets = self.model.outlet_successors(start).to_vec();
        let id = self.model.add_node(name.clone(), Box::new(sum) as Box<dyn TypedOp>, tvec!(fact)).map_err(engine)?;
        let outlet = OutletId::new(id, 0);
        for inlet in inlets {
            self.model.add_edge(outlet, inlet).map_err(engine)?;
        }
        self.model.add_edge(start, InletId::new(id, 0)).map_err(engine)?;
        // The sum is what the product was.
        if let Some(known) = entries.get(&start).cloned() {
            entries.insert(outlet, known);
        }
        let k = add_constant(&mut self.model, format!("{name}.value"), value)?;
        self.model.add_edge(k, InletId::new(id, 1)).map_err(engine)?;
        for o in &mut self.model.outputs {
            if *o == start {
                *o = outlet;
            }
        }
        Ok(())
    }
}

/// A tensor without the repetitions along its axes.
fn shrink(t: &Tensor) -> Result<Tensor> {
    let mut out = t.clone();
    for axis in 0..t.rank() {
        let first = out.slice(axis, 0, 1).map_err(engine)?;
        let n = out.shape()[axis];
        let same = (1..n).all(|i| out.slice(axis, i, i + 1).is_ok_and(|s| s == first));
        if same {
            out = first;
        }
    }
    Ok(out)
}

fn add_constant(model: &mut TypedModel, name: String, value: Tensor) -> Result<OutletId> {
    let value = std::sync::Arc::new(value);
    let fact = TypedFact::try_from(value.clone()).map_err(engine)?;
    let op = Const::new(value).map_err(engine)?;
    let id = model.add_node(name, Box::new(op) as Box<dyn TypedOp>, tvec!(fact)).map_err(engine)?;
    Ok(OutletId::new(id, 0))
}

fn set_constant(model: &mut TypedModel, inlet: InletId, value: Tensor) -> Result<()> {
    let name = format!("{}.equalized{}", model.nodes()[inlet.node].name, inlet.slot);
    let k = add_constant(model, name, value)?;
    model.add_edge(k, inlet).map_err(engine)
}

/// A constant times a factor per channel; an axis of extent one is repeated first.
fn times(t: &Tensor, along: Along, factors: &[f64]) -> Result<Tensor> {
    let mut shape = t.shape().to_vec();
    if shape.is_empty() && along.axis == 0 {
        shape = vec![1];
    }
    let len = shape.get(along.axis).copied().unwrap_or(1);
    let (outer, inner) = (
        shape[..along.axis.min(shape.len())].iter().product::<usize>(),
        shape.get(along.axis + 1..).map_or(1, |s| s.iter().product::<usize>()),
    );
    let n = if len == 1 { along.extent(factors.len()) } else { len };
    let places: Vec<f64> = (0..n).map(|p| factors[along.channel(p) % factors.len()]).collect();
    let scaled = |(out, (v, f)): (&mut f32, (&f32, &f64))| *out = (f64::from(*v) * f) as f32;
    let data = with_floats(t, |values| {
        in_parts(outer * n * inner, inner, |at, out: &mut [f32]| {
            let (mut row, mut rest) = (at / inner.max(1), out);
            while !rest.is_empty() {
                let (o, p) = (row / n, row % n);
                // Neighbours have factors of their own, or one of them.
                let together = if inner == 1 && len == n { (n - p).min(rest.len()) } else { 1 };
                let (now, later) = rest.split_at_mut(together * inner);
                let from = &values[(o * len + if len == 1 { 0 } else { p }) * inner..][..now.len()];
                if together == 1 {
                    now.iter_mut().zip(from.iter().zip(std::iter::repeat(&places[p]))).for_each(scaled);
                } else {
                    now.iter_mut().zip(from.iter().zip(&places[p..])).for_each(scaled);
                }
                (row, rest) = (row + together, later);
            }
        })
    })?;
    shape[along.axis] = n;
    Tensor::from_shape(&shape, &data).map_err(engine)
}

/// Where the channels are in a tensor: position `p` of the axis is of channel `p / inner`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Along {
    axis: usize,
    inner: usize,
}

impl Along {
    fn channel(&self, p: usize) -> usize {
        p / self.inner
    }

    fn extent(&self, channels: usize) -> usize {
        channels * self.inner
    }
}

/// Smallest and largest value of every channel.
fn channel_bounds(
    entries: &Entries,
    shape: &[usize],
    outlet: OutletId,
    along: Along,
    channels: usize,
) -> Option<(Vec<f64>, Vec<f64>)> {
    let (lo, hi) = entries.get(&outlet)?;
    let (outer, len, inner) = crate::tensor::around(shape, along.axis);
    if lo.len() != outer * len * inner || len != along.extent(channels) {
        return None;
    }
    let mut out = (vec![f64::INFINITY; channels], vec![f64::NEG_INFINITY; channels]);
    for (i, (a, b)) in lo.chunks(inner.max(1)).zip(hi.chunks(inner.max(1))).enumerate() {
        let c = along.channel(i % len);
        out.0[c] = out.0[c].min(f64::from(extremes(a).0));
        out.1[c] = out.1[c].max(f64::from(extremes(b).1));
    }
    out.0.iter().chain(&out.1).all(|v| v.is_finite()).then_some(out)
}

/// Powers of two up to one that bring all sizes near the largest; `None` where they are near enough.
fn powers(size: &[f64], spread: f64, room: impl Fn(usize) -> f64, force: bool) -> Option<Vec<f64>> {
    let top = size.iter().fold(0.0f64, |m, v| m.max(*v));
    if top <= 0.0 || !top.is_finite() {
        return None;
    }
    let one = |(j, s): (usize, &f64)| {
        // A channel that is always zero has no size to go by.
        let wanted = if *s > 0.0 { (top / s).min(room(j)) } else { 1.0 };
        (-wanted.log2().floor().clamp(0.0, MAX_SHIFT)).exp2()
    };
    let out: Vec<f64> = size.iter().enumerate().map(one).collect();
    let least = out.iter().fold(1.0f64, |m, v| m.min(*v));
    (force || 1.0 / least >= spread).then_some(out)
}
