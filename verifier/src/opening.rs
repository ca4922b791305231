//! The multilinear opening: one polynomial `h`, committed by KZG through its evaluations, has value `v` at a point.
//!
//! **Statement.** `C = sum_i a_i [tau^i]_1` for `a` in F^(2^m), and `v = sum_i a_i eq(x, bits(i))`, where `x_1` is bound to
//! the *most* significant bit of `i`.
//!
//! **Protocol.** Gemini folding (Bootle, Chiesa, Hu, Orru 2022, section 2.4) turns the claim into univariate ones, and
//! SHPLONK (Boneh, Drake, Fisch, Gabizon, ePrint 2020/081, section 4.1) opens those with two points:
//!
//! ```text
//! P_0 = sum_i a_i X^i;  P_(j+1) = (1 - x_(m-j)) even(P_j) + x_(m-j) odd(P_j);  P_m = v
//!   ->  [P_1] .. [P_(m-1)]                       <-  z        z_j = z^(2^j)
//!   ->  e_j = P_j(-z_j), j < m                   <-  nu
//!   ->  [W],  W  = sum_j nu^j (P_j - l_j) / (X^2 - z_j^2)
//!             l_j the line through P_j's values at z_j and -z_j
//!                                                <-  zeta     s_j = nu^j / (zeta^2 - z_j^2)
//!   ->  [W'], W' = (sum_j s_j (P_j - l_j(zeta)) - W) / (X - zeta)
//! check  e(sum_j s_j ([P_j] - l_j(zeta) [1]) - [W] + zeta [W'], [1]_2) = e([W'], [tau]_2)
//! ```
//!
//! The values at `z_j` are not sent. With `x = x_(m-j)`, the fold relation
//! `2 z_j P_(j+1)(z_j^2) = (z_j (1 - x) + x) P_j(z_j) + (z_j (1 - x) - x) P_j(-z_j)` gives `P_j(z_j)`
//! from `P_(j+1)(z_(j+1))`, starting from `P_m = v`. Testing fold `j` at `z^(2^j)` instead of `z` is
//! what leaves one scalar for each fold: the next fold's point is the square of this one's.
//!
//! **Soundness** (algebraic group model, polynomials of degree at most D, the length of the powers of
//! tau). Fold `j`'s identity has degree at most `2^j D` in `z`, so a false one survives with
//! probability at most `2^m D / r` over all folds; batching adds `m / r` and the linearisation
//! `(D + 2m) / r`. With m = 12 and D = 2^16 that is 2^-225.
//!
//! No degree test on `C` is needed: with coefficients at and above `2^m` the folds end in a constant
//! `P_m` only if every further block of 2^m coefficients evaluates to 0 at `x`, and the constant is the
//! first block's value. By the same token a commitment that carries a multiple of `[tau^(2^m)]_1` to
//! hide a row must have it taken off before it is opened.

mod srs;

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup, pairing::Pairing};
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField, Zero, batch_inversion};
use thiserror::Error;

use crate::{
    curve::{CodecError, FIELD_BYTES, G1_BYTES, Reader, fr_to_bytes, g1_to_bytes},
    keccak::KeccakTranscript,
};

pub use srs::VerifierSrs;

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
    /// `[P_1] .. [P_(m-1)]`; empty for m < 2.
    pub folds: Vec<G1Affine>,
    /// `P_j(-z^(2^j))` for j = 0 .. m-1.
    pub evaluations: Vec<Fr>,
    /// `[W]`.
    pub quotient: G1Affine,
    /// `[W']`.
    pub linearised: G1Affine,
}

impl OpeningProof {
    /// Bytes of a proof about `variables` variables.
    pub fn byte_len(variables: usize) -> usize {
        variables
            .saturating_sub(1)
            .saturating_add(2)
            .saturating_mul(G1_BYTES)
            .saturating_add(variables.saturating_mul(FIELD_BYTES))
    }

    /// Folds, evaluations, `[W]`, `[W']`, without length prefixes: m is part of the statement.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::byte_len(self.evaluations.len()));
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
            folds: reader.g1s(variables.saturating_sub(1))?,
            evaluations: reader.frs(variables)?,
            quotient: reader.g1()?,
            linearised: reader.g1()?,
        })
    }

    fn check_shape(&self, variables: usize) -> Result<(), OpeningError> {
        check_variables(variables)?;
        check_length("fold commitments", variables.saturating_sub(1), self.folds.len())?;
        check_length("fold evaluations", variables, self.evaluations.len())
    }
}

/// What a KZG check is left with: it holds when `e(left, [1]_2) = e(right, [tau]_2)`. Several of them are checked by one
/// pairing call after a random linear combination.
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

/// The prover's and the verifier's Fiat-Shamir order, written once. Each function absorbs one message and draws the
/// challenge that answers it.
pub mod schedule {
    use super::{Fr, G1Affine, KeccakTranscript};

    /// Absorbs the statement: commitment, point (its length is m) and value.
    pub fn statement(transcript: &mut KeccakTranscript, commitment: &G1Affine, point: &[Fr], value: &Fr) {
        transcript.absorb_point("opening/commitment", commitment);
        transcript.absorb_frs("opening/point", point);
        transcript.absorb_fr("opening/value", value);
    }

    /// Absorbs the fold commitments and draws `z`.
    pub fn folds(transcript: &mut KeccakTranscript, folds: &[G1Affine]) -> Fr {
        transcript.absorb_points("opening/folds", folds);
        transcript.challenge("opening/z")
    }

    /// Absorbs the evaluations and draws `nu`.
    pub fn evaluations(transcript: &mut KeccakTranscript, evaluations: &[Fr]) -> Fr {
        transcript.absorb_frs("opening/evaluations", evaluations);
        transcript.challenge("opening/nu")
    }

    /// Absorbs `[W]` and draws `zeta`.
    pub fn quotient(transcript: &mut KeccakTranscript, quotient: &G1Affine) -> Fr {
        transcript.absorb_point("opening/quotient", quotient);
        transcript.challenge("opening/zeta")
    }

    /// Absorbs `[W']`, so that whatever is drawn later from the same transcript depends on the whole proof.
    pub fn linearised(transcript: &mut KeccakTranscript, linearised: &G1Affine) {
        transcript.absorb_point("opening/linearised", linearised);
    }
}

/// `z^(2^j)` for j = 0 ..= variables.
pub fn fold_points(z: Fr, variables: usize) -> Vec<Fr> {
    core::iter::successors(Some(z), |z_j| Some(z_j.square())).take(variables.saturating_add(1)).collect()
}

/// The weights `s_j = nu^j / (zeta^2 - z_j^2)` of the folds in the linearised polynomial, from [`fold_points`]: one for
/// each point but the last. `None` when a denominator is zero.
pub fn fold_weights(points: &[Fr], nu: Fr, zeta: Fr) -> Option<Vec<Fr>> {
    let zeta_square = zeta.square();
    let mut weights: Vec<Fr> = points.iter().skip(1).map(|square| zeta_square - square).collect();
    invert_all(&mut weights)?;
    let mut power = Fr::ONE;
    for weight in &mut weights {
        *weight *= power;
        power *= nu;
    }
    Some(weights)
}

/// Checks that `commitment` opens to `value` at `point`.
///
/// The transcript has absorbed whatever the commitment was derived from; it comes back bound to the whole proof.
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

/// Everything that [`verify`] does except for the pairing, which the caller may batch with others.
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
    proof.check_shape(point.len())?;
    let commitment = commitment.into();
    schedule::statement(transcript, &commitment, point, &value);
    let z = schedule::folds(transcript, &proof.folds);
    let nu = schedule::evaluations(transcript, &proof.evaluations);
    let zeta = schedule::quotient(transcript, &proof.quotient);
    schedule::linearised(transcript, &proof.linearised);

    if point.is_empty() {
        if !proof.quotient.is_zero() || !proof.linearised.is_zero() {
            return Err(OpeningError::NonTrivialQuotient);
        }
        let left = (commitment.into_group() - srs.g1 * value).into_affine();
        return Ok(PairingInput { left, right: G1Affine::identity() });
    }

    let points = fold_points(z, point.len());
    let weights = fold_weights(&points, nu, zeta).ok_or(OpeningError::DegenerateChallenge)?;
    let lines = lines_at(&points, point, value, &proof.evaluations, zeta).ok_or(OpeningError::DegenerateChallenge)?;
    let constant: Fr = weights.iter().zip(&lines).map(|(weight, line)| *weight * line).sum();

    let bases: Vec<G1Affine> = core::iter::once(commitment)
        .chain(proof.folds.iter().copied())
        .chain([proof.quotient, proof.linearised, srs.g1])
        .collect();
    let scalars: Vec<Fr> = weights.into_iter().chain([-Fr::ONE, zeta, -constant]).collect();
    let left = combine_rows(&bases, &scalars)?.into_affine();
    Ok(PairingInput { left, right: proof.linearised })
}

/// `l_j(zeta)` for every fold, deriving the values at `z_j` from the ones at `-z_j` and the claimed value. `None` when a
/// denominator is zero.
fn lines_at(points: &[Fr], point: &[Fr], value: Fr, evaluations: &[Fr], zeta: Fr) -> Option<Vec<Fr>> {
    // x_m is bound by the first fold.
    let coordinates = || point.iter().rev();
    let mut divisors: Vec<Fr> = points.iter().zip(coordinates()).map(|(z_j, x)| *z_j * (Fr::ONE - x) + x).collect();
    invert_all(&mut divisors)?;
    let mut halves: Vec<Fr> = points.iter().zip(evaluations).map(|(z_j, _)| z_j.double()).collect();
    invert_all(&mut halves)?;
    let half = Fr::from(2u8).inverse()?;

    let mut next = value;
    let mut lines: Vec<Fr> = Vec::with_capacity(evaluations.len());
    let folds = points.iter().zip(coordinates()).zip(evaluations).zip(&divisors).zip(&halves).rev();
    for ((((z_j, x), negative), divisor), inverse_double) in folds {
        let cross = *z_j * (Fr::ONE - x) - x;
        let positive = (z_j.double() * next - cross * negative) * divisor;
        lines.push((positive + negative) * half + (positive - negative) * inverse_double * zeta);
        next = positive;
    }
    lines.reverse();
    Some(lines)
}

/// `sum_i coefficients[i] * commitments[i]`, single-threaded (Pippenger's buckets).
///
/// # Errors
/// [`OpeningError::Length`] when the lists differ in length.
pub fn combine_rows(commitments: &[G1Affine], coefficients: &[Fr]) -> Result<G1Projective, OpeningError> {
    check_length("row coefficients", commitments.len(), coefficients.len())?;
    // Buckets cost two additions each, points one: about log2(n) - 2 bits a window.
    let window = usize::try_from(commitments.len().max(1).ilog2()).unwrap_or(0).saturating_sub(2).clamp(2, 12);
    let integers: Vec<_> = coefficients.iter().map(|c| c.into_bigint()).collect();
    let bits: usize = Fr::MODULUS_BIT_SIZE.try_into().unwrap_or(usize::MAX);

    let mut total = G1Projective::zero();
    for start in (0..bits).step_by(window).rev() {
        (0..window).for_each(|_| {
            total.double_in_place();
        });
        let mut buckets = vec![G1Projective::zero(); (1 << window) - 1];
        for (point, integer) in commitments.iter().zip(&integers) {
            let bits = (start..start + window).rev();
            let digit = bits.fold(0usize, |acc, bit| 2 * acc + usize::from(integer.get_bit(bit)));
            if let Some(bucket) = digit.checked_sub(1).and_then(|slot| buckets.get_mut(slot)) {
                *bucket += point;
            }
        }
        let mut running = G1Projective::zero();
        for bucket in buckets.iter().rev() {
            running += bucket;
            total += running;
        }
    }
    Ok(total)
}

/// Inverts every element, or gives `None` when one is zero.
fn invert_all(values: &mut [Fr]) -> Option<()> {
    if values.iter().any(Fr::is_zero) {
        return None;
    }
    batch_inversion(values);
    Some(())
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
