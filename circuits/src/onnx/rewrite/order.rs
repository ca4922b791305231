//! ArgMax and ArgMin of integers: those of the same floats.
//!
//! TopK: every entry has a rank ([`crate::onnx::own::Rank`]), and rank `r` is the `r`th result.
//!
//! Among equals the lower index comes first, as the standard says. The comparisons are those of the quantized values, so
//! entries that rounding made equal are in the order of their indices.

use super::{
    Rule, axis,
    builder::{Builder, Result},
    table,
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Rank, Type},
};
use tract_onnx::{pb::NodeProto, prelude::DatumType};

/// Most entries of an axis; their pairs are compared.
const MAX_ENTRIES: usize = 512;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("TopK", top, true), ("ArgMax", of_floats, true), ("ArgMin", of_floats, true)])
        .filter(|_| !node.name.ends_with(KEPT))
}

/// Ends the name of a node that tract reads as it is.
const KEPT: &str = ".kept";

/// The same operator on floats: tract infers another type for its result where it reads integers.
fn of_floats(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let x = if b.kind(&x)?.is_float() { x } else { b.cast(&x, 1) };
    let (op, attributes) = (b.node.op_type.clone(), b.node.attribute.clone());
    let out = b.op(&op, &[&x], attributes);
    if let Some(last) = b.nodes.last_mut() {
        last.name.push_str(KEPT);
    }
    Ok(vec![out])
}

fn top(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let along = axis(b.int_or("axis", -1), shape.len())?;
    let (n, outer) = (shape[along], shape[..along].iter().product::<usize>());
    let inner: usize = shape[along + 1..].iter().product();
    let k = match b.optional(1)? {
        Some(k) => k.first().copied().unwrap_or(0.0),
        None => b.int_or("k", 0) as f64,
    };
    let k = if k >= 1.0 && k <= n as f64 { k as usize } else { 0 };
    if k == 0 || n > MAX_ENTRIES {
        let what = format!("it takes {k} of {n} entries; 1 to all of at most {MAX_ENTRIES} are possible");
        return Err(ImportError::unsupported(what));
    }
    let kind = b.kind(&x)?;
    // Integers are ordered as floats, which hold those that are possible.
    let back = match kind {
        DatumType::I32 => Some(6),
        DatumType::I64 => Some(7),
        kind if kind.is_float() => None,
        kind => return Err(ImportError::unsupported(format!("it orders {kind:?}; cast them to float32"))),
    };
    let x = if back.is_some() { b.cast(&x, 1) } else { x };
    let flat = b.reshape(&x, &[outer, n, inner]);
    let rank = Rank { largest: b.int_or("largest", 1) != 0 };
    let rank = b.own(Kind::Rank(rank), &[&flat], &[outer, n, inner], Type::Integer)?;
    let rank = b.reshape(&rank, &[outer, n, 1, inner]);
    let mine = b.reshape(&x, &[outer, n, 1, inner]);
    // [outer, i, r, inner]: whether entry i is the r-th.
    let places = b.vector(&(0..k as i64).collect::<Vec<_>>());
    let places = b.reshape(&places, &[1, 1, k, 1]);
    let hit = b.op("Equal", &[&rank, &places], vec![]);
    let hit = b.cast(&hit, 1);
    let numbers: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let numbers = b.tensor(&[1, n, 1, 1], &numbers);
    let mut out_shape = shape.clone();
    out_shape[along] = k;
    let pick = |b: &mut Builder<'_>, of: &str| {
        let terms = b.op("Mul", &[&hit, of], vec![]);
        let sum = b.reduce("ReduceSum", &terms, &[1]);
        b.reshape(&sum, &out_shape)
    };
    let mut values = pick(b, &mine);
    if let Some(number) = back {
        values = b.cast(&values, number);
    }
    let indices = pick(b, &numbers);
    Ok(vec![values, b.cast(&indices, 7)])
}
