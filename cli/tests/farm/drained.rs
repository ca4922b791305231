//! A farm drains: workers end by themselves, what waits stays, and goes on later.

use crate::support::{Farm, nats};

#[test]
fn what_waits_stays() {
    if !nats() {
        return;
    }
    let farm = Farm::new("drained", &[]);
    let url = farm.url();
    let drained = farm.s.json(&["farm", "drain", "--nats", &url]);
    assert_eq!((&drained["draining"], &drained["queued"]), (&true.into(), &0.into()));
    farm.send(3);
    let (code, last) = farm.worker("a", &[]).ends();
    assert_eq!((code, &last["proven"]), (0, &0.into()));
    let status = farm.status();
    assert_eq!((&status["queued"], &status["draining"]), (&3.into(), &true.into()));
    farm.s.json(&["farm", "drain", "--nats", &url, "--undo"]);
    let mut worker = farm.worker("b", &[]);
    worker.wait_for("leased");
    farm.s.json(&["farm", "drain", "--nats", &url, "--wait", "400s"]);
    let (code, _) = worker.ends();
    assert_eq!((code, &farm.status()["leased"]), (0, &0.into()));
}
