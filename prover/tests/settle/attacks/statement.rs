//! Proofs of something else.

use super::{
    court::{FALSE_CIRCUIT, FALSE_OPENING, Judges, court},
    golden_set::toy_model,
    settle_support::{Claim, Committed, Halves, Lab, Talk, mock},
};
use assay_circuits::Visibility;
use assay_verifier::settle::{
    check::{check, public_bytes},
    tape::instance,
};

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
