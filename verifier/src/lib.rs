//! Why an Assay proof is believed.
//!
//! [`protocol::verify`] is the whole core protocol, written once against [`channel::Channel`]; the native check, the cost
//! meter and (next) the Halo2 circuit are interpreters of it. The curve side, one multilinear opening, is in [`opening`].
//! Nothing here panics on hostile bytes, uses threads, files, clocks or randomness.
//!
//! A **core proof is sound but not hiding**: it may reveal information about inputs, activations and weights. Only settled
//! proofs are zero-knowledge.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, clippy::panic)
)]

pub mod channel;
pub mod core;
pub mod curve;
pub mod keccak;
pub mod key;
pub mod meter;
pub mod native;
pub mod opening;
pub mod proof;
pub mod protocol;
pub mod security;
pub mod segments;
pub mod settle;
pub mod stack;
pub mod transcript;

pub use ark_bn254::{Fr, G1Affine, G2Affine};
pub use channel::Channel;
pub use core::{Verified, VerifyError};
pub use key::VerifyingKey;
pub use proof::CoreProof;
