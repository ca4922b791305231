//! Placeholder.

pub mod curve;
pub mod keccak;
pub mod opening;
