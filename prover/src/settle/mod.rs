//! Settling: a hiding run of the protocol, its verifier in a circuit, and the opening of the masked row
//! (docs/protocol.md#settlement).

pub mod canary;
mod convert;
pub mod halo2;
mod key;
mod prove;
mod scheme;
mod template;

pub use halo2::CircuitError;
pub use key::{
    Optimize, SettledStack, SettlementOptions, SettlementProver, check_key, choose_row_bits, least_row_bits,
    load_settlement, needed_power, reopen_settlement, row_gas, setup_settlement,
};
pub use prove::{Settled, settle, settle_linked};
pub use template::Template;

use crate::{opening::OpenError, prove::ProveError, stack::StackError};
use assay_circuits::GraphError;
use assay_verifier::{channel::ProtocolError, settle::key::SettlementError};

/// Why nothing was settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleFailure {
    /// The inputs or the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The core.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// A named stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The opening.
    #[error(transparent)]
    Opening(#[from] OpenError),
    /// The circuit.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The check of a key.
    #[error(transparent)]
    Settlement(SettlementError),
    /// A settlement key that claims something false.
    #[error("the settlement key is not valid: {0}")]
    Key(&'static str),
    /// Too few powers of tau.
    #[error("blinded rows of 2^{row_bits} values need one power of tau more than that; there are {got}")]
    SrsTooSmall {
        /// log2 of the row length.
        row_bits: usize,
        /// Powers present.
        got: usize,
    },
    /// Rows that are too short for the contract.
    #[error("rows of 2^{row_bits} values are too many for a contract; make them at least 2^{least}")]
    TooManyRows {
        /// log2 of the row length.
        row_bits: usize,
        /// log2 of the shortest row length.
        least: usize,
    },
    /// Another row length than the named stacks have.
    #[error("the named stacks have rows of 2^{expected} values, 2^{got} were asked for; leave the row length to them")]
    RowBits {
        /// log2 of the stacks' row length.
        expected: usize,
        /// log2 of the length asked for.
        got: usize,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] assay_circuits::model::ModelError),
    /// Another number of inputs than the key is for.
    #[error("the settlement key is for batches of {expected}, got {got} inputs")]
    Batch {
        /// Inferences that the key is for.
        expected: u32,
        /// Inputs given.
        got: usize,
    },
    /// The system's random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(String),
}
