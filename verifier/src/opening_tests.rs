use ark_bn254::{G1Projective, G2Affine};
use ark_ff::AdditiveGroup;
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
        folds: (0..OpeningProof::fold_commitments(variables)).map(|j| point(j as u64 + 5)).collect(),
        evaluations: (0..evaluation_count(variables)).map(|j| Fr::from(j as u64)).collect(),
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
fn sizes_are_the_documented_ones() {
    // Folds, evaluations for m = 0 .. 9; two points follow.
    let sizes = [(0, 0), (0, 1), (0, 3), (1, 4), (1, 6), (2, 7), (2, 9), (3, 10), (3, 12), (4, 13)];
    for (variables, (folds, evaluations)) in sizes.into_iter().enumerate() {
        assert_eq!(OpeningProof::byte_len(variables), (folds + 2) * 64 + evaluations * 32, "{variables} variables");
    }
}

#[test]
fn wrong_shapes_are_refused_before_any_work() {
    let srs = srs(Fr::from(11u8));
    let check = |proof: &OpeningProof, variables: usize| {
        let point = vec![Fr::from(3u8); variables];
        let mut transcript = KeccakTranscript::new(b"test");
        verify(&srs, srs.g1, &point, Fr::ONE, proof, &mut transcript)
    };
    for variables in 0..=6 {
        let (folds, evaluations) = (OpeningProof::fold_commitments(variables), evaluation_count(variables));
        let wrong = |change: &dyn Fn(&mut OpeningProof)| {
            let mut proof = sample_proof(variables);
            change(&mut proof);
            match check(&proof, variables) {
                Err(OpeningError::Length { field, expected, got }) => (field, expected, got),
                other => panic!("{variables} variables: {other:?}"),
            }
        };
        let longer = wrong(&|proof| proof.folds.push(G1Affine::identity()));
        assert_eq!(longer, ("fold commitments", folds, folds + 1));
        let longer = wrong(&|proof| proof.evaluations.push(Fr::ONE));
        assert_eq!(longer, ("fold evaluations", evaluations, evaluations + 1));
        if folds > 0 {
            let shorter = wrong(&|proof| proof.folds.truncate(folds - 1));
            assert_eq!(shorter, ("fold commitments", folds, folds - 1));
        }
        if evaluations > 0 {
            let shorter = wrong(&|proof| proof.evaluations.truncate(evaluations - 1));
            assert_eq!(shorter, ("fold evaluations", evaluations, evaluations - 1));
        }
    }
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
    proof.quotient = G1Affine::identity();
    proof.linearised = srs.g1;
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

/// The transcript decides the challenges and nothing but it: neither the statement nor the proof's shape is absorbed.
#[test]
fn the_opening_absorbs_its_messages_and_nothing_else() {
    let proof = sample_proof(5);
    let mut transcript = KeccakTranscript::new(b"test");
    let point = [3u64, 5, 7, 11, 13].map(Fr::from);
    let terms = pairing_terms(&point, Fr::ONE, &proof, &mut transcript).unwrap();
    let mut expected = KeccakTranscript::new(b"test");
    expected.absorb_points(&proof.folds);
    let z = expected.challenge();
    expected.absorb_frs(&proof.evaluations);
    let nu = expected.challenge();
    expected.absorb_point(&proof.quotient);
    let zeta = expected.challenge();
    // What is drawn next depends on W' too.
    expected.absorb_point(&proof.linearised);
    assert_eq!(transcript, expected);
    let weights = folds::fold_weights(&folds::fold_points(z, 5), nu, zeta).unwrap();
    assert_eq!(weights[0], terms.commitment);
    assert_eq!(weights[1..], terms.folds);
    assert_eq!((terms.quotient, terms.linearised), (-Fr::ONE, zeta));
}

#[test]
fn terms_and_points_are_the_same_check() {
    let srs = srs(Fr::from(11u8));
    for variables in 1..=6 {
        let proof = sample_proof(variables);
        let point: Vec<Fr> = (0..variables).map(|i| Fr::from(i as u64 + 3)).collect();
        let commitment = (srs.g1 * Fr::from(19u8)).into_affine();
        let transcript = || KeccakTranscript::new(b"test");
        let terms = pairing_terms(&point, Fr::from(9u8), &proof, &mut transcript()).unwrap();
        let input = pairing_input(&srs, commitment, &point, Fr::from(9u8), &proof, &mut transcript()).unwrap();
        let folds: G1Projective = proof.folds.iter().zip(&terms.folds).map(|(p, s)| *p * s).sum();
        let left = commitment * terms.commitment
            + folds
            + proof.quotient * terms.quotient
            + proof.linearised * terms.linearised
            + srs.g1 * terms.generator;
        assert_eq!(input, PairingInput { left: left.into_affine(), right: proof.linearised });
    }
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

#[test]
fn many_rows_combine() {
    let mut transcript = KeccakTranscript::new(b"rows");
    let g = G1Affine::generator();
    let points: Vec<G1Affine> = (0..700).map(|_| (g * transcript.challenge()).into_affine()).collect();
    let scalars: Vec<Fr> = (0..700).map(|_| transcript.challenge()).collect();
    let expected: G1Projective = points.iter().zip(&scalars).map(|(p, s)| *p * s).sum();
    assert_eq!(combine_rows(&points, &scalars), Ok(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn combining_is_the_sum_of_multiples(n in 1usize..70, special in 0usize..70) {
        let mut transcript = KeccakTranscript::new(b"scalars");
        let mut scalars: Vec<Fr> = (0..n).map(|_| transcript.challenge()).collect();
        let g = G1Affine::generator();
        let mut points: Vec<G1Affine> = (0..n).map(|_| (g * transcript.challenge()).into_affine()).collect();
        if let Some(scalar) = scalars.get_mut(special) {
            *scalar = -Fr::ONE;
        }
        if let Some(point) = points.get_mut(special / 2) {
            *point = G1Affine::identity();
        }
        let expected: G1Projective = points.iter().zip(&scalars).map(|(p, s)| *p * s).sum();
        prop_assert_eq!(combine_rows(&points, &scalars), Ok(expected));
        // Points that meet in a bucket are doubled or cancel; extreme scalars have the longest and the shortest halves.
        let half = Fr::from(2).inverse().unwrap();
        let extreme = [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2), half, -half, scalars[0], scalars[0]];
        let (same, opposite) = (vec![points[0]; extreme.len()], vec![-points[0]; extreme.len()]);
        let points: Vec<G1Affine> = [points, same, opposite].concat();
        let scalars: Vec<Fr> = [&scalars[..], &extreme, &extreme].concat();
        let expected: G1Projective = points.iter().zip(&scalars).map(|(p, s)| *p * s).sum();
        prop_assert_eq!(combine_rows(&points, &scalars), Ok(expected));
    }

    #[test]
    fn hostile_bytes_never_panic(variables in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = OpeningProof::from_bytes(variables, &bytes);
        let _ = VerifierSrs::from_bytes(&bytes);
    }
}
