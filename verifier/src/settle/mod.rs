//! Settlement: the same verifier inside a circuit, and what a chain checks (docs/protocol.md#settlement).
//!
//! | file | what |
//! |---|---|
//! | `tape` | the interpreter that records a run of the verifier |
//! | `layout` | from a record to rows of a circuit |
//! | `gates` | what must hold in every row |
//! | `descriptor` | what the chain knows of a circuit |
//! | `argument` | a settled proof |
//! | `key` | settlement keys and settled proofs, with their files |
//! | `check` | the check of a settled proof, as the contract does it |

pub mod argument;
pub mod check;
pub mod descriptor;
pub mod gates;
pub mod key;
pub mod layout;
pub mod tape;

use crate::{
    Fr,
    channel::ProtocolError,
    protocol::{self, Mode, OpeningClaim},
};
use ark_ff::AdditiveGroup;
use assay_circuits::Program;
use layout::Rows;
use tape::{TapeChannel, instance};

/// The messages of a prover and what they are about.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The statement's digest.
    pub statement: Fr,
    /// Messages, in order.
    pub messages: &'a [Fr],
    /// Public values.
    pub public: &'a [Vec<i64>],
}

/// Runs the verifier and lays it out as a circuit. Without a `run` the witness is meaningless, and the circuit is the same.
///
/// # Errors
/// Those of the protocol, except that equations which do not hold are left to the circuit.
pub fn circuit(program: &Program, row_bits: usize, run: Option<Run<'_>>) -> Result<Rows, ProtocolError> {
    let mut channel = match run {
        Some(run) => TapeChannel::new(run.messages, run.public)?,
        None => TapeChannel::structure()?,
    };
    let statement = channel.instance(instance::STATEMENT, run.map_or(Fr::ZERO, |r| r.statement));
    let claim = protocol::verify(&mut channel, program, row_bits, Mode::Hiding, &statement)?;
    channel.expose(instance::GAMMA, &claim.gamma);
    channel.expose(instance::VALUE, &claim.value);
    for (i, x) in point(&claim).iter().enumerate() {
        channel.expose(instance::POINT.saturating_add(i), x);
    }
    let (tape, unread) = channel.finish();
    if unread > 0 {
        return Err(ProtocolError::Layout("messages that nobody asked for"));
    }
    layout::lay_out(&tape)
}

/// All coordinates of an opening claim; every stack's point is a tail of it.
pub fn point<E: Clone>(claim: &OpeningClaim<E>) -> Vec<E> {
    let high = claim.high.iter().max_by_key(|h| h.len());
    high.into_iter().flatten().chain(&claim.low).cloned().collect()
}
