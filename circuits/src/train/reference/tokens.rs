//! Layers of tokens for one row: attention, normalization of the last axis, adapters. Values, and errors from output to input.

use super::{kept, power, rs, softmax_of};
use crate::{
    tensor::Tensor,
    train::{ACTIVATION_BITS, LOGIT_WIDTH, PROBABILITY_BITS, WEIGHT_BITS},
};

/// Fraction bits of the factor that divides scores.
pub(in crate::train) const SCALE_BITS: u32 = 14;

/// What scores are multiplied by: one over the root of a head's values, rounded to `SCALE_BITS`.
pub(in crate::train) fn scale(values: usize) -> i64 {
    // `round(2^b / sqrt(n)) = floor((floor(2^(b+1) / sqrt(n)) + 1) / 2)`.
    let twice = (1u64 << (2 * SCALE_BITS + 2)) / (values as u64).max(1);
    (twice.isqrt() as i64 + 1) / 2
}

/// Where queries, keys and values of an attention are.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) heads: usize,
    pub(super) width: usize,
    pub(super) causal: bool,
}

impl Heads {
    fn values(self) -> usize {
        self.width / self.heads
    }

    /// Index of value `d` of a head of the query (0), key (1) or value (2) of a token.
    fn at(self, token: usize, which: usize, head: usize, d: usize) -> usize {
        token * 3 * self.width + which * self.width + head * self.values() + d
    }

    /// How many tokens a token sees.
    fn sees(self, token: usize, tokens: usize) -> usize {
        if self.causal { token + 1 } else { tokens }
    }

    /// Probabilities `[heads, tokens, tokens]`, zero for what is not seen.
    fn probabilities(self, x: &[i64], tokens: usize) -> Vec<i64> {
        let half = 1i64 << (LOGIT_WIDTH - 1);
        let mut all = vec![0; self.heads * tokens * tokens];
        for (h, i) in (0..self.heads).flat_map(|h| (0..tokens).map(move |i| (h, i))) {
            let logit = |j: usize| {
                let score: i64 = (0..self.values()).map(|d| x[self.at(i, 0, h, d)] * x[self.at(j, 1, h, d)]).sum();
                let shift = i64::from(ACTIVATION_BITS + SCALE_BITS);
                rs(score * scale(self.values()), shift).clamp(-half, half - 1)
            };
            let logits: Vec<i64> = (0..self.sees(i, tokens)).map(logit).collect();
            let from = (h * tokens + i) * tokens;
            all[from..from + logits.len()].copy_from_slice(&softmax_of(&logits, power));
        }
        all
    }
}

/// What each token takes from the others, and the probabilities.
pub(super) fn attend(a: Heads, x: &[i64], tokens: usize) -> (Vec<i64>, Vec<i64>) {
    let p = a.probabilities(x, tokens);
    let mut out = vec![];
    for i in 0..tokens {
        for (h, d) in (0..a.heads).flat_map(|h| (0..a.values()).map(move |d| (h, d))) {
            let sum: i64 = (0..tokens).map(|j| p[(h * tokens + i) * tokens + j] * x[a.at(j, 2, h, d)]).sum();
            out.push(kept(rs(sum, PROBABILITY_BITS.into())));
        }
    }
    (out, p)
}

/// The error of queries, keys and values.
pub(super) fn attend_back(a: Heads, x: &[i64], p: &[i64], error: &[i64], tokens: usize) -> Vec<i64> {
    let n = a.values();
    let share = |h: usize, i: usize, j: usize| p[(h * tokens + i) * tokens + j];
    let e = |i: usize, h: usize, d: usize| error[i * a.width + h * n + d];
    let mut back = vec![0; x.len()];
    for h in 0..a.heads {
        // Errors of scores, before what they are multiplied by.
        let mut scores = vec![0; tokens * tokens];
        for i in 0..tokens {
            let seen = |j: usize| (0..n).map(|d| e(i, h, d) * x[a.at(j, 2, h, d)]).sum::<i64>();
            let seen: Vec<i64> = (0..tokens).map(|j| kept(rs(seen(j), ACTIVATION_BITS.into()))).collect();
            let mean: i64 = seen.iter().enumerate().map(|(j, s)| share(h, i, j) * s).sum();
            let mean = kept(rs(mean, PROBABILITY_BITS.into()));
            for (j, s) in seen.iter().enumerate() {
                scores[i * tokens + j] = kept(rs((s - mean) * share(h, i, j), PROBABILITY_BITS.into()));
            }
        }
        let shift = i64::from(ACTIVATION_BITS + SCALE_BITS);
        for (t, d) in (0..tokens).flat_map(|t| (0..n).map(move |d| (t, d))) {
            let query: i64 = (0..tokens).map(|j| scores[t * tokens + j] * x[a.at(j, 1, h, d)]).sum();
            let key: i64 = (0..tokens).map(|i| scores[i * tokens + t] * x[a.at(i, 0, h, d)]).sum();
            let value: i64 = (0..tokens).map(|i| share(h, i, t) * e(i, h, d)).sum();
            back[a.at(t, 0, h, d)] = kept(rs(query * scale(n), shift));
            back[a.at(t, 1, h, d)] = kept(rs(key * scale(n), shift));
            back[a.at(t, 2, h, d)] = kept(rs(value, PROBABILITY_BITS.into()));
        }
    }
    back
}

/// Extents and factor of an adapter.
#[derive(Clone, Copy)]
pub(super) struct Adapter {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) rank: usize,
    pub(super) scale_bits: u32,
}

/// `sum_i x[i] m[i, o]` of a matrix `[inputs, outputs]`.
fn times(x: &[i64], m: &[i64], outputs: usize) -> Vec<i64> {
    (0..outputs).map(|o| x.iter().enumerate().map(|(i, x)| x * m[i * outputs + o]).sum()).collect()
}

/// `sum_o e[o] m[i, o]`.
fn times_transposed(e: &[i64], m: &[i64]) -> Vec<i64> {
    m.chunks(e.len()).map(|row| row.iter().zip(e).map(|(m, e)| m * e).sum()).collect()
}

/// Sums, not rounded, and what the adapter made of the input. Weights are matrix, bias, down and up.
pub(super) fn adapted(a: Adapter, x: &[i64], weights: &[Tensor]) -> (Vec<i64>, Vec<i64>) {
    let [w, b, down, up] = weights else { return (vec![], vec![]) };
    let (mut out, mut low) = (vec![], vec![]);
    for x in x.chunks(a.inputs) {
        let inner: Vec<i64> =
            times(x, &down.data, a.rank).into_iter().map(|v| kept(rs(v, WEIGHT_BITS.into()))).collect();
        let base = times(x, &w.data, a.outputs);
        let more = times(&inner, &up.data, a.outputs);
        let sum =
            base.iter().zip(&more).zip(&b.data).map(|((w, a_), b)| w + (b << ACTIVATION_BITS) + (a_ << a.scale_bits));
        out.extend(sum);
        low.extend(inner);
    }
    (out, low)
}

/// The error of the input; gradients are those of matrix, bias, down and up, of which the first two stay as they are.
pub(super) fn adapted_back(
    a: Adapter,
    (x, low): (&[i64], &[i64]),
    weights: &[Tensor],
    gradients: &mut [Vec<i64>],
    error: &[i64],
) -> Vec<i64> {
    let ([w, _, down, up], [_, _, to_down, to_up]) = (weights, gradients) else { return vec![] };
    let mut back = vec![];
    for ((x, low), e) in x.chunks(a.inputs).zip(low.chunks(a.rank)).zip(error.chunks(a.outputs)) {
        let inner: Vec<i64> = times_transposed(e, &up.data)
            .into_iter()
            .map(|v| kept(rs(v << a.scale_bits, WEIGHT_BITS.into())))
            .collect();
        for (r, low) in low.iter().enumerate() {
            e.iter().enumerate().for_each(|(o, e)| to_up[r * a.outputs + o] += low * e);
        }
        for (i, x) in x.iter().enumerate() {
            inner.iter().enumerate().for_each(|(r, e)| to_down[i * a.rank + r] += x * e);
        }
        let through = times_transposed(e, &w.data).into_iter().zip(times_transposed(&inner, &down.data));
        back.extend(through.map(|(a, b)| kept(rs(a + b, WEIGHT_BITS.into()))));
    }
    back
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_divided_by_the_root() {
        for n in [1usize, 2, 3, 4, 16, 24, 64, 100, 1024] {
            let exact = f64::from(1u32 << SCALE_BITS) / (n as f64).sqrt();
            assert!((scale(n) as f64 - exact).abs() <= 0.5 + 1e-9, "{n}: {} for {exact}", scale(n));
        }
    }

    #[test]
    fn tokens_do_not_see_what_comes_after_them() {
        let a = Heads { heads: 2, width: 4, causal: true };
        let x: Vec<i64> = (0..36).map(|k| k * 97 % 501 - 250).collect();
        let mut later = x.clone();
        later[24..].iter_mut().for_each(|v| *v += 100);
        let (one, p) = attend(a, &x, 3);
        let (other, _) = attend(a, &later, 3);
        assert_eq!(one[..8], other[..8]);
        assert_ne!(one[8..], other[8..]);
        assert_eq!((p[1], p[2], p[5]), (0, 0, 0));
    }
}
