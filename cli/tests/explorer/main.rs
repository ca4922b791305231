//! The explorer: what its server lets through, and what its page shows, in a real browser, of a node that a test scripts.

mod abi;
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod handed;
mod page;
mod program;
#[path = "../scenarios/support/proxy.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod proxy;
mod server;
mod stub;
mod tasks_world;
mod training;
#[path = "../market/training_world.rs"]
#[allow(dead_code, reason = "the market's tests use the rest")]
mod training_world;
mod verify_page;
mod world;
