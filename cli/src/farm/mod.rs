//! Many machines prove for one: jobs, artefacts and results on a NATS server ([`nats`]), or in this process ([`memory`]).
//!
//! What a farm guarantees, and what tries to break it, is in `docs/farm.md`. In short: a job's record is the truth ([`record`]), every
//! step is fenced by the lease that the record names, nothing is accepted that was not checked against the job ([`check`]), and the
//! same work submitted twice is one job.

pub(crate) mod backend;
mod beat;
mod check;
pub(crate) mod keeper;
pub(crate) mod local;
mod memory;
pub(crate) mod nats;
pub(crate) mod prove;
pub(crate) mod record;
pub(crate) mod segments;
pub(crate) mod server;
pub(crate) mod shelf;
pub(crate) mod status;
pub(crate) mod submit;
#[cfg(test)]
mod tests;
pub(crate) mod worker;

use backend::Terms;
use std::time::Duration;

/// The terms of a farm in this process.
const TERMS: Terms = Terms { lease: Duration::from_secs(30), tries: 4 };
