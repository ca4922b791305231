//! Benchmarks: criterion kernels in `benches/`, and the end-to-end harness `e2e`.
//!
//! `cargo run --release -p assay-benches --features e2e --bin e2e` proves every network of `benches/models`, each in a process of its
//! own (so that peak memory is its own), appends one JSON line a network to a file and draws a plot.

#[cfg(feature = "e2e")]
mod held_out;
pub mod plot;
#[cfg(feature = "e2e")]
pub mod run;
#[cfg(feature = "e2e")]
pub mod settlement;
