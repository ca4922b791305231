//! Linear: an integer combination of tensors of one shape, plus a constant.
//!
//! * Statement: `out = sum_i coefficients[i] * in_i + offset`.
//! * Shapes: all inputs alike.
//! * Pullback: the functional goes to every input, with its coefficient; the constant is `offset * <1, w>`.
//! * Lookups: none.
//! * Soundness: exact rewriting of the functional.
//! * Reference: docs/protocol.md#linear.

use super::{LinearPullback, Piece};
use crate::{
    error::GraphError,
    functional::Functional,
    interval::Interval,
    parallel::{NEAR, in_parts},
    ring::Ring,
    tensor::{Tensor, add},
};
use serde::{Deserialize, Serialize};

/// Parameters of the combination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linear {
    /// One coefficient per input.
    pub coefficients: Vec<i64>,
    /// Added to every entry.
    pub offset: i64,
}

impl Linear {
    pub(crate) fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, GraphError> {
        let first = inputs.first().ok_or(GraphError::Arity { expected: 1, got: 0 })?;
        for other in inputs {
            if other != first {
                return Err(GraphError::Shape { expected: first.to_vec(), got: other.to_vec() });
            }
        }
        Ok(first.to_vec())
    }

    pub(crate) fn range(&self, inputs: &[Interval]) -> Result<Interval, GraphError> {
        let offset = i128::from(self.offset);
        let mut out = Interval { lo: offset, hi: offset };
        for (c, r) in self.coefficients.iter().zip(inputs) {
            out = out.plus(r.scale(i128::from(*c))?)?;
        }
        Ok(out)
    }

    pub(crate) fn eval(&self, inputs: &[&Tensor], shape: &[usize]) -> Tensor {
        let data = in_parts(shape.iter().product(), 1, |first, out: &mut [i64]| {
            for (k, out) in out.chunks_mut(NEAR).enumerate() {
                if self.offset != 0 {
                    out.fill(self.offset);
                }
                for (c, t) in self.coefficients.iter().zip(inputs) {
                    add(out, &t.data[first + k * NEAR..], *c);
                }
            }
        });
        Tensor { shape: shape.to_vec(), data }
    }

    pub(crate) fn pullback<E: Ring>(&self, f: &Functional<E>) -> LinearPullback<E> {
        let pieces = self
            .coefficients
            .iter()
            .enumerate()
            .filter(|(_, c)| **c != 0)
            .map(|(input, c)| Piece { input, coefficient: *c, functional: f.clone() })
            .collect();
        let constant = (self.offset != 0).then(|| f.total() * E::from_i128(i128::from(self.offset)));
        LinearPullback { pieces, constant }
    }
}
