//! Attention of tokens to each other: two products, a softmax between them, and what errors do on the way back.
//!
//! Scores are `[steps, batch, heads, tokens, tokens]`, the second axis of tokens those that are looked at. The division by the root of
//! a head's values is a product with [`scale`], rounded once with the scores.

use super::super::{
    ACTIVATION_BITS, EXPONENTIAL_KEYS, LOGIT_WIDTH, PROBABILITY_BITS,
    nodes::{Nodes, Result},
    reference::{FARTHEST, SCALE_BITS, power, scale},
};
use crate::{
    graph::NodeId,
    ops::{AxisExpr, Concat, Contraction, Op, Remap, Window},
    table::Table,
};

/// What the gradient of an attention needs, all with heads and their values apart: `[steps, batch, tokens, heads, values]`.
pub(super) struct Attended {
    query: NodeId,
    key: NodeId,
    value: NodeId,
    /// `[steps, batch, heads, tokens, tokens]`.
    probabilities: NodeId,
}

/// Steps, batch, heads, tokens, tokens, values of a head.
#[derive(Clone, Copy)]
struct Extents([usize; 6]);

/// Indices of a token's values in these extents: those of tokens that look, or of those that are looked at.
const LOOKING: [usize; 5] = [0, 1, 3, 2, 5];
const SEEN: [usize; 5] = [0, 1, 4, 2, 5];
const SCORES: [usize; 5] = [0, 1, 2, 3, 4];

impl Extents {
    fn contraction(self, lhs: &[usize], rhs: &[usize], out: &[usize]) -> Contraction {
        Contraction {
            extents: self.0.to_vec(),
            lhs: AxisExpr::indices(lhs),
            rhs: AxisExpr::indices(rhs),
            out: AxisExpr::indices(out),
        }
    }

    /// Scores as a shape.
    fn scores(self) -> Vec<usize> {
        self.0[..5].to_vec()
    }
}

/// Scores of tokens that come after the one that looks made `least`: what scores are above it, kept where the distance is not
/// negative. That is a matrix of zeros and ones, so nothing has to be committed to in front of it.
fn masked(n: &mut Nodes, name: &str, scores: NodeId, extents: Extents, least: i64) -> Result<NodeId> {
    let shape = extents.scores();
    let tokens = shape[3];
    let pairs = (0..tokens).flat_map(|i| (0..tokens).map(move |j| (j <= i).then_some((i * tokens + j) as u32)));
    let above = n.g.linear(name, &[(scores, 1)], -least)?;
    let above = n.join(name, above, 3)?;
    let above = n.g.push(name, Op::Remap(Remap::select(3, pairs)), &[above])?;
    let above = n.reshape(name, above, shape)?;
    Ok(n.g.linear(name, &[(above, 1)], least)?)
}

/// From queries, keys and values beside each other to what each token takes from the others.
pub(super) fn forward(
    n: &mut Nodes,
    name: &str,
    x: NodeId,
    (heads, width, causal): (usize, usize, bool),
) -> Result<(NodeId, Attended)> {
    let shape = n.shape(x);
    let (tokens, values) = (shape[2], width / heads);
    let extents = Extents([n.steps, n.batch, heads, tokens, tokens, values]);
    let mut parts = vec![];
    for (k, part) in ["query", "key", "value"].iter().enumerate() {
        let name = format!("{name}.{part}");
        let one = n.g.push(&name, Op::Window(Window::slice(3, (k * width) as i64, 1, width)), &[x])?;
        parts.push(n.split(&name, one, 3, values)?);
    }
    let [query, key, value] = parts[..] else {
        return Ok((x, Attended { query: x, key: x, value: x, probabilities: x }));
    };
    let name_of = |part: &str| format!("{name}.{part}");
    let scores = n.contract(&name_of("scores"), extents.contraction(&LOOKING, &SEEN, &SCORES), query, key)?;
    let scores = n.g.linear(&name_of("scores"), &[(scores, scale(values))], 0)?;
    let half = 1i64 << (LOGIT_WIDTH - 1);
    let table = Table::tabulate("logit", -half, LOGIT_WIDTH as usize, |t| t as i32);
    let mut logits = n.g.lookup(&name_of("logits"), scores, ACTIVATION_BITS + SCALE_BITS, table)?;
    if causal {
        // What is not seen is never the largest.
        logits = masked(n, &name_of("seen"), logits, extents, -half)?;
    }
    let mut below = n.below(&name_of("softmax"), logits, 4)?;
    if causal {
        // And counts as nothing once its exponential is taken.
        below = masked(n, &name_of("seen"), below, extents, FARTHEST)?;
    }
    let table = Table::tabulate("power", FARTHEST, EXPONENTIAL_KEYS, |t| power(t) as i32);
    let powers = n.g.lookup(&name_of("powers"), below, 0, table)?;
    let probabilities = n.shares(&name_of("probabilities"), powers, 4)?;
    let name = name_of("mix");
    let mixed = n.contract(&name, extents.contraction(&SCORES, &SEEN, &LOOKING), probabilities, value)?;
    let mixed = n.keep(&name, mixed, PROBABILITY_BITS)?;
    Ok((n.join(&name, mixed, 3)?, Attended { query, key, value, probabilities }))
}

/// The error of queries, keys and values.
pub(super) fn backward(n: &mut Nodes, name: &str, a: &Attended, error: NodeId) -> Result<NodeId> {
    let shape = n.shape(a.query);
    let (tokens, heads, values) = (shape[2], shape[3], shape[4]);
    let extents = Extents([n.steps, n.batch, heads, tokens, tokens, values]);
    let error = n.split(name, error, 3, values)?;
    let name_of = |part: &str| format!("{name}.{part}");
    let to_value =
        n.contract(&name_of("value"), extents.contraction(&SCORES, &LOOKING, &SEEN), a.probabilities, error)?;
    let to_value = n.keep(&name_of("value"), to_value, PROBABILITY_BITS)?;
    let seen = n.contract(&name_of("seen"), extents.contraction(&LOOKING, &SEEN, &SCORES), error, a.value)?;
    let seen = n.keep(&name_of("seen"), seen, ACTIVATION_BITS)?;
    // Through the softmax: less the mean by probability, times the probability.
    let along = Contraction {
        extents: extents.scores(),
        lhs: AxisExpr::indices(&SCORES),
        rhs: AxisExpr::indices(&SCORES),
        out: AxisExpr::indices(&SCORES[..4]),
    };
    let mean = n.contract(&name_of("mean"), along, a.probabilities, seen)?;
    let mean = n.keep(&name_of("mean"), mean, PROBABILITY_BITS)?;
    let mean = n.repeat(&name_of("mean"), mean, 4, tokens)?;
    let free = n.g.linear(&name_of("free"), &[(seen, 1), (mean, -1)], 0)?;
    let scores = n.product(&name_of("scores"), free, a.probabilities)?;
    let scores = n.keep(&name_of("scores"), scores, PROBABILITY_BITS)?;
    let factor = scale(values);
    let mut parts = vec![];
    for (part, from, c) in [
        ("query", a.key, extents.contraction(&SCORES, &SEEN, &LOOKING)),
        ("key", a.query, extents.contraction(&SCORES, &LOOKING, &SEEN)),
    ] {
        let to = n.contract(&name_of(part), c, scores, from)?;
        let to = n.g.linear(&name_of(part), &[(to, factor)], 0)?;
        parts.push(n.keep(&name_of(part), to, ACTIVATION_BITS + SCALE_BITS)?);
    }
    parts.push(to_value);
    for part in &mut parts {
        *part = n.join(name, *part, 3)?;
    }
    Ok(n.g.push(name, Op::Concat(Concat { axis: 3 }), &parts)?)
}
