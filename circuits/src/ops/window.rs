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

    /// The least and the largest number of entries of an axis of this extent that a window sums; of windows with gaps between
    /// their entries that are not all inside, bounds of it. The cost does not depend on the number of windows.
    pub(crate) fn counts(&self, extent: usize) -> (usize, usize) {
        let (kernel, extent, last) = (self.kernel as i128, extent as i128, self.len as i128 - 1);
        let steps = [last * i128::from(self.stride), (kernel - 1) * i128::from(self.dilation), i128::from(self.offset)];
        if steps.iter().any(|s| s.unsigned_abs() >> 60 != 0) {
            // Positions that have no 64 bits count as outside.
            return (0, self.kernel);
        }
        // Of one entry the step does not matter; from the far end a negative step is a positive one.
        let dilation = if kernel == 1 { 1 } else { i128::from(self.dilation) };
        let back = if dilation < 0 { dilation * (kernel - 1) } else { 0 };
        let dilation = dilation.abs();
        let start = |o: i128| o * i128::from(self.stride) + i128::from(self.offset) + back;
        if dilation > 1 {
            let inside = |b: i128| b >= 0 && b + (kernel - 1) * dilation < extent;
            // Between two windows that are inside all others are.
            let all = inside(start(0)) && inside(start(last));
            return (if all { self.kernel } else { 0 }, self.kernel);
        }
        let count = |o: i128| {
            let b = start(o);
            if dilation == 0 {
                return if 0 <= b && b < extent { kernel } else { 0 };
            }
            (kernel.min(extent - b) - (-b).max(0)).max(0)
        };
        // Along the windows the number rises, stays and falls: it is least at an end, and largest at an end or where the first
        // entry is the axis' first or the last one its last.
        let near = |b: i128| {
            let stride = i128::from(self.stride);
            let o = if stride == 0 { 0 } else { ((b - start(0)) * stride.signum()).div_euclid(stride.abs()) };
            [o, o + 1].map(|o| o.clamp(0, last))
        };
        let top = extent - if dilation == 0 { 1 } else { kernel };
        let peaks = [near(0), near(top)];
        let most = peaks.as_flattened().iter().chain(&[0, last]).map(|o| count(*o)).max().unwrap_or(0);
        (count(0).min(count(last)) as usize, most as usize)
    }

    pub(crate) fn range(&self, input: Interval, extent: usize) -> Result<Interval, GraphError> {
        let (least, most) = self.counts(extent);
        Ok(input.scale(least as i128)?.union(input.scale(most as i128)?))
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
