//! The eq factors of a fraction layer's rounds, never multiplied out.
//!
//! Round `j` of a layer weighs entries by `eq(point[j + 1..], .)`. That is the product of a table of the leading variables and one
//! of the last [`LOW_BITS`]: a kernel reads the second, and what it finds is weighed by an entry of the first. All tables of a layer
//! of `n` entries together have about `n / 2^LOW_BITS` entries.

use super::leaves::add_pairs;
use super::split::{Split, reduce};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// Variables of the tables that kernels read: what they need of one, with the layer's arrays, fits the first-level caches.
pub(super) const LOW_BITS: usize = if cfg!(test) { 5 } else { 8 };

/// The tables of all rounds of one layer.
#[derive(Debug, Default)]
pub(super) struct EqSuffixes {
    /// `high[i]`: the `i` variables before the last `low.len() - 1`.
    high: Vec<Vec<Fr>>,
    /// `low[i]`: the last `i` variables.
    low: Vec<Vec<Fr>>,
}

/// The factors of one round: entry `h * low.len() + l` is weighed by `high[h] * low[l]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct EqWeights<'a> {
    /// By the leading variables.
    pub(super) high: &'a [Fr],
    /// By the last variables.
    pub(super) low: &'a [Fr],
}

/// `eq(point[i..], .)` for all `i`, the shortest table first.
fn tables(point: &[Fr], grow: &impl Fn(&[Fr], &Fr) -> Vec<Fr>) -> Vec<Vec<Fr>> {
    let mut tables = vec![vec![Fr::ONE]];
    for (k, r) in point.iter().rev().enumerate() {
        let table = grow(&tables[k], r);
        tables.push(table);
    }
    tables
}

impl EqSuffixes {
    /// The tables for a claim at `point`. `grow` gives a table with one more variable, the most significant.
    pub(super) fn new(point: &[Fr], grow: &impl Fn(&[Fr], &Fr) -> Vec<Fr>) -> Self {
        // The first variable is bound in the first round, and weighs nothing in it.
        let suffix = point.get(1..).unwrap_or_default();
        let (high, low) = suffix.split_at(suffix.len().saturating_sub(LOW_BITS));
        Self { high: tables(high, grow), low: tables(low, grow) }
    }

    /// The factors of `2^variables` entries.
    ///
    /// # Panics
    /// When the point has not as many variables behind its first.
    pub(super) fn weights(&self, variables: usize) -> EqWeights<'_> {
        let low = variables.min(self.low.len() - 1);
        EqWeights { high: &self.high[variables - low], low: &self.low[low] }
    }
}

impl EqWeights<'_> {
    /// Entries that are weighed.
    pub(super) fn len(&self) -> usize {
        self.high.len() * self.low.len()
    }

    /// The plain table.
    pub(super) fn expand(&self) -> Vec<Fr> {
        self.high.iter().flat_map(|h| self.low.iter().map(move |l| *h * l)).collect()
    }
}

/// Arrays and the factors of their entries.
struct Weighed<'a, W> {
    work: W,
    eq: EqWeights<'a>,
}

impl<W: Split> Split for Weighed<'_, W> {
    fn len(&self) -> usize {
        self.work.len()
    }

    /// Lengths are powers of two, and pieces are never shorter than a table of the last variables.
    fn split(self, mid: usize) -> (Self, Self) {
        assert!(mid.is_multiple_of(self.eq.low.len()), "a piece that is shorter than a table");
        let (left, right) = self.work.split(mid);
        let (before, behind) = self.eq.high.split_at(mid / self.eq.low.len());
        let part = |work, high| Self { work, eq: EqWeights { high, low: self.eq.low } };
        (part(left, before), part(right, behind))
    }
}

/// Sums what `kernel` makes of the pieces of `work` that the tables' last variables weigh, by the leading variables.
pub(super) fn weighed<W: Split>(work: W, eq: EqWeights<'_>, kernel: &(impl Fn(W, &[Fr]) -> [Fr; 2] + Sync)) -> [Fr; 2] {
    assert_eq!(eq.len(), work.len(), "eq factors of a fraction round");
    let piece = |Weighed { work, eq }: Weighed<'_, W>| {
        let mut total = [Fr::ZERO; 2];
        let mut rest = Some(work);
        for (h, weight) in eq.high.iter().enumerate() {
            let Some(work) = rest.take() else { break };
            let work = if h + 1 < eq.high.len() {
                let (first, behind) = work.split(eq.low.len());
                rest = Some(behind);
                first
            } else {
                work
            };
            let g = kernel(work, eq.low);
            total = add_pairs(total, [*weight * g[0], *weight * g[1]]);
        }
        total
    };
    reduce(Weighed { work, eq }, &piece, &add_pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Device, Reference};
    use proptest::prelude::*;

    fn grown(table: &[Fr], r: &Fr) -> Vec<Fr> {
        let high: Vec<Fr> = table.iter().map(|x| *x * r).collect();
        table.iter().zip(&high).map(|(x, y)| *x - y).chain(high.iter().copied()).collect()
    }

    proptest! {
        #[test]
        fn two_tables_are_one(words in prop::collection::vec(any::<u64>(), 1..13)) {
            let point: Vec<Fr> = words.iter().map(|x| Fr::from(*x)).collect();
            let suffixes = EqSuffixes::new(&point, &grown);
            for j in 0..point.len() {
                let variables = point.len() - j - 1;
                let weights = suffixes.weights(variables);
                prop_assert_eq!(weights.len(), 1 << variables);
                prop_assert_eq!(weights.expand(), Reference.eq_table(&point[j + 1..]));
            }
        }

        #[test]
        fn pieces_are_weighed_by_both_tables(words in prop::collection::vec(any::<u64>(), 1..15), seed: u64) {
            let point: Vec<Fr> = words.iter().map(|x| Fr::from(*x)).collect();
            let suffixes = EqSuffixes::new(&point, &grown);
            let eq = suffixes.weights(point.len() - 1);
            let data: Vec<Fr> = (0..eq.len() as u64).map(|x| Fr::from(x.wrapping_mul(seed))).collect();
            let sums = |data: &[Fr], eq: &[Fr]| {
                let pairs = || data.iter().zip(eq);
                [pairs().map(|(x, w)| *x * w).sum(), pairs().map(|(x, w)| x.square() * w).sum()]
            };
            prop_assert_eq!(weighed(&data[..], eq, &sums), sums(&data, &eq.expand()));
        }
    }
}
