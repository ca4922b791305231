//! Convolutions.
//!
//! * Statement: `out[n, o, y] = sum_(i, k) x[n, i, stride*y + dilation*k - pad] * w[o, i, k] + b[o]`, any number of spatial
//!   axes, in groups.
//! * ONNX: Conv with a constant kernel, and BatchNormalization behind it.
//! * Shapes: as tract computes them.
//! * Lowering: one `Contraction` with affine axes; the bias and following constants along the channel axis are folded.
//! * Lookups: none, or one a value where the input must be committed first.
//! * Soundness: bilinear sumcheck; a position in the padding reads zero.
//! * Reference: docs/protocol.md#bilinear.

use super::{
    einsum::{Affine, finish, floats, follow, quantize},
    pool::first_spatial_axis,
};
use crate::{
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Root, Value},
    },
    ops::{AxisExpr, Contraction, Op, Reshape},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::cnn::Conv,
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Conv>() else { return Ok(None) };
    if op.q_params.is_some() {
        return Err(ImportError::unsupported("export the float model; the compiler quantizes it itself"));
    }
    let Value::Const(kernel) = c.input(node, 1)? else {
        return Err(ImportError::unsupported("a convolution needs a constant kernel"));
    };
    let x = c.lazy(node, 0)?;
    let x = c.operand(&x)?;
    let spec = &op.pool_spec;
    let format = spec.data_format;
    let (in_shape, out_shape) = (c.shape(x.node), c.out_shape(node, 0));
    let channel = if format.c_is_last() { in_shape.len() - 1 } else { usize::from(format.has_n()) };
    let first = first_spatial_axis(spec, &in_shape)?;
    first_spatial_axis(spec, &out_shape)?;
    let spatial = spec.rank();
    let groups = op.group;
    let (per_in, per_out) = (spec.input_channels / groups, spec.output_channels / groups);

    let mut extents = Vec::new();
    let mut index = |extent: usize| {
        (extent > 1).then(|| {
            extents.push(extent);
            extents.len() - 1
        })
    };
    let axis = |terms: &[(Option<usize>, i64)], offset: i64| AxisExpr {
        terms: terms.iter().filter_map(|(i, s)| i.map(|i| (i, *s))).collect(),
        offset,
    };
    let mut lhs = vec![AxisExpr::unit(); in_shape.len()];
    let mut out = vec![AxisExpr::unit(); out_shape.len()];
    if format.has_n() {
        let n = index(in_shape[0]);
        lhs[0] = axis(&[(n, 1)], 0);
        out[0] = axis(&[(n, 1)], 0);
    }
    let (g, o, i) = (index(groups), index(per_out), index(per_in));
    lhs[channel] = axis(&[(g, per_in as i64), (i, 1)], 0);
    out[channel] = axis(&[(g, per_out as i64), (o, 1)], 0);
    let mut rhs = vec![out[channel].clone(), axis(&[(i, 1)], 0)];
    let padding = spec.computed_padding(&in_shape[first..first + spatial]);
    for d in 0..spatial {
        let (y, k) = (index(out_shape[first + d]), index(spec.kernel_shape[d]));
        let pad = padding[d].pad_before as i64;
        lhs[first + d] = axis(&[(y, spec.stride(d) as i64), (k, spec.dilation(d) as i64)], -pad);
        out[first + d] = axis(&[(y, 1)], 0);
        rhs.push(axis(&[(k, 1)], 0));
    }

    let outlet = OutletId::new(node.id, 0);
    // A bias that is computed comes from a sum that tract has folded into the convolution.
    let (bias, computed) = match c.input(node, 2)? {
        Value::Const(b) => (floats(&b)?, None),
        Value::Lazy(l) => (vec![0.0], Some(l)),
    };
    let mut affine = match computed {
        None => follow(c, outlet, Some(channel)),
        Some(_) => {
            let n = spec.output_channels;
            Affine { mul: vec![1.0; n], add: vec![0.0; n], outlet }
        }
    };
    let fail = |e: tract_onnx::prelude::TractError| ImportError::engine("reading a kernel", &e);
    let kernel = op.kernel_fmt.kernel_as_group_o_ihw(&kernel, groups).map_err(fail)?;
    let mut values = floats(&kernel)?;
    let block = (values.len() / spec.output_channels).max(1);
    for (i, v) in values.iter_mut().enumerate() {
        *v *= affine.mul[i / block];
    }
    for (i, a) in affine.add.iter_mut().enumerate() {
        *a += bias.get(i % bias.len().max(1)).copied().unwrap_or(0.0) * affine.mul[i];
    }
    let mut shape = vec![spec.output_channels, per_in];
    shape.extend(spec.kernel_shape.iter());
    let weight = quantize(c, &values, &shape, "weight", c.widths.weight)?;
    let id = c.push(Op::Contraction(Contraction { extents, lhs, rhs, out }), &[x.node, weight.node])?;
    let Some(l) = computed else { return finish(c, id, x.scale * weight.scale, &affine, Some(channel)).map(Some) };
    let mut b = c.materialize(&l)?;
    let mut along = vec![1; out_shape.len()];
    along[channel] = c.shape(b.node).iter().product();
    b.node = c.push(Op::Reshape(Reshape { shape: along }), &[b.node])?;
    b.node = c.broadcast(b.node, &out_shape)?;
    let acc = Root { node: id, scale: x.scale * weight.scale, range: l.range };
    let (id, scale) = c.combine(&[(acc, 1), (b, 1)])?;
    Ok(Some(vec![c.result(outlet, id, scale)]))
}
