use ark_bn254::{G2Affine, G2Projective};
use ark_ec::{AffineRepr, PrimeGroup};
use ark_ff::UniformRand;
use ark_std::test_rng;
use assay_verifier::opening::{OpeningError, VerifierSrs, combine_rows, pairing_input, verify};

use super::*;
use crate::msm::reference;

const MAX_TESTED: usize = 8;

struct Setup {
    bases: Vec<G1Affine>,
    srs: VerifierSrs,
}

fn setup() -> Setup {
    let tau = Fr::from(0x5eed_1234u64).inverse().unwrap();
    let mut power = Fr::ONE;
    let powers: Vec<G1Projective> = (0..1 << MAX_TESTED)
        .map(|_| {
            let point = G1Projective::generator() * power;
            power *= tau;
            point
        })
        .collect();
    let srs = VerifierSrs {
        g1: G1Affine::generator(),
        g2: G2Affine::generator(),
        tau_g2: (G2Projective::generator() * tau).into_affine(),
        insecure_dev: true,
        srs_hash: [0; 32],
    };
    Setup { bases: G1Projective::normalize_batch(&powers), srs }
}

#[derive(Clone)]
struct Claim {
    commitment: G1Affine,
    point: Vec<Fr>,
    value: Fr,
    proof: OpeningProof,
}

fn transcript() -> KeccakTranscript {
    KeccakTranscript::new(b"opening test")
}

impl Setup {
    fn claim(&self, variables: usize) -> Claim {
        let mut rng = test_rng();
        let h: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let point: Vec<Fr> = (0..variables).map(|_| Fr::rand(&mut rng)).collect();
        self.claim_of(&h, point)
    }

    fn claim_of(&self, h: &[Fr], point: Vec<Fr>) -> Claim {
        let commitment = reference::msm(&self.bases, h).into_affine();
        let Opened { value, proof } = open(&self.bases, commitment, h, &point, &mut transcript()).unwrap();
        Claim { commitment, point, value, proof }
    }

    fn check(&self, claim: &Claim) -> Result<(), OpeningError> {
        verify(&self.srs, claim.commitment, &claim.point, claim.value, &claim.proof, &mut transcript())
    }

    /// What a change makes of a good claim; it must actually change it.
    fn refused(&self, claim: &Claim, name: &str, change: impl FnOnce(&mut Claim)) {
        let mut bad = claim.clone();
        change(&mut bad);
        assert_eq!(self.check(&bad), Err(OpeningError::PairingMismatch), "{name}");
    }
}

/// `sum_i h_i eq(point, bits of i)`, first coordinate = most significant bit.
fn multilinear(h: &[Fr], point: &[Fr]) -> Fr {
    let term = |i: usize| -> Fr {
        let factors = point.iter().rev().enumerate();
        factors.map(|(bit, x)| if i >> bit & 1 == 1 { *x } else { Fr::ONE - x }).product()
    };
    h.iter().enumerate().map(|(i, c)| *c * term(i)).sum()
}

#[test]
fn true_claims_are_accepted() {
    let setup = setup();
    for variables in 0..=MAX_TESTED {
        let mut rng = test_rng();
        let h: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let point: Vec<Fr> = (0..variables).map(|_| Fr::rand(&mut rng)).collect();
        let claim = setup.claim_of(&h, point.clone());
        assert_eq!(claim.value, multilinear(&h, &point));
        assert_eq!(setup.check(&claim), Ok(()), "{variables} variables");
        let bytes = claim.proof.to_bytes();
        assert_eq!(OpeningProof::from_bytes(variables, &bytes), Ok(claim.proof));
    }
}

#[test]
fn structured_polynomials_and_points_are_accepted() {
    let setup = setup();
    let n = 16;
    let zeros = vec![Fr::ZERO; n];
    let ones = vec![Fr::ONE; n];
    let last: Vec<Fr> = (0..n).map(|i| Fr::from(u64::from(i == n - 1))).collect();
    let counting: Vec<Fr> = (0..n).map(|i| Fr::from(i as u64)).collect();
    for h in [zeros, ones, last, counting.clone()] {
        for x in [Fr::ZERO, Fr::ONE, Fr::from(7u8), -Fr::ONE] {
            let claim = setup.claim_of(&h, vec![x; 4]);
            assert_eq!(claim.value, multilinear(&h, &claim.point));
            assert_eq!(setup.check(&claim), Ok(()));
        }
    }
    // At a corner of the cube the value is the evaluation itself, with x_1 the most significant bit.
    let corner = vec![Fr::ONE, Fr::ZERO, Fr::ONE, Fr::ONE];
    assert_eq!(setup.claim_of(&counting, corner).value, Fr::from(0b1011u8));
}

#[test]
fn rows_combine_into_one_opening() {
    let setup = setup();
    let values: Vec<i32> = (0..48).map(|i| i * i - 700).collect();
    let rows = crate::msm::commit_rows(&setup.bases, &values, 16);
    let coefficients = [Fr::from(5u8), -Fr::from(9u8), Fr::from(1u8 << 7).inverse().unwrap()];
    let commitment = combine_rows(&rows, &coefficients).unwrap().into_affine();
    let h: Vec<Fr> =
        (0..16).map(|i| (0..3).map(|row| coefficients[row] * Fr::from(values[row * 16 + i])).sum()).collect();
    assert_eq!(reference::msm(&setup.bases, &h).into_affine(), commitment);
    let claim = setup.claim_of(&h, [3u64, 1, 4, 1].map(Fr::from).to_vec());
    assert_eq!(setup.check(&claim), Ok(()));
    setup.refused(&claim, "other coefficients", |claim| {
        claim.commitment = combine_rows(&rows, &[Fr::ONE; 3]).unwrap().into_affine();
    });
}

#[test]
fn every_field_of_the_claim_is_bound() {
    let setup = setup();
    let g = G1Affine::generator();
    for variables in 0..=5 {
        let claim = setup.claim(variables);
        let shift = |point: &mut G1Affine| *point = (*point + g).into_affine();
        setup.refused(&claim, "value", |claim| claim.value += Fr::ONE);
        setup.refused(&claim, "commitment", |claim| shift(&mut claim.commitment));
        for i in 0..variables {
            setup.refused(&claim, "coordinate", |claim| claim.point[i] += Fr::ONE);
            setup.refused(&claim, "evaluation", |claim| claim.proof.evaluations[i] += Fr::ONE);
            setup.refused(&claim, "evaluation", |claim| claim.proof.evaluations[i] = Fr::ZERO);
        }
        for i in 0..variables.saturating_sub(1) {
            setup.refused(&claim, "fold", |claim| shift(&mut claim.proof.folds[i]));
            setup.refused(&claim, "fold", |claim| claim.proof.folds[i] = G1Affine::identity());
        }
        if variables > 0 {
            setup.refused(&claim, "W", |claim| shift(&mut claim.proof.quotient));
            setup.refused(&claim, "W'", |claim| shift(&mut claim.proof.linearised));
            setup.refused(&claim, "W'", |claim| claim.proof.linearised = G1Affine::identity());
            setup.refused(&claim, "swapped quotients", |claim| {
                core::mem::swap(&mut claim.proof.quotient, &mut claim.proof.linearised);
            });
        }
        if variables > 1 {
            setup.refused(&claim, "reversed point", |claim| claim.point.reverse());
            setup.refused(&claim, "shorter proof of a longer point", |claim| {
                let other = setup.claim_of(&[Fr::ONE; 4], claim.point[..2].to_vec());
                claim.proof = other.proof;
                claim.point.truncate(2);
            });
        }
    }
}

#[test]
fn flipped_bits_are_refused() {
    let setup = setup();
    let claim = setup.claim(3);
    let bytes = claim.proof.to_bytes();
    for i in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[i] ^= 1 << (i % 8);
        let verdict =
            OpeningProof::from_bytes(3, &bad).and_then(|proof| setup.check(&Claim { proof, ..claim.clone() }));
        assert!(verdict.is_err(), "byte {i}");
    }
}

#[test]
fn the_transcripts_past_and_domain_are_bound() {
    let setup = setup();
    let claim = setup.claim(4);
    let check = |transcript: &mut KeccakTranscript| {
        verify(&setup.srs, claim.commitment, &claim.point, claim.value, &claim.proof, transcript)
    };
    assert_eq!(check(&mut transcript()), Ok(()));
    assert_eq!(check(&mut KeccakTranscript::new(b"other")), Err(OpeningError::PairingMismatch));
    let mut later = transcript();
    later.absorb_fr("context", &Fr::ONE);
    assert_eq!(check(&mut later), Err(OpeningError::PairingMismatch));
}

#[test]
fn prover_and_verifier_leave_the_same_transcript() {
    let setup = setup();
    let mut rng = test_rng();
    let h: Vec<Fr> = (0..32).map(|_| Fr::rand(&mut rng)).collect();
    let point = vec![Fr::from(3u8); 5];
    let commitment = reference::msm(&setup.bases, &h).into_affine();
    let (mut ours, mut theirs) = (transcript(), transcript());
    let Opened { value, proof } = open(&setup.bases, commitment, &h, &point, &mut ours).unwrap();
    let input = pairing_input(&setup.srs, commitment, &point, value, &proof, &mut theirs).unwrap();
    assert!(input.holds(&setup.srs));
    assert_eq!(ours, theirs);
    let mut other = setup.srs.clone();
    other.tau_g2 = (other.tau_g2 + other.g2).into_affine();
    assert!(!input.holds(&other));
}

/// A prover that folds honestly from a wrong polynomial is consistent with itself but not with the commitment.
#[test]
fn a_proof_for_another_polynomial_is_refused() {
    let setup = setup();
    let mut rng = test_rng();
    let h: Vec<Fr> = (0..16).map(|_| Fr::rand(&mut rng)).collect();
    let mut other = h.clone();
    other[3] += Fr::ONE;
    let point = [2u64, 7, 1, 8].map(Fr::from);
    let commitment = reference::msm(&setup.bases, &h).into_affine();
    let Opened { value, proof } = open(&setup.bases, commitment, &other, &point, &mut transcript()).unwrap();
    let verdict = verify(&setup.srs, commitment, &point, value, &proof, &mut transcript());
    assert_eq!(verdict, Err(OpeningError::PairingMismatch));
}

/// A prover that claims a false value from the first message on, and answers every challenge as well as it can.
#[test]
fn a_false_value_claimed_from_the_start_is_refused() {
    let setup = setup();
    let mut rng = test_rng();
    for variables in 1..=4 {
        let h: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let point: Vec<Fr> = (0..variables).map(|_| Fr::rand(&mut rng)).collect();
        let commitment = reference::msm(&setup.bases, &h).into_affine();
        let (folded, value) = fold_all(&h, &point);
        let claimed = value + Fr::ONE;
        // One fold, at any level, is shifted so that the later ones agree with the false value.
        for level in 0..variables {
            let mut folded = folded.clone();
            for fold in folded.iter_mut().skip(level) {
                fold.iter_mut().for_each(|c| *c += Fr::ONE);
            }
            let polynomials: Vec<&[Fr]> =
                core::iter::once(h.as_slice()).chain(folded.iter().map(Vec::as_slice)).collect();
            let proof = prove(&setup.bases, &commitment, &polynomials, &point, claimed, &mut transcript()).unwrap();
            let claim = Claim { commitment, point: point.clone(), value: claimed, proof };
            assert_eq!(setup.check(&claim), Err(OpeningError::PairingMismatch), "level {level}");
        }
    }
}

/// Coefficients beyond the row do not change what the claim says about the row, unless they make the folds end in something
/// that is not constant.
#[test]
fn a_commitment_with_a_higher_coefficient_is_refused() {
    let setup = setup();
    let mut rng = test_rng();
    let h: Vec<Fr> = (0..16).map(|_| Fr::rand(&mut rng)).collect();
    let point = [2u64, 7, 1, 8].map(Fr::from);
    let commitment = (reference::msm(&setup.bases, &h) + setup.bases[16]).into_affine();
    let Opened { value, proof } = open(&setup.bases, commitment, &h, &point, &mut transcript()).unwrap();
    let verdict = verify(&setup.srs, commitment, &point, value, &proof, &mut transcript());
    assert_eq!(verdict, Err(OpeningError::PairingMismatch));
}

#[test]
fn lengths_that_do_not_agree_are_errors() {
    let setup = setup();
    let g = G1Affine::generator();
    let attempt = |bases: usize, len: usize, variables: usize| {
        let point = vec![Fr::ONE; variables];
        open(&setup.bases[..bases], g, &vec![Fr::ONE; len], &point, &mut transcript()).unwrap_err()
    };
    assert_eq!(attempt(8, 7, 3), OpenError::Evaluations { variables: 3, expected: 8, got: 7 });
    assert_eq!(attempt(7, 8, 3), OpenError::Bases { expected: 8, got: 7 });
    assert_eq!(attempt(8, 8, 29), OpenError::TooManyVariables { limit: 28, got: 29 });
}
