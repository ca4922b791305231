//! The `AssayVerifier` contract from Rust.
//!
//! A [`Chain`] is where the contract runs: [`Embedded`], an EVM in this process that needs no node, or, with the
//! feature `rpc`, a JSON-RPC node. [`Verifier`] deploys the contract, registers keys, checks proofs and submits them on
//! either; [`abi`] has the calls, events and errors, and [`context`] what a proof is bound to. Every call blocks until
//! it is done.
//!
//! A node is believed about what happened on its chain: what it answers is bounded in size and time and checked where
//! it can be (keys against their identity, the contract against the code it should have), but a node that lies about a
//! call's result cannot be caught from here.

pub mod abi;
#[cfg(feature = "anvil")]
pub mod anvil;
pub mod artifact;
mod chain;
mod client;
pub mod economy;
mod embedded;
mod error;
#[cfg(feature = "rpc")]
mod rpc;
pub mod segments;
#[cfg(feature = "rpc")]
mod signer;

pub use abi::{Revert, context};
pub use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
pub use alloy_sol_types as sol_types;
pub use chain::{
    BASE_GAS, Block, Call, Chain, Event, Filter, Head, MAX_EVENTS, Receipt, TRANSACTION_GAS, calldata_floor,
    calldata_gas, guard_development, is_local,
};
pub use client::{Measured, Registered, Sent, Submitted, Verifier, is_development};
pub use embedded::Embedded;
pub use error::Error;
#[cfg(feature = "rpc")]
pub use rpc::{BlockTag, LogFilter, Never, Question, Relay, Rpc, RpcOptions, ViewCall, WebError, WebFolder};
#[cfg(feature = "rpc")]
pub use signer::{KEYSTORE_PASSWORD_VARIABLE, PRIVATE_KEY_VARIABLE, Signer};
