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
    let mut died = 0;
    let over = loop {
        let mut worker = farm.worker(&format!("victim-{died}"), &[]);
        let event = loop {
            // What the job does to workers is done by hand.
            let status = farm.status();
            if status["failed"] == 1 || status["accepted"] == 1 {
                break status;
            }
            if !worker.said("leased").is_empty() {
                worker.kill();
                break status;
            }
        };
        if event["failed"] == 1 {
            break event;
        }
        if farm.status()["accepted"] == 1 {
            // The worker was faster than the signal.
            return;
        }
        died += 1;
        assert!(died <= 4, "{event:#}");
    };
    let reason = over["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("gave up after 2 attempts; the last: worker 'victim-"), "{reason}");
    assert!(reason.ends_with("took it and was not heard of again"), "{reason}");
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
