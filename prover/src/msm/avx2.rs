//! Eight affine additions at once, as two vectors of four, with the fused multiply-adds of [`crate::radix51`].
//!
//! Coordinates are stored as `x 2^256 mod p`, and reduction divides by `2^255`. Read as `x' 2^255`, a stored coordinate is
//! `x' = 2 x`. The slope is a quotient and the same in both readings; `2 x3 = 2 s^2 - 2 x1 - 2 x2` needs a square doubled,
//! and `2 y3 = s (2 x1 - 2 x3) - 2 y1` nothing.
//!
//! **Bounds.** Reduction divides `a b` by `2^255 > 2.64 p`: a product of values below `k p` and `l p` is
//! below `(0.38 k l + 1) p`. Differences that are factors are made canonical, so the running products, and the inverse, stay below
//! `1.62 p`; their product is below `2 p`, the slope below `1.8 p`, its square below `2.3 p`, and the last product below `2.4 p`.

#![allow(unsafe_code)]
// Several values are read at the same digit.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use ark_bn254::Fq;
use ark_ff::MontFp;

use super::affine::{Addition, NEGATIVE, Place, Summands};
use super::point::Point;
use super::vectors::{self, Coordinates};
use crate::radix51::{
    Available, BaseField, Modulus, Pair, Value, canonical, canonical4, carries, carry, difference, digits, from_words,
    minus, mul, plus, reductions, splat, square, to_words, transposed, words,
};

/// The vector unit. Its methods must be inlined into code that is compiled for the instructions.
struct Avx2;

impl Coordinates for Avx2 {
    type Value = Pair<Value>;
    type Words = Pair<[__m256i; 4]>;

    #[inline(always)]
    fn broadcast(x: &Fq) -> Pair<Value> {
        [digits(x.0.0).map(splat); 2]
    }

    #[inline(always)]
    fn product(a: Pair<Value>, b: Pair<Value>) -> Pair<Value> {
        carries(reductions::<BaseField>([mul(a[0], b[0]), mul(a[1], b[1])]))
    }

    #[inline(always)]
    fn difference(a: Pair<Value>, b: Pair<Value>) -> Pair<Value> {
        canonical::<BaseField>([difference::<BaseField>(a[0], b[0]), difference::<BaseField>(a[1], b[1])])
    }

    #[inline(always)]
    fn third(slope: Pair<Value>, [ax, bx]: [Pair<Value>; 2], ay: Pair<Value>) -> [Pair<Value>; 2] {
        let squares = [square(slope[0]), square(slope[1])];
        let squares = canonical4::<BaseField>(reductions::<BaseField>(squares));
        let x = canonical4::<BaseField>([third_x(squares[0], ax[0], bx[0]), third_x(squares[1], ax[1], bx[1])]);
        let run = carries([difference::<BaseField>(ax[0], x[0]), difference::<BaseField>(ax[1], x[1])]);
        let y = reductions::<BaseField>([mul(slope[0], run[0]), mul(slope[1], run[1])]);
        [x, canonical4::<BaseField>([difference::<BaseField>(y[0], ay[0]), difference::<BaseField>(y[1], ay[1])])]
    }

    fn inverse_scale() -> Fq {
        // 1/4, as (p + 1) / 4.
        MontFp!("5472060717959818805561601436314318772174077789324455915672259473661306552146")
    }

    #[inline(always)]
    unsafe fn load_x(points: *const Point, places: [Place; 8]) -> Pair<[__m256i; 4]> {
        // SAFETY: a point is eight words, of which the first four are read.
        unsafe { [half(points, places, 0, 0), half(points, places, 4, 0)] }
    }

    #[inline(always)]
    unsafe fn load(points: *const Point, places: [Place; 8]) -> [Pair<Value>; 2] {
        // SAFETY: a point is eight words.
        unsafe {
            let x = [half(points, places, 0, 0), half(points, places, 4, 0)];
            let y = [half(points, places, 0, 1), half(points, places, 4, 1)];
            let x = [from_words(x[0]), from_words(x[1])];
            [x, [signed(from_words(y[0]), places, 0), signed(from_words(y[1]), places, 4)]]
        }
    }

    #[inline(always)]
    unsafe fn store(out: *mut Point, places: [u32; 8], x: Pair<Value>, y: Pair<Value>) {
        for i in 0..2 {
            let (xs, ys) = (transposed(to_words(x[i])), transposed(to_words(y[i])));
            for k in 0..4 {
                // SAFETY: a point is eight words on its own line, and every coordinate is below `p`.
                unsafe {
                    let to = out.add(places[4 * i + k] as usize).cast::<__m256i>();
                    _mm256_store_si256(to, xs[k]);
                    _mm256_store_si256(to.add(1), ys[k]);
                }
            }
        }
    }

    #[inline(always)]
    fn from_words(words: Pair<[__m256i; 4]>) -> Pair<Value> {
        [from_words(words[0]), from_words(words[1])]
    }

    #[inline(always)]
    fn special(a: Pair<[__m256i; 4]>, b: Pair<[__m256i; 4]>) -> u8 {
        special(a[0], b[0]) | special(a[1], b[1]) << 4
    }

    fn residues(value: Pair<Value>) -> [[u64; 4]; 8] {
        #[target_feature(enable = "avx2,fma")]
        fn compiled(value: Pair<Value>) -> Pair<[__m256i; 4]> {
            let [a, b] = canonical::<BaseField>(value);
            [to_words(a), to_words(b)]
        }
        // SAFETY: see `Avx2`.
        let by_word = unsafe { compiled(value) }.map(|v| v.map(words));
        core::array::from_fn(|k| core::array::from_fn(|j| by_word[k / 4][j][k % 4]))
    }

    fn replaced(value: Pair<Value>, with: &[Option<Fq>; 8]) -> Pair<Value> {
        let mut all = value.map(|v| v.map(words));
        for (k, element) in with.iter().enumerate() {
            if let Some(element) = element {
                all[k / 4].iter_mut().zip(digits(element.0.0)).for_each(|(lanes, digit)| lanes[k % 4] = digit);
            }
        }
        // SAFETY: each array is one vector long.
        all.map(|v| v.map(|words| unsafe { _mm256_loadu_si256(words.as_ptr().cast::<__m256i>()) }))
    }
}

/// `2 square - a - b`, with carries left in it.
#[inline(always)]
fn third_x(square: Value, a: Value, b: Value) -> Value {
    let mut x = square;
    for j in 0..5 {
        // Twice the padded `p` makes up for both subtractions.
        let twice = plus(plus(square[j], square[j]), splat(BaseField::PADDED[j].wrapping_mul(2)));
        x[j] = minus(twice, plus(a[j], b[j]));
    }
    x
}

/// Four words of each of four points, as columns: the first (0) or the second coordinate (1).
///
/// # Safety
/// The places are within the points.
#[inline(always)]
unsafe fn half(points: *const Point, places: [Place; 8], start: usize, coordinate: usize) -> [__m256i; 4] {
    let mut rows = [splat(0); 4];
    for k in 0..4 {
        let index = (places[start + k] & !NEGATIVE) as usize;
        // SAFETY: a point is eight words, aligned to its size.
        rows[k] = unsafe { _mm256_load_si256(points.add(index).cast::<__m256i>().add(coordinate)) };
    }
    transposed(rows)
}

/// `p - y` where the place is negative. Points have no `y` of zero but at infinity, whose sums are known.
#[inline(always)]
fn signed(y: Value, places: [Place; 8], start: usize) -> Value {
    let mut out = y;
    // SAFETY: see `Avx2`.
    unsafe {
        let sign = |k: usize| i64::from(places[start + k] as i32 >> 31);
        let negative = _mm256_set_epi64x(sign(3), sign(2), sign(1), sign(0));
        for j in 0..5 {
            // The opposite's digits may be negative: carried below.
            let opposite = minus(splat(BaseField::PADDED[j]), y[j]);
            out[j] = _mm256_blendv_epi8(y[j], opposite, negative);
        }
    }
    carry(out)
}

/// The lanes in which `a` or `b` is zero, or both are the same.
#[inline(always)]
fn special(a: [__m256i; 4], b: [__m256i; 4]) -> u8 {
    // SAFETY: see `Avx2`.
    unsafe {
        let mut differ = a;
        for j in 0..4 {
            differ[j] = _mm256_xor_si256(a[j], b[j]);
        }
        let any = _mm256_or_si256(_mm256_or_si256(zero(a), zero(b)), zero(differ));
        _mm256_movemask_pd(_mm256_castsi256_pd(any)) as u8
    }
}

/// A mask of the lanes that are zero.
#[inline(always)]
fn zero(v: [__m256i; 4]) -> __m256i {
    // SAFETY: see `Avx2`.
    unsafe {
        let all = _mm256_or_si256(_mm256_or_si256(v[0], v[1]), _mm256_or_si256(v[2], v[3]));
        _mm256_cmpeq_epi64(all, splat(0))
    }
}

vectors::compile!(Avx2, Available, "avx2,fma");
