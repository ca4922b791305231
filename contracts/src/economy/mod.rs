//! The token economy from Rust: [`deploy`](fn@deploy) puts the whole system on a chain, a [`Deployment`] says where it is,
//! and [`Market`], [`Registry`], [`Models`], [`Emission`] and [`Token`] are its contracts.
//!
//! Amounts are in units of 10^-18 tokens (see [`amount`]), times in seconds.

pub mod abi;
pub mod amount;
mod artifacts;
mod contract;
mod datasets;
mod deploy;
mod deployment;
mod emission;
mod errors;
mod governor;
mod ledger;
mod market;
mod merkle;
mod parameters;
mod registry;
mod roles;
mod token;
mod training;

pub use artifacts::Name;
pub use contract::Done;
pub use deploy::{ADMIN, CURATOR, Created, Deployed, GUARDIAN, STEPS, deploy};
pub use deployment::{Addresses, Canary, Deployment, FILE as DEPLOYMENT_FILE, MAX_BYTES as DEPLOYMENT_BYTES};
pub(crate) use errors::{sentence, task_sentence};

pub use datasets::{Dataset, DatasetTerms, Datasets, Registered, dataset_id};
pub use emission::{Emission, MAX_EPOCHS, Stats};
pub use governor::{Ballot, Governor, Proposal, State, Tally};
pub use ledger::Ledger;
pub use market::{Fulfilled, Job, MAX_LEASE, Market, Posted, Spec, Status, context_job, input_commitment};
pub use merkle::{NumberedTree, Tree};
pub use parameters::Parameters;
pub use registry::{Entry, MAX_LISTED, Models, NewEntry, Offer, Registry, Terms, offer_id, srs_hash};
pub use token::Token;
pub use training::{
    Evaluated, Leased, Opened, Phase, Revealed, Round, RoundEnd, RoundProof, Shard, Task, TaskEvent, TaskSpec,
    TaskStatus, Trained, Training, dataset_leaf,
};

/// Seconds since 1970 as the contracts store them.
pub type Time = alloy_primitives::aliases::U40;

/// A time as the contracts store it; one that does not fit becomes the last that does.
pub fn time(seconds: u64) -> Time {
    Time::saturating_from(seconds)
}
