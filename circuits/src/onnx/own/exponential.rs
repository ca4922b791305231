//! Exponentials below the largest entry: what a softmax divides by its sum.
//!
//! * Statement: `out = e^(x - max(x))`, the maximum being over some axes.
//! * ONNX: Softmax and Attention; the second input is the maximum, so that its range is calibrated.
//! * Shapes: unchanged.
//! * Lowering: entries so far below the smallest of all maxima that their exponential rounds to zero (masked ones) are raised to
//!   that, and the tensor is committed; a tree of pairwise maxima, whose result is clamped to the tensor's own range; a table
//!   of exponentials whose keys are differences of committed integers.
//! * Lookups: three a value with that of the commitment, and one a row.
//! * Soundness: lookups, linear views.
//! * Reference: docs/protocol.md#lookups.

use crate::onnx::{
    error::ImportError,
    expr::Expr,
    lower::{Lazy, Lowering, Result, Value},
    ops::{
        mask::is_masked,
        pool::{Span, max_windows},
    },
    tables::Function,
};
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;
use tract_onnx::{
    prelude::*,
    tract_hir::tract_core::ops::{binary::TypedBinOp, math},
};

/// The axes of the maximum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exponential {
    pub(crate) axes: Vec<usize>,
}

/// Bits of the exponent beyond those of the exponential: a step of it is a share of every result.
const FINER: u32 = 1;

impl Exponential {
    pub(super) fn eval(&self, inputs: &[TValue], shape: &[usize]) -> TractResult<Tensor> {
        let operand = |i: usize| -> TractResult<Vec<f64>> {
            let t = inputs.get(i).ok_or_else(|| TractError::msg(format!("no input {i}")))?;
            super::wide(&t.broadcast_to_shape(shape)?)
        };
        let out: Vec<f32> = operand(0)?.iter().zip(operand(1)?).map(|(x, top)| (x - top).exp() as f32).collect();
        Tensor::from_shape(shape, &out)
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let bits = c.widths.activation;
        let l = c.lazy(node, 0)?;
        let (lowest, highest) = node.inputs.get(1).map_or((0.0, 0.0), |top| c.range_of(*top));
        // Where the exponential is less than half a unit.
        let depth = f64::from(bits + 1) * LN_2;
        let floor = lowest - depth;
        let raised = l.range.0 < floor || is_masked(c, l.root.node);
        let l = if raised { from(l, floor, highest)? } else { l };
        let root = c.commit_within(&l, bits + FINER)?;
        // The table takes to its least entry what would be zero anyway: no reason to warn.
        if let Some(limits) = c.limits.get_mut(&root.node).filter(|_| raised) {
            limits.0 = i64::MIN;
        }
        let shape = c.shape(root.node);
        let whole = |a: &usize| Span { axis: *a, len: 1, stride: 1, kernel: shape[*a], dilation: 1, pad: 0 };
        let spans: Vec<Span> = self.axes.iter().map(whole).collect();
        let top = max_windows(c, root.node, &spans)?;
        // A tree of maxima does not know that its result is no larger than what went in.
        let range = c.g.node(root.node).range;
        let bounds = i64::try_from(range.lo).ok().zip(i64::try_from(range.hi).ok());
        let bounds = bounds.ok_or_else(|| ImportError::unsupported("a softmax of values of more than 63 bits"))?;
        let top = c.clamp(top, 0, bounds)?;
        let top = c.broadcast(top, &shape)?;
        let below = c.linear(&[(root.node, 1), (top, -1)], 0)?;

        let (unit, one) = (root.scale, f64::from(1 << bits));
        let keys = ((depth / unit).ceil() as i64).clamp(1, bounds.1 - bounds.0 + 1);
        let f = Function {
            name: format!("exponential of multiples of {unit:e}, {bits} bits"),
            digest: 0,
            base: (-keys, 0),
            values: Box::new(move |keys| {
                Ok(keys.iter().map(|k| ((*k).min(0) as f64 * unit).exp().mul_add(one, 0.5) as i32).collect())
            }),
        };
        let id = c.lookup(below, 0, &f)?;
        Ok(c.result(OutletId::new(node.id, 0), id, 1.0 / one))
    }
}

/// A tensor whose values below `floor` do not matter, to be committed for itself: its other readers may need all of it.
fn from(mut l: Lazy, floor: f64, highest: f64) -> Result<Lazy> {
    let (expr, form) = match l.form.affine() {
        // A table of all values that the width has clamps by itself, and is one for all such tensors.
        Some((a, b)) if a > 0.0 => {
            l.root.range.0 = l.root.range.0.max((floor - b) / a);
            (l.expr.alias(), l.form)
        }
        _ => {
            let bound = Expr::constant(&tensor0(floor as f32))?;
            let raised = Box::new(TypedBinOp(Box::new(math::Max), None));
            (Expr::apply(raised, vec![l.expr.clone(), bound]), l.form.at_least(floor))
        }
    };
    Ok(Lazy { expr, form, range: (floor, highest), outlet: None, ..l })
}
