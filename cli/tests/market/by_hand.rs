//! The market by hand, on a real node: register, post, lease, prove, fulfil, claim, refund.

use super::common::{KEYS, MarketOf, digits};

const REQUESTER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const WORKER: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

#[test]
fn a_job_with_private_input_by_hand() {
    let mut m = MarketOf::new("market-by-hand");
    let registered = m.json(&["model", "register", "model"]);
    assert_eq!(registered["work_units"], 6464);
    for gas in ["key_gas", "entry_gas", "offer_gas"] {
        assert!(registered[gas].as_u64().is_some_and(|g| g > 0), "{registered}");
    }
    let again = m.json(&["model", "register", "model"]);
    assert_eq!(again["verifier_id"], registered["verifier_id"]);
    assert_eq!(again["offer_id"], registered["offer_id"]);
    assert!(again["entry_gas"].is_null() && again["offer_gas"].is_null(), "{again}");

    let url = m.node.url().to_owned();
    let rpc = ["--rpc", url.as_str()];
    // Somebody who is no curator is told what to propose.
    m.s.key = Some(KEYS[3]);
    let register = [&["model", "register", "model", "--batch", "2"], &rpc[..]].concat();
    m.s.fails(2, &register, &["a right that this account does not have", "propose"]);
    let json = m.s.assay(&[&register[..], &["--json"]].concat());
    assert!(json.stdout.contains("\"event\":\"proposal\"") && json.stdout.contains("\"calldata\":\"0x"), "{json:#?}");

    m.s.key = Some(KEYS[1]);
    let data = digits();
    let price = ["--max-price", "2", "--min-price", "2"];
    let post = [&["job", "post", "model", data.as_str(), "--private-input", "secret.json"], &price[..]].concat();
    let posted = m.json(&post);
    let id = posted["job_id"].as_u64().expect("a job").to_string();
    // The file with the salts of a job that is paid for is not replaced, and nothing is posted then.
    let salts = m.s.read("secret.json");
    m.s.fails(2, &[&post[..], &rpc[..]].concat(), &["is there already", "--private-input"]);
    assert_eq!((m.s.read("secret.json"), m.json(&["job", "status"])["count"].as_u64()), (salts, Some(1)));
    let status = m.json(&["job", "status", &id]);
    assert_eq!((status["status"].as_str(), status["price"].as_str()), (Some("open"), Some("2000000000000000000")));

    m.s.key = Some(KEYS[2]);
    m.json(&["job", "lease", &id]);
    assert_eq!(m.json(&["job", "status", &id])["status"], "leased");
    let prove = ["job", "prove", &id, "model", "-o", "proof"];
    m.s.fails(2, &[&prove[..], &rpc[..]].concat(), &["is private", "--private-input"]);
    let proven = m.json(&[&prove[..], &["--private-input", "secret.json"]].concat());
    assert_eq!(proven["payout"].as_str(), Some(WORKER));

    // Anybody sends it; the worker is paid.
    m.s.key = Some(KEYS[3]);
    let paid = m.json(&["job", "fulfil", "proof", "--private-input", "secret.json"]);
    assert_eq!((paid["payout"].as_str(), paid["price"].as_str()), (Some(WORKER), Some("2000000000000000000")));
    let twice = [&["job", "fulfil", "proof", "--private-input", "secret.json"], &rpc[..]].concat();
    m.s.fails(2, &twice, &["NotOpen", "job status"]);
    let status = m.json(&["job", "status", &id, "--model", "model"]);
    assert_eq!(status["status"], "fulfilled");
    assert_eq!(status["outputs"][0], proven["outputs"][0]);
    let claimed = m.json(&["job", "claim", "--account", WORKER]);
    assert_eq!(claimed["withdrawn"].as_str(), Some("2060000000000000000"));
    assert_eq!(claimed["balance"].as_str(), Some("10001860000000000000000"));
    assert!(claimed["coming"].as_str().is_some_and(|c| c != "0"), "{claimed}");

    // A job that nobody did goes back to its requester; nobody else may ask before the deadline.
    m.s.key = Some(KEYS[1]);
    let open = m.json(&[&["job", "post", "model", data.as_str()], &price[..]].concat())["job_id"].to_string();
    m.s.key = Some(KEYS[3]);
    m.s.fails(2, &[&["job", "refund", &open], &rpc[..]].concat(), &["TooEarly", "requester"]);
    m.s.key = Some(KEYS[1]);
    m.json(&["job", "refund", &open]);
    m.json(&["job", "claim"]);
    let fee: u128 = posted["work_fee"].as_str().and_then(|f| f.parse().ok()).expect("a fee");
    let claimed = m.json(&["job", "claim", "--account", REQUESTER]);
    let left = 10_000_000_000_000_000_000_000u128 - 2_000_000_000_000_000_000 - fee;
    assert_eq!(claimed["balance"].as_str(), Some(left.to_string().as_str()));
    let all = m.json(&["job", "status"]);
    let states: Vec<&str> = all["jobs"].as_array().unwrap().iter().map(|j| j["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["closed", "fulfilled"]);
    // Reading takes no account: a variable that is empty is none.
    m.s.key = Some("");
    assert_eq!(m.json(&["job", "status", &open])["status"], "closed");
    m.s.fails(2, &[&["job", "refund", &open], &rpc[..]].concat(), &["ASSAY_PRIVATE_KEY"]);
}

#[test]
fn mistakes_are_explained() {
    let m = MarketOf::new("market-mistakes");
    let rpc = ["--rpc", m.node.url()];
    let run = |args: &[&str], words: &[&str]| m.s.fails(2, &[args, &rpc[..]].concat(), words);
    let data = digits();
    run(&["job", "post", "model", &data, "--max-price", "1"], &["no verifier", "assay model register"]);
    run(&["worker", "model"], &["no verifier", "assay model register"]);
    run(&["job", "status", "7"], &["there is no job 7", "0 were posted"]);
    run(&["job", "lease", "7"], &["there is no job 7", "assay job status"]);
    run(&["job", "status", "--deployment", "none.json"], &["none.json", "assay chain up"]);
    m.s.fails(2, &["job", "status"], &["--rpc", "assay chain up"]);
    m.s.write("other.json", "{}");
    run(&["job", "status", "--deployment", "other.json"], &["other.json", "not a deployment file"]);
    let text = String::from_utf8(m.s.read("assay-deployment.json")).unwrap();
    m.s.write("elsewhere.json", text.replace("\"chain_id\": 31337", "\"chain_id\": 1"));
    run(&["job", "status", "--deployment", "elsewhere.json"], &["chain 1", "31337"]);
    m.json(&["model", "register", "model"]);
    run(&["job", "post", "model", &data, "--max-price", "1", "--bond", "2"], &["BadSpec(9)", "bond"]);
    run(&["job", "post", "model", &data, "--max-price", "1", "--lease", "5s"], &["BadSpec(8)", "a minute"]);
    assert_eq!(m.json(&["job", "status"])["count"], 0);
}

#[test]
fn the_embedded_system_shows_what_it_costs() {
    let s = super::common::Sandbox::new("embedded-up");
    let v = s.json(&["chain", "up", "--embedded"]);
    let contracts = v["contracts"].as_object().unwrap();
    assert_eq!(contracts.len(), 11);
    for (name, c) in contracts {
        let (gas, bytes) = (c["gas"].as_u64().unwrap(), c["bytes"].as_u64().unwrap());
        assert!(gas > 100_000 && (1_000..=24_576).contains(&bytes), "{name}: {c}");
    }
    assert!(v["rpc"].is_null() && !s.path("assay-deployment.json").exists());
    let standard = s.json(&["chain", "up", "--embedded", "--standard"]);
    assert_eq!((v["development"].as_bool(), standard["development"].as_bool()), (Some(true), Some(false)));
}
