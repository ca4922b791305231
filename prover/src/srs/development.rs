//! Powers of a tau that everybody can compute.

use ark_bn254::{Fr, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, ScalarMul};
use ark_ff::Field;
use assay_verifier::keccak::{digest_to_fr, keccak256};

use super::{MAX_POWER, Srs, SrsError, check_power};

const TAU_DOMAIN: &[u8] = b"assay/insecure development tau/v1";

/// The seed of the development powers that the command line uses. Their tau is public.
pub const DEVELOPMENT_SEED: u64 = 1;

/// The tau of a seed.
pub(super) fn development_tau(seed: u64) -> Fr {
    digest_to_fr(&keccak256(&[TAU_DOMAIN, &seed.to_be_bytes()]))
}

impl Srs {
    /// The first `2^max_power` powers of a tau that is a hash of `seed`: INSECURE, and marked so. The same seed gives the
    /// same setup at every size.
    ///
    /// # Errors
    /// [`SrsError::Power`] above [`MAX_POWER`].
    pub fn development(max_power: u32, seed: u64) -> Result<Self, SrsError> {
        check_power(max_power, MAX_POWER)?;
        let tau = development_tau(seed);
        let powers: Vec<Fr> =
            core::iter::successors(Some(Fr::ONE), |power| Some(*power * tau)).take(1 << max_power).collect();
        // Fixed base: a table of the generator's multiples for each window of the exponents.
        let g1_powers = G1Projective::generator().batch_mul(&powers);
        let g2 = G2Affine::generator();
        Ok(Self::new(g1_powers, g2, (g2 * tau).into_affine(), true))
    }
}
