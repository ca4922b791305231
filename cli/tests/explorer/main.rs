//! The explorer: what its server lets through, and what its page shows, in a real browser, of a node that a test scripts.

mod abi;
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod page;
mod program;
mod server;
mod stub;
mod verify_page;
mod world;
