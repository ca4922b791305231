//! Sums of field elements times small integers in doubles, for AVX2 and fused multiply-adds.
//!
//! The stored form of an element is cut into digits, each a double: the larger the integers, the smaller and the more of them.
//! Products with integers stay below `2^46`, so that 64 of them add up exactly, one fused multiply-add each: a tile has 64 for each
//! lane. Digits in 51 bits ([`crate::radix51`]) need fewer of them, but five instructions for each.
//!
//! Two obligations of `unsafe` code are discharged here: the instructions exist, because only the holder of an
//! [`Available`] gets to run them; and vector loads and stores stay inside a checked slice.

#![allow(unsafe_code)]
// Several arrays are read at the same row.
#![allow(clippy::needless_range_loop)]

use super::avx2::load_words;
use super::mac::{P, element, reduce_five};
use crate::radix51::{Available, double, splat};
use ark_bn254::Fr;
use std::arch::x86_64::*;

/// What the products of digits and integers are smaller than.
const PRODUCT_BITS: usize = 46;

/// Weights of one call at most: sums of digits stay below `2^63`, and sums below `p 2^48`.
const MOST: usize = 1 << 16;

/// Entries whose sums stay exact.
const TILE: usize = 256;

/// Rows of integers that are summed at once.
const ROWS: usize = 8;

/// `p 2^48`: more than any sum.
const BIAS: [u64; 5] =
    [P[0] << 48, P[0] >> 16 | P[1] << 48, P[1] >> 16 | P[2] << 48, P[2] >> 16 | P[3] << 48, P[3] >> 16];

/// `out[o] += sum_l weights[l] * data[o * stride + l]`, for a number of weights that is a multiple of 4; or `false`, and nothing is
/// done, where an integer is too large or there are too many.
pub(super) fn small_dots(_: Available, weights: &[Fr], data: &[i32], stride: usize, out: &mut [Fr]) -> bool {
    // SAFETY: an `Available` exists only where the instructions were detected.
    unsafe { compiled(weights, data, stride, out) }
}

#[target_feature(enable = "avx2,fma")]
fn compiled(weights: &[Fr], data: &[i32], stride: usize, out: &mut [Fr]) -> bool {
    let len = weights.len();
    if len > MOST {
        return false;
    }
    let mut any = 0;
    for o in 0..out.len() {
        // Without a branch for each entry.
        any |= data[o * stride..][..len].iter().fold(0, |any, x| any | x.unsigned_abs());
    }
    match PRODUCT_BITS - (u32::BITS - any.leading_zeros()) as usize {
        32.. => add_sums::<32, 8>(weights, data, stride, out),
        29.. => add_sums::<29, 9>(weights, data, stride, out),
        24.. => add_sums::<24, 11>(weights, data, stride, out),
        _ => return false,
    }
    true
}

/// The sums by digits of so many bits, and so many of them.
#[target_feature(enable = "avx2,fma")]
fn add_sums<const BITS: usize, const DIGITS: usize>(weights: &[Fr], data: &[i32], stride: usize, out: &mut [Fr]) {
    let len = weights.len();
    let mut digits = [[0.0; TILE]; DIGITS];
    let mut rows = [[0.0; TILE]; ROWS];
    let mut totals = vec![[0i64; DIGITS]; out.len()];
    for start in (0..len).step_by(TILE) {
        let count = TILE.min(len - start);
        expand::<BITS, DIGITS>(&weights[start..start + count], &mut digits);
        for (chunk, totals) in totals.chunks_mut(ROWS).enumerate() {
            for (r, row) in rows.iter_mut().take(totals.len()).enumerate() {
                let data = &data[(chunk * ROWS + r) * stride + start..][..count];
                row.iter_mut().zip(data).for_each(|(out, x)| *out = f64::from(*x));
            }
            for (d, digit) in digits.iter().enumerate() {
                let sums = tile_sums(digit, &rows, count);
                totals.iter_mut().zip(sums).for_each(|(totals, sum)| totals[d] += sum);
            }
        }
    }
    out.iter_mut().zip(&totals).for_each(|(out, totals)| *out += total::<BITS>(totals));
}

/// Digits of a tile's weights.
#[inline(always)]
fn expand<const BITS: usize, const DIGITS: usize>(weights: &[Fr], digits: &mut [[f64; TILE]; DIGITS]) {
    for at in (0..weights.len()).step_by(4) {
        let words = load_words(weights, at);
        for (d, digit) in digits.iter_mut().enumerate() {
            let (word, bit) = (d * BITS / 64, (d * BITS % 64) as u64);
            let above = if word < 3 { words[word + 1] } else { splat(0) };
            let out = &mut digit[at..at + 4];
            // SAFETY: the slice holds four doubles; a shift by 64 gives zero.
            unsafe {
                let both = _mm256_or_si256(
                    _mm256_srlv_epi64(words[word], splat(bit)),
                    _mm256_sllv_epi64(above, splat(64 - bit)),
                );
                _mm256_storeu_pd(out.as_mut_ptr(), double(_mm256_and_si256(both, splat((1 << BITS) - 1))));
            }
        }
    }
}

/// Sums of one digit with all rows of integers.
#[inline(always)]
fn tile_sums(digit: &[f64; TILE], rows: &[[f64; TILE]; ROWS], count: usize) -> [i64; ROWS] {
    assert!(count <= TILE && count.is_multiple_of(4), "whole vectors of a tile");
    let mut out = [0; ROWS];
    // SAFETY: four entries from `at` on are within all tiles.
    unsafe {
        let mut sums = [_mm256_setzero_pd(); ROWS];
        for at in (0..count).step_by(4) {
            let weight = _mm256_loadu_pd(digit.as_ptr().add(at));
            for r in 0..ROWS {
                sums[r] = _mm256_fmadd_pd(weight, _mm256_loadu_pd(rows[r].as_ptr().add(at)), sums[r]);
            }
        }
        for r in 0..ROWS {
            let mut lanes = [0.0; 4];
            _mm256_storeu_pd(lanes.as_mut_ptr(), sums[r]);
            // Each is below 2^52; as doubles, their sum might not be exact.
            out[r] = lanes[0] as i64 + lanes[1] as i64 + lanes[2] as i64 + lanes[3] as i64;
        }
    }
    out
}

/// The element whose stored form is the sum of digits.
fn total<const BITS: usize>(totals: &[i64]) -> Fr {
    let (mut limbs, mut carry) = ([0u64; 5], 0i64);
    let mask = (1u64 << BITS) - 1;
    for d in 0..320usize.div_ceil(BITS) {
        let (word, bit) = (d * BITS / 64, d * BITS % 64);
        let mut bias = BIAS[word] >> bit;
        if bit + BITS > 64 && word < 4 {
            bias |= BIAS[word + 1] << (64 - bit);
        }
        carry += (bias & mask) as i64 + totals.get(d).copied().unwrap_or(0);
        let digit = carry as u64 & mask;
        carry >>= BITS;
        limbs[word] |= digit << bit;
        if bit + BITS > 64 && word < 4 {
            limbs[word + 1] |= digit >> (64 - bit);
        }
    }
    element(reduce_five(&limbs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{AdditiveGroup, Field, PrimeField};
    use proptest::prelude::*;

    fn expected(weights: &[Fr], data: &[i32], stride: usize, o: usize) -> Fr {
        weights.iter().zip(&data[o * stride..]).map(|(w, x)| *w * Fr::from(*x)).sum()
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_field(
            vectors in 0..300usize,
            rows in 1..20usize,
            gap in 0..3usize,
            bits in prop_oneof![Just(1), Just(14), Just(15), Just(17), Just(18), Just(22)],
            seed: [u8; 32],
            extreme: bool,
        ) {
            let Some(available) = Available::detect() else { return Ok(()) };
            let (len, largest) = (4 * vectors, (1 << bits) - 1);
            let stride = len + gap;
            let mut state = Fr::from_le_bytes_mod_order(&seed);
            let mut next = || {
                state = state * state + Fr::ONE;
                state
            };
            let weights: Vec<Fr> = (0..len).map(|_| if extreme { -Fr::ONE } else { next() }).collect();
            let small = |x: Fr| x.into_bigint().0[0] as i32 % (largest + 1);
            let data: Vec<i32> = (0..rows * stride).map(|k| if extreme && k % 5 > 0 { -largest } else { small(next()) }).collect();
            let mut out: Vec<Fr> = (0..rows).map(|_| next()).collect();
            let before = out.clone();
            prop_assert!(small_dots(available, &weights, &data, stride, &mut out));
            for o in 0..rows {
                prop_assert_eq!(out[o] - before[o], expected(&weights, &data, stride, o));
            }
        }
    }

    #[test]
    fn the_largest_sums_are_exact_and_larger_integers_are_left_alone() {
        let Some(available) = Available::detect() else { return };
        // Stored forms with all bits set below the modulus.
        let weights = vec![element([u64::MAX, u64::MAX, u64::MAX, P[3] - 1]); 1 << 14];
        for x in [14, 17, 22].map(|bits| (1 << bits) - 1).into_iter().flat_map(|x| [x, -x]) {
            let mut out = [Fr::ZERO];
            assert!(small_dots(available, &weights, &vec![x; 1 << 14], 0, &mut out));
            assert_eq!(out[0], weights[0] * Fr::from(x) * Fr::from(1u64 << 14));
        }
        for x in [1 << 22, -(1 << 22), i32::MIN, i32::MAX] {
            let mut data = vec![1; 1 << 14];
            data[777] = x;
            let mut out = [Fr::ONE];
            assert!(!small_dots(available, &weights, &data, 0, &mut out));
            assert_eq!(out[0], Fr::ONE);
        }
    }
}
