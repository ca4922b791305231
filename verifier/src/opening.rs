//! The multilinear opening: one polynomial `h`, committed by KZG through its evaluations, has value `v` at a point.
//!
//! **Statement.** `C = sum_i a_i [tau^i]_1` for `a` in F^(2^m), and `v = sum_i a_i eq(x, bits(i))`, where `x_1` is
//! bound to the *most* significant bit of `i`.
//!
//! **Protocol.** Gemini folding (Bootle, Chiesa, Hu, Orru 2022, section 2.4) turns the claim into univariate ones, and
//! SHPLONK (Boneh, Drake, Fisch, Gabizon, ePrint 2020/081, section 4.1) opens those with two points. A fold binds two
//! coordinates, from the last on, and merges four parts; the last of an odd number of coordinates is bound by a fold
//! of two parts. With `c = ceil(m/2)` folds, `n_j` the arity of fold j and `x_0, x_1` the coordinates that it binds,
//! the later one first:
//!
//! ```text
//! P_0 = sum_i a_i X^i;  P_j = sum_k X^k Q_k(X^n_j);  P_(j+1) = sum_k eq((x_0, x_1), bits(k)) Q_k;  P_c = v
//!   ->  [P_1] .. [P_(c-1)]                       <-  z        z_0 = z, z_(j+1) = z_j^n_j
//!   ->  P_j(u_(j,i)), 0 < i < n_j                <-  nu       u_(j,i) = w^i z_j, w of order n_j
//!   ->  [W],  W  = sum_j nu^j (P_j - l_j) / (X^n_j - z_(j+1))
//!             l_j of degree below n_j with P_j's values at all u_(j,i), the roots of X^n_j - z_(j+1)
//!                                                <-  zeta     s_j = nu^j / (zeta^n_j - z_(j+1))
//!   ->  [W'], W' = (sum_j s_j (P_j - l_j(zeta)) - W) / (X - zeta)
//! check  e(sum_j s_j ([P_j] - l_j(zeta) [1]) - [W] + zeta [W'], [1]_2) = e([W'], [tau]_2)
//! ```
//!
//! The values at `u_(j,0) = z_j` are not sent: the fold relation `P_(j+1)(z_(j+1)) = sum_i K_(j,i) P_j(u_(j,i))` (see
//! [`folds`]) gives `P_j(z_j)` from `P_(j+1)(z_(j+1))`, starting from `P_c = v`. Testing fold `j` at `z_j` instead of
//! `z` is what lets one value of the next fold stand for one of this fold's. Two coordinates cost a point and three
//! scalars; folds of arity 2 would take two points and two scalars.
//!
//! **Transcript.** The caller absorbs the statement (commitment, point, value, or whatever fixes them) before; nothing
//! here does. All lengths follow from m.
//!
//! **Soundness** (algebraic group model, polynomials of degree at most D, the length of the powers of
//! tau). Fold `j`'s identity has degree at most `n_0 .. n_j D` in `z`. All polynomials are fixed before `z`, and if the
//! claim is false, so is one of the identities, which survives with probability at most `2^m D / r`. Batching adds
//! `c / r` and the linearisation `(D + 2m) / r`, the arities' sum being `2m`. With m = 12 and D = 2^16 that is 2^-225.
//! A challenge that makes a denominator zero is refused.
//!
//! No degree test on `C` is needed: with coefficients at and above `2^m` the folds end in a constant
//! `P_c` only if every further block of 2^m coefficients evaluates to 0 at `x`, and the constant is the
//! first block's value. By the same token a commitment that carries a multiple of `[tau^(2^m)]_1` to
//! hide a row must have it taken off before it is opened.

mod combine;
pub mod folds;
mod srs;

use ark_bn254::{Bn254, Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup, pairing::Pairing};
use ark_ff::{Field, Zero};
use thiserror::Error;

use crate::{
    curve::{CodecError, FIELD_BYTES, G1_BYTES, Reader, fr_to_bytes, g1_to_bytes},
    keccak::KeccakTranscript,
};
pub use combine::combine_rows;
use folds::{Linearisation, linearise};

pub use folds::{evaluation_count, fold_count};
pub use srs::{DEVELOPMENT_SEEDS, VerifierSrs, is_development};

/// The largest `m`: rows of 2^28 evaluations, the size of the largest public powers of tau.
pub const MAX_VARIABLES: usize = 28;

/// Why an opening was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpeningError {
    /// The proof's bytes are not canonical.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// More variables than the format allows.
    #[error("opening point has {got} coordinates, the limit is {limit}")]
    TooManyVariables {
        /// [`MAX_VARIABLES`].
        limit: usize,
        /// The point's length.
        got: usize,
    },
    /// A list in the proof or statement has the wrong length.
    #[error("{field}: expected {expected} elements, got {got}")]
    Length {
        /// The list's name.
        field: &'static str,
        /// The length that the statement asks for.
        expected: usize,
        /// The length found.
        got: usize,
    },
    /// A challenge fell on one of the few values for which the argument divides by zero (probability about m 2^-250).
    #[error("a challenge makes a denominator of the opening zero")]
    DegenerateChallenge,
    /// A proof about a constant must hold infinity for both quotients: it has nothing to divide.
    #[error("quotients of an opening without variables must be the point at infinity")]
    NonTrivialQuotient,
    /// The pairing equation does not hold: the claim is false or the proof was altered.
    #[error("pairing check failed: the commitment does not open to the claimed value")]
    PairingMismatch,
}

/// A proof that one committed polynomial of 2^m evaluations has a value at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningProof {
    /// `[P_1] .. [P_(c-1)]`; empty for m < 3.
    pub folds: Vec<G1Affine>,
    /// `P_j(u_(j,i))`, i = 1 .. n_j - 1, for j = 0 .. c-1.
    pub evaluations: Vec<Fr>,
    /// `[W]`.
    pub quotient: G1Affine,
    /// `[W']`.
    pub linearised: G1Affine,
}

impl OpeningProof {
    /// Commitments in a proof about `variables` variables.
    pub const fn fold_commitments(variables: usize) -> usize {
        fold_count(variables).saturating_sub(1)
    }

    /// Bytes of a proof about `variables` variables.
    pub const fn byte_len(variables: usize) -> usize {
        Self::fold_commitments(variables)
            .saturating_add(2)
            .saturating_mul(G1_BYTES)
            .saturating_add(evaluation_count(variables).saturating_mul(FIELD_BYTES))
    }

    /// Folds, evaluations, `[W]`, `[W']`, without length prefixes: m is part of the statement.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.folds.iter().for_each(|point| out.extend_from_slice(&g1_to_bytes(point)));
        self.evaluations.iter().for_each(|value| out.extend_from_slice(&fr_to_bytes(value)));
        out.extend_from_slice(&g1_to_bytes(&self.quotient));
        out.extend_from_slice(&g1_to_bytes(&self.linearised));
        out
    }

    /// The inverse of [`Self::to_bytes`] for a statement of `variables` variables.
    ///
    /// # Errors
    /// Too many variables, or bytes that are not the canonical encoding of a proof of exactly this size.
    pub fn from_bytes(variables: usize, bytes: &[u8]) -> Result<Self, OpeningError> {
        let mut reader = Reader::new(bytes);
        let proof = Self::read(variables, &mut reader)?;
        reader.finish()?;
        Ok(proof)
    }

    /// Reads a proof of `variables` variables and leaves what follows it.
    ///
    /// # Errors
    /// Those of [`Self::from_bytes`], except for trailing bytes.
    pub fn read(variables: usize, reader: &mut Reader<'_>) -> Result<Self, OpeningError> {
        check_variables(variables)?;
        Ok(Self {
            folds: reader.g1s(Self::fold_commitments(variables))?,
            evaluations: reader.frs(evaluation_count(variables))?,
            quotient: reader.g1()?,
            linearised: reader.g1()?,
        })
    }

    fn check_shape(&self, variables: usize) -> Result<(), OpeningError> {
        check_variables(variables)?;
        check_length("fold commitments", Self::fold_commitments(variables), self.folds.len())?;
        check_length("fold evaluations", evaluation_count(variables), self.evaluations.len())
    }
}

/// What a KZG check is left with: it holds when `e(left, [1]_2) = e(right, [tau]_2)`. Several of them are checked by
/// one pairing call after a random linear combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairingInput {
    /// Paired with `[1]_2`.
    pub left: G1Affine,
    /// Paired with `[tau]_2`.
    pub right: G1Affine,
}

impl PairingInput {
    /// Whether `e(left, [1]_2) = e(right, [tau]_2)`.
    pub fn holds(&self, srs: &VerifierSrs) -> bool {
        let right = (-self.right.into_group()).into_affine();
        Bn254::multi_pairing([self.left, right], [srs.g2, srs.tau_g2]).is_zero()
    }
}

/// The scalars of the linear combination that is paired with `[1]_2`. A caller with more points to add, or one that
/// knows the commitment as a combination of others, merges them into one multi-scalar multiplication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningTerms {
    /// `s_0`, of the opened commitment.
    pub commitment: Fr,
    /// `s_1 .. s_(c-1)`, of [`OpeningProof::folds`].
    pub folds: Vec<Fr>,
    /// `-1`, of [`OpeningProof::quotient`].
    pub quotient: Fr,
    /// `zeta`, of [`OpeningProof::linearised`], which is also the point paired with `[tau]_2`.
    pub linearised: Fr,
    /// `-sum_j s_j l_j(zeta)`, of `[1]_1`.
    pub generator: Fr,
}

/// The prover's and the verifier's Fiat-Shamir order, written once. Each function absorbs one message and draws the
/// challenge that answers it. The statement was absorbed before the first of them.
pub mod schedule {
    use super::{Fr, G1Affine, KeccakTranscript};

    /// Absorbs the fold commitments and draws `z`.
    pub fn folds(transcript: &mut KeccakTranscript, folds: &[G1Affine]) -> Fr {
        transcript.absorb_points(folds);
        transcript.challenge()
    }

    /// Absorbs the evaluations and draws `nu`.
    pub fn evaluations(transcript: &mut KeccakTranscript, evaluations: &[Fr]) -> Fr {
        transcript.absorb_frs(evaluations);
        transcript.challenge()
    }

    /// Absorbs `[W]` and draws `zeta`.
    pub fn quotient(transcript: &mut KeccakTranscript, quotient: &G1Affine) -> Fr {
        transcript.absorb_point(quotient);
        transcript.challenge()
    }

    /// Absorbs `[W']`, so that whatever is drawn later from the same transcript depends on the whole proof.
    pub fn linearised(transcript: &mut KeccakTranscript, linearised: &G1Affine) {
        transcript.absorb_point(linearised);
    }
}

/// Checks that `commitment` opens to `value` at `point`.
///
/// The transcript must have absorbed all three, or everything that they were derived from; it comes back bound to the
/// whole proof.
///
/// # Errors
/// A proof of the wrong shape, a degenerate challenge, or a pairing equation that fails.
pub fn verify(
    srs: &VerifierSrs,
    commitment: impl Into<G1Affine>,
    point: &[Fr],
    value: Fr,
    proof: &OpeningProof,
    transcript: &mut KeccakTranscript,
) -> Result<(), OpeningError> {
    let input = pairing_input(srs, commitment, point, value, proof, transcript)?;
    if input.holds(srs) { Ok(()) } else { Err(OpeningError::PairingMismatch) }
}

/// Everything that [`verify`] does except for the pairing, which the caller may batch with others. It asks the same of
/// the transcript.
///
/// # Errors
/// A proof of the wrong shape or a degenerate challenge.
pub fn pairing_input(
    srs: &VerifierSrs,
    commitment: impl Into<G1Affine>,
    point: &[Fr],
    value: Fr,
    proof: &OpeningProof,
    transcript: &mut KeccakTranscript,
) -> Result<PairingInput, OpeningError> {
    let terms = pairing_terms(point, value, proof, transcript)?;
    let bases: Vec<G1Affine> = core::iter::once(commitment.into())
        .chain(proof.folds.iter().copied())
        .chain([proof.quotient, proof.linearised, srs.g1])
        .collect();
    let scalars: Vec<Fr> = core::iter::once(terms.commitment)
        .chain(terms.folds)
        .chain([terms.quotient, terms.linearised, terms.generator])
        .collect();
    let left = combine_rows(&bases, &scalars)?.into_affine();
    Ok(PairingInput { left, right: proof.linearised })
}

/// The field arithmetic of [`pairing_input`], which is what it does besides the multi-scalar multiplication. It asks
/// the same of the transcript: the commitment too must be absorbed, although it is not needed here.
///
/// # Errors
/// A proof of the wrong shape or a degenerate challenge.
pub fn pairing_terms(
    point: &[Fr],
    value: Fr,
    proof: &OpeningProof,
    transcript: &mut KeccakTranscript,
) -> Result<OpeningTerms, OpeningError> {
    proof.check_shape(point.len())?;
    let z = schedule::folds(transcript, &proof.folds);
    let nu = schedule::evaluations(transcript, &proof.evaluations);
    let zeta = schedule::quotient(transcript, &proof.quotient);
    schedule::linearised(transcript, &proof.linearised);

    let (quotient, linearised) = (-Fr::ONE, zeta);
    if point.is_empty() {
        if !proof.quotient.is_zero() || !proof.linearised.is_zero() {
            return Err(OpeningError::NonTrivialQuotient);
        }
        return Ok(OpeningTerms { commitment: Fr::ONE, folds: Vec::new(), quotient, linearised, generator: -value });
    }
    let Linearisation { weights, constant } =
        linearise(point, value, &proof.evaluations, [z, nu, zeta]).ok_or(OpeningError::DegenerateChallenge)?;
    let (commitment, folds) = weights.split_first().ok_or(OpeningError::DegenerateChallenge)?;
    Ok(OpeningTerms { commitment: *commitment, folds: folds.to_vec(), quotient, linearised, generator: -constant })
}

fn check_variables(got: usize) -> Result<(), OpeningError> {
    if got > MAX_VARIABLES {
        return Err(OpeningError::TooManyVariables { limit: MAX_VARIABLES, got });
    }
    Ok(())
}

fn check_length(field: &'static str, expected: usize, got: usize) -> Result<(), OpeningError> {
    if expected != got {
        return Err(OpeningError::Length { field, expected, got });
    }
    Ok(())
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;
