//! Columns that ensembles of trees read: from inputs of their own, or chosen from one, beside others.
//!
//! An input that ensembles alone compare with thresholds has a step for each of its columns, as [`super::trees`] describes. Here the
//! columns are followed through what moves them, so that a threshold is rounded by the rule of the column that it is compared
//! with.

use super::{
    Kind, Own,
    trees::{Split, grid, on_grid},
};
use crate::{
    graph::NodeId,
    model::{Features, TensorSpec},
    onnx::{
        equalize::moved,
        lower::{Lowering, Value},
    },
};
use std::collections::HashMap;
use tract_onnx::{
    prelude::*,
    tract_hir::tract_core::ops::{
        Downsample,
        array::{Gather, Slice, TypedConcat},
    },
};

/// How the integers of a column stand for floats.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Rounded to a step of its own from an offset.
    Stepped {
        /// The step.
        step: f64,
        /// The float that zero stands for.
        offset: f64,
    },
    /// An integer times a scale.
    Scaled(f64),
}

/// The thresholds with which each column of a source of rows is compared; `None` if that is not all that reads it.
fn thresholds(model: &TypedModel, source: OutletId) -> Option<Vec<Vec<f64>>> {
    let axis = 1;
    let [_, width] = *model.outlet_fact(source).ok()?.shape.as_concrete()? else { return None };
    let mut places: HashMap<OutletId, Vec<Option<usize>>> = HashMap::new();
    places.insert(source, (0..width).map(Some).collect());
    let mut found = vec![vec![]; width];
    let mut compared = false;
    for id in model.eval_order().ok()? {
        let node = &model.nodes()[id];
        if !node.inputs.iter().any(|i| places.contains_key(i)) {
            continue;
        }
        let next = if let Some(Kind::Trees(trees)) = node.op_as::<Own>().map(|o| &o.0.kind) {
            let columns = &places[node.inputs.first()?];
            if columns.len() != trees.features as usize {
                return None;
            }
            for s in &trees.splits {
                if let Some(column) = columns.get(s.feature as usize)? {
                    found[*column].push(f64::from(s.threshold));
                }
            }
            compared = true;
            continue;
        } else if let Some(op) = node.op_as::<TypedConcat>().filter(|op| op.axis == axis) {
            let mut all = Vec::new();
            for outlet in &node.inputs {
                match places.get(outlet) {
                    Some(columns) => all.extend(columns),
                    None => all
                        .resize(all.len() + model.outlet_fact(*outlet).ok()?.shape.as_concrete()?.get(op.axis)?, None),
                }
            }
            all
        } else if node.op_is::<Gather>() || node.op_is::<Slice>() || node.op_is::<Downsample>() {
            let columns = places.get(node.inputs.first()?)?;
            let (_, from) = moved(model, node, axis)?;
            from.iter().map(|p| columns.get(*p).copied().flatten()).collect()
        } else {
            return None;
        };
        places.insert(OutletId::new(id, 0), next);
    }
    let shown = model.outputs.iter().any(|o| places.contains_key(o));
    (compared && !shown).then_some(found)
}

/// A step and an offset for each column of a source that only ensembles read, from its thresholds and the least and largest values
/// seen.
pub(crate) fn steps(model: &TypedModel, source: OutletId, seen: Option<(&[f32], &[f32])>) -> Option<Features> {
    let mut values = thresholds(model, source)?;
    let width = values.len();
    if let Some((lo, hi)) = seen {
        for (i, v) in lo.iter().chain(hi).enumerate() {
            values[i % width].push(f64::from(*v));
        }
    }
    let (scale, offset) = values.iter().map(|v| grid(v)).unzip();
    Some(Features { axis: 1, scale, offset })
}

/// The columns of such a source.
pub(crate) fn columns(steps: &Features) -> Vec<Column> {
    steps
        .scale
        .iter()
        .zip(&steps.offset)
        .map(|(step, offset)| Column::Stepped { step: *step, offset: *offset })
        .collect()
}

/// Notes the columns of what was chosen from a tensor that has some.
pub(crate) fn follow(c: &mut Lowering<'_>, node: &TypedNode, values: &[Value]) {
    let (Ok(Value::Lazy(from)), [Value::Lazy(to)]) = (c.input(node, 0), values) else { return };
    let Some(columns) = c.tabular.get(&from.root.node) else { return };
    let Some((1, places)) = moved(c.model, node, 1) else { return };
    let chosen = places.iter().filter_map(|p| columns.get(*p).copied()).collect();
    put(c, to.root.node, chosen);
}

/// Notes the columns of a node.
pub(crate) fn put(c: &mut Lowering<'_>, node: NodeId, columns: Vec<Column>) {
    c.tabular.insert(node, columns);
    // With a step for each column there is no one scale to compare its values in.
    c.traces.retain(|(_, id, _)| *id != node);
}

/// For a split, the largest integer of its feature that goes to the `yes` side.
pub(super) fn last(columns: &[Column]) -> impl Fn(&Split) -> i128 {
    let part = |stepped: fn(f64, f64) -> f64, scaled: f64| -> Vec<f64> {
        let one = |c: &Column| match c {
            Column::Stepped { step, offset } => stepped(*step, *offset),
            Column::Scaled(_) => scaled,
        };
        columns.iter().map(one).collect()
    };
    let features = Features { axis: 1, scale: part(|step, _| step, 1.0), offset: part(|_, offset| offset, 0.0) };
    let spec = TensorSpec { features: Some(features), ..TensorSpec::uniform("", &[1, columns.len()], 0) };
    let columns = columns.to_vec();
    move |s: &Split| match columns.get(s.feature as usize) {
        Some(Column::Scaled(scale)) => {
            let at = f64::from(s.threshold) / scale;
            (if s.strict { at.ceil() - 1.0 } else { at.floor() }) as i128
        }
        _ => {
            let at = spec.at(s.feature as usize, s.threshold, -(1 << 40), 1 << 40);
            let (step, offset) = spec.step(s.feature as usize);
            let yes = if on_grid(step) { s.takes((at as f64).mul_add(step, offset) as f32) } else { !s.strict };
            i128::from(at) - i128::from(!yes)
        }
    }
}
