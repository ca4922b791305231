//! Concatenation.
//!
//! * Statement: tensors side by side along one axis.
//! * ONNX: Concat.
//! * Shapes: alike but for that axis.
//! * Lowering: each input is multiplied by an integer to reach a common scale, then `Concat`; constants become weights. Columns that
//!   only trees read keep their steps.
//! * Lookups: none.
//! * Soundness: linear views.
//! * Reference: docs/protocol.md#linear.

use super::einsum::{floats, quantize_constant};
use crate::{
    graph::NodeId,
    onnx::{
        lower::{Lowering, Result, Root, Value, common_scale},
        own::{self, Column},
        rounded::whole_bits,
    },
    ops::{Concat, Op},
};
use tract_onnx::{
    prelude::{OutletId, Tensor, TypedNode},
    tract_hir::tract_core::ops::array::TypedConcat,
};

/// The width of a constant: integers, such as a class token in front of quantized values, have the one that they need, so that what
/// they are put together with does not become wider.
fn width(t: &Tensor, most: u32) -> Result<u32> {
    if t.datum_type().is_float() {
        return Ok(most);
    }
    let largest = floats(t)?.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    Ok(whole_bits(largest).min(most))
}

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<TypedConcat>() else { return Ok(None) };
    let mut parts: Vec<Root> = Vec::new();
    let mut columns: Vec<Column> = Vec::new();
    let mut tabular = false;
    for i in 0..node.inputs.len() {
        parts.push(match c.input(node, i)? {
            Value::Lazy(l) => c.materialize(&l)?,
            Value::Const(t) => {
                let bits = width(&t, c.widths.weight)?;
                quantize_constant(c, &t, &format!("part{i}"), bits)?
            }
        });
        let Some(root) = parts.last() else { continue };
        match c.tabular.get(&root.node) {
            Some(known) => {
                tabular = true;
                columns.extend(known);
            }
            None => {
                let n = c.shape(root.node).get(op.axis).copied().unwrap_or(0);
                columns.extend(std::iter::repeat_n(Column::Scaled(root.scale), n));
            }
        }
    }
    if tabular {
        // Every column keeps its step; the trees that read it know.
        let ids: Vec<NodeId> = parts.iter().map(|p| p.node).collect();
        let id = c.push(Op::Concat(Concat { axis: op.axis }), &ids)?;
        let value = c.result(OutletId::new(node.id, 0), id, 1.0);
        own::put(c, id, columns);
        return Ok(Some(vec![value]));
    }
    let (unit, factors) = common_scale(&parts.iter().map(|p| p.scale).collect::<Vec<_>>());
    let mut ids = Vec::with_capacity(parts.len());
    for (p, f) in parts.iter().zip(factors) {
        ids.push(c.linear(&[(p.node, f)], 0)?);
    }
    let id = c.push(Op::Concat(Concat { axis: op.axis }), &ids)?;
    Ok(Some(vec![c.result(OutletId::new(node.id, 0), id, unit)]))
}
