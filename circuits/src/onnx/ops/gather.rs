//! Gathers by data: token ids into an embedding, rows of a computed table.
//!
//! * Statement: `out = table[.., index, ..]` along an axis; negative indices count from the end.
//! * ONNX: Gather with indices that depend on the inputs; GatherElements and GatherND, which become one.
//! * Shapes: as tract computes them.
//! * Lowering: the integer graph's `Gather`, the axis first. An index that may be negative is brought to its row by a table, in which
//!   what is outside of the axis becomes a row that does not exist.
//! * Lookups: one an index, of whole rows; one more an index that may be negative.
//! * Soundness: an index that is no row's has no proof, and computing it is an error.
//! * Reference: docs/protocol.md#gather.

use super::einsum::quantize_constant;
use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Root, Value, to_int},
        tables::Function,
    },
    ops::{Gather, Op, Transpose},
};
use tract_onnx::prelude::{OutletId, TypedNode};

/// Largest integer of a constant table, which is kept as it is.
const LARGEST: f64 = 524_287.0;

/// Lowers a gather along `axis` whose indices depend on the inputs.
pub(super) fn by_data(c: &mut Lowering<'_>, node: &TypedNode, axis: usize) -> Result<Vec<Value>> {
    let outlet = OutletId::new(node.id, 0);
    let table = match c.input(node, 0)? {
        Value::Const(t) => {
            let whole = !t.datum_type().is_float();
            if whole && super::einsum::floats(&t)?.iter().any(|v| v.abs() > LARGEST) {
                return Err(ImportError::unsupported(format!("a table of integers beyond {LARGEST}")));
            }
            quantize_constant(c, &t, "table", c.widths.weight)?
        }
        Value::Lazy(l) => c.operand(&l)?,
    };
    let shape = c.shape(table.node);
    let Some(rows) = shape.get(axis).copied() else {
        return Err(ImportError::unsupported(format!("axis {axis} of shape {shape:?}")));
    };
    let index = index(c, node, rows)?;
    let mut rest: Vec<usize> = (0..shape.len()).filter(|a| *a != axis).collect();
    let mut source = table.node;
    if axis != 0 {
        rest.insert(0, axis);
        source = c.push(Op::Transpose(Transpose { permutation: rest }), &[source])?;
    }
    let rank = c.shape(index).len();
    let mut id = c.push(Op::Gather(Gather { leading: 0 }), &[source, index])?;
    if axis != 0 {
        let permutation = (rank..rank + axis).chain(0..rank).chain(rank + axis..rank + shape.len() - 1).collect();
        id = c.push(Op::Transpose(Transpose { permutation }), &[id])?;
    }
    Ok(vec![c.result(outlet, id, table.scale)])
}

/// The index of a gather from so many rows, as a node that is not negative.
fn index(c: &mut Lowering<'_>, node: &TypedNode, rows: usize) -> Result<NodeId> {
    let l = c.lazy(node, 1)?;
    let Root { node: id, scale, .. } = c.materialize(&l)?;
    if scale < 0.5 || (scale - scale.round()).abs() > 1e-9 * scale {
        return Err(ImportError::unsupported(format!("indices in units of {scale}; they must be whole")));
    }
    let id = c.linear(&[(id, to_int(scale)?)], 0)?;
    if c.g.node(id).range.lo >= 0 {
        return Ok(id);
    }
    let n = rows as i64;
    let row = move |k: i64| match k {
        k if (0..n).contains(&k) => k,
        k if (-n..0).contains(&k) => k + n,
        _ => n,
    };
    // Both ends are outside, so what is clamped to them is outside as well.
    let f = Function {
        name: format!("row of {n}"),
        digest: n as u64,
        base: (-n - 1, n),
        values: Box::new(move |keys| Ok(keys.iter().map(|k| row(*k) as i32).collect())),
    };
    c.lookup(id, 0, &f)
}
