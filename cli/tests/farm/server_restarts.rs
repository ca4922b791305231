//! Server and keeper are gone without a word, and come back with what they kept: workers and submitters wait, nothing is lost.

use crate::support::{Farm, nats};
use std::{thread, time::Duration};

#[test]
fn everything_goes_on() {
    if !nats() {
        return;
    }
    let mut farm = Farm::new("restarts", &[]);
    let mut workers = [farm.worker("a", &[]), farm.worker("b", &[])];
    let args = farm.submission(10, &["--batch", "16", "--output", "out", "--timeout", "400s", "--json"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut submitter = crate::support::Running::start(farm.s.command(&args), "submitter");
    let restart = |farm: &mut Farm| {
        farm.kill();
        thread::sleep(Duration::from_millis(500));
        farm.again();
    };
    workers[0].wait_for("leased");
    restart(&mut farm);
    submitter.wait_for("collected");
    restart(&mut farm);
    let (code, last) = submitter.ends();
    assert_eq!((code, &last["accepted"]), (0, &10.into()), "{last:#}");
    farm.check(10);
}
