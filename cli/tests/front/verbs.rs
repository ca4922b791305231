//! Every command, by the list that the program itself gives: JSON with a result or an error at the end, nothing on standard
//! error, exit code 0, 1 or 2.

use super::common::{Ran, Sandbox, digits, digits_proof, mlp};
use std::collections::BTreeSet;

/// The commands below one, from its help.
fn below(s: &Sandbox, path: &[String]) -> Vec<Vec<String>> {
    let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = s.ok(&args).stdout;
    let Some((_, rest)) = help.split_once("\nCommands:\n") else { return vec![path.to_vec()] };
    let names = rest.lines().take_while(|l| l.starts_with("  ")).filter(|l| !l.starts_with("   "));
    let names = names.filter_map(|l| l.split_whitespace().next()).filter(|n| *n != "help");
    names.flat_map(|n| below(s, &[path, &[n.to_owned()]].concat())).collect()
}

fn check(ran: &Ran, what: &str) {
    assert_eq!(ran.stderr, "", "{what}");
    let last = ran.last_json();
    match ran.code {
        0 => assert_eq!(last["event"], "result", "{what}: {ran:#?}"),
        1 => assert_eq!((&last["event"], &last["valid"]), (&"error".into(), &false.into()), "{what}: {ran:#?}"),
        _ => assert_eq!((&last["event"], last["valid"].is_null()), (&"error".into(), true), "{what}: {ran:#?}"),
    }
    if ran.code != 0 {
        for field in ["error", "help"] {
            assert!(last[field].as_str().is_some_and(|t| !t.trim().is_empty()), "{what} has no {field}: {ran:#?}");
        }
    }
}

#[test]
fn every_command_speaks_json() {
    let s = digits_proof("verbs");
    let (onnx, data) = (mlp(), digits());
    // No node is at that address: whatever asks one, cannot check.
    const NODE: &str = "http://127.0.0.1:9";
    const ACCOUNT: &str = "0x00000000000000000000000000000000000000aa";
    const CALL: &str = "0x00000000000000000000000000000000000000aa:0x00";
    const OTHER: &str = "0x00000000000000000000000000000000000000000000000000000000000000bb";
    const ID: &str = "0x00000000000000000000000000000000000000000000000000000000000000aa";
    let rows: Vec<(&str, Vec<&str>, i32)> = vec![
        ("inspect", vec![&onnx], 0),
        ("compile", vec![&onnx, "--weight-bits", "8", "--activation-bits", "8", "-o", "m2"], 0),
        ("split", vec!["model", "--segments", "2", "-o", "cut"], 0),
        ("setup", vec!["model", "-o", "k2"], 0),
        ("prove", vec!["model", "input.json", "-o", "p2"], 0),
        ("settle", vec!["model", "input.json", "-o", "sp", "--key-out", "sk"], 0),
        ("farm submit", vec!["model", "input.json", "--key", "key", "-o", "farmed"], 0),
        ("farm up", vec!["--listen", "0.0.0.0", "--port", "0"], 2),
        ("farm worker", vec!["--nats", "nats://127.0.0.1:9", "--patience", "0s"], 2),
        ("farm status", vec!["--nats", "nats://127.0.0.1:9"], 2),
        ("farm drain", vec!["--nats", "nats://127.0.0.1:9"], 2),
        ("verify", vec!["proof", "--key", "key"], 0),
        ("verify", vec!["proof", "--key", "key", "--model-id", "00"], 1),
        ("run", vec!["model", &data, "--batch", "1"], 0),
        ("chain up", vec!["--embedded"], 0),
        ("chain deploy", vec![], 0),
        ("chain register", vec!["sk"], 0),
        ("chain verify", vec!["sp", "--key", "sk"], 0),
        ("chain gas", vec!["sp", "--key", "sk"], 0),
        ("model register", vec!["model", "--rpc", NODE], 2),
        ("job post", vec!["model", "input.json", "--max-price", "1", "--rpc", NODE], 2),
        ("job lease", vec!["1", "--rpc", NODE], 2),
        ("job prove", vec!["1", "model", "-o", "jp", "--rpc", NODE], 2),
        ("job fulfil", vec!["sp", "--rpc", NODE], 2),
        ("job claim", vec!["--rpc", NODE], 2),
        ("job refund", vec!["1", "--rpc", NODE], 2),
        ("job status", vec!["1", "--rpc", NODE], 2),
        ("job result", vec!["1", "model", "--inbox", ".", "--rpc", NODE], 2),
        ("dataset commit", vec![&data, "--model", &onnx, "-o", "rows.stack", "--row-bits", "12"], 0),
        ("dataset register", vec!["data.stack", "--licence", "input.json", "--rpc", NODE], 2),
        ("dataset show", vec!["--rpc", NODE], 2),
        ("dataset retire", vec![ID, "--rpc", NODE], 2),
        (
            "task post",
            vec![
                "--train",
                ID,
                "--evaluate",
                ID,
                "--head",
                ID,
                "--shard",
                OTHER,
                "--sealed",
                "sealed.json",
                "--eta",
                "1",
                "--rate",
                "1",
                "--max-price",
                "1",
                "--rpc",
                NODE,
            ],
            2,
        ),
        ("task show", vec!["1", "--rpc", NODE], 2),
        ("task list", vec!["--rpc", NODE], 2),
        ("task work", vec![&onnx, "--stack", "stack", "-o", "rounds", "--rpc", NODE], 2),
        ("task lease", vec!["1", "--dataset", ID, "--rpc", NODE], 2),
        ("task seed", vec!["1", "--rpc", NODE], 2),
        ("task submit", vec!["1", "sp", "--rpc", NODE], 2),
        ("task reveal", vec!["1", "--sealed", "sealed.json", "--rpc", NODE], 2),
        ("task settle", vec!["1", "sp", "--rpc", NODE], 2),
        ("task finish", vec!["1", "--rpc", NODE], 2),
        ("task refund", vec!["1", "--rpc", NODE], 2),
        ("task withdraw", vec!["--rpc", NODE], 2),
        ("model tombstone", vec![ID, "--rpc", NODE], 2),
        ("chain check", vec!["--rpc", NODE], 2),
        ("chain canary", vec!["--rpc", NODE], 2),
        ("chain pause", vec!["--rpc", NODE], 2),
        ("chain unpause", vec!["--rpc", NODE], 2),
        ("vote propose", vec!["--call", CALL, "--why", "because", "--rpc", NODE], 2),
        ("vote cast", vec!["1", "for", "--rpc", NODE], 2),
        ("vote queue", vec!["1", "--rpc", NODE], 2),
        ("vote execute", vec!["1", "--rpc", NODE], 2),
        ("vote show", vec!["1", "--rpc", NODE], 2),
        ("vote delegate", vec!["--rpc", NODE], 2),
        ("token balance", vec!["--rpc", NODE], 2),
        ("token transfer", vec![ACCOUNT, "1", "--rpc", NODE], 2),
        ("token approve", vec![ACCOUNT, "1", "--rpc", NODE], 2),
        ("worker", vec!["model", "--once", "--rpc", NODE], 2),
        ("explorer", vec!["--rpc", NODE, "--port", "0"], 2),
        ("bench", vec!["model", "--batch", "1", "--repeats", "1"], 0),
        ("train", vec![&onnx, &data, "-o", "trained", "--steps", "1", "--batch", "2", "--lr", "2^-6"], 0),
        ("evaluate", vec!["trained/training.json", &data, "-o", "e.proof"], 0),
        ("estimate", vec!["model"], 0),
        ("estimate", vec!["cut"], 0),
        ("inspect", vec!["cut"], 0),
        ("show", vec!["cut"], 0),
        ("run", vec!["cut", "input.json"], 0),
        ("estimate", vec![&onnx, "--train", "--rows", "9", "--steps", "1"], 0),
        ("srs new", vec!["--power", "4", "-o", "tau"], 0),
        ("srs import", vec!["tau", "--power", "4", "-o", "tau2"], 2),
        ("srs verify", vec!["tau"], 0),
        ("stack commit", vec!["input.json", "--model", "model", "-o", "stack"], 0),
        ("stack show", vec!["stack"], 0),
        ("stack verify", vec!["stack"], 0),
        ("stack verify", vec!["stack", "--id", "00"], 1),
        ("show", vec!["key"], 0),
        ("show", vec![&data], 2),
        ("doctor", vec![], 0),
        ("completions", vec!["bash"], 0),
        // Its run is a test of its own (`demo`).
        ("demo", vec!["--images", "0"], 2),
    ];
    let mut seen = BTreeSet::new();
    for (verb, args, code) in rows {
        let all: Vec<&str> = verb.split(' ').chain(args).chain(["--json"]).collect();
        let ran = s.assay(&all);
        assert_eq!(ran.code, code, "{all:?}: {ran:#?}");
        check(&ran, verb);
        seen.insert(verb.to_owned());
    }
    let verbs = below(&s, &[]);
    assert!(verbs.len() > 25, "{verbs:?}");
    for verb in verbs {
        let name = verb.join(" ");
        assert!(seen.remove(&name), "`assay {name}` is not tested with --json");
        // A flag that nothing knows.
        let all: Vec<&str> = verb.iter().map(String::as_str).chain(["--no-such-flag", "--json"]).collect();
        let ran = s.assay(&all);
        assert_eq!(ran.code, 2);
        check(&ran, &name);
    }
    assert!(seen.is_empty(), "these are no commands any more: {seen:?}");
}
