//! Columns of a table, followed one by one from an input to what reads them.
//!
//! A column may be an input of its own, or one of many that a `Gather`, a `Slice` or a `Split` chooses; a `Concat` puts columns
//! side by side. All of these move values and nothing else, so each position of the axis on the way is a column's, or none's. The
//! constants on the way and the weights at its end are rewritten for what the input then holds.

use super::{Along, constant, path::reshaped, shape_of};
use crate::onnx::{lower::Result, ops::einsum::floats};
use std::collections::HashMap;
use tract_onnx::{
    prelude::*,
    tract_hir::{
        internal::AxisOp,
        tract_core::ops::{
            Downsample,
            array::{Gather, Slice, TypedConcat},
            binary::TypedBinOp,
            cast::Cast,
            cnn::{Conv, KernelFormat},
            einsum::EinSum,
            identity::Identity,
        },
    },
};

/// A factor this near to one, or an offset to zero, is what rounding leaves of it.
const SAME: f64 = 1e-9;

/// What stands in a position: `x = offset + scale * z`, where the rewritten model has `z` in place of the original's `x`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    column: usize,
    scale: f64,
    offset: f64,
    /// What constants have made of the column so far, `a x + b`, where nothing else has read it on the way.
    alone: Option<(f64, f64)>,
}

impl Cell {
    fn plain(&self) -> bool {
        (self.scale - 1.0).abs() < SAME && self.offset.abs() < SAME
    }
}

/// The columns of a tensor, by their position along an axis.
struct Place {
    axis: usize,
    cells: Vec<Option<Cell>>,
}

/// A change that lets the rewritten model have the same results.
pub(super) enum Edit {
    /// Entries of a constant operand at positions of an axis become this value.
    Neutral { inlet: InletId, axis: usize, positions: Vec<bool>, value: f32 },
    /// The weights of a product are multiplied along its contracted index, and offsets are added behind it.
    Weights { node: usize, slot: usize, along: usize, from: usize, scale: Vec<f64>, offset: Vec<f64> },
}

/// All ways of an input's columns.
#[derive(Default)]
pub(super) struct Ways {
    pub(super) edits: Vec<Edit>,
    /// Tensors in which columns were chosen or put side by side, and their axis.
    pub(super) joints: Vec<(OutletId, usize)>,
    /// For each column, what the constants make of it that nothing else reads first, `a x + b`.
    pub(super) chains: Vec<Option<(f64, f64)>>,
    /// Columns whose scale, or offset, something needs as it was.
    pub(super) stuck: Vec<bool>,
    /// Whether constants on the way are neutralized.
    pub(super) constants: bool,
}

/// Where the positions of an axis come to lie behind an operator that moves values and nothing else: the axis, and for each of its
/// positions the one before.
pub(crate) fn moved(model: &TypedModel, node: &TypedNode, axis: usize) -> Option<(usize, Vec<usize>)> {
    let before = shape_of(model, *node.inputs.first()?);
    let after = shape_of(model, OutletId::new(node.id, 0));
    let extent = *before.get(axis)?;
    let all = |axis: usize| Some((axis, (0..extent).collect()));
    if node.op_is::<Identity>() || node.op_is::<Cast>() {
        return all(axis);
    }
    if let Some(op) = node.op_as::<AxisOp>() {
        let along = reshaped(op, Along { axis, inner: 1 }, &before, &after)?;
        return if along.inner == 1 { all(along.axis) } else { None };
    }
    let chosen: Vec<usize> = if let Some(op) = node.op_as::<Slice>() {
        if op.axis != axis {
            return all(axis);
        }
        let start = usize::try_from(op.start.as_i64()?).ok()?;
        (start..start + after.get(axis)?).collect()
    } else if let Some(op) = node.op_as::<Downsample>() {
        if op.axis != axis {
            return all(axis);
        }
        let step = usize::try_from(op.stride).ok()?;
        (0..*after.get(axis)?).map(|k| op.modulo + k * step).collect()
    } else {
        let op = node.op_as::<Gather>()?;
        let indices = constant(model, *node.inputs.get(1)?)?;
        if op.axis != axis || indices.rank() != 1 {
            return None;
        }
        let n = extent as f64;
        let places = floats(&indices).ok()?;
        places.iter().map(|p| if *p < 0.0 { (p + n) as usize } else { *p as usize }).collect()
    };
    chosen.iter().all(|p| *p < extent).then_some((axis, chosen))
}

/// How often each position of an outlet's axis is read.
fn reads(model: &TypedModel, outlet: OutletId, axis: usize, extent: usize) -> Vec<usize> {
    let shown = model.outputs.iter().filter(|o| **o == outlet).count();
    let mut out = vec![shown; extent];
    for inlet in model.outlet_successors(outlet) {
        let node = &model.nodes()[inlet.node];
        match moved(model, node, axis).filter(|_| inlet.slot == 0) {
            Some((_, places)) => places.iter().for_each(|p| out[*p] += 1),
            None => out.iter_mut().for_each(|n| *n += 1),
        }
    }
    out
}

impl Ways {
    /// Follows the columns of `start`. `wanted` holds, for each column that is to be rewritten, its scale and its offset.
    pub(super) fn explore(
        model: &TypedModel,
        order: &[usize],
        start: OutletId,
        axis: usize,
        wanted: &[Option<(f64, f64)>],
    ) -> Self {
        let mut out = Self { chains: vec![None; wanted.len()], stuck: vec![false; wanted.len()], ..Self::default() };
        let cell = |(column, w): (usize, &Option<(f64, f64)>)| {
            w.map(|(scale, offset)| Cell { column, scale, offset, alone: Some((1.0, 0.0)) })
        };
        let first = Place { axis, cells: wanted.iter().enumerate().map(cell).collect() };
        let mut places = HashMap::new();
        out.put(model, &mut places, start, first);
        for id in order {
            let node = &model.nodes()[*id];
            let slots: Vec<usize> = (0..node.inputs.len()).filter(|i| places.contains_key(&node.inputs[*i])).collect();
            if slots.is_empty() {
                continue;
            }
            let next = out.step(model, node, &slots, &places);
            match next {
                Some(next) => out.put(model, &mut places, OutletId::new(*id, 0), next),
                None => slots.iter().for_each(|s| out.stop(&places[&node.inputs[*s]])),
            }
        }
        for outlet in &model.outputs {
            if let Some(place) = places.get(outlet) {
                out.stop(place);
            }
        }
        out
    }

    /// Notes the columns of a tensor, and which of them are read once.
    fn put(&mut self, model: &TypedModel, places: &mut HashMap<OutletId, Place>, outlet: OutletId, mut place: Place) {
        if place.cells.iter().all(Option::is_none) {
            return;
        }
        let reads = reads(model, outlet, place.axis, place.cells.len());
        for (cell, n) in place.cells.iter_mut().zip(reads) {
            if let Some(cell) = cell.as_mut().filter(|_| n != 1) {
                cell.alone = None;
            }
        }
        places.insert(outlet, place);
    }

    /// Something reads these columns as they were.
    fn stop(&mut self, place: &Place) {
        for cell in place.cells.iter().flatten().filter(|c| !c.plain()) {
            self.stuck[cell.column] = true;
        }
    }

    /// The columns behind a node; `None` where it needs them as they are.
    fn step(
        &mut self,
        model: &TypedModel,
        node: &TypedNode,
        slots: &[usize],
        places: &HashMap<OutletId, Place>,
    ) -> Option<Place> {
        let next = OutletId::new(node.id, 0);
        if node.outputs.len() != 1 || !node.outputs[0].fact.datum_type.is_float() {
            return None;
        }
        if let Some(op) = node.op_as::<TypedConcat>() {
            if slots.iter().any(|s| places[&node.inputs[*s]].axis != op.axis) {
                return None;
            }
            let mut cells = Vec::new();
            for outlet in &node.inputs {
                match places.get(outlet) {
                    Some(place) => cells.extend(&place.cells),
                    None => cells.resize(cells.len() + shape_of(model, *outlet).get(op.axis)?, None),
                }
            }
            self.joints.push((next, op.axis));
            return Some(Place { axis: op.axis, cells });
        }
        let [slot] = *slots else { return None };
        let place = &places[&node.inputs[slot]];
        if let Some((axis, from)) = moved(model, node, place.axis).filter(|_| slot == 0) {
            if !node.op_is::<Identity>() && !node.op_is::<Cast>() && !node.op_is::<AxisOp>() {
                self.joints.push((next, axis));
            }
            return Some(Place { axis, cells: from.iter().map(|p| place.cells[*p]).collect() });
        }
        if node.op_is::<EinSum>() || node.op_is::<Conv>() {
            self.weights(model, node, slot, place)?;
            return Some(Place { axis: 0, cells: vec![] });
        }
        self.constants(model, node, slot, place)
    }

    /// A product with constant weights ends the way.
    fn weights(&mut self, model: &TypedModel, node: &TypedNode, slot: usize, place: &Place) -> Option<()> {
        let (other, along, offsets) = if let Some(op) = node.op_as::<EinSum>() {
            let other = 1usize.checked_sub(slot)?;
            let index = op.axes.iter_all_axes().find(|a| a.inputs[slot].contains(&place.axis))?;
            let [w] = index.inputs.get(other)?[..] else { return None };
            let plain = node.inputs.len() == 2 && op.q_params.is_none() && index.outputs[0].is_empty();
            plain.then_some((other, w, true))?
        } else {
            let op = node.op_as::<Conv>()?;
            let format = op.pool_spec.data_format;
            let rank = shape_of(model, node.inputs[0]).len();
            let axis = if format.c_is_last() { rank - 1 } else { usize::from(format.has_n()) };
            let plain = op.group == 1 && op.kernel_fmt == KernelFormat::OIHW && op.q_params.is_none();
            (plain && slot == 0 && axis == place.axis).then_some((1, 1, false))?
        };
        let weights = constant(model, *node.inputs.get(other)?)?;
        if weights.shape().get(along) != Some(&place.cells.len()) {
            return None;
        }
        let of = |f: &dyn Fn(&Cell) -> f64, none: f64| -> Vec<f64> {
            place.cells.iter().map(|c| c.as_ref().map_or(none, f)).collect()
        };
        let (scale, offset) = (of(&|c| c.scale, 1.0), of(&|c| c.offset, 0.0));
        // Zeros around an image are no values of a channel.
        if !offsets && offset.iter().any(|v| v.abs() >= SAME) {
            return None;
        }
        if place.cells.iter().flatten().any(|c| !c.plain()) {
            self.edits.push(Edit::Weights { node: node.id, slot: other, along, from: place.axis, scale, offset });
        }
        Some(())
    }

    /// A sum, difference, product or quotient with constants becomes part of the scale and offset.
    fn constants(&mut self, model: &TypedModel, node: &TypedNode, slot: usize, place: &Place) -> Option<Place> {
        let op = node.op_as::<TypedBinOp>()?;
        let other = 1usize.checked_sub(slot)?;
        let t = constant(model, *node.inputs.get(other)?)?;
        let shape = shape_of(model, node.inputs[slot]);
        if shape_of(model, OutletId::new(node.id, 0)) != shape || t.rank() != shape.len() {
            return None;
        }
        let values = floats(&t).ok()?;
        let (_, len, inner) = crate::tensor::around(t.shape(), place.axis);
        // The one value for each position.
        let mut each = vec![None; len];
        for (i, v) in values.iter().enumerate() {
            let one = &mut each[i / inner.max(1) % len.max(1)];
            if *one.get_or_insert(*v) != *v {
                return None;
            }
        }
        let name = op.0.name();
        let apply = |(a, b): (f64, f64), c: f64| match (name, slot) {
            ("Add", _) => Some((a, b + c)),
            ("Sub", 0) => Some((a, b - c)),
            ("Mul", _) => Some((a * c, b * c)),
            ("Div", 0) if c != 0.0 => Some((a / c, b / c)),
            _ => None,
        };
        let mut cells = Vec::with_capacity(place.cells.len());
        for (p, cell) in place.cells.iter().enumerate() {
            let Some(cell) = cell else {
                cells.push(None);
                continue;
            };
            let c = each[if len == 1 { 0 } else { p }]?;
            let (scale, offset) = apply((cell.scale, cell.offset), c)?;
            let alone = cell.alone.and_then(|before| apply(before, c));
            if alone.is_some() {
                self.chains[cell.column] = alone;
            }
            cells.push(Some(Cell { scale, offset, alone, ..*cell }));
        }
        let positions = place.cells.iter().map(Option::is_some).collect();
        let value = if matches!(name, "Add" | "Sub") { 0.0 } else { 1.0 };
        self.edits.push(Edit::Neutral { inlet: InletId::new(node.id, other), axis: place.axis, positions, value });
        self.constants = true;
        Some(Place { axis: place.axis, cells })
    }
}

/// A constant with entries at positions of an axis replaced; an axis of extent one is repeated first where not all are.
pub(super) fn replaced(t: &Tensor, axis: usize, positions: &[bool], value: f32) -> Result<Tensor> {
    let values = floats(t)?;
    let mut shape = t.shape().to_vec();
    let (outer, len, inner) = crate::tensor::around(&shape, axis);
    let n = if len == 1 && !positions.iter().all(|p| *p) { positions.len() } else { len };
    let mut data = Vec::with_capacity(outer * n * inner);
    for o in 0..outer {
        for (p, chosen) in positions.iter().enumerate().take(n) {
            let from = (o * len + if len == 1 { 0 } else { p }) * inner;
            let one = |v: &f64| if *chosen { value } else { *v as f32 };
            data.extend(values[from..from + inner].iter().map(one));
        }
    }
    shape[axis] = n;
    Tensor::from_shape(&shape, &data).map_err(super::engine)
}
