//! What proofs are about: the relation, its layouts, stacks and recurrences. One binary, as each takes half a minute to compile.

mod agreement;
mod dealt_stacks;
mod named_stacks;
mod pullback;
mod recurrence;
mod recurrent_import;
#[path = "../settle_support/mod.rs"]
mod settle_support;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
