//! Challenges and points that are not those of the transcript.

use super::{
    court::{FALSE_CIRCUIT, FALSE_OPENING, Judges, before_opening, court, evaluate},
    settle_support::{Claim, Halves, Made, Side, mock},
};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, Field};
use assay_verifier::{
    Fr, G1Affine,
    keccak::KeccakTranscript,
    opening::pairing_terms,
    settle::{argument::SettledArgument, tape::instance},
};

/// A proof made again after public inputs of the circuit were changed; the opening is made for the changed ones.
fn with_inputs(side: &Side, made: &Made, change: impl Fn(&mut [Fr])) -> SettledArgument {
    let mut filled = made.talk.filled.clone();
    change(&mut filled.instances);
    let count = filled.instances.len();
    for at in 0..count {
        filled.advice[at][5] = filled.instances[at];
    }
    assert!(mock(&filled).is_err());
    side.conclude(&made.committed, &filled, |point, gamma, _| side.combined(&made.committed, point, gamma))
}

/// What is done to the public inputs.
type Change = (&'static str, fn(&mut [Fr]));

#[test]
fn challenges_that_are_others() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    let mut a = c.made.argument.clone();
    std::mem::swap(&mut a.gamma, &mut a.zeta);
    judges.refuse("gamma and zeta swapped", claim, &a);
    // The value that goes with the changed challenges, so that the opening is true.
    let true_value = |i: &mut [Fr]| {
        let (h, _) = side.combined(&c.made.committed, &i[instance::POINT..], i[instance::GAMMA]);
        i[instance::VALUE] = evaluate(&h, &i[i.len() - side.row_bits()..]);
    };
    let changes: [Change; 7] = [
        ("gamma and zeta swapped", |i| i.swap(instance::GAMMA, instance::ZETA)),
        ("gamma zero: no mask, no model", |i| i[instance::GAMMA] = Fr::ZERO),
        ("gamma negated: its square is the same", |i| i[instance::GAMMA] = -i[instance::GAMMA]),
        ("another coordinate", |i| *i.last_mut().unwrap() += Fr::ONE),
        ("coordinates in another order", |i| i[instance::POINT..].reverse()),
        ("a coordinate that selects a row", |i| i[instance::POINT] = Fr::ONE),
        ("zeta zero: only the first public value counts", |i| i[instance::ZETA] = Fr::ZERO),
    ];
    for (what, change) in changes {
        let public = |i: &mut [Fr]| {
            i[instance::PUBLIC] = assay_verifier::native::public_sum(&claim.public, &i[instance::ZETA]);
        };
        let a = with_inputs(side, &c.made, |i| {
            change(i);
            true_value(i);
            public(i);
        });
        judges.refuse_half(what, claim, &a, FALSE_CIRCUIT);
    }
}

#[test]
fn openings_at_another_point() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    for i in 0..c.made.argument.point.len() {
        // A true opening at another point, behind a true proof of the circuit.
        let mut a = c.made.argument.clone();
        let mut point = a.point.clone();
        point[i] += Fr::ONE;
        let (h, beta) = side.combined(&c.made.committed, &point, a.gamma);
        a.beta = beta;
        let mut t = before_opening(side, claim, &a, c.made.committed.digest);
        a.opening = side.open(&h, beta, &point, &mut t);
        // The first coordinate within a row enters an opening through the value alone: the proof is the same.
        if i + side.row_bits() == point.len() {
            assert_eq!(a, c.made.argument);
        } else {
            judges.refuse_half("an opening at another point", claim, &a, FALSE_OPENING);
        }
        a.point = point;
        a.value = evaluate(&h, &a.point[a.point.len() - side.row_bits()..]);
        judges.refuse("an opening at another point, which it says", claim, &a);
    }
    // Made on a transcript that has not seen the circuit's proof.
    let mut a = c.made.argument.clone();
    let (h, beta) = side.combined(&c.made.committed, &a.point, a.gamma);
    a.opening = side.open(&h, beta, &a.point, &mut KeccakTranscript::from_state(c.made.committed.digest));
    judges.refuse_half("an opening on a transcript of its own", claim, &a, FALSE_OPENING);
}

/// `u` of the circuit's half, `zeta` and `rho` of the opening's.
fn last_challenges(side: &Side, claim: &Claim, a: &SettledArgument, digest: [u8; 32]) -> [Fr; 3] {
    let mut t = KeccakTranscript::from_state(digest);
    t.absorb_frs(&side.instances(claim, a));
    t.absorb_points(&a.halo2.advice);
    for _ in 0..3 {
        t.challenge();
    }
    t.absorb_points(&[a.halo2.product, a.halo2.random]);
    t.challenge();
    t.absorb_points(&a.halo2.quotient);
    t.challenge();
    t.absorb_frs(&a.halo2.evaluations);
    for _ in 0..2 {
        t.challenge();
    }
    t.absorb_point(&a.halo2.w);
    let u = t.challenge();
    t.absorb_point(&a.halo2.w_prime);
    t.absorb_fr(&a.beta);
    let low = &a.point[a.point.len() - side.row_bits()..];
    let zeta = pairing_terms(low, a.value, &a.opening, &mut t).unwrap().linearised;
    [u, zeta, t.challenge()]
}

/// One pairing checks both halves: errors that cancel under a rho that was known beforehand.
#[test]
fn errors_that_cancel_between_the_halves() {
    let c = court();
    let (side, claim) = (c.side(), &c.made.committed.claim);
    let mut judges = Judges::new(side);
    let digest = c.made.committed.digest;
    let honest = &c.made.argument;
    let [u, zeta, rho] = last_challenges(side, claim, honest, digest);
    let [one, tau] = [c.lab.srs.g1_powers[0], c.lab.srs.g1_powers[1]];
    // (u - tau) A + rho (zeta - tau) B = 0 for A = (zeta - tau) 1 and B = -(u - tau) / rho 1, whatever tau is.
    let first = one * zeta - tau;
    let second = (tau.into_group() - one * u) * rho.inverse().unwrap();
    let mut a = honest.clone();
    a.halo2.w_prime = (a.halo2.w_prime + first).into_affine();
    a.opening.linearised = (a.opening.linearised + second).into_affine();
    judges.refuse("errors that cancel under the honest rho", claim, &a);
    // Each half is off, and under the stale challenges the sum is not: the attack is what it says.
    assert_eq!(side.halves(claim, &a), Halves { halo2: false, opening: false });
    let [_, _, fresh] = last_challenges(side, claim, &a, digest);
    assert_ne!(fresh, rho);
    // One step on: for the rho of the last attempt.
    for _ in 0..3 {
        let [u, zeta, rho] = last_challenges(side, claim, &a, digest);
        a.halo2.w_prime = (honest.halo2.w_prime + one * zeta - tau).into_affine();
        a.opening.linearised =
            (honest.opening.linearised + (tau.into_group() - one * u) * rho.inverse().unwrap()).into_affine();
        judges.refuse("errors that cancel under the last rho", claim, &a);
    }
    let mut a = honest.clone();
    std::mem::swap(&mut a.halo2.w_prime, &mut a.opening.linearised);
    judges.refuse("quotients of the halves swapped", claim, &a);
    let mut a = honest.clone();
    std::mem::swap(&mut a.halo2.w, &mut a.opening.quotient);
    judges.refuse("first quotients of the halves swapped", claim, &a);
    // Everything in one half.
    let mut a = honest.clone();
    a.halo2.w_prime = (a.halo2.w_prime + a.opening.linearised * rho).into_affine();
    a.opening.linearised = G1Affine::zero();
    judges.refuse("both quotients in one", claim, &a);
}
