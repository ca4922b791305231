//! Which rows of the data a step reads: an affine walk through all rows, drawn from a public seed.

use crate::canonical;

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
