//! The compiled contract, as `contracts/artifacts/AssayVerifier.json` holds it.

use crate::abi::AssayVerifier;
use alloy_primitives::{Bytes, hex};
use alloy_sol_types::SolConstructor;

/// The artefact: `{"abi": [...], "bytecode": "0x...", "deployedBytecode": "0x..."}`.
pub const JSON: &str = include_str!("../artifacts/AssayVerifier.json");

/// The code that creates the contract, without constructor arguments.
///
/// # Panics
///
/// If the artefact in the repository is not of its form; a test reads it.
pub fn creation_code() -> Bytes {
    bytecode_of(JSON)
}

/// The code that creates an artefact's contract, without constructor arguments.
pub(crate) fn bytecode_of(artefact: &str) -> Bytes {
    let json: serde_json::Value = serde_json::from_str(artefact).expect("the artefact is JSON");
    let text = json["bytecode"].as_str().expect("the artefact has bytecode");
    hex::decode(text).expect("the bytecode is hexadecimal").into()
}

/// The data of the transaction that creates the contract.
///
/// # Panics
///
/// As [`creation_code`].
pub fn deployment(accept_development_srs: bool) -> Bytes {
    let arguments = AssayVerifier::constructorCall { acceptDevelopmentSrs: accept_development_srs }.abi_encode();
    [creation_code().as_ref(), &arguments].concat().into()
}
