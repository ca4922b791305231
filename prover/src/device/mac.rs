//! Sums of products with the modular reduction delayed to the end.
//!
//! A field element `x` is stored as `x R mod p` with `R = 2^256`, in four 64-bit limbs below `p < 2^254`. Sums of such
//! integers, times small integers or times each other, are kept as plain wide integers and reduced once. A *loose*
//! value is a four-limb integer below a small multiple of `p`; `2^256` is a little more than `5 p`, so a sum of
//! products below `5 p^2` reduces to less than `2p`.

// Several integers are read at the same limb.
#![allow(clippy::needless_range_loop)]

use ark_bn254::{Fr, FrConfig};
use ark_ff::{BigInt, Fp, MontConfig};

/// A four-limb integer, least significant limb first.
pub(super) type Limbs = [u64; 4];

/// An unreduced product, or a short sum of products.
pub(super) type Wide = [u64; 8];

/// The modulus `p`.
pub(super) const P: Limbs = FrConfig::MODULUS.0;

/// `2p`.
const P2: Limbs = double(P);

/// `-p^-1 mod 2^64`.
const INV: u64 = FrConfig::INV;

/// `floor(2^304 / p)`, the reciprocal of [`reduce_five`].
const RECIPROCAL: u64 = reciprocal();

const fn double(a: Limbs) -> Limbs {
    [a[0] << 1, a[1] << 1 | a[0] >> 63, a[2] << 1 | a[1] >> 63, a[3] << 1 | a[2] >> 63]
}

/// Long division of `2^304` by `p`, bit by bit.
const fn reciprocal() -> u64 {
    let mut remainder: Limbs = [1, 0, 0, 0];
    let mut quotient = 0u64;
    let mut bit = 0;
    while bit < 304 {
        remainder = double(remainder);
        let mut difference = [0u64; 4];
        let mut borrow = false;
        let mut i = 0;
        while i < 4 {
            let (rest, under1) = remainder[i].overflowing_sub(P[i]);
            let (rest, under2) = rest.overflowing_sub(borrow as u64);
            difference[i] = rest;
            borrow = under1 || under2;
            i += 1;
        }
        quotient <<= 1;
        if !borrow {
            remainder = difference;
            quotient |= 1;
        }
        bit += 1;
    }
    quotient
}

/// The stored form of a field element.
#[inline(always)]
pub(super) fn limbs(x: &Fr) -> &Limbs {
    &x.0.0
}

/// The field element with the stored form `x`, which must be below `p`.
#[inline(always)]
pub(super) fn element(x: Limbs) -> Fr {
    Fp::new_unchecked(BigInt(x))
}

/// `a + b`, which must fit four limbs.
#[inline(always)]
pub(super) fn add(a: &Limbs, b: &Limbs) -> Limbs {
    let mut out = [0; 4];
    let mut carry = false;
    for i in 0..4 {
        (out[i], carry) = a[i].carrying_add(b[i], carry);
    }
    out
}

/// `a - b + p`, for `b` at most `p`: no comparison.
#[inline(always)]
pub(super) fn sub_loose(a: &Limbs, b: &Limbs) -> Limbs {
    let mut complement = [0; 4];
    let mut borrow = false;
    for i in 0..4 {
        (complement[i], borrow) = P[i].borrowing_sub(b[i], borrow);
    }
    add(a, &complement)
}

#[inline(always)]
fn subtract_once(a: &Limbs, modulus: &Limbs) -> Limbs {
    let mut difference = [0; 4];
    let mut borrow = false;
    for i in 0..4 {
        (difference[i], borrow) = a[i].borrowing_sub(modulus[i], borrow);
    }
    // A mask, since on random values a branch is mispredicted every other time.
    let keep = 0u64.wrapping_sub(u64::from(borrow));
    let mut out = [0; 4];
    for i in 0..4 {
        out[i] = difference[i] ^ (keep & (difference[i] ^ a[i]));
    }
    out
}

/// Subtracts `p` from a value below `2p` when it is not below `p`.
#[inline(always)]
pub(super) fn canonical2(a: &Limbs) -> Limbs {
    subtract_once(a, &P)
}

/// The residue of a value below `4p`.
#[inline(always)]
pub(super) fn canonical4(a: &Limbs) -> Limbs {
    subtract_once(&subtract_once(a, &P2), &P)
}

/// The product of two four-limb integers.
#[inline(always)]
pub(super) fn mul_wide(a: &Limbs, b: &Limbs) -> Wide {
    let mut out = [0; 8];
    for i in 0..4 {
        let mut carry = 0;
        for j in 0..4 {
            (out[i + j], carry) = a[j].carrying_mul_add(b[i], out[i + j], carry);
        }
        out[i + 4] = carry;
    }
    out
}

/// `a + b`, which must fit eight limbs.
#[inline(always)]
pub(super) fn add_wide(a: &Wide, b: &Wide) -> Wide {
    let mut out = [0; 8];
    let mut carry = false;
    for i in 0..8 {
        (out[i], carry) = a[i].carrying_add(b[i], carry);
    }
    out
}

/// Montgomery reduction without the last subtraction: an integer that is `v / R` modulo `p` and below `v / R + p`,
/// which must be below `2^256`.
#[inline(always)]
pub(super) fn redc(mut v: Wide) -> Limbs {
    let mut over = false;
    for i in 0..4 {
        let k = v[i].wrapping_mul(INV);
        let mut carry = 0;
        for j in 0..4 {
            (v[i + j], carry) = k.carrying_mul_add(P[j], v[i + j], carry);
        }
        (v[i + 4], over) = v[i + 4].carrying_add(carry, over);
    }
    [v[4], v[5], v[6], v[7]]
}

/// The residue of a five-limb integer below `2^304`.
#[inline(always)]
pub(super) fn reduce_five(s: &[u64; 5]) -> Limbs {
    // The estimate is short of the quotient by at most 2.
    let high = s[3] >> 48 | s[4] << 16;
    let (_, quotient) = high.carrying_mul(RECIPROCAL, 0);
    let mut product = [0; 4];
    let mut carry = 0;
    for i in 0..4 {
        (product[i], carry) = P[i].carrying_mul(quotient, carry);
    }
    let mut rest = [0; 4];
    let mut borrow = false;
    for i in 0..4 {
        (rest[i], borrow) = s[i].borrowing_sub(product[i], borrow);
    }
    canonical4(&rest)
}

/// A sum of products of four-limb integers, up to `2^64` of them.
#[derive(Clone, Copy, Default)]
pub(super) struct ProductSum([u64; 9]);

impl ProductSum {
    /// The sum that is the nine-limb integer `limbs`.
    pub(super) fn from_limbs(limbs: [u64; 9]) -> Self {
        Self(limbs)
    }

    /// Adds a product, or a short sum of products.
    #[inline(always)]
    pub(super) fn add(&mut self, product: &Wide) {
        let mut carry = false;
        for i in 0..8 {
            (self.0[i], carry) = self.0[i].carrying_add(product[i], carry);
        }
        self.0[8] += u64::from(carry);
    }

    /// The sum over `R`, in the field: the stored form of the sum of the products of what is stored.
    pub(super) fn finish(self) -> Fr {
        let [low @ .., top] = self.0;
        // `2^512 / R` is the stored form of 1, and the upper half needs no Montgomery reduction.
        let bottom = redc([low[0], low[1], low[2], low[3], 0, 0, 0, 0]);
        let middle = canonical_any(&[low[4], low[5], low[6], low[7]]);
        element(canonical2(&bottom)) + element(middle) + Fr::from(top)
    }
}

/// The residue of any four-limb integer.
fn canonical_any(a: &Limbs) -> Limbs {
    canonical4(&subtract_once(a, &P2))
}

/// Adds `x 2^bit`; what goes beyond the last limb must be zero.
pub(super) fn add_at<const N: usize>(limbs: &mut [u64; N], bit: usize, x: u64) {
    let shifted = u128::from(x) << (bit % 64);
    let mut carry = false;
    for (k, part) in (bit / 64..N).zip([shifted as u64, (shifted >> 64) as u64].into_iter().chain(std::iter::repeat(0)))
    {
        (limbs[k], carry) = limbs[k].carrying_add(part, carry);
    }
}

/// A sum of field elements times nonnegative integers, below `2^304`.
#[derive(Clone, Copy, Default)]
pub(super) struct IntegerSum([u64; 5]);

impl IntegerSum {
    /// Starts from a loose value.
    #[inline(always)]
    pub(super) fn from_loose(a: &Limbs) -> Self {
        Self([a[0], a[1], a[2], a[3], 0])
    }

    /// Adds `weight * x`.
    #[inline(always)]
    pub(super) fn add(&mut self, weight: &Limbs, x: u64) {
        let mut carry = 0;
        for j in 0..4 {
            (self.0[j], carry) = weight[j].carrying_mul_add(x, self.0[j], carry);
        }
        self.0[4] += carry;
    }

    /// Adds `weight`.
    #[inline(always)]
    pub(super) fn add_one(&mut self, weight: &Limbs) {
        let mut carry = false;
        for j in 0..4 {
            (self.0[j], carry) = self.0[j].carrying_add(weight[j], carry);
        }
        self.0[4] += u64::from(carry);
    }

    /// The sum's residue, as a stored form.
    #[inline(always)]
    pub(super) fn finish(self) -> Limbs {
        reduce_five(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{AdditiveGroup, Field};
    use proptest::prelude::*;

    /// Stored forms of all kinds, with those next to the bounds of the limbs and of the field.
    fn stored() -> impl Strategy<Value = Limbs> {
        prop_oneof![
            any::<[u64; 4]>().prop_map(|l| canonical_any(&l)),
            (0..4u64).prop_map(|x| [x, 0, 0, 0]),
            (1..4u64).prop_map(|x| [P[0] - x, P[1], P[2], P[3]]),
            Just([u64::MAX, u64::MAX, u64::MAX, P[3] - 1]),
        ]
    }

    proptest! {
        #[test]
        fn one_product_is_the_field_product(a in stored(), b in stored()) {
            let product = element(canonical2(&redc(mul_wide(&a, &b))));
            prop_assert_eq!(product, element(a) * element(b));
        }

        #[test]
        fn sums_of_products_match_the_field(a in stored(), b in stored(), copies in 1..40u64, any: [u64; 4]) {
            let mut sum = ProductSum::default();
            for _ in 0..copies {
                sum.add(&mul_wide(&a, &b));
            }
            // Also a factor beyond the field, as loose values are.
            sum.add(&mul_wide(&any, &b));
            let expected = element(a) * element(b) * Fr::from(copies) + element(canonical_any(&any)) * element(b);
            prop_assert_eq!(sum.finish(), expected);
        }

        #[test]
        fn sums_with_integers_match_the_field(a in stored(), b in stored(), x: u32, y in 0..1u64 << 33) {
            let mut sum = IntegerSum::from_loose(&a);
            sum.add(&a, u64::from(x));
            sum.add(&b, y);
            sum.add_one(&b);
            let expected = element(a) * Fr::from(u64::from(x) + 1) + element(b) * Fr::from(y + 1);
            prop_assert_eq!(element(sum.finish()), expected);
        }

        #[test]
        fn any_five_limbs_in_bounds_reduce(low: [u64; 4], top in 0..1u64 << 48) {
            let mut expected = element(canonical_any(&low));
            // The stored form of `top` is `top R`.
            expected += Fr::from(top);
            prop_assert_eq!(element(reduce_five(&[low[0], low[1], low[2], low[3], top])), expected);
        }

        #[test]
        fn loose_differences_are_differences(a in stored(), b in stored()) {
            prop_assert_eq!(element(canonical2(&sub_loose(&a, &b))), element(a) - element(b));
        }
    }

    #[test]
    fn a_full_sum_keeps_its_overflow() {
        let largest = [u64::MAX; 4];
        let mut sum = ProductSum::default();
        for _ in 0..1000 {
            sum.add(&mul_wide(&largest, &largest));
        }
        let factor = element(canonical_any(&largest));
        let expected = (0..1000).fold(Fr::ZERO, |sum, _| sum + factor.square());
        assert_eq!(sum.finish(), expected);
    }
}
