//! Transformer blocks as onnxruntime's optimizer fuses them: Attention, MultiHeadAttention, GroupQueryAttention and
//! EmbedLayerNormalization of `com.microsoft`, by that runtime's own definition.

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
            ("GroupQueryAttention", grouped, true),
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

/// Attributes of a GroupQueryAttention that are read, and values of others that change nothing.
const GROUPED: [&str; 6] = ["num_heads", "kv_num_heads", "scale", "softcap", "do_rotary", "rotary_interleaved"];
const IDLE: [(&str, i64); 4] =
    [("local_window_size", -1), ("smooth_softmax", 0), ("smooth_softmax", -1), ("qk_output", 0)];

/// Causal attention of heads that share keys and values, a cache of past ones in front, rotary embeddings inside. All keys must be
/// valid: their number is a constant.
fn grouped(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let idle = |name: &str, i: i64| GROUPED.contains(&name) || IDLE.contains(&(name, i));
    if let Some(a) = b.node.attribute.iter().find(|a| a.name != "opset" && !idle(&a.name, a.i)) {
        return refuse(&format!("its attribute '{}' would not be honoured; export the model without it", a.name));
    }
    if (9..b.node.input.len()).any(|i| b.input(i).is_some())
        || (3..b.node.output.len()).any(|o| !b.node.output[o].is_empty())
    {
        return refuse("positions, scores or sinks of its own; export the model without them");
    }
    let size = |b: &Builder<'_>, name: &str| usize::try_from(b.int_or(name, 0)).unwrap_or(0);
    let (heads, shared) = (size(b, "num_heads"), size(b, "kv_num_heads"));
    if heads == 0 || shared == 0 {
        return refuse("no heads");
    }
    let x = b.need(0)?;
    let [batch, steps, width] = b.shape(&x)?[..] else { return refuse("queries that are not [batch, steps, width]") };
    let (parts, depth) = match (b.input(1), b.input(2)) {
        (Some(k), Some(v)) => {
            let (depth, wanted) = (width / heads, width / heads * shared);
            if [&k, &v].into_iter().any(|x| b.shape(x).ok() != Some(vec![batch, steps, wanted]))
                || depth * heads != width
            {
                return refuse(&format!("{heads} and {shared} heads in {width} values a step"));
            }
            ([x, k, v], depth)
        }
        (None, None) => {
            let depth = width / (heads + 2 * shared);
            if depth * (heads + 2 * shared) != width {
                return refuse(&format!("{heads} and twice {shared} heads in {width} values a step"));
            }
            let ends = [0, heads * depth, (heads + shared) * depth, (heads + 2 * shared) * depth];
            ([0, 1, 2].map(|i| b.slice(&x, 2, ends[i], ends[i + 1])), depth)
        }
        _ => return refuse("keys without values"),
    };
    let past = match b.input(3) {
        Some(past) => {
            *b.shape(&past)?.get(2).ok_or_else(|| ImportError::unsupported("a cache of less than three axes"))?
        }
        None => 0,
    };
    let valid = b.input(5).and_then(|n| b.values(&n));
    if valid.is_none_or(|v| v.iter().any(|v| *v != (past + steps) as f64 - 1.0)) {
        return refuse(
            "numbers of valid keys (seqlens_k) that are no constants, or not all keys; fix the shape of the mask that they come from",
        );
    }
    let mut cut = Vec::new();
    for (part, count) in parts.iter().zip([heads, shared, shared]) {
        let apart = b.reshape(part, &[batch, steps, count, depth]);
        cut.push(b.transpose(&apart, &[0, 2, 1, 3]));
    }
    if b.int_or("do_rotary", 0) != 0 {
        for (part, count) in cut.iter_mut().zip([heads, shared]) {
            *part = rotated(b, part, [batch, count, steps, depth], past)?;
        }
    }
    let mut inputs = cut.clone();
    let mut present = [cut[1].clone(), cut[2].clone()];
    if past > 0 {
        let caches = [b.need(3)?, b.need(4)?];
        for (all, cache) in present.iter_mut().zip(&caches) {
            *all = b.op("Concat", &[cache, all], vec![int("axis", 2)]);
        }
        inputs.push(String::new());
        inputs.extend(caches);
    }
    let mut attributes = vec![int("is_causal", 1)];
    for name in ["scale", "softcap"] {
        let value = b.float_or(name, 0.0);
        attributes.extend((value != 0.0).then(|| float(name, value)));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let y = b.op("Attention", &inputs, attributes);
    let y = b.transpose(&y, &[0, 2, 1, 3]);
    let [keys, values] = present;
    Ok(vec![b.reshape(&y, &[batch, steps, heads * depth]), keys, values])
}

/// Rotary embeddings of heads `[batch, heads, steps, depth]` whose first step is at `past`: pairs of the leading values, halves
/// apart or side by side, are turned by the angles of their step.
fn rotated(b: &mut Builder<'_>, x: &str, [batch, heads, steps, depth]: [usize; 4], past: usize) -> Result<String> {
    let (cos, sin) = (b.need(7)?, b.need(8)?);
    let [places, half] = b.shape(&cos)?[..] else { return refuse("cosines that are not [places, pairs]") };
    if b.shape(&sin)? != [places, half] || past + steps > places || 2 * half > depth {
        return refuse(&format!(
            "cosines of {places} places and {half} pairs for {depth} values of step {}",
            past + steps
        ));
    }
    let turned = b.slice(x, 3, 0, 2 * half);
    let mut angle = |table: &str| {
        let here = b.slice(table, 0, past, past + steps);
        b.reshape(&here, &[1, 1, steps, half])
    };
    let (cos, sin) = (angle(&cos), angle(&sin));
    let beside = b.int_or("rotary_interleaved", 0) != 0;
    let (first, second) = if beside {
        let pairs = b.reshape(&turned, &[batch, heads, steps, half, 2]);
        let side = |b: &mut Builder<'_>, i: usize| {
            let one = b.slice(&pairs, 4, i, i + 1);
            b.reshape(&one, &[batch, heads, steps, half])
        };
        (side(b, 0), side(b, 1))
    } else {
        (b.slice(&turned, 3, 0, half), b.slice(&turned, 3, half, 2 * half))
    };
    let mut product = |x: &str, y: &str| b.op("Mul", &[x, y], vec![]);
    let terms = [product(&first, &cos), product(&second, &sin), product(&second, &cos), product(&first, &sin)];
    let mut parts = vec![b.op("Sub", &[&terms[0], &terms[1]], vec![]), b.op("Add", &[&terms[2], &terms[3]], vec![])];
    if beside {
        parts = parts.iter().map(|p| b.reshape(p, &[batch, heads, steps, half, 1])).collect();
        let pairs = b.concat(&parts, 4);
        parts = vec![b.reshape(&pairs, &[batch, heads, steps, 2 * half])];
    }
    if 2 * half < depth {
        parts.push(b.slice(x, 3, 2 * half, depth));
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { b.concat(&parts, 3) })
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
