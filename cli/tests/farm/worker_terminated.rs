//! A worker is asked to end, as when machines are taken away: it gives its job back at once, and that counts as no attempt.

use crate::support::{Farm, nats};

#[test]
fn it_gives_back_what_it_has() {
    if !nats() {
        return;
    }
    // So long a lease that only what is given back is done in time.
    let farm = Farm::new("terminated", &["--lease", "1h"]);
    farm.send(4);
    let mut first = farm.worker("first", &[]);
    first.wait_for("leased");
    first.signal("TERM");
    let (code, last) = first.ends();
    assert_eq!((code, &last["event"]), (0, &"result".into()));
    let _second = farm.worker("second", &[]);
    farm.collect(4);
    farm.check(4);
    for e in first.said("leased") {
        assert_eq!(farm.job(e["job"].as_str().unwrap())["attempts"], 1);
    }
}
