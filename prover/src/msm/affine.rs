//! Affine additions that share an inversion (Montgomery's trick): the block, and its kernel for one addition at a time.

use ark_bn254::Fq;
use ark_ff::{AdditiveGroup, Field};

use super::point::Point;
#[cfg(target_arch = "x86_64")]
use super::{avx2, ifma};
use crate::vector::Vector;

/// A place among points; [`NEGATIVE`] in it takes the opposite of the point.
pub(super) type Place = u32;

/// The bit of a [`Place`] that is no part of the index.
pub(super) const NEGATIVE: Place = 1 << 31;

/// One addition: `to = a + b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) a: Place,
    pub(super) b: Place,
    /// Index in the output.
    pub(super) to: u32,
}

/// Additions that share an inversion: an inversion costs about as much as a hundred of them in vectors, and the points
/// of a block are read twice, so they should stay in the second-level cache in between.
const BLOCK: usize = 2048;

/// Additions ahead of their use that points are fetched.
const AHEAD: usize = 8;

/// Independent product chains: one chain would wait for each multiplication's latency.
const LANES: usize = 4;

/// Memory of a block.
#[derive(Default)]
pub(super) struct Scratch {
    prefix: Vec<Fq>,
    #[cfg(target_arch = "x86_64")]
    avx512: ifma::Scratch,
    #[cfg(target_arch = "x86_64")]
    avx2: avx2::Scratch,
}

/// Where the summands are.
pub(super) enum Summands<'a> {
    /// In a slice of their own.
    Apart(&'a [Point]),
    /// In the output itself. No addition's output is a summand of a later one.
    InPlace,
}

/// Carries out all additions.
pub(super) fn add(
    vector: Option<Vector>,
    summands: &Summands<'_>,
    additions: &[Addition],
    out: &mut [Point],
    scratch: &mut Scratch,
) {
    for block in additions.chunks(BLOCK) {
        #[cfg(target_arch = "x86_64")]
        let tail = match vector {
            Some(vector) => {
                let (whole, tail) = block.split_at(block.len() / 8 * 8);
                match vector {
                    Vector::Avx512(available) => ifma::add(available, summands, whole, out, &mut scratch.avx512),
                    Vector::Avx2(available) => avx2::add(available, summands, whole, out, &mut scratch.avx2),
                }
                tail
            }
            None => block,
        };
        #[cfg(not(target_arch = "x86_64"))]
        let tail = {
            let _ = vector;
            block
        };
        add_block(summands, tail, out, &mut scratch.prefix);
    }
}

/// The point at a place.
pub(super) fn at(summands: &Summands<'_>, out: &[Point], place: Place) -> Point {
    let index = (place & !NEGATIVE) as usize;
    let point = match summands {
        Summands::Apart(points) => points[index],
        Summands::InPlace => out[index],
    };
    point.signed(place & NEGATIVE != 0)
}

/// One addition at a time. Backwards first: in place, the forward pass writes over what it has read.
fn add_block(summands: &Summands<'_>, additions: &[Addition], out: &mut [Point], prefix: &mut Vec<Fq>) {
    if additions.is_empty() {
        return;
    }
    prefix.clear();
    let mut products = [Fq::ONE; LANES];
    for (k, addition) in additions.iter().enumerate().rev() {
        if let Some(ahead) = k.checked_sub(AHEAD).map(|k| &additions[k]) {
            fetch(summands, out, ahead);
        }
        let product = &mut products[prefix.len() % LANES];
        prefix.push(*product);
        let (a, b) = (at(summands, out, addition.a), at(summands, out, addition.b));
        *product *= if is_special(&a, &b) { Step::new(&a, &b).denominator() } else { b.x - a.x };
    }
    ark_ff::batch_inversion(&mut products);
    for (addition, (lane, before)) in additions.iter().zip(prefix.iter().enumerate().rev()) {
        let (a, b) = (at(summands, out, addition.a), at(summands, out, addition.b));
        let inverse = &mut products[lane % LANES];
        let this = *before * *inverse;
        out[addition.to as usize] = if is_special(&a, &b) {
            let step = Step::new(&a, &b);
            *inverse *= step.denominator();
            step.finish(&a, &b, this)
        } else {
            *inverse *= b.x - a.x;
            along(&a, &b, (b.y - a.y) * this)
        };
    }
}

/// Asks for points that are needed soon.
#[inline(always)]
fn fetch(summands: &Summands<'_>, out: &[Point], addition: &Addition) {
    let points = match summands {
        Summands::Apart(points) => points,
        Summands::InPlace => out,
    };
    for place in [addition.a, addition.b] {
        if let Some(point) = points.get((place & !NEGATIVE) as usize) {
            prefetch(point);
        }
    }
}

#[allow(unsafe_code)]
#[inline(always)]
fn prefetch(point: &Point) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; part of the architecture's base instructions.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(point).cast::<i8>());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = point;
}

/// Whether the chord through both points may not give their sum.
#[inline(always)]
fn is_special(a: &Point, b: &Point) -> bool {
    a.x == b.x || a.x == Fq::ZERO || b.x == Fq::ZERO
}

/// The third point of a line, with the other sign.
#[inline(always)]
fn along(a: &Point, b: &Point, slope: Fq) -> Point {
    let x = slope.square() - a.x - b.x;
    Point { x, y: slope * (a.x - x) - a.y }
}

/// How two points are added where more matters than the difference of their first coordinates.
pub(super) enum Step {
    /// Along the line through both, or the tangent: the slope is a quotient.
    Line {
        /// Never zero, so that no addition spoils the shared product.
        denominator: Fq,
        /// `None` for a chord's, which is the difference of the second coordinates.
        tangent: Option<Fq>,
    },
    /// The sum is known without division.
    Known(Point),
}

impl Step {
    /// Of any two points.
    #[cold]
    pub(super) fn new(a: &Point, b: &Point) -> Self {
        if a.is_infinity() {
            Self::Known(*b)
        } else if b.is_infinity() {
            Self::Known(*a)
        } else if a.x != b.x {
            Self::Line { denominator: b.x - a.x, tangent: None }
        } else if a.y == b.y {
            // The group has odd order, so y is not zero.
            let square = a.x.square();
            Self::Line { denominator: a.y.double(), tangent: Some(square.double() + square) }
        } else {
            Self::Known(Point::INFINITY)
        }
    }

    /// What a tangent's slope is the quotient of.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn tangent(&self) -> Option<Fq> {
        match self {
            Self::Line { tangent, .. } => *tangent,
            Self::Known(_) => None,
        }
    }

    /// What the slope is divided by, or one.
    pub(super) fn denominator(&self) -> Fq {
        match self {
            Self::Line { denominator, .. } => *denominator,
            Self::Known(_) => Fq::ONE,
        }
    }

    /// The sum, given the inverse of the denominator.
    fn finish(&self, a: &Point, b: &Point, inverse: Fq) -> Point {
        match self {
            Self::Known(sum) => *sum,
            Self::Line { tangent, .. } => along(a, b, tangent.unwrap_or(b.y - a.y) * inverse),
        }
    }
}
