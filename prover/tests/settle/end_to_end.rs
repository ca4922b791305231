//! Settled proofs, from end to end.

use crate::support;

use assay_prover::{
    Recorder,
    device::Cpu,
    settle::{
        Optimize, SettleFailure, SettlementOptions, SettlementProver, check_key, load_settlement, reopen_settlement,
        settle, setup_settlement,
    },
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::settle::key::{Context, SettlementKey};
use std::time::Instant;
use support::{inputs, mlp, model};

const CONTEXT: Context = Context { chain_id: 31337, consumer: [1; 20], job: [2; 32], recipient: [3; 20] };

fn options(batch: u32) -> SettlementOptions {
    SettlementOptions {
        visibility: Default::default(),
        batch,
        row_bits: None,
        optimize: Optimize::Gas,
        stacks: vec![],
        secret: [7; 32],
    }
}

fn prover(batch: u32) -> (SettlementProver, Srs, assay_circuits::model::Model) {
    let model = model(mlp(), 5);
    let srs = Srs::development(15, DEVELOPMENT_SEED).unwrap();
    let options = options(batch);
    let t = Instant::now();
    let recorder = Recorder::default();
    let prover = setup_settlement(&Cpu::default(), &model, &srs, &options, &recorder).unwrap();
    println!("setup {:?} {:?}", t.elapsed(), recorder.seconds());
    (prover, srs, model)
}

#[test]
fn a_settled_proof_is_accepted_and_its_key_is_what_it_says() {
    let (prover, srs, model) = prover(1);
    let t = Instant::now();
    let recorder = Recorder::default();
    let settled = settle(&Cpu::default(), &prover, &inputs(&model, 1, 9), CONTEXT, &recorder).unwrap();
    println!("settle {:?} {:?}", t.elapsed(), recorder.seconds());
    let bytes = prover.key.to_bytes().unwrap();
    let key = SettlementKey::from_bytes(&bytes).unwrap();
    assert_eq!(key, prover.key);
    check_key(&key, &srs).unwrap();
    let t = Instant::now();
    let shown = key.verify(&settled.proof).unwrap();
    println!(
        "verify {:?}, {} bytes, k {} m {}",
        t.elapsed(),
        settled.proof.argument.len(),
        key.descriptor.circuit.k,
        key.descriptor.row_bits
    );
    assert_eq!((shown.tensors, shown.stacks.len()), (settled.outputs, 0));
}

/// A key that is opened again takes its circuit's commitments as they are stated, and the powers in the Lagrange basis as they
/// are given: with honest ones its proofs are as good as before, with others they are worth nothing.
#[test]
fn a_key_is_opened_again_with_what_was_computed_before() {
    let (prover, srs, model) = prover(1);
    let honest = &prover.key;
    let k = honest.descriptor.circuit.k;
    let open = |srs: &Srs, key: &SettlementKey| {
        reopen_settlement(&Cpu::default(), &model, srs, &options(1), key.clone(), &Recorder::default())
    };
    let proof = |prover: &SettlementProver| {
        settle(&Cpu::default(), prover, &inputs(&model, 1, 9), CONTEXT, &Recorder::default()).unwrap().proof
    };
    let kept = Srs::development(15, DEVELOPMENT_SEED).unwrap();
    let basis = srs.lagrange(k as u32).to_vec();
    kept.keep_lagrange(k as u32, basis.clone()).unwrap();
    let reopened = open(&kept, honest).unwrap();
    assert_eq!(reopened.key, *honest);
    honest.verify(&proof(&reopened)).unwrap();

    // Another circuit's commitments: whoever computes them notices, and whoever does not makes worthless proofs.
    let c = &honest.descriptor.circuit;
    assert!(c.fixed[0] != c.fixed[1] && c.permutation[0] != c.permutation[1]);
    for fixed in [true, false] {
        let mut other = honest.clone();
        let c = &mut other.descriptor.circuit;
        if fixed {
            c.fixed.swap(0, 1)
        } else {
            c.permutation.swap(0, 1)
        }
        let loaded = load_settlement(&Cpu::default(), &model, &srs, &options(1), other.clone(), &Recorder::default());
        assert!(matches!(loaded.map(drop), Err(SettleFailure::Key(_))));
        let made = proof(&open(&kept, &other).unwrap());
        assert!(other.verify(&made).is_err() && honest.verify(&made).is_err());
    }
    // Another size is noticed in any case, and so is another secret.
    let mut other = honest.clone();
    other.descriptor.circuit.k += 1;
    assert!(matches!(open(&kept, &other).map(drop), Err(SettleFailure::Key(_))));
    let secret = SettlementOptions { secret: [8; 32], ..options(1) };
    let opened = reopen_settlement(&Cpu::default(), &model, &kept, &secret, honest.clone(), &Recorder::default());
    assert!(matches!(opened.map(drop), Err(SettleFailure::Key(_))));

    // A basis of other points.
    let wrong = Srs::development(15, DEVELOPMENT_SEED).unwrap();
    wrong.keep_lagrange(k as u32, basis.into_iter().rev().collect()).unwrap();
    assert!(honest.verify(&proof(&open(&wrong, honest).unwrap())).is_err());
}
