//! Parts of other proofs, and parts that are trivial.

use super::court::{Judges, court, points, scalars};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field};
use assay_verifier::{Fr, G1Affine, settle::argument::SettledArgument};

/// Parts of two proofs in all combinations.
#[test]
fn parts_of_two_proofs() {
    let c = court();
    let mut judges = Judges::new(c.side());
    for other in [&c.again, &c.other] {
        for choice in 1..63u32 {
            let from = |i: u32| if choice >> i & 1 == 1 { other } else { &c.made };
            let a = SettledArgument {
                given: vec![],
                rows: from(0).argument.rows.clone(),
                mask: from(1).argument.mask,
                zeta: from(2).argument.zeta,
                gamma: from(2).argument.gamma,
                value: from(3).argument.value,
                point: from(3).argument.point.clone(),
                halo2: from(4).argument.halo2.clone(),
                beta: from(5).argument.beta,
                opening: from(5).argument.opening.clone(),
            };
            let claims = [&c.made.committed.claim, &other.committed.claim];
            let same = claims[0].public == claims[1].public;
            for claim in &claims[usize::from(same)..] {
                judges.refuse(&format!("parts {choice:06b}"), claim, &a);
            }
        }
    }
}

#[test]
fn points_at_infinity_and_their_opposites() {
    let c = court();
    let claim = &c.made.committed.claim;
    let mut judges = Judges::new(c.side());
    let honest = &c.made.argument;
    let count = points(&mut honest.clone()).len();
    for i in 0..count {
        for what in ["infinity", "the opposite", "the generator"] {
            let mut a = honest.clone();
            let p = &mut points(&mut a)[i];
            **p = match what {
                "infinity" => G1Affine::zero(),
                "the opposite" => -**p,
                _ => G1Affine::generator(),
            };
            judges.refuse(&format!("point {i}: {what}"), claim, &a);
        }
    }
    // Everything trivial, as far as counts allow.
    let mut a = honest.clone();
    points(&mut a).into_iter().for_each(|p| *p = G1Affine::zero());
    judges.refuse("all points at infinity", claim, &a);
    scalars(&mut a).into_iter().for_each(|s| *s = Fr::ZERO);
    judges.refuse("all zero", claim, &a);
    // The permutation's product one.
    let n = a.halo2.evaluations.len();
    a.halo2.evaluations[n - 2..].fill(Fr::ONE);
    judges.refuse("all zero but the product", claim, &a);
    for i in 0..scalars(&mut honest.clone()).len() {
        for add in [Fr::ONE, -Fr::ONE] {
            let mut a = honest.clone();
            *scalars(&mut a)[i] += add;
            judges.refuse(&format!("scalar {i}"), claim, &a);
        }
        let mut a = honest.clone();
        *scalars(&mut a)[i] = Fr::ZERO;
        judges.refuse(&format!("scalar {i} zero"), claim, &a);
    }
}
