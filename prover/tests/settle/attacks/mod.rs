//! Attacks on the joint of circuit, digest and opening. Each is tried on the native check and on the contract, and both
//! must refuse it. The attacker knows the witness and does everything that an honest prover does, except for one thing.

use crate::{golden_set, settle_evm, settle_support};

mod challenges;
mod commitments;
mod court;
mod halves;
mod opening;
mod statement;
