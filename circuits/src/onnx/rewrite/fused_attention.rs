//! Transformer blocks as onnxruntime's optimizer fuses them: Attention, MultiHeadAttention and EmbedLayerNormalization of
//! `com.microsoft`, by that runtime's own definition.

use super::{
    Rule,
    builder::{Builder, Result, float, int},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("Attention", packed, true),
            ("MultiHeadAttention", several, true),
            ("EmbedLayerNormalization", embedding, true),
        ],
    )
}

fn refuse<T>(what: &str) -> Result<T> {
    Err(ImportError::unsupported(what))
}

/// Refuses inputs, by number and name, and outputs beyond the first.
fn without(b: &Builder<'_>, inputs: &[(usize, &str)]) -> Result<()> {
    if let Some((_, what)) = inputs.iter().find(|(i, _)| b.input(*i).is_some()) {
        return refuse(&format!("its {what}; optimize the model without it, or export the float model"));
    }
    if b.node.output.iter().skip(1).any(|o| !o.is_empty()) {
        return refuse("its further outputs; export the model without them");
    }
    if b.int_or("do_rotary", 0) != 0 {
        return refuse("rotary embeddings inside of it; export the model with RotaryEmbedding nodes");
    }
    Ok(())
}

/// Which keys a mask allows: `[batch, 1, 1, keys]` of booleans, from a one for each allowed key or from numbers of leading keys.
fn allowed(b: &mut Builder<'_>, mask: &str, keys: usize) -> Result<String> {
    let each = match b.shape(mask)?[..] {
        [_, all] if all == keys => b.cast(mask, 9),
        [_] => {
            let count = b.cast(mask, 7);
            let count = b.unsqueeze(&count, 1);
            let places = b.vector(&(0..keys as i64).collect::<Vec<_>>());
            b.op("Less", &[&places, &count], vec![])
        }
        ref other => return refuse(&format!("a mask of shape {other:?} for {keys} keys")),
    };
    let batch = b.shape(mask)?[0];
    Ok(b.reshape(&each, &[batch, 1, 1, keys]))
}

/// The standard's operator on `[batch, steps, width]`, with a mask of keys at input `mask` and what is added to the scores at `added`.
fn attention(b: &mut Builder<'_>, qkv: [&str; 3], keys: usize, mask: usize, added: usize) -> Result<Vec<String>> {
    let heads = b.int_or("num_heads", 0);
    let mut inputs = qkv.map(str::to_owned).to_vec();
    let mask = match b.input(mask) {
        Some(mask) => Some(allowed(b, &mask, keys)?),
        None => None,
    };
    match (mask, b.input(added)) {
        (Some(_), Some(_)) => return refuse("a mask of keys and an attention bias at once; add them up"),
        (one, other) => inputs.extend(one.or(other)),
    }
    let mut attributes = vec![
        int("q_num_heads", heads),
        int("kv_num_heads", heads),
        int("is_causal", i64::from(b.int_or("unidirectional", 0) != 0)),
    ];
    let scale = b.float_or("scale", 0.0);
    if scale != 0.0 {
        attributes.push(float("scale", scale));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Ok(vec![b.op("Attention", &inputs, attributes)])
}

/// Queries, keys and values from one product.
fn packed(b: &mut Builder<'_>) -> Result<Vec<String>> {
    without(b, &[(4, "cache"), (6, "cache")])?;
    let (x, w) = (b.need(0)?, b.need(1)?);
    let [_, steps, _] = b.shape(&x)?[..] else { return refuse("an input that is not [batch, steps, width]") };
    let all = b.shape(&w)?.last().copied().unwrap_or(0);
    let sizes = match b.ints("qkv_hidden_sizes").filter(|s| !s.is_empty()) {
        Some(sizes) => sizes.iter().map(|s| usize::try_from(*s).unwrap_or(0)).collect(),
        None => vec![all / 3; 3],
    };
    let [q, k, v] = sizes[..] else { return refuse("qkv_hidden_sizes that are not three") };
    if q.checked_add(k).and_then(|s| s.checked_add(v)) != Some(all) {
        return refuse("weights whose columns are not those of queries, keys and values");
    }
    let mut y = b.op("MatMul", &[&x, &w], vec![]);
    if let Some(bias) = b.input(2) {
        y = b.op("Add", &[&y, &bias], vec![]);
    }
    let parts = [(0, q), (q, q + k), (q + k, all)].map(|(from, to)| b.slice(&y, 2, from, to));
    attention(b, [&parts[0], &parts[1], &parts[2]], steps, 3, 5)
}

/// Queries, keys and values of their own, with a bias for all of them.
fn several(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let caches = [(6, "cache"), (7, "cache"), (8, "cache"), (9, "cache")];
    without(b, &caches)?;
    let mut parts = [b.need(0)?, b.need(1)?, b.need(2)?];
    let shapes = [b.shape(&parts[0])?, b.shape(&parts[1])?, b.shape(&parts[2])?];
    let ([_, _, q], [_, keys, k], [_, _, v]) = (&shapes[0][..], &shapes[1][..], &shapes[2][..]) else {
        return refuse("queries, keys and values that are not [batch, steps, width] each; export the float model");
    };
    if let Some(bias) = b.input(3) {
        for (part, (from, to)) in parts.iter_mut().zip([(0, *q), (*q, q + k), (q + k, q + k + v)]) {
            let own = b.slice(&bias, 0, from, to);
            *part = b.op("Add", &[part.as_str(), &own], vec![]);
        }
    }
    attention(b, [&parts[0], &parts[1], &parts[2]], *keys, 4, 5)
}

/// The sum of the embeddings of words, places and segments, normalized; the number of allowed keys; the sum.
fn embedding(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (words, places) = (b.need(2)?, b.need(3)?);
    let ids = b.need(0)?;
    let [batch, steps] = b.shape(&ids)?[..] else { return refuse("words that are not [batch, steps]") };
    let word = b.op("Gather", &[&words, &ids], vec![]);
    let place = match b.input(8) {
        Some(at) => b.op("Gather", &[&places, &at], vec![]),
        None => b.slice(&places, 0, 0, steps),
    };
    let mut sum = b.op("Add", &[&word, &place], vec![]);
    if let (Some(segment), Some(table)) = (b.input(1), b.input(4)) {
        let segment = b.op("Gather", &[&table, &segment], vec![]);
        sum = b.op("Add", &[&sum, &segment], vec![]);
    }
    let mut inputs = vec![sum.clone(), b.need(5)?];
    inputs.extend(b.input(6));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let epsilon = b.float_or("epsilon", 1e-12);
    let y = b.op("LayerNormalization", &inputs, vec![float("epsilon", epsilon), int("axis", 2)]);
    let keys = match b.input(7) {
        Some(mask) => {
            let mask = b.cast(&mask, 1);
            let count = b.reduce("ReduceSum", &mask, &[1]);
            let count = b.squeeze(&count, &[1]);
            b.cast(&count, 6)
        }
        None => {
            let none = b.vector(&vec![0; batch]);
            b.cast(&none, 6)
        }
    };
    Ok(vec![y, keys, sum])
}
