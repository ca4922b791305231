//! Layers with a state, as recent language models have them: CausalConvWithState and LinearAttention of the standard and of
//! `com.microsoft`, step by step.

use super::{
    Rule,
    builder::{Builder, Result, int, ints},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::NodeProto;

/// Most steps of a linear attention: each is written out.
const MAX_STEPS: usize = 256;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("CausalConvWithState", convolution, true), ("LinearAttention", attention, true)])
}

/// A convolution of each channel that only sees the past: what was before the first entry is a state, or zero.
fn convolution(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, w) = (b.need(0)?, b.need(1)?);
    let ([_, channels, len], [_, _, taps]) = (&b.shape(&x)?[..], &b.shape(&w)?[..]) else {
        return Err(ImportError::unsupported("an input and a kernel that are not [batch, channels, length] each"));
    };
    let (channels, len, before) = (*channels, *len, taps.saturating_sub(1));
    let padded = match b.input(3) {
        _ if before == 0 => x,
        Some(past) => b.op("Concat", &[&past, &x], vec![int("axis", 2)]),
        None => {
            let pads = b.vector(&[0, 0, before as i64, 0, 0, 0]);
            b.op("Pad", &[&x, &pads], vec![])
        }
    };
    let mut inputs = vec![padded.clone(), w];
    inputs.extend(b.input(2));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = vec![int("group", channels as i64), ints("kernel_shape", &[before as i64 + 1])];
    let mut y = b.op("Conv", &inputs, attributes);
    match b.text_or("activation", "none").as_str() {
        "none" => {}
        "silu" | "swish" => {
            let gate = b.op("Sigmoid", &[&y], vec![]);
            y = b.op("Mul", &[&y, &gate], vec![]);
        }
        other => return Err(ImportError::unsupported(format!("activation '{other}'; none and silu are supported"))),
    }
    if b.node.output.get(1).is_none_or(String::is_empty) {
        return Ok(vec![y]);
    }
    if before == 0 {
        return Err(ImportError::unsupported("a state without entries; a kernel of one entry has none"));
    }
    let state = b.slice(&padded, 2, len, len + before);
    Ok(vec![y, state])
}

/// What one step does to the state.
#[derive(Clone, Copy)]
struct Update {
    /// The state fades by the exponential of `decay`.
    fades: bool,
    /// Only what the state does not hold yet is written, `beta` of it.
    corrects: bool,
}

/// `S = exp(decay) S + k (beta (v - k S))` and `y = scale q S`, for heads of queries that share a state.
fn attention(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let refuse = |what: String| Err(ImportError::unsupported(what));
    let update = match b.text_or("update_rule", "gated_delta").as_str() {
        "linear" => Update { fades: false, corrects: false },
        "gated" => Update { fades: true, corrects: false },
        "delta" => Update { fades: false, corrects: true },
        "gated_delta" => Update { fades: true, corrects: true },
        other => return refuse(format!("update_rule '{other}'")),
    };
    let size = |b: &Builder<'_>, name: &str| usize::try_from(b.int_or(name, 0)).unwrap_or(0);
    let (heads, shared) = (size(b, "q_num_heads"), size(b, "kv_num_heads"));
    let (q, k, v) = (b.need(0)?, b.need(1)?, b.need(2)?);
    let ([batch, steps, all], [_, _, keys], [_, _, values]) = (&b.shape(&q)?[..], &b.shape(&k)?[..], &b.shape(&v)?[..])
    else {
        return refuse("queries, keys and values that are not [batch, steps, width] each".to_owned());
    };
    let (batch, steps, all, keys, values) = (*batch, *steps, *all, *keys, *values);
    let fits = heads > 0 && shared > 0 && heads.is_multiple_of(shared) && keys.is_multiple_of(shared);
    if !fits || !values.is_multiple_of(shared) || all != heads * (keys / shared) {
        return refuse(format!("{heads} heads of {all} values on {shared} of {keys} and {values}"));
    }
    if steps > MAX_STEPS {
        return refuse(format!("{steps} steps; at most {MAX_STEPS}"));
    }
    let (group, depth, width) = (heads / shared, keys / shared, values / shared);
    let scale = b.float_or("scale", 0.0);
    let scale = b.float(if scale == 0.0 { 1.0 / (depth as f32).sqrt() } else { scale });
    let decay = if update.fades { Some(b.need(4)?) } else { None };
    let beta = if update.corrects { Some(b.need(5)?) } else { None };
    let mut state = b.input(3);
    let mut outputs = Vec::new();
    for t in 0..steps {
        let step = |b: &mut Builder<'_>, x: &str, shape: [usize; 4]| -> Result<String> {
            let all = b.shape(x)?;
            if all.len() != 3 || all[2] != shape[1..].iter().product::<usize>() {
                return Err(ImportError::unsupported(format!("shape {all:?} for {shape:?} values a step")));
            }
            let one = b.slice(x, 1, t, t + 1);
            Ok(b.reshape(&one, &shape))
        };
        if let (Some(before), Some(decay)) = (&state, &decay) {
            // One for each key, or for each head.
            let each = if b.shape(decay)?.last() == Some(&shared) { 1 } else { depth };
            let log = step(b, decay, [batch, shared, each, 1])?;
            let factor = b.op("Exp", &[&log], vec![]);
            state = Some(b.op("Mul", &[before, &factor], vec![]));
        }
        let mut write = step(b, &v, [batch, shared, 1, width])?;
        if let Some(beta) = &beta {
            if let Some(before) = &state {
                let row = step(b, &k, [batch, shared, 1, depth])?;
                let held = b.op("MatMul", &[&row, before], vec![]);
                write = b.op("Sub", &[&write, &held], vec![]);
            }
            let each = if b.shape(beta)?.last() == Some(&1) { 1 } else { shared };
            let part = step(b, beta, [batch, each, 1, 1])?;
            write = b.op("Mul", &[&write, &part], vec![]);
        }
        let column = step(b, &k, [batch, shared, depth, 1])?;
        let written = b.op("Mul", &[&column, &write], vec![]);
        let now = match &state {
            Some(before) => b.op("Add", &[before, &written], vec![]),
            None => written,
        };
        let query = step(b, &q, [batch, shared, group, depth])?;
        let read = b.op("MatMul", &[&query, &now], vec![]);
        let read = b.op("Mul", &[&read, &scale], vec![]);
        outputs.push(b.reshape(&read, &[batch, 1, heads * width]));
        state = Some(now);
    }
    let y = if outputs.len() == 1 { outputs.remove(0) } else { b.concat(&outputs, 1) };
    Ok(std::iter::once(y).chain(state).collect())
}
