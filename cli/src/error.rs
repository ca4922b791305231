//! Failures as people and programs see them: one sentence, what would help, and an exit code.

use assay_circuits::{GraphError, model::ModelError, onnx::ImportError};
use assay_prover::{
    prove::ProveError,
    settle::{CircuitError, SettleFailure},
    setup::SetupError,
    srs::SrsError,
};
use assay_verifier::{VerifyError, key::KeyError, proof::ProofError, settle::key::SettlementError};
use miette::Diagnostic;
use std::{fmt, path::Path};

/// What the process tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; a proof that was checked is valid.
    Success = 0,
    /// The proof was checked and does not show what is claimed.
    Invalid = 1,
    /// Nothing was shown either way.
    CouldNotCheck = 2,
}

/// Why a command stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) exit: Exit,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), help: None, exit: Exit::CouldNotCheck }
    }

    pub(crate) fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    pub(crate) fn help_if_none(self, help: &str) -> Self {
        if self.help.is_none() { self.help(help) } else { self }
    }

    /// The proof is not accepted: exit code 1.
    pub(crate) fn invalid(mut self) -> Self {
        self.exit = Exit::Invalid;
        self
    }

    /// Names the file that is to blame.
    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.message = format!("'{}': {}", path.display(), self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
}

const DAMAGED: &str = "the file is damaged or cut short; make it again, or fetch it again from where it came from";
const OTHER_VERSION: &str = "make it again with this version of assay, or use the version that made it";

impl From<ModelError> for Failure {
    fn from(e: ModelError) -> Self {
        let help = match &e {
            ModelError::File(_) => Some(DAMAGED),
            ModelError::Version { .. } => Some(OTHER_VERSION),
            ModelError::Length { .. } => {
                Some("`assay inspect MODEL` lists the inputs and their shapes; see the README for the input formats")
            }
            ModelError::NotFinite { .. } => {
                Some("every input value must be a finite number; look for a division by zero")
            }
            _ => None,
        };
        let f = Self::new(&e);
        help.map_or(f.help_if_graph(), |h| Self::new(&e).help(h))
    }
}

impl Failure {
    fn help_if_graph(self) -> Self {
        if self.message.contains("a private output must be committed") {
            return self.help("compile the model with --private-output, or leave out --private-outputs");
        }
        self
    }
}

impl From<GraphError> for Failure {
    fn from(e: GraphError) -> Self {
        Self::new(e).help_if_graph()
    }
}

impl From<KeyError> for Failure {
    fn from(e: KeyError) -> Self {
        let help = if matches!(e, KeyError::Version { .. }) { OTHER_VERSION } else { DAMAGED };
        Self::new(e).help(help)
    }
}

impl From<ProofError> for Failure {
    /// Bytes that are no proof show nothing: that is for the caller to call invalid.
    fn from(e: ProofError) -> Self {
        let help = match e {
            ProofError::Version { .. } | ProofError::Kind(_) => OTHER_VERSION,
            _ => DAMAGED,
        };
        Self::new(e).help(help)
    }
}

impl From<ProveError> for Failure {
    fn from(e: ProveError) -> Self {
        let help = match &e {
            ProveError::SrsTooSmall { row_bits, .. } => Some(format!(
                "use powers of tau of at least 2^{row_bits} (`assay srs import FILE.ptau --power {row_bits}`), or make the \
                 key with a smaller --row-bits"
            )),
            _ => None,
        };
        let f = Self::new(&e).help_if_graph();
        match help {
            Some(h) => f.help(h),
            None => f,
        }
    }
}

impl From<SetupError> for Failure {
    fn from(e: SetupError) -> Self {
        match e {
            SetupError::Model(e) => e.into(),
            SetupError::Prove(e) => e.into(),
            SetupError::Graph(e) => e.into(),
            SetupError::OtherModel => Self::new(e)
                .help("use the model file that the key was made from, or make a key: `assay setup MODEL -o KEY`"),
            SetupError::OtherSrs { .. } => Self::new(e).help("pass the powers of tau of the key with --srs FILE"),
        }
    }
}

impl From<SettleFailure> for Failure {
    fn from(e: SettleFailure) -> Self {
        match e {
            SettleFailure::Graph(e) => e.into(),
            SettleFailure::Model(e) => e.into(),
            SettleFailure::Prove(e) => e.into(),
            SettleFailure::SrsTooSmall { row_bits, .. } => {
                let power = row_bits + 1;
                Self::new(&e).help(format!(
                    "use powers of tau of at least 2^{power} (`assay srs import FILE.ptau --power {power}`), or a smaller \
                     --row-bits"
                ))
            }
            SettleFailure::TooManyRows { least, .. } => Self::new(&e).help(format!("use --row-bits {least} or more")),
            SettleFailure::Circuit(CircuitError::SrsTooSmall { k, .. }) => Self::new(&e)
                .help(format!("use powers of tau of at least 2^{k}: assay srs import FILE.ptau --power {k}")),
            e => Self::new(e),
        }
    }
}

impl From<SettlementError> for Failure {
    fn from(e: SettlementError) -> Self {
        let help = if matches!(e, SettlementError::Version { .. }) { OTHER_VERSION } else { DAMAGED };
        Self::new(e).help(help)
    }
}

impl From<SrsError> for Failure {
    fn from(e: SrsError) -> Self {
        let help = match &e {
            SrsError::Io(_) | SrsError::Power { .. } => None,
            SrsError::Magic { .. } => Some(
                "powers of tau are files made by `assay srs new` or `assay srs import`; a ceremony's .ptau is imported first",
            ),
            SrsError::Version { .. } => Some(OTHER_VERSION),
            SrsError::NotConsecutive | SrsError::Degenerate(_) | SrsError::Generator(_) | SrsError::NoSecret { .. } => {
                Some("do not use this file: proofs under it could be forged")
            }
            _ => Some(DAMAGED),
        };
        let f = Self::new(&e);
        match help {
            Some(h) => f.help(h),
            None => f,
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(e: VerifyError) -> Self {
        let help = match &e {
            VerifyError::OtherKey { .. } => {
                "the proof is about another model, other powers of tau or another visibility; use the key it was made with"
            }
            _ => "do not trust what the proof claims",
        };
        Self::new(format!("the proof is not valid: {e}")).help(help).invalid()
    }
}

impl From<ImportError> for Failure {
    fn from(e: ImportError) -> Self {
        let help = match &e {
            ImportError::Unsupported { help, .. } => Some(help.clone()),
            ImportError::Malformed { .. } => {
                Some("export the model to ONNX again and check it with onnx.checker.check_model".to_owned())
            }
            ImportError::Engine { .. } => {
                Some("simplify the model (onnxsim) or export it with fixed shapes".to_owned())
            }
            _ => None,
        };
        match (e, help) {
            (ImportError::Unsupported { node, op, .. }, Some(h)) => {
                Self::new(format!("node '{node}' ({op}) is not supported")).help(h)
            }
            (ImportError::Model(e), _) => e.into(),
            (e, Some(h)) => Self::new(e).help(h),
            (e, None) => Self::new(e),
        }
    }
}
