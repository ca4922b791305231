//! Blocks every twelve seconds, whatever is in them, as on mainnet: approval, lease and payment each wait for one, and the lease that
//! was asked for is long enough for it.

use crate::support::{World, gift, part};
use serde_json::json;

#[test]
fn a_job_is_done_between_blocks_of_twelve_seconds() {
    let w = World::new("slow-blocks");
    // What the worker looks back at to see how far apart blocks are.
    w.mine(14, 12);
    let fair = w.post(&["--deadline", "30m", "--lease", "10m"])[0];
    let trap = w.post(&["--deadline", "45s", "--bond", "2"])[0];
    w.node("evm_setIntervalMining", &json!([12]));
    let mut worker = w.worker(1, &["--jobs", "1", "--confirmations", "2", "--withdraw-at", "1000"]);
    assert_eq!(worker.wait_for("paid")["job_ids"][0].as_u64(), Some(fair));
    worker.wait_for("confirmed");
    let lease = w.events::<assay_contracts::economy::abi::JobMarket::Leased>();
    // The other one would be over before its proof is included.
    assert!(lease.iter().all(|l| l.jobId.to::<u64>() != trap), "{:?}", worker.seen);
    let blocks = w.node("eth_getBlockByNumber", &json!(["latest", false]));
    let time = u64::from_str_radix(blocks["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!(lease[0].until.to::<u64>() > time, "the lease was over before the payment was confirmed");
    assert_eq!((w.counts(), w.worth(1)), ((1, 0, 1), gift() + part()));
}
