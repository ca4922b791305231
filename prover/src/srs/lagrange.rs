//! Powers of tau in the Lagrange basis of a domain, which Halo2 commits with.

use super::{DEVELOPMENT_SEED, Srs, development_tau};
use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, ScalarMul};
use ark_ff::{Field, batch_inversion};
use assay_verifier::settle::descriptor::{MAX_BITS, ROOT_OF_UNITY};
use rayon::prelude::*;

impl Srs {
    /// `[L_i(tau)]_1` for the domain of the `2^k` roots of unity that Halo2 uses; `2^k` must not exceed the number of
    /// powers.
    ///
    /// A transform of points costs about `k 2^(k-1)` multiplications; for the default development powers tau is known, and
    /// each point is one multiplication of the generator.
    pub fn lagrange(&self, k: u32) -> Vec<G1Affine> {
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
            assert_eq!(slow, srs.lagrange(k));
            let total: G1Projective = slow.iter().map(|p| p.into_group()).sum();
            assert_eq!(total, G1Projective::generator());
        }
    }
}
