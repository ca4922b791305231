//! Window: sums over a sliding window of one axis. It is slice, zero padding, broadcast, reduce-sum and sum-pooling.
//!
//! * Statement: `out[.., o, ..] = sum_(t < kernel) in[.., o*stride + t*dilation + offset, ..]`, entries outside the axis
//!   being zero.
//! * Shapes: the axis gets extent `len`; the others stay.
//! * Pullback: `w_in[p] = sum of w_out[o]` over all `(o, t)` with `o*stride + t*dilation + offset = p`.
//! * Lookups: none.
//! * Soundness: exact rewriting of the functional.
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

/// Parameters of the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The axis.
    pub axis: usize,
    /// Extent of the axis in the output.
    pub len: usize,
    /// Step of the window in the input, per output index; zero for a broadcast, negative for a reversal.
    pub stride: i64,
    /// Number of entries summed.
    pub kernel: usize,
    /// Step between the entries summed.
    pub dilation: i64,
    /// Input index of the first entry of the first window; negative for padding in front.
    pub offset: i64,
}

impl Window {
    /// Entries `start, start + step, ..` of an axis.
    pub fn slice(axis: usize, start: i64, step: i64, len: usize) -> Self {
        Self { axis, len, stride: step, kernel: 1, dilation: 1, offset: start }
    }

    /// Zeros before and after an axis of extent `extent`.
    pub fn pad(axis: usize, extent: usize, before: usize, after: usize) -> Self {
        Self { axis, len: extent + before + after, stride: 1, kernel: 1, dilation: 1, offset: -(before as i64) }
    }

    /// An axis of extent one, repeated.
    pub fn broadcast(axis: usize, len: usize) -> Self {
        Self { axis, len, stride: 0, kernel: 1, dilation: 1, offset: 0 }
    }

    /// The sum over an axis, which keeps extent one.
    pub fn reduce(axis: usize, extent: usize) -> Self {
        Self { axis, len: 1, stride: 1, kernel: extent, dilation: 1, offset: 0 }
    }

    /// Input index of entry `t` of window `o`, where it exists.
    fn position(&self, o: usize, t: usize, extent: usize) -> Option<usize> {
        let p = (o as i64)
            .checked_mul(self.stride)?
            .checked_add((t as i64).checked_mul(self.dilation)?)?
            .checked_add(self.offset)?;
        usize::try_from(p).ok().filter(|p| *p < extent)
    }

    /// Input indices that window `o` sums.
    fn positions(&self, o: usize, extent: usize) -> impl Iterator<Item = usize> {
        (0..self.kernel).filter_map(move |t| self.position(o, t, extent))
    }

    pub(crate) fn infer(&self, input: &[usize]) -> Result<Vec<usize>, GraphError> {
        if self.axis >= input.len() {
            return Err(GraphError::Parameter(format!("axis {} of a tensor of rank {}", self.axis, input.len())));
        }
        let mut shape = input.to_vec();
        shape[self.axis] = self.len;
        element_count(&shape)?;
        if self.len == 0 || self.kernel == 0 || self.len.saturating_mul(self.kernel) > 1 << 28 {
            return Err(GraphError::Parameter(format!("{} windows of {} entries", self.len, self.kernel)));
        }
        Ok(shape)
    }

    pub(crate) fn range(&self, input: Interval) -> Result<Interval, GraphError> {
        let zero = Interval { lo: 0, hi: 0 };
        input.union(zero).scale(self.kernel as i128).map(|r| if self.kernel == 1 { input.union(zero) } else { r })
    }

    pub(crate) fn eval(&self, input: &Tensor, shape: &[usize]) -> Tensor {
        let extent = input.shape[self.axis];
        input.combine_along(self.axis, shape, |o| self.positions(o, extent).map(|p| (p, 1)))
    }

    pub(crate) fn pullback<E: Ring>(
        &self,
        input: &[usize],
        shape: &[usize],
        f: &Functional<E>,
    ) -> Result<LinearPullback<E>, GraphError> {
        let extent = input[self.axis];
        let out = f.map_axis(self.axis, shape, extent, &mut |o, emit| {
            self.positions(o, extent).for_each(|p| emit(p, None));
        })?;
        Ok(LinearPullback::one(out))
    }
}
