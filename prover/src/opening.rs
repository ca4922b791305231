//! The prover of the multilinear opening; `assay_verifier::opening` gives the protocol and its notation.
//!
//! Work for 2^m evaluations: 2^m / 3 full-width points for all folds together, 2^m for `[W]` and 2^m for `[W']`; the
//! field work is about eight passes over the evaluations.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use assay_verifier::{
    keccak::KeccakTranscript,
    opening::{
        MAX_VARIABLES, OpeningProof,
        folds::{ARITY, FOLD_VARIABLES, FoldPoints, fold_points, fold_weights},
        schedule,
    },
};
use rayon::prelude::*;
use thiserror::Error;

use crate::device::Device;

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
/// `point`; `bases` are the powers of tau, on the device that multiplies them. The transcript has absorbed the statement (commitment, point and value, or
/// everything that they were derived from), like the verifier's, and ends up like the verifier's.
///
/// # Errors
/// Lengths that do not agree, or a degenerate challenge.
pub fn open<D: Device>(
    device: &D,
    bases: &D::Points<'_>,
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
    let got = device.point_count(bases);
    if got < size {
        return Err(OpenError::Bases { expected: size, got });
    }

    let (folded, value) = fold_all(h, point);
    let polynomials: Vec<&[Fr]> = match variables {
        0 => Vec::new(),
        _ => core::iter::once(h).chain(folded.iter().map(Vec::as_slice)).collect(),
    };
    let proof = prove(device, bases, &polynomials, variables, transcript)?;
    Ok(Opened { value, proof })
}

/// The protocol's messages, given `P_0 .. P_(c-1)`.
fn prove<D: Device>(
    device: &D,
    bases: &D::Points<'_>,
    polynomials: &[&[Fr]],
    variables: usize,
    transcript: &mut KeccakTranscript,
) -> Result<OpeningProof, OpenError> {
    let folds = device.msm_rows(bases, polynomials.get(1..).unwrap_or(&[]));
    let z = schedule::folds(transcript, &folds);
    let points = fold_points(z, variables);

    let evaluations: Vec<Fr> =
        polynomials.par_iter().zip(&points).flat_map_iter(|(polynomial, fold)| evaluate(polynomial, fold)).collect();
    let nu = schedule::evaluations(transcript, &evaluations);

    let w = quotient(polynomials, &points, nu);
    let quotient = device.msm_rows(bases, &[&w]).pop().unwrap_or_default();
    let zeta = schedule::quotient(transcript, &quotient);
    let weights = fold_weights(&points, nu, zeta).ok_or(OpenError::DegenerateChallenge)?;

    let w_prime = linearised(polynomials, &weights, &w, zeta);
    let linearised = device.msm_rows(bases, &[&w_prime]).pop().unwrap_or_default();
    schedule::linearised(transcript, &linearised);
    Ok(OpeningProof { folds, evaluations, quotient, linearised })
}

/// `P_1 .. P_(c-1)` and the constant `P_c`.
fn fold_all(h: &[Fr], point: &[Fr]) -> (Vec<Vec<Fr>>, Fr) {
    let mut folded: Vec<Vec<Fr>> = Vec::with_capacity(point.len());
    for coordinates in point.rchunks(FOLD_VARIABLES) {
        let next = fold(folded.last().map_or(h, Vec::as_slice), coordinates);
        folded.push(next);
    }
    let value = folded.pop().as_deref().unwrap_or(h)[0];
    (folded, value)
}

/// Binds the least significant index bits, one or two of them, to the coordinates, of which the last is the least
/// significant bit's.
fn fold(polynomial: &[Fr], coordinates: &[Fr]) -> Vec<Fr> {
    let bind = |pair: &[Fr], x: Fr| pair[0] + x * (pair[1] - pair[0]);
    let arity = 1 << coordinates.len();
    let mut out = vec![Fr::ZERO; polynomial.len() / arity];
    out.par_iter_mut().zip(polynomial.par_chunks_exact(arity)).with_min_len(PARALLEL_MIN).for_each(|(out, parts)| {
        *out = match *coordinates {
            [high, low] => bind(&[bind(&parts[..2], low), bind(&parts[2..], low)], high),
            [x] => bind(parts, x),
            _ => unreachable!("a fold binds one or two coordinates"),
        }
    });
    out
}

/// The values of `polynomial`, given by its coefficients, low to high, at a fold's points other than the first.
///
/// All points have the same power, so one pass gives the parts `Q_k` of `P = sum_k X^k Q_k(X^n)` there.
fn evaluate(polynomial: &[Fr], fold: &FoldPoints) -> Vec<Fr> {
    let arity = fold.points.len();
    let horner = |at: Fr, blocks: &mut dyn Iterator<Item = &[Fr]>| {
        let mut sums = [Fr::ZERO; ARITY];
        for block in blocks {
            sums.iter_mut().zip(block).for_each(|(sum, c)| *sum = *sum * at + c);
        }
        sums
    };
    let part = polynomial.len().div_ceil(rayon::current_num_threads()).max(PARALLEL_MIN).next_multiple_of(arity);
    let sums: Vec<[Fr; ARITY]> =
        polynomial.par_chunks(part).map(|part| horner(fold.next, &mut part.chunks(arity).rev())).collect();
    let step = fold.next.pow([(part / arity) as u64]);
    let parts = horner(step, &mut sums.iter().map(<[Fr; ARITY]>::as_slice).rev());
    fold.points[1..].iter().map(|u| parts.iter().rev().fold(Fr::ZERO, |sum, c| sum * u + c)).collect()
}

/// The coefficients of `W = sum_j nu^j (P_j - l_j) / (X^n_j - z_(j+1))`. Division leaves `l_j` as its remainder.
///
/// The last polynomial has as many coefficients as its fold has points, so its quotient is zero. The other folds have
/// arity 4, and division by `X^4 - z` is one by `X - z` for every fourth coefficient.
fn quotient(polynomials: &[&[Fr]], points: &[FoldPoints], nu: Fr) -> Vec<Fr> {
    let len = polynomials.first().map_or(0, |first| first.len().saturating_sub(ARITY));
    let powers = core::iter::successors(Some(Fr::ONE), |power| Some(*power * nu));
    let jobs: Vec<_> = polynomials.iter().zip(points).zip(powers).collect();
    let residues: Vec<Vec<Fr>> = (0..ARITY)
        .into_par_iter()
        .map(|residue| {
            let mut total = vec![Fr::ZERO; len / ARITY];
            for ((polynomial, fold), power) in &jobs {
                let mut above = Fr::ZERO;
                let coefficients = polynomial.chunks_exact(ARITY).skip(1).zip(&mut total);
                for (block, total) in coefficients.rev() {
                    above = above * fold.next + block[residue];
                    *total += *power * above;
                }
            }
            total
        })
        .collect();
    let mut out = vec![Fr::ZERO; len];
    out.par_chunks_exact_mut(ARITY).enumerate().with_min_len(PARALLEL_MIN).for_each(|(i, block)| {
        block.iter_mut().zip(&residues).for_each(|(out, residue)| *out = residue[i]);
    });
    out
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
