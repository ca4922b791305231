//! The front door: measuring and predicting, JSON and exit codes of every command, and what people see.

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod messages;
mod verbs;
mod whole;
