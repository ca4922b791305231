//! Errors of the graph: what is wrong, at which node, expected and got.

/// Why a graph (or a value fed to it) is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An error, with the node at which it arose.
    #[error("node '{node}' ({op}): {source}")]
    AtNode {
        /// Name of the node.
        node: String,
        /// Name of the operator.
        op: &'static str,
        /// The error itself.
        source: Box<GraphError>,
    },
    /// A shape whose element count passes the limit.
    #[error("shape {shape:?} has more than {limit} elements")]
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
        /// The limit.
        limit: usize,
    },
    /// Number of entries and shape disagree.
    #[error("expected {expected} entries, got {got}")]
    Length {
        /// Entries that the shape asks for.
        expected: usize,
        /// Entries present.
        got: usize,
    },
    /// Two shapes that must agree do not.
    #[error("expected shape {expected:?}, got {got:?}")]
    Shape {
        /// The shape asked for.
        expected: Vec<usize>,
        /// The shape present.
        got: Vec<usize>,
    },
    /// Wrong number of inputs.
    #[error("expected {expected} inputs, got {got}")]
    Arity {
        /// Number asked for.
        expected: usize,
        /// Number present.
        got: usize,
    },
    /// A parameter of an operator makes no sense.
    #[error("bad parameter: {0}")]
    Parameter(String),
    /// Worst-case values leave the range in which arithmetic is exact.
    #[error("worst-case values [{lo}, {hi}] leave the exact range of ±{limit}; use fewer bits")]
    Overflow {
        /// Smallest value.
        lo: i128,
        /// Largest value.
        hi: i128,
        /// The limit.
        limit: i128,
    },
    /// A value outside the interval that is range-checked.
    #[error("value {value} is outside the range [{lo}, {hi}]")]
    OutOfRange {
        /// The value.
        value: i64,
        /// Smallest allowed.
        lo: i128,
        /// Largest allowed.
        hi: i128,
    },
    /// A claim cannot be carried through this operator.
    #[error("a claim cannot be carried back through this operator: {0}")]
    Pullback(String),
    /// Bytes that are no canonical encoding.
    #[error("not a canonical encoding: {0}")]
    Encoding(String),
}

impl GraphError {
    /// The same error, with the node at which it arose.
    pub fn at(self, node: &str, op: &'static str) -> Self {
        match self {
            Self::AtNode { .. } => self,
            other => Self::AtNode { node: node.to_owned(), op, source: Box::new(other) },
        }
    }
}
