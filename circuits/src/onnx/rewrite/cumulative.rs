//! Sums and products along an axis: CumSum is a matrix of ones, CumProd a chain of products, ReduceProd a tree of them.

use super::{
    Rule, axis,
    builder::{Builder, Result},
    table, whole,
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Remap, Type},
};
use tract_onnx::{pb::NodeProto, prelude::DatumType};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("CumSum", sum, true), ("CumProd", product, true), ("ReduceProd", reduce, true)])
}

/// Most entries along the axis of a cumulative sum: its matrix has half of their square.
const MAX_SUM: usize = 1 << 11;
/// Most products in a chain.
const MAX_CHAIN: usize = 128;

fn along(b: &Builder<'_>) -> Result<(String, Vec<usize>, usize)> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let at = b.first(1)?.ok_or_else(|| ImportError::unsupported("it has no axis"))?;
    let at = axis(at as i64, shape.len())?;
    Ok((x, shape, at))
}

fn sum(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, shape, at) = along(b)?;
    let n = shape[at];
    if n > MAX_SUM {
        return Err(ImportError::unsupported(format!("a cumulative sum of {n} entries; at most {MAX_SUM}")));
    }
    let (exclusive, reverse) = (b.int_or("exclusive", 0) != 0, b.int_or("reverse", 0) != 0);
    let counts = |o: usize, p: usize| {
        let (o, p) = if reverse { (p, o) } else { (o, p) };
        if exclusive { p < o } else { p <= o }
    };
    let rows = (0..n).map(|o| (0..n).filter(|p| counts(o, *p)).map(|p| (p as u32, 1.0)).collect()).collect();
    let remap = Kind::Remap(Remap { axis: at, rows });
    Ok(vec![b.own(remap, &[&x], &shape, Type::Same)?])
}

/// A tensor of ones like the slices of `x`.
fn ones(b: &mut Builder<'_>, x: &str, shape: &[usize]) -> Result<String> {
    let ones = b.tensor(shape, &vec![1.0; shape.iter().product()]);
    Ok(match b.kind(x)? {
        DatumType::F32 => ones,
        DatumType::I32 => b.cast(&ones, 6),
        DatumType::I64 => b.cast(&ones, 7),
        DatumType::U32 => b.cast(&ones, 12),
        DatumType::U64 => b.cast(&ones, 13),
        other => return Err(ImportError::unsupported(format!("entries of type {other:?}"))),
    })
}

fn product(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, shape, at) = along(b)?;
    let n = shape[at];
    if n > MAX_CHAIN {
        return Err(ImportError::unsupported(format!("a cumulative product of {n} entries; at most {MAX_CHAIN}")));
    }
    let (exclusive, reverse) = (b.int_or("exclusive", 0) != 0, b.int_or("reverse", 0) != 0);
    let mut one = shape.clone();
    one[at] = 1;
    let mut parts = Vec::with_capacity(n);
    let mut last: Option<String> = None;
    for k in 0..n {
        let i = if reverse { n - 1 - k } else { k };
        if exclusive {
            parts.push(match &last {
                Some(l) => l.clone(),
                None => ones(b, &x, &one)?,
            });
        }
        let entry = b.slice(&x, at, i, i + 1);
        let next = match last {
            Some(l) => b.op("Mul", &[&l, &entry], vec![]),
            None => entry,
        };
        if !exclusive {
            parts.push(next.clone());
        }
        last = Some(next);
    }
    if reverse {
        parts.reverse();
    }
    Ok(vec![b.concat(&parts, at as i64)])
}

fn reduce(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let axes = match b.ints("axes") {
        Some(a) => a,
        None => b.optional(1)?.map(|a| whole(&a)).unwrap_or_default(),
    };
    let all = axes.is_empty() && b.int_or("noop_with_empty_axes", 0) == 0;
    let axes = if all {
        (0..shape.len()).collect()
    } else {
        axes.iter().map(|a| axis(*a, shape.len())).collect::<Result<Vec<_>>>()?
    };
    let mut y = x;
    for a in &axes {
        // Halves against each other, until one entry is left.
        let mut n = shape[*a];
        while n > 1 {
            let half = n / 2;
            let (low, high) = (b.slice(&y, *a, 0, half), b.slice(&y, *a, half, 2 * half));
            let rest = (n % 2 == 1).then(|| b.slice(&y, *a, n - 1, n));
            let made = b.op("Mul", &[&low, &high], vec![]);
            n = half + n % 2;
            y = b.concat(&std::iter::once(made).chain(rest).collect::<Vec<_>>(), *a as i64);
        }
    }
    if b.int_or("keepdims", 1) != 0 {
        return Ok(vec![y]);
    }
    let rest: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).map(|a| shape[a]).collect();
    Ok(vec![b.reshape(&y, &rest)])
}
