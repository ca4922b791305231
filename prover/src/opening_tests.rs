use ark_bn254::{G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::UniformRand;
use ark_std::test_rng;
use assay_verifier::opening::{OpeningError, VerifierSrs, combine_rows, pairing_input, verify};

use super::*;
use crate::{
    device::Cpu,
    msm::{msm, reference},
};

const MAX_TESTED: usize = 9;

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

/// What every caller owes the opening: a transcript that holds the statement.
fn transcript(commitment: &G1Affine, point: &[Fr], value: Fr) -> KeccakTranscript {
    let mut transcript = KeccakTranscript::new(b"opening test");
    transcript.absorb_point(commitment);
    transcript.absorb_frs(point);
    transcript.absorb_fr(&value);
    transcript
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
        let value = multilinear(h, &point);
        self.claim_as(commitment, h, point, value)
    }

    /// A proof that is honest about `h` for a statement that need not be.
    fn claim_as(&self, commitment: G1Affine, h: &[Fr], point: Vec<Fr>, value: Fr) -> Claim {
        let mut transcript = transcript(&commitment, &point, value);
        let opened = open(&Cpu::default(), &&self.bases[..], h, &point, &mut transcript).unwrap();
        assert_eq!(opened.value, multilinear(h, &point));
        Claim { commitment, point, value, proof: opened.proof }
    }

    fn check(&self, claim: &Claim) -> Result<(), OpeningError> {
        let mut transcript = transcript(&claim.commitment, &claim.point, claim.value);
        verify(&self.srs, claim.commitment, &claim.point, claim.value, &claim.proof, &mut transcript)
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
    for variables in 0..=7 {
        let claim = setup.claim(variables);
        let shift = |point: &mut G1Affine| *point = (*point + g).into_affine();
        setup.refused(&claim, "value", |claim| claim.value += Fr::ONE);
        setup.refused(&claim, "value", |claim| claim.value = Fr::ZERO);
        setup.refused(&claim, "commitment", |claim| shift(&mut claim.commitment));
        for i in 0..variables {
            setup.refused(&claim, "coordinate", |claim| claim.point[i] += Fr::ONE);
        }
        let count = claim.proof.evaluations.len();
        for i in 0..count {
            setup.refused(&claim, "evaluation", |claim| claim.proof.evaluations[i] += Fr::ONE);
            setup.refused(&claim, "evaluation", |claim| claim.proof.evaluations[i] = Fr::ZERO);
            setup.refused(&claim, "evaluation", |claim| claim.proof.evaluations[i] = -claim.proof.evaluations[i]);
            for k in 0..i {
                setup.refused(&claim, "swapped evaluations", |claim| claim.proof.evaluations.swap(i, k));
            }
        }
        for i in 0..claim.proof.folds.len() {
            setup.refused(&claim, "fold", |claim| shift(&mut claim.proof.folds[i]));
            setup.refused(&claim, "fold", |claim| claim.proof.folds[i] = -claim.proof.folds[i]);
            setup.refused(&claim, "fold", |claim| claim.proof.folds[i] = G1Affine::identity());
            setup.refused(&claim, "fold", |claim| claim.proof.folds[i] = claim.commitment);
            for k in 0..i {
                setup.refused(&claim, "swapped folds", |claim| claim.proof.folds.swap(i, k));
            }
        }
        if variables > 0 {
            setup.refused(&claim, "W", |claim| shift(&mut claim.proof.quotient));
            setup.refused(&claim, "W'", |claim| shift(&mut claim.proof.linearised));
            setup.refused(&claim, "W'", |claim| claim.proof.linearised = G1Affine::identity());
            setup.refused(&claim, "swapped quotients", |claim| {
                core::mem::swap(&mut claim.proof.quotient, &mut claim.proof.linearised);
            });
            setup.refused(&claim, "both quotients at infinity", |claim| {
                claim.proof.quotient = G1Affine::identity();
                claim.proof.linearised = G1Affine::identity();
            });
        }
        // A single fold has as many points as its polynomial has coefficients, and nothing to divide.
        assert_eq!(claim.proof.quotient.is_zero(), variables < 3);
        if variables > 2 {
            setup.refused(&claim, "W", |claim| claim.proof.quotient = G1Affine::identity());
        }
        if variables > 1 {
            setup.refused(&claim, "reversed point", |claim| claim.point.reverse());
            for shorter in 1..variables {
                setup.refused(&claim, "shorter proof of a longer point", |claim| {
                    let other = setup.claim_of(&vec![Fr::ONE; 1 << shorter], claim.point[..shorter].to_vec());
                    claim.proof = other.proof;
                    claim.point.truncate(shorter);
                });
            }
        }
    }
}

/// Each length has its proofs; those of another are refused whatever they say.
#[test]
fn proofs_of_another_length_are_refused() {
    let setup = setup();
    for variables in 0..=6 {
        let claim = setup.claim(variables);
        for other in (0..=6).filter(|other| *other != variables) {
            let bad = Claim { proof: setup.claim(other).proof, ..claim.clone() };
            assert!(matches!(setup.check(&bad), Err(OpeningError::Length { .. })), "{variables} {other}");
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
    let good = || transcript(&claim.commitment, &claim.point, claim.value);
    assert_eq!(check(&mut good()), Ok(()));
    assert_eq!(check(&mut KeccakTranscript::new(b"opening test")), Err(OpeningError::PairingMismatch));
    let mut later = good();
    later.absorb_fr(&Fr::ONE);
    assert_eq!(check(&mut later), Err(OpeningError::PairingMismatch));
    let mut later = good();
    later.challenge();
    assert_eq!(check(&mut later), Err(OpeningError::PairingMismatch));
}

#[test]
fn prover_and_verifier_leave_the_same_transcript() {
    let setup = setup();
    for variables in 0..=5 {
        let mut rng = test_rng();
        let h: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let point = vec![Fr::from(3u8); variables];
        let commitment = reference::msm(&setup.bases, &h).into_affine();
        let (mut ours, mut theirs) = (KeccakTranscript::new(b"same"), KeccakTranscript::new(b"same"));
        let Opened { value, proof } = open(&Cpu::default(), &&setup.bases[..], &h, &point, &mut ours).unwrap();
        let input = pairing_input(&setup.srs, commitment, &point, value, &proof, &mut theirs).unwrap();
        assert!(input.holds(&setup.srs));
        assert_eq!(ours, theirs);
        // What is drawn later depends on the last message.
        let mut other = KeccakTranscript::new(b"same");
        let linearised = -proof.linearised;
        let proof = OpeningProof { linearised, ..proof };
        if variables > 0 {
            pairing_input(&setup.srs, commitment, &point, value, &proof, &mut other).unwrap();
            assert_ne!(ours.challenge(), other.challenge());
            let mut other = setup.srs.clone();
            other.tau_g2 = (other.tau_g2 + other.g2).into_affine();
            assert!(!input.holds(&other));
        }
    }
}

/// Parts of one thread and of several give the same evaluations.
#[test]
fn evaluation_is_the_same_in_parts() {
    let mut rng = test_rng();
    for bits in [1, 2, 3, 10, 13] {
        let polynomial: Vec<Fr> = (0..1 << bits).map(|_| Fr::rand(&mut rng)).collect();
        for fold in fold_points(Fr::rand(&mut rng), 3) {
            let naive = |u: &Fr| polynomial.iter().rev().fold(Fr::ZERO, |sum, c| sum * u + c);
            let expected: Vec<Fr> = fold.points[1..].iter().map(naive).collect();
            for threads in [1, 2, 3, 7] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert_eq!(pool.install(|| evaluate(&polynomial, &fold)), expected, "{bits} bits, {threads} threads");
            }
        }
    }
}

/// A prover that folds honestly from a wrong polynomial is consistent with itself but not with the commitment.
#[test]
fn a_proof_for_another_polynomial_is_refused() {
    let setup = setup();
    let mut rng = test_rng();
    for variables in 1..=6 {
        let h: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let point: Vec<Fr> = (0..variables).map(|_| Fr::rand(&mut rng)).collect();
        let mut other = h.clone();
        other[1] += Fr::ONE;
        let commitment = reference::msm(&setup.bases, &h).into_affine();
        for value in [multilinear(&h, &point), multilinear(&other, &point)] {
            let claim = setup.claim_as(commitment, &other, point.clone(), value);
            assert_eq!(setup.check(&claim), Err(OpeningError::PairingMismatch));
        }
    }
}

impl Setup {
    /// Answers every challenge honestly about `polynomials`, whatever they have to do with each other.
    fn cheat(&self, polynomials: &[&[Fr]], point: &[Fr], value: Fr) -> Claim {
        let commitment = reference::msm(&self.bases, polynomials[0]).into_affine();
        let mut transcript = transcript(&commitment, point, value);
        let proof = prove(&Cpu::default(), &&self.bases[..], polynomials, point.len(), &mut transcript).unwrap();
        Claim { commitment, point: point.to_vec(), value, proof }
    }
}

/// `P_0` and the folds, as [`prove`] takes them.
fn chain<'a>(h: &'a [Fr], folded: &'a [Vec<Fr>]) -> Vec<&'a [Fr]> {
    core::iter::once(h).chain(folded.iter().map(Vec::as_slice)).collect()
}

/// A prover that opens the right commitment, but sends the folds of another polynomial from some level on.
#[test]
fn folds_of_another_polynomial_are_refused() {
    let setup = setup();
    let mut rng = test_rng();
    for variables in 3..=7 {
        let h: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let other: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let point: Vec<Fr> = (0..variables).map(|_| Fr::rand(&mut rng)).collect();
        let (folded, value) = fold_all(&h, &point);
        let (wrong, wrong_value) = fold_all(&other, &point);
        assert_eq!(setup.check(&setup.cheat(&chain(&h, &folded), &point, value)), Ok(()));
        for level in 0..folded.len() {
            let mixed = [&folded[..level], &wrong[level..]].concat();
            for value in [value, wrong_value] {
                let claim = setup.cheat(&chain(&h, &mixed), &point, value);
                assert_eq!(setup.check(&claim), Err(OpeningError::PairingMismatch), "level {level}");
            }
            // And one level only.
            let mut mixed = folded.clone();
            mixed[level].clone_from(&wrong[level]);
            let claim = setup.cheat(&chain(&h, &mixed), &point, value);
            assert_eq!(setup.check(&claim), Err(OpeningError::PairingMismatch), "level {level}");
        }
        // Folds bound to the coordinates in another order.
        let reversed: Vec<Fr> = point.iter().rev().copied().collect();
        let (wrong, wrong_value) = fold_all(&h, &reversed);
        let claim = setup.cheat(&chain(&h, &wrong), &point, wrong_value);
        assert_eq!(setup.check(&claim), Err(OpeningError::PairingMismatch));
    }
}

/// A prover that claims a false value from the first message on, and answers every challenge as well as it can.
#[test]
fn a_false_value_claimed_from_the_start_is_refused() {
    let setup = setup();
    let mut rng = test_rng();
    for variables in 1..=6 {
        let h: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let point: Vec<Fr> = (0..variables).map(|_| Fr::rand(&mut rng)).collect();
        let (folded, value) = fold_all(&h, &point);
        // One fold, at any level, is shifted so that the later ones agree with the false value.
        for level in 0..=folded.len() {
            let mut folded = folded.clone();
            for fold in folded.iter_mut().skip(level) {
                fold.iter_mut().for_each(|c| *c += Fr::ONE);
            }
            let claim = setup.cheat(&chain(&h, &folded), &point, value + Fr::ONE);
            assert_eq!(setup.check(&claim), Err(OpeningError::PairingMismatch), "level {level}");
        }
    }
}

/// Evaluations that make every fold relation true of a false value, and the quotients of the true polynomials.
#[test]
fn evaluations_adapted_to_a_false_value_are_refused() {
    let setup = setup();
    let mut rng = test_rng();
    for variables in 1..=5 {
        let h: Vec<Fr> = (0..1 << variables).map(|_| Fr::rand(&mut rng)).collect();
        let point: Vec<Fr> = (0..variables).map(|_| Fr::rand(&mut rng)).collect();
        let (folded, value) = fold_all(&h, &point);
        let polynomials = chain(&h, &folded);
        let commitment = reference::msm(&setup.bases, &h).into_affine();
        let claimed = value + Fr::ONE;
        let mut t = transcript(&commitment, &point, claimed);
        let folds: Vec<G1Affine> =
            polynomials[1..].iter().map(|p| reference::msm(&setup.bases, p).into_affine()).collect();
        let points = fold_points(schedule::folds(&mut t, &folds), variables);
        let mut evaluations: Vec<Fr> =
            polynomials.iter().zip(&points).flat_map(|(p, fold)| evaluate(p, fold)).collect();
        // Only the last relation is about the false value; its first sent evaluation can take the blame.
        let (last, coordinates) = (points.last().unwrap(), point.rchunks(2).next_back().unwrap());
        let k = |u: &Fr| -> Fr {
            let factors = coordinates.iter().rev().enumerate();
            let product: Fr = factors.map(|(t, x)| Fr::ONE - x + *x / u.pow([1 << t])).product();
            product / Fr::from(last.points.len() as u64)
        };
        let index = evaluations.len() + 1 - last.points.len();
        evaluations[index] += k(&last.points[1]).inverse().unwrap();
        let nu = schedule::evaluations(&mut t, &evaluations);
        let w = quotient(&polynomials, &points, nu);
        let quotient = msm(&setup.bases, &w).into_affine();
        let zeta = schedule::quotient(&mut t, &quotient);
        let weights = fold_weights(&points, nu, zeta).unwrap();
        let linearised = msm(&setup.bases, &linearised(&polynomials, &weights, &w, zeta)).into_affine();
        let proof = OpeningProof { folds, evaluations, quotient, linearised };
        let claim = Claim { commitment, point, value: claimed, proof };
        assert_eq!(setup.check(&claim), Err(OpeningError::PairingMismatch), "{variables} variables");
    }
}

/// Coefficients beyond the row do not change what the claim says about the row, unless they make the folds end in
/// something that is not constant.
#[test]
fn a_commitment_with_a_higher_coefficient_is_refused() {
    let setup = setup();
    let mut rng = test_rng();
    for variables in 0..=5 {
        let size = 1 << variables;
        let h: Vec<Fr> = (0..size).map(|_| Fr::rand(&mut rng)).collect();
        let point: Vec<Fr> = (0..variables).map(|_| Fr::rand(&mut rng)).collect();
        for beyond in [size, size + 1, 4 * size] {
            let commitment = (reference::msm(&setup.bases, &h) + setup.bases[beyond]).into_affine();
            let claim = setup.claim_as(commitment, &h, point.clone(), multilinear(&h, &point));
            assert_eq!(setup.check(&claim), Err(OpeningError::PairingMismatch), "{variables} variables");
        }
    }
}

#[test]
fn lengths_that_do_not_agree_are_errors() {
    let setup = setup();
    let attempt = |bases: usize, len: usize, variables: usize| {
        let point = vec![Fr::ONE; variables];
        let mut transcript = KeccakTranscript::new(b"lengths");
        open(&Cpu::default(), &&setup.bases[..bases], &vec![Fr::ONE; len], &point, &mut transcript).unwrap_err()
    };
    assert_eq!(attempt(8, 7, 3), OpenError::Evaluations { variables: 3, expected: 8, got: 7 });
    assert_eq!(attempt(7, 8, 3), OpenError::Bases { expected: 8, got: 7 });
    assert_eq!(attempt(8, 8, 29), OpenError::TooManyVariables { limit: 28, got: 29 });
}
