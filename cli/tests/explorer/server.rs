//! What the server gives, and what it lets through to the node.

use super::{
    common::Sandbox,
    program::{Explorer, get},
    stub::Stub,
    world::{deployment, lively},
};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

#[test]
fn the_server_gives_its_files_and_nothing_else() {
    let stub = Stub::start(lively());
    let e = Explorer::start("explorer-files", &format!("{}/v3/0123456789abcdef?key=secret", stub.url));
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/explorer.css", "text/css; charset=utf-8"),
        ("/explorer.js", "text/javascript; charset=utf-8"),
        ("/abi.js", "text/javascript; charset=utf-8"),
        ("/node.js", "text/javascript; charset=utf-8"),
        ("/chain.js", "text/javascript; charset=utf-8"),
        ("/training.js", "text/javascript; charset=utf-8"),
        ("/keys.js", "text/javascript; charset=utf-8"),
        ("/evidence.js", "text/javascript; charset=utf-8"),
        ("/lists.js", "text/javascript; charset=utf-8"),
        ("/numbers.js", "text/javascript; charset=utf-8"),
        ("/dom.js", "text/javascript; charset=utf-8"),
        ("/parts.js", "text/javascript; charset=utf-8"),
        ("/views.js", "text/javascript; charset=utf-8"),
        ("/jobs.js", "text/javascript; charset=utf-8"),
        ("/datasets.js", "text/javascript; charset=utf-8"),
        ("/tasks.js", "text/javascript; charset=utf-8"),
        ("/payouts.js", "text/javascript; charset=utf-8"),
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
