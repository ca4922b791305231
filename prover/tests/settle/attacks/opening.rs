//! Openings of something longer, or blinded by something else.

use super::{
    court::{Judges, before_opening, court, evaluate},
    settle_support::{Made, mock, random},
};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};
use assay_circuits::ring::eq_table;
use assay_prover::msm::msm;
use assay_verifier::{
    Fr, G1Affine,
    keccak::KeccakTranscript,
    opening::{
        OpeningProof,
        folds::{fold_points, fold_weights},
        schedule,
    },
    settle::argument::SettledArgument,
};

/// The opening of a polynomial of any length, by the documented protocol, whether the claim is true or not.
fn open_any(bases: &[G1Affine], h: &[Fr], low: &[Fr], transcript: &mut KeccakTranscript) -> (OpeningProof, Vec<Fr>) {
    let mut polynomials = vec![h.to_vec()];
    for coordinates in low.rchunks(2) {
        let weights = eq_table(coordinates);
        let last = polynomials.last().unwrap();
        let part = |c: &[Fr]| c.iter().zip(&weights).map(|(v, w)| *v * w).sum();
        polynomials.push(last.chunks(weights.len()).map(part).collect());
    }
    let constant = polynomials.pop().unwrap();
    let commit = |p: &[Fr]| msm(&bases[..p.len()], p).into_affine();
    let at = |p: &[Fr], x: Fr| p.iter().rev().fold(Fr::ZERO, |acc, c| acc * x + c);
    let folds: Vec<G1Affine> = polynomials[1..].iter().map(|p| commit(p)).collect();
    let points = fold_points(schedule::folds(transcript, &folds), low.len());
    let evaluations: Vec<Fr> =
        polynomials.iter().zip(&points).flat_map(|(p, f)| f.points[1..].iter().map(|u| at(p, *u))).collect();
    let nu = schedule::evaluations(transcript, &evaluations);
    // (P - l) / (X^n - next) leaves the remainder of P as l; the remainders' values at zeta follow.
    let mut w = vec![Fr::ZERO; h.len()];
    let mut rests = vec![];
    let mut power = Fr::ONE;
    for (p, f) in polynomials.iter().zip(&points) {
        let n = f.points.len();
        let mut rest = p.clone();
        for i in (n..rest.len()).rev() {
            let top = std::mem::take(&mut rest[i]);
            w[i - n] += power * top;
            rest[i - n] += f.next * top;
        }
        rest.truncate(n);
        rests.push(rest);
        power *= nu;
    }
    let quotient = commit(&w);
    let zeta = schedule::quotient(transcript, &quotient);
    let weights = fold_weights(&points, nu, zeta).unwrap();
    let mut l: Vec<Fr> = w.iter().map(|v| -*v).collect();
    for ((p, rest), s) in polynomials.iter().zip(&rests).zip(&weights) {
        p.iter().zip(&mut l).for_each(|(v, l)| *l += *s * v);
        l[0] -= *s * at(rest, zeta);
    }
    assert_eq!(at(&l, zeta), Fr::ZERO);
    for i in (1..l.len()).rev() {
        let top = l[i];
        l[i - 1] += zeta * top;
    }
    let linearised = commit(&l[1..]);
    schedule::linearised(transcript, &linearised);
    (OpeningProof { folds, evaluations, quotient, linearised }, constant)
}

/// Rows whose commitments have coefficients behind the row. The blinding factor takes off the first of them, so a prover can
/// have others and choose it such that the folds still end in a constant: that changes no value. What it cannot do is to make
/// them count.
#[test]
fn coefficients_behind_the_row() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    let bases = &c.lab.srs.g1_powers;
    let size = 1usize << side.row_bits();
    // The opener is the prover's on what the prover opens.
    let k = |made: &Made| side.combined(&made.committed, &made.argument.point, made.argument.gamma);
    let low = |a: &SettledArgument| a.point[a.point.len() - side.row_bits()..].to_vec();
    let (h, beta) = k(&c.made);
    let mut transcript = before_opening(side, claim, &c.made.argument, c.made.committed.digest);
    transcript.absorb_fr(&beta);
    let (opening, constant) = open_any(bases, &h, &low(&c.made.argument), &mut transcript);
    assert_eq!((opening, constant), (c.made.argument.opening.clone(), vec![c.made.argument.value]));

    for (what, extra) in [
        ("the block behind the row", (0..size).map(|i| (i, random())).collect()),
        ("the second block behind the row", vec![(size + 2, Fr::from(7u64))]),
    ] {
        let mut committed = c.made.committed.clone();
        for (i, v) in &extra {
            committed.mask = (committed.mask + bases[size + i] * v).into_affine();
        }
        side.digest(&mut committed);
        // `lie` says what is added to the mask's value; `adapt` is whether the blinding factor makes the block vanish.
        for (lie, adapt) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut messages = side.messages(&committed);
            let low = side.fill(&committed, messages.clone()).claim.low;
            let block: Vec<Fr> = (0..size).map(|i| sum_at(&extra, i)).collect();
            if lie {
                // As if the block behind the row, where the folds put it, were part of it.
                *messages.last_mut().unwrap() += evaluate(&block, &low) + Fr::ONE;
            }
            let talk = side.fill(&committed, messages);
            assert_eq!(mock(&talk.filled), Ok(()));
            let mut a = side.finish(committed.clone(), talk.clone()).argument;
            let gamma = a.gamma;
            let (mut h, mut beta) = side.combined(&committed, &a.point, gamma);
            h.resize(3 * size, Fr::ZERO);
            for (i, v) in &extra {
                h[size + i] += gamma.square() * v;
            }
            if adapt {
                let now = evaluate(&h[size..2 * size], &low);
                let off = now / eq_table(&low)[0];
                h[size] -= off;
                beta += off;
            }
            let mut transcript = before_opening(side, claim, &a, committed.digest);
            transcript.absorb_fr(&beta);
            let (opening, constant) = open_any(bases, &h, &low, &mut transcript);
            (a.beta, a.opening) = (beta, opening);
            let harmless = !lie && constant[1..].iter().all(|v| *v == Fr::ZERO);
            assert_eq!(harmless, !lie && adapt && !what.contains("second block"), "{what}");
            assert_eq!(judges.verdict(claim, &a), harmless, "{what}, lie {lie}, adapted {adapt}");
            // The value that is opened is that of the row itself.
            assert_eq!(constant[0] == a.value, !lie);
        }
    }
}

fn sum_at(extra: &[(usize, Fr)], i: usize) -> Fr {
    extra.iter().filter(|(at, _)| *at == i).map(|(_, v)| *v).sum()
}

#[test]
fn blinding_factors_that_move() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    let delta = Fr::from(9u64);
    let k = side.coefficients(&c.made.argument.point, c.made.argument.gamma);
    // From the rows to the factor, after the proof; then with the opening made again.
    for again in [false, true] {
        let mut a = c.made.argument.clone();
        a.rows[0] = side.blind(a.rows[0], delta);
        a.beta += k.witness[0] * delta;
        if again {
            let (h, _) = side.combined(&c.made.committed, &a.point, a.gamma);
            let mut t = before_opening(side, claim, &c.made.argument, c.made.committed.digest);
            a.opening = side.open(&h, a.beta, &a.point, &mut t);
        }
        judges.refuse("blinding moved from the factor to a row", claim, &a);
        let mut a = c.made.argument.clone();
        a.beta += delta;
        if again {
            let (h, _) = side.combined(&c.made.committed, &a.point, a.gamma);
            let mut t = before_opening(side, claim, &a, c.made.committed.digest);
            a.opening = side.open(&h, a.beta, &a.point, &mut t);
        }
        judges.refuse("another blinding factor", claim, &a);
    }
    // The factor is hashed before the opening's challenges: changed afterwards with the last quotient solved for, as far as
    // somebody can who does not know tau, it is refused too.
    let mut a = c.made.argument.clone();
    a.beta += delta;
    a.opening.quotient = (a.opening.quotient - side.descriptor.blinder * delta).into_affine();
    judges.refuse("the factor made up for by a quotient", claim, &a);
}
