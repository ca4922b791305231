//! The price of gas rises after the proof was sent: it would wait for ever, and the lease would end.

use crate::support::{World, gift, part};
use assay_contracts::economy::abi::JobMarket;
use serde_json::{Value, json};

/// What is in the pool offers less than a tenth of what the next block takes. A block would throw it out.
fn gas_is_dear(w: &World) {
    w.node("anvil_setNextBlockBaseFeePerGas", &json!(["0x4a817c800"]));
}

/// Waits until something else is in the place of what was in the pool, and makes blocks again.
fn replaced(w: &World, left: &[Value]) {
    w.until("something else is in its place", || {
        let now = w.pool();
        now.len() == left.len() && now != left
    });
    w.node("evm_setAutomine", &json!([true]));
}

#[test]
fn more_is_offered_for_a_transaction_that_waits() {
    let w = World::new("stuck-fee");
    w.post(&[]);
    w.no_block_from::<JobMarket::fulfilCall>();
    let mut worker = w.worker(1, &["--once", "--raise-after", "1s"]);
    w.until("the proof waits", || w.waiting::<JobMarket::fulfilCall>().is_some());
    let left = w.pool();
    gas_is_dear(&w);
    replaced(&w, &left);
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
    w.no_block_from::<JobMarket::leaseCall>();
    let mut worker = w.worker(1, &[]);
    worker.wait_for("started");
    w.until("the lease waits", || w.waiting::<JobMarket::leaseCall>().is_some());
    worker.kill();
    let left = w.pool();
    gas_is_dear(&w);
    let mut worker = w.worker(1, &["--once"]);
    replaced(&w, &left);
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}
