//! Placeholder.

pub mod device;
