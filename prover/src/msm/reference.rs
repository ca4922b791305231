//! The definition, term by term: what the fast products are tested against.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ff::AdditiveGroup;

/// `sum_i scalars[i] * bases[i]`, over the shorter of the two.
pub fn msm(bases: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    bases.iter().zip(scalars).fold(G1Projective::ZERO, |total, (base, scalar)| total + *base * scalar)
}

/// One point for each row of `row_len` values.
pub fn commit_rows(bases: &[G1Affine], values: &[i32], row_len: usize) -> Vec<G1Affine> {
    values
        .chunks(row_len)
        .map(|row| {
            let scalars: Vec<Fr> = row.iter().map(|&value| Fr::from(value)).collect();
            msm(bases, &scalars).into()
        })
        .collect()
}
