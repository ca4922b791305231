//! AxisScale: one public integer factor per index of an axis.
//!
//! * Statement: `out[.., i, ..] = factors[i] * in[.., i, ..]`.
//! * Shapes: unchanged.
//! * Pullback: `w_in[i] = factors[i] * w_out[i]`.
//! * Lookups: none.
//! * Soundness: exact rewriting of the functional; the factors are part of the graph.
//! * Reference: docs/protocol.md#linear.

use super::LinearPullback;
use crate::{
    error::GraphError,
    functional::Functional,
    interval::Interval,
    ring::Ring,
    tensor::{Tensor, around},
};
use serde::{Deserialize, Serialize};

/// Parameters: the axis and its factors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AxisScale {
    /// The axis.
    pub axis: usize,
    /// One factor per index.
    pub factors: Vec<i64>,
}

impl AxisScale {
    pub(crate) fn infer(&self, input: &[usize]) -> Result<Vec<usize>, GraphError> {
        match input.get(self.axis) {
            Some(n) if *n == self.factors.len() => Ok(input.to_vec()),
            Some(n) => Err(GraphError::Length { expected: *n, got: self.factors.len() }),
            None => Err(GraphError::Parameter(format!("axis {} of a tensor of rank {}", self.axis, input.len()))),
        }
    }

    pub(crate) fn range(&self, input: Interval) -> Result<Interval, GraphError> {
        let mut out: Option<Interval> = None;
        for f in &self.factors {
            let r = input.scale(i128::from(*f))?;
            out = Some(out.map_or(r, |o| o.union(r)));
        }
        Ok(out.unwrap_or(input))
    }

    pub(crate) fn eval(&self, input: &Tensor) -> Tensor {
        let (outer, len, inner) = around(&input.shape, self.axis);
        let mut out = input.clone();
        for a in 0..outer {
            for (i, f) in self.factors.iter().enumerate().take(len) {
                let start = (a * len + i) * inner;
                out.data[start..start + inner].iter_mut().for_each(|v| *v *= f);
            }
        }
        out
    }

    pub(crate) fn pullback<E: Ring>(
        &self,
        shape: &[usize],
        f: &Functional<E>,
    ) -> Result<LinearPullback<E>, GraphError> {
        let out =
            f.map_axis(self.axis, shape, shape[self.axis], &mut |o, emit| emit(o, self.factors.get(o).copied()))?;
        Ok(LinearPullback::one(out))
    }
}
