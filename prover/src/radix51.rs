//! Four field elements at once in 51-bit digits, multiplied by the fused multiply-adds of AVX2's companions (FMA).
//!
//! A value is five vectors of integers, digit `j` of four elements in vector `j`: `sum_j digit_j 2^(51 j)`. A digit becomes a
//! double exactly, since it is below `2^52`, and a product of two digits that is below `2^103` falls apart into
//! `high 2^51 + low` with `|low| <= 2^50` by two fused multiply-adds:
//!
//! ```text
//! h = fma(a, b, 2^103)             in [2^103, 2^104], where doubles are 2^51 apart: h = 2^103 + 2^51 high
//! l = fma(a, b, 2^103 + 3 2^51 - h)                exact: l = 3 2^51 + low, in [2^52, 2^53], where doubles are 1 apart
//! ```
//!
//! The bits of such doubles are `HIGH + high` and `LOW + low` as integers, so they are added up as integers and the constants
//! are taken back once. This needs the default rounding to nearest, which Rust code may rely on.
//!
//! Reduction divides by `2^255`, half of `R = 2^256`: a product of stored forms comes out twice too large.
//!
//! **Bounds.** A *carried* value has digits below `2^51`, but for the last, which is below `2^52`: the value is below `2^256`, more than
//! `5.28 p` for both primes. Of two factors the product of any two digits must be at most `2^103`, which holds when both
//! are below `3.7 p`, or one of them below `2.6 p`.
//!
//! Everything here is inlined into code that is compiled for the instructions, which runs only for the holder of an
//! [`Available`]: the one obligation of the intrinsics that do not touch memory.

#![allow(unsafe_code)]
// Several values are read at the same digit.
#![allow(clippy::needless_range_loop)]

use crate::radix52::divided;
pub(crate) use crate::radix52::{BaseField, ScalarField};
use ark_bn254::{FqConfig, FrConfig};
use ark_ff::MontConfig;
use std::arch::x86_64::*;

/// Proof that this machine has the instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Available(());

impl Available {
    /// Asks the machine.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

/// Bits of a digit.
pub(crate) const MASK: u64 = (1 << 51) - 1;

/// The bits of `2^103`, which `high` is added to.
const HIGH: u64 = (1023 + 103) << 52;
/// The bits of `3 2^51`, which `low` is added to.
const LOW: u64 = ((1023 + 52) << 52) + (1 << 51);
/// `2^103` and `2^103 + 3 2^51`.
const SPLIT: f64 = f64::from_bits(HIGH);
const REST: f64 = f64::from_bits(HIGH + 3);
/// `2^52`: its bits and an integer below `2^52` are the bits of the sum.
const UNIT: u64 = (1023 + 52) << 52;

/// What columns must be added to that take the lower parts of `terms` products of digits, and the columns above them the upper
/// parts: the constants of the doubles are taken back, and all columns but the last are nonnegative.
const fn start(terms: [u64; 10]) -> [u64; 10] {
    let mut out = [0u64; 10];
    let mut i = 0;
    while i < 10 {
        // What column `i + 1` lends, in its units: more than the lower parts, which are at least -2^50 each, and what column `i` has
        // lent itself.
        let lent = if i < 9 { terms[i].div_ceil(2) + 1 } else { 0 };
        out[i] = out[i].wrapping_add(lent << 51).wrapping_sub(terms[i].wrapping_mul(LOW));
        if i < 9 {
            out[i + 1] = 0u64.wrapping_sub(terms[i].wrapping_mul(HIGH)).wrapping_sub(lent);
        }
        i += 1;
    }
    out
}

/// [`start`] of the product of two values.
pub(crate) const START: [u64; 10] = start([1, 2, 3, 4, 5, 4, 3, 2, 1, 0]);
/// [`start`] of a square.
const SQUARE: [u64; 10] = start([1, 1, 2, 2, 3, 2, 2, 1, 1, 0]);
/// [`start`] of what [`reductions`] adds.
const MULTIPLES: [u64; 10] = start([0, 0, 1, 4, 5, 5, 5, 4, 1, 0]);

/// What column `i` of a sum of `count` products of a value with integers, below `2^52` each, must be added to: as [`START`]. The last
/// column is the sixth.
#[inline(always)]
pub(crate) const fn integer_start(i: usize, count: u64) -> u64 {
    // A lower part is at least -2^50, and what was lent far less.
    let lent = count / 2 + 2;
    let mut x = 0u64;
    if i < 5 {
        x = x.wrapping_sub(count.wrapping_mul(LOW)).wrapping_add(lent << 51);
    }
    if i > 0 {
        x = x.wrapping_sub(count.wrapping_mul(HIGH)).wrapping_sub(lent);
    }
    x
}

/// A prime that products are reduced by.
pub(crate) trait Modulus {
    /// The modulus `p`, below `2^254`, in digits.
    const P: [u64; 5];
    /// `-p^-1 mod 2^51`.
    const INV: u64;
    /// `2^-51 mod p`.
    const SHIFT: [u64; 5] = divided::<51>([1, 0, 0, 0, 0], Self::P, Self::INV);
    /// `2^-102 mod p`.
    const SHIFT2: [u64; 5] = divided::<51>(Self::SHIFT, Self::P, Self::INV);
    /// `p` in digits that are large enough to subtract those of a carried value from, but for the last.
    const PADDED: [u64; 5] = padded(Self::P);
    /// `-p` in digits that are nonnegative, but for the last.
    const MINUS: [u64; 5] = negated(Self::P);
    /// `2p`.
    const P2: [u64; 5] = doubled(Self::P);
    /// `-2p` in digits that are nonnegative, but for the last.
    const MINUS2: [u64; 5] = negated(Self::P2);
}

const fn padded(p: [u64; 5]) -> [u64; 5] {
    [p[0] + (1 << 51), p[1] + MASK, p[2] + MASK, p[3] + MASK, p[4] - 1]
}

const fn negated(p: [u64; 5]) -> [u64; 5] {
    [(1 << 51) - p[0], MASK - p[1], MASK - p[2], MASK - p[3], !p[4]]
}

const fn doubled(p: [u64; 5]) -> [u64; 5] {
    let mut out = [0; 5];
    let mut carry = 0;
    let mut i = 0;
    while i < 5 {
        let x = 2 * p[i] + carry;
        out[i] = if i < 4 { x & MASK } else { x };
        carry = x >> 51;
        i += 1;
    }
    out
}

impl Modulus for ScalarField {
    const P: [u64; 5] = digits(FrConfig::MODULUS.0);
    const INV: u64 = FrConfig::INV & MASK;
}

impl Modulus for BaseField {
    const P: [u64; 5] = digits(FqConfig::MODULUS.0);
    const INV: u64 = FqConfig::INV & MASK;
}

/// The digits of a 256-bit integer.
pub(crate) const fn digits(x: [u64; 4]) -> [u64; 5] {
    [
        x[0] & MASK,
        (x[0] >> 51 | x[1] << 13) & MASK,
        (x[1] >> 38 | x[2] << 26) & MASK,
        (x[2] >> 25 | x[3] << 39) & MASK,
        x[3] >> 12,
    ]
}

/// Four elements, one vector for each digit.
pub(crate) type Value = [__m256i; 5];

/// The first four and the last four of eight elements.
pub(crate) type Pair<T> = [T; 2];

/// Columns of products, to be read as `sum_i column_i 2^(51 i)`.
pub(crate) type Columns = [__m256i; 10];

/// The same word in all lanes.
#[inline(always)]
pub(crate) fn splat(x: u64) -> __m256i {
    // SAFETY: see the module.
    unsafe { _mm256_set1_epi64x(x as i64) }
}

/// Lane by lane, modulo `2^64`.
#[inline(always)]
pub(crate) fn plus(a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: see the module.
    unsafe { _mm256_add_epi64(a, b) }
}

/// Lane by lane, modulo `2^64`.
#[inline(always)]
pub(crate) fn minus(a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: see the module.
    unsafe { _mm256_sub_epi64(a, b) }
}

/// Integers below `2^52` as doubles.
#[inline(always)]
pub(crate) fn double(x: __m256i) -> __m256d {
    // SAFETY: see the module.
    unsafe {
        let bits = _mm256_or_si256(x, splat(UNIT));
        _mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(f64::from_bits(UNIT)))
    }
}

/// The digits as doubles.
#[inline(always)]
pub(crate) fn doubles(v: Value) -> [__m256d; 5] {
    [double(v[0]), double(v[1]), double(v[2]), double(v[3]), double(v[4])]
}

/// The two parts of products of at most `2^103`, as bits: `HIGH + high` and `LOW + low`.
#[inline(always)]
pub(crate) fn parts(a: __m256d, b: __m256d) -> [__m256i; 2] {
    // SAFETY: see the module.
    unsafe {
        let high = _mm256_fmadd_pd(a, b, _mm256_set1_pd(SPLIT));
        let low = _mm256_fmadd_pd(a, b, _mm256_sub_pd(_mm256_set1_pd(REST), high));
        [_mm256_castpd_si256(high), _mm256_castpd_si256(low)]
    }
}

/// `sum + a * b` without [`START`].
#[inline(always)]
pub(crate) fn mul_add_raw(mut sum: Columns, a: Value, b: Value) -> Columns {
    let (a, b) = (doubles(a), doubles(b));
    for i in 0..5 {
        for j in 0..5 {
            let [high, low] = parts(a[i], b[j]);
            sum[i + j] = plus(sum[i + j], low);
            sum[i + j + 1] = plus(sum[i + j + 1], high);
        }
    }
    sum
}

/// `count` times what columns start from, added.
#[inline(always)]
fn added(mut sum: Columns, start: [u64; 10], count: u64) -> Columns {
    for i in 0..10 {
        sum[i] = plus(sum[i], splat(start[i].wrapping_mul(count)));
    }
    sum
}

/// `count` times [`START`], added.
#[inline(always)]
pub(crate) fn started(sum: Columns, count: u64) -> Columns {
    added(sum, START, count)
}

/// `sum + a * b`.
#[inline(always)]
pub(crate) fn mul_add(sum: Columns, a: Value, b: Value) -> Columns {
    mul_add_raw(started(sum, 1), a, b)
}

/// `a * b`.
#[inline(always)]
pub(crate) fn mul(a: Value, b: Value) -> Columns {
    mul_add([splat(0); 10], a, b)
}

/// `a * a`, for a value below `2^255`.
#[inline(always)]
pub(crate) fn square(a: Value) -> Columns {
    let a = doubles(a);
    let mut sum = added([splat(0); 10], SQUARE, 1);
    for i in 0..5 {
        // SAFETY: see the module.
        let twice = unsafe { _mm256_add_pd(a[i], a[i]) };
        for j in i..5 {
            let [high, low] = parts(if i == j { a[i] } else { twice }, a[j]);
            sum[i + j] = plus(sum[i + j], low);
            sum[i + j + 1] = plus(sum[i + j + 1], high);
        }
    }
    sum
}

/// Propagates the carry of digit `j`.
#[inline(always)]
fn carry_digit(v: &mut Value, j: usize) {
    // SAFETY: see the module.
    unsafe {
        v[j + 1] = plus(v[j + 1], _mm256_srli_epi64::<51>(v[j]));
        v[j] = _mm256_and_si256(v[j], splat(MASK));
    }
}

/// Propagates carries upwards: all digits but the last are below `2^51` after it. They must be nonnegative.
#[inline(always)]
pub(crate) fn carry(mut v: Value) -> Value {
    for j in 0..4 {
        carry_digit(&mut v, j);
    }
    v
}

/// [`carry`] of two vectors, in turns.
#[inline(always)]
pub(crate) fn carries(mut v: Pair<Value>) -> Pair<Value> {
    for j in 0..4 {
        carry_digit(&mut v[0], j);
        carry_digit(&mut v[1], j);
    }
    v
}

/// Adds `k x 2^(51 i)`.
#[inline(always)]
fn add_multiple(a: &mut Columns, i: usize, k: __m256d, x: [u64; 5]) {
    for j in 0..5 {
        let [high, low] = parts(k, double(splat(x[j])));
        a[i + j] = plus(a[i + j], low);
        a[i + j + 1] = plus(a[i + j + 1], high);
    }
}

/// Carries column `i`.
#[inline(always)]
fn carry_column(a: &mut Columns, i: usize) {
    // SAFETY: see the module.
    a[i + 1] = plus(a[i + 1], unsafe { _mm256_srli_epi64::<51>(a[i]) });
}

/// What is left of column `i` when it is carried.
#[inline(always)]
fn rest(a: &Columns, i: usize) -> __m256d {
    // SAFETY: see the module.
    double(unsafe { _mm256_and_si256(a[i], splat(MASK)) })
}

/// Carries the two lowest columns, and adds what is left of them, divided by `2^102`, to those above.
#[inline(always)]
fn shift_two<M: Modulus>(a: &mut Columns) {
    let first = rest(a, 0);
    carry_column(a, 0);
    let second = rest(a, 1);
    carry_column(a, 1);
    add_multiple(a, 2, first, M::SHIFT2);
    add_multiple(a, 3, second, M::SHIFT2);
}

/// Carries the third column, and adds what is left of it, divided by `2^51`, to those above.
#[inline(always)]
fn shift_third<M: Modulus>(a: &mut Columns) {
    let third = rest(a, 2);
    carry_column(a, 2);
    add_multiple(a, 3, third, M::SHIFT);
}

/// The digit by which `p` is multiplied to clear column `i`.
#[inline(always)]
fn multiple<M: Modulus>(a: &Columns, i: usize) -> __m256d {
    // SAFETY: see the module.
    unsafe {
        // The constants that are still in the column are multiples of 2^51.
        let [_, k] = parts(rest(a, i), double(splat(M::INV)));
        double(_mm256_and_si256(k, splat(MASK)))
    }
}

/// Adds `k p 2^(51 i)`, which clears column `i`, and carries that column.
#[inline(always)]
fn clear<M: Modulus>(a: &mut Columns, i: usize, k: __m256d) {
    add_multiple(a, i, k, M::P);
    carry_column(a, i);
}

#[inline(always)]
fn clear_both<M: Modulus>(a: &mut Pair<Columns>, i: usize) {
    let k = [multiple::<M>(&a[0], i), multiple::<M>(&a[1], i)];
    clear::<M>(&mut a[0], i, k[0]);
    clear::<M>(&mut a[1], i, k[1]);
}

/// The columns over `2^255` modulo `p`, which is up to `(1 + 2^-49) p` more than the quotient; carries are left in what it gives, and
/// the last digit may be negative until they are propagated.
///
/// The columns but the last must be nonnegative and below `2^62`.
///
/// What is left of the three lowest, when they are carried, is replaced by its product with a power of two modulo `p`, in higher
/// columns: less than `2^205 p` in all. The two above are cleared with multiples of `p`, whose digits wait for one another, more than
/// 30 cycles: the two vectors take turns.
#[inline(always)]
pub(crate) fn reductions<M: Modulus>(a: Pair<Columns>) -> Pair<Value> {
    let mut a = [added(a[0], MULTIPLES, 1), added(a[1], MULTIPLES, 1)];
    // Written out: a loop of this size is not unrolled, and its columns would go through memory at each step.
    shift_two::<M>(&mut a[0]);
    shift_two::<M>(&mut a[1]);
    shift_third::<M>(&mut a[0]);
    shift_third::<M>(&mut a[1]);
    clear_both::<M>(&mut a, 3);
    clear_both::<M>(&mut a, 4);
    [[a[0][5], a[0][6], a[0][7], a[0][8], a[0][9]], [a[1][5], a[1][6], a[1][7], a[1][8], a[1][9]]]
}

/// `a - b + p` with carries left in it, for carried `b`.
#[inline(always)]
pub(crate) fn difference<M: Modulus>(a: Value, b: Value) -> Value {
    let mut out = a;
    for j in 0..5 {
        out[j] = minus(plus(a[j], splat(M::PADDED[j])), b[j]);
    }
    out
}

/// `v + x` in the lanes of a mask.
#[inline(always)]
fn masked(mut v: Value, mask: __m256i, x: [u64; 5]) -> Value {
    for j in 0..5 {
        // SAFETY: see the module.
        v[j] = plus(v[j], unsafe { _mm256_and_si256(splat(x[j]), mask) });
    }
    v
}

/// The lanes in which `a > b`, as signed integers.
#[inline(always)]
fn above(a: __m256i, b: u64) -> __m256i {
    // SAFETY: see the module.
    unsafe { _mm256_cmpgt_epi64(a, splat(b)) }
}

/// At most the last digit that a value has once its carries are propagated.
#[inline(always)]
fn top(v: &Value) -> __m256i {
    // SAFETY: see the module.
    plus(v[4], unsafe { _mm256_srli_epi64::<51>(v[3]) })
}

/// `v`, or `p` less where that is surely not negative but for what [`settle`] finds.
#[inline(always)]
fn less_once<M: Modulus>(v: Value) -> Value {
    // Comparing the last digit decides except within 2^-49 of `p`.
    masked(v, above(top(&v), M::P[4]), M::MINUS)
}

/// The residues of values that are mostly below `2p`.
#[inline(always)]
pub(crate) fn canonical<M: Modulus>(v: Pair<Value>) -> Pair<Value> {
    settle::<M>(carries([less_once::<M>(v[0]), less_once::<M>(v[1])]))
}

/// `v` less as many times `p` as [`less_once`] would in two steps.
#[inline(always)]
fn less_thrice<M: Modulus>(v: Value) -> Value {
    let first = top(&v);
    let twice = above(first, M::P2[4]);
    // SAFETY: see the module.
    let rest = minus(first, unsafe { _mm256_and_si256(twice, splat(M::P2[4] + 1)) });
    let once = above(rest, M::P[4]);
    masked(masked(v, twice, M::MINUS2), once, M::MINUS)
}

/// The residues of values that are mostly below `4p`.
#[inline(always)]
pub(crate) fn canonical4<M: Modulus>(v: Pair<Value>) -> Pair<Value> {
    settle::<M>(carries([less_thrice::<M>(v[0]), less_thrice::<M>(v[1])]))
}

/// Values below `2^255` or `2p` less than they were.
#[inline(always)]
pub(crate) fn shrunk<M: Modulus>(v: Pair<Value>) -> Pair<Value> {
    let less = [masked(v[0], above(top(&v[0]), MASK), M::MINUS2), masked(v[1], above(top(&v[1]), MASK), M::MINUS2)];
    carries(less)
}

/// Subtracts `p` exactly, from carried values, while that leaves any of them nonnegative.
#[inline(always)]
fn settle<M: Modulus>(mut v: Pair<Value>) -> Pair<Value> {
    // SAFETY: see the module.
    unsafe {
        let large = [above(v[0][4], M::P[4] - 1), above(v[1][4], M::P[4] - 1)];
        if _mm256_movemask_epi8(_mm256_or_si256(large[0], large[1])) != 0 {
            for w in &mut v {
                settle_slowly::<M>(w);
            }
        }
    }
    v
}

#[inline(always)]
fn settle_slowly<M: Modulus>(w: &mut Value) {
    // SAFETY: see the module.
    unsafe {
        while _mm256_movemask_epi8(above(w[4], M::P[4] - 1)) != 0 {
            let mut less = *w;
            for j in 0..5 {
                less[j] = plus(w[j], splat(M::MINUS[j]));
            }
            less = carry(less);
            let positive = above(less[4], u64::MAX);
            if _mm256_movemask_epi8(positive) == 0 {
                break;
            }
            for j in 0..5 {
                w[j] = _mm256_blendv_epi8(w[j], less[j], positive);
            }
        }
    }
}

/// 51 bits of `hi 2^64 + lo`, from bit `RIGHT = 64 - LEFT` on.
#[inline(always)]
fn window<const RIGHT: i32, const LEFT: i32>(lo: __m256i, hi: __m256i) -> __m256i {
    // SAFETY: see the module.
    unsafe {
        let both = _mm256_or_si256(_mm256_srli_epi64::<RIGHT>(lo), _mm256_slli_epi64::<LEFT>(hi));
        _mm256_and_si256(both, splat(MASK))
    }
}

/// Values from vectors of 64-bit limbs.
#[inline(always)]
pub(crate) fn from_words(l: [__m256i; 4]) -> Value {
    // SAFETY: see the module.
    unsafe {
        [
            _mm256_and_si256(l[0], splat(MASK)),
            window::<51, 13>(l[0], l[1]),
            window::<38, 26>(l[1], l[2]),
            window::<25, 39>(l[2], l[3]),
            _mm256_srli_epi64::<12>(l[3]),
        ]
    }
}

/// Vectors of 64-bit limbs from carried values below `2^256`.
#[inline(always)]
pub(crate) fn to_words(v: Value) -> [__m256i; 4] {
    // SAFETY: see the module.
    unsafe {
        [
            _mm256_or_si256(v[0], _mm256_slli_epi64::<51>(v[1])),
            _mm256_or_si256(_mm256_srli_epi64::<13>(v[1]), _mm256_slli_epi64::<38>(v[2])),
            _mm256_or_si256(_mm256_srli_epi64::<26>(v[2]), _mm256_slli_epi64::<25>(v[3])),
            _mm256_or_si256(_mm256_srli_epi64::<39>(v[3]), _mm256_slli_epi64::<12>(v[4])),
        ]
    }
}

/// Half of a canonical value, or of that and `p`: no digit but the last is above `2^51 + 2^50`.
#[inline(always)]
pub(crate) fn halved<M: Modulus>(v: Value) -> Value {
    // SAFETY: see the module.
    unsafe {
        let odd = minus(splat(0), _mm256_and_si256(v[0], splat(1)));
        let even = masked(v, odd, M::P);
        let mut out = even;
        for j in 0..5 {
            out[j] = _mm256_srli_epi64::<1>(even[j]);
            if j < 4 {
                out[j] = plus(out[j], _mm256_slli_epi64::<50>(_mm256_and_si256(even[j + 1], splat(1))));
            }
        }
        out
    }
}

/// Four rows of four words, or their columns.
#[inline(always)]
pub(crate) fn transposed(r: [__m256i; 4]) -> [__m256i; 4] {
    // SAFETY: see the module.
    unsafe {
        let (even0, odd0) = (_mm256_unpacklo_epi64(r[0], r[1]), _mm256_unpackhi_epi64(r[0], r[1]));
        let (even1, odd1) = (_mm256_unpacklo_epi64(r[2], r[3]), _mm256_unpackhi_epi64(r[2], r[3]));
        [
            _mm256_permute2x128_si256::<0x20>(even0, even1),
            _mm256_permute2x128_si256::<0x20>(odd0, odd1),
            _mm256_permute2x128_si256::<0x31>(even0, even1),
            _mm256_permute2x128_si256::<0x31>(odd0, odd1),
        ]
    }
}

/// The words of the lanes.
#[inline(always)]
pub(crate) fn words(v: __m256i) -> [u64; 4] {
    let mut out = [0u64; 4];
    // SAFETY: the array is one vector long.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast::<__m256i>(), v) };
    out
}

#[cfg(test)]
#[path = "radix51_tests.rs"]
mod tests;
