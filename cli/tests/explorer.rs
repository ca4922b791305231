//! The explorer: what its server lets through, and what its page shows, in a real browser, of a node that a test scripts.

#[path = "explorer/browser.rs"]
mod browser;
mod common;
#[path = "explorer/stub.rs"]
mod stub;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolInterface, SolType};
use assay_contracts::{
    anvil::{Anvil, PRIVATE_KEY},
    economy::{Addresses, Deployment, Parameters},
};
use browser::Browser;
use common::{Sandbox, digits, image, mlp};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
};
use stub::{
    Stub, World, milli,
    sol::{
        IEmissionController as Emission, IJobMarket as Market, IModelRegistry as Models, IToken as Token, IVerifier,
        IVerifierRegistry as Verifiers,
    },
    wide,
};

const TOKEN: Address = Address::repeat_byte(0x10);
const REGISTRY: Address = Address::repeat_byte(0x20);
const MODELS: Address = Address::repeat_byte(0x30);
const MARKET: Address = Address::repeat_byte(0x40);
const EMISSION: Address = Address::repeat_byte(0x50);
const VERIFIER: Address = Address::repeat_byte(0x60);
const FIRST_BLOCK: u64 = 100;

/// The running program.
struct Explorer {
    child: Child,
    url: String,
    sandbox: Sandbox,
}

impl Drop for Explorer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn deployment() -> Deployment {
    Deployment {
        format: "assay.deployment.v1".to_owned(),
        chain_id: 31337,
        block: FIRST_BLOCK,
        deployer: Address::ZERO,
        contracts: Addresses {
            verifier: VERIFIER,
            manager: Address::repeat_byte(0x70),
            registry: REGISTRY,
            models: MODELS,
            token: TOKEN,
            emission: EMISSION,
            market: MARKET,
            timelock: Address::repeat_byte(0x80),
            governor: Address::repeat_byte(0x90),
        },
        parameters: Parameters::development(Address::ZERO),
    }
}

impl Explorer {
    fn start(name: &str, rpc: &str) -> Self {
        let sandbox = Sandbox::new(name);
        sandbox.write("deployment.json", deployment().to_json());
        Self::of(sandbox, rpc)
    }

    /// With `deployment.json` in a sandbox.
    fn of(sandbox: Sandbox, rpc: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(["explorer", "--rpc", rpc, "--deployment", "deployment.json", "--port", "0", "--json"])
            .current_dir(&sandbox.dir)
            .env("ASSAY_CACHE", sandbox.cache())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut lines = lines.map(|l| serde_json::from_str::<Value>(&l).unwrap());
        let listening = lines.find(|v| v["event"] == "listening").expect("it listens");
        let url = listening["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        Self { child, url, sandbox }
    }

    /// One request as it is written, with the name of the server filled in: status, headers, body. Status 0: the connection
    /// was closed.
    fn raw(&self, request: &str) -> (u16, BTreeMap<String, String>, String) {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let request = request.replace("{host}", host).replace('\n', "\r\n");
        // It may be refused before all of it is read.
        let _ = stream.write_all(request.as_bytes());
        let mut reader = BufReader::new(stream);
        let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty());
        let Some(first) = lines.next() else { return (0, BTreeMap::new(), String::new()) };
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let headers: BTreeMap<_, _> =
            lines.map(|l| l.split_once(": ").map(|(k, v)| (k.to_lowercase(), v.to_owned())).unwrap()).collect();
        let mut body = String::new();
        let _ = reader.read_to_string(&mut body);
        (status, headers, body)
    }

    fn ask(&self, body: &str) -> (u16, Value) {
        let (status, _, text) = self.raw(&format!(
            "POST /rpc HTTP/1.1\nhost: {{host}}\nconnection: close\ncontent-type: application/json\ncontent-length: {}\n\n{body}",
            body.len()
        ));
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\nhost: {{host}}\nconnection: close\n\n")
}

fn values(values: &[i64]) -> Bytes {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

fn who(n: u8) -> Address {
    let mut bytes = keccak256([n]).0;
    bytes[..12].fill(0);
    Address::from_slice(&bytes[12..])
}

fn hash(text: &str) -> B256 {
    keccak256(text)
}

/// What every deployment answers.
fn base(world: &mut World, symbol: &str) {
    world.result(TOKEN, &Token::symbolCall {}, &symbol.to_owned());
    world.result(TOKEN, &Token::decimalsCall {}, &18);
    world.result(TOKEN, &Token::capCall {}, &wide(milli(1_000_000_000)));
    world.result(TOKEN, &Token::totalSupplyCall {}, &U256::ZERO);
    world.result(MARKET, &Market::jobsCall {}, &U256::ZERO);
    world.result(MARKET, &Market::unburnedCall {}, &U256::ZERO);
    world.result(EMISSION, &Emission::currentEpochCall {}, &U256::from(7));
    world.result(EMISSION, &Emission::budgetCall { epoch: U256::from(7) }, &wide(milli(250_000)));
    world.result(EMISSION, &Emission::publicBudgetCall { epoch: U256::from(7) }, &wide(milli(25_000)));
}

fn add_verifier(world: &mut World, name: &str, model: &str, batch: u32, active: bool) -> B256 {
    let (id, model) = (hash(name), hash(model));
    let (settlement, srs) = (hash(&format!("key of {name}")), hash("tau"));
    let added = Verifiers::Added {
        verifierId: id,
        modelId: model,
        verifier: VERIFIER,
        settlementId: settlement,
        workUnits: 109_184,
    };
    world.event(REGISTRY, FIRST_BLOCK + 1, &added);
    let entry = Verifiers::Entry {
        verifier: VERIFIER,
        batch,
        inputValues: 64,
        outputValues: 10,
        settlementId: settlement,
        modelId: model,
        srsHash: srs,
        codeHash: hash("code"),
        weightCommitment: hash("weights"),
        workUnits: 109_184,
        addedAt: world.time - 900_000,
    };
    world.result(REGISTRY, &Verifiers::entryCall { verifierId: id }, &entry);
    world.result(REGISTRY, &Verifiers::isActiveCall { verifierId: id }, &active);
    id
}

fn add_offer(world: &mut World, model: &str, owner: u8, royalty: u16, data: u16, uri: &str) -> B256 {
    let id = hash(&format!("offer {model} {owner} {uri}"));
    let recipient = if data > 0 { who(owner + 100) } else { Address::ZERO };
    let event = Models::Offered {
        offerId: id,
        modelId: hash(model),
        owner: who(owner),
        royaltyBps: royalty,
        dataRecipient: recipient,
        dataBps: data,
        uri: uri.to_owned(),
    };
    world.event(MODELS, FIRST_BLOCK + 2, &event);
    id
}

fn spec_of(job: &Market::Job) -> Market::Spec {
    Market::Spec {
        verifierId: job.verifierId,
        offerId: job.offerId,
        inputCommitment: job.inputCommitment,
        minPrice: job.minPrice,
        maxPrice: job.maxPrice,
        rampStart: job.rampStart,
        rampEnd: job.rampEnd,
        deadline: job.deadline,
        leaseSeconds: job.leaseSeconds,
        bond: job.bond,
    }
}

/// An open job.
fn job(world: &World, verifier: B256, offer: B256) -> Market::Job {
    let at = |seconds: i64| alloy_primitives::aliases::U40::from((world.time as i64 + seconds) as u64);
    Market::Job {
        requester: who(1),
        status: Market::Status::Open,
        rampStart: at(-600),
        rampEnd: at(600),
        payout: Address::ZERO,
        leaseEnd: alloy_primitives::aliases::U40::ZERO,
        deadline: at(7260),
        leaseSeconds: 600,
        minPrice: milli(1_000),
        maxPrice: milli(5_000),
        price: 0,
        bond: milli(500),
        held: 0,
        rescue: 0,
        workFee: milli(200),
        protocolBps: 250,
        kind: 1,
        verifierId: verifier,
        offerId: offer,
        inputCommitment: hash("input"),
    }
}

fn add_job(world: &mut World, id: u64, block: u64, job: &Market::Job, input: Bytes) {
    let id = U256::from(id);
    let posted = Market::Posted {
        jobId: id,
        requester: job.requester,
        verifierId: job.verifierId,
        spec: spec_of(job),
        workFee: job.workFee,
        salt: hash("salt"),
        input,
    };
    world.event(MARKET, block, &posted);
    world.result(MARKET, &Market::jobCall { jobId: id }, job);
    world.result(MARKET, &Market::currentPriceCall { jobId: id }, &milli(3_000));
    world.result(MARKET, &Market::jobsCall {}, &id);
}

/// A deployment with everything that the page shows. Job 1 was proven with the answer 7.
fn lively() -> World {
    let mut w = World::new(12_500);
    base(&mut w, "ASSAY");
    w.result(VERIFIER, &IVerifier::acceptsDevelopmentSrsCall {}, &false);
    let v1 = add_verifier(&mut w, "digits, one", "digits", 1, true);
    let v4 = add_verifier(&mut w, "digits, four", "digits", 4, true);
    let old = add_verifier(&mut w, "old", "iris", 1, false);
    w.event(REGISTRY, FIRST_BLOCK + 40, &Verifiers::Tombstoned { verifierId: old });
    let offer = add_offer(&mut w, "digits", 2, 500, 125, "https://models.example/digits");
    add_offer(&mut w, "digits", 3, 0, 0, "");
    w.event(TOKEN, FIRST_BLOCK, &Token::Transfer { from: Address::ZERO, to: who(9), value: wide(milli(400_000_000)) });

    // Epochs with ever more workers, and one without any.
    let mut id = 0;
    let (mut fees, mut rewards) = (0_u128, 0_u128);
    for epoch in [1_u64, 2, 3, 5, 6, 7] {
        let mut shares: BTreeMap<u8, u128> = BTreeMap::new();
        for i in 0..epoch + 2 {
            id += 1;
            let worker = 20 + u8::try_from((i * i) % 5).unwrap();
            let batch = epoch == 3 || epoch == 6;
            let mut j = job(&w, if batch { v4 } else { v1 }, offer);
            let price = milli(2_000 + 137 * i);
            j.status = Market::Status::Fulfilled;
            (j.price, j.payout) = (price, who(worker));
            let block = FIRST_BLOCK + 1500 * epoch + 20 * i;
            add_job(&mut w, id, block, &j, if id == 1 { values(&[0; 64]) } else { Bytes::new() });
            // The answer of the first job: the largest at place 7, with negative values around.
            let output = if id == 1 {
                values(&[-12, 4, 0, -9_000_000_000, 33, 1, -1, 4096, 17, 4095])
            } else {
                (0..10).flat_map(|k: i64| ((k * 37 + id as i64 * 11) % 101 - 50).to_be_bytes()).collect()
            };
            let transaction =
                if batch { hash(&format!("batch {epoch} {}", i / 4)) } else { hash(&format!("proof {id}")) };
            let done = Market::Fulfilled {
                jobId: U256::from(id),
                payout: who(worker),
                price,
                toWorker: price / 20 * 18,
                output,
            };
            w.event_in(MARKET, block + 3, transaction, &done);
            let fee = milli(200 * (1 + i));
            w.event_in(
                EMISSION,
                block + 3,
                transaction,
                &Emission::Recorded {
                    epoch: U256::from(epoch),
                    worker: who(worker),
                    fee: wide(fee),
                    units: U256::from(109_184),
                },
            );
            *shares.entry(worker).or_default() += fee;
        }
        let total: u128 = shares.values().sum();
        fees += total;
        let mut minted = 0;
        if epoch < 6 {
            for (worker, fee) in &shares {
                let amount = fee / 2;
                minted += amount;
                w.event(
                    EMISSION,
                    FIRST_BLOCK + 1500 * epoch + 900,
                    &Emission::Rewarded { epoch: U256::from(epoch), worker: who(*worker), amount: wide(amount) },
                );
                w.event(
                    TOKEN,
                    FIRST_BLOCK + 1500 * epoch + 900,
                    &Token::Transfer { from: Address::ZERO, to: who(*worker), value: wide(amount) },
                );
            }
        }
        rewards += minted;
        let squares = shares.values().map(|&f| wide(f) * wide(f)).sum();
        w.result(
            EMISSION,
            &Emission::statsCall { epoch: U256::from(epoch) },
            &Emission::Stats {
                fees: wide(total),
                units: U256::from(109_184 * (epoch + 2)),
                workers: U256::from(shares.len()),
                sumOfSquares: squares,
                largest: wide(*shares.values().max().unwrap()),
                minted: wide(minted),
                released: U256::ZERO,
            },
        );
    }
    w.event(TOKEN, 12_000, &Token::Transfer { from: MARKET, to: Address::ZERO, value: wide(fees) });
    w.result(TOKEN, &Token::totalSupplyCall {}, &wide(milli(400_000_000) + rewards - fees));

    // Leased, expired, refunded, open.
    let u40 = |n: u64| alloy_primitives::aliases::U40::from(n);
    let mut leased = job(&w, v1, offer);
    (leased.payout, leased.leaseEnd, leased.price, leased.held) =
        (who(21), u40(w.time + 400), milli(2_750), milli(500));
    add_job(&mut w, id + 1, 12_300, &leased, Bytes::new());
    w.event(
        MARKET,
        12_310,
        &Market::Leased { jobId: U256::from(id + 1), payout: who(21), price: leased.price, until: leased.leaseEnd },
    );
    let mut expired = job(&w, v1, offer);
    expired.deadline = u40(w.time - 3_700);
    add_job(&mut w, id + 2, 12_301, &expired, Bytes::new());
    let mut refunded = job(&w, old, offer);
    refunded.status = Market::Status::Closed;
    add_job(&mut w, id + 3, 12_302, &refunded, Bytes::new());
    w.event(
        MARKET,
        12_320,
        &Market::Refunded { jobId: U256::from(id + 3), requester: who(1), amount: wide(milli(5_200)) },
    );
    let open = job(&w, v4, offer);
    add_job(&mut w, id + 4, 12_400, &open, values(&[1; 64]));
    w
}

#[test]
fn constants_are_the_hashes_of_signatures_of_the_contracts() {
    let text = include_str!("../assets/explorer/abi.js");
    let (functions, events) = text.split_once("export const EVENTS").expect("two lists");
    // Each entry starts with its signature and goes on with its hash as the next string.
    let entries = |text: &str| -> Vec<(String, String, String)> {
        let strings: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
        let starts = strings
            .iter()
            .enumerate()
            .filter(|(_, s)| s.ends_with(')') && s.starts_with(|c: char| c.is_ascii_alphabetic()));
        starts.map(|(i, s)| ((*s).to_owned(), strings[i + 1].to_owned(), strings[i + 2].to_owned())).collect()
    };
    let known = |selector: [u8; 4]| {
        [
            Market::IJobMarketCalls::selectors().collect::<Vec<_>>(),
            Emission::IEmissionControllerCalls::selectors().collect(),
            Models::IModelRegistryCalls::selectors().collect(),
            Verifiers::IVerifierRegistryCalls::selectors().collect(),
            Token::ITokenCalls::selectors().collect(),
            IVerifier::IVerifierCalls::selectors().collect(),
        ]
        .concat()
        .contains(&selector)
    };
    fn results<C: SolCall>() -> (&'static str, String) {
        (C::SIGNATURE, <C::ReturnTuple<'static> as SolType>::SOL_NAME.to_owned())
    }
    let results = BTreeMap::from([
        results::<IVerifier::acceptsDevelopmentSrsCall>(),
        results::<Token::totalSupplyCall>(),
        results::<Token::capCall>(),
        results::<Token::symbolCall>(),
        results::<Token::decimalsCall>(),
        results::<Verifiers::isActiveCall>(),
        results::<Verifiers::entryCall>(),
        results::<Market::jobCall>(),
        results::<Market::jobsCall>(),
        results::<Market::currentPriceCall>(),
        results::<Market::unburnedCall>(),
        results::<Emission::currentEpochCall>(),
        results::<Emission::budgetCall>(),
        results::<Emission::publicBudgetCall>(),
        results::<Emission::statsCall>(),
    ]);
    let functions = entries(functions);
    assert_eq!(functions.len(), results.len());
    for (signature, selector, result) in functions {
        let hash = keccak256(&signature);
        assert_eq!(selector, alloy_primitives::hex::encode_prefixed(&hash[..4]), "{signature}");
        assert!(known([hash[0], hash[1], hash[2], hash[3]]), "no contract has {signature}");
        assert_eq!(result, results[signature.as_str()], "{signature}");
    }
    let events = entries(events.split_once("export const TRANSFER").expect("an end").0);
    let selectors = [
        Market::IJobMarketEvents::SELECTORS,
        Emission::IEmissionControllerEvents::SELECTORS,
        Models::IModelRegistryEvents::SELECTORS,
        Verifiers::IVerifierRegistryEvents::SELECTORS,
        Token::ITokenEvents::SELECTORS,
    ]
    .concat();
    assert_eq!(events.len(), 13);
    for (signature, topic, _) in events {
        let hash = keccak256(&signature);
        assert_eq!(topic, hash.to_string(), "{signature}");
        assert!(selectors.contains(&hash.0), "no contract has {signature}");
    }
}

#[test]
fn the_scripts_compute_and_decode_as_they_should() {
    let Ok(out) = Command::new("node")
        .args(["--test", "tests/explorer/units.mjs"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
    else {
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: the page's scripts are tested with node, which is not on the path\n"
        );
        return;
    };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

#[test]
fn the_server_gives_its_files_and_nothing_else() {
    let stub = Stub::start(lively());
    let e = Explorer::start("explorer-files", &format!("{}/v3/0123456789abcdef?key=secret", stub.url));
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/explorer.css", "text/css; charset=utf-8"),
        ("/explorer.js", "text/javascript; charset=utf-8"),
        ("/abi.js", "text/javascript; charset=utf-8"),
        ("/chain.js", "text/javascript; charset=utf-8"),
        ("/numbers.js", "text/javascript; charset=utf-8"),
        ("/dom.js", "text/javascript; charset=utf-8"),
        ("/views.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/config.json", "application/json"),
    ] {
        let (status, headers, body) = e.raw(&get(path));
        assert_eq!((status, headers["content-type"].as_str()), (200, kind), "{path}");
        assert_eq!(headers["content-length"], body.len().to_string());
        // No address of anything else, but names of formats.
        let text = body.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("//www") && !text.contains("https://"), "{path} points elsewhere");
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!body.contains(word), "{path} has {word}");
        }
        let (status, headed, nothing) = e.raw(&get(path).replace("GET", "HEAD"));
        assert_eq!(
            (status, headed["content-length"].as_str(), nothing.as_str()),
            (200, headers["content-length"].as_str(), "")
        );
    }
    let (_, _, config) = e.raw(&get("/config.json"));
    assert!(!config.contains("0123456789abcdef") && !config.contains("secret"), "{config}");
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["node"], format!("{}/...", stub.url));
    assert_eq!(config["chain_id"], 31337);

    for (request, expected) in [
        (get("/nothing"), 404),
        (get("/../Cargo.toml"), 404),
        (get("/index.html"), 404),
        (get("/").replace("GET", "POST"), 405),
        (get("/").replace("GET", "DELETE"), 405),
        (get("/config.json").replace("GET", "OPTIONS"), 405),
        (get("/rpc"), 405),
        (get("/rpc").replace("GET", "OPTIONS"), 405),
        (get("/").replace("{host}", "evil.example"), 421),
        (get("/rpc").replace("GET", "POST").replace("{host}", "evil.example"), 421),
        (get("/").replace("host: {host}\n", ""), 421),
    ] {
        let (status, headers, _) = e.raw(&request);
        assert_eq!(status, expected, "{request}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(headers["content-security-policy"].starts_with("default-src 'none'; script-src 'self'"));
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}

#[test]
fn only_reading_questions_from_the_page_itself_reach_the_node() {
    let stub = Stub::start(lively());
    let e = Explorer::start("explorer-relay", &stub.url);
    let (status, answer) = e.ask(r#"{"jsonrpc":"2.0","id":"a","method":"eth_chainId","params":[]}"#);
    assert_eq!((status, answer), (200, json!({ "jsonrpc": "2.0", "id": "a", "result": "0x7a69" })));
    let (_, answer) = e.ask(
        r#"[{"id":1,"method":"eth_blockNumber","params":[]},{"id":2,"method":"eth_sendRawTransaction","params":["0x00"]},7,
            {"id":4,"method":"eth_call","params":[{"to":"0x0000000000000000000000000000000000000001","data":"0x"},"latest"]}]"#,
    );
    assert_eq!(answer[0]["result"], "0x30d4");
    assert_eq!((&answer[1]["id"], &answer[1]["error"]["code"]), (&json!(2), &json!(-32601)));
    assert_eq!(answer[2]["error"]["code"], -32601);
    assert_eq!(answer[3]["error"], json!({ "code": 3, "message": "execution reverted" }));
    let mut asked = stub.world.lock().unwrap().asked.clone();
    asked.sort();
    assert_eq!(asked, ["eth_blockNumber", "eth_call", "eth_chainId", "eth_chainId"]);

    let many = format!("[{}]", vec!["1"; 65].join(","));
    for body in ["", "nonsense", "[]", "7", &many] {
        assert_eq!(e.ask(body).0, 400, "{body}");
    }
    // The answer may be lost with the connection, as the rest of the question is not read.
    assert!(matches!(e.ask(&format!("\"{}\"", "x".repeat(70_000))).0, 413 | 0));
    let question = r#"{"id":1,"method":"eth_chainId","params":[]}"#;
    let post = |headers: &str| {
        e.raw(&format!(
            "POST /rpc HTTP/1.1\nhost: {{host}}\nconnection: close\n{headers}content-length: {}\n\n{question}",
            question.len()
        ))
        .0
    };
    assert_eq!(post("content-type: application/json\norigin: http://{host}\n"), 200);
    assert_eq!(post("content-type: application/json\norigin: https://evil.example\n"), 403);
    assert_eq!(post("content-type: application/json\norigin: null\n"), 403);
    assert_eq!(post("content-type: text/plain\n"), 415);
    assert_eq!(post(""), 415);

    stub.down.store(true, Ordering::SeqCst);
    let (_, answer) = e.ask(question);
    assert_eq!(answer["error"]["code"], -32098);
}

#[test]
fn arguments_that_lead_nowhere() {
    let s = Sandbox::new("explorer-arguments");
    let stub = Stub::start(lively());
    let rpc = stub.url.as_str();
    let run = |file: &str, rpc: &str, words: &[&str]| {
        s.fails(2, &["explorer", "--rpc", rpc, "--deployment", file, "--port", "0"], words);
    };
    run("none.json", rpc, &["'none.json'", "assay chain up"]);
    s.write("text", "not json");
    run("text", rpc, &["'text'"]);
    let mut other = deployment();
    other.chain_id = 1;
    s.write("other.json", other.to_json());
    run("other.json", rpc, &["the deployment is on chain 1, the node on 31337"]);
    s.write("good.json", deployment().to_json());
    run("good.json", "nonsense", &["not the address of a node"]);
}

#[test]
fn the_page_shows_models_jobs_proofs_and_payouts() {
    let Some(mut b) = Browser::start("the_page_shows_models_jobs_proofs_and_payouts") else { return };
    let mut world = lively();
    world.most_blocks = Some(3_000);
    let stub = Stub::start(world);
    let e = Explorer::start("explorer-page", &stub.url);
    b.goto(&e.url);
    b.wait("#status", "block 12,500");
    b.wait("#development", "Development powers of tau are refused");
    let body = b.text("body").join("\n");
    assert!(!body.contains("undefined") && !body.contains("NaN") && !body.contains("[object"), "{body}");

    let models = b.text("[data-view=models]").join("\n");
    for words in ["active", "ended by the guardian", "109,184", "5 %", "1.25 %", "https://models.example/digits"] {
        assert!(models.contains(words), "no '{words}' in {models}");
    }
    let links = b.attribute("[data-view=models] a", "rel");
    assert_eq!(links, [Some("noopener noreferrer nofollow".to_owned())]);

    // The newest jobs, then older ones.
    let jobs = b.text("[data-view=jobs] tbody tr");
    assert_eq!(jobs.len(), 20);
    for (row, words) in [
        (0, "open"),
        (0, "3 now"),
        (1, "refunded"),
        (2, "expired, can be refunded"),
        (3, "leased"),
        (3, "2.75 locked"),
        (4, "proven and paid"),
    ] {
        assert!(jobs[row].contains(words), "no '{words}' in {}", jobs[row]);
    }
    b.click("[data-go='jobs 1']");
    b.wait("[data-view=jobs] tbody tr:last-child", "largest at 7");
    let oldest = b.text("[data-view=jobs] tbody tr:last-child").join("");
    assert!(oldest.starts_with('1') && oldest.contains("2 paid"), "{oldest}");

    // One job, found by its number.
    b.fill("#number", "1");
    b.press("Enter");
    b.wait("[data-view=job] h3", "Job 1");
    let detail = b.text("[data-view=job]").join("\n");
    for words in [
        "proven and paid",
        "position 7",
        "-9,000,000,000",
        "4,096",
        "the input (64 values) is public",
        &format!("{:#x}", who(20)),
    ] {
        assert!(detail.contains(words), "no '{words}' in {detail}");
    }
    let best = b.text(".values .best").join(" ");
    assert_eq!(best.split_whitespace().collect::<Vec<_>>(), ["7", "4,096"]);

    let proofs = b.text("[data-view=proofs] tbody tr");
    assert!(proofs.len() > 10, "{proofs:#?}");
    let batch = proofs.iter().find(|p| p.contains("8, 9, 10, 11")).expect("a proof of four jobs");
    assert!(batch.contains("7.9398"), "{batch}");

    // The chart has two bars an epoch; the table the same numbers.
    assert_eq!(b.attribute(".chart g", "data-key").len(), 6);
    assert_eq!(b.attribute(".chart rect.fees", "height").len(), 6);
    let epochs = b.text("[data-view=payouts] table:first-of-type tbody tr");
    assert_eq!(epochs.len(), 6);
    let flat = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
    // Epoch 1: workers 20 (0.2), 21 (0.4) and 24 (0.6): 1.2^2 / 0.56 = 2.57; Gini (2·2.8 − 4·1.2) / (3·1.2) = 2/9.
    assert_eq!(flat(&epochs[5]), "1 1.2 0.6 0 327,552 3 2.57 50 % 0.2222");
    assert!(b.text("[data-view=payouts] .alert").is_empty());
    b.click("[data-go='epoch 1']");
    b.wait("[data-view=payouts] h3", "Workers of epoch 1");
    let shares = b.text("[data-view=payouts] table:last-of-type tbody tr");
    assert!(shares.len() == 3 && shares[0].contains("50 %"), "{shares:#?}");

    let token = b.text("[data-view=token]").join("\n");
    assert!(token.contains("Cap") && token.contains("1,000,000") && !token.contains("not the supply"), "{token}");
    let meaning = b.text("#meaning").join(" ");
    for words in ["free of backdoors", "consented to", "float model", "input was meaningful"] {
        assert!(meaning.contains(words));
    }

    // A refresh leaves the reader where he is: scrolling, focus, selection of an epoch.
    b.evaluate("document.querySelector(\"[data-go='epoch 2']\").focus(); scrollTo(0, 900)");
    let before = b.evaluate("[scrollY, document.activeElement.dataset.go]");
    b.refreshed(2);
    assert_eq!(b.evaluate("[scrollY, document.activeElement.dataset.go]"), before);
    assert_eq!(b.text("[data-view=payouts] h3"), ["Workers of epoch 1"]);

    // Nothing is wider than a small telephone.
    b.resize(360, 740);
    assert_eq!(b.evaluate("document.documentElement.scrollWidth"), 360);
    b.shots("lively");
    b.clean(&e.url);
}

/// Strings that would do harm if they were anything but text.
#[test]
fn hostile_strings_stay_text() {
    let Some(mut b) = Browser::start("hostile_strings_stay_text") else { return };
    let mut w = World::new(FIRST_BLOCK + 50);
    let image = "<img src=x onerror=\"document.title='owned'\">";
    base(&mut w, image);
    w.result(VERIFIER, &IVerifier::acceptsDevelopmentSrsCall {}, &true);
    let v = add_verifier(&mut w, "v", "m", 1, true);
    let hostile = [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "//evil.example/x",
        "https://user:password@evil.example/",
        image,
        "</td></tr></table><script>alert(1)</script>",
        "\u{202e}gpj.exe\u{0}",
    ];
    // The two oldest offers are not listed at first.
    add_offer(&mut w, "m", 60, 0, 0, "the oldest");
    add_offer(&mut w, "m", 61, 0, 0, "");
    for (i, uri) in hostile.iter().enumerate() {
        add_offer(&mut w, "m", u8::try_from(i).unwrap(), 1, 0, uri);
    }
    let offer = add_offer(&mut w, "m", 50, 1, 0, "ipfs://bafybeigdyrzt");
    add_offer(&mut w, "m", 51, 1, 0, &"long ".repeat(2_000));
    let open = job(&w, v, offer);
    add_job(&mut w, 1, FIRST_BLOCK + 3, &open, Bytes::new());
    // Results that are not of their type, and events cut short.
    w.raw_result(MARKET, &Market::jobCall { jobId: U256::from(1) }, &[0xff; 640]);
    w.raw_result(MARKET, &Market::unburnedCall {}, &[]);
    w.raw(
        MARKET,
        FIRST_BLOCK + 4,
        hash("cut"),
        vec![keccak256("Fulfilled(uint256,address,uint128,uint128,bytes)")],
        Bytes::new(),
    );
    // An answer that is no list of values.
    let odd = Market::Fulfilled {
        jobId: U256::from(1),
        payout: who(2),
        price: 1,
        toWorker: u128::MAX,
        output: vec![1, 2, 3].into(),
    };
    w.event(MARKET, FIRST_BLOCK + 5, &odd);
    // Numbers at their ends.
    let most = Emission::Recorded { epoch: U256::MAX, worker: who(3), fee: U256::MAX, units: U256::MAX };
    w.event(EMISSION, FIRST_BLOCK + 6, &most);
    let stub = Stub::start(w);
    let e = Explorer::start("explorer-hostile", &stub.url);
    b.goto(&e.url);
    b.wait("#development", "anybody can forge proofs");
    b.wait("#status", "1 events could not be read");
    let models = b.text("[data-view=models]").join("\n");
    for uri in &hostile[..7] {
        assert!(models.contains(uri.trim()), "no '{uri}' in {models}");
    }
    assert!(models.contains("\u{fffd}gpj.exe\u{fffd}"), "{models}");
    b.click("[data-go^='offers']");
    b.wait("[data-view=models]", "the oldest");
    let links = b.attribute("main a[href]:not([href^='#'])", "href");
    assert_eq!(links, [Some("ipfs://bafybeigdyrzt".to_owned())]);
    assert_eq!(b.evaluate("document.querySelectorAll('main img, main script, main iframe').length"), 0);
    assert_ne!(b.evaluate("document.title"), "owned");
    let jobs = b.text("[data-view=jobs]").join("\n");
    assert!(jobs.contains("unreadable") && jobs.contains("3 bytes that are no values"), "{jobs}");
    for hash in [
        "#job-999",
        "#job-0",
        "#job-<img src=x>",
        "#job-115792089237316195423570985008687907853269984665640564039457584007913129639935",
    ] {
        b.goto(&format!("{}/{hash}", e.url));
        b.refreshed(1);
    }
    b.wait("[data-view=job]", "There is no job");
    b.resize(360, 740);
    assert_eq!(b.evaluate("document.documentElement.scrollWidth"), 360);
    b.shots("hostile");
    b.clean(&e.url);
}

#[test]
fn an_empty_deployment_and_an_unknown_job() {
    let Some(mut b) = Browser::start("an_empty_deployment_and_an_unknown_job") else { return };
    let mut w = World::new(FIRST_BLOCK);
    base(&mut w, "ASSAY");
    // The verifier contract says nothing.
    let stub = Stub::start(w);
    let e = Explorer::start("explorer-empty", &stub.url);
    b.goto(&format!("{}/#job-12", e.url));
    b.wait("[data-view=job]", "There is no job 12. No job has been posted yet.");
    b.wait("#development", "It is not known whether development powers of tau are accepted");
    for (view, words) in [
        ("models", "No model has a verifier yet"),
        ("jobs", "No job has been posted yet"),
        ("proofs", "No proof has been paid yet"),
        ("payouts", "nothing to share"),
        ("token", "Supply"),
    ] {
        b.wait(&format!("[data-view={view}]"), words);
    }
    b.shots("empty");
    b.clean(&e.url);
}

#[test]
fn a_node_that_goes_away_and_comes_back_with_another_history() {
    let Some(mut b) = Browser::start("a_node_that_goes_away_and_comes_back_with_another_history") else { return };
    let stub = Stub::start(lively());
    stub.down.store(true, Ordering::SeqCst);
    let e = Explorer::start("explorer-down", &stub.url);
    b.goto(&e.url);
    b.wait("#trouble", "Node unreachable: the node at");
    b.wait("#status", "Nothing read yet");
    stub.down.store(false, Ordering::SeqCst);
    b.wait("[data-view=jobs]", "leased");
    assert!(b.text("#trouble .alert").is_empty());
    stub.down.store(true, Ordering::SeqCst);
    b.wait("#trouble", "What is shown is of block 12,500");
    b.wait("[data-view=jobs]", "leased");
    b.shots("unreachable");

    // The chain starts again.
    let mut fresh = World::new(FIRST_BLOCK + 20);
    fresh.history = 1;
    base(&mut fresh, "ASSAY");
    *stub.world.lock().unwrap() = fresh;
    stub.down.store(false, Ordering::SeqCst);
    b.wait("[data-view=jobs]", "No job has been posted yet");
    b.wait("[data-view=proofs]", "No proof has been paid yet");

    // Something else is at the addresses.
    let mut other = World::new(FIRST_BLOCK + 30);
    other.history = 2;
    *stub.world.lock().unwrap() = other;
    b.wait("#trouble", "these contracts do not answer");
    b.clean(&e.url);
}

/// Everything real: contracts on a node, a proof that was paid, the page about it.
#[test]
fn a_real_chain_where_a_proof_was_paid() {
    let Some(mut b) = Browser::start("a_real_chain_where_a_proof_was_paid") else { return };
    let node = Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    let s = Sandbox::new("explorer-anvil");
    let run = |args: &[&str]| -> Value {
        let out = Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(args)
            .args(["--rpc", node.url(), "--deployment", "deployment.json", "--json"])
            .current_dir(&s.dir)
            .env("ASSAY_CACHE", s.cache())
            .env("ASSAY_PRIVATE_KEY", PRIVATE_KEY)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success(), "{args:?}: {text} {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    };
    run(&["chain", "up"]);
    let fixed = ["--weight-bits", "8", "--activation-bits", "8"];
    s.ok(&[&["compile", &mlp(), "--calibrate", &digits(), "-o", "model"], &fixed[..]].concat());
    run(&["model", "register", "model", "--royalty", "500", "--uri", "javascript:alert(1)"]);
    s.write("input.json", json!({ "input_data": [image(5), image(6)] }).to_string());
    run(&["job", "post", "model", "input.json", "--max-price", "2", "--count", "2"]);
    run(&["job", "lease", "1"]);
    run(&["job", "prove", "1", "model", "-o", "proof"]);
    let paid = run(&["job", "fulfil", "proof"]);
    let status = run(&["job", "status", "1"]);
    let output = alloy_primitives::hex::decode(status["output"].as_str().unwrap()).unwrap();
    let answer: Vec<i64> = output.chunks(8).map(|c| i64::from_be_bytes(<[u8; 8]>::try_from(c).unwrap())).collect();
    let largest = answer.iter().max().unwrap();
    let place = answer.iter().position(|v| v == largest).unwrap();
    // What the page writes, without what it does for people.
    let plain = |t: String| t.replace([',', ' '], "");

    let e = Explorer::of(s, node.url());
    b.goto(&format!("{}/#job-1", e.url));
    b.wait("#development", "Development powers of tau are accepted here");
    b.wait("[data-view=job]", "proven and paid");
    assert_eq!(
        b.text(".values .of").into_iter().map(plain).collect::<Vec<_>>(),
        answer.iter().map(i64::to_string).collect::<Vec<_>>()
    );
    assert_eq!(b.text(".values .best .place"), [place.to_string()]);
    let detail = b.text("[data-view=job]").join("\n");
    for words in [paid["transaction"].as_str().unwrap(), &paid["payout"].as_str().unwrap().to_lowercase(), "Leased to"]
    {
        assert!(detail.contains(words), "no '{words}' in {detail}");
    }
    let jobs = b.text("[data-view=jobs] tbody tr");
    assert!(jobs[0].contains("open") && jobs[1].contains(&format!("largest at {place}")), "{jobs:#?}");
    let models = b.text("[data-view=models]").join("\n");
    assert!(models.contains("javascript:alert(1)") && models.contains("active") && models.contains("5 %"), "{models}");
    assert!(b.attribute("[data-view=models] a", "href").is_empty());
    let proofs = b.text("[data-view=proofs] tbody tr");
    let gas = paid["gas"].as_u64().unwrap().to_string();
    assert!(proofs.len() == 1 && plain(proofs[0].clone()).contains(&gas), "no {gas} in {proofs:#?}");
    let wei = paid["to_worker"].as_str().unwrap();
    let titles = b.attribute("[data-view=proofs] abbr", "title");
    let exact = format!("{}.{} ASSAY", &wei[..wei.len() - 18], wei[wei.len() - 18..].trim_end_matches('0'));
    assert!(
        titles.iter().flatten().any(|t| *t == exact || t.replace(" ASSAY", ". ASSAY") == exact),
        "no {exact} in {titles:?}"
    );
    assert_eq!(b.attribute(".chart g", "data-key").len(), 1);
    assert!(b.attribute(".chart rect.fees", "height")[0].as_ref().unwrap().parse::<f64>().unwrap() > 1.0);
    assert!(b.text("[data-view=payouts] .alert").is_empty(), "the contract's sums are the events'");
    let epoch = b.text("[data-view=payouts] table:first-of-type tbody tr").join("");
    assert!(epoch.contains("100 %"), "{epoch}");
    let token = b.text("[data-view=token]").join("\n");
    assert!(!token.contains("not the supply"), "{token}");
    b.shots("real");
    b.clean(&e.url);
}
