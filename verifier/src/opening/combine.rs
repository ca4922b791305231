//! The combination of row commitments: one multi-scalar product, single-threaded.
//!
//! Scalars are halved by the curve's endomorphism (Gallant, Lambert, Vanstone 2001), which halves the windows; digits are
//! signed, which halves the buckets; buckets are extended Jacobian, the cheapest to add affine points to. The group of
//! BN254 G1 has prime order, so the endomorphism is multiplication by one scalar on every point of the curve.

use ark_bn254::{Fr, G1Affine, G1Projective, g1};
use ark_ec::{scalar_mul::glv::GLVConfig, short_weierstrass::Bucket};
use ark_ff::{AdditiveGroup, BigInteger, PrimeField};

use super::{OpeningError, check_length};

/// A point, and the digits of its scalar from the lowest window to the highest.
struct Term {
    point: G1Affine,
    digits: Vec<i32>,
}

/// `k = sum_i digits[i] 2^(window i)` with digits of absolute value at most `2^(window - 1)`; `count` is more than the
/// whole windows of `k`, so that the highest digit leaves no carry.
fn signed_digits(k: &<Fr as PrimeField>::BigInt, window: usize, count: usize) -> Vec<i32> {
    let (full, half) = (1i32 << window, 1i32 << (window - 1));
    let mut carry = 0;
    (0..count)
        .map(|i| {
            let bits = (i * window..(i + 1) * window).rev();
            let raw = carry + bits.fold(0, |acc, bit| 2 * acc + i32::from(k.get_bit(bit)));
            carry = i32::from(raw > half);
            if raw > half { raw - full } else { raw }
        })
        .collect()
}

/// `sum_i coefficients[i] * commitments[i]`, single-threaded (Pippenger's buckets).
///
/// # Errors
/// [`OpeningError::Length`] when the lists differ in length.
pub fn combine_rows(commitments: &[G1Affine], coefficients: &[Fr]) -> Result<G1Projective, OpeningError> {
    check_length("row coefficients", commitments.len(), coefficients.len())?;
    let mut halves = Vec::with_capacity(2 * commitments.len());
    for (point, coefficient) in commitments.iter().zip(coefficients) {
        let ((positive, half), (image_positive, image_half)) = g1::Config::scalar_decomposition(*coefficient);
        let image = g1::Config::endomorphism_affine(point);
        halves.push((if positive { *point } else { -*point }, half.into_bigint()));
        halves.push((if image_positive { image } else { -image }, image_half.into_bigint()));
    }
    // Correct for halves of any size; they have 127 bits at most.
    let bits = halves.iter().map(|(_, half)| half.num_bits()).max().unwrap_or(0);
    let bits = usize::try_from(bits).unwrap_or(usize::MAX);
    // Buckets cost two additions each, points one: about log2(n) - 2 bits a window.
    let window = usize::try_from(halves.len().max(1).ilog2()).unwrap_or(0).saturating_sub(2).clamp(2, 12);
    let count = bits / window + 1;
    let term = |(point, half)| Term { point, digits: signed_digits(&half, window, count) };
    let terms: Vec<Term> = halves.into_iter().map(term).collect();

    let mut total = G1Projective::ZERO;
    let mut buckets = vec![Bucket::<g1::Config>::ZERO; 1 << (window - 1)];
    for i in (0..count).rev() {
        (0..window).for_each(|_| {
            total.double_in_place();
        });
        buckets.fill(Bucket::ZERO);
        for Term { point, digits } in &terms {
            let digit = digits.get(i).copied().unwrap_or(0);
            let slot = usize::try_from(digit.unsigned_abs()).ok().and_then(|k| k.checked_sub(1));
            match slot.and_then(|slot| buckets.get_mut(slot)) {
                Some(bucket) if digit > 0 => *bucket += point,
                Some(bucket) => *bucket -= point,
                None => {}
            }
        }
        let (mut running, mut sum) = (Bucket::<g1::Config>::ZERO, Bucket::<g1::Config>::ZERO);
        for bucket in buckets.iter().rev() {
            running += bucket;
            sum += &running;
        }
        total += G1Projective::from(sum);
    }
    Ok(total)
}
