//! The prover of the multilinear opening; `assay_verifier::opening` gives the protocol and its notation.
//!
//! Work for 2^m evaluations: 2^m full-width points for all folds together, 2^m for `[W]` and 2^m for `[W']`; the field work
//! is about ten passes over the evaluations.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};
use assay_verifier::{
    keccak::KeccakTranscript,
    opening::{MAX_VARIABLES, OpeningProof, fold_points, fold_weights, schedule},
};
use rayon::prelude::*;
use thiserror::Error;

use crate::msm::{msm, msm_many};

/// Elements below which a pass over field elements stays on one thread.
const PARALLEL_MIN: usize = 1 << 10;

/// Why an opening could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The evaluations are not one for each corner of the point's cube.
    #[error("a point of {variables} coordinates needs {expected} evaluations, got {got}")]
    Evaluations {
        /// Coordinates of the point.
        variables: usize,
        /// `2^variables`.
        expected: usize,
        /// Evaluations given.
        got: usize,
    },
    /// More variables than the proof format allows.
    #[error("opening point has {got} coordinates, the limit is {limit}")]
    TooManyVariables {
        /// [`MAX_VARIABLES`].
        limit: usize,
        /// The point's length.
        got: usize,
    },
    /// The powers of tau are shorter than the row.
    #[error("the row needs {expected} powers of tau, got {got}")]
    Bases {
        /// Evaluations of the row.
        expected: usize,
        /// Powers available.
        got: usize,
    },
    /// A challenge fell on one of the few values for which the argument divides by zero (probability about m 2^-250).
    #[error("a challenge makes a denominator of the opening zero")]
    DegenerateChallenge,
}

/// A proof and the value that it proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The multilinear polynomial's value at the point.
    pub value: Fr,
    /// The proof for that value.
    pub proof: OpeningProof,
}

/// Opens the polynomial with evaluations `h` (2^m of them, first coordinate of `point` = most significant index bit) at
/// `point`. `commitment` is `sum_i h[i] * bases[i]`, which callers know as a combination of row commitments; `bases` are
/// the powers of tau. The transcript is in the state that the verifier's will be in, and ends up like the verifier's.
///
/// # Errors
/// Lengths that do not agree, or a degenerate challenge.
pub fn open(
    bases: &[G1Affine],
    commitment: impl Into<G1Affine>,
    h: &[Fr],
    point: &[Fr],
    transcript: &mut KeccakTranscript,
) -> Result<Opened, OpenError> {
    let variables = point.len();
    if variables > MAX_VARIABLES {
        return Err(OpenError::TooManyVariables { limit: MAX_VARIABLES, got: variables });
    }
    let size = 1usize << variables;
    if h.len() != size {
        return Err(OpenError::Evaluations { variables, expected: size, got: h.len() });
    }
    let Some(bases) = bases.get(..size) else {
        return Err(OpenError::Bases { expected: size, got: bases.len() });
    };

    let (folded, value) = fold_all(h, point);
    let polynomials: Vec<&[Fr]> = core::iter::once(h).chain(folded.iter().map(Vec::as_slice)).take(variables).collect();
    let proof = prove(bases, &commitment.into(), &polynomials, point, value, transcript)?;
    Ok(Opened { value, proof })
}

/// The protocol's messages, given `P_0 .. P_(m-1)` and the claimed `P_m`.
fn prove(
    bases: &[G1Affine],
    commitment: &G1Affine,
    polynomials: &[&[Fr]],
    point: &[Fr],
    value: Fr,
    transcript: &mut KeccakTranscript,
) -> Result<OpeningProof, OpenError> {
    schedule::statement(transcript, commitment, point, &value);
    let folds = msm_many(bases, polynomials.get(1..).unwrap_or(&[]));
    let folds = G1Projective::normalize_batch(&folds);
    let z = schedule::folds(transcript, &folds);
    let points = fold_points(z, point.len());

    let evaluations: Vec<Fr> =
        polynomials.par_iter().zip(&points).map(|(polynomial, z_j)| evaluate(polynomial, -*z_j)).collect();
    let nu = schedule::evaluations(transcript, &evaluations);

    let w = quotient(polynomials, &points, nu);
    let quotient = msm(bases, &w).into_affine();
    let zeta = schedule::quotient(transcript, &quotient);
    let weights = fold_weights(&points, nu, zeta).ok_or(OpenError::DegenerateChallenge)?;

    let w_prime = linearised(polynomials, &weights, &w, zeta);
    let linearised = msm(bases, &w_prime).into_affine();
    schedule::linearised(transcript, &linearised);
    Ok(OpeningProof { folds, evaluations, quotient, linearised })
}

/// `P_1 .. P_(m-1)` and the constant `P_m`.
fn fold_all(h: &[Fr], point: &[Fr]) -> (Vec<Vec<Fr>>, Fr) {
    let mut folded: Vec<Vec<Fr>> = Vec::with_capacity(point.len());
    for r in point.iter().rev() {
        let next = fold(folded.last().map_or(h, Vec::as_slice), *r);
        folded.push(next);
    }
    let value = folded.pop().as_deref().unwrap_or(h)[0];
    (folded, value)
}

/// Binds the least significant index bit to `r`.
fn fold(polynomial: &[Fr], r: Fr) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO; polynomial.len() / 2];
    out.par_iter_mut()
        .zip(polynomial.par_chunks_exact(2))
        .with_min_len(PARALLEL_MIN)
        .for_each(|(out, pair)| *out = pair[0] + r * (pair[1] - pair[0]));
    out
}

/// The value at `at` of a polynomial given by its coefficients, low to high.
fn evaluate(polynomial: &[Fr], at: Fr) -> Fr {
    let horner = |part: &[Fr]| part.iter().rev().fold(Fr::ZERO, |sum, c| sum * at + c);
    let part = polynomial.len().div_ceil(rayon::current_num_threads()).max(PARALLEL_MIN);
    let values: Vec<Fr> = polynomial.par_chunks(part).map(horner).collect();
    let step = at.pow([part as u64]);
    values.iter().rev().fold(Fr::ZERO, |sum, value| sum * step + value)
}

/// The coefficients of `W = sum_j nu^j (P_j - l_j) / (X^2 - z_j^2)`. Division leaves the line `l_j` as its remainder.
fn quotient(polynomials: &[&[Fr]], points: &[Fr], nu: Fr) -> Vec<Fr> {
    let powers = core::iter::successors(Some(Fr::ONE), |power| Some(*power * nu));
    let jobs: Vec<_> = polynomials.iter().zip(&points[1..]).zip(powers).collect();
    // The first quotient is as long as all others together.
    let quotients: Vec<Vec<Fr>> = jobs
        .into_par_iter()
        .map(|((polynomial, square), power)| {
            let len = polynomial.len() - 2;
            let mut out: Vec<Fr> = vec![Fr::ZERO; len];
            for i in (0..len).rev() {
                let carried = out.get(i + 2).map_or(Fr::ZERO, |above| *above * square);
                out[i] = power * polynomial[i + 2] + carried;
            }
            out
        })
        .collect();
    let mut quotients = quotients.into_iter();
    let mut total = quotients.next().unwrap_or_default();
    for quotient in quotients {
        total.iter_mut().zip(&quotient).for_each(|(total, term)| *total += term);
    }
    total
}

/// The coefficients of `W' = (sum_j s_j P_j - W - constant) / (X - zeta)`; the remainder is the constant.
fn linearised(polynomials: &[&[Fr]], weights: &[Fr], w: &[Fr], zeta: Fr) -> Vec<Fr> {
    let Some((first, rest)) = polynomials.split_first() else {
        return Vec::new();
    };
    let mut sum: Vec<Fr> = first.par_iter().with_min_len(PARALLEL_MIN).map(|c| weights[0] * c).collect();
    for (polynomial, weight) in rest.iter().zip(&weights[1..]) {
        sum.par_iter_mut().zip(*polynomial).with_min_len(PARALLEL_MIN).for_each(|(sum, c)| *sum += *weight * c);
    }
    sum.par_iter_mut().zip(w).with_min_len(PARALLEL_MIN).for_each(|(sum, c)| *sum -= c);
    let mut above = Fr::ZERO;
    for c in sum.iter_mut().rev() {
        above = above * zeta + *c;
        *c = above;
    }
    // What was divided out is now the first element: the remainder.
    sum.remove(0);
    sum
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;
