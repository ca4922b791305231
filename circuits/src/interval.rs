//! Integer intervals: the worst-case bounds that the range checks prove.

use crate::error::GraphError;
use serde::{Deserialize, Serialize};

/// A closed interval of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Smallest possible value.
    pub lo: i128,
    /// Largest possible value.
    pub hi: i128,
}

/// Every value in a graph stays below this bound, so that 64-bit witness arithmetic cannot overflow (and sums in the
/// 254-bit field cannot wrap). Half the `i64` range leaves room for one rounding constant.
pub const MAX_MAGNITUDE: i128 = 1 << 61;

impl Interval {
    /// `[lo, hi]`, in either order.
    pub fn new(a: i128, b: i128) -> Self {
        Self { lo: a.min(b), hi: a.max(b) }
    }

    /// The smallest interval that holds both.
    pub fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Whether `other` lies inside.
    pub fn contains(self, other: Self) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// Sum of two values.
    pub fn plus(self, other: Self) -> Result<Self, GraphError> {
        Self { lo: self.lo.saturating_add(other.lo), hi: self.hi.saturating_add(other.hi) }.checked()
    }

    /// Product with a constant.
    pub fn scale(self, c: i128) -> Result<Self, GraphError> {
        Self::new(self.lo.saturating_mul(c), self.hi.saturating_mul(c)).checked()
    }

    /// Product of two values.
    pub fn times(self, other: Self) -> Result<Self, GraphError> {
        let c = [
            self.lo.saturating_mul(other.lo),
            self.lo.saturating_mul(other.hi),
            self.hi.saturating_mul(other.lo),
            self.hi.saturating_mul(other.hi),
        ];
        Self { lo: c.into_iter().min().unwrap_or(0), hi: c.into_iter().max().unwrap_or(0) }.checked()
    }

    /// `floor((x + 2^(shift-1)) / 2^shift)`: rounding division by a power of two.
    pub fn round_shift(self, shift: u32) -> Self {
        let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
        Self { lo: (self.lo + half) >> shift, hi: (self.hi + half) >> shift }
    }

    /// Rejects an interval that leaves [`MAX_MAGNITUDE`].
    pub fn checked(self) -> Result<Self, GraphError> {
        if self.lo < -MAX_MAGNITUDE || self.hi > MAX_MAGNITUDE {
            return Err(GraphError::Overflow { lo: self.lo, hi: self.hi, limit: MAX_MAGNITUDE });
        }
        Ok(self)
    }
}
