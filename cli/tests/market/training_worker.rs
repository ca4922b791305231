//! `assay task work` on a real node, with real proofs: from the lease to the gain, after a crash, and after a lease that was lost.

use super::{
    common::{KEYS, MarketOf, digits, mlp},
    proxy::ask,
};
use assay_contracts::{economy::NewEntry, keccak256};
use assay_verifier::settle::key::SettlementKey;
use serde_json::{Value, json};
use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

const CURATOR: &str = KEYS[0];
const SPONSOR: &str = KEYS[1];
const WORKER: &str = KEYS[2];
/// What is trained and how; keys are made for it.
const HOW: [&str; 6] = ["--steps", "2", "--batch", "8", "--lr", "2^-6"];

struct World {
    m: MarketOf,
    task: String,
}

impl World {
    fn new(name: &str) -> Self {
        let mut m = MarketOf::new(name);
        // The sponsor tries it, which gives the keys.
        m.s.ok(&[&["train", &mlp(), &digits(), "-o", "tried", "--settle"], &HOW[..]].concat());
        let files = ["-o", "e", "--key-out", "e.key", "--settle"];
        m.s.ok(&[&["evaluate", "tried/training.json", &digits()], &files[..]].concat());
        let (mut chain, at) = m.client();
        let mut entry = |file: &str| {
            let key = SettlementKey::from_bytes(&m.s.read(file)).unwrap();
            let registered = at.verifier().register(&mut chain, &key.descriptor.to_bytes()).unwrap();
            let new = NewEntry {
                verifier: at.contracts.verifier,
                settlement_id: registered.model_id,
                model_id: keccak256(file),
                batch: 1,
                work_units: u64::try_from(key.graph.multiply_adds()).unwrap(),
            };
            at.registry().add(&mut chain, &new).unwrap().0.to_string()
        };
        let (train, evaluate) = (entry("tried/settlement.key"), entry("e.key"));
        for stack in ["data.stack", "a.stack", "b.stack"] {
            m.s.ok(&["dataset", "commit", &digits(), "--model", &mlp(), "-o", stack]);
        }
        m.s.ok(&["stack", "commit", &mlp(), "--train", "-o", "weights.stack"]);
        m.s.write("LICENCE", "anybody may train on this");
        m.s.key = Some(CURATOR);
        m.json(&["dataset", "register", "data.stack", "--licence", "LICENCE"]);
        m.s.key = Some(SPONSOR);
        let held = ["--head", "weights.stack", "--shard", "a.stack", "--shard", "b.stack", "--sealed", "sealed.json"];
        let pay = ["--eta", "1", "--rate", "1", "--max-steps", "30", "--max-price", "10", "--min-price", "10"];
        let posted = m.json(
            &[&["task", "post", "--train", &train, "--evaluate", &evaluate, "--bond", "1"], &held[..], &pay[..]]
                .concat(),
        );
        m.s.key = Some(WORKER);
        Self { task: posted["task_id"].as_u64().unwrap().to_string(), m }
    }

    fn block(&self) {
        ask(self.m.node.url(), "evm_mine", &json!([]));
    }

    fn start(&self, more: &[&str]) -> Child {
        let model = mlp();
        let stacks = ["--stack", "data.stack", "--stack", "weights.stack", "--stack", "a.stack", "-o", "rounds"];
        let own = ["task", "work", &model, "--rpc", self.m.node.url(), "--poll", "1", "--json"];
        let args = [&own[..], &stacks, &HOW, more].concat();
        self.m.s.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs to the end, with a block now and then; exit code and events.
    fn work(&self, more: &[&str]) -> (Option<i32>, Vec<Value>) {
        let mut child = self.start(more);
        let end = Instant::now() + Duration::from_secs(400);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the worker does not end");
            std::thread::sleep(Duration::from_millis(700));
            self.block();
        }
        let out = child.wait_with_output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let events = text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")));
        (out.status.code(), events.collect())
    }
}

fn names(events: &[Value]) -> Vec<&str> {
    let all = events.iter().filter_map(|e| e["event"].as_str());
    all.filter(|e| !matches!(*e, "progress" | "stage" | "warning")).collect()
}

fn find<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|e| e["event"] == name).unwrap_or_else(|| panic!("no '{name}': {events:#?}"))
}

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
