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
    meter::measure,
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
    let channel = match run {
        Some(run) => TapeChannel::new(run.messages, run.public)?,
        None => TapeChannel::structure()?,
    };
    record(channel, program, row_bits, run)
}

/// Operations that a circuit holds at most, per row: what the record of a claimed size is limited to. Rows take a product and
/// some sums each; operations that are folded into other rows come on top (the largest of the tests' graphs has 4).
const OPERATIONS_PER_ROW: usize = 24;

/// The least number of rows that a permutation of the sponge takes (docs/protocol.md#circuit).
const PERMUTATION_ROWS: usize = 37;

/// Whether a circuit of `2^k` rows can be the one of a layout, by counting alone: nothing is recorded, and no memory is
/// needed that a verification of the layout does not take.
///
/// # Errors
/// [`ProtocolError::CircuitSize`].
pub fn check_claimed_size(program: &Program, row_bits: usize, k: usize) -> Result<(), ProtocolError> {
    let (cost, _) = measure(program, row_bits, Mode::Hiding)?;
    let rows = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let wrong = |what| Err(ProtocolError::CircuitSize { claimed: k, what });
    let claimed = 1u64.checked_shl(u32::try_from(k).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
    if rows(cost.permutations.saturating_mul(PERMUTATION_ROWS)) > claimed {
        return wrong("more rows");
    }
    // Every operation ends in at most a few terms of sums, every term in at most one row.
    let operations = cost.multiplications.saturating_add(cost.additions).saturating_add(rows(cost.messages));
    let most = rows(cost.permutations).saturating_mul(64).saturating_add(operations.saturating_mul(4));
    // The domain is a power of two above the rows.
    if claimed > most.saturating_mul(2).max(1 << 10) {
        return wrong("fewer rows");
    }
    Ok(())
}

/// The circuit of a layout, if it has `2^k` rows: work and memory are bounded by that claim, whatever the graph.
///
/// # Errors
/// [`ProtocolError::CircuitSize`]; those of the protocol.
pub fn circuit_of_size(program: &Program, row_bits: usize, k: usize) -> Result<Rows, ProtocolError> {
    check_claimed_size(program, row_bits, k)?;
    let most = 1usize.checked_shl(u32::try_from(k).unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
    let channel = TapeChannel::structure()?.limited(most.saturating_mul(OPERATIONS_PER_ROW));
    let rows = record(channel, program, row_bits, None)?;
    if usize::try_from(rows.k()) != Ok(k) {
        let what = if rows.fixed.len() > most { "more rows" } else { "fewer rows" };
        return Err(ProtocolError::CircuitSize { claimed: k, what });
    }
    Ok(rows)
}

fn record(
    mut channel: TapeChannel<'_>,
    program: &Program,
    row_bits: usize,
    run: Option<Run<'_>>,
) -> Result<Rows, ProtocolError> {
    let statement = channel.instance(instance::STATEMENT, run.map_or(Fr::ZERO, |r| r.statement));
    let claim = protocol::verify(&mut channel, program, row_bits, Mode::Hiding, &statement)?;
    channel.expose(instance::GAMMA, &claim.gamma);
    channel.expose(instance::VALUE, &claim.value);
    for (i, x) in point(&claim).iter().enumerate() {
        channel.expose(instance::POINT.saturating_add(i), x);
    }
    channel.within_limit()?;
    let (tape, unread) = channel.finish();
    if unread > 0 {
        return Err(ProtocolError::Layout("messages that nobody asked for"));
    }
    layout::lay_out(&tape)
}

/// All coordinates of an opening claim; both stacks' points are tails of it.
pub fn point<E: Clone>(claim: &OpeningClaim<E>) -> Vec<E> {
    let high = if claim.witness_high.len() > claim.model_high.len() { &claim.witness_high } else { &claim.model_high };
    high.iter().chain(&claim.low).cloned().collect()
}
