//! Eight field elements at once with AVX2 and fused multiply-adds, as two vectors of four (docs of [`crate::radix51`]).
//!
//! The two vectors take turns in what is a long chain of dependent steps, reduction above all.
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
    self, Available, Columns, MASK, Modulus, Pair, ScalarField, Value, canonical, canonical4, carries, difference,
    digits, from_words, halved, plus, reductions, shrunk, splat, started, to_words, transposed, words,
};
use ark_bn254::Fr;
use ark_ff::{Field, MontFp};
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
pub(super) fn load_words(from: &[Fr], at: usize) -> [__m256i; 4] {
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

/// Stores canonical values.
#[inline(always)]
fn store_words(v: Value, to: &mut [Fr], at: usize) {
    let to = &mut to[at..at + 4];
    let rows = transposed(to_words(v));
    // SAFETY: an element is four words, so the four elements that the slice holds are four vectors; every bit pattern
    // below `p` is an element.
    unsafe {
        let words = to.as_mut_ptr().cast::<__m256i>();
        for k in 0..4 {
            _mm256_storeu_si256(words.add(k), rows[k]);
        }
    }
}

/// `a + b` with carries left in it.
#[inline(always)]
fn sum(a: Value, b: Value) -> Value {
    let mut sum = a;
    for j in 0..5 {
        sum[j] = plus(a[j], b[j]);
    }
    sum
}

impl Lanes for Avx2 {
    const COUNT: usize = 8;
    // Twenty parts of at most 2^52 a product and column, in 63 bits: both vectors go into the same columns.
    const FOLD: usize = 64;
    // Four products below p^2, reduced and added to an element, are below 4p.
    const PRODUCTS: usize = 4;
    type Value = Pair<Value>;
    type Wide = Pair<Columns>;
    type Sum = Sum;
    type Sign = Pair<Signs>;
    type Integer = Pair<__m256d>;
    type IntegerSum = Pair<DigitSum>;

    #[inline(always)]
    fn excess() -> Fr {
        HALF
    }

    #[inline(always)]
    fn load(from: &[Fr], at: usize) -> Pair<Value> {
        [from_words(load_words(from, at)), from_words(load_words(from, at + 4))]
    }

    #[inline(always)]
    fn load_scaled(from: &[Fr], at: usize) -> Pair<Value> {
        let [a, b] = Self::load(from, at);
        [halved::<ScalarField>(a), halved::<ScalarField>(b)]
    }

    #[inline(always)]
    fn broadcast(x: &Fr) -> Pair<Value> {
        [digits(x.0.0).map(splat); 2]
    }

    #[inline(always)]
    fn store(v: Pair<Value>, to: &mut [Fr], at: usize) {
        store_words(v[0], to, at);
        store_words(v[1], to, at + 4);
    }

    #[inline(always)]
    fn canonical(value: Pair<Value>) -> Pair<Value> {
        canonical::<ScalarField>(value)
    }

    #[inline(always)]
    fn shrunk(value: Pair<Value>) -> Pair<Value> {
        shrunk::<ScalarField>(value)
    }

    #[inline(always)]
    fn add(a: Pair<Value>, b: Pair<Value>) -> Pair<Value> {
        carries([sum(a[0], b[0]), sum(a[1], b[1])])
    }

    #[inline(always)]
    fn sub(a: Pair<Value>, b: Pair<Value>) -> Pair<Value> {
        carries([difference::<ScalarField>(a[0], b[0]), difference::<ScalarField>(a[1], b[1])])
    }

    #[inline(always)]
    fn mul(a: Pair<Value>, b: Pair<Value>) -> Pair<Columns> {
        [radix51::mul(a[0], b[0]), radix51::mul(a[1], b[1])]
    }

    #[inline(always)]
    fn mul_add(sum: Pair<Columns>, a: Pair<Value>, b: Pair<Value>) -> Pair<Columns> {
        [radix51::mul_add(sum[0], a[0], b[0]), radix51::mul_add(sum[1], a[1], b[1])]
    }

    #[inline(always)]
    fn reduce(a: Pair<Columns>) -> Pair<Value> {
        carries(reductions::<ScalarField>(a))
    }

    #[inline(always)]
    fn reduce_canonical(a: Pair<Columns>) -> Pair<Value> {
        canonical::<ScalarField>(reductions::<ScalarField>(a))
    }

    #[inline(always)]
    fn reduce_add(a: Pair<Columns>, b: Pair<Value>) -> Pair<Value> {
        let reduced = reductions::<ScalarField>(a);
        canonical4::<ScalarField>([sum(reduced[0], b[0]), sum(reduced[1], b[1])])
    }

    #[inline(always)]
    fn sum() -> Sum {
        Sum { columns: [splat(0); 10], top: splat(0), products: 0 }
    }

    #[inline(always)]
    fn accumulate(sum: &mut Sum, a: Pair<Value>, b: Pair<Value>) {
        sum.columns = radix51::mul_add_raw(sum.columns, a[0], b[0]);
        sum.columns = radix51::mul_add_raw(sum.columns, a[1], b[1]);
        sum.products += 2;
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
    fn load_bits(from: &[i32], at: usize) -> Option<Pair<Signs>> {
        let x = [load_four(from, at), load_four(from, at + 4)];
        // SAFETY: see `Avx2`.
        unsafe {
            if _mm_testz_si128(_mm_or_si128(x[0], x[1]), _mm_set1_epi32(!1)) == 0 {
                return None;
            }
            let zero = _mm_setzero_si128();
            Some([
                Signs { plus: _mm256_cvtepi32_epi64(_mm_sub_epi32(zero, x[0])), minus: splat(0) },
                Signs { plus: _mm256_cvtepi32_epi64(_mm_sub_epi32(zero, x[1])), minus: splat(0) },
            ])
        }
    }

    #[inline(always)]
    fn sign_sub(a: Pair<Signs>, b: Pair<Signs>) -> Pair<Signs> {
        [sign_difference(a[0], b[0]), sign_difference(a[1], b[1])]
    }

    #[inline(always)]
    fn sign_mul(a: Pair<Signs>, b: Pair<Signs>) -> Pair<Signs> {
        [sign_product(a[0], b[0]), sign_product(a[1], b[1])]
    }

    #[inline(always)]
    fn add_signed(value: Pair<Value>, sign: Pair<Signs>, up: Pair<Value>, down: Pair<Value>) -> Pair<Value> {
        carries([signed(value[0], sign[0], up[0], down[0]), signed(value[1], sign[1], up[1], down[1])])
    }

    #[inline(always)]
    fn load_integers(from: &[i32], at: usize) -> Pair<__m256d> {
        let x = [load_four(from, at), load_four(from, at + 4)];
        // SAFETY: see `Avx2`.
        unsafe {
            let offset = _mm256_set1_pd(f64::from(1u32 << 31));
            [_mm256_add_pd(_mm256_cvtepi32_pd(x[0]), offset), _mm256_add_pd(_mm256_cvtepi32_pd(x[1]), offset)]
        }
    }

    #[inline(always)]
    fn load_integers_unordered(from: &[i32], at: usize) -> Pair<__m256d> {
        Self::load_integers(from, at)
    }

    #[inline(always)]
    fn reorder(value: Pair<Value>) -> Pair<Value> {
        value
    }

    #[inline(always)]
    fn integer(x: u64) -> Pair<__m256d> {
        // SAFETY: see `Avx2`.
        [unsafe { _mm256_set1_pd(x as f64) }; 2]
    }

    #[inline(always)]
    fn integer_sub(a: Pair<__m256d>, b: Pair<__m256d>) -> Pair<__m256d> {
        // SAFETY: see `Avx2`.
        unsafe {
            let offset = _mm256_set1_pd((1u64 << 32) as f64);
            [_mm256_sub_pd(_mm256_add_pd(a[0], offset), b[0]), _mm256_sub_pd(_mm256_add_pd(a[1], offset), b[1])]
        }
    }

    #[inline(always)]
    fn integer_scale() -> Fr {
        Fr::ONE
    }

    #[inline(always)]
    fn integer_sum(start: Pair<Value>) -> Pair<DigitSum> {
        [DigitSum::new(start[0]), DigitSum::new(start[1])]
    }

    #[inline(always)]
    fn integer_add(sum: &mut Pair<DigitSum>, weight: Pair<Value>, x: Pair<__m256d>) {
        sum[0].add(weight[0], x[0]);
        sum[1].add(weight[1], x[1]);
    }

    #[inline(always)]
    fn integer_add_one(sum: &mut Pair<DigitSum>, weight: Pair<Value>) {
        sum[0].add_one(weight[0]);
        sum[1].add_one(weight[1]);
    }

    #[inline(always)]
    fn integer_finish(sum: Pair<DigitSum>) -> Pair<Value> {
        canonical4::<ScalarField>([sum[0].reduced(), sum[1].reduced()])
    }

    #[inline(always)]
    fn integer_fold(sum: &mut Pair<DigitSum>) {
        let [a, b] = carried(*sum);
        *sum = [DigitSum { columns: a, terms: 0 }, DigitSum { columns: b, terms: 0 }];
    }

    #[inline(always)]
    fn integer_total(sum: Pair<DigitSum>) -> Fr {
        let six = carried(sum);
        let mut limbs = [0u64; 5];
        for i in 0..6 {
            let total: u64 = words(plus(six[0][i], six[1][i])).into_iter().sum();
            add_at(&mut limbs, 51 * i, total);
        }
        element(reduce_five(&limbs))
    }
}

/// `a * b`.
#[inline(always)]
fn sign_product(a: Signs, b: Signs) -> Signs {
    // SAFETY: see `Avx2`.
    unsafe {
        Signs {
            plus: _mm256_or_si256(_mm256_and_si256(a.plus, b.plus), _mm256_and_si256(a.minus, b.minus)),
            minus: _mm256_or_si256(_mm256_and_si256(a.plus, b.minus), _mm256_and_si256(a.minus, b.plus)),
        }
    }
}

/// `a - b` of integers that are 0 or 1.
#[inline(always)]
fn sign_difference(a: Signs, b: Signs) -> Signs {
    // SAFETY: see `Avx2`.
    unsafe { Signs { plus: _mm256_andnot_si256(b.plus, a.plus), minus: _mm256_andnot_si256(a.plus, b.plus) } }
}

/// [`Lanes::add_signed`] with carries left in it.
#[inline(always)]
fn signed(value: Value, sign: Signs, up: Value, down: Value) -> Value {
    let mut sum = value;
    for j in 0..5 {
        // SAFETY: see `Avx2`.
        let x = unsafe { _mm256_or_si256(_mm256_and_si256(up[j], sign.plus), _mm256_and_si256(down[j], sign.minus)) };
        sum[j] = plus(sum[j], x);
    }
    sum
}

impl DigitSum {
    #[inline(always)]
    fn new(start: Value) -> Self {
        Self { columns: [start[0], start[1], start[2], start[3], start[4], splat(0)], terms: 0 }
    }

    #[inline(always)]
    fn add(&mut self, weight: Value, x: __m256d) {
        let weight = radix51::doubles(weight);
        for j in 0..5 {
            let [high, low] = radix51::parts(weight[j], x);
            self.columns[j] = plus(self.columns[j], low);
            self.columns[j + 1] = plus(self.columns[j + 1], high);
        }
        self.terms += 1;
    }

    #[inline(always)]
    fn add_one(&mut self, weight: Value) {
        for j in 0..5 {
            self.columns[j] = plus(self.columns[j], weight[j]);
        }
    }

    /// The sum `X`, below `2^304`, less a multiple of `p`: carried, between 0 and `2.4 p`.
    ///
    /// With `Y = X + 2p` and its two highest columns `t 2^204`, the quotient `q` is the integer next to `t 2^204 / p - 1.2`. What
    /// lower columns hold is below `2^-38 p`, and the arithmetic of doubles is off by less than `2^-51` of `2^50.4`: so
    /// `Y / p - q` is between 0.03 and 2.4. It is found by adding `q (2^255 - p)` and leaving out multiples of `2^255`,
    /// since `2.4 p < 2^255`.
    #[inline(always)]
    fn reduced(mut self) -> Value {
        // SAFETY: see `Avx2`.
        unsafe {
            let low = plus(self.columns[4], splat(radix51::integer_start(4, self.terms).wrapping_add(TWICE[4])));
            let high = plus(self.columns[5], splat(radix51::integer_start(5, self.terms)));
            let high = radix51::double(plus(high, _mm256_srli_epi64::<51>(low)));
            let low = radix51::double(_mm256_and_si256(low, splat(MASK)));
            let t = _mm256_fmadd_pd(high, _mm256_set1_pd((1u64 << 51) as f64), low);
            let quotient = _mm256_fmadd_pd(t, _mm256_set1_pd(RATIO), _mm256_set1_pd(-1.2));
            // Integers are 1 apart here.
            let integers = _mm256_set1_pd((3u64 << 51) as f64);
            let quotient = _mm256_sub_pd(_mm256_add_pd(quotient, integers), integers);
            let [a, b, c, d, e] = COMPLEMENT;
            self.add([splat(a), splat(b), splat(c), splat(d), splat(e)], quotient);
        }
        let mut v = [splat(0); 5];
        for i in 0..5 {
            v[i] = plus(self.columns[i], splat(radix51::integer_start(i, self.terms).wrapping_add(TWICE[i])));
        }
        let mut v = radix51::carry(v);
        // SAFETY: see `Avx2`.
        v[4] = unsafe { _mm256_and_si256(v[4], splat(MASK)) };
        v
    }
}

/// `2p`.
const TWICE: [u64; 5] = ScalarField::P2;

/// `2^204 / p`.
const RATIO: f64 = 1.0 / (ScalarField::P[4] as f64 + ScalarField::P[3] as f64 / (1u64 << 51) as f64);

/// `2^255 - p`.
const COMPLEMENT: [u64; 5] = {
    let [a, b, c, d, e] = ScalarField::P;
    [MASK + 1 - a, MASK - b, MASK - c, MASK - d, MASK - e]
};

/// The columns with the constants taken back.
#[inline(always)]
fn settled(sum: &DigitSum) -> [__m256i; 6] {
    let mut columns = sum.columns;
    for i in 0..6 {
        columns[i] = plus(columns[i], splat(radix51::integer_start(i, sum.terms)));
    }
    columns
}

/// Propagates the carry of column `i`.
#[inline(always)]
fn carry_column(columns: &mut [__m256i; 6], i: usize) {
    // SAFETY: see `Avx2`.
    unsafe {
        columns[i + 1] = plus(columns[i + 1], _mm256_srli_epi64::<51>(columns[i]));
        columns[i] = _mm256_and_si256(columns[i], splat(MASK));
    }
}

/// The columns with the constants taken back and carries propagated: all but the last are below `2^51`.
#[inline(always)]
fn carried(sums: Pair<DigitSum>) -> Pair<[__m256i; 6]> {
    let mut columns = [settled(&sums[0]), settled(&sums[1])];
    for i in 0..5 {
        carry_column(&mut columns[0], i);
        carry_column(&mut columns[1], i);
    }
    columns
}

/// Compiles every kernel of the list for the instructions.
macro_rules! compile {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?;)*) => {$(
        /// The kernel of this name, on lengths that are a multiple of 8.
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
