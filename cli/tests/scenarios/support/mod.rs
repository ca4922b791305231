//! A market on a real node behind a node that lies about it, and real workers.

pub(crate) mod proxy;
pub(crate) mod shelf;

pub(crate) use crate::common::running::{PATIENCE, Running};
use crate::common::{KEYS, Sandbox, digits, mlp, worth};
use assay_contracts::{
    Address, Chain, Embedded, Filter, Rpc, RpcOptions, Signer, U256,
    anvil::Anvil,
    economy::{Deployment, Job, abi::JobMarket},
    sol_types::{SolCall, SolEvent},
};
use proxy::{Fault, Proxy, ask, selector};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// What every scenario begins with: a chain with the market and a registered model on it.
struct Template {
    s: Sandbox,
    state: PathBuf,
    verifier: Value,
}

/// Questions for the next block in a few rounds of a worker: one or two each.
const LOOKS: usize = 8;

/// Nodes keep to the cap on gas for one transaction, as mainnet does.
const RULES: [&str; 1] = ["--enable-tx-gas-limit"];

fn template() -> &'static Template {
    static ONCE: OnceLock<Template> = OnceLock::new();
    ONCE.get_or_init(|| {
        let node = Anvil::start_with(&RULES).unwrap_or_else(|e| panic!("{e}"));
        let mut s = Sandbox::new("scenario-template");
        s.key = Some(KEYS[0]);
        let fixed = ["--weight-bits", "8", "--activation-bits", "8"];
        s.ok(&[&["compile", &mlp(), "--calibrate", &digits(), "-o", "model"], &fixed[..]].concat());
        s.json(&["chain", "up", "--rpc", node.url()]);
        let verifier = s.json(&["model", "register", "model", "--rpc", node.url()]);
        s.write("state.json", dump(node.url()));
        Template { state: s.path("state.json"), s, verifier }
    })
}

/// All of a node's chain, as `anvil --load-state` takes it.
fn dump(url: &str) -> Vec<u8> {
    let state = ask(url, "anvil_dumpState", &json!([true]));
    let bytes: assay_contracts::Bytes = state.as_str().unwrap().parse().unwrap();
    // Compressed, as `anvil_loadState` takes it and the argument does not.
    let body = &bytes[10..bytes.len() - 8];
    miniz_oxide::inflate::decompress_to_vec(body).unwrap()
}

/// A market, a worker's files, and the node in between.
pub(crate) struct World {
    pub(crate) s: Sandbox,
    node: Option<Anvil>,
    pub(crate) proxy: Proxy,
    pub(crate) at: Deployment,
    rules: &'static [&'static str],
    restarts: usize,
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &RULES)
    }

    fn with(name: &str, rules: &'static [&'static str]) -> Self {
        let template = template();
        let mut s = Sandbox::new(name);
        s.key = Some(KEYS[0]);
        for file in ["model", "assay-deployment.json"] {
            s.write(file, template.s.read(file));
        }
        let at = Deployment::from_json(&String::from_utf8(s.read("assay-deployment.json")).unwrap()).unwrap();
        let node = start(&template.state, rules);
        let proxy = Proxy::new(node.url());
        Self { s, node: Some(node), proxy, at, rules, restarts: 0 }
    }

    /// The node's own address, past the one that lies.
    pub(crate) fn node_url(&self) -> String {
        self.node.as_ref().expect("a node").url().to_owned()
    }

    /// Workers from now on reach the node past another proxy, which changes nothing. What a killed one still has on its way meets the
    /// old one's rule.
    pub(crate) fn another_proxy(&mut self) {
        self.proxy = Proxy::new(&self.node_url());
    }

    /// Asks the node something that only a tool can.
    pub(crate) fn node(&self, method: &str, params: &Value) -> Value {
        ask(&self.node_url(), method, params)
    }

    /// Ends the node; what it has is kept.
    pub(crate) fn stop_node(&mut self) {
        self.restarts += 1;
        // Nobody reaches it while it writes its state: what it took after that would vanish with it, like under a reorganisation that is
        // deeper than any number of confirmations.
        self.proxy.upstream("");
        self.s.write(&format!("state-{}.json", self.restarts), dump(&self.node_url()));
        self.node = None;
    }

    /// Starts it again, at another port behind the same address.
    pub(crate) fn start_node(&mut self) {
        let node = start(&self.s.path(&format!("state-{}.json", self.restarts)), self.rules);
        self.proxy.upstream(node.url());
        self.node = Some(node);
    }

    /// A client of an account.
    pub(crate) fn client(&self, i: usize) -> Rpc {
        let key: Vec<u8> = KEYS[i].parse::<assay_contracts::Bytes>().unwrap().to_vec();
        let signer = Signer::from_bytes(&key.try_into().unwrap()).unwrap();
        Rpc::connect(RpcOptions::new(self.node_url()), Some(signer)).unwrap()
    }

    /// Runs a command of the requester, past the lying node; its last JSON line.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.s.json(&[args, &["--rpc", &self.node_url()]].concat())
    }

    /// Posts jobs at a fixed price of 2 tokens; their ids.
    pub(crate) fn post(&self, more: &[&str]) -> Vec<u64> {
        let data = digits();
        let post = ["job", "post", "model", &data, "--max-price", "2", "--min-price", "2"];
        let posted = self.json(&[&post[..], more].concat());
        posted["job_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
    }

    /// Starts the worker of an account behind the lying node.
    pub(crate) fn worker(&self, i: usize, more: &[&str]) -> Running {
        Running::worker(&self.s, self.proxy.url(), i, more)
    }

    pub(crate) fn job(&self, id: u64) -> Job {
        self.at.market().job(&mut self.client(0), id).unwrap()
    }

    /// Events of one kind since the deployment.
    pub(crate) fn events<E: SolEvent>(&self) -> Vec<E> {
        let mut chain = self.client(0);
        let to = chain.head().unwrap().number;
        let topics = vec![Some(E::SIGNATURE_HASH)];
        let filter = Filter { address: self.at.contracts.market, from: self.at.block, to, topics };
        chain.events(&filter).unwrap().iter().map(|e| E::decode_log_data_validate(&e.log.data).unwrap()).collect()
    }

    /// The number of leases, lost leases and payments there ever were.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (
            self.events::<JobMarket::Leased>().len(),
            self.events::<JobMarket::LeaseLost>().len(),
            self.events::<JobMarket::Fulfilled>().len(),
        )
    }

    /// What an account has and can withdraw.
    pub(crate) fn worth(&self, i: usize) -> U256 {
        worth(&mut self.client(0), &self.at, account(i))
    }

    /// Waits until the worker has looked at the chain several times more. Until then it must have said `name` so often, and no more.
    pub(crate) fn only(&self, worker: &mut Running, name: &str, times: usize) {
        let looks = || self.proxy.seen(|a| a.is("eth_getBlockByNumber") && a.params[0] == "pending").len();
        let (from, start) = (looks(), Instant::now());
        while looks() < from + LOOKS {
            assert!(start.elapsed() < PATIENCE, "the worker does not look at the chain: {:#?}", worker.seen);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(worker.said(name).len(), times, "'{name}': {:#?}", worker.seen);
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "it does not come to pass that {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// From the first call of a function on, no block is made.
    pub(crate) fn no_block_from<C: SolCall>(&self) {
        let node = self.node_url();
        self.proxy.rule(once(
            |a| a.sends::<C>(),
            move || {
                ask(&node, "evm_setAutomine", &json!([false]));
                Fault::None
            },
        ));
    }

    /// Transactions that wait in the node's pool for a block.
    pub(crate) fn pool(&self) -> Vec<Value> {
        let pool = self.node("txpool_content", &json!([]))["pending"].clone();
        let by_number = pool.as_object().into_iter().flatten().flat_map(|(_, all)| all.as_object().unwrap().values());
        by_number.cloned().collect()
    }

    /// The transaction in the pool that calls a function. What was sent before it may be there for a moment too.
    pub(crate) fn waiting<C: SolCall>(&self) -> Option<Value> {
        let start = format!("0x{}", selector::<C>());
        self.pool().into_iter().find(|t| t["input"].as_str().unwrap().starts_with(&start))
    }

    /// Lets time pass on the chain, and makes a block.
    pub(crate) fn pass(&self, seconds: u64) {
        self.node("evm_increaseTime", &json!([seconds]));
        self.node("evm_mine", &json!([]));
    }

    /// Makes blocks that are so far apart.
    pub(crate) fn mine(&self, blocks: u64, seconds: u64) {
        self.node("anvil_mine", &json!([format!("0x{blocks:x}"), format!("0x{seconds:x}")]));
    }

    /// Sends a transaction from an account that the node knows or impersonates, and waits until it is included and successful.
    pub(crate) fn transact(&self, call: &Value) {
        let hash = self.node("eth_sendTransaction", &json!([call]));
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let receipt = self.node("eth_getTransactionReceipt", &json!([hash]));
            if !receipt.is_null() {
                assert_eq!(receipt["status"], "0x1", "{call}");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{call} is not included");
    }

    /// Takes blocks away, with what is in them.
    pub(crate) fn reorganise(&self, depth: u64) {
        self.node("anvil_reorg", &json!([depth, []]));
    }

    pub(crate) fn verifier(&self) -> assay_contracts::B256 {
        template().verifier["verifier_id"].as_str().unwrap().parse().unwrap()
    }
}

fn start(state: &Path, rules: &[&str]) -> Anvil {
    let state = state.display().to_string();
    Anvil::start_with(&[rules, &["--load-state", &state]].concat()).unwrap_or_else(|e| panic!("{e}"))
}

/// The price of [`World::post`] without what owner and treasury get, in units of 10^-18 tokens.
pub(crate) fn part() -> U256 {
    U256::from(2_000_000_000_000_000_000_u128 * 93 / 100)
}

/// The bond of [`World::post`].
pub(crate) fn bond() -> U256 {
    U256::from(200_000_000_000_000_000_u128)
}

/// What every account but the first begins with.
pub(crate) fn gift() -> U256 {
    assay_contracts::economy::amount::whole(10_000)
}

/// An account's address.
pub(crate) fn account(i: usize) -> Address {
    Embedded::ACCOUNTS[i]
}

/// A rule that does something once, to the first request that it is meant for.
pub(crate) fn once(
    is: impl Fn(&proxy::Asked) -> bool + Send + 'static,
    mut act: impl FnMut() -> Fault + Send + 'static,
) -> impl FnMut(&proxy::Asked) -> Fault + Send + 'static {
    let mut done = false;
    move |asked| {
        if done || !is(asked) {
            return Fault::None;
        }
        done = true;
        act()
    }
}
