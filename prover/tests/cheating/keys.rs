//! Forged keys: registration rejects a key that commits to anything but the graph's tables and weights in range, and a
//! proof counts for one key, one kind and one batch only.

use crate::support;

use assay_circuits::{
    Graph,
    program::{Content, MODEL},
    relation::RelationError,
};
use assay_prover::{ProvingKey, Recorder, SetupOptions, device::Cpu, srs::Srs};
use assay_verifier::{
    CoreProof, Fr, VerifyError, VerifyingKey,
    channel::{Check, ProtocolError},
    core::{Kind, check_argument, check_registration, verify},
    opening::{OpeningError, VerifierSrs},
};
use support::{
    forge::{Forge, Lie},
    model, toy_key,
};

fn failed(check: Check) -> Result<(), VerifyError> {
    Err(VerifyError::Protocol(ProtocolError::Check(check)))
}

/// The key that commits to a forged model, registered by the forger.
fn registered(key: &ProvingKey, forge: &Forge, lie: Lie) -> VerifyingKey {
    let mut out = key.verifying.clone();
    let mut forge = forge.with(lie);
    forge.model_rows = forge.commit(&forge.stack(MODEL));
    out.rows = forge.model_rows.clone();
    forge.key_digest = out.digest().unwrap();
    out.registration = forge.argue();
    out
}

#[test]
fn an_honest_registration_is_made_by_both_provers() {
    let (key, _) = toy_key();
    let forge = Forge::registration(&key);
    forge.relation().unwrap();
    assert_eq!(registered(&key, &forge, Lie::Truth), key.verifying);
    check_registration(&key.verifying).unwrap();
}

#[test]
fn weights_out_of_range_are_not_registered() {
    let (key, _) = toy_key();
    let honest = Forge::registration(&key);
    // Three bits: -4 to 3.
    for (name, value) in [("w", 4), ("w", -5), ("v", 100), ("v", -(1 << 20))] {
        let mut forge = honest.clone();
        let t = forge.named(name);
        forge.contents[t][1] = value;
        assert!(matches!(forge.relation(), Err(RelationError::Registered { .. })));
        assert_eq!(check_registration(&registered(&key, &forge, Lie::Truth)), failed(Check::LookupSum));
        assert_eq!(check_registration(&registered(&key, &forge, Lie::Leaves)), failed(Check::Reduction));
        assert_eq!(check_registration(&registered(&key, &forge, Lie::Sum)), failed(Check::Reduction));
        let mismatch = Err(VerifyError::Opening(OpeningError::PairingMismatch));
        assert_eq!(check_registration(&registered(&key, &forge, Lie::Model)), mismatch);
    }
    for (name, value) in [("w", 3), ("w", -4)] {
        let mut forge = honest.clone();
        let t = forge.named(name);
        forge.contents[t][1] = value;
        check_registration(&registered(&key, &forge, Lie::Truth)).unwrap();
    }
}

/// A weight that is no integer would make every interval meaningless.
#[test]
fn weights_are_integers() {
    let (key, _) = toy_key();
    let mut forge = Forge::registration(&key);
    let place = support::forge::places(&forge.program, forge.named("w"))[2];
    forge.cells.push((MODEL, place, Fr::from(2u8)));
    assert_eq!(check_registration(&registered(&key, &forge, Lie::Truth)), failed(Check::Reduction));
    forge.cells[0].2 = ark_ff::Field::inverse(&Fr::from(2u8)).unwrap();
    assert_eq!(check_registration(&registered(&key, &forge, Lie::Truth)), failed(Check::Reduction));
}

#[test]
fn tables_other_than_the_graphs_are_not_registered() {
    let (key, _) = toy_key();
    let honest = Forge::registration(&key);
    let tables: Vec<usize> = (0..honest.program.tensors.len())
        .filter(|t| matches!(honest.program.tensors[*t].content, Content::TableValues(_) | Content::SideValues { .. }))
        .collect();
    assert_eq!(tables.len(), 3);
    for t in tables {
        for entry in 0..honest.contents[t].len() {
            let mut forge = honest.clone();
            forge.contents[t][entry] += 1;
            assert!(matches!(forge.relation(), Err(RelationError::Registered { .. })));
            assert_eq!(check_registration(&registered(&key, &forge, Lie::Truth)), failed(Check::Reduction));
        }
    }
}

/// What lies between the tensors of the model's stack is never read.
#[test]
fn padding_of_the_model_is_free() {
    let (key, inputs) = toy_key();
    let mut forge = Forge::registration(&key);
    let real: Vec<usize> = (0..forge.program.tensors.len())
        .filter(|t| forge.program.tensors[*t].stack == MODEL)
        .flat_map(|t| support::forge::places(&forge.program, t))
        .collect();
    let size = forge.stack(MODEL).len();
    forge.cells = (0..size).filter(|p| !real.contains(p)).map(|p| (MODEL, p, Fr::from(p as u64 + 3))).collect();
    assert!(!forge.cells.is_empty());
    let verifying = registered(&key, &forge, Lie::Truth);
    check_registration(&verifying).unwrap();
    let mut proof = Forge::inference(&key, &inputs);
    proof.cells = forge.cells.clone();
    proof.model_rows = verifying.rows.clone();
    proof.key_digest = verifying.digest().unwrap();
    proof.verdict(&verifying).unwrap();
}

/// Replaces the graph and keeps the rows.
fn with_graph(key: &ProvingKey, change: impl Fn(&mut Vec<u8>)) -> Option<VerifyingKey> {
    let mut bytes = key.verifying.graph.to_bytes().unwrap();
    change(&mut bytes);
    let graph = Graph::from_bytes(&bytes).ok()?;
    (graph != key.verifying.graph).then(|| VerifyingKey { graph, ..key.verifying.clone() })
}

/// Every graph that differs in one byte: neither the registration nor a proof carries over.
#[test]
fn a_changed_graph_is_another_key() {
    let (key, inputs) = toy_key();
    let proof = Forge::inference(&key, &inputs).prove();
    let len = key.verifying.graph.to_bytes().unwrap().len();
    let mut changed = 0;
    for at in 0..len {
        for bit in [0, 3] {
            let Some(other) = with_graph(&key, |b| b[at] ^= 1 << bit) else { continue };
            changed += 1;
            assert!(check_registration(&other).is_err(), "byte {at}");
            assert!(matches!(verify(&other, &proof), Err(VerifyError::OtherKey { .. })));
            // Even a proof that claims to be for this key.
            let claimed = CoreProof { key_digest: other.digest().unwrap(), ..proof.clone() };
            assert!(verify(&other, &claimed).is_err(), "byte {at}");
        }
    }
    assert!(changed > 50, "{changed} graphs");
}

#[test]
fn proofs_do_not_carry_over_to_other_keys() {
    let (key, inputs) = toy_key();
    let proof = Forge::inference(&key, &inputs).prove();
    let mut m = model(key.verifying.graph.clone(), 5);
    let options = SetupOptions { row_bits: Some(3), ..Default::default() };
    let other_weights = support::key(&m, options).verifying;
    m.weights = key.weights.clone();
    let srs = Srs::development(10, 8).unwrap();
    let recorder = Recorder::default();
    let other_tau = assay_prover::setup(&Cpu::default(), &m, &srs, options, &recorder).unwrap().verifying;
    let visible =
        SetupOptions { visibility: assay_circuits::Visibility { inputs: true, ..Default::default() }, ..options };
    let other_visibility = support::key(&m, visible).verifying;
    for other in [other_weights, other_tau, other_visibility] {
        check_registration(&other).unwrap();
        assert!(matches!(verify(&other, &proof), Err(VerifyError::OtherKey { .. })));
        let claimed = CoreProof { key_digest: other.digest().unwrap(), ..proof.clone() };
        assert!(verify(&other, &claimed).is_err());
        let mut exchanged = other.clone();
        exchanged.registration = key.verifying.registration.clone();
        assert!(check_registration(&exchanged).is_err());
    }
}

#[test]
fn a_registration_is_no_inference_and_the_reverse() {
    let (key, inputs) = toy_key();
    let mut proof = Forge::inference(&key, &inputs).prove();
    let mut exchanged = key.verifying.clone();
    exchanged.registration = proof.argument.clone();
    assert!(check_registration(&exchanged).is_err());
    proof.argument = key.verifying.registration.clone();
    assert!(verify(&key.verifying, &proof).is_err());
}

#[test]
fn a_proof_counts_for_its_context_only() {
    let (key, inputs) = toy_key();
    let forge = Forge::inference(&key, &inputs);
    let argument = forge.argue();
    let digest = |kind, batch, context| {
        assay_verifier::core::statement_digest(kind, &key.digest, batch, &forge.public, &argument.rows, &context)
    };
    let check = |d| check_argument(&key.verifying, &forge.program, &d, &forge.public, &argument);
    check(digest(Kind::Inference, 3, [0; 32])).unwrap();
    check(digest(Kind::Registration, 3, [0; 32])).unwrap_err();
    check(digest(Kind::Inference, 4, [0; 32])).unwrap_err();
    check(digest(Kind::Inference, 3, [1; 32])).unwrap_err();
}

/// Two batches of the same inferences are different statements, even where the values are the same.
#[test]
fn batches_do_not_mix() {
    let (key, inputs) = toy_key();
    let three = Forge::inference(&key, &inputs).prove();
    let two = Forge::inference(&key, &inputs[..2]).prove();
    verify(&key.verifying, &two).unwrap();
    let mut mixed = two.clone();
    mixed.argument = three.argument.clone();
    assert!(verify(&key.verifying, &mixed).is_err());
    let mut renamed = three;
    renamed.batch = 2;
    renamed.public = two.public;
    assert!(verify(&key.verifying, &renamed).is_err());
}

/// A key names the setup that its tau belongs to; a maker who knows another tau cannot borrow the name.
#[test]
fn a_key_cannot_borrow_the_name_of_a_setup() {
    let (key, _) = toy_key();
    let srs = &key.verifying.srs;
    assert_eq!(srs.srs_hash, VerifierSrs::identity(&srs.g2, &srs.tau_g2, srs.insecure_dev));
    let own = Srs::development(10, 8).unwrap();
    let options = SetupOptions { row_bits: Some(3), ..Default::default() };
    let mut m = model(key.verifying.graph.clone(), 5);
    m.weights = key.weights.clone();
    let honest = assay_prover::setup(&Cpu::default(), &m, &own, options, &Recorder::default()).unwrap();
    for change in
        [(|k: &mut VerifyingKey, name: [u8; 32]| k.srs.srs_hash = name) as fn(&mut VerifyingKey, [u8; 32]), |k, _| {
            k.srs.insecure_dev = false
        }]
    {
        let mut forged = honest.clone();
        change(&mut forged.verifying, srs.srs_hash);
        // Registered anew under its false name.
        forged.digest = forged.verifying.digest().unwrap();
        forged.verifying.registration = Forge::registration(&forged).argue();
        let error = VerifyingKey::from_bytes(&forged.verifying.to_bytes().unwrap()).unwrap_err();
        assert!(error.to_string().contains("identity of the powers of tau"), "{error}");
    }
    // Its own name, without the mark: nobody would be warned.
    let mut forged = honest;
    let srs = &mut forged.verifying.srs;
    (srs.insecure_dev, srs.srs_hash) = (false, VerifierSrs::identity(&srs.g2, &srs.tau_g2, false));
    forged.digest = forged.verifying.digest().unwrap();
    forged.verifying.registration = Forge::registration(&forged).argue();
    let error = VerifyingKey::from_bytes(&forged.verifying.to_bytes().unwrap()).unwrap_err();
    assert!(error.to_string().contains("unmarked development powers"), "{error}");
}
