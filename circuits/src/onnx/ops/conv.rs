//! Convolutions.
//!
//! * Statement: `out[n, o, y] = sum_(i, k) x[n, i, stride*y + dilation*k - pad] * w[o, i, k] + b[o]`, any number of spatial
//!   axes, in groups.
//! * ONNX: Conv, and BatchNormalization behind it; the kernel is a constant or data.
//! * Shapes: as tract computes them.
//! * Lowering: one `Contraction` with affine axes; the bias and following constants along the channel axis are folded.
//! * Lookups: none, or one a value where the input must be committed first.
//! * Soundness: bilinear sumcheck; a position in the padding reads zero.
//! * Reference: docs/protocol.md#bilinear.

use super::{
    einsum::{Affine, finish, floats, follow},
    pool::first_spatial_axis,
};
use crate::{
    onnx::{
        error::ImportError,
        lower::{Lazy, Lowering, Result, Root, Value},
        rounded::{self, Factors},
    },
    ops::{AxisExpr, Contraction, Indices, Op, Reshape},
};
use std::borrow::Cow;
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::cnn::{Conv, KernelFormat},
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Conv>() else { return Ok(None) };
    if op.q_params.is_some() {
        return Err(ImportError::unsupported("export the float model; the compiler quantizes it itself"));
    }
    let kernel = c.input(node, 1)?;
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

    let (mut indices, axis) = (Indices::default(), AxisExpr::sum);
    let mut lhs = vec![AxisExpr::unit(); in_shape.len()];
    let mut out = vec![AxisExpr::unit(); out_shape.len()];
    if format.has_n() {
        let n = indices.add(in_shape[0]);
        lhs[0] = axis(&[(n, 1)], 0);
        out[0] = axis(&[(n, 1)], 0);
    }
    let (g, o, i) = (indices.add(groups), indices.add(per_out), indices.add(per_in));
    lhs[channel] = axis(&[(g, per_in as i64), (i, 1)], 0);
    out[channel] = axis(&[(g, per_out as i64), (o, 1)], 0);
    let mut rhs = vec![out[channel].clone(), axis(&[(i, 1)], 0)];
    let padding = spec.computed_padding(&in_shape[first..first + spatial]);
    for d in 0..spatial {
        let (y, k) = (indices.add(out_shape[first + d]), indices.add(spec.kernel_shape[d]));
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
    let kernel = match kernel {
        Value::Const(kernel) => kernel,
        Value::Lazy(kernel) => {
            let parts = Parts {
                contraction: Contraction { extents: indices.0, lhs, rhs, out },
                x,
                kernel,
                bias: &bias,
                affine: &affine,
            };
            return computed_kernel(c, op, parts, channel, computed).map(Some);
        }
    };
    let fail = |e: tract_onnx::prelude::TractError| ImportError::engine("reading a kernel", &e);
    for (i, a) in affine.add.iter_mut().enumerate() {
        *a += bias.get(i % bias.len().max(1)).copied().unwrap_or(0.0) * affine.mul[i];
    }
    let mut shape = vec![spec.output_channels, per_in];
    shape.extend(spec.kernel_shape.iter());
    let factors = Factors {
        mul: affine.mul.clone(),
        len: spec.output_channels,
        inner: (kernel.len() / spec.output_channels.max(1)).max(1),
    };
    let weight = rounded::weight(c, &kernel, &shape, factors, c.widths.weight, |k| {
        // The entries of an ONNX kernel lie as those of `shape` do.
        match op.kernel_fmt {
            KernelFormat::OIHW => Ok(Cow::Borrowed(k)),
            format => format.kernel_as_group_o_ihw(k, groups).map(Cow::Owned).map_err(fail),
        }
    })?;
    let id = c.push(Op::Contraction(Contraction { extents: indices.0, lhs, rhs, out }), &[x.node, weight.node])?;
    match computed {
        None => finish(c, id, x.scale * weight.scale, &affine, Some(channel)).map(Some),
        Some(l) => {
            let acc = Root { node: id, scale: x.scale * weight.scale, range: l.range };
            computed_bias(c, acc, &l, channel, outlet).map(Some)
        }
    }
}

/// Adds a bias that is data.
fn computed_bias(c: &mut Lowering<'_>, acc: Root, bias: &Lazy, channel: usize, outlet: OutletId) -> Result<Vec<Value>> {
    let shape = c.shape(acc.node);
    let mut b = c.materialize(bias)?;
    let mut along = vec![1; shape.len()];
    along[channel] = c.shape(b.node).iter().product();
    b.node = c.push(Op::Reshape(Reshape { shape: along }), &[b.node])?;
    b.node = c.broadcast(b.node, &shape)?;
    let (id, scale) = c.combine(&[(acc, 1), (b, 1)])?;
    Ok(vec![c.result(outlet, id, scale)])
}

/// A convolution whose kernel is data.
struct Parts<'p> {
    contraction: Contraction,
    x: Root,
    kernel: Lazy,
    bias: &'p [f64],
    affine: &'p Affine,
}

/// A contraction of two committed tensors; what follows along the channels stays a product and a sum.
fn computed_kernel(
    c: &mut Lowering<'_>,
    op: &Conv,
    parts: Parts<'_>,
    channel: usize,
    computed: Option<Lazy>,
) -> Result<Vec<Value>> {
    if op.kernel_fmt != KernelFormat::OIHW {
        return Err(ImportError::unsupported("a computed kernel in another order than outputs, inputs, space"));
    }
    if parts.affine.mul.iter().any(|m| *m != parts.affine.mul[0]) {
        return Err(ImportError::unsupported("a computed kernel before a factor for each channel; split the two"));
    }
    let w = c.operand(&parts.kernel)?;
    let id = c.push(Op::Contraction(parts.contraction), &[parts.x.node, w.node])?;
    let mul = parts.affine.mul[0];
    if mul == 0.0 {
        return Err(ImportError::unsupported("a product with zero"));
    }
    let id = if mul < 0.0 { c.linear(&[(id, -1)], 0)? } else { id };
    let scale = parts.x.scale * w.scale * mul.abs();
    if let Some(l) = computed {
        let acc = Root { node: id, scale, range: l.range };
        return computed_bias(c, acc, &l, channel, parts.affine.outlet);
    }
    let n = parts.bias.len().max(1);
    let at = |i: usize| parts.bias.get(i % n).copied().unwrap_or(0.0);
    let add = parts.affine.add.iter().enumerate().map(|(i, a)| a + at(i) * mul).collect();
    let affine = Affine { mul: vec![1.0; parts.affine.mul.len()], add, outlet: parts.affine.outlet };
    finish(c, id, scale, &affine, Some(channel))
}
