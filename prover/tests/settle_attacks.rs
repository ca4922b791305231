//! Attacks on the joint of circuit, digest and opening. Each is tried on the native check and on the contract, and both
//! must refuse it. The attacker knows the witness and does everything that an honest prover does, except for one thing.

mod golden_set;
mod settle_evm;
mod settle_support;
mod support;

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use assay_circuits::{Visibility, ring::eq_table};
use assay_prover::{msm::msm, srs::Srs};
use assay_verifier::{
    Fr, G1Affine,
    keccak::KeccakTranscript,
    opening::{
        OpeningProof,
        folds::{fold_points, fold_weights},
        pairing_terms, schedule,
    },
    settle::{
        argument::{Halo2Proof, SettledArgument},
        check::{SettleError, check, public_bytes},
        tape::instance,
    },
};
use golden_set::toy_model;
use settle_evm::Contract;
use settle_support::{Claim, Committed, Halves, Lab, Made, Side, Talk, mock, random};
use std::sync::OnceLock;

struct Court {
    lab: Lab,
    made: Made,
    /// Of the same statement.
    again: Made,
    /// Of another one.
    other: Made,
}

fn court() -> &'static Court {
    static COURT: OnceLock<Court> = OnceLock::new();
    COURT.get_or_init(|| {
        let (model, inputs) = toy_model();
        let lab = Lab::new(model, Srs::development(13, 7).unwrap(), 3, 3, Visibility::default());
        let made = lab.inference.prove(lab.claim(&inputs));
        let again = lab.inference.prove(lab.claim(&inputs));
        let mut inputs = inputs;
        inputs[0][0].data[0] = -3;
        let other = lab.inference.prove(lab.claim(&inputs));
        assert_ne!(other.committed.claim.public, made.committed.claim.public);
        Court { lab, made, again, other }
    })
}

impl Court {
    fn side(&self) -> &Side {
        &self.lab.inference
    }
}

/// The native check and the contract.
struct Judges<'a> {
    side: &'a Side,
    contract: Contract,
}

impl<'a> Judges<'a> {
    fn new(side: &'a Side) -> Self {
        Self { side, contract: Contract::new() }
    }

    fn verdict(&mut self, claim: &Claim, argument: &SettledArgument) -> bool {
        let native = self.side.check(claim, argument);
        assert!(matches!(native, Ok(()) | Err(SettleError::Pairing)), "{native:?}");
        let contract = self.contract.agrees(&self.side.descriptor, &claim.public, claim.context, argument);
        assert_eq!(native.is_ok(), contract, "native check and contract do not agree");
        contract
    }

    fn refuse(&mut self, what: &str, claim: &Claim, argument: &SettledArgument) {
        assert!(!self.verdict(claim, argument), "accepted: {what}");
    }

    /// Refused, and by that half or both.
    fn refuse_half(&mut self, what: &str, claim: &Claim, argument: &SettledArgument, expected: Halves) {
        self.refuse(what, claim, argument);
        assert_eq!(self.side.halves(claim, argument), expected, "{what}");
    }

    fn refuse_bytes(&mut self, what: &str, claim: &Claim, proof: &[u8]) {
        assert!(SettledArgument::from_bytes(&self.side.descriptor, proof).is_err(), "decoded: {what}");
        let key = self.side.descriptor.to_bytes();
        let public = public_bytes(&claim.public);
        assert!(!self.contract.accepts(&key, &public, claim.context, proof), "accepted: {what}");
    }
}

const FALSE_OPENING: Halves = Halves { halo2: true, opening: false };
const FALSE_CIRCUIT: Halves = Halves { halo2: false, opening: true };

/// All points of an argument.
fn points(a: &mut SettledArgument) -> Vec<&mut G1Affine> {
    let Halo2Proof { advice, product, random, quotient, w, w_prime, .. } = &mut a.halo2;
    let opening = &mut a.opening;
    let circuit = advice.iter_mut().chain([product, random]).chain(quotient).chain([w, w_prime]);
    let opening = opening.folds.iter_mut().chain([&mut opening.quotient, &mut opening.linearised]);
    a.rows.iter_mut().chain([&mut a.mask]).chain(circuit).chain(opening).collect()
}

/// All scalars of an argument.
fn scalars(a: &mut SettledArgument) -> Vec<&mut Fr> {
    let head = [&mut a.zeta, &mut a.gamma, &mut a.value].into_iter().chain(&mut a.point);
    head.chain(&mut a.halo2.evaluations).chain([&mut a.beta]).chain(&mut a.opening.evaluations).collect()
}

/// The transcript where the opening begins.
fn before_opening(side: &Side, claim: &Claim, argument: &SettledArgument, digest: [u8; 32]) -> KeccakTranscript {
    side.oracle(digest, &side.instances(claim, argument), &argument.halo2).1.unwrap()
}

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

fn evaluate(h: &[Fr], low: &[Fr]) -> Fr {
    h.iter().zip(eq_table(low)).map(|(h, e)| *h * e).sum()
}

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

/// Parts of two proofs in all combinations.
#[test]
fn parts_of_two_proofs() {
    let c = court();
    let mut judges = Judges::new(c.side());
    for other in [&c.again, &c.other] {
        for choice in 1..63u32 {
            let from = |i: u32| if choice >> i & 1 == 1 { other } else { &c.made };
            let a = SettledArgument {
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
fn false_public_values() {
    let c = court();
    let side = c.side();
    let mut judges = Judges::new(side);
    let claim = &c.made.committed.claim;
    for (tensor, at) in [(0, 2), (1, 1)] {
        let mut other = claim.clone();
        other.public[tensor][at] += 1;
        judges.refuse("another public value", &other, &c.made.argument);
        let committed = side.commit(other.clone());
        let talk = side.talk(&committed);
        assert!(mock(&talk.filled).is_err());
        let a = side.finish(committed.clone(), talk.clone()).argument;
        judges.refuse_half("a false run of the protocol", &other, &a, FALSE_CIRCUIT);
        // The evaluation of the public values that the true ones would give.
        let mut filled = talk.filled.clone();
        filled.instances[instance::PUBLIC] =
            assay_verifier::native::public_sum(&claim.public, &talk.filled.instances[1]);
        filled.advice[instance::PUBLIC][5] = filled.instances[instance::PUBLIC];
        let a = side.conclude(&committed, &filled, |p, gamma, _| side.combined(&committed, p, gamma));
        judges.refuse("the true values' evaluation", &other, &a);
        // A run that ends well, for rows that are not committed.
        let talk = side.fill(&committed, side.lie(&committed, talk.messages));
        assert_eq!(mock(&talk.filled), Ok(()));
        let a = side.finish(committed.clone(), talk).argument;
        judges.refuse_half("a run that ends well", &other, &a, FALSE_OPENING);
    }
    // r is far beyond 64 bits, so nothing public can be changed by a multiple of it. What is beyond its range is refused
    // before it is evaluated; so are values too many or too few, and values in other tensors.
    let out = |public: Vec<Vec<i64>>| Claim { public, ..claim.clone() };
    let key = side.descriptor.to_bytes();
    let mut cases = vec![out(vec![claim.public.concat()]), out(claim.public[..1].to_vec())];
    let mut swapped = claim.public.clone();
    swapped.swap(0, 1);
    cases.push(out(swapped));
    for value in [i64::MAX, i64::MIN, side.descriptor.public[0].hi + 1, side.descriptor.public[0].lo - 1] {
        let mut public = claim.public.clone();
        public[0][0] = value;
        cases.push(out(public));
    }
    for other in cases {
        let native = side.check(&other, &c.made.argument);
        assert!(native.is_err() && native != Ok(()), "{native:?}");
        let bytes = public_bytes(&other.public);
        if bytes != public_bytes(&claim.public) {
            assert!(!judges.contract.accepts(&key, &bytes, claim.context, &c.made.argument.to_bytes()));
        }
    }
    let mut other = claim.clone();
    other.context[0] ^= 1;
    judges.refuse("another context", &other, &c.made.argument);
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

/// A proof under a key of another batch size, row length or kind, of the same model.
#[test]
fn proofs_for_another_shape() {
    let c = court();
    let (model, inputs) = toy_model();
    let srs = c.lab.srs.clone();
    let mut judges = Judges::new(c.side());
    let honest = &c.made;
    let proof = honest.argument.to_bytes();
    let claim = &honest.committed.claim;
    for (batch, row_bits) in [(1, 3), (3, 4)] {
        let mut inputs = inputs.clone();
        inputs.resize(batch, inputs[0].clone());
        let lab = Lab::new(model.clone(), srs.clone(), u32::try_from(batch).unwrap(), row_bits, Visibility::default());
        let side = &lab.inference;
        let made = side.prove(lab.claim(&inputs));
        let mut own = Judges::new(side);
        assert!(own.verdict(&made.committed.claim, &made.argument));
        // Each under the other's key, with either's public values.
        for public in [&claim.public, &made.committed.claim.public] {
            let native = check(&side.descriptor, public, &claim.context, &honest.argument);
            assert!(native.is_err());
            let native = check(&c.side().descriptor, public, &claim.context, &made.argument);
            assert!(native.is_err());
            let bytes = public_bytes(public);
            assert!(!own.contract.accepts(&side.descriptor.to_bytes(), &bytes, claim.context, &proof));
            let other = made.argument.to_bytes();
            assert!(!judges.contract.accepts(&c.side().descriptor.to_bytes(), &bytes, claim.context, &other));
        }
    }
    // The registration's proof under its own descriptor, and under the other one.
    let registration = &c.lab.registration;
    let argument = &c.lab.prover.key.registration;
    let claim = c.lab.registration_claim();
    registration.check(&claim, argument).unwrap();
    let own = &registration.descriptor;
    assert!(judges.contract.agrees(own, &claim.public, claim.context, argument));
    assert!(check(&c.side().descriptor, &honest.committed.claim.public, &claim.context, argument).is_err());
    let key = c.side().descriptor.to_bytes();
    let public = public_bytes(&honest.committed.claim.public);
    assert!(!judges.contract.accepts(&key, &public, claim.context, &argument.to_bytes()));
}

/// A witness that breaks the statement, with everything else made as it should be.
#[test]
fn witnesses_that_are_none() {
    let c = court();
    let side = c.side();
    let mut judges = Judges::new(side);
    let claim = &c.made.committed.claim;
    let filled = |c: &Committed| -> Talk { side.talk(c) };
    for at in (0..claim.witness.stack.len()).step_by(29) {
        let mut other = claim.clone();
        other.witness.stack[at] += 1;
        let committed = side.commit(other.clone());
        let talk = filled(&committed);
        let harmless = mock(&talk.filled).is_ok();
        let a = side.finish(committed, talk).argument;
        // Padding is no part of any claim.
        assert_eq!(judges.verdict(&other, &a), harmless, "entry {at}");
        assert_eq!(side.halves(&other, &a), Halves { halo2: harmless, opening: true });
    }
}
