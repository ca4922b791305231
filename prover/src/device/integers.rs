//! Kernels whose input is an integer buffer: the weight is multiplied by one limb, and reduced once per sum.

use super::mac::{IntegerSum, element, limbs, sub_loose};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// Terms of at most 33 bits times loose weights that an [`IntegerSum`] takes.
const TERMS: usize = 1 << 15;

/// Makes any `i32` nonnegative.
const OFFSET: i64 = 1 << 31;

/// `[sum a_lo b_lo, sum (a_hi - a_lo)(b_hi - b_lo)]`.
pub(super) fn product_round_i32(a: [&[i32]; 2], b: [&[Fr]; 2]) -> [Fr; 2] {
    let mut h = [Fr::ZERO; 2];
    let chunks = a[0].chunks(TERMS).zip(a[1].chunks(TERMS)).zip(b[0].chunks(TERMS)).zip(b[1].chunks(TERMS));
    for (((a0, a1), b0), b1) in chunks {
        // The offsets are taken back by the plain sums of the weights.
        let mut sums = [IntegerSum::default(); 4];
        for (((&a0, &a1), b0), b1) in a0.iter().zip(a1).zip(b0).zip(b1) {
            let (low, slope) = (limbs(b0), sub_loose(limbs(b1), limbs(b0)));
            sums[0].add(low, (i64::from(a0) + OFFSET) as u64);
            sums[1].add_one(low);
            sums[2].add(&slope, (i64::from(a1) - i64::from(a0) + 2 * OFFSET) as u64);
            sums[3].add_one(&slope);
        }
        let [low, low_weights, slope, slope_weights] = sums.map(|sum| element(sum.finish()));
        h[0] += low - low_weights * Fr::from(OFFSET);
        h[1] += slope - slope_weights * Fr::from(2 * OFFSET);
    }
    h
}

/// `out[i] = alpha_minus_tag - keys[i] - beta * values[i]`, with no value counting as zero.
pub(super) fn fingerprints(keys: &[i32], values: Option<&[i32]>, out: &mut [Fr], alpha_minus_tag: &Fr, beta: &Fr) {
    let offset = Fr::from(OFFSET);
    let start = *alpha_minus_tag - offset;
    match values {
        None => {
            for (out, &key) in out.iter_mut().zip(keys) {
                let mut sum = IntegerSum::from_loose(limbs(&start));
                sum.add(limbs(&Fr::ONE), (OFFSET - i64::from(key)) as u64);
                *out = element(sum.finish());
            }
        }
        Some(values) => {
            let start = start - *beta * offset;
            for ((out, &key), &value) in out.iter_mut().zip(keys).zip(values) {
                let mut sum = IntegerSum::from_loose(limbs(&start));
                sum.add(limbs(&Fr::ONE), (OFFSET - i64::from(key)) as u64);
                sum.add(limbs(beta), (OFFSET - i64::from(value)) as u64);
                *out = element(sum.finish());
            }
        }
    }
}
