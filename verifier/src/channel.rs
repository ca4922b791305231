//! The interface through which the protocol is interpreted (docs/protocol.md#channel).

use assay_circuits::{GraphError, Ring};

/// Which equation failed. Every check of the protocol has one id, named in docs/protocol.md#checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// The sum of all lookup fractions is zero.
    LookupSum,
    /// The denominator of that sum is not zero.
    LookupDenominator,
    /// A layer of the fraction tree follows from the layer below.
    LookupLayer,
    /// The bilinear sumcheck ends in the product of its operands' claims.
    Bilinear,
    /// The opening sumcheck ends in the claimed evaluations of the stacks.
    Reduction,
}

/// Why the protocol stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// An equation does not hold.
    #[error("check {0:?} failed: the proof does not prove its statement")]
    Check(Check),
    /// The proof has too few messages.
    #[error("the proof ends before message '{0}'")]
    MissingMessage(&'static str),
    /// A value that must be invertible is zero; for a challenge this happens with probability 2^-254.
    #[error("cannot invert zero at '{0}'")]
    ZeroInverse(&'static str),
    /// A claim could not be carried through the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A part of the layout that must exist does not.
    #[error("malformed layout: {0}")]
    Layout(&'static str),
    /// A circuit whose claimed number of rows cannot be its own.
    #[error("a circuit of 2^{claimed} rows is claimed; the verifier of this graph takes {what} than that")]
    CircuitSize {
        /// log2 of the rows claimed.
        claimed: usize,
        /// More or fewer.
        what: &'static str,
    },
}

/// An interpreter of the protocol.
///
/// `Elem` offers ring operations and nothing else, so data-dependent branches do not compile. Calls come in the same
/// order with the same labels in every interpreter.
pub trait Channel {
    /// A field element as this interpreter sees it.
    type Elem: Ring;

    /// Absorbs a value that both sides know.
    fn observe(&mut self, label: &'static str, value: &Self::Elem) -> Result<(), ProtocolError>;

    /// The prover's next message, absorbed at once.
    fn receive(&mut self, label: &'static str) -> Result<Self::Elem, ProtocolError>;

    /// A challenge that depends on everything absorbed so far.
    fn challenge(&mut self, label: &'static str) -> Result<Self::Elem, ProtocolError>;

    /// `sum_i zeta^i public_i` over all public values in order; they are part of the statement, so nothing is absorbed.
    fn public(&mut self, zeta: &Self::Elem) -> Result<Self::Elem, ProtocolError>;

    /// The inverse of a value, which must not be zero. It is determined, so nothing is absorbed.
    fn invert(&mut self, label: &'static str, value: &Self::Elem) -> Result<Self::Elem, ProtocolError>;

    /// Requires a value to be zero.
    fn assert_zero(&mut self, check: Check, value: Self::Elem) -> Result<(), ProtocolError>;
}
