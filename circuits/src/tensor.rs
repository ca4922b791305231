//! Dense integer tensors, row-major.

use crate::{
    error::GraphError,
    parallel::{PART, all_parts, in_parts},
};
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
        row: impl Fn(usize) -> I + Sync,
    ) -> Self {
        let ((outer, len, inner), n) = (self.around(axis), shape[axis]);
        let entries = outer * n * inner;
        if (len, inner) == (1, 1) && n <= PART {
            // One entry that is repeated, as a bias is.
            let factors: Vec<i64> = (0..n).map(|o| row(o).map(|(_, c)| c).sum()).collect();
            let data = in_parts(entries, n, |at, out: &mut [i64]| {
                for (out, v) in out.chunks_mut(n.max(1)).zip(&self.data[at / n.max(1)..]) {
                    add(out, &factors, *v);
                }
            });
            return Self { shape: shape.to_vec(), data };
        }
        // Whole axes where they are short: a row of coefficients is then asked for once a part.
        let run = if n * inner <= PART { n * inner } else { inner };
        let data = in_parts(entries, run, |at, out: &mut [i64]| {
            let (first, last) = (at / inner.max(1), (at + out.len()) / inner.max(1));
            for start in first..last.min(first + n) {
                for (p, c) in row(start % n) {
                    for r in (start..last).step_by(n) {
                        let (target, source) = ((r - first) * inner, (r / n * len + p) * inner);
                        match inner {
                            1 => out[target] += c * self.data[source],
                            _ => add(&mut out[target..target + inner], &self.data[source..source + inner], c),
                        }
                    }
                }
            }
        });
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

/// Whether a value is less than `lo` or more than `hi`.
pub(crate) fn any_outside(values: &[i64], lo: i64, hi: i64) -> bool {
    !all_parts(values, |part| inside(part, lo, hi))
}

vectors! {
    /// Whether no value is less than `lo` or more than `hi`.
    pub(crate) fn inside(values: &[i64], lo: i64, hi: i64) -> bool {
        const FAR: i64 = 1 << 62;
        // All processors subtract 64-bit integers in vectors, few compare them. With bounds of 62 bits a value outside makes one
        // of the differences negative, even where the other one wraps; what is inside makes none.
        let near = -FAR <= lo && lo <= hi && hi <= FAR;
        let mut signs = 0;
        for v in values {
            signs |= v.wrapping_sub(lo) | hi.wrapping_sub(*v);
        }
        (near && signs >= 0) || !values.iter().any(|v| *v < lo || *v > hi)
    }

    /// `sum[i] += factor * values[i]`.
    pub(crate) fn add(sum: &mut [i64], values: &[i64], factor: i64) {
        // Products of 64 bits are slow where there is no vector instruction for them.
        match factor {
            1 => {
                for (d, v) in sum.iter_mut().zip(values) {
                    *d += v;
                }
            }
            -1 => {
                for (d, v) in sum.iter_mut().zip(values) {
                    *d -= v;
                }
            }
            _ => {
                for (d, v) in sum.iter_mut().zip(values) {
                    *d += factor * v;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Values near the ends of 64 bits, near zero and anywhere.
    fn value() -> impl Strategy<Value = i64> {
        let ends =
            prop::sample::select(vec![i64::MIN, i64::MAX, 0, -1, 1, 1 << 62, -(1 << 62), (1 << 62) + 1, i64::MIN + 1]);
        prop_oneof![any::<i64>(), -9i64..9, (ends, -3i64..=3).prop_map(|(e, d)| e.saturating_add(d))]
    }

    proptest! {
        #[test]
        fn what_is_outside_is_found(values in prop::collection::vec(value(), 0..20), lo in value(), hi in value()) {
            let obvious = values.iter().any(|v| *v < lo || *v > hi);
            prop_assert_eq!(any_outside(&values, lo, hi), obvious);
        }

        #[test]
        fn combinations_along_an_axis_are_sums(
            shape in prop::collection::vec(1usize..6, 1..5),
            axis in any::<prop::sample::Index>(),
            rows in prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), -3i64..=3), 0..4), 1..9),
            seed in any::<u64>(),
        ) {
            let axis = axis.index(shape.len());
            let n: usize = shape.iter().product();
            let data = (0..n as u64).map(|i| (seed.wrapping_mul(i + 1) >> 40) as i64 - (1 << 23)).collect();
            let t = Tensor::new(shape.clone(), data).unwrap();
            let (outer, len, inner) = t.around(axis);
            let rows: Vec<Vec<(usize, i64)>> =
                rows.into_iter().map(|r| r.into_iter().map(|(p, c)| (p.index(len), c)).collect()).collect();
            let mut target = shape;
            target[axis] = rows.len();
            let mut want = vec![0i64; outer * rows.len() * inner];
            for (at, v) in want.iter_mut().enumerate() {
                let (a, o, i) = (at / inner / rows.len(), at / inner % rows.len(), at % inner);
                *v = rows[o].iter().map(|(p, c)| c * t.data[(a * len + p) * inner + i]).sum();
            }
            let got = t.combine_along(axis, &target, |o| rows[o].iter().copied());
            prop_assert_eq!(got, Tensor::new(target, want).unwrap());
        }
    }
}
