//! The price of gas rises after the proof was sent: it would wait for ever, and the lease would end.

use crate::support::{
    World, gift, once, part,
    proxy::{Fault, ask},
};
use assay_contracts::economy::abi::JobMarket;
use serde_json::json;

#[test]
fn more_is_offered_for_a_transaction_that_waits() {
    let w = World::new("stuck-fee");
    w.post(&[]);
    let node = w.node_url();
    let mut sent = 0;
    w.proxy.rule(move |a| {
        if a.sends::<JobMarket::fulfilCall>() {
            sent += 1;
            if sent == 1 {
                ask(&node, "evm_setAutomine", &json!([false]));
            }
            if sent == 2 {
                // What waits in the pool offers less than a tenth of this.
                ask(&node, "evm_setAutomine", &json!([true]));
            }
        }
        if sent == 1 && a.is("eth_feeHistory") {
            ask(&node, "anvil_setNextBlockBaseFeePerGas", &json!(["0x4a817c800"]));
            ask(&node, "evm_mine", &json!([]));
        }
        Fault::None
    });
    let mut worker = w.worker(1, &["--once", "--raise-after", "1s"]);
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    assert!(w.proxy.seen(|a| a.sends::<JobMarket::fulfilCall>()).len() >= 2);
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}

#[test]
fn what_an_earlier_process_left_behind_is_replaced() {
    // A lease that waits in the pool with too low an offer when its worker is killed.
    let w = World::new("stuck-fee-restart");
    w.post(&[]);
    let node = w.node_url();
    w.proxy.rule(once(
        |a| a.sends::<JobMarket::leaseCall>(),
        move || {
            ask(&node, "evm_setAutomine", &json!([false]));
            Fault::None
        },
    ));
    let mut worker = w.worker(1, &[]);
    worker.wait_for("started");
    w.until("the lease waits", || w.waiting::<JobMarket::leaseCall>().is_some());
    worker.kill();
    let left = w.pool();
    w.node("anvil_setNextBlockBaseFeePerGas", &json!(["0x4a817c800"]));
    let mut worker = w.worker(1, &["--once"]);
    w.until("something else is in its place", || w.pool().len() == left.len() && w.pool() != left);
    w.node("evm_setAutomine", &json!([true]));
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}
