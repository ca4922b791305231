//! The contract itself, on the embedded EVM and on a real node: registration, golden vectors, and what must be refused.

mod support;
#[path = "support/vectors.rs"]
mod vector_files;

use assay_contracts::{
    Address, B256, Bytes, Call, Chain, Embedded, Error, Revert, Verifier,
    abi::{AssayVerifier, ContractError},
    anvil::Anvil,
    artifact, calldata_floor, context, is_development,
    segments::{Plan, Proofs, SegmentVerifier},
};
use std::collections::BTreeSet;
use vector_files::{Vector, stacks, vector_again, vectors};

/// What the vectors of real models are bound to.
const CONSUMER: Address = Address::repeat_byte(0x11);
const JOB: B256 = B256::repeat_byte(0x22);
const RECIPIENT: Address = Address::repeat_byte(0x33);

/// The vectors that can be submitted to a contract at [`CONSUMER`].
fn bound() -> Vec<Vector> {
    let context = context(31337, CONSUMER, JOB, RECIPIENT);
    vectors().into_iter().filter(|v| v.context == context).collect()
}

impl Vector {
    fn verify(&self, chain: &mut dyn Chain, verifier: Verifier, id: B256) -> Result<bool, Error> {
        verifier.verify(chain, id, &self.public_values, self.context, &self.proof)
    }
}

/// A chain with the contract, which takes development powers of tau.
fn embedded() -> (Embedded, Verifier) {
    let mut chain = Embedded::new();
    let (verifier, _) = Verifier::deploy(&mut chain, true).expect("a deployment");
    (chain, verifier)
}

/// The error of the contract behind an error.
fn reason(e: &Error) -> &ContractError {
    e.contract().unwrap_or_else(|| panic!("{e:?}"))
}

#[test]
fn the_interface_is_the_one_of_the_artefact() {
    let json: serde_json::Value = serde_json::from_str(artifact::JSON).expect("JSON");
    let kind = |kind: &str| -> BTreeSet<Vec<u8>> {
        let items = json["abi"].as_array().expect("an array").iter().filter(|i| i["type"] == kind);
        let all = items.map(|i| {
            let types = i["inputs"].as_array().expect("inputs").iter().map(|p| p["type"].as_str().expect("a type"));
            let signature = format!("{}({})", i["name"].as_str().expect("a name"), types.collect::<Vec<_>>().join(","));
            let hash = alloy_primitives::keccak256(signature);
            if kind == "event" { hash.to_vec() } else { hash[..4].to_vec() }
        });
        all.collect()
    };
    let set = |s: &[[u8; 4]]| s.iter().map(|s| s.to_vec()).collect::<BTreeSet<_>>();
    assert_eq!(kind("function"), set(AssayVerifier::AssayVerifierCalls::SELECTORS));
    assert_eq!(kind("error"), set(AssayVerifier::AssayVerifierErrors::SELECTORS));
    let events = AssayVerifier::AssayVerifierEvents::SELECTORS.iter().map(|s| s.to_vec()).collect();
    assert_eq!(kind("event"), events);
    // The code on a chain has the length the artefact says.
    let (mut chain, verifier) = embedded();
    let deployed: Bytes = json["deployedBytecode"].as_str().expect("code").parse().expect("hexadecimal");
    assert_eq!(chain.code(verifier.address()).expect("code").len(), deployed.len());
}

#[test]
fn deployment_is_measured_and_recognised() {
    let mut chain = Embedded::new();
    for accept in [false, true] {
        let (verifier, measured) = Verifier::deploy(&mut chain, accept).expect("a deployment");
        println!("deployment: {measured:?}");
        assert_eq!(measured.contract_bytes, chain.code(verifier.address()).expect("code").len());
        assert_eq!(measured.calldata_bytes, artifact::deployment(accept).len());
        assert!(measured.contract_bytes <= 24_576);
        // 200 gas per byte stored, and the transaction.
        assert!(measured.gas_used > 53_000 + measured.calldata_gas + 200 * measured.contract_bytes as u64);
        assert_eq!(Verifier::at(&mut chain, verifier.address()), Ok(verifier));
        assert_eq!(verifier.accepts_development_srs(&mut chain), Ok(accept));
    }
    // One byte off is another contract.
    let (verifier, _) = Verifier::deploy(&mut chain, true).expect("a deployment");
    let mut code = chain.code(verifier.address()).expect("code").to_vec();
    let last = code.len() - 1;
    code[last] ^= 1;
    chain.set_code(CONSUMER, code.into());
    assert!(matches!(Verifier::at(&mut chain, CONSUMER), Err(Error::OtherContract { .. })));
    assert!(matches!(Verifier::at(&mut chain, RECIPIENT), Err(Error::NoContract { .. })));
}

#[test]
fn transactions_to_an_address_without_code_are_not_sent() {
    let mut chain = Embedded::new();
    let verifier = Verifier::at_unchecked(CONSUMER);
    let e = verifier.submit(&mut chain, B256::ZERO, &[], JOB, RECIPIENT, &[]).expect_err("nobody there");
    assert!(matches!(e, Error::NoContract { .. }), "{e:?}");
    let e = verifier.register(&mut chain, &[1]).expect_err("nobody there");
    assert!(matches!(e, Error::NoContract { .. }), "{e:?}");
    assert_eq!(chain.nonce(Embedded::ACCOUNT), Ok(0));
}

#[test]
fn contexts_agree() {
    let (mut chain, verifier) = embedded();
    for (consumer, job, recipient) in [
        (CONSUMER, JOB, RECIPIENT),
        (verifier.address(), B256::ZERO, Address::ZERO),
        (Address::repeat_byte(0xff), B256::repeat_byte(0xff), Address::repeat_byte(0xfe)),
    ] {
        let native = context(chain.chain_id(), consumer, job, recipient);
        assert_eq!(verifier.context_for(&mut chain, consumer, job, recipient), Ok(native));
    }
    assert!(bound().len() >= 4, "too few vectors are bound to the consumer of these tests");
}

#[test]
fn registration() {
    let (mut chain, verifier) = embedded();
    for v in vectors() {
        let id = alloy_primitives::keccak256(&v.key);
        assert_eq!(verifier.is_registered(&mut chain, id), Ok(false));
        let e = verifier.key(&mut chain, id).expect_err("not there");
        assert!(matches!(e, Error::UnknownModel { model, .. } if model == id), "{e:?}");
        let registered = verifier.register(&mut chain, &v.key).expect(&v.name);
        assert_eq!((registered.model_id, registered.development_srs), (id, is_development(&v.key)));
        let sent = registered.transaction.expect("a transaction");
        println!("registration of {}: {:?}", v.name, sent.measured);
        assert_eq!(chain.code(registered.data).expect("code")[..], [&[0], v.key.as_slice()].concat());
        assert_eq!(verifier.is_registered(&mut chain, id), Ok(true));
        assert_eq!(verifier.key(&mut chain, id).expect("a key"), v.key);
        // Again: nothing is sent, and the answer is the same.
        let nonce = chain.nonce(Embedded::ACCOUNT);
        let again = verifier.register(&mut chain, &v.key).expect(&v.name);
        assert_eq!((again.transaction, again.data, again.model_id), (None, registered.data, id));
        assert_eq!(chain.nonce(Embedded::ACCOUNT), nonce);
    }
}

#[test]
fn keys_that_are_none_are_refused_with_a_reason() {
    let (mut chain, verifier) = embedded();
    let good = &vectors()[0].key;
    let nonce = chain.nonce(Embedded::ACCOUNT);
    let mut version = good.clone();
    version[31] ^= 2;
    let mut flags = good.clone();
    flags[32] = 1;
    let longer = [good.as_slice(), &[0; 32]].concat();
    let odd = [good.as_slice(), &[0]].concat();
    for (name, key) in [
        ("empty", Vec::new()),
        ("garbage", vec![0xab; 1000]),
        ("one word", vec![0; 32]),
        ("another version", version),
        ("unknown flags", flags),
        ("cut short", good[..good.len() - 32].to_vec()),
        ("a word too long", longer),
        ("a byte too long", odd),
        ("the longest", vec![1; 24_575]),
    ] {
        let e = verifier.register(&mut chain, &key).expect_err(name);
        assert!(matches!(reason(&e), ContractError::InvalidKey(_)), "{name}: {e:?}");
        assert!(e.to_string().contains("InvalidKey("), "{e}");
    }
    let e = verifier.register(&mut chain, &[1; 24_576]).expect_err("too long");
    assert_eq!(e, Error::KeySize { bytes: 24_576, limit: 24_575 });
    assert_eq!(chain.nonce(Embedded::ACCOUNT), nonce, "a transaction that reverts was sent");
}

#[test]
fn development_powers_need_a_contract_that_takes_them() {
    let mut chain = Embedded::new();
    let (strict, _) = Verifier::deploy(&mut chain, false).expect("a deployment");
    let v = &vectors()[0];
    assert!(is_development(&v.key));
    let e = strict.register(&mut chain, &v.key).expect_err("refused");
    assert!(matches!(reason(&e), ContractError::DevelopmentSrs(_)), "{e:?}");
    assert_eq!(strict.is_registered(&mut chain, alloy_primitives::keccak256(&v.key)), Ok(false));
}

#[test]
fn unknown_models() {
    let (mut chain, verifier) = embedded();
    let id = B256::repeat_byte(0x99);
    let is_unknown = |e: Error| {
        assert!(matches!(e, Error::UnknownModel { model, .. } if model == id), "{e:?}");
        assert!(e.to_string().contains(&id.to_string()), "{e}");
    };
    is_unknown(verifier.verify(&mut chain, id, &[], [0; 32], &[]).expect_err("unknown"));
    is_unknown(verifier.verify_cost(&mut chain, id, &[], [0; 32], &[]).expect_err("unknown"));
    is_unknown(verifier.submit(&mut chain, id, &[], JOB, RECIPIENT, &[]).expect_err("unknown"));
    is_unknown(verifier.key(&mut chain, id).expect_err("unknown"));
}

/// Another version of a vector that must be refused.
type Change = fn(&mut Vector);

/// Changes that make a proof say something else.
const CHANGES: [(&str, Change); 14] = [
    ("a bit of the first point", |v| v.proof[20] ^= 1),
    ("the first point at infinity", |v| v.proof[..64].fill(0)),
    ("a bit in the middle", |v| {
        let middle = v.proof.len() / 2;
        v.proof[middle] ^= 1;
    }),
    ("a bit of the last word", |v| {
        let last = v.proof.len() - 1;
        v.proof[last] ^= 1;
    }),
    ("the last point at infinity", |v| {
        let end = v.proof.len();
        v.proof[end - 64..].fill(0);
    }),
    ("a word too few", |v| v.proof.truncate(v.proof.len() - 32)),
    ("a word too many", |v| v.proof.extend([0; 32])),
    ("a byte too many", |v| v.proof.push(0)),
    ("no proof", |v| v.proof.clear()),
    ("another public value", |v| match v.public_values.last_mut() {
        Some(last) => *last ^= 1,
        None => v.public_values.extend(1_u64.to_be_bytes()),
    }),
    ("a public value too many", |v| v.public_values.extend([0; 8])),
    ("half a public value too many", |v| v.public_values.extend([0; 4])),
    ("another context", |v| v.context[31] ^= 1),
    ("no context", |v| v.context = [0; 32]),
];

#[test]
fn golden_vectors_are_accepted_and_changed_ones_are_not() {
    let (mut chain, verifier) = embedded();
    let ids: Vec<B256> =
        vectors().iter().map(|v| verifier.register(&mut chain, &v.key).expect(&v.name).model_id).collect();
    for (v, &id) in vectors().iter().zip(&ids) {
        assert_eq!(v.verify(&mut chain, verifier, id), Ok(true), "{}", v.name);
        let cost = verifier.verify_cost(&mut chain, id, &v.public_values, v.context, &v.proof).expect("a cost");
        println!("verification of {}: {cost:?}", v.name);
        let call = Call::new(verifier.address(), verify_data(v, id));
        assert_eq!(cost.calldata_bytes, call.data.len());
        assert!(cost.gas_used >= calldata_floor(&call.data) && cost.gas_used > 21_000 + cost.calldata_gas);
        assert_eq!(chain.send(&call).expect("a receipt").gas_used, cost.gas_used);
        for (name, change) in CHANGES {
            let mut changed = vector_again(&v.name);
            change(&mut changed);
            assert_eq!(changed.verify(&mut chain, verifier, id), Ok(false), "{}: {name}", v.name);
        }
        for (other, &other_id) in vectors().iter().zip(&ids).filter(|(_, i)| **i != id) {
            assert_eq!(v.verify(&mut chain, verifier, other_id), Ok(false), "{} under {}", v.name, other.name);
        }
    }
}

#[test]
fn every_word_of_a_proof_matters() {
    let (mut chain, verifier) = embedded();
    let v = &bound()[0];
    let id = verifier.register(&mut chain, &v.key).expect("a registration").model_id;
    for word in 0..v.proof.len() / 32 {
        for byte in [0, 31] {
            let mut proof = v.proof.clone();
            proof[32 * word + byte] ^= 1;
            let answer = verifier.verify(&mut chain, id, &v.public_values, v.context, &proof);
            assert_eq!(answer, Ok(false), "byte {byte} of word {word}");
        }
    }
    assert_eq!(v.verify(&mut chain, verifier, id), Ok(true));
}

fn verify_data(v: &Vector, id: B256) -> Vec<u8> {
    alloy_sol_types::SolCall::abi_encode(&AssayVerifier::verifyCall {
        modelId: id,
        publicValues: v.public_values.clone().into(),
        context: v.context.into(),
        proof: v.proof.clone().into(),
    })
}

#[test]
fn too_little_gas_is_not_taken_for_a_bad_proof() {
    let (mut chain, verifier) = embedded();
    let v = &vectors()[0];
    let id = verifier.register(&mut chain, &v.key).expect("a registration").model_id;
    let call = Call::new(verifier.address(), verify_data(v, id));
    let gas = chain.gas(&call).expect("gas");
    let mut one = vec![0; 32];
    one[31] = 1;
    let floor = calldata_floor(&call.data);
    for part in 0..40 {
        let limit = floor + (gas - floor) * part / 40;
        match chain.call(&Call { gas_limit: Some(limit), ..call.clone() }) {
            Err(Error::Reverted { revert: Revert::Halted(_), .. }) => {}
            Err(e) => assert!(matches!(reason(&e), ContractError::InsufficientGas(_)), "{limit}: {e:?}"),
            Ok(answer) => assert_eq!(answer, one, "{limit} of {gas} gas: a valid proof was called invalid"),
        }
    }
}

/// Submits vectors to the contract at the address they are bound to; nothing else goes through.
fn submissions(chain: &mut dyn Chain) {
    let verifier = Verifier::at(chain, CONSUMER).expect("the contract");
    for v in bound() {
        let id = verifier.register(chain, &v.key).expect(&v.name).model_id;
        let submitted = verifier.submit(chain, id, &v.public_values, JOB, RECIPIENT, &v.proof).expect(&v.name);
        assert_eq!(submitted.public_digest, alloy_primitives::keccak256(&v.public_values));
        let measured = submitted.transaction.measured;
        println!("submission of {} on {}: {measured:?}", v.name, chain.place());
        assert!(measured.calldata_bytes > v.proof.len() + v.public_values.len());
        let nonce = chain.nonce(Embedded::ACCOUNT);
        // Somebody who saw the proof wants to be paid for it, or for another job.
        for (job, recipient) in [(JOB, Address::repeat_byte(0x34)), (B256::repeat_byte(0x23), RECIPIENT)] {
            let e = verifier.submit(chain, id, &v.public_values, job, recipient, &v.proof).expect_err(&v.name);
            assert!(matches!(reason(&e), ContractError::InvalidProof(_)), "{e:?}");
        }
        assert_eq!(chain.nonce(Embedded::ACCOUNT), nonce, "a transaction that reverts was sent");
    }
}

#[test]
fn submissions_on_the_embedded_evm() {
    let (mut chain, verifier) = embedded();
    let code = chain.code(verifier.address()).expect("code");
    chain.set_code(CONSUMER, code);
    submissions(&mut chain);
    // Under the address it was deployed at, the same proofs are bound to another consumer.
    let v = &bound()[0];
    let id = verifier.register(&mut chain, &v.key).expect("a registration").model_id;
    let e = verifier.submit(&mut chain, id, &v.public_values, JOB, RECIPIENT, &v.proof).expect_err("refused");
    assert!(matches!(reason(&e), ContractError::InvalidProof(_)), "{e:?}");
}

#[test]
fn submissions_on_a_node() {
    let anvil = Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    let mut node = anvil.connect().expect("a node");
    let (verifier, _) = Verifier::deploy(&mut node, true).expect("a deployment");
    let code = node.code(verifier.address()).expect("code");
    support::ask(anvil.url(), "anvil_setCode", &serde_json::json!([CONSUMER.to_string(), code.to_string()]));
    submissions(&mut node);
}

#[test]
fn a_node_charges_what_the_embedded_evm_says() {
    let anvil = Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    let mut node = anvil.connect().expect("a node");
    let mut embedded = Embedded::new();
    let (verifier, own) = Verifier::deploy(&mut embedded, true).expect("a deployment");
    assert_eq!(Verifier::deploy(&mut node, true), Ok((verifier, own)));
    for v in vectors() {
        let here = verifier.register(&mut embedded, &v.key).expect(&v.name);
        let there = verifier.register(&mut node, &v.key).expect(&v.name);
        assert_eq!(here.transaction.map(|t| t.measured), there.transaction.map(|t| t.measured), "{}", v.name);
        let id = here.model_id;
        assert_eq!(v.verify(&mut node, verifier, id), Ok(true), "{}", v.name);
        let cost = verifier.verify_cost(&mut embedded, id, &v.public_values, v.context, &v.proof).expect("a cost");
        let call = Call::new(verifier.address(), verify_data(&v, id));
        assert_eq!(node.send(&call).expect("a receipt").gas_used, cost.gas_used, "{}", v.name);
        // An estimate is enough, and little more than enough.
        let estimate = verifier.verify_cost(&mut node, id, &v.public_values, v.context, &v.proof).expect("a cost");
        assert!(
            estimate.gas_used >= cost.gas_used && estimate.gas_used < cost.gas_used * 5 / 4,
            "{estimate:?} {cost:?}"
        );
        for (name, change) in CHANGES {
            let mut changed = vector_again(&v.name);
            change(&mut changed);
            assert_eq!(changed.verify(&mut node, verifier, id), Ok(false), "{}: {name}", v.name);
        }
        println!("{}: verification {} gas on both; the node estimates {}", v.name, cost.gas_used, estimate.gas_used);
    }
    for key in [vec![], vec![0xab; 100]] {
        let e = verifier.register(&mut node, &key).expect_err("garbage");
        assert!(matches!(reason(&e), ContractError::InvalidKey(_)), "{e:?}");
    }
    let id = B256::repeat_byte(0x99);
    let e = verifier.verify(&mut node, id, &[], [0; 32], &[]).expect_err("unknown");
    assert!(matches!(e, Error::UnknownModel { model, .. } if model == id), "{e:?}");
}

/// Two vectors that share a stack, as the segments of one model.
#[test]
fn segments_are_accepted_together_and_their_plan_has_one_id() {
    let (mut chain, verifier) = embedded();
    let (together, deployed) = SegmentVerifier::deploy(&mut chain, &verifier).expect("a deployment");
    println!("deployment: {deployed:?}");
    let all = stacks();
    let named = |name: &str| all.iter().find(|v| v.name == name).expect("a vector");
    let (first, second) = (named("features"), named("classes"));
    let ids = [first, second].map(|v| verifier.register(&mut chain, &v.key).expect("a key").model_id);
    let plan = Plan::new(&ids.map(|id| (id, vec![0])));
    assert_eq!(together.plan_id(&mut chain, &plan), Ok(plan.id()));
    let proofs = Proofs {
        public_values: vec![first.public_values.clone(), second.public_values.clone()],
        context: first.context,
        proofs: vec![first.proof.clone(), second.proof.clone()],
    };
    assert_eq!(together.verify(&mut chain, &plan, &proofs), Ok(true));
    let both = together.verify_cost(&mut chain, &plan, &proofs).expect("gas");
    let mut one =
        |v: &Vector, id| verifier.verify_cost(&mut chain, id, &v.public_values, v.context, &v.proof).expect("gas");
    let apart = one(first, ids[0]).gas_used + one(second, ids[1]).gas_used;
    println!("together: {both:?}; apart {apart}");
    assert!(both.gas_used < apart + 60_000, "{both:?}, {apart}");
    let mut cheat = proofs.clone();
    cheat.proofs.swap(0, 1);
    assert_eq!(together.verify(&mut chain, &plan, &cheat), Ok(false));
    let mut cheat = proofs.clone();
    cheat.public_values[1][0] ^= 1;
    assert_eq!(together.verify(&mut chain, &plan, &cheat), Ok(false));
    cheat.proofs[1].pop();
    assert_eq!(together.verify(&mut chain, &plan, &cheat), Ok(false));
    let other = Plan::new(&[(ids[0], vec![1]), (ids[1], vec![0])]);
    let e = together.verify(&mut chain, &other, &proofs).expect_err("no plan");
    assert!(e.to_string().contains("InvalidPlan(0)"), "{e}");
    assert_ne!(other.id(), plan.id());
    let unknown = B256::repeat_byte(0x99);
    let e = together.verify(&mut chain, &Plan::new(&[(ids[0], vec![0]), (unknown, vec![0])]), &proofs);
    let address = together.address();
    assert!(
        matches!(e, Err(Error::UnknownModel { model, address: at, .. }) if (model, at) == (unknown, address)),
        "{e:?}"
    );
}

#[test]
fn a_contract_for_segments_is_recognised_with_the_verifier_that_it_asks() {
    let (mut chain, verifier) = embedded();
    let (together, _) = SegmentVerifier::deploy(&mut chain, &verifier).expect("a deployment");
    assert_eq!(SegmentVerifier::at(&mut chain, together.address()), Ok(together));
    assert_eq!(together.verifier(), verifier);
    let of = |e: Result<SegmentVerifier, Error>| match e {
        Err(Error::OtherContract { name, address, .. }) => (name, address),
        other => panic!("{other:?}"),
    };
    // A verifier, which does not know the question.
    assert_eq!(of(SegmentVerifier::at(&mut chain, verifier.address())), ("SegmentVerifier", verifier.address()));
    assert!(matches!(SegmentVerifier::at(&mut chain, RECIPIENT), Err(Error::NoContract { .. })));
    // One that answers and accepts everything: it gives back the selector, or says yes.
    let yes = vec![0x60, 1, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3];
    for code in [support::returner(), yes, support::reverter()] {
        chain.set_code(CONSUMER, code.into());
        assert_eq!(of(SegmentVerifier::at(&mut chain, CONSUMER)), ("SegmentVerifier", CONSUMER));
    }
    // A byte off, and the right code on top of something that is no verifier.
    let mut code = chain.code(together.address()).expect("code").to_vec();
    code[40] ^= 1;
    chain.set_code(CONSUMER, code.into());
    assert_eq!(of(SegmentVerifier::at(&mut chain, CONSUMER)), ("SegmentVerifier", CONSUMER));
    chain.set_code(RECIPIENT, support::returner().into());
    let (on_another, _) =
        SegmentVerifier::deploy(&mut chain, &Verifier::at_unchecked(RECIPIENT)).expect("a deployment");
    assert_eq!(of(SegmentVerifier::at(&mut chain, on_another.address())), ("AssayVerifier", RECIPIENT));
}

/// Submits the two vectors to a contract at the address that they are bound to; nothing else goes through.
fn segments_submitted(chain: &mut dyn Chain) {
    let together = SegmentVerifier::at(chain, CONSUMER).expect("the contract");
    let all = stacks();
    let two = ["features", "classes"].map(|name| all.iter().find(|v| v.name == name).expect("a vector"));
    let ids = two.map(|v| together.verifier().register(chain, &v.key).expect("a key").model_id);
    let plan = Plan::new(&ids.map(|id| (id, vec![0])));
    let proofs = Proofs {
        public_values: two.map(|v| v.public_values.clone()).to_vec(),
        context: two[0].context,
        proofs: two.map(|v| v.proof.clone()).to_vec(),
    };
    let submitted = together.submit(chain, &plan, &proofs, JOB, RECIPIENT).expect("a submission");
    println!("submission of two segments on {}: {:?}", chain.place(), submitted.transaction.measured);
    let nonce = chain.nonce(Embedded::ACCOUNT);
    let mut swapped = proofs.clone();
    swapped.proofs.swap(0, 1);
    for (proofs, job, recipient) in [
        (&proofs, JOB, Address::repeat_byte(0x34)),
        (&proofs, B256::repeat_byte(0x23), RECIPIENT),
        (&swapped, JOB, RECIPIENT),
    ] {
        let e = together.submit(chain, &plan, proofs, job, recipient).expect_err("refused");
        assert!(e.to_string().contains("InvalidProofs()"), "{e}");
    }
    assert_eq!(chain.nonce(Embedded::ACCOUNT), nonce, "a transaction that reverts was sent");
}

#[test]
fn segments_submitted_on_the_embedded_evm() {
    let (mut chain, verifier) = embedded();
    let (together, _) = SegmentVerifier::deploy(&mut chain, &verifier).expect("a deployment");
    let code = chain.code(together.address()).expect("code");
    chain.set_code(CONSUMER, code);
    segments_submitted(&mut chain);
}

#[test]
fn segments_submitted_on_a_node() {
    let anvil = Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    let mut node = anvil.connect().expect("a node");
    let (verifier, _) = Verifier::deploy(&mut node, true).expect("a deployment");
    let (together, _) = SegmentVerifier::deploy(&mut node, &verifier).expect("a deployment");
    let code = node.code(together.address()).expect("code");
    support::ask(anvil.url(), "anvil_setCode", &serde_json::json!([CONSUMER.to_string(), code.to_string()]));
    segments_submitted(&mut node);
}
