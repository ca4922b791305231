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
    tensor::{Tensor, around, element_count},
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
        let (outer, len, inner) = around(&input.shape, self.axis);
        let mut data = vec![0i64; outer * self.len * inner];
        for a in 0..outer {
            for o in 0..self.len {
                let target = (a * self.len + o) * inner;
                for t in 0..self.kernel {
                    if let Some(p) = self.position(o, t, len) {
                        let source = (a * len + p) * inner;
                        let (dst, src) = (&mut data[target..target + inner], &input.data[source..source + inner]);
                        dst.iter_mut().zip(src).for_each(|(d, s)| *d += s);
                    }
                }
            }
        }
        Tensor { shape: shape.to_vec(), data }
    }

    pub(crate) fn pullback<E: Ring>(
        &self,
        input: &[usize],
        shape: &[usize],
        f: &Functional<E>,
    ) -> Result<LinearPullback<E>, GraphError> {
        let (index, position) =
            f.factor_of(self.axis).ok_or_else(|| GraphError::Pullback(format!("axis {} is not covered", self.axis)))?;
        let mut out = f.clone();
        let factor = &f.factors[index];
        let dims: Vec<usize> = factor.axes.iter().map(|a| shape[*a]).collect();
        let extent = input[self.axis];
        out.factors[index] = factor.map_axis(&dims, position, extent, &mut |o, emit| {
            for t in 0..self.kernel {
                if let Some(p) = self.position(o, t, extent) {
                    emit(p, None);
                }
            }
        });
        Ok(LinearPullback::one(out))
    }
}
