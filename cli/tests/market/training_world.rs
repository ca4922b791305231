//! A task of training on a real node, with real proofs: its sponsor, and a worker who runs.

use super::{
    common::{KEYS, MarketOf, Sandbox, digits, mlp, running::PATIENCE},
    proxy::ask,
};
use assay_contracts::{economy::NewEntry, keccak256};
use assay_verifier::settle::key::SettlementKey;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

const CURATOR: &str = KEYS[0];
pub(crate) const SPONSOR: &str = KEYS[1];
pub(crate) const WORKER: &str = KEYS[2];
/// What is trained and how; keys are made for it.
const HOW: [&str; 6] = ["--steps", "2", "--batch", "8", "--lr", "2^-6"];

/// What the worker has at hand, besides the dataset and a shard.
const WEIGHTS: [&str; 2] = ["--stack", "weights.stack"];

pub(crate) struct World {
    pub(crate) m: MarketOf,
    pub(crate) task: String,
    train: String,
    evaluate: String,
    how: Vec<&'static str>,
    head: &'static str,
    pub(crate) at_hand: Vec<&'static str>,
    posted: usize,
}

impl World {
    /// A task of training all weights.
    pub(crate) fn new(name: &str) -> Self {
        let mut w = Self::keys(name, &[]);
        w.m.s.ok(&["stack", "commit", &mlp(), "--train", "-o", "weights.stack"]);
        w.task = w.post(None, &[]);
        w
    }

    /// A task of training adapters over the stack `tried/base.stack`.
    pub(crate) fn adapters(name: &str) -> Self {
        let mut w = Self::keys(name, &["--lora", "4"]);
        w.head = "tried/weights.stack";
        w.at_hand = vec!["--stack", w.head, "--stack", "tried/base.stack"];
        w.task = w.post(None, &[]);
        w
    }

    /// Without a task.
    fn keys(name: &str, more: &[&'static str]) -> Self {
        static ALL: OnceLock<Files> = OnceLock::new();
        static ADAPTERS: OnceLock<Files> = OnceLock::new();
        let mut m = MarketOf::new(name);
        let how = [&HOW[..], more].concat();
        let made = if more.is_empty() { &ALL } else { &ADAPTERS };
        for (file, bytes) in made.get_or_init(|| tried(&how)) {
            let path = m.s.dir.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let [train, evaluate] = ["tried/settlement.key", "e.key"].map(|file| entry(&m, file));
        m.s.write("LICENCE", "anybody may train on this");
        m.s.key = Some(CURATOR);
        m.json(&["dataset", "register", "data.stack", "--licence", "LICENCE"]);
        m.s.key = Some(WORKER);
        Self {
            task: String::new(),
            m,
            train,
            evaluate,
            how,
            head: "weights.stack",
            at_hand: WEIGHTS.to_vec(),
            posted: 0,
        }
    }

    /// A verifier of the settlement key in this file.
    pub(crate) fn entry(&self, file: &str) -> String {
        entry(&self.m, file)
    }

    /// The sponsor opens a task, with this evaluation or the world's own; the first one's shards are sealed in `sealed.json`.
    pub(crate) fn post(&mut self, evaluate: Option<&str>, more: &[&str]) -> String {
        self.m.s.key = Some(SPONSOR);
        self.posted += 1;
        let sealed = if self.posted == 1 { "sealed.json".to_owned() } else { format!("sealed-{}.json", self.posted) };
        let evaluate = evaluate.unwrap_or(&self.evaluate);
        let held = ["--head", self.head, "--shard", "a.stack", "--shard", "b.stack", "--sealed", &sealed];
        let pay = ["--eta", "1", "--rate", "1", "--max-steps", "30", "--max-price", "10", "--min-price", "10"];
        let keys = ["task", "post", "--train", &self.train, "--evaluate", evaluate, "--bond", "1"];
        let posted = self.m.json(&[&keys[..], &held, &pay, more].concat());
        self.m.s.key = Some(WORKER);
        posted["task_id"].as_u64().unwrap().to_string()
    }

    pub(crate) fn block(&self) {
        ask(self.m.node.url(), "evm_mine", &json!([]));
    }

    pub(crate) fn start(&self, more: &[&str]) -> Child {
        self.command(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// `task work`, not started yet.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let model = mlp();
        let stacks = ["--stack", "data.stack", "--stack", "a.stack", "-o", "rounds"];
        let own = ["task", "work", &model, "--rpc", self.m.node.url(), "--poll", "1", "--json"];
        self.m.s.command(&[&own[..], &stacks, &self.at_hand[..], &self.how[..], more].concat())
    }

    /// Runs to the end, with a block now and then; exit code and events.
    pub(crate) fn work(&self, more: &[&str]) -> (Option<i32>, Vec<Value>) {
        let mut child = self.start(more);
        let end = Instant::now() + PATIENCE * 2;
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

/// Files of a folder by their paths in it.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// What a sponsor has who tried the training, which gives the keys: proofs, keys and stacks of data.
fn tried(how: &[&str]) -> Files {
    let s = Sandbox::new(&format!("tried-{}", how.len()));
    s.ok(&[&["train", &mlp(), &digits(), "-o", "tried", "--settle"], how].concat());
    s.ok(&["evaluate", "tried/training.json", &digits(), "-o", "e", "--key-out", "e.key", "--settle"]);
    for stack in ["data.stack", "a.stack", "b.stack"] {
        s.ok(&["dataset", "commit", &digits(), "--model", &mlp(), "-o", stack]);
    }
    let mut files = vec![];
    read(&s.dir, Path::new(""), &mut files);
    files
}

fn read(root: &Path, folder: &Path, files: &mut Files) {
    for e in std::fs::read_dir(root.join(folder)).unwrap() {
        let e = e.unwrap();
        let path = folder.join(e.file_name());
        if e.file_type().unwrap().is_dir() {
            read(root, &path, files);
        } else {
            let bytes = std::fs::read(e.path()).unwrap();
            files.push((path, bytes));
        }
    }
}

fn entry(m: &MarketOf, file: &str) -> String {
    let (mut chain, at) = m.client();
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
}

pub(crate) fn names(events: &[Value]) -> Vec<&str> {
    let all = events.iter().filter_map(|e| e["event"].as_str());
    all.filter(|e| !matches!(*e, "progress" | "stage" | "warning")).collect()
}

pub(crate) fn find<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|e| e["event"] == name).unwrap_or_else(|| panic!("no '{name}': {events:#?}"))
}
