//! Halving scalars with the endomorphism `(x, y) -> (beta x, y) = lambda (x, y)` of BN254.
//!
//! The lattice of pairs (a, b) with `a + lambda b = 0 mod r` has the short basis (N11, N12'), (N21, N22') below; taking the
//! nearest lattice point (up to the rounding of [`G1`] and [`G2`], off by less than 3/4 in each direction) from (k, 0)
//! leaves halves of at most `3/4 (N22 + N12) < 2^126.4`. The halves are exact whatever the rounding: only their size
//! depends on it.

use ark_bn254::{Fr, G1Affine, g1};
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ff::PrimeField;
use rayon::prelude::*;

use super::point::Point;

/// Bits of a half's absolute value, rounded up.
pub(super) const HALF_BITS: u32 = 127;
/// A half's largest absolute value.
pub(super) const HALF_LIMIT: i128 = ((N22 + N12) / 4 * 3 + 3) as i128;

const N11: u128 = 147946756881789319000765030803803410728;
const N12: u128 = 9931322734385697763;
const N22: u128 = 147946756881789319010696353538189108491;
/// `2^256 N22 / r` rounded, little-endian limbs.
const G1: [u64; 3] = [0x5398_fd03_00ff_6565, 0x4cce_f014_a773_d2d2, 2];
/// `2^256 N12 / r` rounded, little-endian limbs.
const G2: [u64; 3] = [0xd91d_232e_c7e0_b3d7, 2, 0];

/// Each base followed by its image: `[P_0, lambda P_0, P_1, ...]`.
pub(super) fn with_images(bases: &[G1Affine]) -> Vec<Point> {
    let beta = g1::Config::ENDO_COEFFS[0];
    let mut out = vec![Point::INFINITY; 2 * bases.len()];
    out.par_chunks_exact_mut(2).zip(bases).with_min_len(512).for_each(|(pair, base)| {
        pair[0] = base.into();
        pair[1] = Point { x: base.x * beta, y: base.y };
    });
    out
}

/// `scalars[i] = out[2i] + lambda out[2i + 1]`.
pub(super) fn split(scalars: &[Fr]) -> Vec<i128> {
    let mut out = vec![0; 2 * scalars.len()];
    out.par_chunks_exact_mut(2).zip(scalars).with_min_len(512).for_each(|(pair, scalar)| {
        let limbs = scalar.into_bigint().0;
        let (b1, b2) = (rounded_high(&limbs, &G1), rounded_high(&limbs, &G2));
        // Modulo 2^128: the results are known to fit.
        let low = u128::from(limbs[1]) << 64 | u128::from(limbs[0]);
        let first = low.wrapping_sub(b1.wrapping_mul(N11)).wrapping_sub(b2.wrapping_mul(N12));
        let second = b1.wrapping_mul(N12).wrapping_sub(b2.wrapping_mul(N22));
        (pair[0], pair[1]) = (first as i128, second as i128);
    });
    out
}

/// `(a b + 2^255) / 2^256`, which fits 128 bits for a scalar and the constants above.
fn rounded_high(a: &[u64; 4], b: &[u64; 3]) -> u128 {
    let mut product = [0u64; 7];
    for (i, &x) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, &y) in b.iter().enumerate() {
            let sum = u128::from(x) * u128::from(y) + u128::from(product[i + j]) + carry;
            product[i + j] = sum as u64;
            carry = sum >> 64;
        }
        product[i + 3] = carry as u64;
    }
    let high = u128::from(product[5]) << 64 | u128::from(product[4]);
    high + u128::from(product[3] >> 63)
}
