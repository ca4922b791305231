//! Settled proofs. One binary, as each takes half a minute to compile.

mod attacks;
mod canary;
mod circuit;
mod confidential;
mod end_to_end;
#[path = "../golden_set/mod.rs"]
mod golden_set;
mod hiding;
#[path = "../settle_evm/mod.rs"]
mod settle_evm;
#[path = "../settle_forge/mod.rs"]
mod settle_forge;
#[path = "../settle_support/mod.rs"]
mod settle_support;
mod simulated_stacks;
#[path = "../stack_set/mod.rs"]
mod stack_set;
mod stacks;
#[path = "../support/mod.rs"]
mod support;
mod training;
#[path = "../training_world/mod.rs"]
mod training_world;
