//! What helps with the errors of the libraries.

use super::{Failure, Problem};
use assay_circuits::{GraphError, model::ModelError, onnx::ImportError};
use assay_prover::{
    StackError,
    opening::OpenError,
    prove::ProveError,
    settle::{CircuitError, SettleFailure},
    setup::SetupError,
    srs::SrsError,
};
use assay_verifier::{
    VerifyError,
    channel::ProtocolError,
    key::KeyError,
    proof::ProofError,
    segments::{SegmentsError, SegmentsFileError},
    settle::key::SettlementError,
};

pub(super) const DAMAGED: &str =
    "the file is damaged or cut short; make it again, or fetch it again from where it came from";
pub(super) const OTHER_VERSION: &str = "make it again with this version of assay, or use the version that made it";
const DISTRUST: &str = "do not trust what the proof claims";
const INCONSISTENT: &str = "the model is not what this version of assay compiles: compile it again from the ONNX file";
const TOO_WIDE: &str = "the model's numbers lie too far apart for its integers: normalize the inputs (StandardScaler), and calibrate \
                        with real data (--calibrate DATA)";

/// Powers of tau for rows or a circuit of that many values.
fn more_powers(power: impl std::fmt::Display) -> String {
    format!(
        "use powers of tau of at least 2^{power}: assay srs import FILE.ptau --power {power} -o SRS, then --srs SRS"
    )
}

pub(super) fn graph(e: &GraphError) -> String {
    match e {
        GraphError::AtNode { source, .. } => graph(source),
        GraphError::TooLarge { .. } => {
            "prove fewer inferences at once (--batch), or export the model with smaller inputs".to_owned()
        }
        GraphError::Overflow { .. } => "compile with smaller --weight-bits or --activation-bits".to_owned(),
        GraphError::OutOfRange { .. } => {
            "compile again with calibration data that covers such values (--calibrate DATA)".to_owned()
        }
        GraphError::Parameter(text) if text.contains("private output must be committed") => {
            "compile the model with --private-outputs, or leave out --private-outputs here".to_owned()
        }
        GraphError::Parameter(text) if text.contains("table rows") => {
            "its functions need more table rows than a proof has: compile with smaller --activation-bits, or compile the float model \
             where this one is quantized"
                .to_owned()
        }
        GraphError::Length { .. } | GraphError::Shape { .. } | GraphError::Arity { .. } => {
            "give inputs of the model's own shapes: `assay inspect MODEL` or `assay show MODEL` lists them".to_owned()
        }
        GraphError::Parameter(_) | GraphError::Pullback(_) | GraphError::Encoding(_) => INCONSISTENT.to_owned(),
    }
}

fn protocol(e: &ProtocolError) -> String {
    match e {
        ProtocolError::Graph(e) => graph(e),
        ProtocolError::Check(_) | ProtocolError::MissingMessage(_) | ProtocolError::ZeroInverse(_) => {
            DISTRUST.to_owned()
        }
        ProtocolError::Layout(_) | ProtocolError::CircuitSize { .. } => INCONSISTENT.to_owned(),
    }
}

fn opening(e: &OpenError) -> String {
    match e {
        OpenError::Evaluations { .. } => super::BUG.to_owned(),
        OpenError::TooManyVariables { limit, .. } => format!("use --row-bits {limit} or less"),
        OpenError::Bases { expected, .. } => more_powers(expected.max(&1).next_power_of_two().ilog2()),
        OpenError::DegenerateChallenge => "prove again: this happens once in 2^240 proofs".to_owned(),
    }
}

impl From<GraphError> for Failure {
    fn from(e: GraphError) -> Self {
        let help = graph(&e);
        Self::new(e).help(help)
    }
}

impl From<ProtocolError> for Failure {
    fn from(e: ProtocolError) -> Self {
        let help = protocol(&e);
        Self::new(e).help(help)
    }
}

impl From<ModelError> for Failure {
    fn from(e: ModelError) -> Self {
        let help = match &e {
            ModelError::Graph(e) => graph(e),
            ModelError::File(_) => DAMAGED.to_owned(),
            ModelError::Version { .. } => OTHER_VERSION.to_owned(),
            ModelError::Spec { .. } => INCONSISTENT.to_owned(),
            ModelError::Length { .. } => {
                "`assay inspect MODEL` lists the inputs and their shapes; docs/cli.md#inputs says how files hold them"
                    .to_owned()
            }
            ModelError::NotFinite { .. } => {
                "every input value must be a finite number; look for a division by zero".to_owned()
            }
        };
        Self::new(e).help(help)
    }
}

impl From<KeyError> for Failure {
    fn from(e: KeyError) -> Self {
        let help = match &e {
            KeyError::Version { .. } => OTHER_VERSION,
            KeyError::Magic => "make a key: assay setup MODEL -o KEY",
            KeyError::Codec(_) | KeyError::Registration(_) | KeyError::Graph(_) | KeyError::Inconsistent(_) => DAMAGED,
        };
        Self::new(e).help(help)
    }
}

impl From<ProofError> for Failure {
    /// Bytes that are no proof show nothing: that is for the caller to call invalid.
    fn from(e: ProofError) -> Self {
        let help = match &e {
            ProofError::Version { .. } | ProofError::Kind(_) => OTHER_VERSION,
            ProofError::Magic => "make a proof: assay prove MODEL INPUT -o PROOF",
            ProofError::Codec(_) | ProofError::Opening(_) | ProofError::NoStacks => DAMAGED,
        };
        Self::new(e).help(help)
    }
}

/// What to do about a named stack.
fn stack(e: &StackError) -> String {
    match e {
        StackError::Graph(e) => graph(e),
        StackError::SrsTooSmall { row_bits, .. } => more_powers(row_bits + 1),
        StackError::OtherSrs { .. } => "commit the stack with the powers of tau of the key".to_owned(),
        StackError::OtherSchema { .. } => {
            "give the stack that the key was made for, or make a key for this one".to_owned()
        }
        StackError::Row { .. } | StackError::File(_) => DAMAGED.to_owned(),
        StackError::OtherOutput { .. } => {
            "give the inputs that the stack was computed from, or let the proof commit it".to_owned()
        }
        StackError::NotComputed { .. } => "give a stack that holds it".to_owned(),
        StackError::OtherPinned { .. } => "leave it out, or give the stack that the key pins".to_owned(),
        StackError::PinnedOutput { .. } => "let it be given with each proof".to_owned(),
        StackError::Count { .. } => "give one stack for each that the key names, in its order".to_owned(),
        StackError::NoFactor { .. } | StackError::SharedFactor { .. } => {
            "commit the stack again, so that each row has a factor of its own".to_owned()
        }
        StackError::Random(_) => "check the system's source of random numbers".to_owned(),
        StackError::Version { .. } => OTHER_VERSION.to_owned(),
    }
}

impl From<StackError> for Failure {
    fn from(e: StackError) -> Self {
        let help = stack(&e);
        Self::new(e).help(help)
    }
}

impl From<ProveError> for Failure {
    fn from(e: ProveError) -> Self {
        let help = match &e {
            ProveError::Graph(e) => graph(e),
            ProveError::Protocol(e) => protocol(e),
            ProveError::Opening(e) => opening(e),
            ProveError::Stack(e) => stack(e),
            ProveError::Combine(_) => super::BUG.to_owned(),
            ProveError::SrsTooSmall { row_bits, .. } => {
                format!("{}; or make the key with a smaller --row-bits", more_powers(row_bits))
            }
            ProveError::EmptyBatch => "give at least one input: look at --batch and --from".to_owned(),
        };
        Self::new(e).help(help)
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
            SetupError::RowBits { .. } => Self::new(e).help("leave out --row-bits"),
            SetupError::OtherSrs { .. } => Self::new(e).help("pass the powers of tau of the key with --srs FILE"),
        }
    }
}

impl From<SettleFailure> for Failure {
    fn from(e: SettleFailure) -> Self {
        let help = match &e {
            SettleFailure::Graph(e) => graph(e),
            SettleFailure::Protocol(e) => protocol(e),
            SettleFailure::Opening(e) => opening(e),
            SettleFailure::Stack(e) => stack(e),
            SettleFailure::RowBits { .. } => "leave out --row-bits".to_owned(),
            SettleFailure::SrsTooSmall { row_bits, .. } => {
                format!("{}; or use a smaller --row-bits", more_powers(row_bits + 1))
            }
            SettleFailure::TooManyRows { least, .. } => format!("use --row-bits {least} or more"),
            SettleFailure::Circuit(CircuitError::SrsTooSmall { k, .. }) => more_powers(k),
            SettleFailure::Circuit(CircuitError::Halo2(_) | CircuitError::Form(_)) => super::BUG.to_owned(),
            SettleFailure::Key(_) => {
                "make the settlement key again: assay settle MODEL INPUT -o PROOF --key-out FILE".to_owned()
            }
            SettleFailure::Batch { expected, .. } => {
                format!("give {expected} inputs (--batch {expected}), or make a settlement key for another batch size")
            }
            SettleFailure::Random(_) => "check that /dev/urandom can be read here".to_owned(),
            SettleFailure::Prove(_) | SettleFailure::Settlement(_) | SettleFailure::Model(_) => String::new(),
        };
        match e {
            SettleFailure::Prove(e) => e.into(),
            SettleFailure::Settlement(e) => e.into(),
            SettleFailure::Model(e) => e.into(),
            e => Self::new(e).help(help),
        }
    }
}

impl From<SettlementError> for Failure {
    fn from(e: SettlementError) -> Self {
        let help = match &e {
            SettlementError::Version { .. } => OTHER_VERSION.to_owned(),
            SettlementError::Graph(e) => graph(e),
            SettlementError::Kind => "settle it: assay settle MODEL INPUT -o PROOF".to_owned(),
            SettlementError::OtherKey { .. } => {
                "use the settlement key that the proof was made with (`assay show` prints both ids)".to_owned()
            }
            SettlementError::Protocol(e) => protocol(e),
            SettlementError::Public { .. } | SettlementError::Check(_) => DISTRUST.to_owned(),
            SettlementError::Codec { .. }
            | SettlementError::Argument(_)
            | SettlementError::Magic(_)
            | SettlementError::Inconsistent(_) => DAMAGED.to_owned(),
        };
        Self::new(e).help(help)
    }
}

impl From<SrsError> for Failure {
    fn from(e: SrsError) -> Self {
        let help = match &e {
            SrsError::Io(_) => "check that the file is there, may be read, and that there is room on the disk",
            SrsError::Power { .. } => "choose a --power within that limit",
            SrsError::Magic { .. } => {
                "powers of tau are files made by `assay srs new` or `assay srs import`; a ceremony's .ptau is imported first"
            }
            SrsError::WrongCurve => {
                "take a ceremony over BN254 (also called bn128), such as the perpetual powers of tau"
            }
            SrsError::Version { .. } => OTHER_VERSION,
            SrsError::NotConsecutive
            | SrsError::Degenerate(_)
            | SrsError::Generator(_)
            | SrsError::Contributions(_)
            | SrsError::NoSecret { .. } => "do not use this file: proofs under it could be forged",
            SrsError::Point { .. }
            | SrsError::Header(_)
            | SrsError::Size { .. }
            | SrsError::Section { .. }
            | SrsError::SectionCount { .. }
            | SrsError::ContentHash { .. }
            | SrsError::Identity => DAMAGED,
        };
        Self::new(&e).help(help)
    }
}

impl From<VerifyError> for Failure {
    fn from(e: VerifyError) -> Self {
        let help = match &e {
            VerifyError::OtherKey { .. } => {
                "the proof is about another model, other powers of tau or another visibility; use the key it was made with"
            }
            VerifyError::Count { .. }
            | VerifyError::PublicRange { .. }
            | VerifyError::Protocol(_)
            | VerifyError::Opening(_)
            | VerifyError::Graph(_) => DISTRUST,
        };
        Self::new(format!("the proof is not valid: {e}")).help(help).invalid()
    }
}

impl From<SegmentsFileError> for Failure {
    /// Bytes that are no proofs show nothing: that is for the caller to call invalid.
    fn from(e: SegmentsFileError) -> Self {
        let help = match &e {
            SegmentsFileError::Magic(_) => {
                "keys and proofs of a split model are made by `assay setup FOLDER -o KEYS` and `assay prove FOLDER INPUT -o PROOFS`"
                    .to_owned()
            }
            SegmentsFileError::Version { .. } | SegmentsFileError::Kind(_) => OTHER_VERSION.to_owned(),
            SegmentsFileError::Codec(_) => DAMAGED.to_owned(),
            SegmentsFileError::Key { source, .. } => Self::from(source.clone()).help,
            SegmentsFileError::Proof { source, .. } => Self::from(source.clone()).help,
            SegmentsFileError::Settled { source, .. } => Self::from(source.clone()).help,
        };
        Self::new(e).help(help)
    }
}

impl From<SegmentsError> for Failure {
    /// Keys that do not hang together are for the caller to judge: proofs under them show nothing.
    fn from(e: SegmentsError) -> Self {
        let help = match &e {
            SegmentsError::Keys { .. } => {
                return Self::new(e)
                    .help("no proof under these keys is one of a model: make them with `assay setup FOLDER`");
            }
            SegmentsError::Kinds => {
                return Self::new(e).help(
                    "settled proofs go with the keys that `assay settle FOLDER INPUT -o PROOFS --key-out KEYS` wrote",
                );
            }
            SegmentsError::Graph(_) => return Self::new(e).help(DAMAGED),
            SegmentsError::Count { .. } | SegmentsError::Core { .. } | SegmentsError::Settled { .. } => {
                "do not trust what the proofs claim, and check that they were made for these keys"
            }
            SegmentsError::Boundary { .. } | SegmentsError::Batch { .. } => {
                "the proofs are of different inferences: together they show nothing"
            }
            SegmentsError::Context { .. } => "settle all segments for one purpose",
        };
        Self::new(format!("the proof is not valid: {e}")).help(help).invalid()
    }
}

impl From<ImportError> for Failure {
    fn from(e: ImportError) -> Self {
        let problem: Problem = Self::new(&e);
        match e {
            ImportError::Read { .. } => problem.help("check the path; a model is one .onnx file"),
            ImportError::TooLarge { .. } => problem.help("store weights in half as many bits, or prove a smaller model"),
            ImportError::Malformed { .. } => {
                problem.help("export the model to ONNX again and check it with onnx.checker.check_model")
            }
            ImportError::Tensor { reason, .. } => problem.help(tensor(&reason)),
            ImportError::Unsupported { node, op, help } => {
                Self::new(format!("node '{node}' ({op}) is not supported")).help(help)
            }
            ImportError::Engine { .. } => problem.help(
                "export it for inference and with fixed shapes (model.eval(), no dynamic_axes but the batch), then simplify \
                 it: python -m onnxsim IN.onnx OUT.onnx",
            ),
            ImportError::Calibration { .. } => problem.help(
                "calibration data has the inputs' shapes and finite numbers: `assay inspect MODEL` lists the shapes",
            ),
            ImportError::MadeUp { .. } => problem.help("pass real inputs with --calibrate DATA"),
            ImportError::Option { allowed, .. } => problem.help(format!("choose {allowed}")),
            ImportError::Lowering { source, .. } => {
                let help = graph(&source);
                problem.help(if help == INCONSISTENT { TOO_WIDE.to_owned() } else { help })
            }
            ImportError::Model(e) => e.into(),
        }
    }
}

/// By what is wrong with a tensor of a file.
fn tensor(reason: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|w| reason.contains(w));
    if has(&["data file", "another file"]) {
        "keep the file with the weights (usually MODEL.onnx.data) beside the .onnx file, under the name it was exported with"
    } else if has(&["not text"]) {
        "encode texts as numbers before the model (OrdinalEncoder or OneHotEncoder outside of it), and export what follows"
    } else if has(&["must hold", "not supported; use float32"]) {
        "export with 32-bit floats: model.float() and float32 inputs before torch.onnx.export"
    } else if has(&["NaN", "infinit"]) {
        "look for weights that diverged in training, and for masks of minus infinity: use -1e4 in their place"
    } else if has(&["symbolic", "no extent", "--dim"]) {
        "say how long the axis is: --dim NAME=NUMBER; the compiled model is then for that length alone"
    } else if has(&["depends on data", "fixed"]) {
        "export with fixed shapes; only the first axis, the batch, may be symbolic (dynamic_axes={\"input\": {0: \"batch\"}})"
    } else {
        "export the model to ONNX again and check it with onnx.checker.check_model"
    }
}
