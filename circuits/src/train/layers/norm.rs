//! Normalization over groups of channels: one root and one reciprocal a group, and three roundings a value, backward three more.

use super::super::{
    ACTIVATION_BITS, CENTERED_BITS, NORMAL_BITS, RECIPROCAL_BITS, WEIGHT_BITS, WIDTH,
    nodes::{Nodes, Result},
    reference::{dividend, share},
};
use crate::{
    graph::NodeId,
    ops::{AxisExpr, Contraction, Divide, Op, Root, Window},
    table::Table,
};

/// What the gradient of a normalization needs.
pub(super) struct Normal {
    /// Normalized values, in the shape of the input.
    values: NodeId,
    /// The reciprocal of each group's deviation: `[steps, batch, groups]`.
    reciprocal: NodeId,
    /// The gain, `[steps, channels]`, and the axis of the input that counts channels.
    gain: NodeId,
    channels: usize,
}

/// Gain or bias with an axis of steps, where they stay as they are.
fn lifted(n: &mut Nodes, name: &str, id: NodeId, frozen: bool) -> Result<NodeId> {
    if frozen { n.repeat(name, id, 0, n.steps) } else { Ok(id) }
}

/// Every value times what belongs to these of its indices.
fn times(shape: &[usize], indices: &[usize]) -> Contraction {
    let all: Vec<usize> = (0..shape.len()).collect();
    Contraction {
        extents: shape.to_vec(),
        lhs: AxisExpr::indices(&all),
        rhs: AxisExpr::indices(indices),
        out: AxisExpr::indices(&all),
    }
}

/// Sums of products with one factor for each of these indices of the result.
fn along(shape: &[usize], indices: &[usize]) -> Contraction {
    let all: Vec<usize> = (0..shape.len()).collect();
    Contraction {
        extents: shape.to_vec(),
        lhs: AxisExpr::indices(&all),
        rhs: AxisExpr::indices(&all),
        out: AxisExpr::indices(indices),
    }
}

/// Sums over the last axis, which keeps its extent: every value is the sum.
fn sums(n: &mut Nodes, name: &str, id: NodeId) -> Result<NodeId> {
    let len = n.shape(id)[3];
    let sum = n.g.push(name, Op::Window(Window::reduce(3, len)), &[id])?;
    Ok(n.g.push(name, Op::Window(Window::broadcast(3, len)), &[sum])?)
}

/// Gain times normalized values, plus bias, not rounded.
pub(super) fn forward(
    n: &mut Nodes,
    name: &str,
    x: NodeId,
    (weights, frozen): (&[NodeId], bool),
    (groups, epsilon, channels): (usize, u32, usize),
) -> Result<(NodeId, Normal)> {
    let shape = n.shape(x);
    let len = shape[2..].iter().product::<usize>() / groups;
    let grouped = [shape[0], shape[1], groups, len];
    let (factor, shift) = share(len);
    let flat = n.reshape(name, x, grouped.to_vec())?;
    let sum = sums(n, name, flat)?;
    let difference = n.g.linear(name, &[(flat, len as i64 * factor), (sum, -factor)], 0)?;
    let centered = n.keep(&format!("{name}.centered"), difference, shift + ACTIVATION_BITS - CENTERED_BITS)?;
    // By a table, which proves that a square is not negative.
    let half = 1i64 << (WIDTH - 1);
    let square = Table::tabulate("square", -half, WIDTH as usize, |t| (t * t) as i32);
    let squares = n.g.lookup(&format!("{name}.squares"), centered, 0, square)?;
    let squares = n.sum(name, squares, 3)?;
    let variance = n.g.linear(name, &[(squares, 1 << 8)], (len as i64 * i64::from(epsilon)) << 8)?;
    let deviation = n.g.push(&format!("{name}.deviation"), Op::Root(Root {}), &[variance])?;
    let above = n.g.linear(name, &[(deviation, 1)], 2 * dividend(len))?;
    let below = n.g.linear(name, &[(deviation, 2)], 0)?;
    let reciprocal = n.g.push(&format!("{name}.reciprocal"), Op::Divide(Divide {}), &[above, below])?;
    let normal = n.contract(name, times(&grouped, &[0, 1, 2]), centered, reciprocal)?;
    let normal = n.keep(&format!("{name}.normal"), normal, RECIPROCAL_BITS + CENTERED_BITS - NORMAL_BITS)?;
    let values = n.reshape(name, normal, shape.clone())?;
    let gain = lifted(n, name, weights[0], frozen)?;
    let scaled = n.contract(name, times(&shape, &[0, channels]), values, gain)?;
    let mut bias = lifted(n, name, weights[1], frozen)?;
    // All axes in front of the channels, then those behind them.
    for (axis, extent) in shape.iter().enumerate().take(channels).skip(1) {
        bias = n.repeat(name, bias, axis, *extent)?;
    }
    let bias = n.spread(name, bias, &shape)?;
    let value = n.g.linear(name, &[(scaled, 1), (bias, 1 << NORMAL_BITS)], 0)?;
    Ok((value, Normal { values, reciprocal, gain, channels }))
}

/// Gradients of gain and bias, where they are trained, and the error of the input where it is needed.
pub(super) fn backward(
    n: &mut Nodes,
    name: &str,
    normal: &Normal,
    frozen: bool,
    error: NodeId,
    needed: bool,
) -> Result<(Vec<NodeId>, Option<NodeId>)> {
    let shape = n.shape(error);
    let gradients = if frozen {
        vec![]
    } else {
        let to = along(&shape, &[0, normal.channels]);
        let to_gain = n.contract(&format!("{name}.weight.gradient"), to, normal.values, error)?;
        let bias = format!("{name}.bias.gradient");
        let mut to_bias = error;
        for _ in 1..normal.channels {
            to_bias = n.sum(&bias, to_bias, 1)?;
        }
        vec![to_gain, n.sum_to(&bias, to_bias, 2)?]
    };
    if !needed {
        return Ok((gradients, None));
    }
    let name = format!("{name}.Norm.back");
    let groups = n.shape(normal.reciprocal)[2];
    let len = shape[2..].iter().product::<usize>() / groups;
    let grouped = vec![shape[0], shape[1], groups, len];
    let (factor, shift) = share(len);
    let scaled = n.contract(&name, times(&shape, &[0, normal.channels]), error, normal.gain)?;
    let scaled = n.keep(&name, scaled, WEIGHT_BITS)?;
    let scaled = n.reshape(&name, scaled, grouped.clone())?;
    let values = n.reshape(&name, normal.values, grouped.clone())?;
    // Less its mean, and less what lies along the normalized values.
    let sum = n.sum(&name, scaled, 3)?;
    let sum = n.g.linear(&name, &[(sum, factor)], 0)?;
    let mean = n.keep(&format!("{name}.mean"), sum, shift)?;
    let mean = n.repeat(&name, mean, 3, len)?;
    let part = n.contract(&name, along(&grouped, &[0, 1, 2]), values, scaled)?;
    let part = n.g.linear(&name, &[(part, factor)], 0)?;
    let part = n.keep(&format!("{name}.along"), part, shift + NORMAL_BITS)?;
    let part = n.contract(&name, times(&grouped, &[0, 1, 2]), values, part)?;
    let unit = 1i64 << NORMAL_BITS;
    let free = n.g.linear(&name, &[(scaled, unit), (mean, -unit), (part, -1)], 0)?;
    let free = n.keep(&format!("{name}.free"), free, NORMAL_BITS)?;
    let back = n.contract(&name, times(&grouped, &[0, 1, 2]), free, normal.reciprocal)?;
    let back = n.keep(&name, back, RECIPROCAL_BITS)?;
    Ok((gradients, Some(n.reshape(&name, back, shape)?)))
}
