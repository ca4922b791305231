//! A task of training on a real node, with real proofs: its sponsor, and a worker who runs.

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
pub(crate) const SPONSOR: &str = KEYS[1];
pub(crate) const WORKER: &str = KEYS[2];
/// What is trained and how; keys are made for it.
const HOW: [&str; 6] = ["--steps", "2", "--batch", "8", "--lr", "2^-6"];

pub(crate) struct World {
    pub(crate) m: MarketOf,
    pub(crate) task: String,
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
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

    pub(crate) fn block(&self) {
        ask(self.m.node.url(), "evm_mine", &json!([]));
    }

    pub(crate) fn start(&self, more: &[&str]) -> Child {
        let model = mlp();
        let stacks = ["--stack", "data.stack", "--stack", "weights.stack", "--stack", "a.stack", "-o", "rounds"];
        let own = ["task", "work", &model, "--rpc", self.m.node.url(), "--poll", "1", "--json"];
        let args = [&own[..], &stacks, &HOW, more].concat();
        self.m.s.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs to the end, with a block now and then; exit code and events.
    pub(crate) fn work(&self, more: &[&str]) -> (Option<i32>, Vec<Value>) {
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

pub(crate) fn names(events: &[Value]) -> Vec<&str> {
    let all = events.iter().filter_map(|e| e["event"].as_str());
    all.filter(|e| !matches!(*e, "progress" | "stage" | "warning")).collect()
}

pub(crate) fn find<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|e| e["event"] == name).unwrap_or_else(|| panic!("no '{name}': {events:#?}"))
}
