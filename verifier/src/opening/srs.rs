//! The part of the powers of tau that verification needs.

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;

use crate::curve::{CodecError, G1_BYTES, G2_BYTES, Reader, g1_to_bytes, g2_to_bytes};

/// What a verifier keeps of the powers of tau: the generators and `[tau]_2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierSrs {
    /// `[1]_1`, the standard generator (1, 2).
    pub g1: G1Affine,
    /// `[1]_2`, the standard generator of EIP-197.
    pub g2: G2Affine,
    /// `[tau]_2`.
    pub tau_g2: G2Affine,
    /// Whether tau is known to somebody: proofs under such powers prove nothing to anyone else.
    pub insecure_dev: bool,
    /// Identity of the powers of tau, equal for every pruning of one setup.
    pub srs_hash: [u8; 32],
}

impl VerifierSrs {
    /// Bytes of [`Self::to_bytes`].
    pub const BYTES: usize = G1_BYTES + 2 * G2_BYTES + 1 + 32;

    /// `g1 || g2 || tau_g2 || insecure flag || srs_hash`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(&g1_to_bytes(&self.g1));
        out.extend_from_slice(&g2_to_bytes(&self.g2));
        out.extend_from_slice(&g2_to_bytes(&self.tau_g2));
        out.push(u8::from(self.insecure_dev));
        out.extend_from_slice(&self.srs_hash);
        out
    }

    /// The inverse of [`Self::to_bytes`].
    ///
    /// # Errors
    /// Bytes that are not canonical, generators other than the standard ones, or tau = 0.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let srs = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(srs)
    }

    /// Reads [`Self::BYTES`] bytes.
    ///
    /// # Errors
    /// Those of [`Self::from_bytes`], except for trailing bytes.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (g1, g2, tau_g2) = (reader.g1()?, reader.g2()?, reader.g2()?);
        let unexpected = |field| CodecError::UnexpectedValue { field, got: 0 };
        if g1 != G1Affine::generator() {
            return Err(unexpected("G1 generator of the powers of tau"));
        }
        if g2 != G2Affine::generator() {
            return Err(unexpected("G2 generator of the powers of tau"));
        }
        if tau_g2.is_zero() {
            return Err(unexpected("tau of the powers of tau"));
        }
        Ok(Self {
            g1,
            g2,
            tau_g2,
            insecure_dev: reader.flag("insecure flag")?,
            srs_hash: reader.array()?,
        })
    }
}
