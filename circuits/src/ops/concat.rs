//! Concat: tensors side by side along one axis.
//!
//! * Statement: `out` is the inputs in order along `axis`.
//! * Shapes: alike but for that axis, whose extents add.
//! * Pullback: each input gets the slice of the weights at its place.
//! * Lookups: none.
//! * Soundness: exact rewriting of the functional.
//! * Reference: docs/protocol.md#linear.

use super::{LinearPullback, Piece};
use crate::{
    error::GraphError,
    functional::Functional,
    ring::Ring,
    tensor::{Tensor, around, element_count},
};
use serde::{Deserialize, Serialize};

/// Parameters: the axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat {
    /// The axis along which the inputs are joined.
    pub axis: usize,
}

impl Concat {
    pub(crate) fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, GraphError> {
        let first = inputs.first().ok_or(GraphError::Arity { expected: 1, got: 0 })?;
        if self.axis >= first.len() {
            return Err(GraphError::Parameter(format!("axis {} of a tensor of rank {}", self.axis, first.len())));
        }
        let mut shape = first.to_vec();
        shape[self.axis] = 0;
        for other in inputs {
            let alike = other.len() == first.len()
                && other.iter().zip(first.iter()).enumerate().all(|(a, (x, y))| a == self.axis || x == y);
            if !alike {
                return Err(GraphError::Shape { expected: first.to_vec(), got: other.to_vec() });
            }
            shape[self.axis] += other[self.axis];
        }
        element_count(&shape)?;
        Ok(shape)
    }

    pub(crate) fn eval(&self, inputs: &[&Tensor], shape: &[usize]) -> Tensor {
        let (outer, _, inner) = around(shape, self.axis);
        let mut data = Vec::with_capacity(shape.iter().product());
        for a in 0..outer {
            for t in inputs {
                let n = t.shape[self.axis] * inner;
                data.extend_from_slice(&t.data[a * n..(a + 1) * n]);
            }
        }
        Tensor { shape: shape.to_vec(), data }
    }

    pub(crate) fn pullback<E: Ring>(
        &self,
        inputs: &[&[usize]],
        shape: &[usize],
        f: &Functional<E>,
    ) -> Result<LinearPullback<E>, GraphError> {
        let mut pieces = Vec::with_capacity(inputs.len());
        let mut start = 0;
        for (input, s) in inputs.iter().enumerate() {
            let n = s[self.axis];
            let functional = f.map_axis(self.axis, shape, n, &mut |o, emit| {
                if (start..start + n).contains(&o) {
                    emit(o - start, None);
                }
            })?;
            pieces.push(Piece { input, coefficient: 1, functional });
            start += n;
        }
        Ok(LinearPullback { pieces, constant: None })
    }
}
