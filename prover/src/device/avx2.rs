//! Four field elements at once with AVX2 and fused multiply-adds (docs of [`crate::radix51`]).
//!
//! Two obligations of `unsafe` code are discharged here: the instructions exist, because only the holder of an
//! [`Available`] gets to run them; and vector loads and stores stay inside a checked slice.
//!
//! Reduction divides by `2^255`, so the excess over `R = 2^256` is one half. Elements sit in the lanes in their order.
//! All values are carried ([`crate::radix51`]).

#![allow(unsafe_code)]
// Several values are read at the same digit.
#![allow(clippy::needless_range_loop)]

use super::kernels::{self, Quarters, kernel_list};
use super::lanes::Lanes;
use super::mac::{ProductSum, add_at, element, reduce_five};
use crate::radix51::{
    self, Available, Columns, MASK, ScalarField, Value, canonical, canonical4, carry, difference, digits, from_words,
    halved, plus, reduce_columns, shrunk, splat, started, to_words, transposed, words,
};
use ark_bn254::{Fr, FrConfig};
use ark_ff::{Fp, MontConfig, MontFp};
use std::arch::x86_64::*;

/// `(r + 1) / 2`, which is 1/2.
const HALF: Fr = MontFp!("10944121435919637611123202872628637544274182200208017171849102093287904247809");

/// A long sum: columns, what overflows them, and how many products they hold whose constants were not taken back.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    columns: Columns,
    top: __m256i,
    products: u64,
}

/// Signs in {-1, 0, 1}: masks of the lanes that hold 1, and of those that hold -1.
#[derive(Clone, Copy)]
pub(super) struct Signs {
    plus: __m256i,
    minus: __m256i,
}

/// Products of digits with integers, and how many were added whose constants were not taken back.
#[derive(Clone, Copy)]
pub(super) struct DigitSum {
    columns: [__m256i; 6],
    terms: u64,
}

/// The vector unit. Only the functions at the end of this file may use it: its methods must be inlined into code that
/// is compiled for the instructions.
pub(super) struct Avx2;

/// Four vectors of 64-bit limbs from four consecutive elements.
#[inline(always)]
fn load_words(from: &[Fr], at: usize) -> [__m256i; 4] {
    let from = &from[at..at + 4];
    // SAFETY: an element is four words, so the four elements that the slice holds are four vectors.
    unsafe {
        let rows = from.as_ptr().cast::<__m256i>();
        transposed([
            _mm256_loadu_si256(rows),
            _mm256_loadu_si256(rows.add(1)),
            _mm256_loadu_si256(rows.add(2)),
            _mm256_loadu_si256(rows.add(3)),
        ])
    }
}

/// Four integers.
#[inline(always)]
fn load_four(from: &[i32], at: usize) -> __m128i {
    let from = &from[at..at + 4];
    // SAFETY: the slice holds the four integers.
    unsafe { _mm_loadu_si128(from.as_ptr().cast::<__m128i>()) }
}

impl Lanes for Avx2 {
    const COUNT: usize = 4;
    // Ten parts of at most 2^52 a product and column, in 63 bits.
    const FOLD: usize = 128;
    // Four products below p^2, reduced and added to an element, are below 4p.
    const PRODUCTS: usize = 4;
    type Value = Value;
    type Wide = Columns;
    type Sum = Sum;
    type Sign = Signs;
    type Integer = __m256d;
    type IntegerSum = DigitSum;

    #[inline(always)]
    fn excess() -> Fr {
        HALF
    }

    #[inline(always)]
    fn load(from: &[Fr], at: usize) -> Value {
        from_words(load_words(from, at))
    }

    #[inline(always)]
    fn load_scaled(from: &[Fr], at: usize) -> Value {
        halved::<ScalarField>(from_words(load_words(from, at)))
    }

    #[inline(always)]
    fn broadcast(x: &Fr) -> Value {
        digits(x.0.0).map(splat)
    }

    #[inline(always)]
    fn store(v: Value, to: &mut [Fr], at: usize) {
        let to = &mut to[at..at + 4];
        let rows = transposed(to_words(v));
        // SAFETY: an element is four words, so the four elements that the slice holds are four vectors; every bit
        // pattern below `p` is an element.
        unsafe {
            let words = to.as_mut_ptr().cast::<__m256i>();
            for k in 0..4 {
                _mm256_storeu_si256(words.add(k), rows[k]);
            }
        }
    }

    #[inline(always)]
    fn canonical(value: Value) -> Value {
        canonical::<ScalarField>(value)
    }

    #[inline(always)]
    fn shrunk(value: Value) -> Value {
        shrunk::<ScalarField>(value)
    }

    #[inline(always)]
    fn add(a: Value, b: Value) -> Value {
        let mut sum = a;
        for j in 0..5 {
            sum[j] = plus(a[j], b[j]);
        }
        carry(sum)
    }

    #[inline(always)]
    fn sub(a: Value, b: Value) -> Value {
        carry(difference::<ScalarField>(a, b))
    }

    #[inline(always)]
    fn mul(a: Value, b: Value) -> Columns {
        radix51::mul(a, b)
    }

    #[inline(always)]
    fn mul_add(sum: Columns, a: Value, b: Value) -> Columns {
        radix51::mul_add(sum, a, b)
    }

    #[inline(always)]
    fn reduce(a: Columns) -> Value {
        carry(reduce_columns::<ScalarField>(a))
    }

    #[inline(always)]
    fn reduce_canonical(a: Columns) -> Value {
        canonical::<ScalarField>(reduce_columns::<ScalarField>(a))
    }

    #[inline(always)]
    fn reduce_add(a: Columns, b: Value) -> Value {
        let mut sum = reduce_columns::<ScalarField>(a);
        for j in 0..5 {
            sum[j] = plus(sum[j], b[j]);
        }
        canonical4::<ScalarField>(sum)
    }

    #[inline(always)]
    fn sum() -> Sum {
        Sum { columns: [splat(0); 10], top: splat(0), products: 0 }
    }

    #[inline(always)]
    fn accumulate(sum: &mut Sum, a: Value, b: Value) {
        sum.columns = radix51::mul_add_raw(sum.columns, a, b);
        sum.products += 1;
    }

    #[inline(always)]
    fn fold(sum: &mut Sum) {
        sum.columns = started(sum.columns, sum.products);
        sum.products = 0;
        // SAFETY: see `Avx2`.
        unsafe {
            for i in 0..10 {
                let up = _mm256_srli_epi64::<51>(sum.columns[i]);
                sum.columns[i] = _mm256_and_si256(sum.columns[i], splat(MASK));
                if i < 9 {
                    sum.columns[i + 1] = plus(sum.columns[i + 1], up);
                } else {
                    sum.top = plus(sum.top, up);
                }
            }
        }
    }

    #[inline(always)]
    fn finish(mut sum: Sum) -> Fr {
        Self::fold(&mut sum);
        let mut limbs = [0u64; 9];
        for (i, column) in sum.columns.into_iter().chain([sum.top]).enumerate() {
            let total: u64 = words(column).into_iter().sum();
            add_at(&mut limbs, 51 * i, total);
        }
        ProductSum::from_limbs(limbs).finish()
    }

    #[inline(always)]
    fn load_bits(from: &[i32], at: usize) -> Option<Signs> {
        let x = load_four(from, at);
        // SAFETY: see `Avx2`.
        unsafe {
            if _mm_testz_si128(x, _mm_set1_epi32(!1)) == 0 {
                return None;
            }
            let mask = _mm256_cvtepi32_epi64(_mm_sub_epi32(_mm_setzero_si128(), x));
            Some(Signs { plus: mask, minus: splat(0) })
        }
    }

    #[inline(always)]
    fn sign_sub(a: Signs, b: Signs) -> Signs {
        // SAFETY: see `Avx2`.
        unsafe { Signs { plus: _mm256_andnot_si256(b.plus, a.plus), minus: _mm256_andnot_si256(a.plus, b.plus) } }
    }

    #[inline(always)]
    fn sign_mul(a: Signs, b: Signs) -> Signs {
        // SAFETY: see `Avx2`.
        unsafe {
            let both = |x, y, z, w| _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, w));
            Signs { plus: both(a.plus, b.plus, a.minus, b.minus), minus: both(a.plus, b.minus, a.minus, b.plus) }
        }
    }

    #[inline(always)]
    fn add_signed(value: Value, sign: Signs, up: Value, down: Value) -> Value {
        let mut sum = value;
        for j in 0..5 {
            // SAFETY: see `Avx2`.
            let x =
                unsafe { _mm256_or_si256(_mm256_and_si256(up[j], sign.plus), _mm256_and_si256(down[j], sign.minus)) };
            sum[j] = plus(sum[j], x);
        }
        carry(sum)
    }

    #[inline(always)]
    fn load_integers(from: &[i32], at: usize) -> __m256d {
        // SAFETY: see `Avx2`.
        unsafe { _mm256_add_pd(_mm256_cvtepi32_pd(load_four(from, at)), _mm256_set1_pd(f64::from(1u32 << 31))) }
    }

    #[inline(always)]
    fn load_integers_unordered(from: &[i32], at: usize) -> __m256d {
        Self::load_integers(from, at)
    }

    #[inline(always)]
    fn reorder(value: Value) -> Value {
        value
    }

    #[inline(always)]
    fn integer(x: u64) -> __m256d {
        // SAFETY: see `Avx2`.
        unsafe { _mm256_set1_pd(x as f64) }
    }

    #[inline(always)]
    fn integer_sub(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: see `Avx2`.
        unsafe { _mm256_sub_pd(_mm256_add_pd(a, _mm256_set1_pd((1u64 << 32) as f64)), b) }
    }

    #[inline(always)]
    fn integer_scale() -> Fr {
        // The element with the stored form R^2 is R.
        Fp::new_unchecked(FrConfig::R2) * Self::excess()
    }

    #[inline(always)]
    fn integer_sum(start: Value) -> DigitSum {
        DigitSum { columns: [start[0], start[1], start[2], start[3], start[4], splat(0)], terms: 0 }
    }

    #[inline(always)]
    fn integer_add(sum: &mut DigitSum, weight: Value, x: __m256d) {
        let weight = radix51::doubles(weight);
        for j in 0..5 {
            let [high, low] = radix51::parts(weight[j], x);
            sum.columns[j] = plus(sum.columns[j], low);
            sum.columns[j + 1] = plus(sum.columns[j + 1], high);
        }
        sum.terms += 1;
    }

    #[inline(always)]
    fn integer_add_one(sum: &mut DigitSum, weight: Value) {
        for j in 0..5 {
            sum.columns[j] = plus(sum.columns[j], weight[j]);
        }
    }

    #[inline(always)]
    fn integer_finish(sum: DigitSum) -> Value {
        let six = carried(sum);
        let mut columns = [splat(0); 10];
        columns[..6].copy_from_slice(&six);
        canonical::<ScalarField>(reduce_columns::<ScalarField>(columns))
    }

    #[inline(always)]
    fn integer_fold(sum: &mut DigitSum) {
        *sum = DigitSum { columns: carried(*sum), terms: 0 };
    }

    #[inline(always)]
    fn integer_total(sum: DigitSum) -> Fr {
        let mut limbs = [0u64; 5];
        for (i, column) in carried(sum).into_iter().enumerate() {
            let total: u64 = words(column).into_iter().sum();
            add_at(&mut limbs, 51 * i, total);
        }
        element(reduce_five(&limbs))
    }
}

/// The columns with the constants taken back and carries propagated: all but the last are below `2^51`.
#[inline(always)]
fn carried(sum: DigitSum) -> [__m256i; 6] {
    let mut columns = sum.columns;
    // SAFETY: see `Avx2`.
    unsafe {
        for i in 0..6 {
            columns[i] = plus(columns[i], splat(radix51::integer_start(i, sum.terms)));
        }
        for i in 0..5 {
            columns[i + 1] = plus(columns[i + 1], _mm256_srli_epi64::<51>(columns[i]));
            columns[i] = _mm256_and_si256(columns[i], splat(MASK));
        }
    }
    columns
}

/// Compiles every kernel of the list for the instructions.
macro_rules! compile {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?;)*) => {$(
        /// The kernel of this name, on lengths that are a multiple of 4.
        pub(super) fn $name(_: Available, $($argument: $type),*) $(-> $out)? {
            #[target_feature(enable = "avx2,fma")]
            fn compiled($($argument: $type),*) $(-> $out)? {
                kernels::$name::<Avx2>($($argument),*)
            }
            // SAFETY: an `Available` exists only where the instructions were detected.
            unsafe { compiled($($argument),*) }
        }
    )*};
}

kernel_list!(compile);
