//! Errors of the importer: which node, which operator, and what would help.

use crate::{error::GraphError, model::ModelError};

/// Why an ONNX file cannot be imported or compiled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read '{path}': {reason}")]
    Read {
        /// The path.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The file passes the size limit.
    #[error("the file has {got} bytes; at most {limit} are read")]
    TooLarge {
        /// Bytes in the file.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// The bytes are no ONNX model, or one that contradicts itself.
    #[error("not a usable ONNX model: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// A tensor of the file is unusable.
    #[error("tensor '{tensor}': {reason}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// An operator that cannot be compiled.
    #[error("node '{node}' ({op}) is not supported: {help}")]
    Unsupported {
        /// Name of the node.
        node: String,
        /// The operator's name in the file.
        op: String,
        /// What would help.
        help: String,
    },
    /// tract rejects the model, or fails to run it.
    #[error("{stage} failed: {reason}")]
    Engine {
        /// What was being done.
        stage: &'static str,
        /// What tract says.
        reason: String,
    },
    /// Calibration data that does not fit the model.
    #[error("calibration sample {sample}, input '{tensor}': {reason}")]
    Calibration {
        /// Index of the sample.
        sample: usize,
        /// Name of the input.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// Samples that were made up for want of data do not suit the model.
    #[error("'{node}' fails on made-up samples, because no calibration data was given: {reason}; pass real inputs")]
    MadeUp {
        /// Name of the node.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// A compile option outside its range.
    #[error("option {name} is {got}; {allowed} is possible")]
    Option {
        /// Name of the option.
        name: &'static str,
        /// The value given.
        got: String,
        /// What is allowed.
        allowed: String,
    },
    /// The integer graph rejects what was lowered.
    #[error("node '{node}' ({op}) cannot be lowered: {source}")]
    Lowering {
        /// Name of the node.
        node: String,
        /// The operator's name in the file.
        op: String,
        /// The reason.
        source: GraphError,
    },
    /// The compiled model breaks a rule.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ImportError {
    /// An error of tract, with its chain of causes on one line.
    pub(crate) fn engine(stage: &'static str, error: &dyn std::fmt::Display) -> Self {
        let mut reason = format!("{error:#}").replace('\n', " ");
        if reason.len() > 600 {
            let cut = (0..=600).rev().find(|i| reason.is_char_boundary(*i)).unwrap_or(0);
            reason.truncate(cut);
            reason.push_str(" ..");
        }
        Self::Engine { stage, reason }
    }

    /// An unsupported operator, node and operator to be filled in by the caller.
    pub(crate) fn unsupported(help: impl Into<String>) -> Self {
        Self::Unsupported { node: String::new(), op: String::new(), help: help.into() }
    }

    /// The same error with the node at which it arose.
    pub(crate) fn at(self, node: &str, op: &str) -> Self {
        match self {
            Self::Unsupported { node: n, help, .. } if n.is_empty() => {
                Self::Unsupported { node: node.to_owned(), op: op.to_owned(), help }
            }
            Self::Lowering { node: n, source, .. } if n.is_empty() => {
                Self::Lowering { node: node.to_owned(), op: op.to_owned(), source }
            }
            other => other,
        }
    }
}

impl From<GraphError> for ImportError {
    fn from(source: GraphError) -> Self {
        Self::Lowering { node: String::new(), op: String::new(), source }
    }
}
