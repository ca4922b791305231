//! A lease that waits for its block until the deadline is near, and is given then: the bond would be lost. The transaction is
//! withdrawn instead, by another one with its number.

use crate::support::{
    World, gift, once,
    proxy::{Fault, ask},
};
use assay_contracts::economy::abi::JobMarket;
use serde_json::json;
use std::time::Duration;

#[test]
fn a_lease_is_not_given_when_it_is_too_late_for_the_proof() {
    let w = World::new("lease-included-late");
    let node = w.node_url();
    // From the lease on no block is made.
    w.proxy.rule(once(
        |a| a.sends::<JobMarket::leaseCall>(),
        move || {
            ask(&node, "evm_setAutomine", &json!([false]));
            Fault::None
        },
    ));
    let mut worker = w.worker(1, &["--raise-after", "3s", "--receipt-timeout", "16s"]);
    worker.wait_for("started");
    w.post(&["--deadline", "90s", "--bond", "2"]);
    // The withdrawal is in the node's pool in place of the lease.
    let sent = |n: usize| {
        while w.proxy.seen(|a| a.is("eth_sendRawTransaction")).len() < n {
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    sent(2);
    let last = w.proxy.seen(|a| a.is("eth_sendRawTransaction")).pop().unwrap();
    let mut n = 2;
    let mut last = last;
    while last.carries::<JobMarket::leaseCall>()
        || last.carries::<assay_contracts::economy::abi::AssayToken::approveCall>()
    {
        n += 1;
        sent(n);
        last = w.proxy.seen(|a| a.is("eth_sendRawTransaction")).pop().unwrap();
    }
    // What is left until the deadline is less than any proof takes.
    w.pass(75);
    w.node("evm_setAutomine", &json!([true]));
    let refused = worker.wait_for("not_leased");
    assert!(refused["reason"].as_str().unwrap().contains("withdrawn"), "{refused}");
    assert!(worker.within(Duration::from_secs(3), "leased").is_none());
    assert_eq!((w.counts(), w.worth(1)), ((0, 0, 0), gift()));
}
