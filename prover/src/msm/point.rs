//! Points where additions find them: one cache line each.

use ark_bn254::{Fq, G1Affine};
use ark_ff::{AdditiveGroup, Zero};

/// An affine point, or (0, 0), which is not on the curve, for infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Point {
    pub(super) x: Fq,
    pub(super) y: Fq,
}

// The vector kernels read a point as eight words.
const _: () = assert!(size_of::<Point>() == 64);

impl Point {
    /// The neutral element.
    pub(super) const INFINITY: Self = Self { x: Fq::ZERO, y: Fq::ZERO };

    /// Whether this is the neutral element.
    pub(super) fn is_infinity(&self) -> bool {
        self.x.is_zero() && self.y.is_zero()
    }

    /// The point with the other sign where `negative`.
    pub(super) fn signed(self, negative: bool) -> Self {
        if negative { Self { x: self.x, y: -self.y } } else { self }
    }
}

impl From<&G1Affine> for Point {
    fn from(point: &G1Affine) -> Self {
        // Infinity has these coordinates in arkworks as well.
        Self { x: point.x, y: point.y }
    }
}

impl From<Point> for G1Affine {
    fn from(point: Point) -> Self {
        if point.is_infinity() { Self::identity() } else { Self::new_unchecked(point.x, point.y) }
    }
}
