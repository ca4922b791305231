//! Eight field elements at once with the 52-bit multiply-add of AVX-512 (IFMA).
//!
//! Two obligations of `unsafe` code are discharged here: the instructions exist, because only the holder of an
//! [`Available`] gets to run them; and vector loads and stores stay inside a checked slice.
//!
//! Reduction divides by `2^260`, so the excess over `R = 2^256` is 16. Elements sit in the lanes in the order of [`ORDER`].

#![allow(unsafe_code)]
// Several values are read at the same limb.
#![allow(clippy::needless_range_loop)]

use super::kernels::{self, Quarters, kernel_list};
use super::lanes::Lanes;
use super::mac::{ProductSum, add_at, element, reduce_five};
use crate::radix52::{
    self, Columns, MASK, ScalarField, Value, canonical, carry, from_words, limbs52, splat, to_words, window,
};
use ark_bn254::{Fr, FrConfig};
use ark_ff::{Fp, MontConfig};
use std::arch::x86_64::*;

use crate::radix52::Available;

/// `p` in 52-bit limbs.
const P52: [u64; 5] = <ScalarField as radix52::Modulus>::P52;

/// The element in each lane: what the cheapest transposition gives.
const ORDER: [i32; 8] = [0, 2, 1, 3, 4, 6, 5, 7];

/// A long sum: columns, and what overflows them.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    columns: Columns,
    top: __m512i,
}

/// Signs in {-1, 0, 1}: the lanes that hold 1, and those that hold -1.
#[derive(Clone, Copy)]
pub(super) struct Signs {
    plus: __mmask8,
    minus: __mmask8,
}

/// Products of limbs with integers: the lower and the upper 52 bits apart, so that no vector waits for itself.
#[derive(Clone, Copy)]
pub(super) struct LimbSum {
    low: Value,
    high: Value,
}

/// The vector unit. Only the functions at the end of this file may use it: its methods must be inlined into code that
/// is compiled for the instructions.
pub(super) struct Ifma;

/// Four vectors of 64-bit limbs from eight consecutive elements.
#[inline(always)]
fn load_limbs(from: &[Fr], at: usize) -> [__m512i; 4] {
    let from = &from[at..at + 8];
    // SAFETY: an element is four words, so the eight elements that the slice holds are four vectors.
    unsafe {
        let words = from.as_ptr().cast::<__m512i>();
        let v = [
            _mm512_loadu_si512(words),
            _mm512_loadu_si512(words.add(1)),
            _mm512_loadu_si512(words.add(2)),
            _mm512_loadu_si512(words.add(3)),
        ];
        let (even0, odd0) = (_mm512_unpacklo_epi64(v[0], v[1]), _mm512_unpackhi_epi64(v[0], v[1]));
        let (even1, odd1) = (_mm512_unpacklo_epi64(v[2], v[3]), _mm512_unpackhi_epi64(v[2], v[3]));
        [
            _mm512_shuffle_i64x2::<0x88>(even0, even1),
            _mm512_shuffle_i64x2::<0x88>(odd0, odd1),
            _mm512_shuffle_i64x2::<0xdd>(even0, even1),
            _mm512_shuffle_i64x2::<0xdd>(odd0, odd1),
        ]
    }
}

impl Lanes for Ifma {
    const COUNT: usize = 8;
    // Nine terms below 2^52 a product and column, in 64 bits.
    const FOLD: usize = 256;
    const PRODUCTS: usize = 8;
    type Value = Value;
    type Wide = Columns;
    type Sum = Sum;
    type Sign = Signs;
    type Integer = __m512i;
    type IntegerSum = LimbSum;

    #[inline(always)]
    fn excess() -> Fr {
        Fr::from(16u64)
    }

    #[inline(always)]
    fn load(from: &[Fr], at: usize) -> Value {
        from_words(load_limbs(from, at))
    }

    #[inline(always)]
    fn load_scaled(from: &[Fr], at: usize) -> Value {
        let l = load_limbs(from, at);
        // SAFETY: see `Ifma`.
        unsafe {
            [
                _mm512_and_si512(_mm512_slli_epi64::<4>(l[0]), splat(MASK)),
                window::<48, 16>(l[0], l[1]),
                window::<36, 28>(l[1], l[2]),
                window::<24, 40>(l[2], l[3]),
                _mm512_srli_epi64::<12>(l[3]),
            ]
        }
    }

    #[inline(always)]
    fn broadcast(x: &Fr) -> Value {
        let l = limbs52(x.0.0);
        [splat(l[0]), splat(l[1]), splat(l[2]), splat(l[3]), splat(l[4])]
    }

    #[inline(always)]
    fn store(v: Value, to: &mut [Fr], at: usize) {
        let to = &mut to[at..at + 8];
        // SAFETY: an element is four words, so the eight elements that the slice holds are four vectors; every bit
        // pattern below `p` is an element.
        unsafe {
            let [l0, l1, l2, l3] = to_words(v);
            let (low0, low1) = (_mm512_unpacklo_epi64(l0, l1), _mm512_unpackhi_epi64(l0, l1));
            let (high0, high1) = (_mm512_unpacklo_epi64(l2, l3), _mm512_unpackhi_epi64(l2, l3));
            let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
            let second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
            let words = to.as_mut_ptr().cast::<__m512i>();
            _mm512_storeu_si512(words, _mm512_permutex2var_epi64(low0, first, high0));
            _mm512_storeu_si512(words.add(1), _mm512_permutex2var_epi64(low1, first, high1));
            _mm512_storeu_si512(words.add(2), _mm512_permutex2var_epi64(low0, second, high0));
            _mm512_storeu_si512(words.add(3), _mm512_permutex2var_epi64(low1, second, high1));
        }
    }

    #[inline(always)]
    fn canonical(value: Value) -> Value {
        canonical::<ScalarField>(value)
    }

    #[inline(always)]
    fn shrunk(value: Value) -> Value {
        value
    }

    #[inline(always)]
    fn add(a: Value, b: Value) -> Value {
        let mut sum = a;
        for j in 0..5 {
            // SAFETY: see `Ifma`.
            sum[j] = unsafe { _mm512_add_epi64(a[j], b[j]) };
        }
        carry(sum)
    }

    #[inline(always)]
    fn sub(a: Value, b: Value) -> Value {
        let mut difference = a;
        for j in 0..5 {
            // SAFETY: see `Ifma`.
            difference[j] = unsafe { _mm512_sub_epi64(_mm512_add_epi64(a[j], splat(P52[j])), b[j]) };
        }
        carry(difference)
    }

    #[inline(always)]
    fn mul(a: Value, b: Value) -> Columns {
        Self::mul_add([splat(0); 10], a, b)
    }

    #[inline(always)]
    fn mul_add(sum: Columns, a: Value, b: Value) -> Columns {
        radix52::mul_add(sum, a, b)
    }

    #[inline(always)]
    fn reduce(a: Columns) -> Value {
        carry(reduce_columns(a))
    }

    #[inline(always)]
    fn reduce_canonical(a: Columns) -> Value {
        canonical::<ScalarField>(reduce_columns(a))
    }

    #[inline(always)]
    fn reduce_add(a: Columns, b: Value) -> Value {
        let mut sum = reduce_columns(a);
        for j in 0..5 {
            // SAFETY: see `Ifma`.
            sum[j] = unsafe { _mm512_add_epi64(sum[j], b[j]) };
        }
        canonical::<ScalarField>(sum)
    }

    #[inline(always)]
    fn sum() -> Sum {
        Sum { columns: [splat(0); 10], top: splat(0) }
    }

    #[inline(always)]
    fn accumulate(sum: &mut Sum, a: Value, b: Value) {
        sum.columns = Self::mul_add(sum.columns, a, b);
    }

    #[inline(always)]
    fn fold(sum: &mut Sum) {
        // SAFETY: see `Ifma`.
        unsafe {
            for i in 0..10 {
                let up = _mm512_srli_epi64::<52>(sum.columns[i]);
                sum.columns[i] = _mm512_and_si512(sum.columns[i], splat(MASK));
                if i < 9 {
                    sum.columns[i + 1] = _mm512_add_epi64(sum.columns[i + 1], up);
                } else {
                    sum.top = _mm512_add_epi64(sum.top, up);
                }
            }
        }
    }

    #[inline(always)]
    fn finish(sum: Sum) -> Fr {
        let mut limbs = [0u64; 9];
        for (i, column) in sum.columns.into_iter().chain([sum.top]).enumerate() {
            let total: u128 = words(column).into_iter().map(u128::from).sum();
            add_at(&mut limbs, 52 * i, total as u64);
            add_at(&mut limbs, 52 * i + 64, (total >> 64) as u64);
        }
        ProductSum::from_limbs(limbs).finish()
    }

    #[inline(always)]
    fn load_bits(from: &[i32], at: usize) -> Option<Signs> {
        let from = &from[at..at + 8];
        // SAFETY: the slice holds the eight integers; see `Ifma`.
        unsafe {
            let x = _mm256_loadu_si256(from.as_ptr().cast::<__m256i>());
            if _mm256_cmpgt_epu32_mask(x, _mm256_set1_epi32(1)) != 0 {
                return None;
            }
            let x = _mm256_permutevar8x32_epi32(x, order());
            Some(Signs { plus: _mm256_test_epi32_mask(x, x), minus: 0 })
        }
    }

    #[inline(always)]
    fn sign_sub(a: Signs, b: Signs) -> Signs {
        Signs { plus: a.plus & !b.plus, minus: b.plus & !a.plus }
    }

    #[inline(always)]
    fn sign_mul(a: Signs, b: Signs) -> Signs {
        Signs { plus: a.plus & b.plus | a.minus & b.minus, minus: a.plus & b.minus | a.minus & b.plus }
    }

    #[inline(always)]
    fn add_signed(value: Value, sign: Signs, plus: Value, minus: Value) -> Value {
        let mut sum = value;
        for j in 0..5 {
            // SAFETY: see `Ifma`.
            unsafe {
                sum[j] = _mm512_mask_add_epi64(sum[j], sign.plus, sum[j], plus[j]);
                sum[j] = _mm512_mask_add_epi64(sum[j], sign.minus, sum[j], minus[j]);
            }
        }
        carry(sum)
    }

    #[inline(always)]
    fn load_integers(from: &[i32], at: usize) -> __m512i {
        let from = &from[at..at + 8];
        // SAFETY: the slice holds the eight integers; see `Ifma`.
        unsafe {
            let x = _mm256_loadu_si256(from.as_ptr().cast::<__m256i>());
            let x = _mm256_xor_si256(x, _mm256_set1_epi32(i32::MIN));
            _mm512_cvtepu32_epi64(_mm256_permutevar8x32_epi32(x, order()))
        }
    }

    #[inline(always)]
    fn load_integers_unordered(from: &[i32], at: usize) -> __m512i {
        let from = &from[at..at + 8];
        // SAFETY: the slice holds the eight integers; see `Ifma`.
        unsafe {
            let x = _mm256_loadu_si256(from.as_ptr().cast::<__m256i>());
            _mm512_cvtepu32_epi64(_mm256_xor_si256(x, _mm256_set1_epi32(i32::MIN)))
        }
    }

    #[inline(always)]
    fn reorder(mut value: Value) -> Value {
        // SAFETY: see `Ifma`.
        unsafe {
            let order = _mm512_cvtepi32_epi64(order());
            for limb in &mut value {
                *limb = _mm512_permutexvar_epi64(order, *limb);
            }
        }
        value
    }

    #[inline(always)]
    fn integer(x: u64) -> __m512i {
        splat(x)
    }

    #[inline(always)]
    fn integer_sub(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see `Ifma`.
        unsafe { _mm512_sub_epi64(_mm512_add_epi64(a, splat(1 << 32)), b) }
    }

    #[inline(always)]
    fn integer_scale() -> Fr {
        // The element with the stored form R^2 is R.
        Fp::new_unchecked(FrConfig::R2) * Self::excess()
    }

    #[inline(always)]
    fn integer_sum(start: Value) -> LimbSum {
        LimbSum { low: start, high: [splat(0); 5] }
    }

    #[inline(always)]
    fn integer_add(sum: &mut LimbSum, weight: Value, x: __m512i) {
        for j in 0..5 {
            // SAFETY: see `Ifma`.
            unsafe {
                sum.low[j] = _mm512_madd52lo_epu64(sum.low[j], weight[j], x);
                sum.high[j] = _mm512_madd52hi_epu64(sum.high[j], weight[j], x);
            }
        }
    }

    #[inline(always)]
    fn integer_add_one(sum: &mut LimbSum, weight: Value) {
        for j in 0..5 {
            // SAFETY: see `Ifma`.
            sum.low[j] = unsafe { _mm512_add_epi64(sum.low[j], weight[j]) };
        }
    }

    #[inline(always)]
    fn integer_finish(sum: LimbSum) -> Value {
        let six = join(sum);
        let mut columns = [splat(0); 10];
        columns[..6].copy_from_slice(&six);
        canonical::<ScalarField>(reduce_columns(columns))
    }

    #[inline(always)]
    fn integer_fold(sum: &mut LimbSum) {
        let columns = carried(join(*sum));
        let zero = splat(0);
        sum.low = [columns[0], columns[1], columns[2], columns[3], columns[4]];
        sum.high = [zero, zero, zero, zero, columns[5]];
    }

    #[inline(always)]
    fn integer_total(sum: LimbSum) -> Fr {
        let mut limbs = [0u64; 5];
        for (i, column) in carried(join(sum)).into_iter().enumerate() {
            // SAFETY: see `Ifma`.
            let total = unsafe { _mm512_reduce_add_epi64(column) };
            add_at(&mut limbs, 52 * i, total as u64);
        }
        element(reduce_five(&limbs))
    }
}

/// Propagates the carries of six columns.
#[inline(always)]
fn carried(mut columns: [__m512i; 6]) -> [__m512i; 6] {
    // SAFETY: see `Ifma`.
    unsafe {
        for i in 0..5 {
            columns[i + 1] = _mm512_add_epi64(columns[i + 1], _mm512_srli_epi64::<52>(columns[i]));
            columns[i] = _mm512_and_si512(columns[i], splat(MASK));
        }
    }
    columns
}

/// The columns of a sum.
#[inline(always)]
fn join(sum: LimbSum) -> [__m512i; 6] {
    let mut columns = [sum.low[0], sum.low[1], sum.low[2], sum.low[3], sum.low[4], sum.high[4]];
    for j in 0..4 {
        // SAFETY: see `Ifma`.
        columns[j + 1] = unsafe { _mm512_add_epi64(columns[j + 1], sum.high[j]) };
    }
    columns
}

/// [`ORDER`] as a permutation of eight integers.
#[inline(always)]
fn order() -> __m256i {
    let [a, b, c, d, e, f, g, h] = ORDER;
    // SAFETY: see `Ifma`.
    unsafe { _mm256_setr_epi32(a, b, c, d, e, f, g, h) }
}

/// [`radix52::reduce_columns`] for scalars.
#[inline(always)]
fn reduce_columns(a: Columns) -> Value {
    radix52::reduce_columns::<ScalarField>(a)
}

#[inline(always)]
fn words(v: __m512i) -> [u64; 8] {
    let mut out = [0u64; 8];
    // SAFETY: the array is one vector long.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast::<__m512i>(), v) };
    out
}

/// Compiles every kernel of the list for the instructions.
macro_rules! compile {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?;)*) => {$(
        /// The kernel of this name, on lengths that are a multiple of 8.
        pub(super) fn $name(_: Available, $($argument: $type),*) $(-> $out)? {
            #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
            fn compiled($($argument: $type),*) $(-> $out)? {
                kernels::$name::<Ifma>($($argument),*)
            }
            // SAFETY: an `Available` exists only where the instructions were detected.
            unsafe { compiled($($argument),*) }
        }
    )*};
}

kernel_list!(compile);
