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
    #[error("{}: {reason}", tensor_named(tensor))]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// An operator that cannot be compiled.
    #[error("{} is not supported: {help}", node_named(node, op))]
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
    #[error("{} cannot be lowered: {source}", node_named(node, op))]
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

/// A node for people: name and operator, as far as there are any.
fn node_named(node: &str, op: &str) -> String {
    match (node.is_empty(), op.is_empty()) {
        (false, false) => format!("node '{node}' ({op})"),
        (false, true) => format!("node '{node}'"),
        (true, false) => format!("a node without a name ({op})"),
        (true, true) => "the model as a whole".to_owned(),
    }
}

fn tensor_named(tensor: &str) -> String {
    if tensor.is_empty() { "a tensor without a name".to_owned() } else { format!("tensor '{tensor}'") }
}

impl ImportError {
    /// An error of tract, with its chain of causes on one line.
    pub(crate) fn engine(stage: &'static str, error: &dyn std::fmt::Display) -> Self {
        let mut reason = format!("{error:#}").replace('\n', " ");
        if reason.trim().is_empty() {
            "the engine gives no reason".clone_into(&mut reason);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_has_an_empty_name() {
        let graph = || GraphError::Shape { expected: vec![1], got: vec![2] };
        let of = |node: &str, op: &str| {
            let (node, op) = (node.to_owned(), op.to_owned());
            ImportError::Unsupported { node, op, help: "why".to_owned() }.to_string()
        };
        assert_eq!(of("fc1", "Gemm"), "node 'fc1' (Gemm) is not supported: why");
        assert_eq!(of("", "Gemm"), "a node without a name (Gemm) is not supported: why");
        assert_eq!(of("fc1", ""), "node 'fc1' is not supported: why");
        assert_eq!(of("", ""), "the model as a whole is not supported: why");
        let all = [
            of("", "Gemm"),
            of("fc1", ""),
            ImportError::from(graph()).to_string(),
            ImportError::from(graph()).at("fc1", "").to_string(),
            ImportError::Tensor { tensor: String::new(), reason: "why".to_owned() }.to_string(),
            ImportError::engine("reading", &"").to_string(),
        ];
        for message in all {
            assert!(!message.contains("''") && !message.contains("()") && !message.ends_with(": "), "{message}");
        }
    }
}
