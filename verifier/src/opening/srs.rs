//! The part of the powers of tau that verification needs.

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;

mod development;

pub use development::{DEVELOPMENT_SEEDS, is_development};

use crate::{
    curve::{CodecError, G1_BYTES, G2_BYTES, Reader, g1_to_bytes, g2_to_bytes},
    keccak::keccak256,
};

/// Domain of [`VerifierSrs::identity`].
const IDENTITY_DOMAIN: &[u8] = b"assay/srs/v1";

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

    /// The identity of a setup: `keccak(keccak(domain) || [1]_1 || [1]_2 || [tau]_2 || insecure flag)`.
    pub fn identity(g2: &G2Affine, tau_g2: &G2Affine, insecure_dev: bool) -> [u8; 32] {
        keccak256(&[
            &keccak256(&[IDENTITY_DOMAIN]),
            &g1_to_bytes(&G1Affine::generator()),
            &g2_to_bytes(g2),
            &g2_to_bytes(tau_g2),
            &[u8::from(insecure_dev)],
        ])
    }

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
    /// Bytes that are not canonical, generators other than the standard ones, tau = 0, the tau of development powers that are
    /// not marked as such, or the identity of another setup: a key must not wear the name of a ceremony whose tau it does not use.
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
        let insecure_dev = reader.flag("insecure flag")?;
        let srs_hash = reader.array()?;
        if srs_hash != Self::identity(&g2, &tau_g2, insecure_dev) {
            return Err(unexpected("identity of the powers of tau"));
        }
        if !insecure_dev && is_development(&tau_g2) {
            return Err(unexpected("unmarked development powers of tau"));
        }
        Ok(Self { g1, g2, tau_g2, insecure_dev, srs_hash })
    }
}
