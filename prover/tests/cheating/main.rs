//! What a cheating prover sends, and that it is refused. One binary, as each takes half a minute to compile.

mod adapters;
mod advice;
#[path = "../../../circuits/tests/support/mod.rs"]
mod draw;
mod gather;
mod keys;
mod mask;
mod messages;
mod outputs;
mod random_runs;
mod random_stacks;
#[path = "../random_training/mod.rs"]
mod random_training;
#[path = "../settle_support/mod.rs"]
mod settle_support;
#[path = "../stack_set/mod.rs"]
mod stack_set;
mod stacks;
#[path = "../support/mod.rs"]
mod support;
mod training;
mod witnesses;
