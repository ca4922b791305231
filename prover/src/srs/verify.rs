//! Checks that points are what they are said to be: powers of one tau.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, pairing::Pairing};
use ark_ff::{Field, Zero};
use assay_verifier::opening::{VerifierSrs, is_development};
use assay_verifier::{
    curve::{CodecError, Group, g1_to_bytes},
    keccak::{Keccak, digest_to_fr},
};
use rayon::prelude::*;

use super::{Srs, SrsError, UNMARKED};
use crate::msm::msm;

/// Small numbers that are tried as tau, with both signs.
const SMALL: usize = 1 << 10;

impl Srs {
    /// Checks everything that powers of tau must satisfy: standard generators, every point in its group, a tau that nobody
    /// can look up, the identity hash, and `[tau^(i+1)]_1 = tau [tau^i]_1` for all i at once:
    /// `e(sum_i rho^i P_(i+1), [1]_2) = e(sum_i rho^i P_i, [tau]_2)`, where rho is a hash of all points. A false one passes
    /// for less than 2^29 of the r values of rho.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(&self) -> Result<(), SrsError> {
        if self.g2 != G2Affine::generator() {
            return Err(SrsError::Generator("G2"));
        }
        if self.g1_powers.first() != Some(&G1Affine::generator()) {
            return Err(SrsError::Generator("G1"));
        }
        if self.g1_powers.len() < 2 {
            return Err(SrsError::Degenerate("there is no second power"));
        }
        check_g2(&self.tau_g2)?;
        if self.tau_g2.is_zero() || self.tau_g2 == self.g2 {
            return Err(SrsError::Degenerate("tau is 0 or 1"));
        }
        let off_curve = self.g1_powers.par_iter().position_first(|point| !point.is_on_curve());
        if let Some(index) = off_curve {
            return Err(point_error("tau G1", index, CodecError::OffCurve(Group::G1)));
        }
        if self.hash != VerifierSrs::identity(&self.g2, &self.tau_g2, self.insecure_dev) {
            return Err(SrsError::Identity);
        }
        self.check_consecutive()?;
        self.check_unknown()
    }

    /// Refuses a tau that anybody finds by trying: small numbers, elements of small order (-1 is of order two), the taus of
    /// development powers that are not marked as such.
    fn check_unknown(&self) -> Result<(), SrsError> {
        let generator = G1Affine::generator();
        // tau^i = 1 or -1.
        if self.g1_powers.par_iter().skip(1).any(|p| p.x == generator.x) {
            return Err(SrsError::Degenerate("tau is of small order"));
        }
        let multiples: Vec<G1Projective> =
            core::iter::successors(Some(generator.into_group()), |p| Some(*p + generator)).take(SMALL).collect();
        let multiples = G1Projective::normalize_batch(&multiples);
        if self.g1_powers.get(1).is_some_and(|tau| multiples.iter().any(|m| m.x == tau.x)) {
            return Err(SrsError::Degenerate("tau is a small number"));
        }
        if !self.insecure_dev && is_development(&self.tau_g2) {
            return Err(SrsError::Degenerate(UNMARKED));
        }
        Ok(())
    }

    fn check_consecutive(&self) -> Result<(), SrsError> {
        let mut hasher = Keccak::default();
        hasher.update(&self.hash);
        self.g1_powers.iter().for_each(|point| hasher.update(&g1_to_bytes(point)));
        let rho = digest_to_fr(&hasher.finish());
        let pairs = self.g1_powers.len() - 1;
        let scalars: Vec<Fr> = core::iter::successors(Some(Fr::ONE), |power| Some(*power * rho)).take(pairs).collect();
        let lower = msm(&self.g1_powers[..pairs], &scalars).into_affine();
        let upper = msm(&self.g1_powers[1..], &scalars);
        let product = Bn254::multi_pairing([(-upper).into_affine(), lower], [self.g2, self.tau_g2]);
        if product.is_zero() { Ok(()) } else { Err(SrsError::NotConsecutive) }
    }
}

fn check_g2(point: &G2Affine) -> Result<(), SrsError> {
    let error = |source| Err(point_error("tau G2", 1, source));
    if !point.is_on_curve() {
        return error(CodecError::OffCurve(Group::G2));
    }
    if !point.is_in_correct_subgroup_assuming_on_curve() {
        return error(CodecError::OutsideSubgroup(Group::G2));
    }
    Ok(())
}

pub(super) fn point_error(what: &'static str, index: usize, source: CodecError) -> SrsError {
    SrsError::Point { what, index, source }
}
