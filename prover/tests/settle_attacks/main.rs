//! Attacks on the joint of circuit, digest and opening. Each is tried on the native check and on the contract, and both
//! must refuse it. The attacker knows the witness and does everything that an honest prover does, except for one thing.

mod challenges;
mod commitments;
mod court;
#[path = "../golden_set/mod.rs"]
mod golden_set;
mod halves;
mod opening;
#[path = "../settle_evm/mod.rs"]
mod settle_evm;
#[path = "../settle_support/mod.rs"]
mod settle_support;
mod statement;
#[path = "../support/mod.rs"]
mod support;
