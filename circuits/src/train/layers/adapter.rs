//! Dense layers that stay as they are, with an adapter of low rank that is trained beside them.

use super::{
    super::{
        ACTIVATION_BITS, WEIGHT_BITS,
        nodes::{Nodes, Result},
    },
    linear::{as_rows, matmul},
};
use crate::{
    graph::NodeId,
    ops::{AxisExpr, Contraction},
};

/// Extents of an adapter.
#[derive(Clone, Copy)]
pub(super) struct Adapter {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) rank: usize,
    pub(super) scale_bits: u32,
}

/// The contraction of errors `[steps, rows, outputs]` and the matrix of a product that is the error of its input.
fn transposed(c: &Contraction) -> Contraction {
    Contraction { lhs: c.out.clone(), out: c.lhs.clone(), ..c.clone() }
}

/// The contraction of inputs and errors that is the gradient of a matrix with an axis of steps.
fn gradient(n: &Nodes, rows: usize, inputs: usize, outputs: usize) -> Contraction {
    Contraction {
        extents: vec![n.steps, rows, inputs, outputs],
        lhs: AxisExpr::indices(&[0, 1, 2]),
        rhs: AxisExpr::indices(&[0, 1, 3]),
        out: AxisExpr::indices(&[0, 2, 3]),
    }
}

/// Sums, not rounded, and what the adapter made of the input: `[steps, rows, rank]`. `weights` are matrix, bias, down and up.
pub(super) fn forward(
    n: &mut Nodes,
    a: Adapter,
    name: &str,
    x: NodeId,
    weights: &[NodeId],
) -> Result<(NodeId, NodeId)> {
    let mut out = n.shape(x);
    let x = as_rows(n, name, x)?;
    let rows = n.shape(x)[1];
    let base = n.contract(name, matmul(n, rows, (a.inputs, a.outputs), true), x, weights[0])?;
    let bias = n.repeat(name, weights[1], 0, n.steps)?;
    let bias = n.repeat(name, bias, 1, rows)?;
    let down = format!("{name}.down");
    let low = n.contract(&down, matmul(n, rows, (a.inputs, a.rank), false), x, weights[2])?;
    let low = n.keep(&down, low, WEIGHT_BITS)?;
    let up = n.contract(&format!("{name}.up"), matmul(n, rows, (a.rank, a.outputs), false), low, weights[3])?;
    let sum = n.g.linear(name, &[(base, 1), (bias, 1 << ACTIVATION_BITS), (up, 1 << a.scale_bits)], 0)?;
    if let Some(last) = out.last_mut() {
        *last = a.outputs;
    }
    Ok((n.reshape(name, sum, out)?, low))
}

/// Gradients of down and up, and the error of the input where it is needed.
pub(super) fn backward(
    n: &mut Nodes,
    a: Adapter,
    name: &str,
    (x, low, error): (NodeId, NodeId, NodeId),
    weights: &[NodeId],
    needed: bool,
) -> Result<(Vec<NodeId>, Option<NodeId>)> {
    let before = n.shape(x);
    let (x, error) = (as_rows(n, name, x)?, as_rows(n, name, error)?);
    let rows = n.shape(x)[1];
    let to_up = n.contract(&format!("{name}.up.gradient"), gradient(n, rows, a.rank, a.outputs), low, error)?;
    let back = format!("{name}.up.back");
    let up = matmul(n, rows, (a.rank, a.outputs), false);
    let inner = n.contract(&back, transposed(&up), error, weights[3])?;
    let inner = n.g.linear(&back, &[(inner, 1 << a.scale_bits)], 0)?;
    let inner = n.keep(&back, inner, WEIGHT_BITS)?;
    let to_down = n.contract(&format!("{name}.down.gradient"), gradient(n, rows, a.inputs, a.rank), x, inner)?;
    let gradients = vec![to_down, to_up];
    if !needed {
        return Ok((gradients, None));
    }
    let name = format!("{name}.Adapted.back");
    let base = matmul(n, rows, (a.inputs, a.outputs), true);
    let through_base = n.contract(&name, transposed(&base), error, weights[0])?;
    let down = matmul(n, rows, (a.inputs, a.rank), false);
    let through_adapter = n.contract(&name, transposed(&down), inner, weights[2])?;
    let sum = n.g.linear(&name, &[(through_base, 1), (through_adapter, 1)], 0)?;
    let sum = n.keep(&name, sum, WEIGHT_BITS)?;
    Ok((gradients, Some(n.reshape(&name, sum, before)?)))
}
