//! What a kernel needs of the arithmetic unit, so that one source serves scalar and vector code.

use super::mac::{
    IntegerSum, Limbs, ProductSum, Wide, add, add_wide, canonical2, canonical4, element, limbs, mul_wide, redc,
    sub_loose,
};
use ark_bn254::Fr;
use ark_ff::Field;

/// Arithmetic on [`Lanes::COUNT`] field elements at once.
///
/// Values are *loose*: nonnegative integers below a few times `p`, congruent to a stored form. Reduction divides by
/// `E R`, where the excess `E` is a power of two, one half among them, that depends on the implementation; kernels account for it by
/// scaling one factor of what they store, or a whole sum at the end. Both factors of a product are below `3.7 p`, or one of
/// them below `2.6 p` and the other below `5.2 p`.
///
/// A vector implementation is compiled for its instructions only where it is inlined, hence no closures and no iterator
/// adapters around these methods.
pub(super) trait Lanes {
    /// Elements per operation.
    const COUNT: usize;
    /// Products of elements that [`Lanes::reduce_add`] takes at once.
    const PRODUCTS: usize;
    /// Loose values.
    type Value: Copy;
    /// Unreduced sums of a few products.
    type Wide: Copy;
    /// Unreduced sums of many products.
    type Sum;
    /// Integers in `{-1, 0, 1}`.
    type Sign: Copy;
    /// Nonnegative integers of at most 33 bits.
    type Integer: Copy;
    /// Sums of values times integers.
    type IntegerSum: Copy;

    /// The excess `E` of the reduction.
    fn excess() -> Fr;
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
    /// The value, or `2p` less, such that a value below `5.4 p` may be a factor of elements.
    fn shrunk(value: Self::Value) -> Self::Value;
    /// `a + b`.
    fn add(a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a - b + p`, for `b` at most `p`.
    fn sub(a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a * b`.
    fn mul(a: Self::Value, b: Self::Value) -> Self::Wide;
    /// `sum + a * b`.
    fn mul_add(sum: Self::Wide, a: Self::Value, b: Self::Value) -> Self::Wide;
    /// `a / (E R)`, and less than `p` more; `a` is below `9.5 p^2`, where [`Lanes::shrunk`] gives values below `2.7 p`.
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

    /// Integers `at..at + COUNT`, each plus `2^31`.
    fn load_integers(from: &[i32], at: usize) -> Self::Integer;
    /// [`Lanes::load_integers`] without regard to the order in which elements sit in the lanes.
    fn load_integers_unordered(from: &[i32], at: usize) -> Self::Integer;
    /// From the order of [`Lanes::load_integers_unordered`] to that of elements.
    fn reorder(value: Self::Value) -> Self::Value;
    /// The same integer in all lanes.
    fn integer(x: u64) -> Self::Integer;
    /// `a - b + 2^32`.
    fn integer_sub(a: Self::Integer, b: Self::Integer) -> Self::Integer;
    /// The factor by which a weight, or a result, is multiplied to compensate [`Lanes::integer_finish`].
    fn integer_scale() -> Fr;
    /// A sum that starts with `start`.
    fn integer_sum(start: Self::Value) -> Self::IntegerSum;
    /// Adds `weight * x`; at most [`INTEGER_TERMS`] times before an [`Lanes::integer_fold`].
    fn integer_add(sum: &mut Self::IntegerSum, weight: Self::Value, x: Self::Integer);
    /// Adds `weight`; counts as a term.
    fn integer_add_one(sum: &mut Self::IntegerSum, weight: Self::Value);
    /// Makes room in a sum, up to `2^17` terms in all.
    fn integer_fold(sum: &mut Self::IntegerSum);
    /// The canonical sum in each lane, divided by [`Lanes::integer_scale`].
    fn integer_finish(sum: Self::IntegerSum) -> Self::Value;
    /// The sum over all lanes, not divided; no sum that was folded.
    fn integer_total(sum: Self::IntegerSum) -> Fr;
}

/// Terms that a [`Lanes::IntegerSum`] takes between folds.
pub(super) const INTEGER_TERMS: usize = 1024;

/// One element at a time, in general-purpose registers.
pub(super) struct Scalar;

impl Lanes for Scalar {
    const COUNT: usize = 1;
    const FOLD: usize = usize::MAX;
    const PRODUCTS: usize = 8;
    type Value = Limbs;
    type Wide = Wide;
    type Sum = ProductSum;
    type Sign = i32;
    type Integer = u64;
    type IntegerSum = IntegerSum;

    #[inline(always)]
    fn excess() -> Fr {
        Fr::ONE
    }

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
    fn shrunk(value: Limbs) -> Limbs {
        value
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

    #[inline(always)]
    fn load_integers(from: &[i32], at: usize) -> u64 {
        u64::from(from[at] as u32 ^ 1 << 31)
    }

    #[inline(always)]
    fn load_integers_unordered(from: &[i32], at: usize) -> u64 {
        Self::load_integers(from, at)
    }

    #[inline(always)]
    fn reorder(value: Limbs) -> Limbs {
        value
    }

    #[inline(always)]
    fn integer(x: u64) -> u64 {
        x
    }

    #[inline(always)]
    fn integer_sub(a: u64, b: u64) -> u64 {
        a + (1 << 32) - b
    }

    #[inline(always)]
    fn integer_scale() -> Fr {
        Fr::ONE
    }

    #[inline(always)]
    fn integer_sum(start: Limbs) -> IntegerSum {
        IntegerSum::from_loose(&start)
    }

    #[inline(always)]
    fn integer_add(sum: &mut IntegerSum, weight: Limbs, x: u64) {
        sum.add(&weight, x);
    }

    #[inline(always)]
    fn integer_add_one(sum: &mut IntegerSum, weight: Limbs) {
        sum.add_one(&weight);
    }

    #[inline(always)]
    fn integer_fold(_: &mut IntegerSum) {}

    #[inline(always)]
    fn integer_finish(sum: IntegerSum) -> Limbs {
        sum.finish()
    }

    #[inline(always)]
    fn integer_total(sum: IntegerSum) -> Fr {
        element(sum.finish())
    }
}
