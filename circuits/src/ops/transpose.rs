//! Transpose: a permutation of the axes.
//!
//! * Statement: `out[i_0, .., i_(d-1)] = in[..]` with `out` axis `k` being `in` axis `permutation[k]`.
//! * Shapes: `out.shape[k] = in.shape[permutation[k]]`.
//! * Pullback: the factors are relabelled.
//! * Lookups: none.
//! * Soundness: exact rewriting of the functional.
//! * Reference: docs/protocol.md#linear.

use super::LinearPullback;
use crate::{
    error::GraphError,
    functional::{Factor, Functional, grid_offsets},
    ring::Ring,
    tensor::{Tensor, strides},
};
use serde::{Deserialize, Serialize};

/// Parameters: for each output axis the input axis that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transpose {
    /// A permutation of `0..rank`.
    pub permutation: Vec<usize>,
}

impl Transpose {
    pub(crate) fn infer(&self, input: &[usize]) -> Result<Vec<usize>, GraphError> {
        let mut seen = vec![false; input.len()];
        for p in &self.permutation {
            match seen.get_mut(*p) {
                Some(s) if !*s => *s = true,
                _ => return Err(GraphError::Parameter(format!("{:?} is no permutation", self.permutation))),
            }
        }
        if self.permutation.len() != input.len() {
            return Err(GraphError::Parameter(format!(
                "{:?} permutes {} axes, the input has {}",
                self.permutation,
                self.permutation.len(),
                input.len()
            )));
        }
        Ok(self.permutation.iter().map(|p| input[*p]).collect())
    }

    pub(crate) fn eval(&self, input: &Tensor, shape: &[usize]) -> Tensor {
        let st = strides(&input.shape);
        let offsets = grid_offsets(self.permutation.iter().map(|p| (input.shape[*p], st[*p])));
        Tensor { shape: shape.to_vec(), data: offsets.into_iter().map(|o| input.data[o]).collect() }
    }

    pub(crate) fn pullback<E: Ring>(&self, f: &Functional<E>) -> LinearPullback<E> {
        let factors = f
            .factors
            .iter()
            .map(|x| Factor { axes: x.axes.iter().map(|a| self.permutation[*a]).collect(), ..x.clone() })
            .collect();
        LinearPullback::one(Functional { factors }.sorted())
    }

    pub(crate) fn batched(&self) -> Self {
        let mut permutation = vec![0];
        permutation.extend(self.permutation.iter().map(|p| p + 1));
        Self { permutation }
    }
}
