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

/// `sum_(i < extent) eq(a, i) * eq(b, i)` for points of equal length with `extent <= 2^len`: the pairing of two eq tables
/// cut to the same extent, with four products a coordinate.
pub fn eq_pair<E: Ring>(a: &[E], b: &[E], extent: usize) -> E {
    let factors = a
        .iter()
        .zip(b)
        .map(|(a, b)| {
            let one = a.clone() * b.clone();
            [E::one() - a.clone() - b.clone() + one.clone(), one]
        })
        .collect::<Vec<_>>();
    prefix_sum(&factors, extent)
}

/// `sum_(i < extent) z^i eq(point, i)`, from `z^(2^k)` for each coordinate, the highest first, with `extent <= 2^len`.
pub fn power_pair<E: Ring>(powers: &[E], point: &[E], extent: usize) -> E {
    let factors =
        powers.iter().zip(point).map(|(z, r)| [E::one() - r.clone(), z.clone() * r.clone()]).collect::<Vec<_>>();
    prefix_sum(&factors, extent)
}

/// `sum_(i < extent) eq(point, i)`: the multilinear extension of the indicator of `i < extent`.
pub fn eq_below<E: Ring>(point: &[E], extent: usize) -> E {
    let factors = point.iter().map(|r| [E::one() - r.clone(), r.clone()]).collect::<Vec<_>>();
    prefix_sum(&factors, extent)
}

/// `sum_(i < extent) i * eq(point, i)`, for `extent <= 2^len`: the index, cut to the extent, as a multilinear polynomial.
pub fn index_below<E: Ring>(point: &[E], extent: usize) -> E {
    let bits = point.len();
    // whole[k]: the index as a polynomial in the coordinates from k on, over all of their settings.
    let mut whole = vec![E::zero()];
    for (k, r) in point.iter().rev().enumerate() {
        let last = whole.last().cloned().unwrap_or_else(E::zero);
        whole.push(last + r.clone() * E::pow2(k as i32));
    }
    whole.reverse();
    if extent.checked_shr(bits as u32).unwrap_or(0) >= 1 {
        return whole.swap_remove(0);
    }
    let (mut sum, mut prefix, mut start) = (E::zero(), E::one(), 0usize);
    for (k, r) in point.iter().enumerate() {
        let step = 1usize << (bits - 1 - k);
        if extent & step != 0 {
            // All indices that have a zero here and the extent's bits before.
            let mut index = whole[k + 1].clone();
            if start != 0 {
                index = index + E::from_i128(start as i128);
            }
            sum = sum + prefix.clone() * (E::one() - r.clone()) * index;
            prefix = prefix * r.clone();
            start += step;
        } else {
            prefix = prefix * (E::one() - r.clone());
        }
    }
    sum
}

/// `sum_(i < extent) prod_k factors[k][bit k of i]`, most significant bit first.
fn prefix_sum<E: Ring>(factors: &[[E; 2]], extent: usize) -> E {
    // total[k]: the sum over all settings of the bits from k on.
    let mut total = vec![E::one()];
    for [zero, one] in factors.iter().rev() {
        let both = zero.clone() + one.clone();
        let last = total.last().cloned().unwrap_or_else(E::one);
        total.push(both * last);
    }
    total.reverse();
    if extent.checked_shr(factors.len() as u32).unwrap_or(0) >= 1 {
        return total.swap_remove(0);
    }
    let mut sum = E::zero();
    let mut prefix = E::one();
    for (k, [zero, one]) in factors.iter().enumerate() {
        if (extent >> (factors.len() - 1 - k)) & 1 == 1 {
            sum = sum + prefix.clone() * zero.clone() * total[k + 1].clone();
            prefix = prefix * one.clone();
        } else {
            prefix = prefix * zero.clone();
        }
    }
    sum
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

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::Fr;

    #[test]
    fn closed_forms_agree_with_tables() {
        for bits in 0..6usize {
            let point = |seed: u64| (0..bits).map(|i| Fr::from(seed + 7 * i as u64)).collect::<Vec<_>>();
            let (a, b) = (point(3), point(11));
            for extent in 0..=1usize << bits {
                let (x, y) = (eq_table(&a), eq_table(&b));
                assert_eq!(eq_pair(&a, &b, extent), dot(&x[..extent], &y[..extent]), "{bits} {extent}");
                assert_eq!(eq_below(&a, extent), sum(&x[..extent]));
                let indices: Vec<Fr> = (0..extent as u64).map(Fr::from).collect();
                assert_eq!(index_below(&a, extent), dot(&x[..extent], &indices), "{bits} {extent}");
                let (z, mut squares, mut powers) = (Fr::from(5), vec![Fr::from(5)], vec![Fr::one()]);
                (1..bits).for_each(|k| squares.push(squares[k - 1] * squares[k - 1]));
                (1..extent).for_each(|i| powers.push(powers[i - 1] * z));
                squares.truncate(bits);
                squares.reverse();
                assert_eq!(power_pair(&squares, &a, extent), dot(&x[..extent], &powers), "{bits} {extent}");
            }
        }
    }
}
