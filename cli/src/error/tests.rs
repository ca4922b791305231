//! Every error has help. That there is a line for every variant is what the exhaustive matches of `advice` and `chain` see
//! to; that none is empty, names what is to be done and no engine, is seen here.

use super::*;
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
    channel::{Check, ProtocolError},
    curve::CodecError,
    key::KeyError,
    opening::OpeningError,
    proof::ProofError,
    segments::{SegmentsError, SegmentsFileError},
    settle::{argument::ArgumentError, check::SettleError, key::SettlementError},
};

fn graphs() -> Vec<GraphError> {
    let text = || "text".to_owned();
    vec![
        GraphError::TooLarge { shape: vec![1 << 30], limit: 1 << 28 },
        GraphError::Length { expected: 1, got: 2 },
        GraphError::Shape { expected: vec![1], got: vec![2] },
        GraphError::Arity { expected: 1, got: 2 },
        GraphError::Parameter(text()),
        GraphError::Parameter("a private output must be committed".to_owned()),
        GraphError::Overflow { lo: 0, hi: 1, limit: 1 },
        GraphError::OutOfRange { value: 3, lo: 0, hi: 1 },
        GraphError::Pullback(text()),
        GraphError::Encoding(text()),
        GraphError::Parameter(text()).at("fc1", "Linear"),
    ]
}

fn models() -> Vec<ModelError> {
    let name = || "x".to_owned();
    let mut out: Vec<ModelError> = graphs().into_iter().map(ModelError::Graph).collect();
    out.extend([
        ModelError::File(name()),
        ModelError::Version { expected: 1, got: 2 },
        ModelError::Spec { name: name(), what: name() },
        ModelError::Length { name: name(), shape: vec![1], expected: 1, got: 2 },
        ModelError::NotFinite { name: name(), position: vec![0], value: "NaN".to_owned() },
    ]);
    out
}

fn protocols() -> Vec<ProtocolError> {
    let mut out: Vec<ProtocolError> = graphs().into_iter().map(ProtocolError::Graph).collect();
    out.extend([
        ProtocolError::Check(Check::Reduction),
        ProtocolError::MissingMessage("m"),
        ProtocolError::ZeroInverse("z"),
        ProtocolError::Layout("l"),
        ProtocolError::CircuitSize { claimed: 9, what: "more" },
    ]);
    out
}

fn stacks() -> Vec<StackError> {
    let (name, text) = ("weights".to_owned(), String::new());
    vec![
        StackError::Graph(GraphError::Length { expected: 1, got: 2 }),
        StackError::SrsTooSmall { row_bits: 8, got: 2 },
        StackError::OtherSrs { expected: text.clone(), got: text.clone() },
        StackError::OtherSchema { name: name.clone() },
        StackError::Row { row: 1 },
        StackError::OtherOutput { name: name.clone(), position: 1, expected: 2, got: 3 },
        StackError::NotComputed { name: name.clone(), tensor: name },
        StackError::OtherPinned { name: text.clone() },
        StackError::PinnedOutput { name: text.clone() },
        StackError::Count { expected: 1, got: 2 },
        StackError::NoFactor { row: 1 },
        StackError::SharedFactor { first: 0, second: 1 },
        StackError::Random(text.clone()),
        StackError::File(text),
        StackError::Version { expected: 1, got: 2 },
    ]
}

fn provers() -> Vec<ProveError> {
    let mut out: Vec<ProveError> = graphs().into_iter().map(ProveError::Graph).collect();
    out.extend(protocols().into_iter().map(ProveError::Protocol));
    out.extend([
        ProveError::Opening(OpenError::Evaluations { variables: 1, expected: 2, got: 3 }),
        ProveError::Opening(OpenError::TooManyVariables { limit: 28, got: 29 }),
        ProveError::Opening(OpenError::Bases { expected: 4, got: 2 }),
        ProveError::Opening(OpenError::DegenerateChallenge),
        ProveError::Combine(OpeningError::PairingMismatch),
        ProveError::SrsTooSmall { row_bits: 14, got: 2 },
        ProveError::EmptyBatch,
    ]);
    out.extend(stacks().into_iter().map(ProveError::Stack));
    out
}

fn settlements() -> Vec<SettlementError> {
    let id = || "00".to_owned();
    vec![
        SettlementError::Codec { what: "w", source: CodecError::Trailing { got: 1 } },
        SettlementError::Argument(ArgumentError::Codec(CodecError::Trailing { got: 1 })),
        SettlementError::Graph(GraphError::Encoding(id())),
        SettlementError::Magic("m"),
        SettlementError::Version { what: "w", expected: 1, got: 2 },
        SettlementError::Kind,
        SettlementError::Inconsistent("i"),
        SettlementError::OtherKey { expected: id(), got: id() },
        SettlementError::Public { expected: 1, got: 2 },
        SettlementError::Check(SettleError::Pairing),
        SettlementError::Check(SettleError::StackId { stack: 0, expected: id(), got: id() }),
        SettlementError::Protocol(ProtocolError::Layout("l")),
    ]
}

fn segments() -> Vec<SegmentsError> {
    let id = |b: &str| b.repeat(4);
    let other = || VerifyError::OtherKey { expected: id("00"), got: id("11") };
    vec![
        SegmentsError::Core { segment: 1, source: other() },
        SegmentsError::Settled { segment: 1, source: SettlementError::Check(SettleError::Pairing) },
        SegmentsError::Boundary { segment: 2, boundary: 1, expected: id("00"), got: id("11") },
        SegmentsError::Count { expected: 2, got: 1 },
        SegmentsError::Batch { segment: 2, expected: 1, got: 2 },
        SegmentsError::Context { segment: 2 },
        SegmentsError::Keys { segment: 2, what: "an input of it is at no boundary".to_owned() },
        SegmentsError::Kinds,
        SegmentsError::Graph(GraphError::Encoding(String::new())),
    ]
}

fn segment_files() -> Vec<SegmentsFileError> {
    vec![
        SegmentsFileError::Magic("ASSAYSGP"),
        SegmentsFileError::Version { got: 2 },
        SegmentsFileError::Kind(9),
        SegmentsFileError::Key { segment: 1, source: KeyError::Magic },
        SegmentsFileError::Proof { segment: 1, source: ProofError::Magic },
        SegmentsFileError::Settled { segment: 1, source: SettlementError::Inconsistent("i") },
        SegmentsFileError::Codec(CodecError::Trailing { got: 1 }),
    ]
}

fn imports() -> Vec<ImportError> {
    let text = || "text".to_owned();
    let tensor = |reason: &str| ImportError::Tensor { tensor: text(), reason: reason.to_owned() };
    let mut out: Vec<ImportError> = models().into_iter().map(ImportError::Model).collect();
    out.extend(graphs().into_iter().map(|source| ImportError::Lowering { node: text(), op: text(), source }));
    out.extend([
        ImportError::Read { path: text(), reason: text() },
        ImportError::TooLarge { got: 2, limit: 1 },
        ImportError::Malformed { reason: text() },
        tensor("its data is in another file"),
        tensor("an input must hold floats, integers or booleans, not text"),
        tensor("it holds a NaN or an infinity"),
        tensor("axis 1 has the symbolic extent 'n'"),
        tensor("cut short"),
        ImportError::Unsupported { node: text(), op: text(), help: text() },
        ImportError::Engine { stage: "reading", reason: text() },
        ImportError::Calibration { sample: 0, tensor: text(), reason: text() },
        ImportError::Option { name: "limb_bits", got: text(), allowed: "4 to 16".to_owned() },
        ImportError::MadeUp { node: text(), reason: text() },
    ]);
    out
}

fn all() -> Vec<Failure> {
    let codec = || CodecError::Trailing { got: 1 };
    let mut out: Vec<Failure> = graphs().into_iter().map(Failure::from).collect();
    out.extend(models().into_iter().map(Failure::from));
    out.extend(protocols().into_iter().map(Failure::from));
    out.extend(provers().into_iter().map(Failure::from));
    out.extend(settlements().into_iter().map(Failure::from));
    out.extend(imports().into_iter().map(Failure::from));
    out.extend(models().into_iter().map(|e| SetupError::Model(e).into()));
    out.extend(provers().into_iter().map(|e| SetupError::Prove(e).into()));
    out.extend(graphs().into_iter().map(|e| SetupError::Graph(e).into()));
    out.push(SetupError::RowBits { expected: 8, got: 9 }.into());
    out.extend(
        [SetupError::OtherModel, SetupError::OtherSrs { expected: String::new(), got: String::new() }]
            .map(Failure::from),
    );
    out.extend(models().into_iter().map(|e| SettleFailure::Model(e).into()));
    out.extend(provers().into_iter().map(|e| SettleFailure::Prove(e).into()));
    out.extend(graphs().into_iter().map(|e| SettleFailure::Graph(e).into()));
    out.extend(protocols().into_iter().map(|e| SettleFailure::Protocol(e).into()));
    out.extend(stacks().into_iter().map(Failure::from));
    out.extend(settlements().into_iter().map(|e| SettleFailure::Settlement(e).into()));
    out.extend(stacks().into_iter().map(|e| SettleFailure::Stack(e).into()));
    out.extend(
        [
            SettleFailure::Opening(OpenError::DegenerateChallenge),
            SettleFailure::Circuit(CircuitError::SrsTooSmall { k: 16, got: 2 }),
            SettleFailure::Circuit(CircuitError::Halo2("h".to_owned())),
            SettleFailure::Circuit(CircuitError::Form(codec())),
            SettleFailure::Key("k"),
            SettleFailure::RowBits { expected: 8, got: 10 },
            SettleFailure::SrsTooSmall { row_bits: 14, got: 2 },
            SettleFailure::TooManyRows { row_bits: 3, least: 5 },
            SettleFailure::Batch { expected: 2, got: 1 },
            SettleFailure::Random("r".to_owned()),
        ]
        .map(Failure::from),
    );
    out.extend(
        [
            KeyError::Codec(codec()),
            KeyError::Registration(ProofError::Magic),
            KeyError::Graph(GraphError::Encoding(String::new())),
            KeyError::Magic,
            KeyError::Version { expected: 1, got: 2 },
            KeyError::Inconsistent("i"),
        ]
        .map(Failure::from),
    );
    out.extend(
        [
            ProofError::Codec(codec()),
            ProofError::Opening(OpeningError::DegenerateChallenge),
            ProofError::Magic,
            ProofError::Version { expected: 1, got: 2 },
            ProofError::Kind(9),
            ProofError::NoStacks,
        ]
        .map(Failure::from),
    );
    out.extend(
        [
            SrsError::Io(std::io::Error::other("disk")),
            SrsError::Point { what: "p", index: 0, source: codec() },
            SrsError::Header(codec()),
            SrsError::Magic { format: "f", got: vec![] },
            SrsError::Version { format: "f", expected: 1, got: 2 },
            SrsError::Size { what: "w", expected: 1, got: 2 },
            SrsError::Section { id: 1, got: 0 },
            SrsError::SectionCount { limit: 1, got: 2 },
            SrsError::WrongCurve,
            SrsError::Power { limit: 1, got: 2 },
            SrsError::ContentHash { power: 3 },
            SrsError::Generator("g"),
            SrsError::Degenerate("d"),
            SrsError::Identity,
            SrsError::NotConsecutive,
            SrsError::Contributions("c"),
            SrsError::NoSecret { beacons: 1 },
        ]
        .map(Failure::from),
    );
    out.extend(
        [
            VerifyError::OtherKey { expected: String::new(), got: String::new() },
            VerifyError::Count { what: "w", expected: 1, got: 2 },
            VerifyError::PublicRange { value: 3, lo: 0, hi: 1 },
            VerifyError::Protocol(ProtocolError::Check(Check::Reduction)),
            VerifyError::Opening(OpeningError::PairingMismatch),
            VerifyError::Graph(GraphError::Encoding(String::new())),
        ]
        .map(Failure::from),
    );
    out.extend(segments().into_iter().map(Failure::from));
    out.extend(segment_files().into_iter().map(Failure::from));
    out
}

#[test]
fn every_error_has_help() {
    let all = all();
    assert!(all.len() > 200);
    for f in all {
        assert!(f.help.len() >= 4, "no help: {f:?}");
        let text = format!("{} {}", f.message, f.help);
        assert!(!text.split(|c: char| !c.is_alphanumeric()).any(|w| w == "tract"), "names the engine: {f:?}");
        assert!(!f.message.contains("Error {") && !f.help.ends_with('\n'), "{f:?}");
    }
}

#[test]
fn a_proof_that_does_not_hold_is_invalid_and_nothing_else_is() {
    for f in all() {
        assert_eq!(f.exit == Exit::Invalid, f.message.starts_with("the proof is not valid"), "{f:?}");
    }
}

/// The name of a variant.
fn variant(e: &dyn fmt::Debug) -> String {
    format!("{e:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// A section of the index: each variant once, by the first example of it.
fn section<E: fmt::Debug>(title: &str, all: Vec<E>) -> String
where
    Failure: From<E>,
{
    let mut seen = std::collections::BTreeSet::new();
    let cell = |text: &str| {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        text.replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_")
    };
    let mut out = format!("\n## {title}\n\n| | message | what helps |\n|---|---|---|\n");
    for e in all {
        let name = variant(&e);
        let wraps = ["Graph", "Model", "Protocol", "Prove", "Settlement", "Lowering", "Opening", "Codec", "Argument"];
        if wraps.contains(&name.as_str()) || !seen.insert(name.clone()) {
            continue;
        }
        let f = Failure::from(e);
        out += &format!("| {name} | {} | {} |\n", cell(&f.message), cell(&f.help));
    }
    out
}

fn keys() -> Vec<KeyError> {
    vec![KeyError::Magic, KeyError::Version { expected: 1, got: 2 }, KeyError::Inconsistent("rows")]
}

fn proofs() -> Vec<ProofError> {
    vec![ProofError::Magic, ProofError::Version { expected: 1, got: 2 }, ProofError::Kind(9)]
}

fn verdicts() -> Vec<VerifyError> {
    let id = |b: &str| b.repeat(4);
    vec![
        VerifyError::OtherKey { expected: id("00"), got: id("11") },
        VerifyError::Count { what: "public tensors", expected: 1, got: 2 },
        VerifyError::PublicRange { value: 3, lo: 0, hi: 1 },
    ]
}

fn farms() -> Vec<crate::farm::backend::Trouble> {
    use crate::farm::backend::Trouble;
    let text = || "timed out".to_owned();
    vec![
        Trouble::Away(text()),
        Trouble::Full("insufficient storage resources available".to_owned()),
        Trouble::Missing(assay_contracts::B256::ZERO),
        Trouble::Bad("a record that is none".to_owned()),
    ]
}

/// `docs/errors.md` is what the code says: `ASSAY_UPDATE_ERRORS=1 cargo test --workspace --all-features --lib error_index` writes it.
#[test]
fn the_error_index_is_what_the_code_says() {
    let mut text = "# Errors\n\nWhat the libraries behind every command can say, and what helps. Numbers, and words like `text`, stand for what is \
                    found. Each error of the\ncommand line has such a line of help, also those that are not listed here; with `--json` they are \
                    `error` and `help`, in Python\nattributes of the exception. Exit codes are in [cli.md](cli.md). This page is written by a \
                    test from the code.\n"
        .to_owned();
    text += &section("A proof is refused", verdicts());
    text += &section("Proof files", proofs());
    text += &section("Keys", keys());
    text += &section("Settled proofs and settlement keys", settlements());
    text += &section("Segments of a model", segments());
    text += &section("Files of segments", segment_files());
    text += &section("Models", models());
    text += &section("Graphs", graphs());
    text += &section("Reading ONNX", imports());
    text += &section("Proving", provers());
    text += &section("The protocol", protocols());
    text += &section("Farms", farms());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
    if std::env::var_os("ASSAY_UPDATE_ERRORS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == text, "docs/errors.md is not what the code says; see this test for the command that writes it");
}
