//! Reductions.
//!
//! * Statement: the sum, mean of squares, largest or smallest entry over some axes, or the position of one. Equal
//!   integers count as equal entries: entries closer than a unit of the committed tensor cannot be told apart.
//! * ONNX: ReduceSum, ReduceMean, GlobalAveragePool, ReduceMax, ReduceMin, GlobalMaxPool, ArgMax, ArgMin (tract:
//!   `Reduce`).
//! * Shapes: the axes keep extent one.
//! * Lowering: sums are `Window`s, and of squares a contraction of the tensor with itself; maxima are trees of pairwise maxima
//!   (see `pool.rs`); a minimum is the negated maximum of negated entries.
//! * Lookups: none for sums, one for each pairwise maximum.
//! * Soundness: linear views and lookups.
//! * Reference: docs/protocol.md#linear, docs/protocol.md#lookups.

use super::{
    pointwise::scalar,
    pool::{Span, bits_for_maxima, from_smallest_maximum, max_windows},
};
use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{Lazy, Lowering, Result, Root, Value},
        requantize::relu_exact,
    },
    ops::{AxisExpr, AxisScale, Contraction, Indices, Op, Window},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::{
        binary::TypedBinOp,
        element_wise::ElementWiseOp,
        nn::{Reduce, Reducer},
    },
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Reduce>() else { return Ok(None) };
    let outlet = OutletId::new(node.id, 0);
    let l = c.lazy(node, 0)?;
    match op.reducer {
        Reducer::Sum => {
            if let Some(x) = squared(c, node.inputs[0])? {
                let root = c.operand_within(&x, c.widths.fine())?;
                let (id, _) = sum_of_squares(c, root.node, &op.axes)?;
                c.least_squares.extend(c.fineness.least(outlet).map(|v| (id, v)));
                return Ok(Some(vec![c.result(outlet, id, root.scale * root.scale)]));
            }
            let root = c.materialize(&l)?;
            let mut id = root.node;
            for axis in &op.axes {
                let extent = c.shape(id)[*axis];
                id = c.push(Op::Window(Window::reduce(*axis, extent)), &[id])?;
            }
            Ok(Some(vec![c.result(outlet, id, root.scale)]))
        }
        Reducer::Max | Reducer::Min => {
            let negate = matches!(op.reducer, Reducer::Min);
            let l = if negate { l } else { from_smallest_maximum(c, l, outlet)? };
            let bits = if negate { c.widths.activation } else { bits_for_maxima(c, &l, outlet) };
            let mut root = c.operand_within(&l, bits)?;
            c.extrema.insert(outlet, root);
            if negate {
                root = Root { node: c.linear(&[(root.node, -1)], 0)?, ..root };
            }
            let shape = c.shape(root.node);
            let spans: Vec<Span> = op
                .axes
                .iter()
                .map(|a| Span { axis: *a, len: 1, stride: 1, kernel: shape[*a], dilation: 1, pad: 0 })
                .collect();
            let id = max_windows(c, root.node, &spans)?;
            let id = if negate { c.linear(&[(id, -1)], 0)? } else { id };
            Ok(Some(vec![c.result(outlet, id, root.scale)]))
        }
        Reducer::MeanOfSquares => {
            // What normalizes reads the tensor as an operand as well: its squares cost nothing beyond that.
            let root = c.operand_within(&l, c.widths.fine())?;
            let (id, count) = sum_of_squares(c, root.node, &op.axes)?;
            c.least_squares.extend(c.fineness.least(outlet).map(|v| (id, v)));
            Ok(Some(vec![c.result(outlet, id, root.scale * root.scale / count as f64)]))
        }
        Reducer::ArgMax(last) => arg_max(c, node, &l, &op.axes, last, 1).map(|v| Some(vec![v])),
        Reducer::ArgMin(last) => arg_max(c, node, &l, &op.axes, last, -1).map(|v| Some(vec![v])),
        other => {
            let help =
                format!("{other:?} depends on the order of the data; leave it to the program that reads the output");
            Err(ImportError::unsupported(help))
        }
    }
}

/// The tensor whose square a tensor is, where its own square is what is read.
fn squared(c: &Lowering<'_>, outlet: OutletId) -> Result<Option<Lazy>> {
    let node = &c.model.nodes()[outlet.node];
    let of_itself = match node.op_as::<TypedBinOp>().map(|op| op.0.name()) {
        Some("Mul") => node.inputs.first() == node.inputs.get(1),
        Some("Pow") => matches!(c.input(node, 1)?, Value::Const(t) if scalar(&t) == Some(2.0)),
        _ => node.op_as::<ElementWiseOp>().is_some_and(|op| op.0.name() == "Square"),
    };
    if !of_itself || c.integer(outlet).is_some() {
        return Ok(None);
    }
    Ok(match c.input(node, 0)? {
        Value::Lazy(x) => Some(x),
        Value::Const(_) => None,
    })
}

/// `sum x^2` over some axes, which keep extent one, and the number of summands.
fn sum_of_squares(c: &mut Lowering<'_>, node: NodeId, axes: &[usize]) -> Result<(NodeId, usize)> {
    let shape = c.shape(node);
    let mut indices = Indices::default();
    let (mut all, mut rest) = (vec![], vec![]);
    for (a, extent) in shape.iter().enumerate() {
        let expr = indices.axis(*extent);
        rest.push(if axes.contains(&a) { AxisExpr::unit() } else { expr.clone() });
        all.push(expr);
    }
    let contraction = Contraction { extents: indices.0, lhs: all.clone(), rhs: all, out: rest };
    let count = axes.iter().map(|a| shape[*a]).product();
    Ok((c.push(Op::Contraction(contraction), &[node, node])?, count))
}

/// The first (or last) position of the largest entry: one where an entry equals the maximum, times a weight that falls (or
/// rises) with the position, and the largest of those.
fn arg_max(c: &mut Lowering<'_>, node: &TypedNode, l: &Lazy, axes: &[usize], last: bool, sign: i64) -> Result<Value> {
    let [axis] = axes[..] else { return Err(ImportError::unsupported("positions over several axes")) };
    let mut root = c.operand(l)?;
    if sign < 0 {
        root.node = c.linear(&[(root.node, -1)], 0)?;
    }
    let shape = c.shape(root.node);
    let extent = shape[axis];
    if extent > 1 << 16 {
        return Err(ImportError::unsupported(format!("positions along an axis of {extent}; at most 65536")));
    }
    let span = [Span { axis, len: 1, stride: 1, kernel: extent, dilation: 1, pad: 0 }];
    let top = max_windows(c, root.node, &span)?;
    let top = c.broadcast(top, &shape)?;
    let below = c.linear(&[(top, 1), (root.node, -1)], 0)?;
    // 1 - min(top - x, 1): one at every largest entry.
    let behind = relu_exact(c, below, 1)?;
    let hit = c.linear(&[(behind, -1)], 1)?;
    let n = extent as i64;
    let factors = (0..n).map(|i| if last { i + 1 } else { n - i }).collect();
    let ranked = c.push(Op::AxisScale(AxisScale { axis, factors }), &[hit])?;
    let best = max_windows(c, ranked, &span)?;
    let index = if last { c.linear(&[(best, 1)], -1)? } else { c.linear(&[(best, -1)], n)? };
    Ok(c.result(OutletId::new(node.id, 0), index, 1.0))
}
