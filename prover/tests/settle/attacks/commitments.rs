//! Commitments that are others, in another order, or not there.

use super::{
    court::{FALSE_OPENING, Judges, court, points, scalars},
    settle_support::{Halves, mock},
};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, Field, PrimeField};
use assay_circuits::ring::eq_table;
use assay_verifier::{Fr, G1Affine};

#[test]
fn honest_proofs_are_accepted() {
    let c = court();
    let mut judges = Judges::new(c.side());
    for made in [&c.made, &c.again, &c.other] {
        assert!(judges.verdict(&made.committed.claim, &made.argument));
        assert_eq!(c.side().halves(&made.committed.claim, &made.argument), Halves { halo2: true, opening: true });
    }
}

#[test]
fn commitments_in_another_order() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    let rows = c.made.argument.rows.len();
    assert!(rows >= 4);
    for (i, j) in [(0, rows - 1), (1, 2)] {
        let mut a = c.made.argument.clone();
        a.rows.swap(i, j);
        judges.refuse("rows swapped afterwards", claim, &a);
        // Hashed in that order, and opened as if they were in the other.
        let mut committed = c.made.committed.clone();
        committed.rows.swap(i, j);
        side.digest(&mut committed);
        let talk = side.talk(&committed);
        judges.refuse_half(
            "rows hashed in another order",
            claim,
            &side.finish(committed, talk).argument,
            FALSE_OPENING,
        );
    }
    let mut a = c.made.argument.clone();
    std::mem::swap(&mut a.mask, &mut a.rows[0]);
    judges.refuse("mask and row swapped", claim, &a);
    let mut committed = c.made.committed.clone();
    std::mem::swap(&mut committed.mask, &mut committed.rows[0]);
    side.digest(&mut committed);
    let talk = side.talk(&committed);
    judges.refuse_half("mask hashed as a row", claim, &side.finish(committed, talk).argument, FALSE_OPENING);
}

/// `x + r` and `x + q` are the same numbers to precompiles and to `mulmod`, but other bytes to a hash.
#[test]
fn numbers_that_are_not_reduced() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    let proof = c.made.argument.to_bytes();
    let mut changed = c.made.argument.clone();
    let (n_points, n_scalars) = (points(&mut changed).len(), scalars(&mut changed).len());
    assert_eq!(proof.len(), 64 * n_points + 32 * n_scalars);
    // Words that are coordinates, by what changing a point changes.
    let mut coordinate = vec![false; proof.len() / 32];
    for i in 0..n_points {
        let mut a = c.made.argument.clone();
        *points(&mut a)[i] = G1Affine::generator();
        let words = a.to_bytes();
        words.chunks(32).zip(proof.chunks(32)).zip(&mut coordinate).for_each(|((a, b), c)| *c |= a != b);
    }
    assert_eq!(coordinate.iter().filter(|c| **c).count(), 2 * n_points);
    for (at, is_coordinate) in coordinate.into_iter().enumerate() {
        let word = &proof[32 * at..32 * at + 32];
        let modulus = if is_coordinate { ark_bn254::Fq::MODULUS } else { Fr::MODULUS };
        let mut big = ark_ff::BigInt::<4>(std::array::from_fn(|i| {
            u64::from_be_bytes(word[24 - 8 * i..32 - 8 * i].try_into().unwrap())
        }));
        assert!(!big.add_with_carry(&modulus));
        let mut proof = proof.clone();
        proof[32 * at..32 * at + 32].copy_from_slice(&big.to_bytes_be());
        judges.refuse_bytes(&format!("word {at} not reduced"), claim, &proof);
    }
}

#[test]
fn masks_that_are_not_the_proofs_own() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    let mut a = c.made.argument.clone();
    a.mask = c.again.argument.mask;
    judges.refuse("the mask of another proof", claim, &a);
    // Hashed with the commitment of another mask.
    let mut committed = c.made.committed.clone();
    committed.mask = c.again.committed.mask;
    side.digest(&mut committed);
    let talk = side.talk(&committed);
    judges.refuse_half("a mask that was not committed", claim, &side.finish(committed, talk).argument, FALSE_OPENING);
    // A value of the mask row that makes up for a false f(x): one message, the last but two, and the last.
    let mut messages = c.made.talk.messages.clone();
    let last = messages.len() - 1;
    messages[last] += Fr::ONE;
    let talk = side.fill(&c.made.committed, messages);
    assert_eq!(mock(&talk.filled), Ok(()));
    let made = side.finish(c.made.committed.clone(), talk);
    judges.refuse_half("another_mask_value", claim, &made.argument, FALSE_OPENING);
    // The commitment moved so that the opening of the false value is true, after gamma is known.
    let talk = made.talk;
    let mut late = c.made.committed.clone();
    let shift = Fr::ONE / eq_table(&talk.claim.low)[0];
    late.mask_row[0] += shift;
    late.mask = (late.mask + side.bases[0] * shift).into_affine();
    let a = side.conclude(&late, &talk.filled, |point, gamma, _| side.combined(&late, point, gamma));
    judges.refuse("a mask chosen after gamma", claim, &a);
    // With the digest that the mask had before, the two halves hold: it is the digest that refuses.
    assert!(side.oracle(late.digest, &talk.filled.instances, &a.halo2).0);
}

#[test]
fn rows_that_are_missing() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    let proof = c.made.argument.to_bytes();
    for i in 0..c.made.argument.rows.len() {
        let mut a = c.made.argument.clone();
        a.rows[i] = G1Affine::zero();
        judges.refuse("a row replaced by infinity", claim, &a);
        let mut shorter = proof.clone();
        shorter.drain(64 * i..64 * i + 64);
        judges.refuse_bytes("a row left out", claim, &shorter);
        let mut longer = proof.clone();
        longer.splice(64 * i..64 * i, proof[..64].iter().copied());
        judges.refuse_bytes("a row too many", claim, &longer);
    }
    let mut committed = c.made.committed.clone();
    committed.rows[0] = G1Affine::zero();
    side.digest(&mut committed);
    let talk = side.talk(&committed);
    judges.refuse_half("a row that is not committed", claim, &side.finish(committed, talk).argument, FALSE_OPENING);
}
