//! Padding with a constant.
//!
//! * Statement: a constant around the tensor.
//! * ONNX: Pad, mode `constant`.
//! * Shapes: each axis grows by its padding.
//! * Lowering: subtract the constant, pad with zeros (`Window`), add the constant.
//! * Lookups: none.
//! * Soundness: linear views.
//! * Reference: docs/protocol.md#linear.

use crate::{
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value, to_int},
    },
    ops::{Op, Window},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::array::{Pad, PadMode},
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Pad>() else { return Ok(None) };
    let PadMode::Constant(value) = &op.mode else {
        return Err(ImportError::unsupported("only padding with a constant is supported; use mode 'constant'"));
    };
    let value = super::pointwise::scalar(value)
        .ok_or_else(|| ImportError::unsupported("the padding value must be one finite number"))?;
    let l = c.lazy(node, 0)?;
    let root = c.materialize(&l)?;
    let (mut id, mut scale) = (root.node, root.scale);
    let mut fill = 0;
    if value != 0.0 {
        // Eighths of a unit, where the value is no whole number of units.
        let up = if (value / scale).fract() == 0.0 { 1 } else { 8 };
        id = c.linear(&[(id, up)], 0)?;
        scale /= up as f64;
        fill = to_int(value / scale)?;
        id = c.linear(&[(id, 1)], -fill)?;
    }
    for (axis, (before, after)) in op.pads.iter().enumerate() {
        if before + after > 0 {
            let extent = c.shape(id)[axis];
            id = c.push(Op::Window(Window::pad(axis, extent, *before, *after)), &[id])?;
        }
    }
    let id = c.linear(&[(id, 1)], fill)?;
    Ok(Some(vec![c.result(OutletId::new(node.id, 0), id, scale)]))
}
