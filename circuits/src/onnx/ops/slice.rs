//! Slices and gathers at constant positions.
//!
//! * Statement: chosen entries of an axis.
//! * ONNX: Slice, Split, Gather with constant indices (tract: `Slice`, `Downsample`, `StridedSlice`, `Gather`).
//! * Shapes: as tract computes them.
//! * Lowering: `Window` with one entry for each run of evenly spaced positions, and `Concat` where there are several; `Remap`
//!   where there are many.
//! * Lookups: none, or one a value where a contraction's result is gathered into several axes.
//! * Soundness: linear views.
//! * Reference: docs/protocol.md#linear.

use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
        own,
    },
    ops::{Concat, Op, Remap, Reshape, Window},
    tensor::strides,
};
use tract_onnx::{
    prelude::{IntoTValue, OutletId, Tensor, TypedNode},
    tract_hir::{
        internal::tvec,
        tract_core::ops::{
            Downsample,
            array::{Gather, Slice, StridedSlice},
        },
    },
};

/// Most runs of positions that become a window each.
const MAX_RUNS: usize = 4;

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let values = chosen(c, node)?;
    if let Some(values) = &values {
        own::follow(c, node, values);
    }
    Ok(values)
}

fn chosen(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let outlet = OutletId::new(node.id, 0);
    let out_shape = c.out_shape(node, 0);
    if let Some(op) = node.op_as::<Gather>() {
        return gather(c, node, op.axis).map(Some);
    }
    let spans: Vec<(usize, i64, i64)> = if let Some(op) = node.op_as::<Slice>() {
        let start = op.start.as_i64().ok_or_else(|| ImportError::unsupported("the slice depends on data"))?;
        vec![(op.axis, start, 1)]
    } else if let Some(op) = node.op_as::<Downsample>() {
        let extent = c.lazy(node, 0).map(|l| c.shape(l.root.node)[op.axis])? as i64;
        // A reversed slice starts at the end.
        vec![(op.axis, if op.stride < 0 { extent - 1 } else { op.modulo as i64 }, op.stride as i64)]
    } else if node.op_is::<StridedSlice>() {
        strided(c, node)?
    } else {
        return Ok(None);
    };
    let l = c.lazy(node, 0)?;
    let root = c.materialize(&l)?;
    let mut id = root.node;
    for (axis, start, step) in spans {
        id = c.push(Op::Window(Window::slice(axis, start, step, out_shape[axis])), &[id])?;
    }
    Ok(Some(vec![c.result(outlet, id, root.scale)]))
}

/// Axis, first position and step of a strided slice, found by slicing a tensor of positions.
fn strided(c: &Lowering<'_>, node: &TypedNode) -> Result<Vec<(usize, i64, i64)>> {
    let fail = |e: tract_onnx::prelude::TractError| ImportError::engine("evaluating a slice", &e);
    let shape = c.lazy(node, 0).map(|l| c.shape(l.root.node))?;
    let positions: Vec<i64> = (0..shape.iter().product::<usize>() as i64).collect();
    let mut args = tvec!(Tensor::from_shape(&shape, &positions).map_err(fail)?.into_tvalue());
    for i in 1..node.inputs.len() {
        match c.input(node, i)? {
            Value::Const(t) => args.push(t.into_tvalue()),
            Value::Lazy(_) => return Err(ImportError::unsupported("the slice depends on data")),
        }
    }
    let out = node.op.eval_out_of_plan(args).map_err(fail)?.and_then(|mut o| o.pop());
    let out = out.ok_or_else(|| ImportError::unsupported("the slice cannot be evaluated"))?;
    if out.rank() != shape.len() || out.len() == 0 {
        return Err(ImportError::unsupported("the slice drops an axis or is empty"));
    }
    let picked = out.to_plain_array_view::<i64>().map_err(fail)?;
    let picked: Vec<i64> = picked.iter().copied().collect();
    let (from, to) = (strides(&shape), strides(out.shape()));
    Ok((0..shape.len())
        .map(|axis| {
            let start = picked[0] as usize / from[axis] % shape[axis];
            let step = if out.shape()[axis] > 1 { (picked[to[axis]] - picked[0]) / from[axis] as i64 } else { 1 };
            (axis, start as i64, step)
        })
        .collect())
}

fn gather(c: &mut Lowering<'_>, node: &TypedNode, axis: usize) -> Result<Vec<Value>> {
    let (Value::Const(indices), Value::Lazy(l)) = (c.input(node, 1)?, c.input(node, 0)?) else {
        return super::gather::by_data(c, node, axis);
    };
    let fail = |e: tract_onnx::prelude::TractError| ImportError::engine("reading indices", &e);
    let out_shape = c.out_shape(node, 0);
    let extent = c.shape(l.root.node)[axis] as i64;
    let cast = indices.cast_to::<i64>().map_err(fail)?;
    let positions: Vec<i64> =
        cast.to_plain_array_view::<i64>().map_err(fail)?.iter().map(|p| if *p < 0 { p + extent } else { *p }).collect();
    if positions.is_empty() || positions.iter().any(|p| !(0..extent).contains(p)) {
        return Err(ImportError::unsupported("it has no indices, or one outside the axis"));
    }
    let splits = indices.rank() > 1;
    let root = if splits && c.g.node(l.root.node).bilinear { c.commit(&l)? } else { c.materialize(&l)? };
    let runs = runs(&positions);
    let mut id = if runs.len() > MAX_RUNS {
        c.push(Op::Remap(Remap::select(axis, positions.iter().map(|p| Some(*p as u32)))), &[root.node])?
    } else {
        let mut parts: Vec<NodeId> = Vec::new();
        for (start, step, len) in runs {
            parts.push(c.push(Op::Window(Window::slice(axis, start, step, len)), &[root.node])?);
        }
        if let [one] = parts[..] { one } else { c.push(Op::Concat(Concat { axis }), &parts)? }
    };
    if c.shape(id) != out_shape {
        id = c.push(Op::Reshape(Reshape { shape: out_shape }), &[id])?;
    }
    Ok(vec![c.result(OutletId::new(node.id, 0), id, root.scale)])
}

/// Cuts positions into runs of evenly spaced ones: (first, step, length).
fn runs(positions: &[i64]) -> Vec<(i64, i64, usize)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < positions.len() {
        let rest = &positions[at..];
        let step = if rest.len() > 1 { rest[1] - rest[0] } else { 1 };
        let len = 1 + rest.windows(2).take_while(|w| w[1] - w[0] == step).count();
        out.push((rest[0], step, len));
        at += len;
    }
    out
}
