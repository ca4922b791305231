//! Proving the fraction tree (docs/protocol.md#lookups).

use crate::{
    device::{Device, LeafRun, Leaves, Numerators},
    transcript::ProverTranscript,
    witness::{VectorValues, Witness, block_values},
};
use ark_ff::{AdditiveGroup, PrimeField};
use assay_circuits::{Program, program::VectorLookup};
use assay_verifier::{Fr, protocol::gkr::LeafClaim};
use rayon::prelude::*;
use std::borrow::Cow;

/// What stands at the leaves.
pub fn leaves<'a>(program: &'a Program, witness: &'a Witness, alpha: Fr, beta: Fr) -> Leaves<'a> {
    let lookups = program.segments.iter().zip(&witness.segments).map(|(s, v)| LeafRun {
        leaf: s.leaf,
        shape: Cow::Borrowed(&s.shape),
        keys: Cow::Borrowed(&v.keys),
        values: Cow::Borrowed(&v.values),
        sides: &v.sides,
        rows: Cow::Borrowed(&[]),
        tag: program.blocks[s.block].tag,
        numerators: Numerators::Ones,
    });
    let tables = program.blocks.iter().enumerate().map(|(i, b)| LeafRun {
        leaf: b.leaf,
        shape: Cow::Owned(vec![1 << b.bits]),
        keys: (0..1usize << b.bits).map(|k| (b.key_min + k as i64) as i32).collect(),
        values: block_values(program, i).into(),
        sides: &[],
        rows: Cow::Borrowed(&[]),
        tag: b.tag,
        numerators: Numerators::Minus(&witness.multiplicities[i]),
    });
    let vectors = program.vectors.iter().zip(&witness.vectors).flat_map(|(v, w)| vector_runs(v, w, beta));
    Leaves { bits: program.leaf_bits, alpha, beta, runs: lookups.chain(tables).chain(vectors).collect() }
}

/// The indices of a gather and the rows of its table.
fn vector_runs<'a>(v: &'a VectorLookup, w: &'a VectorValues, beta: Fr) -> [LeafRun<'a>; 2] {
    let run = |leaf, shape: &'a [usize], keys: &'a [i32], places: &'a [i32], rows: &[i32], numerators| LeafRun {
        leaf,
        shape: Cow::Borrowed(shape),
        keys: Cow::Borrowed(keys),
        values: Cow::Borrowed(&[]),
        sides: places,
        rows: row_prints(rows, v.width(), beta).into(),
        tag: v.tag,
        numerators,
    };
    [
        run(v.index_leaf, &v.index_shape, &w.index, &w.index_places, &w.gathered, Numerators::Ones),
        run(v.rows_leaf, &v.rows_shape, &w.keys, &w.row_places, &w.table, Numerators::Minus(&w.counts)),
    ]
}

/// `sum_j beta^(3+j) row_j` for each row.
fn row_prints(rows: &[i32], width: usize, beta: Fr) -> Vec<Fr> {
    let mut powers = Vec::with_capacity(width);
    let mut power = beta * beta * beta;
    for _ in 0..width {
        powers.push(power);
        power *= beta;
    }
    let print = |row: &[i32]| row.iter().zip(&powers).map(|(v, power)| element(*v) * power).sum();
    rows.par_chunks_exact(width.max(1)).map(print).collect()
}

/// The element of a small integer.
pub fn element(v: i32) -> Fr {
    let m = Fr::from(v.unsigned_abs());
    if v < 0 { -m } else { m }
}

/// Proves that all leaf fractions add up to zero, and returns the claim on the leaves.
pub fn prove(device: &impl Device, leaves: &Leaves<'_>, transcript: &mut ProverTranscript) -> LeafClaim<Fr> {
    let mut tree = device.fraction_tree(leaves);
    let mut children = device.fraction_children(&tree);
    let mut claim = send_children(children, transcript, vec![]);
    for k in 1..leaves.bits {
        let mix = transcript.challenge();
        let mut point = Vec::with_capacity(k + 1);
        let slope = device.fraction_descend(&mut tree, &claim.point, mix);
        let mut round = [children[2] + mix * children[0], slope];
        for _ in 0..k {
            transcript.send(round[0]);
            transcript.send(round[1]);
            let r = transcript.challenge();
            point.push(r);
            round = device.fraction_bind_round(&mut tree, r);
        }
        children = device.fraction_children(&tree);
        claim = send_children(children, transcript, point);
    }
    claim
}

/// Sends the four values of a layer that is bound to one pair of children, and descends.
fn send_children(values: [Fr; 4], transcript: &mut ProverTranscript, bound: Vec<Fr>) -> LeafClaim<Fr> {
    values.iter().for_each(|v| transcript.send(*v));
    let tau = transcript.challenge();
    let [p0, p1, q0, q1] = values;
    let mut point = vec![tau];
    point.extend(bound);
    LeafClaim { point, p: p0 + tau * (p1 - p0), q: q0 + tau * (q1 - q0) }
}

/// `2^-n`.
pub fn half_power(n: usize) -> Fr {
    use ark_ff::Field;
    let half = Fr::from_bigint(Fr::MODULUS_MINUS_ONE_DIV_TWO).unwrap_or(Fr::ZERO) + Fr::ONE;
    half.pow([n as u64])
}
