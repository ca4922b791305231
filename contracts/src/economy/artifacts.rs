//! The compiled contracts, as `contracts/artifacts` holds them, and whether code on a chain is theirs.

use alloy_primitives::{Bytes, hex};

/// The contracts of a deployment, in the order of their creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Checks proofs.
    AssayVerifier,
    /// Who may call what.
    AccessManager,
    /// Which verifiers may release rewards.
    VerifierRegistry,
    /// Offers of models.
    ModelRegistry,
    /// The token.
    AssayToken,
    /// Makes new tokens for proven work.
    EmissionController,
    /// Jobs.
    JobMarket,
    /// Executes votes, after a delay.
    TimelockController,
    /// Votes.
    AssayGovernor,
    /// Data to train on.
    DatasetRegistry,
    /// Tasks of training.
    TrainingMarket,
}

impl Name {
    /// All of them, in the order of their creation.
    pub const ALL: [Self; 11] = [
        Self::AssayVerifier,
        Self::AccessManager,
        Self::VerifierRegistry,
        Self::ModelRegistry,
        Self::AssayToken,
        Self::EmissionController,
        Self::JobMarket,
        Self::TimelockController,
        Self::AssayGovernor,
        Self::DatasetRegistry,
        Self::TrainingMarket,
    ];

    /// The contract's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AssayVerifier => "AssayVerifier",
            Self::AccessManager => "AccessManager",
            Self::VerifierRegistry => "VerifierRegistry",
            Self::ModelRegistry => "ModelRegistry",
            Self::AssayToken => "AssayToken",
            Self::EmissionController => "EmissionController",
            Self::JobMarket => "JobMarket",
            Self::TimelockController => "TimelockController",
            Self::AssayGovernor => "AssayGovernor",
            Self::DatasetRegistry => "DatasetRegistry",
            Self::TrainingMarket => "TrainingMarket",
        }
    }

    const fn json(self) -> &'static str {
        match self {
            Self::AssayVerifier => crate::artifact::JSON,
            Self::AccessManager => include_str!("../../artifacts/AccessManager.json"),
            Self::VerifierRegistry => include_str!("../../artifacts/VerifierRegistry.json"),
            Self::ModelRegistry => include_str!("../../artifacts/ModelRegistry.json"),
            Self::AssayToken => include_str!("../../artifacts/AssayToken.json"),
            Self::EmissionController => include_str!("../../artifacts/EmissionController.json"),
            Self::JobMarket => include_str!("../../artifacts/JobMarket.json"),
            Self::TimelockController => include_str!("../../artifacts/TimelockController.json"),
            Self::AssayGovernor => include_str!("../../artifacts/AssayGovernor.json"),
            Self::DatasetRegistry => include_str!("../../artifacts/DatasetRegistry.json"),
            Self::TrainingMarket => include_str!("../../artifacts/TrainingMarket.json"),
        }
    }

    fn field(self, name: &str) -> Bytes {
        let json: serde_json::Value = serde_json::from_str(self.json()).expect("the artefact is JSON");
        let text = json[name].as_str().expect("the artefact has code");
        hex::decode(text).expect("the code is hexadecimal").into()
    }

    /// The code that creates the contract, without constructor arguments.
    ///
    /// # Panics
    ///
    /// If an artefact in the repository is not of its form; a test reads them.
    pub fn creation_code(self) -> Bytes {
        self.field("bytecode")
    }

    /// The code of the contract; what its constructor fills in is zero.
    ///
    /// # Panics
    ///
    /// As [`creation_code`](Self::creation_code).
    pub fn runtime_code(self) -> Bytes {
        self.field("deployedBytecode")
    }

    /// Whether code is this contract's, whatever its constructor filled in.
    pub fn is_code(self, code: &[u8]) -> bool {
        same_but_immutables(&self.runtime_code(), code)
    }
}

/// The instruction PUSH1; PUSH32 pushes the 32 bytes behind it. Immutables are such a push of zeros in the compiled code.
const PUSH1: u8 = 0x60;
const PUSH32: u8 = 0x7f;

fn same_but_immutables(compiled: &[u8], code: &[u8]) -> bool {
    if compiled.len() != code.len() {
        return false;
    }
    let mut at = 0;
    while let (Some(&op), Some(&found)) = (compiled.get(at), code.get(at)) {
        if op != found {
            return false;
        }
        let width = if (PUSH1..=PUSH32).contains(&op) { usize::from(op - PUSH1) + 1 } else { 0 };
        let end = (at + 1 + width).min(compiled.len());
        let (expected, got) = (&compiled[at + 1..end], &code[at + 1..end]);
        let filled_in = op == PUSH32 && expected.len() == 32 && expected.iter().all(|b| *b == 0);
        if !filled_in && expected != got {
            return false;
        }
        at = end;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artefacts_have_code() {
        for name in Name::ALL {
            let (creation, runtime) = (name.creation_code(), name.runtime_code());
            assert!(runtime.len() > 100 && runtime.len() <= 24_576, "{}: {} bytes", name.as_str(), runtime.len());
            assert!(creation.len() > runtime.len(), "{}", name.as_str());
            assert!(name.is_code(&runtime) && !name.is_code(&runtime[1..]) && !name.is_code(&[]));
        }
    }

    #[test]
    fn immutables_may_differ_and_nothing_else() {
        let code = |word: [u8; 32], end: u8| [&[0x60, 5, 0x7f][..], &word, &[end]].concat();
        let compiled = code([0; 32], 1);
        assert!(same_but_immutables(&compiled, &code([7; 32], 1)));
        assert!(!same_but_immutables(&compiled, &code([7; 32], 2)));
        // A push of another constant is code.
        assert!(!same_but_immutables(&code([1; 32], 1), &code([7; 32], 1)));
        // Zeros behind a push that is itself pushed are no immutable.
        let hidden = [&[0x61, 0x7f, 0x7f][..], &[0; 32]].concat();
        let mut other = hidden.clone();
        other[10] = 1;
        assert!(!same_but_immutables(&hidden, &other));
    }
}
