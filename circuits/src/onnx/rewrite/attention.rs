//! Attention: scaled products of queries and keys, soft cap, masks, softmax, values; with fewer heads of keys than of queries, a cache
//! of past keys, and the scores as an output.
//!
//! Where a mask forbids a position, [`STAND_IN`] below zero is added, as exporters do who write attention out.

use super::{
    Rule,
    builder::{Builder, Result, int},
    softmax, table,
};
use crate::onnx::{convert::STAND_IN, error::ImportError};
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("Attention", attention, true)])
}

/// A tensor `[batch, heads, steps, width]` with its extents.
struct Heads {
    name: String,
    shape: [usize; 4],
}

/// An input as heads: `[batch, steps, heads * width]` is cut.
fn heads(b: &mut Builder<'_>, i: usize, count: Option<usize>) -> Result<Heads> {
    let name = b.need(i)?;
    match b.shape(&name)?[..] {
        [n, h, t, d] if count.is_none_or(|c| c == h) => Ok(Heads { name, shape: [n, h, t, d] }),
        [n, t, all] => {
            let h = count.filter(|h| *h > 0 && all % h == 0);
            let h = h.ok_or_else(|| ImportError::unsupported(format!("{count:?} heads in {all} values a step")))?;
            let cut = b.reshape(&name, &[n, t, h, all / h]);
            Ok(Heads { name: b.transpose(&cut, &[0, 2, 1, 3]), shape: [n, h, t, all / h] })
        }
        ref other => {
            Err(ImportError::unsupported(format!("an input of shape {other:?}; three or four axes are needed")))
        }
    }
}

/// The cache in front, along the steps.
fn with_past(b: &mut Builder<'_>, now: Heads, past: usize) -> Result<(Heads, usize)> {
    let Some(past) = b.input(past) else { return Ok((now, 0)) };
    let steps = *b.shape(&past)?.get(2).ok_or_else(|| ImportError::unsupported("a cache of less than three axes"))?;
    let name = b.op("Concat", &[&past, &now.name], vec![int("axis", 2)]);
    let [n, h, t, d] = now.shape;
    Ok((Heads { name, shape: [n, h, t + steps, d] }, steps))
}

/// Every head as often as there are heads of queries that share it.
fn repeated(b: &mut Builder<'_>, x: &Heads, times: usize) -> String {
    let [n, h, t, d] = x.shape;
    if times == 1 {
        return x.name.clone();
    }
    let one = b.reshape(&x.name, &[n, h, 1, t, d]);
    let target = b.vector(&[n as i64, h as i64, times as i64, t as i64, d as i64]);
    let many = b.op("Expand", &[&one, &target], vec![]);
    b.reshape(&many, &[n, h * times, t, d])
}

/// What is added to scores of `[steps, all]`, or of `[batch, 1, 1, all]`: zero where `allowed`.
fn forbid(b: &mut Builder<'_>, shape: &[usize], allowed: impl Iterator<Item = bool>) -> String {
    let data: Vec<f32> = allowed.map(|a| if a { 0.0 } else { -STAND_IN }).collect();
    b.tensor(shape, &data)
}

/// A mask as what is added to the scores, for all steps of keys.
fn mask(b: &mut Builder<'_>, name: &str, all: usize) -> Result<String> {
    let shape = b.shape(name)?;
    let mut added = name.to_owned();
    if !b.known.floats.get(name).copied().unwrap_or(true) {
        let (zero, never) = (b.float(0.0), b.float(-STAND_IN));
        added = b.op("Where", &[name, &zero, &never], vec![]);
    }
    let have = shape.last().copied().unwrap_or(0);
    if have < all && have != 1 {
        // A mask for the first keys only forbids the others.
        let mut rest = shape.clone();
        if let Some(last) = rest.last_mut() {
            *last = all - have;
        }
        let count = rest.iter().product();
        let rest = b.tensor(&rest, &vec![-STAND_IN; count]);
        added = b.op("Concat", &[&added, &rest], vec![int("axis", shape.len() as i64 - 1)]);
    }
    Ok(added)
}

fn attention(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let count = |b: &Builder<'_>, name| usize::try_from(b.int_or(name, 0)).ok().filter(|c| *c > 0);
    let (q_heads, kv_heads) = (count(b, "q_num_heads"), count(b, "kv_num_heads"));
    let cut = b.shape(&b.need(0)?)?.len() == 3;
    let q = heads(b, 0, q_heads)?;
    let (k, v) = (heads(b, 1, kv_heads)?, heads(b, 2, kv_heads)?);
    let (k, past) = with_past(b, k, 4)?;
    let (v, _) = with_past(b, v, 5)?;
    let ([n, h, s, d], [_, shared, all, _], width) = (q.shape, k.shape, v.shape[3]);
    if shared == 0 || h % shared != 0 || v.shape[1] != shared || v.shape[2] != all {
        return Err(ImportError::unsupported(format!(
            "{h} heads of queries for keys {:?} and values {:?}",
            k.shape, v.shape
        )));
    }
    let (keys, values) = (repeated(b, &k, h / shared), repeated(b, &v, h / shared));
    let keys = b.transpose(&keys, &[0, 1, 3, 2]);
    let products = b.op("MatMul", &[&q.name, &keys], vec![]);
    let scale = b.float_or("scale", 0.0);
    let scale = b.float(if scale == 0.0 { 1.0 / (d as f32).sqrt() } else { scale });
    let scores = b.op("Mul", &[&products, &scale], vec![]);

    let cap = b.float_or("softcap", 0.0);
    let capped = if cap > 0.0 {
        let cap = b.float(cap);
        let x = b.op("Div", &[&scores, &cap], vec![]);
        let x = b.op("Tanh", &[&x], vec![]);
        b.op("Mul", &[&x, &cap], vec![])
    } else {
        scores.clone()
    };

    let mut masked = capped.clone();
    let mut forbidden = false;
    if let Some(name) = b.input(3) {
        forbidden |= !b.known.floats.get(&name).copied().unwrap_or(true);
        let added = mask(b, &name, all)?;
        masked = b.op("Add", &[&masked, &added], vec![]);
    }
    if b.int_or("is_causal", 0) != 0 {
        let added = forbid(b, &[s, all], (0..s).flat_map(|i| (0..all).map(move |j| j <= i + past)));
        masked = b.op("Add", &[&masked, &added], vec![]);
        forbidden = true;
    }
    if let Some(lengths) = b.optional(6)? {
        let allowed = (0..n).flat_map(|i| {
            let length = lengths.get(i).copied().unwrap_or(0.0);
            (0..all).map(move |j| (j as f64) < length)
        });
        let allowed: Vec<bool> = allowed.collect();
        let added = forbid(b, &[n, 1, 1, all], allowed.into_iter());
        masked = b.op("Add", &[&masked, &added], vec![]);
        forbidden = true;
    }

    let weights = softmax::normalize(b, &masked, &[n, h, s, all], &[3])?;
    let out = b.op("MatMul", &[&weights, &values], vec![]);
    let out = if cut {
        let steps = b.transpose(&out, &[0, 2, 1, 3]);
        b.reshape(&steps, &[n, s, h * width])
    } else {
        out
    };
    let seen = match b.int_or("qk_matmul_output_mode", 0) {
        0 => scores,
        1 => capped,
        2 if forbidden && b.node.output.len() > 3 => {
            return Err(ImportError::unsupported(
                "its scores with infinite masks are an output; use qk_matmul_output_mode 0",
            ));
        }
        2 => masked,
        3 => weights,
        other => return Err(ImportError::unsupported(format!("qk_matmul_output_mode {other}"))),
    };
    Ok(vec![out, k.name, v.name, seen])
}
