//! What can go wrong in a farm: a scenario a file, named after the failure. A real server, real workers, and between them a network
//! that can be slow or gone. `docs/farm.md` lists them with what is guaranteed.

#[path = "../common/mod.rs"]
mod common;
mod support;

mod acknowledged_by_another;
mod drained;
mod duplicate_submission;
mod forged_proof;
mod frozen_worker;
mod full_disk;
mod kills;
mod no_server;
mod nonsense_from_the_server;
mod poisoned_job;
mod segments;
mod server_restarts;
mod slow_network;
mod strangers;
mod two_workers;
mod worker_killed;
mod worker_terminated;
