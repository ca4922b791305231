//! A lease that waits for its block until the deadline is near, and is given then: the bond would be lost. The transaction is
//! withdrawn instead, by another one with its number.

use crate::support::{World, gift};
use assay_contracts::economy::abi::JobMarket;
use serde_json::json;

#[test]
fn a_lease_is_not_given_when_it_is_too_late_for_the_proof() {
    let w = World::new("lease-included-late");
    w.no_block_from::<JobMarket::leaseCall>();
    // The lease is withdrawn after half of the time that is given it, and the withdrawal has the other half.
    let mut worker = w.worker(1, &["--raise-after", "3s", "--receipt-timeout", "40s"]);
    worker.wait_for("started");
    w.post(&["--deadline", "3m", "--bond", "2"]);
    // The withdrawal is in the node's pool in place of the lease, not only on its way there.
    w.until("the lease is withdrawn", || w.pool().iter().any(|t| t["input"] == "0x"));
    // What is left until the deadline is less than any proof takes.
    w.pass(170);
    w.node("evm_setAutomine", &json!([true]));
    let refused = worker.wait_for("not_leased");
    assert!(refused["reason"].as_str().unwrap().contains("withdrawn"), "{refused}");
    w.only(&mut worker, "leased", 0);
    assert_eq!((w.counts(), w.worth(1)), ((0, 0, 0), gift()));
}
