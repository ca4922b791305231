//! What verification costs, for the networks that the targets name. The proofs are files, so every figure is exact.
//!
//! A changed figure is taken over with `INSTA_UPDATE=always cargo test -p assay-contracts --test gas`.

#[path = "support/vectors.rs"]
mod vector_files;

use assay_contracts::{
    Address, B256, Bytes, Call, Chain, Embedded, Error, TRANSACTION_GAS, Verifier, context, keccak256,
    segments::{Plan, Proofs, SegmentVerifier},
    sol_types::SolValue,
};
use std::fmt::Write;

/// What the vectors are bound to.
const CONSUMER: Address = Address::repeat_byte(0x11);
const JOB: B256 = B256::repeat_byte(0x22);
const RECIPIENT: Address = Address::repeat_byte(0x33);

#[test]
fn verification_of_real_networks() {
    let mut chain = Embedded::new();
    let (verifier, deployed) = Verifier::deploy(&mut chain, true).expect("a deployment");
    let mut out = format!("contract {} bytes, deployment {} gas\n", deployed.contract_bytes, deployed.gas_used);
    let mut total = std::collections::BTreeMap::new();
    for v in vector_files::networks() {
        let registered = verifier.register(&mut chain, &v.key).expect(&v.name);
        let id = registered.model_id;
        assert_eq!(verifier.verify(&mut chain, id, &v.public_values, v.context, &v.proof), Ok(true), "{}", v.name);
        let cost = verifier.verify_cost(&mut chain, id, &v.public_values, v.context, &v.proof).expect("a cost");
        let register = registered.transaction.map_or(0, |t| t.measured.gas_used);
        writeln!(
            out,
            "{}: {} gas in all; {} for {} bytes of calldata, {} executed; key {} bytes, registration {} gas",
            v.name,
            cost.gas_used,
            cost.calldata_gas,
            cost.calldata_bytes,
            cost.gas_used - 21_000 - cost.calldata_gas,
            v.key.len(),
            register,
        )
        .expect("a string");
        total.insert(v.name, cost.gas_used);
    }
    insta::assert_snapshot!(out);
    // What the project promises.
    for (name, most) in [("digits_cnn", 500_000), ("digits_mlp", 500_000), ("mlp", 600_000), ("lenet", 600_000)] {
        assert!(total[name] <= most, "{name}: {} gas", total[name]);
    }
    assert!(total["digits_cnn_batch32"] * 10 < total["digits_cnn"] * 13);
    assert!(deployed.contract_bytes < 24_576);
}

/// Proofs about named stacks. The graphs are small, so the figures are those of a row and of an id, beside what any proof costs.
#[test]
fn verification_about_named_stacks() {
    let mut chain = Embedded::new();
    let (verifier, _) = Verifier::deploy(&mut chain, true).expect("a deployment");
    let mut out = String::new();
    let mut total = std::collections::BTreeMap::new();
    for v in vector_files::stacks() {
        let id = verifier.register(&mut chain, &v.key).expect(&v.name).model_id;
        assert_eq!(verifier.verify(&mut chain, id, &v.public_values, v.context, &v.proof), Ok(true), "{}", v.name);
        let cost = verifier.verify_cost(&mut chain, id, &v.public_values, v.context, &v.proof).expect("a cost");
        let (gas, bytes) = (cost.gas_used, cost.calldata_bytes);
        writeln!(out, "{}: {gas} gas in all, {bytes} bytes of calldata, key {} bytes", v.name, v.key.len())
            .expect("a string");
        total.insert(v.name, gas);
    }
    insta::assert_snapshot!(out);
    // Two proofs name one stack.
    let words: Vec<Vec<u8>> = vector_files::stacks()
        .into_iter()
        .filter(|v| ["features", "classes"].contains(&v.name.as_str()))
        .map(|v| v.public_values[..32].to_vec())
        .collect();
    assert_eq!(words[0], words[1]);
    assert!(total["one_row"] < 500_000);
}

/// A transaction that asks a contract about all segments, or submits their proofs, with so much gas.
fn transaction(at: Address, plan: &[(B256, Vec<u8>)], all: &Proofs, submission: bool, gas: u64) -> Call {
    let bytes = |parts: &[Vec<u8>]| parts.iter().map(|p| Bytes::copy_from_slice(p)).collect::<Vec<_>>();
    let plan: Vec<_> = plan.iter().map(|(id, boundaries)| (*id, Bytes::copy_from_slice(boundaries))).collect();
    let (public, proofs) = (bytes(&all.public_values), bytes(&all.proofs));
    let (name, arguments) = if submission {
        (
            "submit((bytes32,bytes)[],bytes[],bytes32,address,bytes[])",
            (plan, public, JOB, RECIPIENT, proofs).abi_encode_params(),
        )
    } else {
        let context = B256::from(all.context);
        ("verify((bytes32,bytes)[],bytes[],bytes32,bytes[])", (plan, public, context, proofs).abi_encode_params())
    };
    let data = [&keccak256(name)[..4], &arguments].concat();
    Call { gas_limit: Some(gas), ..Call::new(at, data) }
}

/// What is said of all segments' gas before anything is sent is enough for the chain, and hardly more than that.
#[test]
fn a_limit_made_of_parts_is_enough_for_all_segments_together() {
    let mut chain = Embedded::new();
    let (verifier, _) = Verifier::deploy(&mut chain, true).expect("a deployment");
    let (together, _) = SegmentVerifier::deploy(&mut chain, &verifier).expect("a deployment");
    let code = chain.code(together.address()).expect("code");
    chain.set_code(CONSUMER, code);
    let together = SegmentVerifier::at(&mut chain, CONSUMER).expect("the contract");
    let vectors = vector_files::stacks();
    let two = ["features", "classes"].map(|name| vectors.iter().find(|v| v.name == name).expect("a vector"));
    let plan = two.map(|v| (verifier.register(&mut chain, &v.key).expect("a key").model_id, vec![0]));
    let all = Proofs {
        public_values: two.map(|v| v.public_values.clone()).to_vec(),
        context: two[0].context,
        proofs: two.map(|v| v.proof.clone()).to_vec(),
    };
    assert_eq!(all.context, context(chain.chain_id(), CONSUMER, JOB, RECIPIENT));
    for submission in [false, true] {
        let said = submission.then_some((JOB, RECIPIENT));
        let said = together.limit_of_parts(&mut chain, &Plan::new(&plan), &all, said).expect("a limit");
        let mut goes = |gas| chain.gas(&transaction(CONSUMER, &plan, &all, submission, gas));
        let used = goes(said).expect("gas enough");
        let (mut too_little, mut enough) = (used / 2, said);
        while too_little + 1 < enough {
            let middle = too_little.midpoint(enough);
            *(if goes(middle).is_ok() { &mut enough } else { &mut too_little }) = middle;
        }
        println!("submission {submission}: {used} gas used, {enough} needed, {said} said");
        assert!(said - enough < enough / 50, "{said} is said where {enough} are needed");
    }
}

/// A verifier that says yes after so many rounds of 26 gas.
fn slow(rounds: u32) -> Vec<u8> {
    let n = rounds.to_be_bytes();
    let count = [0x62, n[1], n[2], n[3], 0x5b, 0x60, 1, 0x90, 0x03, 0x80, 0x60, 4, 0x57];
    [&count[..], &[0x60, 1, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3]].concat()
}

/// Where a transaction with all segments is near the most that one may have: none is let through that the chain refuses.
#[test]
fn no_split_is_let_through_that_no_transaction_carries() {
    let mut chain = Embedded::new();
    let verifier = Verifier::at_unchecked(RECIPIENT);
    chain.set_code(RECIPIENT, slow(1).into());
    let (together, _) = SegmentVerifier::deploy(&mut chain, &verifier).expect("a deployment");
    let (mut through, mut refused) = (0, 0);
    for segments in [2usize, 20, 33, 64] {
        // All read the boundary of the first one, but for the last one's all write one of their own.
        let number = |k: usize| u8::try_from(k).expect("few segments");
        let boundaries = |k: usize| match k {
            0 => vec![0],
            k if k + 1 == segments => vec![0],
            k => vec![0, number(k)],
        };
        let plan: Vec<_> = (0..segments).map(|k| (B256::repeat_byte(number(k)), boundaries(k))).collect();
        let all = Proofs {
            public_values: vec![vec![7; 96]; segments],
            context: [9; 32],
            proofs: vec![vec![5; 2_400]; segments],
        };
        let said_of = |chain: &mut Embedded, rounds: u64, submission: bool| {
            chain.set_code(RECIPIENT, slow(u32::try_from(rounds).expect("rounds")).into());
            let of = submission.then_some((JOB, RECIPIENT));
            together.limit_of_parts(chain, &Plan::new(&plan), &all, of).expect("a limit")
        };
        for submission in [false, true] {
            // As slow as fits, by what is said.
            let (mut fits, mut more) = (1, TRANSACTION_GAS / 26 / segments as u64);
            while fits + 1 < more {
                let middle = u64::midpoint(fits, more);
                let said = said_of(&mut chain, middle, submission);
                *(if said <= TRANSACTION_GAS { &mut fits } else { &mut more }) = middle;
            }
            for rounds in [fits, more, fits + fits / 20] {
                let said = said_of(&mut chain, rounds, submission);
                let sent = chain.gas(&transaction(together.address(), &plan, &all, submission, TRANSACTION_GAS));
                match &sent {
                    Ok(gas) => assert!(said >= *gas, "{segments} segments: {said} said, {gas} used"),
                    Err(e) => assert!(matches!(e, Error::Reverted { .. }), "{e:?}"),
                }
                assert!(said > TRANSACTION_GAS || sent.is_ok(), "{segments} segments, {said} said: {sent:?}");
                through += usize::from(said <= TRANSACTION_GAS);
                refused += usize::from(sent.is_err());
            }
        }
    }
    assert_eq!(through, 8);
    assert!(refused >= 8, "{refused}");
}
