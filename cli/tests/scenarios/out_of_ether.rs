//! The account cannot pay for gas: before a lease none is taken, with a proof in hand it is sent when ether arrives.

use crate::support::{
    World, account, gift, once, part,
    proxy::{Fault, ask},
};
use assay_contracts::economy::{Status, abi::JobMarket};
use serde_json::json;
use std::time::Duration;

const ETHER: &str = "0xde0b6b3a7640000";

#[test]
fn no_lease_without_the_gas_for_its_proof() {
    let w = World::new("out-of-ether-before");
    let id = w.post(&[])[0];
    let who = account(1).to_string();
    // Enough for the lease, and not for what comes after it.
    let price = w.node("eth_gasPrice", &json!([]));
    let price = u128::from_str_radix(price.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    w.node("anvil_setBalance", &json!([who, format!("0x{:x}", price * 600_000)]));
    let mut worker = w.worker(1, &["--once"]);
    let poor = worker.wait_for("out_of_ether");
    assert_eq!(poor["account"].as_str(), Some(who.as_str()));
    // It looks again after some seconds.
    w.pass(6);
    w.only(&mut worker, "leased", 0);
    assert_eq!(w.job(id).status, Status::Open);
    w.node("anvil_setBalance", &json!([who, ETHER]));
    assert_eq!(worker.ends().0, 0);
    assert_eq!(w.counts(), (1, 0, 1));
}

#[test]
fn a_proof_in_hand_waits_for_ether() {
    let w = World::new("out-of-ether-after");
    w.post(&[]);
    let (node, who) = (w.node_url(), account(1).to_string());
    let poor = who.clone();
    w.proxy.rule(once(
        |a| a.is("eth_estimateGas") && a.carries::<JobMarket::fulfilCall>(),
        move || {
            ask(&node, "anvil_setBalance", &json!([poor, "0x1"]));
            Fault::None
        },
    ));
    let mut worker = w.worker(1, &["--once"]);
    let trouble = worker.wait_for("node_trouble");
    assert!(trouble["error"].as_str().is_some_and(|e| e.contains(&who)), "{trouble}");
    std::thread::sleep(Duration::from_secs(1));
    w.node("anvil_setBalance", &json!([who, ETHER]));
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}
