//! What lies between the weights that make a tensor and those that read it.

use super::{Along, constant, set_constant, shape_of, times};
use crate::{
    onnx::{
        calibrate::extremes,
        lower::Result,
        ops::einsum::{floats, with_floats},
    },
    parallel::PART,
};
use rayon::prelude::*;
use tract_onnx::{
    prelude::*,
    tract_hir::{
        internal::AxisOp,
        tract_core::ops::{
            array::{Pad, PadMode},
            binary::TypedBinOp,
            cast::Cast,
            cnn::{Conv, KernelFormat, MaxPool, SumPool},
            einsum::EinSum,
            element_wise::ElementWiseOp,
            identity::Identity,
            nn::{Reduce, Reducer},
        },
    },
};

/// A product or convolution with constant weights that makes a tensor with channels.
pub(super) struct Producer {
    pub(super) node: usize,
    /// Axis of the output.
    pub(super) axis: usize,
    /// The operand with the weights, and its axis.
    pub(super) weights: (usize, usize),
    pub(super) bias: Option<usize>,
}

/// Largest magnitude at each of `len` places of an axis with `inner` entries behind it.
pub(super) fn largest(values: &[f32], len: usize, inner: usize) -> Vec<f32> {
    let join = |mut a: Vec<f32>, b: Vec<f32>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a = a.max(b));
        a
    };
    // Whole axes, so many that threads have enough to do.
    let whole = len * inner * (PART / (len * inner).max(1)).max(1);
    let of = |part: &[f32]| {
        let mut most = vec![0.0f32; len];
        for axis in part.chunks(len * inner) {
            if inner == 1 {
                most.iter_mut().zip(axis).for_each(|(m, v)| *m = if v.abs() > *m { v.abs() } else { *m });
            } else {
                most.iter_mut().zip(axis.chunks(inner)).for_each(|(m, row)| {
                    let (lo, hi) = extremes(row);
                    *m = m.max(hi).max(-lo);
                });
            }
        }
        most
    };
    values.par_chunks(whole.max(1)).map(of).reduce(|| vec![0.0; len], join)
}

impl Producer {
    pub(super) fn of(model: &TypedModel, id: usize) -> Option<Self> {
        let node = &model.nodes()[id];
        let is_constant = |slot: usize| node.inputs.get(slot).is_some_and(|o| constant(model, *o).is_some());
        if let Some(op) = node.op_as::<EinSum>() {
            if node.inputs.len() != 2 || op.q_params.is_some() || is_constant(0) == is_constant(1) {
                return None;
            }
            let slot = if is_constant(0) { 0 } else { 1 };
            let own: Vec<(usize, usize)> = op
                .axes
                .iter_all_axes()
                .filter(|a| a.inputs[1 - slot].is_empty())
                .filter_map(|a| Some((*a.outputs[0].first()?, *a.inputs[slot].first()?)))
                .filter(|(o, _)| shape_of(model, OutletId::new(id, 0))[*o] > 1)
                .collect();
            let [(axis, w)] = own[..] else { return None };
            return Some(Self { node: id, axis, weights: (slot, w), bias: None });
        }
        let op = node.op_as::<Conv>()?;
        if op.q_params.is_some() || op.kernel_fmt != KernelFormat::OIHW || !is_constant(1) || !is_constant(2) {
            return None;
        }
        let shape = shape_of(model, OutletId::new(id, 0));
        let axis = if op.pool_spec.data_format.c_is_last() {
            shape.len() - 1
        } else {
            usize::from(op.pool_spec.data_format.has_n())
        };
        let kernel = constant(model, node.inputs[1])?;
        (kernel.shape().first() == Some(&shape[axis])).then_some(Self {
            node: id,
            axis,
            weights: (1, 0),
            bias: Some(2),
        })
    }

    /// Largest magnitude in each row of the weights.
    pub(super) fn row_sizes(&self, model: &TypedModel, n: usize) -> Result<Vec<f64>> {
        let outlet = model.nodes()[self.node].inputs[self.weights.0];
        let Some(t) = constant(model, outlet) else { return Ok(vec![0.0; n]) };
        let (_, len, inner) = crate::tensor::around(t.shape(), self.weights.1);
        let most = with_floats(&t, |values| largest(values, len, inner))?;
        let mut out = vec![0.0f64; n];
        for (k, m) in most.into_iter().enumerate() {
            out[k % n] = out[k % n].max(f64::from(m));
        }
        Ok(out)
    }

    pub(super) fn scale_rows(&self, model: &mut TypedModel, factors: &[f64]) -> Result<()> {
        let (slot, axis) = self.weights;
        for (slot, axis) in std::iter::once((slot, axis)).chain(self.bias.map(|b| (b, 0))) {
            let outlet = model.nodes()[self.node].inputs[slot];
            let Some(t) = constant(model, outlet) else { continue };
            if slot == 2 && floats(&t)?.iter().all(|v| *v == 0.0) {
                continue;
            }
            let scaled = times(&t, Along { axis, inner: 1 }, factors)?;
            set_constant(model, InletId::new(self.node, slot), scaled)?;
        }
        Ok(())
    }
}

/// A product that reads a tensor with channels along a contracted index.
pub(super) struct Consumer {
    pub(super) node: usize,
    /// The operand with the weights, and where the channels are in it.
    pub(super) slot: usize,
    pub(super) along: Along,
    /// Axis of the tensor.
    pub(super) from: usize,
    /// Whether it reads the tensor that the path starts with.
    pub(super) direct: bool,
}

/// A tensor on the way, where the channels are in it, and whether all that comes before becomes part of the weights.
type Place = (OutletId, Along, bool);

/// Whether an operator that commutes with positive factors is not linear.
fn bends(node: &TypedNode) -> bool {
    node.op_as::<TypedBinOp>().is_some_and(|op| matches!(op.0.name(), "Max" | "Min"))
        || node.op_as::<ElementWiseOp>().is_some_and(|op| &*op.0.name() != "Neg")
        || node.op_is::<MaxPool>()
        || node.op_as::<Reduce>().is_some_and(|op| matches!(op.reducer, Reducer::Max | Reducer::Min))
}

/// All that happens to a tensor until weights have been applied to it.
#[derive(Default)]
pub(super) struct Path {
    pub(super) consumers: Vec<Consumer>,
    /// Constants that are added on the way.
    pub(super) added: Vec<(InletId, Along)>,
    /// Factors that constants apply on the way, per channel, as far as they become part of the weights.
    pub(super) factors: Vec<f64>,
    /// Outputs of the model.
    pub(super) outputs: Vec<(OutletId, Along)>,
    /// Tensors that consumers read, and outputs.
    pub(super) ends: Vec<(OutletId, Along)>,
    /// Results of operators that are not linear, and what is multiplied by constants that are no part of the weights: these
    /// tensors have a step of their own.
    pub(super) bends: Vec<(OutletId, Along)>,
}

impl Path {
    /// Follows a tensor to all its readers; `None` where one of them needs the values as they are.
    pub(super) fn explore(model: &TypedModel, start: OutletId, axis: usize) -> Option<Self> {
        let channels = *shape_of(model, start).get(axis)?;
        let mut out = Self { factors: vec![1.0; channels], ..Self::default() };
        let mut open = vec![(start, Along { axis, inner: 1 }, true)];
        let mut steps = 0;
        while let Some((outlet, along, linear)) = open.pop() {
            steps += 1;
            if steps > 256 {
                return None;
            }
            if model.outputs.contains(&outlet) {
                if along.inner != 1 {
                    return None;
                }
                out.outputs.push((outlet, along));
                out.ends.push((outlet, along));
            }
            let successors = model.outlet_successors(outlet);
            for inlet in successors {
                out.step(model, (outlet, along, linear), *inlet, channels, outlet == start, &mut open)?;
            }
        }
        Some(out)
    }

    fn step(
        &mut self,
        model: &TypedModel,
        (outlet, along, linear): Place,
        inlet: InletId,
        channels: usize,
        direct: bool,
        open: &mut Vec<Place>,
    ) -> Option<()> {
        let node = &model.nodes()[inlet.node];
        let next = OutletId::new(node.id, 0);
        if node.outputs.len() != 1 || !node.outputs[0].fact.datum_type.is_float() {
            return None;
        }
        let shape = shape_of(model, outlet);
        if let Some(op) = node.op_as::<EinSum>() {
            let other = 1usize.checked_sub(inlet.slot)?;
            let weights = constant(model, *node.inputs.get(other)?)?;
            if op.q_params.is_some() || node.inputs.len() != 2 {
                return None;
            }
            let index = op.axes.iter_all_axes().find(|a| a.inputs[inlet.slot].contains(&along.axis))?;
            let (w, o) = (index.inputs[other].clone(), index.outputs[0].clone());
            if let (true, [o]) = (w.is_empty(), &o[..]) {
                open.push((next, Along { axis: *o, ..along }, false));
                return Some(());
            }
            let [w] = w[..] else { return None };
            if !o.is_empty() || weights.shape()[w] != shape[along.axis] {
                return None;
            }
            self.ends.push((outlet, along));
            let along_w = Along { axis: w, ..along };
            self.consumers.push(Consumer { node: node.id, slot: other, along: along_w, from: along.axis, direct });
            return Some(());
        }
        if let Some(op) = node.op_as::<Conv>() {
            let axis = if op.pool_spec.data_format.c_is_last() {
                shape.len() - 1
            } else {
                usize::from(op.pool_spec.data_format.has_n())
            };
            let weights = constant(model, *node.inputs.get(1)?)?;
            constant(model, *node.inputs.get(2)?)?;
            let plain = op.group == 1 && op.kernel_fmt == KernelFormat::OIHW && op.q_params.is_none();
            if inlet.slot != 0 || axis != along.axis || !plain || weights.shape().get(1) != Some(&shape[axis]) {
                return None;
            }
            self.ends.push((outlet, along));
            let along_w = Along { axis: 1, ..along };
            self.consumers.push(Consumer { node: node.id, slot: 1, along: along_w, from: axis, direct: false });
            return Some(());
        }
        // A chain of sums and products with constants right behind the weights becomes part of them.
        let binary = node.op_as::<TypedBinOp>().map(|op| op.0.name());
        let known = matches!(binary, Some("Add" | "Sub" | "Mul" | "Div"));
        let linear = linear && known && model.outlet_successors(outlet).len() == 1;
        if !linear && matches!(binary, Some("Mul" | "Div")) {
            self.bends.push((outlet, along));
        }
        let along = self.pass(model, node, (along, linear), inlet, channels)?;
        if bends(node) {
            self.bends.push((next, along));
        }
        open.push((next, along, linear));
        Some(())
    }

    /// Where the channels are behind an operator that commutes with positive factors.
    fn pass(
        &mut self,
        model: &TypedModel,
        node: &TypedNode,
        (along, linear): (Along, bool),
        inlet: InletId,
        channels: usize,
    ) -> Option<Along> {
        if node.op_is::<Identity>() || node.op_is::<Cast>() {
            return Some(along);
        }
        let shape = shape_of(model, node.inputs[inlet.slot]);
        if let Some(op) = node.op_as::<TypedBinOp>() {
            let t = constant(model, node.inputs[1 - inlet.slot])?;
            let values = floats(&t).ok()?;
            if shape_of(model, OutletId::new(node.id, 0)) != shape || t.rank() != shape.len() {
                return None;
            }
            return match (op.0.name(), inlet.slot) {
                ("Add" | "Sub", _) => {
                    self.added.push((InletId::new(node.id, 1 - inlet.slot), along));
                    Some(along)
                }
                ("Mul", _) | ("Div", 0) => {
                    let len = t.shape()[along.axis];
                    let inner: usize = t.shape()[along.axis + 1..].iter().product();
                    let divide = op.0.name() == "Div";
                    let mut most = vec![0.0f64; channels];
                    for (i, v) in values.iter().enumerate() {
                        let v = if divide { 1.0 / v } else { *v };
                        let p = i / inner.max(1) % len.max(1);
                        if len == 1 {
                            most.iter_mut().for_each(|m| *m = m.max(v.abs()));
                        } else {
                            let c = along.channel(p);
                            most[c] = most[c].max(v.abs());
                        }
                    }
                    if linear {
                        self.factors.iter_mut().zip(&most).for_each(|(f, m)| *f *= m);
                    }
                    Some(along)
                }
                ("Max" | "Min", _) if values.iter().all(|v| *v == 0.0) => Some(along),
                _ => None,
            };
        }
        if let Some(op) = node.op_as::<ElementWiseOp>() {
            let name = op.0.name();
            return matches!(&*name, "LeakyRelu" | "Neg" | "Abs").then_some(along);
        }
        let spec = node.op_as::<MaxPool>().filter(|p| p.with_index_outputs.is_none()).map(|p| &p.pool_spec);
        if let Some(spec) = spec.or(node.op_as::<SumPool>().map(|p| &p.pool_spec)) {
            let axis =
                if spec.data_format.c_is_last() { shape.len() - 1 } else { usize::from(spec.data_format.has_n()) };
            return (axis == along.axis).then_some(along);
        }
        if let Some(op) = node.op_as::<Pad>() {
            let zero = matches!(&op.mode, PadMode::Constant(t) if floats(t).is_ok_and(|v| v.iter().all(|v| *v == 0.0)));
            return (zero && op.pads[along.axis] == (0, 0)).then_some(along);
        }
        if let Some(op) = node.op_as::<Reduce>() {
            let linear = matches!(op.reducer, Reducer::Sum | Reducer::Max | Reducer::Min);
            return (linear && !op.axes.contains(&along.axis)).then_some(along);
        }
        reshaped(node.op_as::<AxisOp>()?, along, &shape, &shape_of(model, OutletId::new(node.id, 0)))
    }
}

/// Where the channels are behind a change of axes.
pub(super) fn reshaped(op: &AxisOp, along: Along, before: &[usize], after: &[usize]) -> Option<Along> {
    let axis = along.axis;
    match op {
        AxisOp::Add(a) => Some(Along { axis: axis + usize::from(*a <= axis), ..along }),
        AxisOp::Rm(a) => (*a != axis).then(|| Along { axis: axis - usize::from(*a < axis), ..along }),
        AxisOp::Move(from, to) => {
            let mut order: Vec<usize> = (0..before.len()).collect();
            let moved = order.remove(*from);
            order.insert(*to, moved);
            Some(Along { axis: order.iter().position(|a| *a == axis)?, ..along })
        }
        AxisOp::Reshape(at, from, to) => {
            if axis < *at {
                return Some(along);
            }
            if axis >= at + from.len() {
                return Some(Along { axis: axis + to.len() - from.len(), ..along });
            }
            // Merged with what comes behind it, and with nothing in front.
            let lead: usize = before[*at..axis].iter().product();
            let behind: usize = before[axis + 1..at + from.len()].iter().product();
            let all: usize = before[*at..at + from.len()].iter().product();
            let first = (*at..at + to.len()).find(|a| after[*a] == all)?;
            (lead == 1).then_some(Along { axis: first, inner: along.inner * behind })
        }
    }
}
