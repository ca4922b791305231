//! How Assay proofs are made fast.
//!
//! [`setup()`] commits to a model and proves its registration; [`prove()`] proves a batch of inferences. The protocol itself
//! is in `assay-verifier`; every claim here is built by the verifier's own functions, so that prover and verifier cannot
//! drift apart. Heavy work goes through a [`device::Device`].

pub mod bilinear;
pub mod cancel;
pub mod device;
pub mod linked;
pub mod lookup;
pub mod msm;
pub mod opening;
pub mod pages;
pub mod prove;
#[cfg(target_arch = "x86_64")]
mod radix51;
#[cfg(target_arch = "x86_64")]
mod radix52;
pub mod recorder;
pub mod reduction;
pub mod settle;
pub mod setup;
pub mod srs;
pub mod stack;
mod sumcheck;
pub mod transcript;
mod vector;
pub mod witness;

pub use linked::{Linked, prove_linked};
pub use prove::{ProveError, prove};
pub use recorder::{Recorder, Stage};
pub use setup::{ProvingKey, SetupOptions, setup, setup_linked};
pub use stack::{Blinding, Stack, StackError};
pub use sumcheck::leading;
