//! What can go wrong between a worker and its pay: a scenario a file, named after the failure. Real workers, a real node, and
//! between them one that drops, delays and repeats answers. `docs/worker.md` lists them with what is guaranteed.

#[path = "../common/mod.rs"]
mod common;
mod support;

mod answers_repeated;
mod circuit_breaker;
mod confidential_jobs;
mod deadline_trap;
mod flooded_block;
mod idle_chain_clock;
mod job_number_reused;
mod late_worker_rescued;
mod lease_answer_lost;
mod lease_included_late;
mod lease_lost_on_the_way;
mod lease_reorged;
mod many_old_jobs;
mod node_restarts;
mod opening_vanishes;
mod out_of_ether;
mod payment_closed;
mod payment_reorged;
mod same_addresses_new_chain;
mod slow_blocks;
mod soak;
mod stranger_second_offer;
mod stuck_fee;
mod tokens_missing;
mod unprofitable;
mod verifier_ended;
mod verifier_registered_later;
