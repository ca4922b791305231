//! A task of training by hand: post, lease, seed, prove, reveal, settle, and what each command says when it is not its turn. The proofs are
//! those of a stand-in for the verifier: what they show is tested where proofs are made.

use super::{
    common::{KEYS, MarketOf},
    proxy::ask,
    stand_in::StandIn,
};
use assay_circuits::Tensor;
use assay_circuits::stack::{Schema, SchemaTensor};
use assay_contracts::{Address, B256, keccak256};
use assay_prover::{
    Blinding, Stack,
    device::Cpu,
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::settle::key::{Context, SettledProof};
use serde_json::{Value, json};

const SPONSOR: &str = KEYS[1];
const WORKER: &str = KEYS[2];
const WORKER_ADDRESS: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

struct World {
    m: MarketOf,
    train: StandIn,
    evaluate: StandIn,
    dataset: String,
}

/// Rows of data with targets, committed under development powers.
fn stack(examples: usize, salt: i64) -> Vec<u8> {
    let tensor =
        |name: &str, width: usize| SchemaTensor { name: name.to_owned(), shape: vec![examples, width], bits: 9 };
    let schema = Schema::new(8, vec![tensor("data", 3), tensor("targets", 2)]).unwrap();
    let values = schema.tensors.iter().map(|t| {
        let n: usize = t.shape.iter().product();
        Tensor { shape: t.shape.clone(), data: (0..n as i64).map(|i| (i * 7 + salt) % 200).collect() }
    });
    let srs = Srs::development(9, DEVELOPMENT_SEED).unwrap();
    let stack = Stack::commit(&Cpu::default(), &schema, values.collect(), &srs, Blinding::Random).unwrap();
    stack.to_bytes().unwrap()
}

impl World {
    fn new(name: &str) -> Self {
        let mut m = MarketOf::new(name);
        let (mut chain, at) = m.client();
        let train = StandIn::new(&mut chain, &at, (14, 3), 40_000_000, 1);
        let evaluate = StandIn::new(&mut chain, &at, (12, 2), 3_000_000, 2);
        m.s.write("data.stack", stack(50, 1));
        m.s.write("LICENCE", "anybody may train on this");
        m.s.key = Some(KEYS[3]);
        let registered = m.json(&["dataset", "register", "data.stack", "--licence", "LICENCE", "--royalty", "1000"]);
        assert_eq!((registered["examples"].as_u64(), registered["values"].as_u64()), (Some(50), Some(250)));
        assert_eq!(registered["licence_hash"], keccak256("anybody may train on this").to_string());
        let dataset = registered["dataset_id"].as_str().unwrap().to_owned();
        Self { m, train, evaluate, dataset }
    }

    fn post(&mut self, sealed: &str) -> u64 {
        self.m.s.key = Some(SPONSOR);
        let (train, evaluate) = (self.train.verifier_id.to_string(), self.evaluate.verifier_id.to_string());
        let (head, a, b) = (hash("head"), hash("a"), hash("b"));
        let dataset = self.dataset.clone();
        let posted = self.m.json(&[
            "task",
            "post",
            "--train",
            &train,
            "--evaluate",
            &evaluate,
            "--head",
            &head,
            "--shard",
            &a,
            "--shard",
            &b,
            "--sealed",
            sealed,
            "--dataset",
            &dataset,
            "--eta",
            "100",
            "--rate",
            "2",
            "--max-steps",
            "30",
            "--max-price",
            "10",
            "--min-price",
            "10",
            "--bond",
            "1",
        ]);
        posted["task_id"].as_u64().unwrap()
    }

    /// A settled proof file for what is due, about these values.
    fn prove(&self, of: StandIn, due: &Value, ids: [&str; 3], values: &[u64], file: &str) {
        let text = |name: &str| due[name].as_str().unwrap_or_else(|| panic!("{name}: {due}"));
        let context = Context {
            chain_id: due["chain_id"].as_u64().unwrap(),
            consumer: text("consumer").parse::<Address>().unwrap().into_array(),
            job: text("job").parse::<B256>().unwrap().0,
            recipient: text("recipient").parse::<Address>().unwrap().into_array(),
        };
        assert_eq!(B256::from(context.digest()).to_string(), text("context"));
        let ids = ids.iter().flat_map(|id| id.parse::<B256>().unwrap().0);
        let public: Vec<u8> = ids.chain(values.iter().flat_map(|v| v.to_be_bytes())).collect();
        let argument = of.proof(&public, context.digest().into());
        let proof = SettledProof { id: of.settlement_id.0, context, public, argument };
        self.m.s.write(file, proof.to_bytes());
    }

    fn block(&self) {
        ask(self.m.node.url(), "evm_mine", &json!([]));
    }

    fn later(&self, seconds: u64) {
        ask(self.m.node.url(), "evm_increaseTime", &json!([seconds]));
        self.block();
    }

    fn refused(&self, args: &[&str], words: &[&str]) {
        self.m.s.fails(2, &[args, &["--rpc", self.m.node.url()]].concat(), words);
    }
}

fn hash(text: &str) -> String {
    keccak256(text).to_string()
}

#[test]
fn a_round_from_the_lease_to_the_gain() {
    let mut w = World::new("task-round");
    let id = w.post("sealed.json").to_string();
    w.refused(
        &[
            "task",
            "post",
            "--train",
            &hash("t"),
            "--evaluate",
            &hash("e"),
            "--head",
            &hash("h"),
            "--shard",
            &hash("s"),
            "--sealed",
            "sealed.json",
            "--eta",
            "1",
            "--rate",
            "1",
            "--max-price",
            "1",
        ],
        &["is there already", "--sealed"],
    );
    assert_eq!(w.m.json(&["task", "show", &id])["status"], "open");
    w.refused(&["task", "reveal", &id, "--sealed", "sealed.json"], &["no round that waits for a shard"]);

    w.m.s.key = Some(WORKER);
    let dataset = w.dataset.clone();
    w.refused(&["task", "lease", &id, "--dataset", &dataset], &["certain datasets", "--allowed"]);
    let leased = w.m.json(&["task", "lease", &id, "--dataset", &dataset, "--allowed", &dataset, "--min-lease", "1h"]);
    assert_eq!(leased["payout"], WORKER_ADDRESS);
    assert_eq!(w.m.json(&["task", "list"])["tasks"][0]["status"], "leased");
    w.refused(&["task", "seed", &id], &["the seed comes from block", "--wait"]);
    (0..3).for_each(|_| w.block());
    let seeded = w.m.json(&["task", "seed", &id]);
    assert_eq!(w.m.json(&["task", "seed", &id])["transaction"], Value::Null, "it was fixed before");
    let walk = [seeded["factor"].as_u64().unwrap(), seeded["start"].as_u64().unwrap()];
    let (head, data) = (hash("head"), seeded["dataset"].as_str().unwrap().to_owned());
    let trained = hash("trained");
    let due = seeded["proof"].clone();

    let right = [walk[0], walk[1], 9, 7, 5];
    let ids = [head.as_str(), &trained, &data];
    // What is wrong is said before anything is sent.
    let other = hash("other");
    w.prove(w.train, &due, [&other, &trained, &data], &right, "p");
    w.refused(&["task", "submit", &id, "p"], &["about weights", &other]);
    w.prove(w.train, &due, [&head, &trained, &other], &right, "p");
    w.refused(&["task", "submit", &id, "p"], &["about dataset", &other]);
    w.prove(w.train, &due, ids, &[walk[0] + 1, walk[1], 9, 7, 5], "p");
    w.refused(&["task", "submit", &id, "p"], &["walks through the data", "assay task seed"]);
    w.prove(w.evaluate, &due, ids, &right, "p");
    w.refused(&["task", "submit", &id, "p"], &["settlement key"]);
    let mut elsewhere = due.clone();
    elsewhere["recipient"] = KEYS_ADDRESS.into();
    elsewhere["context"] = context_of(&elsewhere);
    w.prove(w.train, &elsewhere, ids, &right, "p");
    w.refused(&["task", "submit", &id, "p"], &["bound to something else", "--recipient"]);
    w.m.s.write("none", "no proof");
    w.refused(&["task", "submit", &id, "none"], &["'none'"]);
    // A proof that the contract refuses: exit code 1.
    w.prove(w.train, &due, ids, &right, "p");
    let mut bytes = w.m.s.read("p");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    w.m.s.write("forged", bytes);
    w.m.s.fails(1, &["task", "submit", &id, "forged", "--rpc", w.m.node.url()], &["InvalidProof", "nothing was paid"]);

    // Anybody sends it, and the worker is paid.
    w.m.s.key = Some(KEYS[3]);
    let paid = w.m.json(&["task", "submit", &id, "p", "--uri", "ipfs://weights"]);
    assert_eq!((&paid["payout"], &paid["losses"]), (&WORKER_ADDRESS.into(), &json!([9, 7, 5])));
    // Ten, less a tenth of royalty and 2 % for the treasury.
    assert_eq!(paid["to_worker"], "8800000000000000000");
    w.refused(&["task", "settle", &id, "p"], &["no round that waits for a proof of evaluation"]);

    w.m.s.key = Some(SPONSOR);
    let shard = w.m.json(&["task", "reveal", &id, "--sealed", "sealed.json"])["stack_id"].as_str().unwrap().to_owned();
    assert_eq!(shard, hash("a"), "shards come in order");
    let due = w.m.json(&["task", "show", &id])["proof"].clone();
    assert_eq!(due["of"], "evaluation");
    w.prove(w.evaluate, &due, [&head, &trained, &hash("b")], &[5_000, 4_250], "e");
    w.refused(&["task", "settle", &id, "e"], &["about shard"]);
    w.prove(w.evaluate, &due, [&head, &trained, &shard], &[5_000, 4_250], "e");
    let gain = w.m.json(&["task", "settle", &id, "e"]);
    assert_eq!((gain["gain"].as_str(), gain["head"].as_str()), (Some("14000000000000000000"), Some(trained.as_str())));
    let told = w.m.json(&["task", "show", &id]);
    assert_eq!((told["heads"].as_u64(), told["head"].as_str()), (Some(1), Some(trained.as_str())));
    let events: Vec<&str> = told["history"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["leased", "trained", "revealed", "evaluated"]);

    let withdrawn = w.m.json(&["task", "withdraw", "--account", WORKER_ADDRESS]);
    // 88 % of 10 and 14, and the bond.
    assert_eq!(withdrawn["withdrawn"], "22120000000000000000");
    let refund = w.m.json(&["task", "refund", &id]);
    assert!(refund["credited"].as_str().is_some_and(|a| a != "0"));
    assert_eq!(w.m.json(&["task", "show", &id])["status"], "closed");
    w.m.json(&["task", "withdraw"]);
    // Held-out data that was shown, or is there to be trained on, measures nothing in another task.
    let c = hash("c");
    let (t, e) = (w.train.verifier_id.to_string(), w.evaluate.verifier_id.to_string());
    for (shard, words) in [(&shard, "was shown already, by task 1"), (&data, "is registered to be trained on")] {
        let post =
            ["task", "post", "--train", &t, "--evaluate", &e, "--head", &head, "--sealed", "other.json", "--shard"];
        let terms = ["--shard", &c, "--eta", "1", "--rate", "1", "--max-price", "1"];
        w.refused(&[&post[..], &[shard.as_str()], &terms].concat(), &[words, "nobody has seen"]);
    }
}

const KEYS_ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

fn context_of(due: &Value) -> Value {
    let text = |name: &str| due[name].as_str().unwrap();
    let context = Context {
        chain_id: due["chain_id"].as_u64().unwrap(),
        consumer: text("consumer").parse::<Address>().unwrap().into_array(),
        job: text("job").parse::<B256>().unwrap().0,
        recipient: text("recipient").parse::<Address>().unwrap().into_array(),
    };
    B256::from(context.digest()).to_string().into()
}

#[test]
fn rounds_that_nobody_keeps_and_mistakes() {
    let mut w = World::new("task-ends");
    let dataset = w.dataset.clone();
    w.refused(&["task", "show", "1"], &["there is no task 1", "0 were opened"]);
    assert_eq!(w.m.json(&["task", "list"])["count"], 0);
    let again = w.m.json(&["dataset", "register", "data.stack", "--licence", "LICENCE", "--royalty", "1000"]);
    assert_eq!(
        (again["dataset_id"].as_str(), again["registered_now"].as_bool()),
        (Some(dataset.as_str()), Some(false))
    );
    let listed = w.m.json(&["dataset", "show"]);
    assert_eq!((listed["count"].as_u64(), &listed["datasets"][0]["dataset_id"]), (Some(1), &dataset.as_str().into()));
    w.refused(&["dataset", "register", "LICENCE", "--licence", "LICENCE"], &["'LICENCE'"]);
    w.refused(&["dataset", "show", &hash("none")], &["UnknownDataset"]);

    let id = w.post("sealed.json").to_string();
    w.m.s.key = Some(WORKER);
    w.m.json(&["task", "lease", &id, "--dataset", &dataset, "--allowed", &dataset]);
    w.refused(&["task", "finish", &id], &["RoundLive"]);
    w.refused(&["task", "refund", &id], &["RoundLive"]);
    w.later(2 * 86_400);
    assert_eq!(w.m.json(&["task", "show", &id])["status"], "lease lost");
    let end = w.m.json(&["task", "finish", &id]);
    assert_eq!((end["end"].as_str(), end["amount"].as_str()), (Some("lost"), Some("500000000000000000")));
    w.refused(&["task", "finish", &id], &["NotLive"]);
    w.refused(&["task", "refund", &id], &["TooEarly", "sponsor"]);
    // The owner retires the data; the task takes no other.
    w.refused(&["dataset", "retire", &dataset], &["NotOwner"]);
    w.m.s.key = Some(KEYS[3]);
    w.m.json(&["dataset", "retire", &dataset]);
    assert!(w.m.json(&["dataset", "show", &dataset])["retired"].is_u64());
    w.m.s.key = Some(WORKER);
    w.refused(
        &["task", "lease", &id, "--dataset", &dataset, "--allowed", &dataset],
        &["DatasetRetired", "dataset show"],
    );
    w.m.s.write("other.json", r#"{"format": "assay.sealed-shards.v1", "shards": []}"#);
    w.refused(&["task", "reveal", &id, "--sealed", "other.json"], &["0 shards"]);
    w.m.s.key = Some(SPONSOR);
    w.m.json(&["task", "refund", &id]);
    // The guardian stops what takes tokens, and nothing else.
    w.m.s.key = Some(KEYS[0]);
    w.m.json(&["chain", "pause", "--market", "tasks"]);
    w.refused(&["chain", "pause", "--market", "tasks"], &["paused already"]);
    w.m.s.key = Some(SPONSOR);
    w.m.json(&["task", "withdraw"]);
}

/// The demo's story with real proofs, on a node.
#[test]
fn real_proofs_of_training_on_a_node() {
    let node = assay_contracts::anvil::Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    let s = super::common::Sandbox::new("demo-train-node");
    let v = s.json(&["demo", "--train", "--rpc", node.url()]);
    for who in ["anne", "ben"] {
        assert!(v["paid"][who].as_str().unwrap().parse::<u128>().unwrap() > 9 * 10u128.pow(18), "{v}");
    }
    assert!(v["cheats_refused"].as_array().unwrap().len() >= 10, "{v}");
}
