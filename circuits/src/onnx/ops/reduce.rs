//! Reductions.
//!
//! * Statement: the sum, mean of squares, largest or smallest entry over some axes.
//! * ONNX: ReduceSum, ReduceMean, GlobalAveragePool, ReduceMax, ReduceMin, GlobalMaxPool (tract: `Reduce`).
//! * Shapes: the axes keep extent one.
//! * Lowering: sums are `Window`s; maxima are trees of pairwise maxima (see `pool.rs`); a minimum is the negated maximum
//!   of negated entries.
//! * Lookups: none for sums, one for each pairwise maximum.
//! * Soundness: linear views and lookups.
//! * Reference: docs/protocol.md#linear, docs/protocol.md#lookups.

use super::pool::{Span, max_windows};
use crate::{
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Root, Value},
    },
    ops::{Op, Window},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::nn::{Reduce, Reducer},
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Reduce>() else { return Ok(None) };
    let outlet = OutletId::new(node.id, 0);
    let l = c.lazy(node, 0)?;
    match op.reducer {
        Reducer::Sum => {
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
            let mut root = c.operand(&l)?;
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
            let squared = super::pointwise::square(c, &l)?;
            let root = c.materialize(&squared)?;
            let mut id = root.node;
            let mut count = 1;
            for axis in &op.axes {
                let extent = c.shape(id)[*axis];
                count *= extent;
                id = c.push(Op::Window(Window::reduce(*axis, extent)), &[id])?;
            }
            Ok(Some(vec![c.result(outlet, id, root.scale / count as f64)]))
        }
        other => {
            let help =
                format!("{other:?} depends on the order of the data; leave it to the program that reads the output");
            Err(ImportError::unsupported(help))
        }
    }
}
