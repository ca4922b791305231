//! Sources: the committed tensors that no operator computes.
//!
//! * Statement: `x` is a tensor of integers in `[-2^(bits-1), 2^(bits-1))` ([`Input`]: of the witness; [`Weight`]: of the
//!   model's commitment).
//! * Shapes: as given.
//! * Pullback: none; a claim goes to the opening.
//! * Lookups: one a value, into a range table (weights: once, at registration).
//! * Soundness: a value outside the range has no row in the range table.
//! * Reference: docs/protocol.md#sources.

use crate::{error::GraphError, interval::Interval, tensor::element_count};
use serde::{Deserialize, Serialize};

/// An input of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Extents.
    pub shape: Vec<usize>,
    /// Signed width of a value, 1 to 20.
    pub bits: u32,
}

/// A constant tensor of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// Extents.
    pub shape: Vec<usize>,
    /// Signed width of a value, 1 to 20.
    pub bits: u32,
}

fn infer(shape: &[usize], bits: u32) -> Result<Vec<usize>, GraphError> {
    if !(1..=20).contains(&bits) {
        return Err(GraphError::Parameter(format!("a width of {bits} bits; 1 to 20 are possible")));
    }
    if element_count(shape)? == 0 {
        return Err(GraphError::Parameter(format!("an empty tensor {shape:?}")));
    }
    Ok(shape.to_vec())
}

fn range(bits: u32) -> Interval {
    let half = 1i128 << bits.clamp(1, 20).saturating_sub(1);
    Interval { lo: -half, hi: half - 1 }
}

impl Input {
    pub(crate) fn infer(&self) -> Result<Vec<usize>, GraphError> {
        infer(&self.shape, self.bits)
    }

    /// The range that is proven.
    pub fn range(&self) -> Interval {
        range(self.bits)
    }

    pub(crate) fn batched(&self, batch: usize) -> Self {
        let mut shape = vec![batch];
        shape.extend_from_slice(&self.shape);
        Self { shape, bits: self.bits }
    }
}

impl Weight {
    pub(crate) fn infer(&self) -> Result<Vec<usize>, GraphError> {
        infer(&self.shape, self.bits)
    }

    /// The range that is proven.
    pub fn range(&self) -> Interval {
        range(self.bits)
    }
}
