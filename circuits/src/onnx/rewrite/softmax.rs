//! Softmax and what is made of it: LogSoftmax, Hardmax, ReduceLogSumExp.
//!
//! The largest entry is subtracted first, as the standard's own definition does for stability: exponentials then lie
//! between 0 and 1, and their sum is at least 1.

use super::{
    Rule, axis,
    builder::{Builder, Result, int},
    table, whole,
};
use crate::onnx::own::{Exponential, Kind, Type};
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto, _opset: i64) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("Softmax", softmax, true),
            ("LogSoftmax", log_softmax, true),
            ("Hardmax", hardmax, true),
            ("ReduceLogSumExp", log_sum_exp, true),
        ],
    )
}

/// The tensor, and the axes over which it is normalized: one, or before version 13 all from one on.
fn over(b: &Builder<'_>) -> Result<(String, Vec<i64>)> {
    let x = b.need(0)?;
    let rank = b.shape(&x)?.len();
    if b.opset >= 13 {
        return Ok((x, vec![axis(b.int_or("axis", -1), rank)? as i64]));
    }
    let first = b.int_or("axis", 1);
    let first = if first == rank as i64 { rank } else { axis(first, rank)? };
    Ok((x, (first as i64..rank as i64).collect()))
}

/// `x - max(x)`.
fn shifted(b: &mut Builder<'_>, x: &str, axes: &[i64]) -> (String, String) {
    let top = b.reduce("ReduceMax", x, axes);
    (b.op("Sub", &[x, &top], vec![]), top)
}

/// Softmax of a tensor of this shape over axes, for other rules.
pub(super) fn normalize(b: &mut Builder<'_>, x: &str, shape: &[usize], axes: &[i64]) -> Result<String> {
    let top = b.reduce("ReduceMax", x, axes);
    let over = Exponential { axes: axes.iter().map(|a| *a as usize).collect() };
    let e = b.own(Kind::Exponential(over), &[x, &top], shape, Type::Float)?;
    let sum = b.reduce("ReduceSum", &e, axes);
    Ok(b.op("Div", &[&e, &sum], vec![]))
}

fn softmax(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, axes) = over(b)?;
    let shape = b.shape(&x)?;
    Ok(vec![normalize(b, &x, &shape, &axes)?])
}

fn log_softmax(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, axes) = over(b)?;
    Ok(vec![log_normalize(b, &x, &axes)])
}

/// The logarithm of a softmax over axes, for other rules.
pub(super) fn log_normalize(b: &mut Builder<'_>, x: &str, axes: &[i64]) -> String {
    let (d, _) = shifted(b, x, axes);
    let e = b.op("Exp", &[&d], vec![]);
    let sum = b.reduce("ReduceSum", &e, axes);
    let log = b.op("Log", &[&sum], vec![]);
    b.op("Sub", &[&d, &log], vec![])
}

/// `m + log(sum(e^(x - m)))`.
fn log_sum_exp(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let rank = b.shape(&x)?.len();
    let axes = match (b.ints("axes"), b.input(1)) {
        (Some(a), _) => a,
        (None, Some(name)) => {
            let values = b.values(&name);
            whole(&values.ok_or_else(|| crate::onnx::ImportError::unsupported("its axes depend on data"))?)
        }
        (None, None) => vec![],
    };
    if axes.is_empty() && b.int_or("noop_with_empty_axes", 0) == 1 {
        return Ok(vec![x]);
    }
    let axes: Vec<i64> = if axes.is_empty() {
        (0..rank as i64).collect()
    } else {
        axes.iter().map(|a| axis(*a, rank).map(|a| a as i64)).collect::<Result<_>>()?
    };
    let (d, top) = shifted(b, &x, &axes);
    let e = b.op("Exp", &[&d], vec![]);
    let sum = b.reduce("ReduceSum", &e, &axes);
    let log = b.op("Log", &[&sum], vec![]);
    let out = b.op("Add", &[&log, &top], vec![]);
    Ok(vec![if b.int_or("keepdims", 1) == 0 { b.squeeze(&out, &axes) } else { out }])
}

/// One at the first largest entry, zero elsewhere.
fn hardmax(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, axes) = over(b)?;
    let shape = b.shape(&x)?;
    let flat: usize = axes.iter().map(|a| shape[*a as usize]).product();
    // Several axes are one, flattened.
    let first = axes.first().map_or(0, |a| *a as usize);
    let (y, at, extents) = if axes.len() == 1 {
        (x.clone(), first, shape.clone())
    } else {
        let rows: usize = shape[..first].iter().product();
        (b.reshape(&x, &[rows, flat]), 1, vec![rows, flat])
    };
    let index = b.op("ArgMax", &[&y], vec![int("axis", at as i64), int("keepdims", 1)]);
    let mut along = vec![1; extents.len()];
    along[at] = flat;
    let positions = b.vector(&(0..flat as i64).collect::<Vec<_>>());
    let positions = b.reshape(&positions, &along);
    let hit = b.op("Equal", &[&index, &positions], vec![]);
    let hit = b.op("Cast", &[&hit], vec![int("to", 1)]);
    Ok(vec![if axes.len() == 1 { hit } else { b.reshape(&hit, &shape) }])
}
