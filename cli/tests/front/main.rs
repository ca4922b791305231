//! The command line without a market: one binary, as each takes seconds to link.

mod bad_files;
mod bench;
mod blocks;
#[path = "../common/mod.rs"]
mod common;
mod demo;
mod docs;
mod flow;
mod help;
#[cfg(target_os = "linux")]
mod icicle;
mod linked_models;
mod messages;
#[allow(dead_code, reason = "one test uses a part")]
#[path = "../../../circuits/tests/onnx/proto.rs"]
mod proto;
mod pytorch;
mod segments;
mod srs;
mod stacks;
mod training;
mod training_stacks;
mod verbs;
mod whole;
