//! The node is gone while a proof is in hand, and comes back after a while.

use crate::support::{World, gift, part, proxy::Fault};
use assay_contracts::economy::abi::JobMarket;
use std::time::Duration;

#[test]
fn a_proof_in_hand_outlives_the_node() {
    let mut w = World::new("node-restarts");
    w.post(&[]);
    w.proxy.rule(|a| if a.sends::<JobMarket::fulfilCall>() { Fault::DropRequest } else { Fault::None });
    let mut worker = w.worker(1, &["--once"]);
    worker.wait_for("proven");
    w.stop_node();
    w.proxy.honest();
    worker.wait_for("node_trouble");
    std::thread::sleep(Duration::from_secs(2));
    w.start_node();
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    assert!(worker.said("gave_up").is_empty());
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}

#[test]
fn a_node_that_talks_nonsense_is_not_believed() {
    let w = World::new("node-talks-nonsense");
    w.post(&[]);
    let mut bad = 0;
    // Each of these ended a worker that had a proof in hand.
    let errors = [
        Fault::Refuse("internal error"),
        Fault::Refuse("out of gas"),
        Fault::Refuse("execution reverted"),
        Fault::Refuse("intrinsic gas too high -- exceeds block gas limit"),
        Fault::Instead(serde_json::json!("nonsense")),
        Fault::DropRequest,
    ];
    w.proxy.rule(move |a| {
        if !(a.is("eth_estimateGas") && a.carries::<JobMarket::fulfilCall>()) || bad == errors.len() {
            return Fault::None;
        }
        bad += 1;
        errors[bad - 1].clone()
    });
    let mut worker = w.worker(1, &["--once"]);
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    assert_eq!(worker.said("node_trouble").len(), 6);
    assert_eq!(w.counts(), (1, 0, 1));
}
