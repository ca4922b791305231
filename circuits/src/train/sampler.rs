//! Which rows of the data a step reads: an affine walk through all rows, drawn from a public seed.
//!
//! Factor and start are an input of the step graph, `[2]`: one key serves all seeds. Whoever checks a proof derives both from the
//! seed, so nothing in the graph says that they are coprime or reduced.

use super::nodes::{Nodes, Result};
use crate::{
    canonical,
    graph::NodeId,
    ops::{Divide, Op, Remap},
    ring::index_bits,
    tensor::Tensor,
};

/// `index(j) = (factor * j + start) mod rows` for the draws `j = 0, 1, ..` of a run. As `factor` has no divisor in common with
/// `rows`, `rows` draws in succession see every row once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// Number of rows, at least one.
    pub rows: u64,
    /// Step between two draws, coprime to `rows`.
    pub factor: u64,
    /// The first row.
    pub start: u64,
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Sampler {
    /// The walk of a seed: factor and start are digests of it, the factor the first candidate that is coprime.
    pub fn new(seed: &[u8; 32], rows: u64) -> Self {
        let rows = rows.max(1);
        let draw = |counter: u64| {
            let d = canonical::digest("assay.sampler.v1", &[seed, &rows.to_be_bytes(), &counter.to_be_bytes()]);
            let mut word = [0u8; 8];
            word.copy_from_slice(&d[..8]);
            u64::from_be_bytes(word) % rows
        };
        // One is coprime to everything: the search ends.
        let factor = (1..=4096).map(draw).find(|f| gcd(*f, rows) == 1).unwrap_or(1);
        Self { rows, factor, start: draw(0) }
    }

    /// The row of draw `j`.
    pub fn index(&self, j: u64) -> u64 {
        let wide = u128::from(self.factor) * u128::from(j) + u128::from(self.start);
        (wide % u128::from(self.rows)) as u64
    }

    /// The input of the step graph: factor and start, `[2]`.
    pub fn tensor(&self) -> Tensor {
        // Both are below 2^19: there are no more rows.
        Tensor { shape: vec![2], data: vec![self.factor as i64, self.start as i64] }
    }
}

/// Signed width of factor and start.
pub(super) fn walk_bits(rows: usize) -> u32 {
    index_bits(rows) as u32 + 1
}

/// `index(j)` for all draws, `[steps, batch]`, from `walk` of shape `[2]`: `v - rows floor(v / rows)` with `v = factor j + start`.
pub(super) fn indices(n: &mut Nodes, walk: NodeId, rows: usize) -> Result<NodeId> {
    let (steps, batch) = (n.steps, n.batch);
    // A draw is `batch step + place`: two short matrices instead of one with an entry a draw.
    let begin = (0..steps).map(|t| vec![(0, (t * batch) as i64), (1, 1)]).collect();
    let begin = n.g.push("draw", Op::Remap(Remap { axis: 0, rows: begin }), &[walk])?;
    let begin = n.repeat("draw", begin, 1, batch)?;
    let place = (0..batch).map(|b| vec![(0, b as i64)]).collect();
    let place = n.g.push("draw", Op::Remap(Remap { axis: 0, rows: place }), &[walk])?;
    let place = n.repeat("draw", place, 0, steps)?;
    let draw = n.g.linear("draw", &[(begin, 1), (place, 1)], 0)?;
    let divisor = n.g.linear("draw.rows", &[(draw, 0)], rows as i64)?;
    let rounds = n.g.push("draw.rounds", Op::Divide(Divide {}), &[draw, divisor])?;
    Ok(n.g.linear("index", &[(draw, 1), (rounds, -(rows as i64))], 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_sees_every_row_once() {
        for rows in [1u64, 2, 3, 7, 64, 97, 360, 1797] {
            for k in 0..20u8 {
                let s = Sampler::new(&[k; 32], rows);
                let mut seen = vec![false; rows as usize];
                (5..5 + rows).for_each(|j| seen[s.index(j) as usize] = true);
                assert!(seen.iter().all(|x| *x), "{rows} rows, seed {k}");
            }
        }
    }

    /// Frozen: the contract that derives the walk from a seed compares with the same numbers (`training/TrainingCheats:testSampler`).
    #[test]
    fn the_walk_of_one_seed() {
        assert_eq!(Sampler::new(&[7; 32], 1797), Sampler { rows: 1797, factor: 1253, start: 1542 });
    }

    #[test]
    fn seeds_choose_different_rows() {
        let draws = |k: u8| (0..32).map(|j| Sampler::new(&[k; 32], 1797).index(j)).collect::<Vec<_>>();
        let all: std::collections::BTreeSet<Vec<u64>> = (0..50).map(draws).collect();
        assert_eq!(all.len(), 50);
    }
}
