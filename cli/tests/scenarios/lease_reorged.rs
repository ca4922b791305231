//! The block with the lease is gone when the proof is there: the proof is worth as much without it.

use crate::support::{
    World, gift, once, part,
    proxy::{Fault, ask},
};
use assay_contracts::economy::abi::JobMarket;
use serde_json::json;

#[test]
fn a_proof_is_handed_in_although_its_lease_vanished() {
    let w = World::new("lease-reorged");
    w.post(&[]);
    let node = w.node_url();
    w.proxy.rule(once(
        |a| a.sends::<JobMarket::fulfilCall>(),
        move || {
            ask(&node, "anvil_reorg", &json!([1, []]));
            Fault::DropRequest
        },
    ));
    let mut worker = w.worker(1, &["--once"]);
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    // The lease is not part of the chain, and neither is its bond.
    assert_eq!(w.counts(), (0, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}
