//! A requester takes back what is left of a job as soon as it is paid: "closed" is not "not paid".

use crate::{
    common::digits,
    support::{World, gift},
};
use assay_contracts::economy::Status;

#[test]
fn a_closed_job_was_paid_nevertheless() {
    let w = World::new("payment-closed");
    let data = digits();
    let post = ["job", "post", "model", &data, "--max-price", "4", "--min-price", "1"];
    let id = w.json(&post)["job_id"].as_u64().unwrap();
    let mut worker = w.worker(1, &["--once", "--confirmations", "3"]);
    worker.wait_for("paid");
    w.json(&["job", "refund", &id.to_string()]);
    assert_eq!(w.job(id).status, Status::Closed);
    w.mine(3, 1);
    let (code, result) = worker.ends();
    assert_eq!(
        (code, result["jobs_paid"].as_u64(), result["jobs_given_up"].as_u64()),
        (0, Some(1), Some(0)),
        "{result}"
    );
    assert!(worker.said("vanished").is_empty());
    assert!(w.worth(1) > gift());
}
