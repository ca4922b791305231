//! The only arithmetic that the protocol may use on field elements.

use core::ops::{Add, Mul, Sub};

/// A commutative ring that contains the integers and the inverses of powers of two.
///
/// The verifier is written against this trait alone: no equality, no ordering, no bytes. A data-dependent branch on a
/// ring element therefore does not compile, which is what lets the same code run natively and inside a circuit
/// (docs/protocol.md#channel).
pub trait Ring: Clone + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + core::fmt::Debug {
    /// The ring image of an integer.
    fn from_i128(value: i128) -> Self;

    /// `2^exponent`, for a negative exponent the inverse of the power of two.
    fn pow2(exponent: i32) -> Self;

    /// Additive identity.
    fn zero() -> Self {
        Self::from_i128(0)
    }

    /// Multiplicative identity.
    fn one() -> Self {
        Self::from_i128(1)
    }
}

impl<F: ark_ff::PrimeField> Ring for F {
    fn from_i128(value: i128) -> Self {
        let magnitude = Self::from(value.unsigned_abs());
        if value < 0 { -magnitude } else { magnitude }
    }

    fn pow2(exponent: i32) -> Self {
        let base = if exponent < 0 {
            // (r + 1) / 2 is the inverse of two.
            Self::from_bigint(Self::MODULUS_MINUS_ONE_DIV_TWO).unwrap_or_else(<Self as ark_ff::One>::one)
                + <Self as ark_ff::One>::one()
        } else {
            Self::from(2u64)
        };
        base.pow([u64::from(exponent.unsigned_abs())])
    }
}

/// `[eq(point, b)]` for `b` in `0..2^n`; `point[0]` is the most significant bit of `b`.
pub fn eq_table<E: Ring>(point: &[E]) -> Vec<E> {
    let mut table = vec![E::one()];
    for r in point {
        let mut next = Vec::with_capacity(table.len() * 2);
        for t in &table {
            let hi = t.clone() * r.clone();
            next.push(t.clone() - hi.clone());
            next.push(hi);
        }
        table = next;
    }
    table
}

/// `eq(point, index)` for one index, most significant bit first; `index` must be below `2^point.len()`.
pub fn eq_at<E: Ring>(point: &[E], index: usize) -> E {
    let bits = point.len();
    let mut acc = E::one();
    for (k, r) in point.iter().enumerate() {
        let bit = (index >> (bits - 1 - k)) & 1;
        let factor = if bit == 1 { r.clone() } else { E::one() - r.clone() };
        acc = acc * factor;
    }
    acc
}

/// `sum_i a[i] * b[i]` over the shorter of the two.
pub fn dot<E: Ring>(a: &[E], b: &[E]) -> E {
    let mut acc = E::zero();
    for (x, y) in a.iter().zip(b) {
        acc = acc + x.clone() * y.clone();
    }
    acc
}

/// Sum of all entries.
pub fn sum<E: Ring>(a: &[E]) -> E {
    let mut acc = E::zero();
    for x in a {
        acc = acc + x.clone();
    }
    acc
}

/// Number of bits of an index below `len`: `ceil(log2(len))`, zero for `len <= 1`.
pub fn index_bits(len: usize) -> usize {
    len.max(1).next_power_of_two().trailing_zeros() as usize
}
