//! ScatterElements, Scatter and ScatterND with constant places: a choice of entries of the data and the updates side by side.
//!
//! Where one place is named several times, the updates are applied one after the other.
//!
//! Sums of updates at computed places, as graph networks write them, are products with whether an update is for a place.

use super::{
    Rule, axis,
    builder::{Builder, Result, int},
    index::wrapped,
    table, whole,
};
use crate::{
    onnx::{
        error::ImportError,
        own::{Kind, Remap, Type},
    },
    tensor::{around, strides},
};
use std::collections::HashMap;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("ScatterElements", elements, true), ("Scatter", elements, true), ("ScatterND", slices, true)])
}

/// Most updates of one place.
const MAX_LAYERS: usize = 64;
/// Most entries of the data, in all rounds together.
const MAX_ENTRIES: usize = 1 << 22;

fn index(b: &Builder<'_>) -> Result<(String, Vec<i64>, Vec<usize>)> {
    let name = b.need(1)?;
    let values = b.values(&name).ok_or_else(|| {
        ImportError::unsupported(format!(
            "places that are computed; '{name}' must be a constant of at most 65536 entries, or the reduction 'add'"
        ))
    })?;
    Ok((b.need(2)?, whole(&values), b.shape(&name)?))
}

fn wrap(v: i64, extent: usize) -> Result<usize> {
    let n = extent as i64;
    let at = if v < 0 { v + n } else { v };
    let at = usize::try_from(at).ok().filter(|a| *a < extent);
    at.ok_or_else(|| ImportError::unsupported(format!("place {v} of an axis of {extent} entries")))
}

/// Whether places are computed and updates added up.
fn adds(b: &Builder<'_>) -> Result<bool> {
    Ok(b.values(&b.need(1)?).is_none() && b.text_or("reduction", "none") == "add")
}

/// `data[o, p, i] + sum over m of updates[o, m, i]` where `index[o, m, i]` is `p`; the index is `[outer, updates, 1, inner or 1]` and
/// names none of the places where it is their number or more.
fn sums(
    b: &mut Builder<'_>,
    index: &str,
    (outer, count, places, inner): (usize, usize, usize, usize),
) -> Result<Vec<String>> {
    let (data, updates) = (b.need(0)?, b.need(2)?);
    let shape = b.shape(&data)?;
    if !b.kind(&data)?.is_float() {
        return Err(ImportError::unsupported("sums of integers at computed places; cast them to float32"));
    }
    if b.shape(&updates)?.iter().product::<usize>() != outer * count * inner {
        return Err(ImportError::unsupported(format!("updates of shape {:?}", b.shape(&updates)?)));
    }
    let all = outer.saturating_mul(count).saturating_mul(places).saturating_mul(inner);
    if all > MAX_ENTRIES {
        let what = format!("{count} updates for each of {places} computed places; at most {MAX_ENTRIES} products");
        return Err(ImportError::unsupported(what));
    }
    let each = b.vector(&(0..places as i64).collect::<Vec<_>>());
    let each = b.reshape(&each, &[1, 1, places, 1]);
    let hit = b.op("Equal", &[index, &each], vec![]);
    let hit = b.cast(&hit, 1);
    let updates = b.reshape(&updates, &[outer, count, 1, inner]);
    let terms = b.op("Mul", &[&hit, &updates], vec![]);
    let sum = b.reduce("ReduceSum", &terms, &[1]);
    let sum = b.reshape(&sum, &shape);
    Ok(vec![b.op("Add", &[&data, &sum], vec![])])
}

fn elements(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let data = b.need(0)?;
    let shape = b.shape(&data)?;
    if adds(b)? {
        let index = b.need(1)?;
        let at = b.shape(&index)?;
        let axis = axis(b.int_or("axis", 0), shape.len())?;
        if at.len() != shape.len() || (0..at.len()).any(|k| k != axis && at[k] != shape[k]) {
            return Err(ImportError::unsupported(format!("indices of shape {at:?} for data of shape {shape:?}")));
        }
        let (outer, places, inner) = around(&shape, axis);
        let place = wrapped(b, &index, places, places);
        let place = b.reshape(&place, &[outer, at[axis], 1, inner]);
        return sums(b, &place, (outer, at[axis], places, inner));
    }
    let (updates, index, at) = index(b)?;
    let axis = axis(b.int_or("axis", 0), shape.len())?;
    if at.len() != shape.len() || b.shape(&updates)? != at {
        return Err(ImportError::unsupported(format!("indices of shape {at:?} for data of shape {shape:?}")));
    }
    let (to, from) = (strides(&shape), strides(&at));
    let mut places = Vec::with_capacity(index.len());
    for (i, v) in index.iter().enumerate() {
        let mut place = 0;
        for k in 0..shape.len() {
            let own = i / from[k] % at[k];
            if k != axis && own >= shape[k] {
                return Err(ImportError::unsupported(format!("indices of shape {at:?} for data of shape {shape:?}")));
            }
            place += to[k] * if k == axis { wrap(*v, shape[axis])? } else { own };
        }
        places.push(place);
    }
    scatter(b, &data, &shape, &updates, &places)
}

fn slices(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let data = b.need(0)?;
    let shape = b.shape(&data)?;
    if adds(b)? {
        let index = b.need(1)?;
        let at = b.shape(&index)?;
        let depth = at.last().copied().filter(|d| (1..=shape.len()).contains(d));
        let depth = depth.ok_or_else(|| ImportError::unsupported(format!("indices of shape {at:?}")))?;
        let (places, inner) = (shape[..depth].iter().product::<usize>(), shape[depth..].iter().product());
        let steps = strides(&shape[..depth]);
        let mut place: Option<String> = None;
        for (k, step) in steps.iter().enumerate() {
            let one = b.slice(&index, at.len() - 1, k, k + 1);
            let one = wrapped(b, &one, shape[k], places);
            let step = b.vector(&[*step as i64]);
            let one = b.op("Mul", &[&one, &step], vec![]);
            place = Some(match place {
                Some(sum) => b.op("Add", &[&sum, &one], vec![]),
                None => one,
            });
        }
        let count: usize = at[..at.len() - 1].iter().product();
        let place = b.reshape(&place.unwrap_or_default(), &[1, count, 1, 1]);
        return sums(b, &place, (1, count, places, inner));
    }
    let (updates, index, at) = index(b)?;
    let depth = at.last().copied().unwrap_or(0);
    if depth == 0 || depth > shape.len() {
        return Err(ImportError::unsupported(format!("indices of shape {at:?} for data of shape {shape:?}")));
    }
    let steps = strides(&shape);
    let inner: usize = shape[depth..].iter().product();
    let mut places = Vec::with_capacity(index.len() / depth * inner);
    for row in index.chunks(depth) {
        let mut place = 0;
        for (k, v) in row.iter().enumerate() {
            place += steps[k] * wrap(*v, shape[k])?;
        }
        places.extend(place..place + inner);
    }
    scatter(b, &data, &shape, &updates, &places)
}

/// `updates` of `places` (in the flattened data), by the reduction that the node names.
fn scatter(b: &mut Builder<'_>, data: &str, shape: &[usize], updates: &str, places: &[usize]) -> Result<Vec<String>> {
    let (all, count) = (shape.iter().product::<usize>(), places.len());
    if b.shape(updates)?.iter().product::<usize>() != count {
        return Err(ImportError::unsupported(format!("updates of shape {:?} for {count} places", b.shape(updates)?)));
    }
    if all > MAX_ENTRIES {
        return Err(ImportError::unsupported(format!("updates of {all} entries; at most {MAX_ENTRIES}")));
    }
    let (mut y, updates) = (b.reshape(data, &[all]), b.reshape(updates, &[count]));
    let reduction = b.text_or("reduction", "none");
    let op = match reduction.as_str() {
        "none" => None,
        "add" => Some("Add"),
        "mul" => Some("Mul"),
        "max" => Some("Max"),
        "min" => Some("Min"),
        other => return Err(ImportError::unsupported(format!("reduction '{other}'"))),
    };
    // Updates in layers, each of which names a place once.
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut layers: Vec<Vec<usize>> = Vec::new();
    for (k, place) in places.iter().enumerate() {
        let layer = seen.entry(*place).or_insert(0);
        if layers.len() == *layer {
            layers.push(vec![]);
        }
        layers[*layer].push(k);
        *layer += 1;
    }
    if all.saturating_mul(layers.len()) > MAX_ENTRIES {
        let what = format!("{} rounds of updates of {all} entries; at most {MAX_ENTRIES} in all", layers.len());
        return Err(ImportError::unsupported(what));
    }
    if layers.len() > MAX_LAYERS {
        return Err(ImportError::unsupported(format!("{} updates of one place; at most {MAX_LAYERS}", layers.len())));
    }
    for layer in layers {
        let pick = |b: &mut Builder<'_>, from: &str, at: Vec<i64>| {
            let at = b.vector(&at);
            b.op("Gather", &[from, &at], vec![int("axis", 0)])
        };
        let mut new = pick(b, &updates, layer.iter().map(|k| *k as i64).collect());
        if let Some(op) = op {
            let old = pick(b, &y, layer.iter().map(|k| places[*k] as i64).collect());
            new = b.op(op, &[&old, &new], vec![]);
        }
        let joined = b.concat(&[y, new], 0);
        let mut from: Vec<Option<usize>> = (0..all).map(Some).collect();
        for (j, k) in layer.iter().enumerate() {
            from[places[*k]] = Some(all + j);
        }
        y = b.own(Kind::Remap(Remap::select(0, from)), &[&joined], &[all], Type::Same)?;
    }
    Ok(vec![b.reshape(&y, shape)])
}
