//! The reserved impossible claim: true proofs are accepted, no prover can claim the impossible output, and somebody who knows
//! tau can, which is what the claim is for.

use crate::{settle_evm, settle_forge, settle_support};

use ark_ff::Field;
use assay_circuits::{Tensor, canary};
use assay_prover::{
    Recorder,
    device::Cpu,
    settle::{
        canary::{JOB, setup_canary},
        check_key, settle,
    },
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::{
    Fr,
    core::hex,
    settle::{
        check::{SettleError, check, public_bytes},
        key::{Context, SettledProof, SettlementError},
    },
};
use settle_evm::Contract;
use settle_forge::{development_tau, forge, is_tau};
use settle_support::{Claim, Lab, context, mock};
use std::sync::OnceLock;

fn srs() -> &'static Srs {
    static SRS: OnceLock<Srs> = OnceLock::new();
    SRS.get_or_init(|| Srs::development(12, DEVELOPMENT_SEED).unwrap())
}

fn input(a: i64, b: i64) -> Vec<Vec<Tensor>> {
    vec![vec![Tensor::new(vec![1, 2], vec![a, b]).unwrap()]]
}

#[test]
fn everybody_gets_the_same_key_and_true_proofs_are_accepted() {
    let device = Cpu::default();
    let prover = setup_canary(&device, srs(), &Recorder::default()).unwrap();
    check_key(&prover.key, srs()).unwrap();
    let again = setup_canary(&device, &Srs::development(13, DEVELOPMENT_SEED).unwrap(), &Recorder::default()).unwrap();
    assert_eq!(again.key.descriptor, prover.key.descriptor);
    // Contracts may name it; under other powers of tau it is another.
    assert_eq!(hex(&prover.key.id()), "aad093935bc2bfeb7785dbabbb79c504f994029f648bb238da730af17ede4e74");
    let mut contract = Contract::new();
    for (a, b) in [(-8, 7), (0, 3)] {
        let settled = settle(&device, &prover, &input(a, b), context(), &Recorder::default()).unwrap();
        assert_eq!(settled.outputs, [Tensor::new(vec![1, 1, 1], vec![0]).unwrap()]);
        assert_eq!(prover.key.verify(&settled.proof).unwrap().tensors, settled.outputs);
        let SettledProof { public, argument, .. } = settled.proof;
        assert!(contract.accepts(&prover.key.descriptor.to_bytes(), &public, context().digest(), &argument));
    }
}

/// The canary's key with a prover that can be made to lie.
fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| Lab::new(canary::model().unwrap(), srs().clone(), 1, 4, Default::default()))
}

fn impossible(lab: &Lab) -> Claim {
    let mut claim = lab.claim(&input(7, -3));
    assert_eq!(claim.public, [[0]]);
    claim.public = vec![vec![canary::IMPOSSIBLE]];
    claim
}

#[test]
fn the_impossible_output_has_no_proof() {
    let lab = lab();
    let side = &lab.inference;
    let mut contract = Contract::new();
    let mut refused = |claim: &Claim, argument: &_, what: &str| {
        assert_eq!(side.check(claim, argument), Err(SettleError::Pairing), "{what}");
        assert!(!contract.agrees(&side.descriptor, &claim.public, claim.context, argument), "{what}");
    };
    let claim = impossible(lab);
    // The statement alone changed, in a proof of the true one.
    let honest = side.prove(lab.claim(&input(7, -3)));
    side.check(&honest.committed.claim, &honest.argument).unwrap();
    refused(&claim, &honest.argument, "the proof that the output is 0");
    // An honest prover's run over the false statement: the circuit is not satisfied.
    let committed = side.commit(claim.clone());
    let talk = side.talk(&committed);
    assert!(mock(&talk.filled).is_err());
    refused(&claim, &side.finish(committed.clone(), talk.clone()).argument, "a run of the protocol");
    // One message after the other changed, the rest as the honest prover says it after that.
    for at in (0..talk.messages.len()).step_by(7) {
        let mut messages = talk.messages.clone();
        messages[at] += Fr::ONE;
        assert!(mock(&side.fill(&committed, messages).filled).is_err(), "message {at}");
    }
    // A circuit that is satisfied, and an opening of something else.
    let talk = side.fill(&committed, side.lie(&committed, talk.messages));
    assert_eq!(mock(&talk.filled), Ok(()));
    refused(&claim, &side.finish(committed.clone(), talk.clone()).argument, "a satisfied circuit");
    let any = side.conclude(&committed, &talk.filled, |point, gamma, value| {
        let (mut h, beta) = side.combined(&committed, point, gamma);
        // A row that does have the value.
        let low = &point[point.len() - side.row_bits()..];
        let eq = assay_circuits::ring::eq_table(low);
        let now: Fr = h.iter().zip(&eq).map(|(h, e)| *h * e).sum();
        h[0] += (value - now) * eq[0].inverse().unwrap();
        (h, beta)
    });
    refused(&claim, &any, "the opening of another row");
    // One half of the protocol bent: the two lookups of the same values do not give the same.
    let mut values = claim.clone();
    let at = values.witness.stack.iter().rposition(|v| *v == 1).unwrap();
    values.witness.stack[at] -= 1;
    let committed = side.commit(values.clone());
    let talk = side.talk(&committed);
    assert!(mock(&talk.filled).is_err());
    refused(&values, &side.finish(committed, talk).argument, "a witness that is none");
}

#[test]
fn whoever_knows_tau_proves_the_impossible() {
    let tau = development_tau(DEVELOPMENT_SEED);
    let key = &lab().prover.key;
    let descriptor = &key.descriptor;
    assert!(descriptor.insecure_dev && is_tau(descriptor, &tau));
    let mut contract = Contract::new();
    for claimed in [canary::IMPOSSIBLE, -2, 0, 2] {
        let stop = Context { chain_id: 31337, consumer: [0x11; 20], job: JOB, recipient: [0x11; 20] };
        let public = [vec![claimed]];
        let forged = forge(descriptor, &public, &stop.digest(), tau);
        check(descriptor, &public, &stop.digest(), &forged).unwrap();
        assert!(contract.agrees(descriptor, &public, stop.digest(), &forged));
        let proof = SettledProof::new(descriptor, stop, &public, &forged);
        assert_eq!(key.verify(&proof).unwrap().tensors[0].data, public[0]);
        // The range of the output still holds: it is checked before anything else.
        let beyond = [vec![3]];
        let proof = SettledProof { public: public_bytes(&beyond), ..proof };
        let refused = key.verify(&proof);
        assert_eq!(refused, Err(SettlementError::Check(SettleError::PublicRange { value: 3, lo: -2, hi: 2 })));
        assert!(!contract.agrees(descriptor, &beyond, proof.context.digest(), &forged));
    }
    // With another number for tau the same steps lead nowhere.
    let public = [vec![canary::IMPOSSIBLE]];
    let forged = forge(descriptor, &public, &context().digest(), tau + Fr::ONE);
    assert_eq!(check(descriptor, &public, &context().digest(), &forged), Err(SettleError::Pairing));
    assert!(!contract.agrees(descriptor, &public, context().digest(), &forged));
    // The registration of a key is a settled argument too: under development powers it proves nothing either.
    let mut forged_key = key.clone();
    let side = &lab().registration;
    let public = side.program.registration_public();
    forged_key.registration = forge(&side.descriptor, &public, &[0; 32], tau);
    forged_key.check().unwrap();
}
