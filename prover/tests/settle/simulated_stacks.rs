//! The half of a settled proof that opens rows, made by somebody who has neither values nor blinding factors of any stack
//! (docs/protocol.md#hiding): rows of named stacks enter it as they are given, so proofs about them say no more than the ids do.

use crate::{settle_support, stack_set, support};

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use assay_circuits::{
    GraphBuilder,
    ring::{dot, eq_table},
    stack::Role,
};
use assay_prover::{device::Cpu, msm::msm, opening};
use assay_verifier::{
    Fr, G1Affine,
    keccak::KeccakTranscript,
    opening::{OpeningError, OpeningProof, combine_rows, verify as verify_opening},
    settle::{
        check::{coefficients, given_ids, statement},
        descriptor::Descriptor,
    },
};
use settle_support::{context, random};
use stack_set::{given, key, named, schema, srs};
use support::model;

/// A key about two given stacks of two rows each.
fn descriptor() -> Descriptor {
    let mut g = GraphBuilder::new(6);
    let a = g.input("a", &[1, 300], 8).unwrap();
    let b = g.input("b", &[1, 300], 8).unwrap();
    let d = g.linear("difference", &[(a, 1), (b, -1)], 0).unwrap();
    let s = schema(&[("v", &[1, 300], 8)]);
    let of = |name, k| given(named(name, &s, &[Some(Role::Input(k))]));
    key(&model(g.finish(vec![a, b], vec![d]).unwrap(), 1), vec![of("a", 0), of("b", 1)], 1).key.descriptor
}

/// Points that are commitments to nothing anybody knows.
fn points(n: usize) -> Vec<G1Affine> {
    (0..n).map(|_| (G1Affine::generator() * random()).into_affine()).collect()
}

/// What is seen of the opening: all but the rows of the stacks is drawn, and the mask follows.
struct Seen {
    rows: Vec<G1Affine>,
    mask: G1Affine,
    point: Vec<Fr>,
    gamma: Fr,
    beta: Fr,
    value: Fr,
    opening: OpeningProof,
}

/// The transcript where the opening begins.
fn transcript(
    d: &Descriptor,
    of_stacks: &[Vec<G1Affine>],
    rows: &[G1Affine],
    mask: &G1Affine,
    beta: &Fr,
) -> KeccakTranscript {
    let public: Vec<Vec<i64>> = d.public.iter().map(|p| vec![0; p.count]).collect();
    let ids = given_ids(d, of_stacks);
    let mut t = KeccakTranscript::from_state(statement(&d.id(), &context().digest(), &ids, &public, rows, mask));
    t.absorb_fr(beta);
    t
}

fn simulate(d: &Descriptor, of_stacks: &[Vec<G1Affine>]) -> Seen {
    let size = 1usize << d.row_bits;
    let rows = points(d.witness_rows());
    let point: Vec<Fr> = (0..d.rounds()).map(|_| random()).collect();
    let (gamma, beta) = (random(), random());
    let h: Vec<Fr> = (0..size).map(|_| random()).collect();
    let low = &point[point.len() - d.row_bits..];
    let value = dot(&h, &eq_table(low));
    let bases = &srs().g1_powers[..size];
    let c = coefficients(d, &point, gamma, beta);
    let all: Vec<G1Affine> = rows.iter().chain(&d.model_rows).chain(of_stacks.iter().flatten()).copied().collect();
    let others = combine_rows(&all, &[c.witness, c.model, c.stacks.concat()].concat()).unwrap();
    assert_eq!(c.mask, gamma.pow([2 + of_stacks.len() as u64]));
    let mask = ((msm(bases, &h) + d.blinder * beta - others) * c.mask.inverse().unwrap()).into_affine();
    let mut t = transcript(d, of_stacks, &rows, &mask, &beta);
    let opening = opening::open(&Cpu::default(), &bases, &h, low, &mut t).unwrap().proof;
    Seen { rows, mask, point, gamma, beta, value, opening }
}

/// The opening half of the check.
fn verdict(d: &Descriptor, of_stacks: &[Vec<G1Affine>], s: &Seen) -> Result<(), OpeningError> {
    let c = coefficients(d, &s.point, s.gamma, s.beta);
    let all = s.rows.iter().chain(&d.model_rows).chain(of_stacks.iter().flatten()).chain([&s.mask, &d.blinder]);
    let scalars = [c.witness, c.model, c.stacks.concat(), vec![c.mask, c.blinder]].concat();
    let commitment = combine_rows(&all.copied().collect::<Vec<_>>(), &scalars)?.into_affine();
    let mut t = transcript(d, of_stacks, &s.rows, &s.mask, &s.beta);
    let low = &s.point[s.point.len() - d.row_bits..];
    verify_opening(&srs().verifier(), commitment, low, s.value, &s.opening, &mut t)
}

#[test]
fn openings_are_simulated_from_the_rows_of_stacks() {
    let d = descriptor();
    let of_stacks: Vec<Vec<G1Affine>> = d.given().map(|s| points(1 << (s.bits - d.row_bits))).collect();
    assert_eq!(of_stacks.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    // Two proofs about the same rows share nothing else.
    let [one, two] = [0, 1].map(|_| simulate(&d, &of_stacks));
    verdict(&d, &of_stacks, &one).unwrap();
    verdict(&d, &of_stacks, &two).unwrap();
    assert!(one.rows.iter().zip(&two.rows).all(|(a, b)| a != b) && one.mask != two.mask && one.beta != two.beta);
    // They are about these rows, in these places.
    let mut moved = of_stacks.clone();
    moved.swap(0, 1);
    verdict(&d, &moved, &one).unwrap_err();
    for stack in 0..2 {
        for row in 0..2 {
            let mut other = of_stacks.clone();
            other[stack][row] = points(1)[0];
            verdict(&d, &other, &one).unwrap_err();
        }
    }
}
