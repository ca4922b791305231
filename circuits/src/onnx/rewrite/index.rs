//! Reading by several indices at once: GatherElements and GatherND become one Gather of a flattened tensor; Trilu keeps a triangle.
//!
//! An index outside of its axis must not reach what lies at the flattened place, so it becomes the number of all entries, which
//! no row has.

use super::{
    Rule, axis,
    builder::{Builder, Result, int},
    table,
};
use crate::{onnx::error::ImportError, tensor::strides};
use tract_onnx::{pb::NodeProto, prelude::DatumType};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("GatherElements", elements, true),
            ("GatherND", coordinates, true),
            ("Trilu", triangle, true),
            ("OneHot", one_hot, true),
        ],
    )
}

/// An index counted from the front, or `outside` where it is none.
pub(super) fn wrapped(b: &mut Builder<'_>, index: &str, extent: usize, outside: usize) -> String {
    let one = |b: &mut Builder<'_>, v: i64| {
        let v = b.vector(&[v]);
        b.reshape(&v, &[])
    };
    let index = b.cast(index, 7);
    let (zero, n) = (one(b, 0), one(b, extent as i64));
    let (least, outside) = (one(b, -(extent as i64)), one(b, outside as i64));
    let negative = b.op("Less", &[&index, &zero], vec![]);
    let shifted = b.op("Add", &[&index, &n], vec![]);
    let front = b.op("Where", &[&negative, &shifted, &index], vec![]);
    let below = b.op("Less", &[&index, &least], vec![]);
    let above = b.op("Less", &[&index, &n], vec![]);
    let capped = b.op("Where", &[&above, &front, &outside], vec![]);
    b.op("Where", &[&below, &outside, &capped], vec![])
}

/// `out[i] = data[i with its entry along the axis replaced by index[i]]`.
fn elements(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (data, index) = (b.need(0)?, b.need(1)?);
    let (shape, at) = (b.shape(&data)?, b.shape(&index)?);
    let axis = axis(b.int_or("axis", 0), shape.len())?;
    let fits = at.len() == shape.len() && (0..shape.len()).all(|k| k == axis || at[k] <= shape[k]);
    if !fits {
        return Err(ImportError::unsupported(format!("indices of shape {at:?} for data of shape {shape:?}")));
    }
    let all: usize = shape.iter().product();
    let (steps, of_index) = (strides(&shape), strides(&at));
    let mut place = wrapped(b, &index, shape[axis], all);
    if steps[axis] != 1 {
        let step = b.vector(&[steps[axis] as i64]);
        place = b.op("Mul", &[&place, &step], vec![]);
    }
    // Where the other coordinates lead.
    let count: usize = at.iter().product();
    let other =
        |i: usize| (0..at.len()).filter(|k| *k != axis).map(|k| i / of_index[k] % at[k] * steps[k]).sum::<usize>();
    let others: Vec<i64> = (0..count).map(|i| other(i) as i64).collect();
    if others.iter().any(|o| *o != 0) {
        let others = b.vector(&others);
        let others = b.reshape(&others, &at);
        place = b.op("Add", &[&place, &others], vec![]);
    }
    let flat = b.reshape(&data, &[all]);
    Ok(vec![b.op("Gather", &[&flat, &place], vec![int("axis", 0)])])
}

/// Slices of `data` at the coordinates along the last axis of the index.
fn coordinates(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (data, index) = (b.need(0)?, b.need(1)?);
    let (shape, at) = (b.shape(&data)?, b.shape(&index)?);
    let batch = usize::try_from(b.int_or("batch_dims", 0)).unwrap_or(usize::MAX);
    let Some((&depth, outer)) = at.split_last() else {
        return Err(ImportError::unsupported("an index of rank zero"));
    };
    if batch > outer.len() || batch.saturating_add(depth) > shape.len() || depth == 0 || shape[..batch] != at[..batch] {
        return Err(ImportError::unsupported(format!("indices of shape {at:?} for data of shape {shape:?}")));
    }
    let rows: usize = shape[..batch + depth].iter().product();
    let steps = strides(&shape[..batch + depth]);
    let mut place = String::new();
    for k in 0..depth {
        let which = b.vector(&[k as i64]);
        let which = b.reshape(&which, &[]);
        let part = b.op("Gather", &[&index, &which], vec![int("axis", outer.len() as i64)]);
        let mut part = wrapped(b, &part, shape[batch + k], rows);
        if steps[batch + k] != 1 {
            let step = b.vector(&[steps[batch + k] as i64]);
            part = b.op("Mul", &[&part, &step], vec![]);
        }
        place = if k == 0 { part } else { b.op("Add", &[&place, &part], vec![]) };
    }
    if batch > 0 {
        let of_outer = strides(outer);
        let count: usize = outer.iter().product();
        let start = |i: usize| (0..batch).map(|k| i / of_outer[k] % outer[k] * steps[k]).sum::<usize>();
        let starts: Vec<i64> = (0..count).map(|i| start(i) as i64).collect();
        let starts = b.vector(&starts);
        let starts = b.reshape(&starts, outer);
        place = b.op("Add", &[&place, &starts], vec![]);
    }
    let table: Vec<usize> = [&[rows], &shape[batch + depth..]].concat();
    let table = b.reshape(&data, &table);
    Ok(vec![b.op("Gather", &[&table, &place], vec![int("axis", 0)])])
}

/// Zeros on one side of a diagonal of the last two axes.
fn triangle(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let &[.., rows, columns] = shape.as_slice() else {
        return Err(ImportError::unsupported(format!("shape {shape:?}; two axes are needed")));
    };
    let diagonal = b.optional(1)?.and_then(|k| k.first().copied()).unwrap_or(0.0) as i64;
    let upper = b.int_or("upper", 1) != 0;
    let kept = |r: usize, c: usize| {
        let past = c as i64 - r as i64;
        f32::from(u8::from(if upper { past >= diagonal } else { past <= diagonal }))
    };
    let mask: Vec<f32> = (0..rows).flat_map(|r| (0..columns).map(move |c| kept(r, c))).collect();
    let mask = b.tensor(&[rows, columns], &mask);
    let mask = match b.kind(&x)? {
        DatumType::F32 => mask,
        DatumType::I32 => b.cast(&mask, 6),
        DatumType::I64 => b.cast(&mask, 7),
        DatumType::Bool => {
            let mask = b.cast(&mask, 9);
            return Ok(vec![b.op("And", &[&x, &mask], vec![])]);
        }
        other => return Err(ImportError::unsupported(format!("entries of type {other:?}"))),
    };
    Ok(vec![b.op("Mul", &[&x, &mask], vec![])])
}

/// Most entries along the new axis of a one-hot tensor.
const MAX_DEPTH: usize = 1 << 12;

/// `on` in the place that an index names, counted from the end where it is negative, `off` elsewhere.
fn one_hot(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, depth, values) = (b.need(0)?, b.need(1)?, b.need(2)?);
    let rank = b.shape(&x)?.len();
    let depth = b.constant(&depth)?.first().copied().unwrap_or(0.0);
    let pair = b.constant(&values)?;
    let (&[off, on], true) = (pair.as_slice(), (1.0..=MAX_DEPTH as f64).contains(&depth)) else {
        let what = format!("a depth of {depth} and {} values; at most {MAX_DEPTH}, and two values", pair.len());
        return Err(ImportError::unsupported(what));
    };
    let at = axis(b.int_or("axis", -1), rank + 1)?;
    let index = b.cast(&x, 7);
    let index = b.unsqueeze(&index, at as i64);
    let mut along = vec![1; rank + 1];
    along[at] = depth as usize;
    let mut hits = Vec::new();
    for first in [0, -(depth as i64)] {
        let places: Vec<i64> = (first..first + depth as i64).collect();
        let places = b.vector(&places);
        let places = b.reshape(&places, &along);
        hits.push(b.op("Equal", &[&index, &places], vec![]));
    }
    let hit = b.op("Or", &[&hits[0], &hits[1]], vec![]);
    let (kind, number) = match b.kind(&values)? {
        k if k.is_float() => (DatumType::F32, 1),
        DatumType::I32 => (DatumType::I32, 6),
        DatumType::I64 => (DatumType::I64, 7),
        other => return Err(ImportError::unsupported(format!("values of type {other:?}"))),
    };
    let mut y = b.cast(&hit, number);
    let constant = |b: &mut Builder<'_>, v: f64| match kind {
        DatumType::F32 => b.float(v as f32),
        _ => {
            let v = b.vector(&[v as i64]);
            let v = b.reshape(&v, &[]);
            b.cast(&v, number)
        }
    };
    if on - off != 1.0 {
        let step = constant(b, on - off);
        y = b.op("Mul", &[&y, &step], vec![]);
    }
    if off != 0.0 {
        let off = constant(b, off);
        y = b.op("Add", &[&y, &off], vec![]);
    }
    Ok(vec![y])
}
