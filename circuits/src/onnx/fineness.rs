//! How fine a tensor has to be because a normalization behind it divides by the spread of its rows.
//!
//! `x / sqrt(mean(x^2) + eps)` makes a unit of the spread of a row, however small it is beside the tensor's range. A step that
//! suits the range is then a large part of what comes out. Here the step is chosen by the row of the least spread that
//! calibration has seen, and carried back to the tensors that the row is a sum of.

use super::{
    calibrate::Stats,
    ops::{einsum::floats, pointwise::scalar},
};
use std::collections::HashMap;
use tract_onnx::{
    prelude::{OutletId, TypedModel, TypedNode},
    tract_hir::{
        internal::AxisOp,
        tract_core::ops::{
            binary::TypedBinOp,
            cnn::{Conv, KernelFormat},
            einsum::EinSum,
            element_wise::ElementWiseOp,
            konst::Const,
            math::Square,
            nn::{Reduce, Reducer},
        },
    },
};

/// Largest width of a tensor that has to be fine.
const FINEST: u32 = 20;
/// A step is at most the spread times two to the power of this.
const STEP: i32 = -7;
/// What becomes of a step's share in the sum of many.
const SPREAD: f64 = 4.0;
/// Rows whose spread is this many octaves below the tensor's values are constant but for what float arithmetic made of them.
const NOISE: i32 = 20;

/// The largest steps that do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fineness {
    steps: HashMap<OutletId, f64>,
    squares: HashMap<OutletId, f64>,
}

impl Fineness {
    /// Looks for normalizations.
    pub(crate) fn of(model: &TypedModel, stats: &Stats) -> Self {
        let mut out = Self::default();
        for node in model.nodes() {
            let outlet = OutletId::new(node.id, 0);
            let Some(row) = squared(model, node) else { continue };
            let size = size_of(model, stats, row);
            let noise = (size * f64::from(-NOISE).exp2()).powi(2);
            let Some(least) = stats.octaves(outlet).map(|e| f64::from(e).exp2()).find(|v| *v > noise) else { continue };
            out.squares.insert(outlet, least);
            if let Some(root) = divisor(model, outlet, least) {
                out.carry(model, row, root * f64::from(STEP).exp2());
            }
        }
        out
    }

    /// The width of a tensor with values within `range`: at least `bits`.
    pub(crate) fn bits(&self, outlet: OutletId, range: (f64, f64), bits: u32) -> u32 {
        let top = range.1.max(-range.0);
        match self.steps.get(&outlet) {
            Some(step) if top > 0.0 => {
                let unit = step.log2().floor().exp2();
                // One more for the sign; the largest value may be a little larger than calibration's.
                let wanted = (1.1 * top / unit + 1.0).log2().ceil().clamp(0.0, f64::from(FINEST)) as u32 + 1;
                bits.max(wanted.min(FINEST))
            }
            _ => bits,
        }
    }

    /// The least of the sums or means of squares at an outlet, but for those of constant rows.
    pub(crate) fn least(&self, outlet: OutletId) -> Option<f64> {
        self.squares.get(&outlet).copied()
    }

    /// Asks for a step at an outlet, and at all that it is a sum of.
    fn carry(&mut self, model: &TypedModel, outlet: OutletId, step: f64) {
        let mut open = vec![(outlet, step)];
        while let Some((outlet, step)) = open.pop() {
            if self.steps.get(&outlet).is_some_and(|s| *s <= step) {
                continue;
            }
            self.steps.insert(outlet, step);
            let node = &model.nodes()[outlet.node];
            let constant = |i: usize| node.inputs.get(i).and_then(|o| factor(model, *o));
            if node.op_is::<AxisOp>() {
                open.push((node.inputs[0], step));
            }
            // Errors of a row of products add up as the entries of a random walk do.
            open.extend(product(model, node).map(|(o, norm)| (o, SPREAD * step / norm)));
            match node.op_as::<TypedBinOp>().map(|op| op.0.name()) {
                Some("Add" | "Sub") => open.extend(node.inputs.iter().map(|i| (*i, step))),
                Some("Mul") => {
                    for (i, j) in [(0, 1), (1, 0)] {
                        if let Some(c) = constant(i).filter(|c| *c != 0.0) {
                            open.push((node.inputs[j], step / c.abs()));
                        }
                    }
                }
                Some("Div") => open.extend(constant(1).map(|c| (node.inputs[0], step * c.abs()))),
                _ => {}
            }
        }
    }
}

/// What a product with constant weights reads, and the largest norm of the weights of an entry of its result.
fn product(model: &TypedModel, node: &TypedNode) -> Option<(OutletId, f64)> {
    let constant = |i: usize| model.nodes()[node.inputs.get(i)?.node].op_as::<Const>().map(|k| k.val().clone());
    // For each axis of the weights, whether the result has it.
    let (slot, kept): (usize, Vec<bool>) = if let Some(op) = node.op_as::<EinSum>() {
        let slot = usize::from(constant(1).is_some());
        let rank = constant(slot)?.rank();
        let has = |d: usize| op.axes.iter_all_axes().any(|a| a.inputs[slot].contains(&d) && !a.outputs[0].is_empty());
        (slot, (0..rank).map(has).collect())
    } else {
        let op = node.op_as::<Conv>().filter(|op| op.kernel_fmt == KernelFormat::OIHW)?;
        (1, (0..op.pool_spec.rank() + 2).map(|d| d == 0).collect())
    };
    let weights = constant(slot)?;
    let (shape, values) = (weights.shape(), floats(&weights).ok()?);
    // Runs of entries that stay together.
    let inner: usize = kept.iter().zip(shape).rev().take_while(|(k, _)| !**k).map(|(_, n)| n).product();
    let mut squares: HashMap<usize, f64> = HashMap::new();
    for (i, run) in values.chunks(inner.max(1)).enumerate() {
        let (mut rest, mut key, mut scale) = (i * inner.max(1), 0, 1);
        for (k, n) in kept.iter().zip(shape).rev() {
            if *k {
                key += rest % n * scale;
                scale *= n;
            }
            rest /= n;
        }
        *squares.entry(key).or_default() += run.iter().map(|v| v * v).sum::<f64>();
    }
    let norm = squares.into_values().fold(0.0, f64::max).sqrt();
    (norm > 0.0 && norm.is_finite()).then(|| (node.inputs[1 - slot], norm))
}

/// The one value of a constant.
fn factor(model: &TypedModel, outlet: OutletId) -> Option<f64> {
    model.nodes()[outlet.node].op_as::<Const>().and_then(|k| scalar(k.val()))
}

/// The tensor whose squares a node adds up.
fn squared(model: &TypedModel, node: &TypedNode) -> Option<OutletId> {
    let input = *node.inputs.first()?;
    match node.op_as::<Reduce>()?.reducer {
        Reducer::MeanOfSquares => Some(input),
        Reducer::Sum => {
            let square = &model.nodes()[input.node];
            let of = *square.inputs.first()?;
            let itself = match square.op_as::<TypedBinOp>().map(|op| op.0.name()) {
                Some("Mul") => square.inputs.get(1) == Some(&of),
                Some("Pow") => factor(model, *square.inputs.get(1)?) == Some(2.0),
                _ => square.op_as::<ElementWiseOp>().is_some_and(|op| op.0.is::<Square>()),
            };
            itself.then_some(of)
        }
        _ => None,
    }
}

/// The largest magnitude of a tensor and of what it is a difference of.
fn size_of(model: &TypedModel, stats: &Stats, outlet: OutletId) -> f64 {
    let node = &model.nodes()[outlet.node];
    let of = |o: OutletId| {
        let (lo, hi) = stats.range(o);
        hi.max(-lo)
    };
    let parts = node.op_is::<TypedBinOp>().then_some(&node.inputs).into_iter().flatten();
    parts.filter(|o| !model.nodes()[o.node].op_is::<Const>()).map(|o| of(*o)).fold(of(outlet), f64::max)
}

/// What a row is divided by whose sum of squares is `value`, where that is the root of a function of it.
fn divisor(model: &TypedModel, outlet: OutletId, value: f64) -> Option<f64> {
    let (mut outlet, mut value) = (outlet, value);
    loop {
        let [next] = *model.outlet_successors(outlet) else { return None };
        let node = &model.nodes()[next.node];
        if let Some(op) = node.op_as::<ElementWiseOp>() {
            return matches!(op.0.name().as_str(), "Sqrt" | "Rsqrt").then(|| value.sqrt());
        }
        let c = node.inputs.get(1 - next.slot.min(1)).and_then(|o| factor(model, *o));
        value = match (node.op_as::<TypedBinOp>().map(|op| op.0.name()), next.slot, c) {
            (Some("Add"), _, Some(c)) => value + c,
            (Some("Mul"), _, Some(c)) => value * c,
            (Some("Div"), 0, Some(c)) => value / c,
            (Some("Max"), _, Some(c)) => value.max(c),
            (Some("Pow"), 0, Some(c)) if c.abs() == 0.5 => return Some(value.sqrt()),
            _ => return None,
        };
        outlet = OutletId::new(node.id, 0);
        if value.is_nan() || value <= 0.0 {
            return None;
        }
    }
}
