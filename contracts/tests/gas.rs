//! What verification costs, for the networks that the targets name. The proofs are files, so every figure is exact.
//!
//! A changed figure is taken over with `INSTA_UPDATE=always cargo test -p assay-contracts --test gas`.

#[path = "support/vectors.rs"]
mod vector_files;

use assay_contracts::{Embedded, Verifier};
use std::fmt::Write;

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
