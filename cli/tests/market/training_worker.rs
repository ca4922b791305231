//! `assay task work` on a real node, with real proofs: from the lease to the gain, after a crash, and after a lease that was lost.

use super::{
    common::{
        digits, mlp,
        running::{PATIENCE, Running},
    },
    proxy::ask,
    training_world::{SPONSOR, WORKER, World, find, names},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A round from its lease, its reveal and its evaluation; gives the task's head then.
fn whole_round(w: &mut World) -> Value {
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
    record
}

#[test]
fn from_the_lease_to_the_gain() {
    let mut w = World::new("task-work");
    // Too cheap: left alone.
    let (code, events) = w.work(&["--once", "--min-price", "11"]);
    assert_eq!((code, names(&events)), (Some(0), vec!["started", "result"]), "{events:#?}");
    whole_round(&mut w);
}

#[test]
fn adapters_over_the_base_that_the_keys_pin() {
    let mut w = World::adapters("task-work-adapters");
    let base = std::mem::replace(&mut w.at_hand, vec!["--stack", "tried/weights.stack"]);
    let (code, events) = w.work(&["--once"]);
    assert_eq!(code, Some(2), "{events:#?}");
    let error = find(&events, "error").to_string();
    assert!(error.contains("stay as they are") && error.contains("base.stack"), "{error}");
    // The same values committed to anew are another base, whose proofs would be under another key.
    w.at_hand = vec!["--stack", "tried/weights.stack", "--stack", "again/base.stack"];
    let again = ["train", &mlp(), &digits(), "-o", "again", "--lora", "4", "--row-bits", "18", "--steps", "1"];
    w.m.s.ok(&again);
    let (code, events) = w.work(&["--once"]);
    assert_eq!((code, names(&events)), (Some(0), vec!["started", "result"]), "{events:#?}");
    w.at_hand = base;
    let record = whole_round(&mut w);
    let pinned = w.m.s.json(&["stack", "show", "tried/base.stack"]);
    assert_eq!(record["base"], pinned["stack_id"]);
}

#[test]
fn a_task_whose_evaluation_it_cannot_prove_is_left_alone() {
    let mut w = World::new("task-work-evaluation");
    let files = |k: &str| [format!("{k}/training.json"), format!("{k}.proof"), format!("{k}.key")];
    let mut odd = vec![];
    // Another loss on the same stacks, and stacks in rows of another length.
    for (name, how) in [
        ("loss", ["--loss", "squared-error", "--row-bits", "18"]),
        ("rows", ["--loss", "cross-entropy", "--row-bits", "16"]),
    ] {
        let [record, proof, key] = files(name);
        w.m.s.ok(&[&["train", &mlp(), &digits(), "-o", name, "--steps", "1", "--batch", "8"], &how[..]].concat());
        w.m.s.ok(&["evaluate", &record, &digits(), "--settle", "-o", &proof, "--key-out", &key]);
        odd.push(w.entry(&key));
    }
    for verifier in &odd {
        w.post(Some(verifier), &[]);
    }
    let (code, events) = w.work(&["--once"]);
    assert_eq!(code, Some(0), "{events:#?}");
    let all = ["started", "leased", "seeded", "proven", "paid", "left_alone", "left_alone", "result"];
    assert_eq!(names(&events), all, "{events:#?}");
    let said: Vec<&Value> = events.iter().filter(|e| e["event"] == "left_alone").map(|e| &e["verifier_id"]).collect();
    assert_eq!(said, odd.iter().map(String::as_str).collect::<Vec<_>>());
    for id in ["2", "3"] {
        assert_eq!(w.m.json(&["task", "show", id])["status"], "open");
    }
}

#[test]
fn a_task_of_other_datasets_stops_no_other_one() {
    let mut w = World::new("task-work-datasets");
    w.m.s.ok(&["dataset", "commit", &digits(), "--model", &mlp(), "-o", "c.stack"]);
    let other = w.m.json(&["dataset", "register", "c.stack", "--licence", "LICENCE"]);
    let other = other["dataset_id"].as_str().unwrap();
    let restricted = w.post(None, &["--dataset", other]);
    let behind = w.post(None, &[]);
    let (code, events) = w.work(&["--rounds", "2"]);
    assert_eq!(code, Some(0), "{events:#?}");
    let of = |name: &str| -> Vec<String> {
        events.iter().filter(|e| e["event"] == name).map(|e| e["task_id"].to_string()).collect()
    };
    assert_eq!(of("left_alone"), [restricted]);
    let mut paid = of("paid");
    paid.sort();
    assert_eq!(paid, [w.task.clone(), behind]);
}

#[test]
fn a_payment_that_vanished_is_asked_for_again_and_more_is_offered_for_gas() {
    let w = World::new("task-work-reorged");
    let node = w.m.node.url().to_owned();
    ask(&node, "evm_setAutomine", &json!([false]));
    let sends = ["--rounds", "1", "--confirmations", "3", "--raise-after", "1s"];
    let mut worker = Running::start(w.command(&sends), "worker");
    let end = Instant::now() + PATIENCE;
    while ask(&node, "txpool_status", &json!([]))["pending"] != "0x1" {
        assert!(Instant::now() < end, "nothing is sent");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What waits offers less than a block takes now, and would be thrown out by one: something dearer takes its place.
    let pool = || ask(&node, "txpool_content", &json!([]))["pending"].clone();
    let left = pool();
    ask(&node, "anvil_setNextBlockBaseFeePerGas", &json!(["0x4a817c800"]));
    while pool() == left {
        assert!(Instant::now() < end, "nothing dearer is sent");
        std::thread::sleep(Duration::from_millis(50));
    }
    ask(&node, "evm_setAutomine", &json!([true]));
    worker.wait_for("leased");
    (0..3).for_each(|_| w.block());
    worker.wait_for("paid");
    ask(&node, "anvil_reorg", &json!([1, []]));
    assert_eq!(worker.wait_for("vanished")["round"], 1);
    worker.wait_for("paid");
    assert!(worker.seen.iter().filter(|e| e["event"] == "proven").count() == 1, "{:#?}", worker.seen);
    (0..2).for_each(|_| w.block());
    assert!(worker.within(Duration::from_secs(4), "confirmed").is_none(), "two blocks are not three");
    w.block();
    worker.wait_for("confirmed");
    assert_eq!(worker.wait_for("result")["rounds_paid"], 1);
    assert_eq!(w.m.json(&["task", "show", &w.task])["status"], "trained");
}

#[test]
fn crashes_and_lost_leases() {
    let w = World::new("task-work-crash");
    // Without more blocks there is no seed, and nothing to do but to wait for one.
    let dies_with_a_lease = |more: &[&str]| {
        let mut worker = Running::start(w.command(&[&["--rounds", "1"], more].concat()), "worker");
        worker.wait_for("leased");
        worker.kill();
        assert_eq!(w.m.json(&["task", "show", &w.task])["status"], "leased");
    };
    // It dies, for longer than the lease lasts: a bond is lost, and no more are risked.
    dies_with_a_lease(&[]);
    ask(w.m.node.url(), "evm_increaseTime", &json!([2 * 86_400]));
    w.block();
    let (code, events) = w.work(&["--once", "--max-failures", "1"]);
    assert_eq!(code, Some(2), "{events:#?}");
    assert_eq!(names(&events), ["started", "lost", "breaker", "result", "error"]);
    let (code, events) = w.work(&["--once", "--max-failures", "1"]);
    assert_eq!((code, names(&events)), (Some(2), vec!["started", "breaker", "result", "error"]), "{events:#?}");
    // It dies again, and goes on with the same round.
    dies_with_a_lease(&["--reset-failures"]);
    assert_eq!(w.m.json(&["task", "show", &w.task])["round"]["number"], 2);
    let (code, events) = w.work(&["--rounds", "1"]);
    assert_eq!(code, Some(0), "{events:#?}");
    assert_eq!(names(&events), ["started", "seeded", "proven", "paid", "result"]);
    assert_eq!(find(&events, "paid")["round"], 2);
}
