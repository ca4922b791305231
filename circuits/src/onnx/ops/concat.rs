//! Concatenation.
//!
//! * Statement: tensors side by side along one axis.
//! * ONNX: Concat.
//! * Shapes: alike but for that axis.
//! * Lowering: each input is multiplied by an integer to reach a common scale, then `Concat`; constants become weights.
//! * Lookups: none.
//! * Soundness: linear views.
//! * Reference: docs/protocol.md#linear.

use super::einsum::quantize_constant;
use crate::{
    onnx::lower::{Lowering, Result, Root, Value, common_scale},
    ops::{Concat, Op},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::array::TypedConcat,
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<TypedConcat>() else { return Ok(None) };
    let mut parts: Vec<Root> = Vec::new();
    for i in 0..node.inputs.len() {
        parts.push(match c.input(node, i)? {
            Value::Lazy(l) => c.materialize(&l)?,
            Value::Const(t) => quantize_constant(c, &t, &format!("part{i}"), c.widths.weight)?,
        });
    }
    let (unit, factors) = common_scale(&parts.iter().map(|p| p.scale).collect::<Vec<_>>());
    let mut ids = Vec::with_capacity(parts.len());
    for (p, f) in parts.iter().zip(factors) {
        ids.push(c.linear(&[(p.node, f)], 0)?);
    }
    let id = c.push(Op::Concat(Concat { axis: op.axis }), &ids)?;
    Ok(Some(vec![c.result(OutletId::new(node.id, 0), id, unit)]))
}
