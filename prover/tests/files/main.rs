//! Files: altered ones, ones of nonsense, and those of ceremonies. One binary, as each takes half a minute to compile.

mod ceremony;
mod decoders;
#[path = "../stack_set/mod.rs"]
mod stack_set;
#[path = "../support/mod.rs"]
mod support;
mod tamper;
