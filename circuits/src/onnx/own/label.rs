//! Labels of classes from scores, without rounding.
//!
//! * Statement: `out` is the label of the first largest score of a row, or one of two labels by whether a score passes a threshold.
//! * ONNX: the label outputs of the classifiers of `ai.onnx.ml`.
//! * Shapes: `[rows, classes]` to `[rows]`.
//! * Lowering: every pair of scores is compared by the sign of its difference; a class wins that loses to no other one, where of
//!   equal scores the first wins. Accumulators are compared as they are, at any width.
//! * Lookups: two and limbs for each pair, one for each class.
//! * Soundness: lookups and linear views.
//! * Reference: docs/protocol.md#lookups.

use super::contract::constant;
use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value, to_int},
        tables::Function,
    },
    ops::{Op, Remap, Reshape, lookup::MAX_SHIFT},
};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

/// Which label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Label {
    /// That of the first largest score.
    Largest(Vec<i64>),
    /// The second where a score is above the threshold, the first otherwise.
    Above { column: u32, threshold: f32, labels: [i64; 2] },
}

/// Bits of the key of a comparison; what is below is a remainder.
const KEY_BITS: u32 = 14;
/// Most classes that are compared in pairs.
const MAX_CLASSES: usize = 128;

impl Label {
    pub(super) fn eval(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let t = inputs.first().ok_or_else(|| TractError::msg("no input"))?;
        let x = t.cast_to::<f32>()?;
        let x: Vec<f32> = x.to_plain_array_view::<f32>()?.iter().copied().collect();
        let width = t.shape().last().copied().unwrap_or(1).max(1);
        let one = |row: &[f32]| match self {
            Self::Largest(labels) => {
                let mut best = 0;
                (0..row.len()).for_each(|i| best = if row[i] > row[best] { i } else { best });
                labels.get(best).copied().unwrap_or(0)
            }
            Self::Above { column, threshold, labels } => {
                labels[usize::from(row.get(*column as usize).is_some_and(|v| v > threshold))]
            }
        };
        let out: Vec<i64> = x.chunks(width).map(one).collect();
        Tensor::from_shape(&[out.len()], &out)
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let l = c.lazy(node, 0)?;
        let root = c.materialize(&l)?;
        let [rows, n] = c.shape(root.node)[..] else {
            return Err(ImportError::unsupported("scores of another rank than two"));
        };
        let id = match self {
            Self::Largest(labels) if labels.len() == n && n <= MAX_CLASSES => largest(c, root.node, rows, labels)?,
            Self::Largest(_) => {
                return Err(ImportError::unsupported(format!("{n} classes; at most {MAX_CLASSES} are compared")));
            }
            Self::Above { column, threshold, labels } => {
                let one = c.push(Op::Remap(Remap::select(1, [Some(*column)])), &[root.node])?;
                // `v > t` for integers `v / unit`: at least the next one.
                let first = to_int((f64::from(*threshold) / root.scale).floor())? + 1;
                let room = c.linear(&[(one, 1)], -first)?;
                let above = at_least_zero(c, room)?;
                c.linear(&[(above, labels[1] - labels[0])], labels[0])?
            }
        };
        let id = c.push(Op::Reshape(Reshape { shape: vec![rows] }), &[id])?;
        Ok(c.result(OutletId::new(node.id, 0), id, 1.0))
    }
}

fn largest(c: &mut Lowering<'_>, scores: NodeId, rows: usize, labels: &[i64]) -> Result<NodeId> {
    let n = labels.len();
    if n == 1 {
        return c.linear(&[(scores, 0)], labels[0]);
    }
    let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
    let differences = pairs.iter().map(|(i, j)| vec![(*i as u32, 1), (*j as u32, -1)]).collect();
    let differences = c.push(Op::Remap(Remap { axis: 1, rows: differences }), &[scores])?;
    // One where the first of the pair is not smaller.
    let kept = at_least_zero(c, differences)?;
    let mut wins: Vec<Vec<(u32, i64)>> = vec![vec![]; n];
    for (p, (i, j)) in pairs.iter().enumerate() {
        wins[*i].push((p as u32, 1));
        wins[*j].push((p as u32, -1));
    }
    let wins = c.push(Op::Remap(Remap { axis: 1, rows: wins }), &[kept])?;
    let offsets: Vec<i64> = (0..n as i64).collect();
    let offsets = constant(c, "places", &[1, n], &offsets)?;
    let offsets = c.broadcast(offsets, &[rows, n])?;
    let wins = c.linear(&[(wins, 1), (offsets, 1)], 0)?;
    let best = one_at(c, wins, n as i64 - 1)?;
    let label = labels.iter().enumerate().map(|(i, l)| (i as u32, *l)).collect();
    c.push(Op::Remap(Remap { axis: 1, rows: vec![label] }), &[best])
}

/// One where an integer is not negative, zero elsewhere, at any width.
pub(crate) fn at_least_zero(c: &mut Lowering<'_>, node: NodeId) -> Result<NodeId> {
    let range = c.g.node(node).range;
    let widest = range.hi.max(-range.lo - 1).max(1);
    let bits = 129 - widest.leading_zeros();
    let shift = bits.saturating_sub(KEY_BITS);
    if shift > MAX_SHIFT {
        return Err(ImportError::unsupported(format!("a comparison of numbers of {bits} bits")));
    }
    // A lookup rounds to the nearest; this is rounding down, which keeps the sign.
    let half = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
    let down = c.linear(&[(node, 1)], -half)?;
    let f = Function {
        name: "is not negative".to_owned(),
        digest: 0,
        base: (-1, 0),
        values: Box::new(|keys| Ok(keys.iter().map(|k| i32::from(*k >= 0)).collect())),
    };
    c.lookup(down, shift, &f)
}

/// One where an integer that never exceeds `top` has that value, zero elsewhere.
pub(super) fn one_at(c: &mut Lowering<'_>, node: NodeId, top: i64) -> Result<NodeId> {
    let key = c.linear(&[(node, 1)], -top)?;
    let f = Function {
        name: "is not negative".to_owned(),
        digest: 0,
        base: (-1, 0),
        values: Box::new(|keys| Ok(keys.iter().map(|k| i32::from(*k >= 0)).collect())),
    };
    c.lookup(key, 0, &f)
}
