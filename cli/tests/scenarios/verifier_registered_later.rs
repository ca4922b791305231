//! A verifier that was registered after the worker was started: its jobs are done too.

use crate::{common::digits, support::World};

#[test]
fn jobs_of_a_new_verifier_are_picked_up() {
    let w = World::new("verifier-registered-later");
    // Longer than it can take until both jobs are posted: one transaction each.
    let mut worker = w.worker(1, &["--fill", "5m"]);
    worker.wait_for("started");
    let new = w.json(&["model", "register", "model", "--batch", "2"]);
    let data = digits();
    let id = new["verifier_id"].as_str().unwrap();
    let post = ["job", "post", "model", &data, "--max-price", "2", "--count", "2", "--verifier", id];
    w.json(&post);
    assert_eq!(worker.wait_for("serving")["verifier_id"].as_str(), Some(id));
    assert_eq!(worker.wait_for("paid")["job_ids"].as_array().map(Vec::len), Some(2));
    assert_eq!(w.counts(), (2, 0, 2));
}
