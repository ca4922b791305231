//! Slices.
//!
//! * Statement: every `step`-th entry of a part of an axis.
//! * ONNX: Slice, Split (tract: `Slice`, `Downsample`).
//! * Shapes: the axis shrinks.
//! * Lowering: `Window` with one entry.
//! * Lookups: none.
//! * Soundness: linear views.
//! * Reference: docs/protocol.md#linear.

use crate::{
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
    },
    ops::{Op, Window},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::{Downsample, array::Slice},
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let (axis, start, step) = if let Some(op) = node.op_as::<Slice>() {
        let start = op.start.as_i64().ok_or_else(|| ImportError::unsupported("the slice depends on data"))?;
        (op.axis, start, 1)
    } else if let Some(op) = node.op_as::<Downsample>() {
        (op.axis, op.modulo as i64, op.stride as i64)
    } else {
        return Ok(None);
    };
    let l = c.lazy(node, 0)?;
    let root = c.materialize(&l)?;
    let len = c.out_shape(node, 0)[axis];
    // A reversed slice starts at the end.
    let first = if step < 0 { c.shape(root.node)[axis] as i64 - 1 } else { start };
    let id = c.push(Op::Window(Window::slice(axis, first, step, len)), &[root.node])?;
    Ok(Some(vec![c.result(OutletId::new(node.id, 0), id, root.scale)]))
}
