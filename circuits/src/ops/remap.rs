//! Remap: a sparse matrix of public integers along one axis. It is every fixed rearrangement and every fixed interpolation:
//! reflected and repeated borders, nearest and linear resizing, permutations, scattered sums.
//!
//! * Statement: `out[.., o, ..] = sum over (p, c) in rows[o] of c * in[.., p, ..]`; an empty row is zero.
//! * Shapes: the axis gets extent `rows.len()`; the others stay.
//! * Pullback: `w_in[p] = sum of c * w_out[o]` over all rows `o` that hold `(p, c)`.
//! * Lookups: none.
//! * Soundness: exact rewriting of the functional; the matrix is part of the graph.
//! * Reference: docs/protocol.md#linear.

use super::LinearPullback;
use crate::{
    error::GraphError,
    functional::Functional,
    interval::Interval,
    ring::Ring,
    tensor::{Tensor, element_count},
};
use serde::{Deserialize, Serialize};

/// Parameters: the axis and the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remap {
    /// The axis.
    pub axis: usize,
    /// For each index of the output, the indices of the input that it sums, with their factors.
    pub rows: Vec<Vec<(u32, i64)>>,
}

/// Most entries of the matrix.
const MAX_ENTRIES: usize = 1 << 24;

impl Remap {
    /// Chosen entries of an axis, in the given order; `None` is a zero.
    pub fn select(axis: usize, positions: impl IntoIterator<Item = Option<u32>>) -> Self {
        Self { axis, rows: positions.into_iter().map(|p| p.map(|p| (p, 1)).into_iter().collect()).collect() }
    }

    /// The entries of row `o`: index and factor.
    fn row(&self, o: usize) -> impl Iterator<Item = (usize, i64)> {
        self.rows.get(o).into_iter().flatten().map(|(p, c)| (*p as usize, *c))
    }

    /// Entries of the matrix.
    pub fn entries(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    pub(crate) fn infer(&self, input: &[usize]) -> Result<Vec<usize>, GraphError> {
        let Some(extent) = input.get(self.axis) else {
            return Err(GraphError::Parameter(format!("axis {} of a tensor of rank {}", self.axis, input.len())));
        };
        if self.rows.is_empty() || self.entries() > MAX_ENTRIES {
            return Err(GraphError::Parameter(format!(
                "a matrix of {} rows and {} entries; at least one row and at most {MAX_ENTRIES} entries are possible",
                self.rows.len(),
                self.entries()
            )));
        }
        if let Some((p, _)) = self.rows.iter().flatten().find(|(p, _)| *p as usize >= *extent) {
            return Err(GraphError::Parameter(format!("index {p} of an axis of extent {extent}")));
        }
        let mut shape = input.to_vec();
        shape[self.axis] = self.rows.len();
        element_count(&shape)?;
        Ok(shape)
    }

    pub(crate) fn range(&self, input: Interval) -> Result<Interval, GraphError> {
        let mut out: Option<Interval> = None;
        for row in &self.rows {
            let mut sum = Interval { lo: 0, hi: 0 };
            for (_, c) in row {
                sum = sum.plus(input.scale(i128::from(*c))?)?;
            }
            out = Some(out.map_or(sum, |o| o.union(sum)));
        }
        Ok(out.unwrap_or(input))
    }

    pub(crate) fn eval(&self, input: &Tensor, shape: &[usize]) -> Tensor {
        input.combine_along(self.axis, shape, |o| self.row(o))
    }

    pub(crate) fn pullback<E: Ring>(
        &self,
        input: &[usize],
        shape: &[usize],
        f: &Functional<E>,
    ) -> Result<LinearPullback<E>, GraphError> {
        let out = f.map_axis(self.axis, shape, input[self.axis], &mut |o, emit| {
            self.row(o).for_each(|(p, c)| emit(p, (c != 1).then_some(c)));
        })?;
        Ok(LinearPullback::one(out))
    }
}
