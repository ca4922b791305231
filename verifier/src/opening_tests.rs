use ark_bn254::G2Affine;
use proptest::prelude::*;

use super::*;

fn srs(tau: Fr) -> VerifierSrs {
    let g2 = G2Affine::generator();
    let tau_g2 = (g2 * tau).into_affine();
    let srs_hash = VerifierSrs::identity(&g2, &tau_g2, true);
    VerifierSrs { g1: G1Affine::generator(), g2, tau_g2, insecure_dev: true, srs_hash }
}

fn sample_proof(variables: usize) -> OpeningProof {
    let g = G1Affine::generator();
    let point = |k: u64| (g * Fr::from(k)).into_affine();
    OpeningProof {
        folds: (0..variables.saturating_sub(1)).map(|j| point(j as u64 + 5)).collect(),
        evaluations: (0..variables).map(|j| Fr::from(j as u64)).collect(),
        quotient: point(2),
        linearised: G1Affine::identity(),
    }
}

#[test]
fn proofs_round_trip_and_have_one_length() {
    for variables in 0..=MAX_VARIABLES {
        let proof = sample_proof(variables);
        let mut bytes = proof.to_bytes();
        assert_eq!(bytes.len(), OpeningProof::byte_len(variables));
        assert_eq!(OpeningProof::from_bytes(variables, &bytes), Ok(proof));
        for len in 0..bytes.len() {
            assert!(OpeningProof::from_bytes(variables, &bytes[..len]).is_err(), "prefix of {len} bytes");
        }
        bytes.push(0);
        assert_eq!(
            OpeningProof::from_bytes(variables, &bytes),
            Err(OpeningError::Codec(CodecError::Trailing { got: 1 }))
        );
    }
    assert_eq!(OpeningProof::from_bytes(29, &[]), Err(OpeningError::TooManyVariables { limit: 28, got: 29 }));
}

#[test]
fn wrong_shapes_are_refused_before_any_work() {
    let srs = srs(Fr::from(11u8));
    let check = |proof: &OpeningProof, variables: usize| {
        let point = vec![Fr::from(3u8); variables];
        let mut transcript = KeccakTranscript::new(b"test");
        verify(&srs, srs.g1, &point, Fr::ONE, proof, &mut transcript)
    };
    let mut proof = sample_proof(3);
    proof.folds.pop();
    assert_eq!(check(&proof, 3), Err(OpeningError::Length { field: "fold commitments", expected: 2, got: 1 }));
    let mut proof = sample_proof(3);
    proof.evaluations.push(Fr::ONE);
    assert_eq!(check(&proof, 3), Err(OpeningError::Length { field: "fold evaluations", expected: 3, got: 4 }));
    assert_eq!(check(&sample_proof(29), 29), Err(OpeningError::TooManyVariables { limit: 28, got: 29 }));
    assert_eq!(check(&sample_proof(3), 3), Err(OpeningError::PairingMismatch));
}

#[test]
fn a_constant_opens_to_itself_only() {
    let srs = srs(Fr::from(11u8));
    let commitment = (srs.g1 * Fr::from(42u8)).into_affine();
    let mut proof = sample_proof(0);
    proof.quotient = G1Affine::identity();
    let check = |proof: &OpeningProof, value: u8| {
        let mut transcript = KeccakTranscript::new(b"test");
        verify(&srs, commitment, &[], Fr::from(value), proof, &mut transcript)
    };
    assert_eq!(check(&proof, 42), Ok(()));
    assert_eq!(check(&proof, 41), Err(OpeningError::PairingMismatch));
    proof.quotient = srs.g1;
    assert_eq!(check(&proof, 42), Err(OpeningError::NonTrivialQuotient));
}

#[test]
fn verifier_srs_round_trips_and_is_strict() {
    let good = srs(Fr::from(11u8));
    let bytes = good.to_bytes();
    assert_eq!(bytes.len(), VerifierSrs::BYTES);
    assert_eq!(VerifierSrs::from_bytes(&bytes), Ok(good.clone()));
    for len in 0..bytes.len() {
        assert!(VerifierSrs::from_bytes(&bytes[..len]).is_err());
    }
    let refused = |change: &dyn Fn(&mut VerifierSrs)| {
        let mut bad = good.clone();
        change(&mut bad);
        VerifierSrs::from_bytes(&bad.to_bytes()).unwrap_err().to_string()
    };
    assert!(refused(&|srs| srs.g1 = -srs.g1).contains("G1 generator"));
    assert!(refused(&|srs| srs.g2 = srs.tau_g2).contains("G2 generator"));
    assert!(refused(&|srs| srs.tau_g2 = G2Affine::identity()).contains("tau"));
    // Another tau, or none that is known, under the same name.
    assert!(refused(&|srs| srs.tau_g2 = (srs.tau_g2 + srs.g2).into_affine()).contains("identity"));
    assert!(refused(&|srs| srs.insecure_dev = false).contains("identity"));
    assert!(refused(&|srs| srs.srs_hash[0] ^= 1).contains("identity"));
    let mut flag = good.to_bytes();
    flag[VerifierSrs::BYTES - 33] = 2;
    assert_eq!(VerifierSrs::from_bytes(&flag), Err(CodecError::UnexpectedValue { field: "insecure flag", got: 2 }));
}

#[test]
fn degenerate_challenges_are_reported() {
    let points = fold_points(Fr::from(3u8), 2);
    assert_eq!(points, [3u64, 9, 81].map(Fr::from));
    assert!(fold_weights(&points, Fr::ONE, Fr::from(9u8)).is_none());
    assert!(fold_weights(&points, Fr::ONE, -Fr::from(3u8)).is_none());
    assert!(fold_weights(&points, Fr::ONE, Fr::from(4u8)).is_some());
    let zero = fold_points(Fr::ZERO, 1);
    assert!(lines_at(&zero, &[Fr::from(5u8)], Fr::ONE, &[Fr::ONE], Fr::ONE).is_none());
}

#[test]
fn combining_needs_one_coefficient_for_each_row() {
    let g = G1Affine::generator();
    assert_eq!(
        combine_rows(&[g, g], &[Fr::ONE]),
        Err(OpeningError::Length { field: "row coefficients", expected: 2, got: 1 })
    );
    assert_eq!(combine_rows(&[], &[]), Ok(G1Projective::zero()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn combining_is_the_sum_of_multiples(n in 1usize..70, special in 0usize..70) {
        let mut transcript = KeccakTranscript::new(b"scalars");
        let mut scalars: Vec<Fr> = (0..n).map(|_| transcript.challenge("s")).collect();
        let g = G1Affine::generator();
        let mut points: Vec<G1Affine> = (0..n).map(|_| (g * transcript.challenge("p")).into_affine()).collect();
        if let Some(scalar) = scalars.get_mut(special) {
            *scalar = -Fr::ONE;
        }
        if let Some(point) = points.get_mut(special / 2) {
            *point = G1Affine::identity();
        }
        let expected: G1Projective = points.iter().zip(&scalars).map(|(p, s)| *p * s).sum();
        prop_assert_eq!(combine_rows(&points, &scalars), Ok(expected));
    }

    #[test]
    fn hostile_bytes_never_panic(variables in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = OpeningProof::from_bytes(variables, &bytes);
        let _ = VerifierSrs::from_bytes(&bytes);
    }
}
