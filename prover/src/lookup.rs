//! Proving the fraction tree (docs/protocol.md#lookups).

use crate::{
    device::{Device, LeafRun, Leaves, Numerators},
    transcript::ProverTranscript,
    witness::{Witness, block_values},
};
use ark_ff::{AdditiveGroup, PrimeField};
use assay_circuits::Program;
use assay_verifier::{Fr, protocol::gkr::LeafClaim};
use std::borrow::Cow;

/// What stands at the leaves.
pub fn leaves<'a>(program: &'a Program, witness: &'a Witness, alpha: Fr, beta: Fr) -> Leaves<'a> {
    let lookups = program.segments.iter().zip(&witness.segments).map(|(s, v)| LeafRun {
        leaf: s.leaf,
        shape: Cow::Borrowed(&s.shape),
        keys: Cow::Borrowed(&v.keys),
        values: Cow::Borrowed(&v.values),
        sides: &v.sides,
        tag: program.blocks[s.block].tag,
        numerators: Numerators::Ones,
    });
    let tables = program.blocks.iter().enumerate().map(|(i, b)| LeafRun {
        leaf: b.leaf,
        shape: Cow::Owned(vec![1 << b.bits]),
        keys: (0..1usize << b.bits).map(|k| (b.key_min + k as i64) as i32).collect(),
        values: block_values(program, i).into(),
        sides: &[],
        tag: b.tag,
        numerators: Numerators::Minus(&witness.multiplicities[i]),
    });
    Leaves { bits: program.leaf_bits, alpha, beta, runs: lookups.chain(tables).collect() }
}

/// The element of a small integer.
pub fn element(v: i32) -> Fr {
    let m = Fr::from(v.unsigned_abs());
    if v < 0 { -m } else { m }
}

/// Proves that all leaf fractions add up to zero, and returns the claim on the leaves.
pub fn prove(device: &impl Device, leaves: &Leaves<'_>, transcript: &mut ProverTranscript) -> LeafClaim<Fr> {
    let mut tree = device.fraction_tree(leaves);
    let mut claim = LeafClaim { point: vec![], p: Fr::ZERO, q: Fr::ZERO };
    send_children(device.fraction_children(&tree), transcript, &mut claim, vec![]);
    for k in 1..leaves.bits {
        let mix = transcript.challenge();
        let suffixes = device.eq_suffixes(&claim.point);
        let mut point = Vec::with_capacity(k + 1);
        let mut round = device.fraction_descend(&mut tree, &suffixes[0], mix);
        for j in 0..k {
            transcript.send(round[0]);
            transcript.send(round[1]);
            let r = transcript.challenge();
            point.push(r);
            round = device.fraction_bind_round(&mut tree, r, suffixes.get(j + 1), mix);
        }
        send_children(device.fraction_children(&tree), transcript, &mut claim, point);
    }
    claim
}

/// Sends the four values of a layer that is bound to one pair of children, and descends.
fn send_children(values: [Fr; 4], transcript: &mut ProverTranscript, claim: &mut LeafClaim<Fr>, point: Vec<Fr>) {
    values.iter().for_each(|v| transcript.send(*v));
    let tau = transcript.challenge();
    let [p0, p1, q0, q1] = values;
    claim.p = p0 + tau * (p1 - p0);
    claim.q = q0 + tau * (q1 - q0);
    claim.point = vec![tau];
    claim.point.extend(point);
}

/// `2^-n`.
pub fn half_power(n: usize) -> Fr {
    use ark_ff::Field;
    let half = Fr::from_bigint(Fr::MODULUS_MINUS_ONE_DIV_TWO).unwrap_or(Fr::ZERO) + Fr::ONE;
    half.pow([n as u64])
}
