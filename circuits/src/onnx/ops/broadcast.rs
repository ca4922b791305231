//! Broadcasts.
//!
//! * Statement: axes of extent one are repeated.
//! * ONNX: Expand (tract: `MultiBroadcastTo`).
//! * Shapes: as tract computes them.
//! * Lowering: one `Window` per repeated axis.
//! * Lookups: none.
//! * Soundness: linear views.
//! * Reference: docs/protocol.md#linear.

use crate::onnx::lower::{Lowering, Result, Value};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::array::MultiBroadcastTo,
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    if !node.op_is::<MultiBroadcastTo>() {
        return Ok(None);
    }
    let l = c.lazy(node, 0)?;
    let root = c.materialize(&l)?;
    let shape = c.out_shape(node, 0);
    let id = c.broadcast(root.node, &shape)?;
    Ok(Some(vec![c.result(OutletId::new(node.id, 0), id, root.scale)]))
}
