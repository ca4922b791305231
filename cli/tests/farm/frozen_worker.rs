//! A worker stands still for longer than its lease and wakes up: somebody else has its job by then, and nothing of what it still does
//! counts.

use crate::support::{Farm, nats};

#[test]
fn what_it_does_later_is_not_taken() {
    if !nats() {
        return;
    }
    let mut farm = Farm::new("frozen", &[]);
    // One that was faster than the signal shows nothing: then another one, with the next job.
    let stopped = (1..=10).find_map(|n| {
        farm.send(n);
        let mut first = farm.worker("first", &[]);
        let job = first.wait_for("leased")["job"].as_str().unwrap().to_owned();
        first.signal("STOP");
        (farm.job(&job)["state"] == "leased").then_some((n, first, job))
    });
    let (jobs, mut first, job) = stopped.expect("a worker that is stopped before it has handed in");
    let mut second = farm.worker("second", &[]);
    second.wait_for("proven");
    while farm.up.wait_for("accepted")["job"] != job.as_str() {}
    first.signal("CONT");
    first.wait_for("lost");
    let one = farm.job(&job);
    assert_eq!((&one["state"], &one["record"]["at"]["worker"]), (&"accepted".into(), &"second".into()));
    assert_eq!(farm.up.said("accepted").iter().filter(|e| e["job"] == job.as_str()).count(), 1);
    // It goes on with other jobs.
    drop(second);
    farm.collect(jobs + 1);
    first.wait_for("proven");
}
