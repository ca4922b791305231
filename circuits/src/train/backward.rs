//! Reverse mode: gradients of all weights from the error at the output, as graph nodes.
//!
//! Linear layers send the error through their transpose, layers with weights through two contractions, ReLU through a product
//! with its derivative. What one contraction computes is committed before another reads it.

use super::{
    Layer, Spec, TrainError, WEIGHT_BITS,
    step::{Nodes, product},
};
use crate::{
    graph::NodeId,
    ops::{AxisExpr, Contraction, Op, Reshape, Window},
};

/// What a layer computed, and the derivative where it is a tensor of its own.
pub(super) struct Saved {
    pub(super) value: NodeId,
    pub(super) derivative: Option<NodeId>,
}

type Result<T> = std::result::Result<T, TrainError>;

/// The contraction of input and error that is the gradient of the weights.
fn weight_gradient(forward: &Contraction) -> Contraction {
    Contraction { rhs: forward.out.clone(), out: forward.rhs.clone(), ..forward.clone() }
}

/// The contraction of error and weights that is the error of the input.
fn input_error(n: &Nodes, layer: &Layer, shape: &[usize], forward: &Contraction) -> Contraction {
    let Layer::Conv { inputs, outputs, kernel: [kh, kw], pads: [top, left, ..] } = layer else {
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

/// Gradients of weights and biases, in their order. `error` is the error at the output; `shapes` are those of the input and
/// behind every layer.
pub(super) fn gradients(
    spec: &Spec,
    n: &mut Nodes,
    shapes: &[Vec<usize>],
    saved: &[Saved],
    weights: &[NodeId],
    error: NodeId,
) -> Result<Vec<NodeId>> {
    let mut out = vec![error; weights.len()];
    let mut error = error;
    let mut k = weights.len();
    for (i, layer) in spec.network.layers.iter().enumerate().rev() {
        let name = format!("{i}.{}.back", layer.name());
        // Below the first layer with weights there is nothing to learn.
        let needed = spec.network.layers[..i].iter().any(|l| l.weights().is_some());
        if layer.weights().is_none() && !needed {
            break;
        }
        error = match layer {
            Layer::Dense { .. } | Layer::Conv { .. } => {
                k -= 2;
                let Some(forward) = product(n, layer, &shapes[i]) else { continue };
                out[k] =
                    n.contract(&format!("{i}.weight.gradient"), weight_gradient(&forward), saved[i].value, error)?;
                let bias = format!("{i}.bias.gradient");
                let mut sum = n.sum(&bias, error, 1)?;
                while n.shape(sum).len() > 2 {
                    sum = n.sum(&bias, sum, 2)?;
                }
                out[k + 1] = sum;
                if !needed {
                    break;
                }
                let back = input_error(n, layer, &shapes[i], &forward);
                let back = n.contract(&name, back, error, weights[k])?;
                n.keep(&name, back, WEIGHT_BITS)?
            }
            Layer::Relu => {
                let Some(derivative) = saved[i + 1].derivative else { continue };
                let shape = n.shape(error);
                let product = n.contract(&name, Contraction::elementwise(&shape), error, derivative)?;
                n.keep(&name, product, 0)?
            }
            Layer::AveragePool { size } => {
                let small = n.keep(&name, error, 2 * size.trailing_zeros())?;
                let [c, h, w] = [shapes[i + 1][0], shapes[i + 1][1], shapes[i + 1][2]];
                let (t, b) = (n.steps, n.batch);
                let split = Op::Reshape(Reshape { shape: vec![t, b, c, h, 1, w, 1] });
                let mut wide = n.g.push(&name, split, &[small])?;
                if *size > 1 {
                    wide = n.g.push(&name, Op::Window(Window::broadcast(4, *size)), &[wide])?;
                    wide = n.g.push(&name, Op::Window(Window::broadcast(6, *size)), &[wide])?;
                }
                n.reshape(&name, wide, vec![t, b, c, h * size, w * size])?
            }
            Layer::Flatten => {
                let mut shape = vec![n.steps, n.batch];
                shape.extend_from_slice(&shapes[i]);
                n.reshape(&name, error, shape)?
            }
        };
    }
    Ok(out)
}
