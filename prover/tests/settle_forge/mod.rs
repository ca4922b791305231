//! What somebody who knows tau can do: prove anything. The reason why development powers of tau, whose tau is a hash of a
//! small number, are refused off local chains. A library has no use for this; tests and demonstrations do.
//!
//! Every polynomial commitment is a random point, and every evaluation is what the equations ask for. The two quotients that
//! the transcript absorbs last, W' of the circuit's half and of the opening's, are then solved for in the group:
//! `e(L + u W', [1]) = e(W', [tau])` for `W' = L / (tau - u)`. The circuit's witness is never needed, nor is there one.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, Field, UniformRand};
use assay_verifier::{
    Fr, G1Affine, G2Affine,
    keccak::{KeccakTranscript, digest_to_fr, keccak256},
    native::public_sum,
    opening::{OpeningProof, combine_rows, evaluation_count, pairing_terms},
    settle::{
        argument::{EVALUATIONS, Halo2Proof, SettledArgument},
        check::{DELTA, coefficients, statement},
        descriptor::Descriptor,
    },
};
use rand::rngs::OsRng;

fn scalar() -> Fr {
    Fr::rand(&mut OsRng)
}

fn point() -> G1Affine {
    (G1Affine::generator() * scalar()).into_affine()
}

fn sum(terms: &[(G1Affine, Fr)]) -> ark_bn254::G1Projective {
    let (points, scalars): (Vec<_>, Vec<_>) = terms.iter().copied().unzip();
    combine_rows(&points, &scalars).unwrap()
}

/// The tau of development powers, by its documented derivation.
pub fn development_tau(seed: u64) -> Fr {
    digest_to_fr(&keccak256(&[b"assay/insecure development tau/v1", &seed.to_be_bytes()]))
}

/// Whether a number is the secret of a key's powers of tau.
pub fn is_tau(descriptor: &Descriptor, tau: &Fr) -> bool {
    (G2Affine::generator() * tau).into_affine() == descriptor.tau_g2
}

/// A proof of any claim whatever.
pub fn forge(descriptor: &Descriptor, public: &[Vec<i64>], context: &[u8; 32], tau: Fr) -> SettledArgument {
    let rows: Vec<G1Affine> = (0..descriptor.witness_rows()).map(|_| point()).collect();
    let mask = point();
    let [zeta, gamma, value, beta] = [scalar(), scalar(), scalar(), scalar()];
    let coordinates: Vec<Fr> = (0..descriptor.rounds()).map(|_| scalar()).collect();
    let digest = statement(&descriptor.id(), context, &[], public, &rows, &mask);
    let mut transcript = KeccakTranscript::from_state(digest);
    transcript.absorb_frs(&[digest_to_fr(&digest), zeta, public_sum(public, &zeta), gamma, value]);
    transcript.absorb_frs(&coordinates);
    let halo2 = circuit(descriptor, tau, &mut transcript);

    transcript.absorb_fr(&beta);
    let m = descriptor.row_bits;
    let mut opening = OpeningProof {
        folds: (0..OpeningProof::fold_commitments(m)).map(|_| point()).collect(),
        evaluations: (0..evaluation_count(m)).map(|_| scalar()).collect(),
        quotient: point(),
        linearised: G1Affine::zero(),
    };
    let low = &coordinates[coordinates.len() - m..];
    // The last quotient is absorbed after all challenges that this asks for.
    let s = pairing_terms(low, value, &opening, &mut transcript).unwrap();
    let c = coefficients(descriptor, &coordinates, gamma, beta);
    let opened = rows.iter().zip(c.witness).chain(descriptor.model_rows.iter().zip(c.model));
    let opened = opened.chain([(&mask, c.mask), (&descriptor.blinder, c.blinder)]);
    let mut terms: Vec<(G1Affine, Fr)> = opened.map(|(p, k)| (*p, k * s.commitment)).collect();
    terms.extend(opening.folds.iter().copied().zip(s.folds));
    terms.extend([(opening.quotient, s.quotient), (G1Affine::generator(), s.generator)]);
    opening.linearised = (sum(&terms) * (tau - s.linearised).inverse().unwrap()).into_affine();

    SettledArgument { given: vec![], rows, mask, zeta, gamma, value, point: coordinates, halo2, beta, opening }
}

/// The circuit's half. Only the evaluations of the permutation's product are not zero: with a row of zeros no gate is
/// active, and the product's next value is chosen so that the copy constraints hold with a quotient of zero.
fn circuit(descriptor: &Descriptor, tau: Fr, transcript: &mut KeccakTranscript) -> Halo2Proof {
    let mut proof = Halo2Proof {
        advice: std::array::from_fn(|_| point()),
        product: point(),
        random: point(),
        quotient: std::array::from_fn(|_| point()),
        evaluations: [Fr::ZERO; EVALUATIONS],
        w: point(),
        w_prime: G1Affine::zero(),
    };
    transcript.absorb_points(&proof.advice);
    transcript.challenge();
    let [beta, gamma] = [transcript.challenge(), transcript.challenge()];
    transcript.absorb_points(&[proof.product, proof.random]);
    transcript.challenge();
    transcript.absorb_points(&proof.quotient);
    let x = transcript.challenge();
    // z_next gamma^3 = z (beta x + gamma) (DELTA beta x + gamma) (DELTA^2 beta x + gamma), with z = 1.
    let columns = [Fr::ONE, DELTA, DELTA.square()].map(|d| d * beta * x + gamma);
    let next = columns.iter().product::<Fr>() * gamma.pow([3]).inverse().unwrap();
    proof.evaluations[EVALUATIONS - 2] = Fr::ONE;
    proof.evaluations[EVALUATIONS - 1] = next;
    // A public input would show in the gate of rows that absorb, which is not active.
    transcript.absorb_frs(&proof.evaluations);
    let [batch, sets] = [transcript.challenge(), transcript.challenge()];
    transcript.absorb_point(&proof.w);
    let u = transcript.challenge();

    let (x_next, x_n) = (descriptor.omega() * x, x.pow([1 << descriptor.circuit.k]));
    let power = |i: u64| batch.pow([i]);
    let weight = sets * (u - x_next);
    let both = [proof.advice[0], proof.advice[1], proof.advice[2], proof.product];
    let one = proof.advice[3..].iter().chain(&descriptor.circuit.fixed).chain(&descriptor.circuit.permutation);
    let mut terms: Vec<(G1Affine, Fr)> = (0..).zip(both).map(|(i, p)| (p, power(i))).collect();
    terms.extend((0..).zip(one).map(|(i, p)| (*p, weight * power(i))));
    terms.extend((0..).zip(proof.quotient).map(|(i, p)| (p, weight * power(12) * x_n.pow([i]))));
    terms.push((proof.random, weight * power(13)));
    // The line through the product's two values, at u; all other values are zero.
    let line = Fr::ONE + (next - Fr::ONE) * (u - x) * (x_next - x).inverse().unwrap();
    terms.push((G1Affine::generator(), -power(3) * line));
    terms.push((proof.w, -(u - x) * (u - x_next)));
    proof.w_prime = (sum(&terms) * (tau - u).inverse().unwrap()).into_affine();
    transcript.absorb_point(&proof.w_prime);
    proof
}
