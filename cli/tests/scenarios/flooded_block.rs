//! Somebody fills a block with so many postings that no node's answer about it can be read: the jobs behind it must not
//! be out of sight for ever.

use crate::support::{World, flood::post_old};

#[test]
fn a_block_that_cannot_be_read_is_passed_over() {
    let w = World::without_cap("flooded-block");
    post_old(&w, w.verifier(), 1, 5_000);
    let job = w.post(&[]);
    let mut worker = w.worker(1, &["--once"]);
    let passed = worker.wait_for("passed_over");
    assert!(passed["error"].as_str().unwrap().contains("bytes"), "{passed}");
    assert_eq!(worker.wait_for("paid")["job_ids"][0].as_u64(), Some(job[0]));
    assert_eq!(worker.ends().0, 0);
}
