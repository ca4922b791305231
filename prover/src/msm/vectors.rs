//! Eight affine additions at once, written once for any [`Coordinates`].

#![allow(unsafe_code)]

use ark_bn254::Fq;
use ark_ff::{BigInt, Field, Fp};

use super::affine::{Addition, NEGATIVE, Place, Step, Summands, at};
use super::point::Point;

/// Points ahead of their use that are fetched, in groups.
const AHEAD: usize = 2;

/// Arithmetic on eight coordinates at once.
///
/// Coordinates are stored as `x 2^256 mod p`, and an implementation reads stored forms as multiples of another power of two:
/// its products are divided by that. Values are loose where it is not said otherwise.
///
/// Methods are inlined into code that is compiled for the instructions ([`compile`]), hence no closures around them.
pub(super) trait Coordinates {
    /// Eight coordinates.
    type Value: Copy;
    /// Eight canonical coordinates as they are stored.
    type Words: Copy;

    /// The same stored form in all lanes.
    fn broadcast(x: &Fq) -> Self::Value;
    /// `a b`; factors are differences, products and broadcast values.
    fn product(a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a - b`, of canonical values.
    fn difference(a: Self::Value, b: Self::Value) -> Self::Value;
    /// The third point of a line, with the other sign, canonical: from its slope, as a product of a quotient, and the points' `x` and
    /// the first one's `y`.
    fn third(slope: Self::Value, x: [Self::Value; 2], y: Self::Value) -> [Self::Value; 2];
    /// What the inverse of a product's stored form is multiplied by to get the stored form of what [`Coordinates::third`]
    /// takes for the inverse.
    fn inverse_scale() -> Fq;

    /// The first coordinates at eight places.
    ///
    /// # Safety
    /// The places are within the points.
    unsafe fn load_x(points: *const Point, places: [Place; 8]) -> Self::Words;
    /// Both coordinates at eight places, with the places' signs.
    ///
    /// # Safety
    /// The places are within the points.
    unsafe fn load(points: *const Point, places: [Place; 8]) -> [Self::Value; 2];
    /// Writes eight points with canonical coordinates.
    ///
    /// # Safety
    /// The places are within the output.
    unsafe fn store(out: *mut Point, places: [u32; 8], x: Self::Value, y: Self::Value);
    /// Values of stored forms.
    fn from_words(words: Self::Words) -> Self::Value;
    /// The lanes in which `a` or `b` is zero, or both are the same.
    fn special(a: Self::Words, b: Self::Words) -> u8;
    /// The residues' stored forms.
    fn residues(value: Self::Value) -> [[u64; 4]; 8];
    /// Puts stored forms into those lanes in which there is one.
    fn replaced(value: Self::Value, with: &[Option<Fq>; 8]) -> Self::Value;
}

/// Checks all places before any memory is touched by address, and that the additions are whole groups.
pub(super) fn check_places(summands: &Summands<'_>, additions: &[Addition], out: &[Point]) {
    assert!(additions.len().is_multiple_of(8), "whole vectors");
    let len = match summands {
        Summands::Apart(points) => points.len(),
        Summands::InPlace => out.len(),
    };
    let top = additions.iter().fold(0, |top, x| top.max(x.a & !NEGATIVE).max(x.b & !NEGATIVE));
    let top_out = additions.iter().fold(0, |top, x| top.max(x.to));
    let inside = (top as usize) < len && (top_out as usize) < out.len();
    assert!(additions.is_empty() || inside, "an addition outside of its {len} points");
}

/// Carries out the additions with one inversion; see [`super::affine::add`].
///
/// # Safety
/// The places of all additions are within the summands and the output ([`check_places`]).
#[inline(always)]
pub(super) unsafe fn add<V: Coordinates>(
    summands: &Summands<'_>,
    additions: &[Addition],
    out: &mut [Point],
    prefix: &mut Vec<V::Value>,
) {
    // Backwards first: in place, the forward pass writes over what it has read.
    prefix.clear();
    let mut product = V::broadcast(&Fq::ONE);
    let groups = additions.as_chunks::<8>().0;
    for k in (0..groups.len()).rev() {
        if let Some(ahead) = k.checked_sub(AHEAD) {
            prefetch(base(summands, out), &groups[ahead]);
        }
        // SAFETY: the caller's places.
        let (denominator, _) = unsafe { denominators::<V>(summands, &groups[k], out) };
        prefix.push(product);
        product = V::product(product, denominator);
    }
    let mut inverse = inverted::<V>(product);
    for (group, before) in groups.iter().zip(prefix.iter().rev()) {
        // SAFETY: the caller's places.
        unsafe {
            let (denominator, special) = denominators::<V>(summands, group, out);
            let this = V::product(*before, inverse);
            inverse = V::product(inverse, denominator);
            let points = base(summands, out);
            let [ax, ay] = V::load(points, group.each_ref().map(|x| x.a));
            let [bx, by] = V::load(points, group.each_ref().map(|x| x.b));
            let mut dy = V::difference(by, ay);
            if special != 0 {
                dy = with_steps::<V>(summands, group, out, special, dy, |step| step.tangent());
            }
            let [x, y] = V::third(V::product(dy, this), [ax, bx], ay);
            let known = known_sums(summands, group, out, special);
            V::store(out.as_mut_ptr(), group.each_ref().map(|x| x.to), x, y);
            for (addition, sum) in group.iter().zip(known) {
                if let Some(sum) = sum {
                    out[addition.to as usize] = sum;
                }
            }
        }
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
fn prefetch(points: *const Point, ahead: &[Addition; 8]) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for addition in ahead {
        for place in [addition.a, addition.b] {
            let address = points.wrapping_add((place & !NEGATIVE) as usize);
            // SAFETY: a hint that faults nowhere.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast::<i8>()) };
        }
    }
}

/// What the slopes are divided by, and the lanes of which more than the difference of first coordinates matters.
///
/// # Safety
/// The places are within the summands.
#[inline(always)]
unsafe fn denominators<V: Coordinates>(
    summands: &Summands<'_>,
    group: &[Addition; 8],
    out: &[Point],
) -> (V::Value, u8) {
    let points = base(summands, out);
    // SAFETY: the caller's places.
    let (a, b) =
        unsafe { (V::load_x(points, group.each_ref().map(|x| x.a)), V::load_x(points, group.each_ref().map(|x| x.b))) };
    let special = V::special(a, b);
    let dx = V::difference(V::from_words(b), V::from_words(a));
    if special == 0 {
        return (dx, 0);
    }
    (with_steps::<V>(summands, group, out, special, dx, |step| Some(step.denominator())), special)
}

/// A value with what `pick` takes of the special lanes' steps in their places.
#[cold]
#[inline(never)]
fn with_steps<V: Coordinates>(
    summands: &Summands<'_>,
    group: &[Addition; 8],
    out: &[Point],
    special: u8,
    value: V::Value,
    pick: fn(Step) -> Option<Fq>,
) -> V::Value {
    let of = |k: usize| if special >> k & 1 == 1 { pick(step(summands, &group[k], out)) } else { None };
    V::replaced(value, &core::array::from_fn(of))
}

/// The sums of special lanes that need no division.
#[inline(always)]
fn known_sums(summands: &Summands<'_>, group: &[Addition; 8], out: &[Point], special: u8) -> [Option<Point>; 8] {
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

/// The inverse in each lane.
#[inline(never)]
fn inverted<V: Coordinates>(product: V::Value) -> V::Value {
    let mut lanes = V::residues(product).map(|words| Fp::new_unchecked(BigInt(words)));
    ark_ff::batch_inversion_and_mul(&mut lanes, &V::inverse_scale());
    V::replaced(product, &lanes.map(Some))
}

/// Compiles [`add`] for instructions: `pub(super) fn add` and its `Scratch`.
macro_rules! compile {
    ($vectors:ty, $available:ty, $features:literal) => {
        /// Products before each group of eight.
        #[derive(Default)]
        pub(super) struct Scratch {
            prefix: Vec<<$vectors as Coordinates>::Value>,
        }

        /// Carries out the additions, a multiple of 8, with one inversion; see [`super::affine::add`].
        pub(super) fn add(
            _: $available,
            summands: &Summands<'_>,
            additions: &[Addition],
            out: &mut [Point],
            scratch: &mut Scratch,
        ) {
            #[target_feature(enable = $features)]
            unsafe fn compiled(
                summands: &Summands<'_>,
                additions: &[Addition],
                out: &mut [Point],
                prefix: &mut Vec<<$vectors as Coordinates>::Value>,
            ) {
                // SAFETY: the places were checked.
                unsafe { vectors::add::<$vectors>(summands, additions, out, prefix) }
            }
            vectors::check_places(summands, additions, out);
            if !additions.is_empty() {
                // SAFETY: an `Available` exists only where the instructions were detected; all places were checked.
                unsafe { compiled(summands, additions, out, &mut scratch.prefix) }
            }
        }
    };
}
pub(super) use compile;
