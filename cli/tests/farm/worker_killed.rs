//! A worker dies in the middle of a proof, as by a power cut: its job goes to another when the lease is over.

use crate::support::{Farm, nats};

#[test]
fn its_job_is_done_by_another() {
    if !nats() {
        return;
    }
    let farm = Farm::new("killed", &[]);
    farm.send(3);
    let mut first = farm.stuck("first");
    let job = first.wait_for("leased")["job"].as_str().unwrap().to_owned();
    first.kill();
    let _second = farm.worker("second", &[]);
    farm.collect(3);
    farm.check(3);
    let one = farm.job(&job);
    assert_eq!(one["state"], "accepted");
    assert_eq!(one["record"]["at"]["worker"], "second");
    assert!(one["attempts"].as_u64() >= Some(2), "{one:#}");
    assert!(one["record"]["error"].as_str().unwrap().contains("worker 'first' took it and was not heard of again"));
}
