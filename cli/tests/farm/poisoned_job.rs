//! A job kills whoever takes it: after so many attempts it has failed, with a reason, and holds nobody up. When the cause is mended it
//! is tried again.

use crate::support::{Farm, nats};

#[test]
fn it_ends_in_a_state_that_says_why() {
    if !nats() {
        return;
    }
    let mut farm = Farm::new("poisoned", &["--tries", "2", "--lease", "1s"]);
    farm.send(1);
    for attempt in 1..=2 {
        // What the job does to workers is done by hand.
        let mut worker = farm.stuck(&format!("victim-{attempt}"));
        assert_eq!(worker.wait_for("leased")["attempt"], attempt);
        worker.kill();
        assert_eq!(worker.said("proven").len(), 0);
    }
    let over = {
        // It comes back to whoever looks for work, and is given up.
        let _next = farm.worker("next", &[]);
        farm.until("failed", 1)
    };
    assert_eq!(over["accepted"], 0);
    let reason = over["failures"][0]["reason"].as_str().unwrap();
    let text = "gave up after 2 attempts; the last: worker 'victim-2' took it and was not heard of again";
    assert_eq!(reason, text);
    let args = farm.submission(1, &["--output", "out"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    farm.s.fails(2, &args, &["1 of 1 jobs failed: digits_test-00000: gave up after 2 attempts", "--retry"]);
    // Whoever is healthy has time.
    farm.kill();
    farm.again_with(&["--tries", "2", "--lease", "1h"]);
    let _worker = farm.worker("healthy", &[]);
    let again = farm.s.json(&[&args[..], &["--retry"]].concat());
    assert_eq!((&again["accepted"], &again["retried"]), (&1.into(), &1.into()));
    farm.check(1);
}
