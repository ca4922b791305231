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
use ark_ff::{AdditiveGroup, BigInt, Field, Fp};

use super::affine::{Addition, NEGATIVE, Place, Step, Summands, at};
use super::point::Point;
use crate::radix52::{
    Available, BaseField, Columns, Modulus, Value, canonical, canonical3, carry, from_words, mul_add, reduce_columns,
    splat, to_words,
};

const P52: [u64; 5] = BaseField::P52;

/// Points ahead of their use that are fetched.
const AHEAD: usize = 16;

/// Products before each group of eight.
#[derive(Default)]
pub(super) struct Scratch {
    prefix: Vec<Value>,
}

/// Carries out the additions, a multiple of 8, with one inversion; see [`super::affine::add`].
pub(super) fn add(
    _: Available,
    summands: &Summands<'_>,
    additions: &[Addition],
    out: &mut [Point],
    scratch: &mut Scratch,
) {
    assert!(additions.len().is_multiple_of(8), "whole vectors");
    let len = match summands {
        Summands::Apart(points) => points.len(),
        Summands::InPlace => out.len(),
    };
    // All places are checked before any memory is touched by address.
    let top = additions.iter().fold(0, |top, x| top.max(x.a & !NEGATIVE).max(x.b & !NEGATIVE));
    let top_out = additions.iter().fold(0, |top, x| top.max(x.to));
    if additions.is_empty() {
        return;
    }
    assert!((top as usize) < len && (top_out as usize) < out.len(), "an addition outside of its {len} points");
    // SAFETY: an `Available` exists only where the instructions were detected; all places were checked.
    unsafe { add_checked(summands, additions, out, &mut scratch.prefix) }
}

/// # Safety
/// The places of all additions are within the summands and the output.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn add_checked(summands: &Summands<'_>, additions: &[Addition], out: &mut [Point], prefix: &mut Vec<Value>) {
    // Backwards first: in place, the forward pass writes over what it has read.
    prefix.clear();
    let mut product = broadcast(&Fq::ONE);
    let groups = || additions.as_chunks::<8>().0.iter();
    for (k, group) in groups().enumerate().rev() {
        if let Some(ahead) = k.checked_sub(AHEAD / 8).and_then(|k| additions.get(8 * k..8 * k + 8)) {
            prefetch(base(summands, out), ahead);
        }
        // SAFETY: the caller's places.
        let (denominator, _) = unsafe { denominators(summands, group, out) };
        prefix.push(product);
        product = reduced(mul(product, denominator));
    }
    let mut inverse = inverted(product);
    for (group, before) in groups().zip(prefix.iter().rev()) {
        // SAFETY: the caller's places.
        unsafe {
            let (denominator, special) = denominators(summands, group, out);
            let this = reduced(mul(*before, inverse));
            inverse = reduced(mul(inverse, denominator));
            let points = base(summands, out);
            let (ax, ay) = load(points, group.each_ref().map(|x| x.a));
            let (bx, by) = load(points, group.each_ref().map(|x| x.b));
            let mut dy = carry(difference(by, ay));
            if special != 0 {
                dy = with_tangents(summands, group, out, special, dy);
            }
            let slope = reduced(mul(dy, this));
            let mut x = reduce_columns::<BaseField>(mul(slope, slope));
            for j in 0..5 {
                let sum = _mm512_add_epi64(ax[j], bx[j]);
                x[j] = _mm512_sub_epi64(_mm512_add_epi64(x[j], splat(2 * P52[j])), sum);
            }
            let x = canonical3::<BaseField>(x);
            let run = carry(difference(ax, x).map_limbs(|v| _mm512_slli_epi64::<2>(v)));
            let y = reduce_columns::<BaseField>(mul(slope, run));
            let y = canonical3::<BaseField>(difference(y, ay));
            let known = known_sums(summands, group, out, special);
            store(out, group, x, y);
            for (addition, sum) in group.iter().zip(known) {
                if let Some(sum) = sum {
                    out[addition.to as usize] = sum;
                }
            }
        }
    }
}

/// Limb by limb.
trait Limbwise {
    fn map_limbs(self, f: impl Fn(__m512i) -> __m512i) -> Self;
}

impl Limbwise for Value {
    #[inline(always)]
    fn map_limbs(mut self, f: impl Fn(__m512i) -> __m512i) -> Self {
        for j in 0..5 {
            self[j] = f(self[j]);
        }
        self
    }
}

/// The first of the summands.
#[inline(always)]
fn base(summands: &Summands<'_>, out: &[Point]) -> *const Point {
    match summands {
        Summands::Apart(points) => points.as_ptr(),
        Summands::InPlace => out.as_ptr(),
    }
}

#[inline(always)]
fn broadcast(x: &Fq) -> Value {
    let l = crate::radix52::limbs52(x.0.0);
    [splat(l[0]), splat(l[1]), splat(l[2]), splat(l[3]), splat(l[4])]
}

#[inline(always)]
fn mul(a: Value, b: Value) -> Columns {
    mul_add([splat(0); 10], a, b)
}

#[inline(always)]
fn reduced(columns: Columns) -> Value {
    carry(reduce_columns::<BaseField>(columns))
}

/// `a - b + p`, with carries left in it.
#[inline(always)]
fn difference(a: Value, b: Value) -> Value {
    let mut out = a;
    for j in 0..5 {
        // SAFETY: see `add`.
        out[j] = unsafe { _mm512_sub_epi64(_mm512_add_epi64(a[j], splat(P52[j])), b[j]) };
    }
    out
}

#[inline(always)]
fn prefetch(points: *const Point, ahead: &[Addition]) {
    for addition in ahead {
        for place in [addition.a, addition.b] {
            let address = points.wrapping_add((place & !NEGATIVE) as usize);
            // SAFETY: a hint that faults nowhere.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast::<i8>()) };
        }
    }
}

/// The first coordinates at eight places, as words.
///
/// # Safety
/// The places are within the points.
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

/// Eight rows of eight words, or their columns.
#[inline(always)]
fn transposed(r: [__m512i; 8]) -> [__m512i; 8] {
    // SAFETY: see `add`.
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

/// Both coordinates at eight places.
///
/// # Safety
/// The places are within the points.
#[inline(always)]
unsafe fn load(points: *const Point, places: [Place; 8]) -> (Value, Value) {
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
        (x, y)
    }
}

/// Writes eight points.
///
/// # Safety
/// The places are within the output.
#[inline(always)]
unsafe fn store(out: &mut [Point], group: &[Addition; 8], x: Value, y: Value) {
    let ([x0, x1, x2, x3], [y0, y1, y2, y3]) = (to_words(x), to_words(y));
    let rows = transposed([x0, x1, x2, x3, y0, y1, y2, y3]);
    for k in 0..8 {
        // SAFETY: a point is eight words on its own line, and every coordinate is below `p`.
        unsafe { _mm512_store_si512(out.as_mut_ptr().add(group[k].to as usize).cast::<__m512i>(), rows[k]) };
    }
}

/// What the slopes are divided by, and the lanes of which more than the difference of first coordinates matters.
///
/// # Safety
/// The places are within the summands.
#[inline(always)]
unsafe fn denominators(summands: &Summands<'_>, group: &[Addition; 8], out: &[Point]) -> (Value, __mmask8) {
    let points = base(summands, out);
    // SAFETY: the caller's places.
    let (a, b) =
        unsafe { (load_x(points, group.each_ref().map(|x| x.a)), load_x(points, group.each_ref().map(|x| x.b))) };
    // SAFETY: see `add`.
    let special = unsafe {
        let any = |v: [__m512i; 4]| {
            let all = _mm512_or_si512(_mm512_or_si512(v[0], v[1]), _mm512_or_si512(v[2], v[3]));
            _mm512_testn_epi64_mask(all, all)
        };
        let mut differ = a;
        for j in 0..4 {
            differ[j] = _mm512_xor_si512(a[j], b[j]);
        }
        any(a) | any(b) | any(differ)
    };
    let dx = carry(difference(from_words(b), from_words(a)));
    if special == 0 {
        return (dx, 0);
    }
    // SAFETY: see `add`.
    (unsafe { with_denominators(summands, group, out, special, dx) }, special)
}

/// `dx` with the denominators of special lanes in their places.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn with_denominators(
    summands: &Summands<'_>,
    group: &[Addition; 8],
    out: &[Point],
    special: __mmask8,
    dx: Value,
) -> Value {
    replaced(dx, special, |k| Some(step(summands, &group[k], out).denominator()))
}

/// `dy` with the numerators of special lanes in their places.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn with_tangents(summands: &Summands<'_>, group: &[Addition; 8], out: &[Point], special: __mmask8, dy: Value) -> Value {
    replaced(dy, special, |k| match step(summands, &group[k], out) {
        Step::Line { tangent, .. } => tangent,
        Step::Known(_) => None,
    })
}

/// The sums of special lanes that need no division.
#[inline(always)]
fn known_sums(summands: &Summands<'_>, group: &[Addition; 8], out: &[Point], special: __mmask8) -> [Option<Point>; 8] {
    let mut known = [None; 8];
    if special != 0 {
        for (k, sum) in known.iter_mut().enumerate() {
            if special >> k & 1 == 1
                && let Step::Known(point) = step(summands, &group[k], out)
            {
                *sum = Some(point);
            }
        }
    }
    known
}

fn step(summands: &Summands<'_>, addition: &Addition, out: &[Point]) -> Step {
    Step::new(&at(summands, out, addition.a), &at(summands, out, addition.b))
}

/// Canonical stored forms in some lanes of a value.
fn replaced(value: Value, lanes: __mmask8, element: impl Fn(usize) -> Option<Fq>) -> Value {
    let mut limbs = value.map(words);
    for k in (0..8).filter(|k| lanes >> k & 1 == 1) {
        if let Some(element) = element(k) {
            let stored = crate::radix52::limbs52(element.0.0);
            for j in 0..5 {
                limbs[j][k] = stored[j];
            }
        }
    }
    limbs.map(|words| {
        // SAFETY: the array is one vector long.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast::<__m512i>()) }
    })
}

fn words(v: __m512i) -> [u64; 8] {
    let mut out = [0u64; 8];
    // SAFETY: the array is one vector long.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast::<__m512i>(), v) };
    out
}

/// A quarter of the inverse in each lane. Read in this file's way, the product of the denominators is `d = v / 2^260`;
/// read as a stored coordinate it is `f = 16 d`, and `d^-1 / 4` is stored as the coordinate `64 / f` is.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn inverted(product: Value) -> Value {
    let v = to_words(canonical::<BaseField>(product)).map(words);
    let mut lanes: [Fq; 8] = core::array::from_fn(|k| Fp::new_unchecked(BigInt([v[0][k], v[1][k], v[2][k], v[3][k]])));
    invert_all(&mut lanes);
    replaced(product, 0xff, |k| Some(lanes[k]))
}

/// `64 / x` for each of eight elements, none of which is zero.
fn invert_all(lanes: &mut [Fq; 8]) {
    let mut prefix = [Fq::ONE; 8];
    for k in 1..8 {
        prefix[k] = prefix[k - 1] * lanes[k - 1];
    }
    let mut inverse = (prefix[7] * lanes[7]).inverse().unwrap_or(Fq::ZERO);
    for _ in 0..6 {
        inverse.double_in_place();
    }
    for k in (0..8).rev() {
        let this = inverse * prefix[k];
        inverse *= lanes[k];
        lanes[k] = this;
    }
}
