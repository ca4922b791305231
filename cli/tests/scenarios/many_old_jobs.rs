//! 131,072 jobs were posted over the years, more than are read at once: neither a start nor a look at all of them fails.

use crate::support::{World, flood::post_old};

#[test]
fn a_worker_starts_on_a_market_with_a_long_history() {
    let w = World::new("many-old-jobs");
    post_old(&w, w.verifier(), 66, 2_000);
    w.pass(9 * 86_400);
    w.mine(10, 12);
    let job = w.post(&[])[0];
    let mut worker = w.worker(1, &["--once"]);
    let started = worker.wait_for("started");
    let head = w.node("eth_blockNumber", &serde_json::json!([]));
    let head = u64::from_str_radix(head.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!(started["from_block"].as_u64().unwrap() + 20 > head, "{started}");
    assert_eq!(worker.wait_for("paid")["job_ids"][0].as_u64(), Some(job));
    assert_eq!(worker.ends().0, 0);
    // From the first block on, as somebody asked: all of them are read, in parts, and none costs a question.
    let job = w.post(&[])[0];
    w.proxy.rule(|_| crate::support::proxy::Fault::None);
    let before = w.proxy.seen(|_| true).len();
    let mut worker = w.worker(1, &["--once", "--from-block", "0"]);
    assert_eq!(worker.wait_for("started")["from_block"], 0);
    assert_eq!(worker.wait_for("paid")["job_ids"][0].as_u64(), Some(job));
    assert!(w.proxy.seen(|_| true).len() - before < 1_000);
}
