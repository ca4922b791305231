//! Dense integer tensors, row-major.

use crate::error::GraphError;
use serde::{Deserialize, Serialize};

/// A row-major tensor of 64-bit integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// Extent of each axis; a scalar has none.
    pub shape: Vec<usize>,
    /// `shape.iter().product()` entries, last axis fastest.
    pub data: Vec<i64>,
}

/// Number of entries of a shape, or an error where it exceeds [`MAX_ELEMENTS`].
pub fn element_count(shape: &[usize]) -> Result<usize, GraphError> {
    let mut n: usize = 1;
    for d in shape {
        n = n
            .checked_mul(*d)
            .filter(|n| *n <= MAX_ELEMENTS)
            .ok_or_else(|| GraphError::TooLarge { shape: shape.to_vec(), limit: MAX_ELEMENTS })?;
    }
    Ok(n)
}

/// The largest tensor that a graph may hold: 2^28 entries.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// The longest axis, and the most entries of one factor of a functional: 2^22. The verifier holds one field element for
/// each.
pub const MAX_EXTENT: usize = 1 << 22;

/// Row-major strides of a shape, in entries.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut out = vec![1; shape.len()];
    for k in (0..shape.len().saturating_sub(1)).rev() {
        out[k] = out[k + 1] * shape[k + 1];
    }
    out
}

impl Tensor {
    /// A tensor of the given shape and entries; the counts must agree.
    pub fn new(shape: Vec<usize>, data: Vec<i64>) -> Result<Self, GraphError> {
        let n = element_count(&shape)?;
        if n != data.len() {
            return Err(GraphError::Length { expected: n, got: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// All entries zero.
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), data: vec![0; shape.iter().product()] }
    }

    /// Smallest and largest entry; `(0, 0)` when empty.
    pub fn extremes(&self) -> (i64, i64) {
        let lo = self.data.iter().copied().min().unwrap_or(0);
        let hi = self.data.iter().copied().max().unwrap_or(0);
        (lo, hi)
    }

    /// `out[.., o, ..] = sum of c * self[.., p, ..]` over the pairs `(p, c)` of `row(o)`, along one axis; `shape` is the result's.
    pub(crate) fn combine_along<I: Iterator<Item = (usize, i64)>>(
        &self,
        axis: usize,
        shape: &[usize],
        row: impl Fn(usize) -> I,
    ) -> Self {
        let ((outer, len, inner), n) = (self.around(axis), shape[axis]);
        let mut data = vec![0i64; outer * n * inner];
        for a in 0..outer {
            for o in 0..n {
                let target = (a * n + o) * inner;
                for (p, c) in row(o) {
                    let source = (a * len + p) * inner;
                    let to = data[target..target + inner].iter_mut();
                    let from = &self.data[source..source + inner];
                    // Products of 64 bits are slow where there is no vector instruction for them.
                    if c == 1 {
                        to.zip(from).for_each(|(d, s)| *d += s);
                    } else {
                        to.zip(from).for_each(|(d, s)| *d += c * s);
                    }
                }
            }
        }
        Self { shape: shape.to_vec(), data }
    }

    /// Splits the shape around an axis: entries before it, its extent, entries behind it.
    pub fn around(&self, axis: usize) -> (usize, usize, usize) {
        around(&self.shape, axis)
    }
}

/// Splits a shape around an axis: `(outer, len, inner)`.
pub fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}
