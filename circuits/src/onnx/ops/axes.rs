//! Changes of axes.
//!
//! * Statement: the same entries under other extents or another order of axes.
//! * ONNX: Reshape, Flatten, Squeeze, Unsqueeze, Transpose (tract: `AxisOp`), Identity and Dropout.
//! * Shapes: as tract computes them.
//! * Lowering: `Reshape` or `Transpose`. A contraction's result is committed before a reshape that merges or splits axes,
//!   because its claim needs one factor per axis.
//! * Lookups: none, or one a value where the tensor must be committed first.
//! * Soundness: linear views.
//! * Reference: docs/protocol.md#linear.

use crate::{
    onnx::lower::{Lowering, Result, Value},
    ops::{Op, Reshape, Transpose},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::{internal::AxisOp, tract_core::ops::identity::Identity},
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    if node.op_is::<Identity>() {
        return Ok(Some(vec![c.input(node, 0)?]));
    }
    let Some(op) = node.op_as::<AxisOp>() else { return Ok(None) };
    let l = c.lazy(node, 0)?;
    let outlet = OutletId::new(node.id, 0);
    let shape = c.out_shape(node, 0);
    let have = c.shape(l.root.node);
    let (root, id) = if let AxisOp::Move(from, to) = op {
        let mut permutation: Vec<usize> = (0..have.len()).collect();
        let axis = permutation.remove(*from);
        permutation.insert(*to, axis);
        let root = c.materialize(&l)?;
        (root, c.push(Op::Transpose(Transpose { permutation }), &[root.node])?)
    } else {
        let only_units = have.iter().filter(|d| **d != 1).eq(shape.iter().filter(|d| **d != 1));
        let root = if only_units || !c.g.node(l.root.node).bilinear { c.materialize(&l)? } else { c.commit(&l)? };
        (root, c.push(Op::Reshape(Reshape { shape }), &[root.node])?)
    };
    Ok(Some(vec![c.result(outlet, id, root.scale)]))
}
