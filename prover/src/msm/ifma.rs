//! Eight affine additions at once, with the 52-bit multiply-add of AVX-512.
//!
//! Coordinates are stored as `x 2^256 mod p`, and reduction divides by `2^260`. Read as `x' 2^260`, a stored coordinate
//! is `x' = x / 16`: the pair `(x / 16, y / 16)` lies on no curve of this form, but with `s` a quarter of the chord's slope,
//! `x3 / 16 = s^2 - x1 / 16 - x2 / 16` and `y3 / 16 = 4 s (x1 - x3) / 16 - y1 / 16`. So nothing is converted: the shared
//! inverse carries the quarter, and the other factor 4 is a shift.

#![allow(unsafe_code)]
// Several values are read at the same limb.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use ark_bn254::Fq;

use super::affine::{Addition, NEGATIVE, Place, Summands};
use super::point::Point;
use super::vectors::{self, Coordinates};
use crate::radix52::{
    Available, BaseField, Columns, Modulus, Value, canonical, canonical3, carry, from_words, limbs52, mul_add,
    reduce_columns, splat, to_words,
};

const P52: [u64; 5] = BaseField::P52;

/// The vector unit. Its methods must be inlined into code that is compiled for the instructions.
struct Ifma;

impl Coordinates for Ifma {
    type Value = Value;
    type Words = [__m512i; 4];

    #[inline(always)]
    fn broadcast(x: &Fq) -> Value {
        limbs52(x.0.0).map(splat)
    }

    #[inline(always)]
    fn product(a: Value, b: Value) -> Value {
        carry(reduce_columns::<BaseField>(mul(a, b)))
    }

    #[inline(always)]
    fn difference(a: Value, b: Value) -> Value {
        carry(difference(a, b))
    }

    #[inline(always)]
    fn third(slope: Value, [ax, bx]: [Value; 2], ay: Value) -> [Value; 2] {
        let mut x = reduce_columns::<BaseField>(mul(slope, slope));
        for j in 0..5 {
            // SAFETY: see `Ifma`.
            unsafe {
                let sum = _mm512_add_epi64(ax[j], bx[j]);
                x[j] = _mm512_sub_epi64(_mm512_add_epi64(x[j], splat(2 * P52[j])), sum);
            }
        }
        let x = canonical3::<BaseField>(x);
        let mut run = difference(ax, x);
        for j in 0..5 {
            // SAFETY: see `Ifma`.
            run[j] = unsafe { _mm512_slli_epi64::<2>(run[j]) };
        }
        let y = reduce_columns::<BaseField>(mul(slope, carry(run)));
        [x, canonical3::<BaseField>(difference(y, ay))]
    }

    /// Read in this file's way, the product of the denominators is `d = v / 2^260`; read as a stored coordinate it is
    /// `f = 16 d`, and `d^-1 / 4` is stored as the coordinate `64 / f` is.
    fn inverse_scale() -> Fq {
        Fq::from(64u64)
    }

    #[inline(always)]
    unsafe fn load_x(points: *const Point, places: [Place; 8]) -> [__m512i; 4] {
        // SAFETY: a point is eight words, of which the first four are read.
        unsafe {
            let row = |i: usize, j: usize| {
                let [low, high] =
                    [i, j].map(|k| _mm256_load_si256(points.add((places[k] & !NEGATIVE) as usize).cast::<__m256i>()));
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
            };
            let w = [row(0, 2), row(1, 3), row(4, 6), row(5, 7)];
            let (even0, odd0) = (_mm512_unpacklo_epi64(w[0], w[1]), _mm512_unpackhi_epi64(w[0], w[1]));
            let (even1, odd1) = (_mm512_unpacklo_epi64(w[2], w[3]), _mm512_unpackhi_epi64(w[2], w[3]));
            [
                _mm512_shuffle_i64x2::<0x88>(even0, even1),
                _mm512_shuffle_i64x2::<0x88>(odd0, odd1),
                _mm512_shuffle_i64x2::<0xdd>(even0, even1),
                _mm512_shuffle_i64x2::<0xdd>(odd0, odd1),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load(points: *const Point, places: [Place; 8]) -> [Value; 2] {
        // SAFETY: a point is eight words on its own line.
        unsafe {
            let mut rows = [splat(0); 8];
            let mut negative = 0;
            for k in 0..8 {
                rows[k] = _mm512_load_si512(points.add((places[k] & !NEGATIVE) as usize).cast::<__m512i>());
                negative |= ((places[k] >> 31) as __mmask8) << k;
            }
            let c = transposed(rows);
            let x = from_words([c[0], c[1], c[2], c[3]]);
            let mut y = from_words([c[4], c[5], c[6], c[7]]);
            for j in 0..5 {
                y[j] = _mm512_mask_sub_epi64(y[j], negative, splat(P52[j]), y[j]);
            }
            [x, y]
        }
    }

    #[inline(always)]
    unsafe fn store(out: *mut Point, places: [u32; 8], x: Value, y: Value) {
        let ([x0, x1, x2, x3], [y0, y1, y2, y3]) = (to_words(x), to_words(y));
        let rows = transposed([x0, x1, x2, x3, y0, y1, y2, y3]);
        for k in 0..8 {
            // SAFETY: a point is eight words on its own line, and every coordinate is below `p`.
            unsafe { _mm512_store_si512(out.add(places[k] as usize).cast::<__m512i>(), rows[k]) };
        }
    }

    #[inline(always)]
    fn from_words(words: [__m512i; 4]) -> Value {
        from_words(words)
    }

    #[inline(always)]
    fn special(a: [__m512i; 4], b: [__m512i; 4]) -> u8 {
        // SAFETY: see `Ifma`.
        unsafe {
            let mut differ = a;
            for j in 0..4 {
                differ[j] = _mm512_xor_si512(a[j], b[j]);
            }
            zero(a) | zero(b) | zero(differ)
        }
    }

    fn residues(value: Value) -> [[u64; 4]; 8] {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
        fn compiled(value: Value) -> [__m512i; 4] {
            to_words(canonical::<BaseField>(value))
        }
        // SAFETY: see `Ifma`.
        let by_word = unsafe { compiled(value) }.map(words);
        core::array::from_fn(|k| core::array::from_fn(|j| by_word[j][k]))
    }

    fn replaced(value: Value, with: &[Option<Fq>; 8]) -> Value {
        let mut limbs = value.map(words);
        for (k, element) in with.iter().enumerate() {
            if let Some(element) = element {
                limbs.iter_mut().zip(limbs52(element.0.0)).for_each(|(lanes, limb)| lanes[k] = limb);
            }
        }
        // SAFETY: each array is one vector long.
        limbs.map(|words| unsafe { _mm512_loadu_si512(words.as_ptr().cast::<__m512i>()) })
    }
}

#[inline(always)]
fn mul(a: Value, b: Value) -> Columns {
    mul_add([splat(0); 10], a, b)
}

/// `a - b + p`, with carries left in it.
#[inline(always)]
fn difference(a: Value, b: Value) -> Value {
    let mut out = a;
    for j in 0..5 {
        // SAFETY: see `Ifma`.
        out[j] = unsafe { _mm512_sub_epi64(_mm512_add_epi64(a[j], splat(P52[j])), b[j]) };
    }
    out
}

/// The lanes that are zero.
#[inline(always)]
fn zero(v: [__m512i; 4]) -> __mmask8 {
    // SAFETY: see `Ifma`.
    unsafe {
        let all = _mm512_or_si512(_mm512_or_si512(v[0], v[1]), _mm512_or_si512(v[2], v[3]));
        _mm512_testn_epi64_mask(all, all)
    }
}

/// Eight rows of eight words, or their columns.
#[inline(always)]
fn transposed(r: [__m512i; 8]) -> [__m512i; 8] {
    // SAFETY: see `Ifma`.
    unsafe {
        let mut pairs = r;
        for i in 0..4 {
            pairs[2 * i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
            pairs[2 * i + 1] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
        }
        let mut out = r;
        for odd in 0..2 {
            let (a, b, c, d) = (pairs[odd], pairs[2 + odd], pairs[4 + odd], pairs[6 + odd]);
            let (front0, front1) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0x88>(c, d));
            let (back0, back1) = (_mm512_shuffle_i64x2::<0xdd>(a, b), _mm512_shuffle_i64x2::<0xdd>(c, d));
            out[odd] = _mm512_shuffle_i64x2::<0x88>(front0, front1);
            out[4 + odd] = _mm512_shuffle_i64x2::<0xdd>(front0, front1);
            out[2 + odd] = _mm512_shuffle_i64x2::<0x88>(back0, back1);
            out[6 + odd] = _mm512_shuffle_i64x2::<0xdd>(back0, back1);
        }
        out
    }
}

fn words(v: __m512i) -> [u64; 8] {
    let mut out = [0u64; 8];
    // SAFETY: the array is one vector long.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast::<__m512i>(), v) };
    out
}

vectors::compile!(Ifma, Available, "avx512f,avx512dq,avx512vl,avx512ifma");
