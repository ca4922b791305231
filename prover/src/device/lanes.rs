//! What a kernel needs of the arithmetic unit, so that one source serves scalar and vector code.

use super::mac::{
    Limbs, ProductSum, Wide, add, add_wide, canonical2, canonical4, element, limbs, mul_wide, redc, sub_loose,
};
use ark_bn254::Fr;

/// Arithmetic on [`Lanes::COUNT`] field elements at once.
///
/// Values are *loose*: nonnegative integers below a few times `p`, congruent to a stored form. Reduction divides by
/// `E R`, where the excess `E` is a power of two that depends on the implementation; kernels account for it by scaling
/// one factor of what they store, or a whole sum at the end.
///
/// A vector implementation is compiled for its instructions only where it is inlined, hence no closures and no iterator
/// adapters around these methods.
pub(super) trait Lanes {
    /// Elements per operation.
    const COUNT: usize;
    /// The excess `E` of the reduction.
    const EXCESS: u64;
    /// Loose values.
    type Value: Copy;
    /// Unreduced sums of a few products.
    type Wide: Copy;
    /// Unreduced sums of many products.
    type Sum;
    /// Integers in `{-1, 0, 1}`.
    type Sign: Copy;

    /// Elements `at..at + COUNT`.
    fn load(from: &[Fr], at: usize) -> Self::Value;
    /// `E` times the elements `at..at + COUNT`.
    fn load_scaled(from: &[Fr], at: usize) -> Self::Value;
    /// The same element in all lanes.
    fn broadcast(x: &Fr) -> Self::Value;
    /// Stores canonical values.
    fn store(value: Self::Value, to: &mut [Fr], at: usize);

    /// Residues of values below `2p`.
    fn canonical(value: Self::Value) -> Self::Value;
    /// `a + b`.
    fn add(a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a - b + p`, for `b` at most `p`.
    fn sub(a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a * b`.
    fn mul(a: Self::Value, b: Self::Value) -> Self::Wide;
    /// `sum + a * b`.
    fn mul_add(sum: Self::Wide, a: Self::Value, b: Self::Value) -> Self::Wide;
    /// `a / (E R)`, and less than `p` more; `a` is below `20 p^2`.
    fn reduce(a: Self::Wide) -> Self::Value;
    /// The canonical [`Lanes::reduce`], when that is below `2p`.
    fn reduce_canonical(a: Self::Wide) -> Self::Value;
    /// The canonical sum of `b` and [`Lanes::reduce`], when that is below `4p`.
    fn reduce_add(a: Self::Wide, b: Self::Value) -> Self::Value;

    /// An empty sum.
    fn sum() -> Self::Sum;
    /// Adds `a * b`; at most [`Lanes::FOLD`] times before a [`Lanes::fold`].
    fn accumulate(sum: &mut Self::Sum, a: Self::Value, b: Self::Value);
    /// Products that a sum takes between folds.
    const FOLD: usize;
    /// Makes room in a sum.
    fn fold(sum: &mut Self::Sum);
    /// The sum over all lanes, divided by `R`.
    fn finish(sum: Self::Sum) -> Fr;

    /// Loads integers that are all 0 or 1.
    fn load_bits(from: &[i32], at: usize) -> Option<Self::Sign>;
    /// `a - b` of integers that are 0 or 1.
    fn sign_sub(a: Self::Sign, b: Self::Sign) -> Self::Sign;
    /// `a * b`.
    fn sign_mul(a: Self::Sign, b: Self::Sign) -> Self::Sign;
    /// Adds `plus` where the sign is 1 and `minus` where it is -1.
    fn add_signed(value: Self::Value, sign: Self::Sign, plus: Self::Value, minus: Self::Value) -> Self::Value;
}

/// One element at a time, in general-purpose registers.
pub(super) struct Scalar;

impl Lanes for Scalar {
    const COUNT: usize = 1;
    const EXCESS: u64 = 1;
    const FOLD: usize = usize::MAX;
    type Value = Limbs;
    type Wide = Wide;
    type Sum = ProductSum;
    type Sign = i32;

    #[inline(always)]
    fn load(from: &[Fr], at: usize) -> Limbs {
        *limbs(&from[at])
    }

    #[inline(always)]
    fn load_scaled(from: &[Fr], at: usize) -> Limbs {
        *limbs(&from[at])
    }

    #[inline(always)]
    fn broadcast(x: &Fr) -> Limbs {
        *limbs(x)
    }

    #[inline(always)]
    fn store(value: Limbs, to: &mut [Fr], at: usize) {
        to[at] = element(value);
    }

    #[inline(always)]
    fn canonical(value: Limbs) -> Limbs {
        canonical2(&value)
    }

    #[inline(always)]
    fn add(a: Limbs, b: Limbs) -> Limbs {
        add(&a, &b)
    }

    #[inline(always)]
    fn sub(a: Limbs, b: Limbs) -> Limbs {
        sub_loose(&a, &b)
    }

    #[inline(always)]
    fn mul(a: Limbs, b: Limbs) -> Wide {
        mul_wide(&a, &b)
    }

    #[inline(always)]
    fn mul_add(sum: Wide, a: Limbs, b: Limbs) -> Wide {
        add_wide(&sum, &mul_wide(&a, &b))
    }

    #[inline(always)]
    fn reduce(a: Wide) -> Limbs {
        redc(a)
    }

    #[inline(always)]
    fn reduce_canonical(a: Wide) -> Limbs {
        canonical2(&redc(a))
    }

    #[inline(always)]
    fn reduce_add(a: Wide, b: Limbs) -> Limbs {
        canonical4(&add(&redc(a), &b))
    }

    #[inline(always)]
    fn sum() -> ProductSum {
        ProductSum::default()
    }

    #[inline(always)]
    fn accumulate(sum: &mut ProductSum, a: Limbs, b: Limbs) {
        sum.add(&mul_wide(&a, &b));
    }

    #[inline(always)]
    fn fold(_: &mut ProductSum) {}

    #[inline(always)]
    fn finish(sum: ProductSum) -> Fr {
        sum.finish()
    }

    #[inline(always)]
    fn load_bits(from: &[i32], at: usize) -> Option<i32> {
        let x = from[at];
        (x as u32 <= 1).then_some(x)
    }

    #[inline(always)]
    fn sign_sub(a: i32, b: i32) -> i32 {
        a - b
    }

    #[inline(always)]
    fn sign_mul(a: i32, b: i32) -> i32 {
        a * b
    }

    #[inline(always)]
    fn add_signed(value: Limbs, sign: i32, plus: Limbs, minus: Limbs) -> Limbs {
        let plus_mask = 0u64.wrapping_sub(u64::from(sign > 0));
        let minus_mask = 0u64.wrapping_sub(u64::from(sign < 0));
        let mut addend = [0; 4];
        for i in 0..4 {
            addend[i] = plus[i] & plus_mask | minus[i] & minus_mask;
        }
        add(&value, &addend)
    }
}
