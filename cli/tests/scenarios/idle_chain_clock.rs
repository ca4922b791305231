//! A chain that makes blocks only when there is something in them: its newest block is days old, and the next one will not be.

use crate::common::digits;
use crate::support::World;
use serde_json::json;

#[test]
fn jobs_are_posted_and_taken_by_the_time_of_the_next_block() {
    let w = World::new("idle-chain-clock");
    w.node("evm_increaseTime", &json!([3 * 86_400]));
    // By the newest block's time the deadline would be over before it was posted: BadSpec(7).
    let data = digits();
    let post =
        ["job", "post", "model", &data, "--max-price", "4", "--min-price", "1", "--ramp", "30m", "--deadline", "1h"];
    let id = w.json(&post)["job_id"].as_u64().unwrap();
    let job = w.job(id);
    let next = w.node("eth_getBlockByNumber", &json!(["latest", false]))["timestamp"].clone();
    let next = u64::from_str_radix(next.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!(
        job.rampStart.to::<u64>().abs_diff(next) <= 120 && job.deadline.to::<u64>().abs_diff(next + 3_600) <= 120,
        "{job:?}"
    );
    // The bottom of the ramp, but for the minutes that a busy machine takes until here.
    let status = w.json(&["job", "status", &id.to_string()]);
    assert_eq!(status["status"], "open");
    let price: u128 = status["price"].as_str().unwrap().parse().unwrap();
    assert!(price < 1_500_000_000_000_000_000, "{status}");

    // Half an hour in which nothing happens: the price is at its top, and nobody takes the job for expired or early.
    w.node("evm_increaseTime", &json!([1_810]));
    let mut worker = w.worker(1, &["--once", "--min-price", "3.5"]);
    assert_eq!(worker.wait_for("paid")["job_ids"][0].as_u64(), Some(id));
    assert_eq!(w.job(id).price, 4_000_000_000_000_000_000);
    // And one that is over is not tried.
    w.post(&["--deadline", "20m"]);
    w.node("evm_increaseTime", &json!([1_200]));
    let mut late = w.worker(2, &[]);
    late.wait_for("started");
    w.only(&mut late, "leased", 0);
    assert_eq!(w.counts().0, 1);
}
