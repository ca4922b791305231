//! Field elements and points between arkworks and halo2curves: both are Montgomery forms of the same numbers.

use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField as _};
use assay_verifier::{Fr, G1Affine, G2Affine};
use halo2_proofs::halo2curves::{
    bn256::{self, Fq2},
    ff::PrimeField as _,
    group::prime::PrimeCurveAffine,
};

/// A scalar for Halo2.
pub(super) fn scalar(x: &Fr) -> bn256::Fr {
    bn256::Fr::from_raw(x.into_bigint().0)
}

/// A scalar of Halo2.
pub(super) fn scalar_back(x: &bn256::Fr) -> Fr {
    Fr::from_bigint(limbs(x.to_repr().as_ref())).unwrap_or_default()
}

fn base(x: &ark_bn254::Fq) -> bn256::Fq {
    bn256::Fq::from_raw(x.into_bigint().0)
}

fn base_back(x: &bn256::Fq) -> ark_bn254::Fq {
    ark_bn254::Fq::from_bigint(limbs(x.to_repr().as_ref())).unwrap_or_default()
}

/// 32 little-endian bytes.
fn limbs(bytes: &[u8]) -> BigInt<4> {
    let mut out = [0u64; 4];
    for (limb, chunk) in out.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
    }
    BigInt(out)
}

/// A point for Halo2.
pub(super) fn point(p: &G1Affine) -> bn256::G1Affine {
    match p.xy() {
        Some((x, y)) => bn256::G1Affine { x: base(&x), y: base(&y) },
        None => bn256::G1Affine::identity(),
    }
}

/// A point for Halo2, as it computes with points.
pub(super) fn curve(p: &G1Affine) -> bn256::G1 {
    point(p).to_curve()
}

/// A point of Halo2.
pub(super) fn point_back(p: &bn256::G1Affine) -> G1Affine {
    if bool::from(p.is_identity()) {
        return G1Affine::zero();
    }
    G1Affine::new_unchecked(base_back(&p.x), base_back(&p.y))
}

/// A point of G2 for Halo2.
pub(super) fn point_g2(p: &G2Affine) -> bn256::G2Affine {
    match p.xy() {
        Some((x, y)) => {
            let pair = |c: &ark_bn254::Fq2| Fq2::new(base(&c.c0), base(&c.c1));
            bn256::G2Affine { x: pair(&x), y: pair(&y) }
        }
        None => bn256::G2Affine::identity(),
    }
}
