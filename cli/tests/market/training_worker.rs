//! `assay task work` on a real node, with real proofs: from the lease to the gain, after a crash, and after a lease that was lost.

use super::{
    proxy::ask,
    training_world::{SPONSOR, WORKER, World, find, names},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn from_the_lease_to_the_gain() {
    let mut w = World::new("task-work");
    // Too cheap: left alone.
    let (code, events) = w.work(&["--once", "--min-price", "11"]);
    assert_eq!((code, names(&events)), (Some(0), vec!["started", "result"]), "{events:#?}");
    let (code, events) = w.work(&["--rounds", "1"]);
    assert_eq!(code, Some(0), "{events:#?}");
    assert_eq!(names(&events), ["started", "leased", "seeded", "proven", "paid", "result"]);
    let trained = find(&events, "paid")["trained"].as_str().unwrap().to_owned();
    assert_eq!(find(&events, "result")["rounds_paid"], 1);
    let record: Value = serde_json::from_slice(&w.m.s.read(&format!("rounds/{}-1/training.json", w.task))).unwrap();
    assert_eq!(format!("0x{}", record["trained"].as_str().unwrap()), trained);
    // Nothing to do until the sponsor reveals, then the gain is settled, and the head is what was trained.
    let (_, events) = w.work(&["--once", "--min-price", "11"]);
    assert_eq!(names(&events), ["started", "result"]);
    w.m.s.key = Some(SPONSOR);
    w.m.json(&["task", "reveal", &w.task, "--sealed", "sealed.json"]);
    w.m.s.key = Some(WORKER);
    let (code, events) = w.work(&["--once", "--min-price", "11"]);
    assert_eq!(code, Some(0), "{events:#?}");
    let gained = find(&events, "gained");
    // Which rows it trained on follows from a block's hash, so what it is worth on others is not known here.
    let better = gained["before"].as_u64() > gained["after"].as_u64();
    assert_eq!((gained["gain"] != "0", gained["head"] == trained.as_str()), (better, better), "{gained}");
    assert_eq!(w.m.json(&["task", "show", &w.task])["head"], gained["head"]);
}

#[test]
fn crashes_and_lost_leases() {
    let w = World::new("task-work-crash");
    let dies_with_a_lease = || {
        let mut child = w.start(&["--rounds", "1"]);
        let end = Instant::now() + Duration::from_secs(200);
        while w.m.json(&["task", "show", &w.task])["status"] != "leased" {
            assert!(Instant::now() < end, "nothing is leased");
            std::thread::sleep(Duration::from_millis(300));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    };
    // It dies, for longer than the lease lasts: a bond is lost, and no more are risked.
    dies_with_a_lease();
    ask(w.m.node.url(), "evm_increaseTime", &json!([2 * 86_400]));
    w.block();
    let (code, events) = w.work(&["--once", "--max-failures", "1"]);
    assert_eq!(code, Some(2), "{events:#?}");
    assert_eq!(names(&events), ["started", "lost", "breaker", "result", "error"]);
    let (code, events) = w.work(&["--once", "--max-failures", "1"]);
    assert_eq!((code, names(&events)), (Some(2), vec!["started", "breaker", "result", "error"]), "{events:#?}");
    // It dies again, and goes on with the same round.
    let mut child = w.start(&["--rounds", "1", "--reset-failures"]);
    let end = Instant::now() + Duration::from_secs(200);
    while w.m.json(&["task", "show", &w.task])["round"]["number"] != 2 {
        assert!(Instant::now() < end, "nothing is leased");
        std::thread::sleep(Duration::from_millis(300));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, events) = w.work(&["--rounds", "1"]);
    assert_eq!(code, Some(0), "{events:#?}");
    assert_eq!(names(&events), ["started", "seeded", "proven", "paid", "result"]);
    assert_eq!(find(&events, "paid")["round"], 2);
}
