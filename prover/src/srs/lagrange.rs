//! Powers of tau in the Lagrange basis of a domain, which Halo2 commits with.

use super::{DEVELOPMENT_SEED, Srs, development_tau};
use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, ScalarMul};
use ark_ff::{Field, batch_inversion};
use assay_verifier::settle::descriptor::{MAX_BITS, ROOT_OF_UNITY};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was computed of Lagrange bases, shared by all copies of the powers.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<Vec<Basis>>>);

/// A Lagrange basis, and the first power, which determines it.
struct Basis {
    k: u32,
    tau: G1Affine,
    points: Arc<Vec<G1Affine>>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Vec<Basis>> {
        // An entry is pushed whole or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl core::fmt::Debug for Known {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.lock().iter().map(|basis| basis.k)).finish()
    }
}

/// What is computed from powers is no part of what they are.
impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Known {}

impl Srs {
    /// `[L_i(tau)]_1` for the domain of the `2^k` roots of unity that Halo2 uses; `2^k` must not exceed the number of
    /// powers. Computed once for a set of powers and all its copies.
    ///
    /// A transform of points costs about `k 2^(k-1)` multiplications; for the default development powers tau is known, and
    /// each point is one multiplication of the generator.
    pub fn lagrange(&self, k: u32) -> Arc<Vec<G1Affine>> {
        let tau = self.g1_powers.get(1).copied().unwrap_or_default();
        let found = |basis: &&Basis| (basis.k, basis.tau) == (k, tau);
        if let Some(basis) = self.known.lock().iter().find(found) {
            return Arc::clone(&basis.points);
        }
        let points = Arc::new(self.make_lagrange(k));
        self.known.lock().push(Basis { k, tau, points: Arc::clone(&points) });
        points
    }

    /// Takes a basis that was computed before for these powers, so that [`Self::lagrange`] gives it. It is not checked: a
    /// wrong one gives keys and proofs that do not verify.
    ///
    /// # Errors
    /// The points, when there are not `2^k` of them.
    pub fn keep_lagrange(&self, k: u32, points: Vec<G1Affine>) -> Result<(), Vec<G1Affine>> {
        if Some(points.len()) != 1usize.checked_shl(k) {
            return Err(points);
        }
        let tau = self.g1_powers.get(1).copied().unwrap_or_default();
        self.known.lock().push(Basis { k, tau, points: Arc::new(points) });
        Ok(())
    }

    /// See [`Self::lagrange`].
    fn make_lagrange(&self, k: u32) -> Vec<G1Affine> {
        let omega = (k as usize..MAX_BITS).fold(ROOT_OF_UNITY, |w, _| w.square());
        if self.insecure_dev {
            let tau = development_tau(DEVELOPMENT_SEED);
            if (G2Affine::generator() * tau).into_affine() == self.tau_g2 {
                return known(tau, omega, k);
            }
        }
        transform(&self.g1_powers[..1 << k], omega, k)
    }
}

/// `L_i(tau) = omega^i (tau^n - 1) / (n (tau - omega^i))`.
fn known(tau: Fr, omega: Fr, k: u32) -> Vec<G1Affine> {
    let n = 1usize << k;
    let roots: Vec<Fr> = core::iter::successors(Some(Fr::ONE), |w| Some(*w * omega)).take(n).collect();
    let size = Fr::from(n as u64);
    let mut scalars: Vec<Fr> = roots.iter().map(|w| size * (tau - w)).collect();
    batch_inversion(&mut scalars);
    let vanishing = tau.pow([n as u64]) - Fr::ONE;
    scalars.iter_mut().zip(&roots).for_each(|(s, w)| *s *= vanishing * w);
    G1Projective::generator().batch_mul(&scalars)
}

/// The inverse Fourier transform of the powers.
fn transform(powers: &[G1Affine], omega: Fr, k: u32) -> Vec<G1Affine> {
    let n = 1usize << k;
    let inverse = omega.inverse().unwrap_or(Fr::ONE);
    let twiddles: Vec<Fr> = core::iter::successors(Some(Fr::ONE), |w| Some(*w * inverse)).take(n / 2).collect();
    let mut points: Vec<G1Projective> = powers.iter().map(|p| p.into_group()).collect();
    for i in 0..n {
        let j = i.reverse_bits() >> (usize::BITS - k);
        if i < j {
            points.swap(i, j);
        }
    }
    for level in 0..k {
        let half = 1usize << level;
        let stride = n / (2 * half);
        let butterfly = |(i, (a, b)): (usize, (&mut G1Projective, &mut G1Projective))| {
            let t = if i == 0 { *b } else { *b * twiddles[i * stride] };
            (*a, *b) = (*a + t, *a - t);
        };
        points.par_chunks_mut(2 * half).for_each(|block| {
            let (low, high) = block.split_at_mut(half);
            low.par_iter_mut().zip(high).enumerate().with_min_len(16).for_each(butterfly);
        });
    }
    let scale = Fr::from(n as u64).inverse().unwrap_or(Fr::ONE);
    points.par_iter_mut().for_each(|p| *p *= scale);
    G1Projective::normalize_batch(&points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_and_sum_to_the_generator() {
        for k in 1..6 {
            let srs = Srs::development(k, DEVELOPMENT_SEED).unwrap();
            let omega = (k as usize..MAX_BITS).fold(ROOT_OF_UNITY, |w, _| w.square());
            let slow = transform(&srs.g1_powers, omega, k);
            assert_eq!(slow, *srs.lagrange(k));
            let total: G1Projective = slow.iter().map(|p| p.into_group()).sum();
            assert_eq!(total, G1Projective::generator());
        }
    }

    #[test]
    fn a_basis_is_kept_for_its_powers_and_no_others() {
        let srs = Srs::development(4, DEVELOPMENT_SEED).unwrap();
        let (small, large) = (srs.lagrange(3), srs.lagrange(4));
        assert_eq!((small.len(), large.len()), (8, 16));
        // A copy finds what was computed, and so do the powers themselves.
        assert!(Arc::ptr_eq(&srs.clone().lagrange(3), &small) && Arc::ptr_eq(&srs.lagrange(4), &large));
        // Other powers in the same place do not.
        let mut other = srs.clone();
        let stranger = Srs::development(4, DEVELOPMENT_SEED + 1).unwrap();
        (other.g1_powers, other.tau_g2) = (stranger.g1_powers.clone(), stranger.tau_g2);
        assert_eq!(*other.lagrange(3), *stranger.lagrange(3));
        assert_ne!(*other.lagrange(3), *small);
        // What is given is used as it is, when there is as much as there must be.
        let fresh = Srs::development(4, DEVELOPMENT_SEED).unwrap();
        assert!(fresh.keep_lagrange(3, small[1..].to_vec()).is_err());
        let marked: Vec<G1Affine> = small.iter().rev().copied().collect();
        fresh.keep_lagrange(3, marked.clone()).unwrap();
        assert_eq!(*fresh.lagrange(3), marked);
    }
}
