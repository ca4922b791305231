//! The markets by hand, on a real node.

#[path = "../common/mod.rs"]
mod common;

mod by_hand;
#[path = "../scenarios/support/proxy.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod proxy;
#[path = "../../../contracts/tests/support/stand_in.rs"]
mod stand_in;
mod tasks;
mod training_worker;
mod training_world;
