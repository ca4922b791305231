//! Recurrent cells: one direction of an RNN, LSTM or GRU over all steps.
//!
//! * Statement: step `t` follows from step `t - 1` as the ONNX standard writes the cell, with integer states of a fixed unit.
//! * ONNX: RNN, LSTM, GRU, whose rule ([`crate::onnx::rewrite`]) leaves the products with the input outside.
//! * Shapes: products with the input, biases added, `[T, N, gates * H]`; weights `[gates * H, H]`; initial states `[1, N, H]`; then
//!   peepholes `[3 H]` of an LSTM or the bias `[H]` inside of the reset of a GRU. Out come the states `[T, N, H]`, and sums that only
//!   calibration looks at.
//! * Lowering: a [`crate::ops::Delay`] for each state; one contraction with the recurrent weights for all steps, elementwise ones for
//!   the gates, a lookup for each activation and each state. Gates are in the graph once, whatever the number of steps.
//! * Lookups: a value of a state costs one (RNN), 5 (GRU) or 7 (LSTM), with limbs for what is rounded away.
//! * Soundness: lookups, linear views, bilinear sumcheck; the state is committed, and its declared range is that of its table.
//! * Reference: docs/protocol.md#time; ONNX operators RNN, LSTM, GRU.

mod activation;
mod cells;
mod float;

pub(crate) use activation::Activation;

use crate::onnx::{
    error::ImportError,
    lower::{Lowering, Result, Value},
};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

/// Which cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cell {
    /// One activation.
    Rnn,
    /// Input, output, forget and cell gate, in this order.
    Lstm {
        /// The forget gate is one less the input gate.
        coupled: bool,
        /// Input, output and forget gate see the memory.
        peepholes: bool,
    },
    /// Update, reset and hidden gate, in this order.
    Gru {
        /// The reset gate comes behind the product with the recurrent weights (`linear_before_reset`).
        reset_after: bool,
    },
}

impl Cell {
    /// Number of gates.
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Lstm { .. } => 4,
            Self::Gru { .. } => 3,
        }
    }

    /// Whether there is a second state.
    pub(crate) fn has_memory(self) -> bool {
        matches!(self, Self::Lstm { .. })
    }

    /// Inputs behind the states.
    fn extras(self) -> usize {
        usize::from(matches!(self, Self::Lstm { peepholes: true, .. } | Self::Gru { reset_after: true }))
    }

    /// Number of activations.
    pub(crate) fn activations(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Lstm { .. } => 3,
            Self::Gru { .. } => 2,
        }
    }
}

/// One direction of a recurrent operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recurrent {
    pub(crate) cell: Cell,
    /// Hidden units.
    pub(crate) units: usize,
    /// From the last step to the first.
    pub(crate) reverse: bool,
    pub(crate) activations: Vec<Activation>,
}

impl Recurrent {
    /// Shapes of the outputs: the states, and sums that set ranges of lookups.
    pub(crate) fn outputs(&self, steps: usize, n: usize) -> Vec<Vec<usize>> {
        let wide = |k: usize| vec![steps, n, k * self.units];
        match self.cell {
            Cell::Rnn => vec![wide(1), wide(1)],
            Cell::Lstm { .. } => vec![wide(1), wide(1), wide(3), wide(1)],
            Cell::Gru { .. } => vec![wide(1), wide(2), wide(1), wide(1)],
        }
    }

    /// Checks what the parameters claim of each other.
    fn check(&self) -> Result<()> {
        if self.units == 0 || self.activations.len() != self.cell.activations() {
            return Err(ImportError::unsupported("a recurrent cell whose parameters do not fit"));
        }
        Ok(())
    }

    pub(super) fn eval(&self, inputs: &[TValue]) -> TractResult<Vec<Tensor>> {
        self.check().map_err(|e| TractError::msg(e.to_string()))?;
        float::eval(self, inputs)
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Vec<Value>> {
        self.check()?;
        cells::lower(self, c, node)
    }
}
