//! The core protocol, written once (docs/protocol.md#core).
//!
//! ```text
//! D (model, commitments, public values)      ->
//!                                            <-  alpha, beta           lookup challenges
//! fraction tree, layer by layer              ->  (gkr.rs)              point r, p(r), q(r)
//!                                            <-  zeta, lambda          one root claim (root.rs), pulled back
//! bilinear sum c                             ->
//! one sumcheck for all contractions          <-> (bilinear.rs)         two operand claims each
//!                                            <-  rho
//! one sumcheck over all stacks               <-> (reduction.rs)        point x, f(x), W(x)
//!                                            <-  gamma                 f + gamma W opens to e at x
//! ```

pub mod bilinear;
pub mod gkr;
pub mod reduction;
pub mod root;
pub mod sumcheck;

use crate::channel::{Channel, ProtocolError};
use assay_circuits::{Program, Ring};

/// What is left to check with curve operations: the combined row opens to `value`.
///
/// With `m` row variables, the last `m` coordinates of the point are the row's point `x_lo`. Row `b` of stack `s` enters with
/// `gamma^s * eq(high[s], b)`.
#[derive(Clone, Debug)]
pub struct OpeningClaim<E> {
    /// For each stack the coordinates that select a row, most significant first.
    pub high: Vec<Vec<E>>,
    /// Coordinates within a row.
    pub low: Vec<E>,
    /// Separates the stacks.
    pub gamma: E,
    /// `sum_s gamma^s * f_s(x)` over all stacks, the mask row last where there is one.
    pub value: E,
}

/// What the prover's messages may reveal (docs/protocol.md#hiding).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Messages are shown to the verifier. Sound, not hiding.
    Core,
    /// Messages stay inside a circuit: a random salt is absorbed before all else, and the opened row carries a mask row `s`
    /// with weight `gamma^2`, whose value at the point is absorbed before `gamma` is drawn.
    Hiding,
}

/// Index bits of a stack once it is cut in rows of `2^row_bits`.
pub fn padded_bits(stack_bits: usize, row_bits: usize) -> usize {
    stack_bits.max(row_bits)
}

/// Runs the verifier. `statement` is the digest of everything both sides know, the values of [`Program::public`] included,
/// which the channel holds.
pub fn verify<C: Channel>(
    channel: &mut C,
    program: &Program,
    row_bits: usize,
    mode: Mode,
    statement: &C::Elem,
) -> Result<OpeningClaim<C::Elem>, ProtocolError> {
    if mode == Mode::Hiding {
        channel.receive("salt")?;
    }
    channel.observe("statement", statement)?;
    let alpha = channel.challenge("alpha")?;
    let beta = channel.challenge("beta")?;
    let leaf = gkr::verify(channel, program.leaf_bits)?;
    let zeta = channel.challenge("zeta")?;
    let lambda = channel.challenge("lambda")?;
    let challenges = root::Challenges { alpha, beta, zeta, lambda };
    let public = channel.public(&challenges.zeta)?;
    let root = root::build(program, &leaf, &challenges, public)?;
    let (instances, mut claim) = root.pull_back(program)?;
    if !instances.is_empty() {
        let sum = channel.receive("bilinear sum")?;
        claim.value = claim.value - sum.clone();
        let operands = bilinear::verify(channel, &instances, sum)?;
        let rho = channel.challenge("rho")?;
        bilinear::add_operand_claims(program, &instances, &operands, &rho, &mut claim)?;
    }
    reduction::verify(channel, program, row_bits, mode, claim)
}

/// A looked-up item of the layout, or an error instead of a panic.
pub(crate) fn get<T>(items: &[T], index: usize) -> Result<&T, ProtocolError> {
    items.get(index).ok_or(ProtocolError::Layout("index out of range"))
}

/// Splits a slice, or an error instead of a panic.
pub(crate) fn split<T>(items: &[T], at: usize) -> Result<(&[T], &[T]), ProtocolError> {
    items.split_at_checked(at).ok_or(ProtocolError::Layout("too few coordinates"))
}

/// `2^-n`.
pub(crate) fn half_power<E: Ring>(n: usize) -> E {
    E::pow2(i32::try_from(n).map_or(i32::MIN, |n| -n))
}
