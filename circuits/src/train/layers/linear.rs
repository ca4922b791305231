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

/// A product with a matrix along the last of three axes: steps, rows, values. A matrix that stays as it is has no axis of steps.
pub(super) fn matmul(n: &Nodes, rows: usize, (inputs, outputs): (usize, usize), frozen: bool) -> Contraction {
    let mut c = Contraction::matmul(&[n.steps], rows, inputs, outputs);
    if frozen {
        c.rhs.remove(0);
    }
    c
}

/// All axes between the first and the last made one: what a matrix does with rows, it does with tokens.
pub(super) fn as_rows(n: &mut Nodes, name: &str, id: NodeId) -> Result<NodeId> {
    let shape = n.shape(id);
    let last = shape.len() - 1;
    n.reshape(name, id, vec![shape[0], shape[1..last].iter().product(), shape[last]])
}

/// What a layer computes from its input, as a contraction of input and weights; none of a layer without.
fn product(n: &Nodes, layer: &Layer, shape: &[usize], frozen: bool) -> Option<Contraction> {
    if let Layer::Dense { inputs, outputs } = layer {
        return Some(matmul(n, shape[1], (*inputs, *outputs), frozen));
    }
    let mut c = conv(n, layer, &shape[2..])?;
    if frozen {
        c.rhs.remove(0);
    }
    Some(c)
}

/// The input of a contraction: rows, for a matrix.
fn operand(n: &mut Nodes, layer: &Layer, name: &str, x: NodeId) -> Result<NodeId> {
    if matches!(layer, Layer::Dense { .. }) { as_rows(n, name, x) } else { Ok(x) }
}

/// Sums of products and bias, not rounded.
pub(super) fn forward(
    n: &mut Nodes,
    (layer, frozen): (&Layer, bool),
    name: &str,
    x: NodeId,
    weights: &[NodeId],
) -> Result<NodeId> {
    let mut out = n.shape(x);
    let x = operand(n, layer, name, x)?;
    let shape = n.shape(x);
    let Some(c) = product(n, layer, &shape, frozen) else { return Ok(x) };
    let sum = n.contract(name, c, x, weights[0])?;
    // The bias, once for each row and place.
    let bias = if frozen { n.repeat(name, weights[1], 0, n.steps)? } else { weights[1] };
    let bias = n.repeat(name, bias, 1, shape[1])?;
    let shape = n.shape(sum);
    let bias = n.spread(name, bias, &shape)?;
    let sum = n.g.linear(name, &[(sum, 1), (bias, 1 << ACTIVATION_BITS)], 0)?;
    let Layer::Dense { outputs, .. } = layer else { return Ok(sum) };
    if let Some(last) = out.last_mut() {
        *last = *outputs;
    }
    n.reshape(name, sum, out)
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

/// Gradients of weights and bias, where they are trained, and the error of the input where it is needed.
pub(super) fn backward(
    n: &mut Nodes,
    (layer, frozen): (&Layer, bool),
    name: &str,
    (x, error): (NodeId, NodeId),
    weights: &[NodeId],
    needed: bool,
) -> Result<(Vec<NodeId>, Option<NodeId>)> {
    let before = n.shape(x);
    let (x, error) = (operand(n, layer, name, x)?, operand(n, layer, name, error)?);
    let shape = n.shape(x);
    let Some(forward) = product(n, layer, &shape, frozen) else { return Ok((vec![], None)) };
    let mut gradients = vec![];
    if !frozen {
        gradients.push(n.contract(&format!("{name}.weight.gradient"), weight_gradient(&forward), x, error)?);
        let bias = format!("{name}.bias.gradient");
        let sum = n.sum(&bias, error, 1)?;
        gradients.push(n.sum_to(&bias, sum, 2)?);
    }
    if !needed {
        return Ok((gradients, None));
    }
    let name = format!("{name}.{}.back", layer.name());
    let error = dilated(n, &name, layer, error)?;
    let back = n.contract(&name, input_error(n, layer, &shape[2..], &forward), error, weights[0])?;
    let back = n.keep(&name, back, WEIGHT_BITS)?;
    Ok((gradients, Some(n.reshape(&name, back, before)?)))
}
