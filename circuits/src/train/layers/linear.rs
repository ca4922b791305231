//! Layers with a matrix or kernels: two contractions backward.

use super::super::{
    ACTIVATION_BITS, Layer, WEIGHT_BITS,
    nodes::{Nodes, Result},
};
use crate::{
    graph::NodeId,
    ops::{AxisExpr, Contraction, Op, Window},
};

/// Indices of an image's contraction: steps, batch, output channel, input channel, y, x, kernel y, kernel x.
fn conv(n: &Nodes, layer: &Layer, shape: &[usize]) -> Option<Contraction> {
    let Layer::Conv { inputs, outputs, kernel: [kh, kw], pads: [top, left, ..], strides } = layer else {
        return None;
    };
    let out = layer.apply(shape).ok()?;
    let along = |i, k, axis: usize, pad: usize| AxisExpr {
        terms: vec![(i, strides[axis] as i64), (k, 1)],
        offset: -(pad as i64),
    };
    let mut lhs = AxisExpr::indices(&[0, 1, 3]);
    lhs.extend([along(4, 6, 0, *top), along(5, 7, 1, *left)]);
    Some(Contraction {
        extents: vec![n.steps, n.batch, *outputs, *inputs, out[1], out[2], *kh, *kw],
        lhs,
        rhs: AxisExpr::indices(&[0, 2, 3, 6, 7]),
        out: AxisExpr::indices(&[0, 1, 2, 4, 5]),
    })
}

/// What a layer computes from its input, as a contraction of input and weights; none of a layer without.
fn product(n: &Nodes, layer: &Layer, shape: &[usize]) -> Option<Contraction> {
    match layer {
        Layer::Dense { inputs, outputs } => Some(Contraction::matmul(&[n.steps], n.batch, *inputs, *outputs)),
        _ => conv(n, layer, shape),
    }
}

/// Sums of products and bias, not rounded.
pub(super) fn forward(n: &mut Nodes, layer: &Layer, name: &str, x: NodeId, weights: &[NodeId]) -> Result<NodeId> {
    let Some(c) = product(n, layer, &n.shape(x)[2..]) else { return Ok(x) };
    let sum = n.contract(name, c, x, weights[0])?;
    // The bias, once for each row and place.
    let bias = n.repeat(name, weights[1], 1, n.batch)?;
    let shape = n.shape(sum);
    let bias = n.spread(name, bias, &shape)?;
    Ok(n.g.linear(name, &[(sum, 1), (bias, 1 << ACTIVATION_BITS)], 0)?)
}

/// The contraction of input and error that is the gradient of the weights.
fn weight_gradient(forward: &Contraction) -> Contraction {
    Contraction { rhs: forward.out.clone(), out: forward.rhs.clone(), ..forward.clone() }
}

/// The error with zeros between its places, so that it is the one of a convolution of stride one.
fn dilated(n: &mut Nodes, name: &str, layer: &Layer, error: NodeId) -> Result<NodeId> {
    let mut error = error;
    if let Layer::Conv { strides, .. } = layer {
        for (axis, stride) in [(3, strides[0]), (4, strides[1])] {
            if stride > 1 {
                let wide = n.split(name, error, axis, 1)?;
                let wide = n.g.push(name, Op::Window(Window::pad(axis + 1, 1, 0, stride - 1)), &[wide])?;
                error = n.join(name, wide, axis)?;
            }
        }
    }
    Ok(error)
}

/// The contraction of error (dilated) and weights that is the error of the input.
fn input_error(n: &Nodes, layer: &Layer, shape: &[usize], forward: &Contraction) -> Contraction {
    let Layer::Conv { inputs, outputs, kernel: [kh, kw], pads: [top, left, ..], .. } = layer else {
        return Contraction { lhs: forward.out.clone(), out: forward.lhs.clone(), ..forward.clone() };
    };
    // Where the forward pass reads place `y + k - pad`, place `y` is read by outputs `y - k + pad`.
    let against = |i, k, pad: usize| AxisExpr { terms: vec![(i, 1), (k, -1)], offset: pad as i64 };
    let mut lhs = AxisExpr::indices(&[0, 1, 2]);
    lhs.extend([against(4, 6, *top), against(5, 7, *left)]);
    Contraction {
        extents: vec![n.steps, n.batch, *outputs, *inputs, shape[1], shape[2], *kh, *kw],
        lhs,
        rhs: forward.rhs.clone(),
        out: AxisExpr::indices(&[0, 1, 3, 4, 5]),
    }
}

/// Gradients of weights and bias, and the error of the input where it is needed.
pub(super) fn backward(
    n: &mut Nodes,
    layer: &Layer,
    name: &str,
    (x, error): (NodeId, NodeId),
    weights: &[NodeId],
    needed: bool,
) -> Result<(Vec<NodeId>, Option<NodeId>)> {
    let shape = n.shape(x);
    let Some(forward) = product(n, layer, &shape[2..]) else { return Ok((vec![], None)) };
    let weight = n.contract(&format!("{name}.weight.gradient"), weight_gradient(&forward), x, error)?;
    let bias = format!("{name}.bias.gradient");
    let sum = n.sum(&bias, error, 1)?;
    let gradients = vec![weight, n.sum_to(&bias, sum, 2)?];
    if !needed {
        return Ok((gradients, None));
    }
    let name = format!("{name}.{}.back", layer.name());
    let error = dilated(n, &name, layer, error)?;
    let back = n.contract(&name, input_error(n, layer, &shape[2..], &forward), error, weights[0])?;
    Ok((gradients, Some(n.keep(&name, back, WEIGHT_BITS)?)))
}
