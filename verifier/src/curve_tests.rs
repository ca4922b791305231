use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, BigInteger, Field as _};
use proptest::prelude::*;

use super::*;

fn modulus_bytes<F: PrimeField<BigInt = BigInt<4>>>() -> [u8; 32] {
    F::MODULUS.to_bytes_be().try_into().unwrap()
}

fn below(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] -= 1;
    bytes
}

#[test]
fn scalars_and_coordinates_are_refused_from_the_modulus_on() {
    let r = modulus_bytes::<Fr>();
    let q = modulus_bytes::<Fq>();
    assert_eq!(fr_from_bytes(&r), Err(CodecError::NonCanonical(Field::Scalar)));
    assert_eq!(fq_from_bytes(&q), Err(CodecError::NonCanonical(Field::Base)));
    assert_eq!(fr_from_bytes(&[0xff; 32]), Err(CodecError::NonCanonical(Field::Scalar)));
    assert_eq!(fq_from_bytes(&[0xff; 32]), Err(CodecError::NonCanonical(Field::Base)));
    assert_eq!(fr_from_bytes(&below(r)), Ok(-Fr::ONE));
    assert_eq!(fq_from_bytes(&below(q)), Ok(-Fq::ONE));
    assert_eq!(fr_to_bytes(&-Fr::ONE), below(r));
}

#[test]
fn generators_have_the_precompiles_bytes() {
    let g1 = g1_to_bytes(&G1Affine::generator());
    let mut expected = [0; 64];
    expected[31] = 1;
    expected[63] = 2;
    assert_eq!(g1, expected);
    // The first coordinate that EIP-197 gives for P2 is the imaginary part.
    let g2 = g2_to_bytes(&G2Affine::generator());
    assert_eq!(&g2[..4], &[0x19, 0x8e, 0x93, 0x93]);
    assert_eq!(&g2[32..36], &[0x18, 0x00, 0xde, 0xef]);
    assert_eq!(g2_from_bytes(&g2), Ok(G2Affine::generator()));
}

#[test]
fn infinity_is_all_zero() {
    assert_eq!(g1_to_bytes(&G1Affine::identity()), [0; 64]);
    assert_eq!(g1_from_bytes(&[0; 64]), Ok(G1Affine::identity()));
    assert_eq!(g2_to_bytes(&G2Affine::identity()), [0; 128]);
    assert_eq!(g2_from_bytes(&[0; 128]), Ok(G2Affine::identity()));
}

#[test]
fn bad_points_are_refused() {
    let mut bytes = g1_to_bytes(&G1Affine::generator());
    bytes[63] = 3;
    assert_eq!(g1_from_bytes(&bytes), Err(CodecError::OffCurve(Group::G1)));
    bytes[..32].copy_from_slice(&modulus_bytes::<Fq>());
    assert_eq!(g1_from_bytes(&bytes), Err(CodecError::NonCanonical(Field::Base)));
    let mut bytes = g2_to_bytes(&G2Affine::generator());
    bytes[127] ^= 1;
    assert_eq!(g2_from_bytes(&bytes), Err(CodecError::OffCurve(Group::G2)));
}

#[test]
fn twist_points_outside_of_the_subgroup_are_refused() {
    // The twist has a cofactor of 254 bits, so the first points with a small x are outside.
    let mut found = 0;
    for x in 1u64..20 {
        let x = Fq2::from(x);
        let Some((y, _)) = G2Affine::get_ys_from_x_unchecked(x) else {
            continue;
        };
        let point = G2Affine::new_unchecked(x, y);
        assert!(point.is_on_curve());
        assert_eq!(g2_from_bytes(&g2_to_bytes(&point)), Err(CodecError::OutsideSubgroup(Group::G2)));
        found += 1;
    }
    assert!(found > 0);
}

#[test]
fn reader_reports_what_is_missing_and_what_is_left() {
    let mut reader = Reader::new(&[0, 0, 0, 9, 1]);
    assert_eq!(reader.clone().count(8, 1), Err(CodecError::LengthLimit { limit: 8, got: 9 }));
    assert_eq!(reader.clone().count(9, 64), Err(CodecError::Truncated { expected: 576, got: 1 }));
    assert_eq!(reader.u32(), Ok(9));
    assert_eq!(reader.clone().finish(), Err(CodecError::Trailing { got: 1 }));
    assert_eq!(reader.clone().frs(usize::MAX), Err(CodecError::Truncated { expected: usize::MAX, got: 1 }));
    assert_eq!(reader.clone().u64(), Err(CodecError::Truncated { expected: 8, got: 1 }));
    assert_eq!(reader.flag("f"), Ok(true));
    assert_eq!(reader.u8(), Err(CodecError::Truncated { expected: 1, got: 0 }));
    assert_eq!(reader.finish(), Ok(()));
    assert_eq!(Reader::new(&[2]).flag("f"), Err(CodecError::UnexpectedValue { field: "f", got: 2 }));
}

proptest! {
    #[test]
    fn round_trips(seed in any::<u64>(), byte in 0usize..64, bit in 0u8..8) {
        let scalar = Fr::from(seed).inverse().unwrap_or(Fr::ZERO);
        prop_assert_eq!(fr_from_bytes(&fr_to_bytes(&scalar)), Ok(scalar));
        let g1 = (G1Affine::generator() * scalar).into_affine();
        let mut bytes = g1_to_bytes(&g1);
        prop_assert_eq!(g1_from_bytes(&bytes), Ok(g1));
        let g2 = (G2Affine::generator() * scalar).into_affine();
        prop_assert_eq!(g2_from_bytes(&g2_to_bytes(&g2)), Ok(g2));
        bytes[byte] ^= 1 << bit;
        prop_assert_ne!(g1_from_bytes(&bytes), Ok(g1));
    }

    #[test]
    fn whatever_is_read_writes_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new(&bytes);
        if let Ok(value) = reader.fr() {
            prop_assert_eq!(&fr_to_bytes(&value)[..], &bytes[..32]);
        }
        let mut reader = Reader::new(&bytes);
        if let Ok(point) = reader.g1() {
            prop_assert_eq!(&g1_to_bytes(&point)[..], &bytes[..64]);
        }
        let _ = Reader::new(&bytes).g2();
    }
}
