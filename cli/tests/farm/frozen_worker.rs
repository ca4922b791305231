//! A worker stands still for longer than its lease and wakes up: somebody else has its job by then, and nothing of what it still does
//! counts.

use crate::support::{Farm, nats};

#[test]
fn what_it_does_later_is_not_taken() {
    if !nats() {
        return;
    }
    let mut farm = Farm::new("frozen", &[]);
    farm.send(1);
    let mut first = farm.worker("first", &[]);
    let job = first.wait_for("leased")["job"].as_str().unwrap().to_owned();
    first.signal("STOP");
    if !first.said("proven").is_empty() {
        // It was faster: there is nothing to see.
        return;
    }
    let mut second = farm.worker("second", &[]);
    second.wait_for("proven");
    farm.up.wait_for("accepted");
    first.signal("CONT");
    first.wait_for("lost");
    let one = farm.s.json(&["farm", "status", "--nats", &farm.url(), "--job", &job]);
    assert_eq!((&one["state"], &one["record"]["at"]["worker"]), (&"accepted".into(), &"second".into()));
    assert_eq!(farm.up.said("accepted").len(), 1);
    // It goes on with other jobs.
    drop(second);
    farm.collect(2);
    assert!(!first.said("proven").is_empty());
}
