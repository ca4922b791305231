//! Canonical bytes for BN254: one encoding for each value, and a reader that rejects every other one.
//!
//! Scalars and coordinates are 32 bytes big-endian and smaller than their modulus. Points are uncompressed, in the order
//! that the EVM precompiles of EIP-196 and EIP-197 read: G1 is `x || y`, G2 is `x_im || x_re || y_im || y_re`; all zero
//! bytes stand for the point at infinity, which no curve point collides with because both curve constants are non-zero.
//! G1 has cofactor 1, so a point on the curve is in the group; G2 points are also checked for the subgroup.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField};
use thiserror::Error;

/// Bytes of one field element.
pub const FIELD_BYTES: usize = 32;
/// Bytes of one G1 point.
pub const G1_BYTES: usize = 64;
/// Bytes of one G2 point.
pub const G2_BYTES: usize = 128;

/// Which field a non-canonical encoding was read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// BN254's scalar field F_r.
    Scalar,
    /// BN254's base field F_q.
    Base,
}

/// Which group a bad point was read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// E(F_q).
    G1,
    /// The order-r subgroup of the twist E'(F_q2).
    G2,
}

/// Why bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The input ended inside a value.
    #[error("input ends early: expected {expected} more bytes, got {got}")]
    Truncated {
        /// Bytes that the value still needs.
        expected: usize,
        /// Bytes that are left.
        got: usize,
    },
    /// Bytes remain after the last value.
    #[error("{got} unexpected bytes after the end")]
    Trailing {
        /// Bytes that are left.
        got: usize,
    },
    /// A field element at or above its modulus.
    #[error("{0:?} field element is not reduced")]
    NonCanonical(Field),
    /// Coordinates that do not satisfy the curve equation.
    #[error("point is not on {0:?}'s curve")]
    OffCurve(Group),
    /// A point of the curve outside of the prime-order subgroup.
    #[error("point is not in {0:?}'s prime-order subgroup")]
    OutsideSubgroup(Group),
    /// A length prefix above what the format allows.
    #[error("claimed length {got} is above the limit {limit}")]
    LengthLimit {
        /// The most that the format allows.
        limit: usize,
        /// What the input claims.
        got: u64,
    },
    /// A byte or tag that the format does not define.
    #[error("{field}: unexpected value {got}")]
    UnexpectedValue {
        /// The field's name.
        field: &'static str,
        /// What the input holds.
        got: u64,
    },
}

/// The 32 canonical bytes of a scalar.
pub fn fr_to_bytes(value: &Fr) -> [u8; FIELD_BYTES] {
    be_bytes(&value.into_bigint())
}

/// The 32 canonical bytes of a coordinate.
pub fn fq_to_bytes(value: &Fq) -> [u8; FIELD_BYTES] {
    be_bytes(&value.into_bigint())
}

/// A scalar from its canonical bytes.
///
/// # Errors
/// [`CodecError::NonCanonical`] when the integer is at least r.
pub fn fr_from_bytes(bytes: &[u8; FIELD_BYTES]) -> Result<Fr, CodecError> {
    Fr::from_bigint(from_be_bytes(bytes)).ok_or(CodecError::NonCanonical(Field::Scalar))
}

/// A coordinate from its canonical bytes.
///
/// # Errors
/// [`CodecError::NonCanonical`] when the integer is at least q.
pub fn fq_from_bytes(bytes: &[u8; FIELD_BYTES]) -> Result<Fq, CodecError> {
    Fq::from_bigint(from_be_bytes(bytes)).ok_or(CodecError::NonCanonical(Field::Base))
}

/// The 64 bytes `x || y` of a G1 point; infinity is all zero.
pub fn g1_to_bytes(point: &G1Affine) -> [u8; G1_BYTES] {
    let mut out = [0; G1_BYTES];
    if let Some((x, y)) = point.xy() {
        concat(&mut out, &[fq_to_bytes(&x), fq_to_bytes(&y)]);
    }
    out
}

/// The 128 bytes `x_im || x_re || y_im || y_re` of a G2 point; infinity is all zero.
pub fn g2_to_bytes(point: &G2Affine) -> [u8; G2_BYTES] {
    let mut out = [0; G2_BYTES];
    if let Some((x, y)) = point.xy() {
        let words = [x.c1, x.c0, y.c1, y.c0].map(|c| fq_to_bytes(&c));
        concat(&mut out, &words);
    }
    out
}

/// A G1 point from its canonical bytes.
///
/// # Errors
/// A coordinate that is not reduced, or a point off the curve.
pub fn g1_from_bytes(bytes: &[u8; G1_BYTES]) -> Result<G1Affine, CodecError> {
    let mut reader = Reader::new(bytes);
    reader.g1()
}

/// A G2 point from its canonical bytes.
///
/// # Errors
/// A coordinate that is not reduced, a point off the curve or outside of the subgroup.
pub fn g2_from_bytes(bytes: &[u8; G2_BYTES]) -> Result<G2Affine, CodecError> {
    let mut reader = Reader::new(bytes);
    reader.g2()
}

/// A cursor over untrusted bytes. It never panics, and it allocates only what the input is long enough to fill.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Requires that every byte was read.
    ///
    /// # Errors
    /// [`CodecError::Trailing`] with the number of bytes left.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            got => Err(CodecError::Trailing { got }),
        }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn slice(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or(CodecError::Truncated { expected: len, got: self.rest.len() })?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) =
            self.rest.split_first_chunk::<N>().ok_or(CodecError::Truncated { expected: N, got: self.rest.len() })?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// A big-endian 32-bit integer.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A big-endian 64-bit integer.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A flag: one byte that is 0 or 1.
    ///
    /// # Errors
    /// [`CodecError::Truncated`], or [`CodecError::UnexpectedValue`] for any other byte.
    pub fn flag(&mut self, field: &'static str) -> Result<bool, CodecError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            got => Err(CodecError::UnexpectedValue { field, got: got.into() }),
        }
    }

    /// A 32-bit element count whose elements take `element_bytes` each: at most `limit`, and not more than the bytes that
    /// are left can hold, so the caller may allocate for it.
    ///
    /// # Errors
    /// [`CodecError::LengthLimit`] or [`CodecError::Truncated`].
    pub fn count(&mut self, limit: usize, element_bytes: usize) -> Result<usize, CodecError> {
        let claimed = self.u32()?;
        let count = usize::try_from(claimed)
            .ok()
            .filter(|&count| count <= limit)
            .ok_or(CodecError::LengthLimit { limit, got: claimed.into() })?;
        self.expect_elements(count, element_bytes)?;
        Ok(count)
    }

    /// Requires that at least `count` elements of `element_bytes` each are left.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn expect_elements(&self, count: usize, element_bytes: usize) -> Result<(), CodecError> {
        let expected = count.saturating_mul(element_bytes);
        if expected > self.rest.len() {
            return Err(CodecError::Truncated { expected, got: self.rest.len() });
        }
        Ok(())
    }

    /// A scalar.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::NonCanonical`].
    pub fn fr(&mut self) -> Result<Fr, CodecError> {
        fr_from_bytes(&self.array()?)
    }

    /// A coordinate.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::NonCanonical`].
    pub fn fq(&mut self) -> Result<Fq, CodecError> {
        fq_from_bytes(&self.array()?)
    }

    /// `count` scalars.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::NonCanonical`].
    pub fn frs(&mut self, count: usize) -> Result<Vec<Fr>, CodecError> {
        self.expect_elements(count, FIELD_BYTES)?;
        (0..count).map(|_| self.fr()).collect()
    }

    /// A G1 point.
    ///
    /// # Errors
    /// [`CodecError::Truncated`], [`CodecError::NonCanonical`] or [`CodecError::OffCurve`].
    pub fn g1(&mut self) -> Result<G1Affine, CodecError> {
        let mut words = Reader::new(self.slice(G1_BYTES)?);
        let (x, y) = (words.fq()?, words.fq()?);
        if x == Fq::from(0u8) && y == Fq::from(0u8) {
            return Ok(G1Affine::identity());
        }
        let point = G1Affine::new_unchecked(x, y);
        if !point.is_on_curve() {
            return Err(CodecError::OffCurve(Group::G1));
        }
        Ok(point)
    }

    /// `count` G1 points.
    ///
    /// # Errors
    /// Those of [`Reader::g1`].
    pub fn g1s(&mut self, count: usize) -> Result<Vec<G1Affine>, CodecError> {
        self.expect_elements(count, G1_BYTES)?;
        (0..count).map(|_| self.g1()).collect()
    }

    /// A G2 point, checked for the subgroup.
    ///
    /// # Errors
    /// Those of [`Reader::g1`] and [`CodecError::OutsideSubgroup`].
    pub fn g2(&mut self) -> Result<G2Affine, CodecError> {
        let mut words = Reader::new(self.slice(G2_BYTES)?);
        let (x_im, x_re, y_im, y_re) = (words.fq()?, words.fq()?, words.fq()?, words.fq()?);
        let (x, y) = (Fq2::new(x_re, x_im), Fq2::new(y_re, y_im));
        if x == Fq2::from(0u8) && y == Fq2::from(0u8) {
            return Ok(G2Affine::identity());
        }
        let point = G2Affine::new_unchecked(x, y);
        if !point.is_on_curve() {
            return Err(CodecError::OffCurve(Group::G2));
        }
        if !point.is_in_correct_subgroup_assuming_on_curve() {
            return Err(CodecError::OutsideSubgroup(Group::G2));
        }
        Ok(point)
    }
}

fn be_bytes(integer: &BigInt<4>) -> [u8; FIELD_BYTES] {
    let [a, b, c, d] = integer.0.map(u64::to_be_bytes);
    let mut out = [0; FIELD_BYTES];
    concat(&mut out, &[d, c, b, a]);
    out
}

fn from_be_bytes(bytes: &[u8; FIELD_BYTES]) -> BigInt<4> {
    let mut limbs = [0; 4];
    let (words, _) = bytes.as_chunks::<8>();
    for (limb, word) in limbs.iter_mut().rev().zip(words) {
        *limb = u64::from_be_bytes(*word);
    }
    BigInt(limbs)
}

fn concat<const N: usize>(out: &mut [u8], words: &[[u8; N]]) {
    let (chunks, _) = out.as_chunks_mut::<N>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = *word;
    }
}

#[cfg(test)]
#[path = "curve_tests.rs"]
mod tests;
