//! A node that lies, breaks or stalls: every case ends in an error that says what is wrong, in bounded time and memory.

mod support;

use assay_contracts::{Address, B256, Bytes, Call, Chain, Error, Revert, Rpc, RpcOptions, Verifier, anvil::signer};
use std::{
    io::Read,
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use support::{Asked, Reply, Server, error, result};

/// Longer than a busy machine lets any of these nodes wait. Tests of what happens when time is over have a shorter one.
const LONG: Duration = Duration::from_secs(60);

fn options(server: &Server) -> RpcOptions {
    RpcOptions { request_timeout: LONG, receipt_timeout: LONG, ..RpcOptions::new(&server.url) }
}

/// What transactions wait that are not to be included.
const SHORT: Duration = Duration::from_secs(1);

/// Connecting fails within the limits; gives the error.
fn refuses(name: &str, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Error {
    refuses_within(LONG, name, answer)
}

fn refuses_within(limit: Duration, name: &str, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Error {
    let server = Server::new(answer);
    let started = Instant::now();
    let options = RpcOptions { request_timeout: limit, ..options(&server) };
    let e = Rpc::connect(options, None).map(|_| ()).expect_err(name);
    assert!(started.elapsed() < 2 * LONG, "{name} took {:?}", started.elapsed());
    let text = e.to_string();
    assert!(text.len() < 1000, "{name}: {} characters", text.len());
    assert!(text.contains(server.url.as_str()), "{name} does not say where: {text}");
    assert!(!text.chars().any(char::is_control), "{name}: {text:?}");
    e
}

#[test]
fn answers_that_make_no_sense() {
    let bad = |name: &str, answer: fn(&Asked) -> Reply| {
        let e = refuses(name, answer);
        assert!(matches!(e, Error::BadAnswer { .. }), "{name}: {e:?}");
    };
    bad("garbage", |_| Reply::Http(200, b"\x00\xff garbage \x1b[2J".to_vec()));
    bad("nothing", |_| Reply::Http(200, Vec::new()));
    bad("a web page", |_| Reply::Http(200, b"<html>hello</html>".to_vec()));
    bad("JSON of another kind", |_| Reply::Http(200, b"{\"status\":\"ok\"}".to_vec()));
    bad("an array", |_| Reply::Http(200, b"[]".to_vec()));
    bad("neither result nor error", |a| {
        Reply::Http(200, format!("{{\"jsonrpc\":\"2.0\",\"id\":{}}}", a.id).into_bytes())
    });
    bad("a batch", |a| {
        Reply::Http(200, format!("[{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":\"0x1\"}}]", a.id).into_bytes())
    });
    bad("the answer to another request", |_| result("77", "\"0x1\""));
    bad("the answer to no request", |_| result("null", "\"0x1\""));
    bad("a text for a chain id", |a| result(&a.id, "\"\\u001b[2Jmainnet\""));
    bad("an object for a chain id", |a| result(&a.id, "{\"chain\":1}"));
    bad("null for a chain id", |a| result(&a.id, "null"));
    bad("a negative chain id", |a| result(&a.id, "-1"));
    bad("a chain id of 65 bits", |a| result(&a.id, "\"0x10000000000000000\""));
    bad("a chain id of 300 bits", |a| result(&a.id, &format!("\"0x{}\"", "f".repeat(75))));
    bad("a long text", |a| result(&a.id, &format!("\"{}\"", "x".repeat(1 << 20))));
    bad("deep nesting", |a| result(&a.id, &format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20))));
    bad("an unknown error form", |a| error(&a.id, "\"no\""));
}

#[test]
fn connections_that_break() {
    let broken = |name: &str, answer: fn(&Asked) -> Reply| {
        let e = refuses(name, answer);
        assert!(matches!(e, Error::Unreachable { .. }), "{name}: {e:?}");
    };
    broken("closed at once", |_| Reply::Close);
    broken("not HTTP", |_| Reply::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()));
    broken("closed in the middle", |_| {
        Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"jsonrpc\"".to_vec())
    });
    broken("headers without an end", |_| {
        Reply::Raw([b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-header: y\r\n".repeat(1 << 16)].concat())
    });
    // Nobody listens there.
    let url = "http://127.0.0.1:1";
    let e = Rpc::connect(RpcOptions::new(url), None).expect_err("nobody there");
    assert!(matches!(e, Error::Unreachable { .. }), "{e:?}");
    assert!(e.to_string().contains(url) && e.to_string().contains("refused"), "{e}");
}

#[test]
fn statuses_of_http() {
    for (status, hint) in [(500, "trouble"), (503, "trouble"), (429, "too many"), (401, "credentials"), (404, "path")] {
        let e = refuses("a status", move |_| Reply::Http(status, b"<html>error</html>".repeat(1000)));
        assert!(matches!(e, Error::Status { status: s, .. } if s == status), "{e:?}");
        assert!(e.to_string().contains(hint), "{e}");
    }
    // A JSON-RPC error with a status of its own is the error it says it is.
    let e = refuses("an error with a status", |a| {
        let object = "{\"code\":-32000,\"message\":\"go \\u001b[31maway\"}";
        Reply::Http(400, format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{object}}}", a.id).into_bytes())
    });
    assert!(matches!(&e, Error::Refused { code: -32000, method: "eth_chainId", .. }), "{e:?}");
    // A success with a status of failure is not believed.
    let e = refuses("a success with status 500", |a| {
        Reply::Http(500, format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":\"0x1\"}}", a.id).into_bytes())
    });
    assert!(matches!(e, Error::Status { status: 500, .. }), "{e:?}");
}

#[test]
fn redirects_are_not_followed() {
    let target = Server::new(|a| result(&a.id, "\"0x1\""));
    let location = target.url.clone();
    let e = refuses("a redirect", move |_| {
        Reply::Raw(format!("HTTP/1.1 307 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes())
    });
    assert!(matches!(e, Error::Status { status: 307, .. }), "{e:?}");
    assert_eq!(target.connections.load(Ordering::SeqCst), 0, "the redirect was followed");
}

#[test]
fn nodes_that_stall() {
    for (name, answer) in [("silent", (|_| Reply::Hang) as fn(&Asked) -> Reply), ("dripping", |_| Reply::Drip)] {
        let started = Instant::now();
        let e = refuses_within(Duration::from_secs(2), name, answer);
        assert!(matches!(e, Error::Timeout { seconds: 2, .. }), "{name}: {e:?}");
        // They would go on for twice as long, or for ever.
        assert!(started.elapsed() < LONG, "{name}: {:?}", started.elapsed());
    }
}

#[test]
fn bodies_without_an_end_are_cut_off() {
    let server = Server::new(|_| Reply::Endless);
    let e = Rpc::connect(options(&server), None).map(|_| ()).expect_err("endless");
    let Error::TooLarge { limit, .. } = e else { panic!("{e:?}") };
    // The rest was never taken from the connection, whose buffers hold a few MiB.
    std::thread::sleep(Duration::from_millis(200));
    let sent = server.sent.load(Ordering::SeqCst);
    assert!(sent < limit + (32 << 20), "{sent} bytes were taken");
    // Nor is a length believed that is only announced.
    let e = refuses("a long announcement", |_| {
        Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n{}".to_vec())
    });
    assert!(matches!(e, Error::Unreachable { .. }), "{e:?}");
}

/// A certificate for this machine that nobody vouches for, valid for a hundred years, and its key.
const CERTIFICATE: &str = "\
    3082019a30820141a00302010202145edfdba8c9e67c493ae546884c9c625aa26cc222300a06082a8648ce3d0403023014311230100603\
    5504030c096c6f63616c686f73743020170d3236313132343138323735355a180f32313236313033313138323735355a30143112301006\
    035504030c096c6f63616c686f73743059301306072a8648ce3d020106082a8648ce3d03010703420004d5aef97172c2cbf16d043dadf0\
    1963e4f142f2af458272e995de525a65aae57ea105d0e4702178fe11f77aa97c88f0ec66c0d590c0ef39980e0a802bea452b8da36f306d\
    301d0603551d0e04160414381e4c0ca4f22f0dd4b4862db997864a011bf5a1301f0603551d23041830168014381e4c0ca4f22f0dd4b486\
    2db997864a011bf5a1300f0603551d130101ff040530030101ff301a0603551d110413301182096c6f63616c686f737487047f00000130\
    0a06082a8648ce3d040302034700304402206a44375ddf6104dc39b0b6e5d1177f2337bf8f0c7240cca9684a74206e49dbb00220286f75\
    bcabb358f0dd4657e8e6d2efc8dd14216bdcf4d430d9246f63f37c5ddc\
    ";
const CERTIFICATE_KEY: &str = "\
    308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b02010104206ea2031ab0d53ed29316a99b927b9f7e15553e\
    49273202db5ee738baa0be0b7ca14403420004d5aef97172c2cbf16d043dadf01963e4f142f2af458272e995de525a65aae57ea105d0e4\
    702178fe11f77aa97c88f0ec66c0d590c0ef39980e0a802bea452b8d\
    ";

#[test]
fn certificates_are_checked() {
    let bytes = |text: &str| text.parse::<Bytes>().expect("hexadecimal").to_vec();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![rustls::pki_types::CertificateDer::from(bytes(CERTIFICATE))],
            rustls::pki_types::PrivatePkcs8KeyDer::from(bytes(CERTIFICATE_KEY)).into(),
        )
        .expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::new(config.clone())).expect("a connection");
            let mut stream = rustls::StreamOwned::new(connection, stream);
            if stream.read(&mut [0; 1]).is_ok_and(|n| n > 0) {
                seen.store(true, Ordering::SeqCst);
            }
        }
    });
    let options = RpcOptions { request_timeout: LONG, ..RpcOptions::new(format!("https://localhost:{port}")) };
    let e = Rpc::connect(options, None).map(|_| ()).expect_err("an unknown issuer");
    assert!(matches!(&e, Error::Unreachable { reason, .. } if reason.contains("certificate")), "{e:?}");
    assert!(!asked.load(Ordering::SeqCst), "a request was sent");
    // Nor does a node without encryption get a request that was meant for one with it.
    let plain = Server::new(|a| result(&a.id, "\"0x1\""));
    let e = Rpc::connect(RpcOptions::new(plain.url.replace("http:", "https:")), None).map(|_| ()).expect_err("not TLS");
    assert!(matches!(e, Error::Unreachable { .. }), "{e:?}");
}

#[test]
fn another_chain() {
    let server = Server::new(|a| result(&a.id, "\"0x89\""));
    let e = Rpc::connect(RpcOptions { chain_id: Some(1), ..options(&server) }, None).expect_err("another chain");
    assert!(matches!(e, Error::WrongChain { expected: 1, found: 137, .. }), "{e:?}");
    assert!(Rpc::connect(RpcOptions { chain_id: Some(137), ..options(&server) }, None).is_ok());
}

#[test]
fn credentials_in_the_address_stay_there() {
    let secret = "0123456789abcdef";
    let server = Server::new(|_| Reply::Http(401, Vec::new()));
    let url = format!("{}/v3/{secret}", server.url.replace("http://", &format!("http://user:{secret}@")));
    let options = RpcOptions::new(&url);
    assert!(!format!("{options:?}").contains(secret), "{options:?}");
    let e = Rpc::connect(options, None).expect_err("refused");
    assert!(!e.to_string().contains(secret) && !format!("{e:?}").contains(secret), "{e:?}");
    let gone = format!("http://user:{secret}@127.0.0.1:1/{secret}");
    let e = Rpc::connect(RpcOptions::new(gone), None).expect_err("refused");
    assert!(!e.to_string().contains(secret) && !format!("{e:?}").contains(secret), "{e:?}");
}

#[test]
fn calls_inside_an_asynchronous_runtime_are_an_error() {
    let server = Server::new(|a| result(&a.id, "\"0x1\""));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let e = runtime.block_on(async { Rpc::connect(options(&server), None).map(|_| ()) }).expect_err("inside");
    assert_eq!(e, Error::InsideRuntime);
}

/// A node that does what it should, but for one method.
fn node_but(method: &'static str, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Server, Rpc) {
    node_for(LONG, method, answer)
}

/// The same, asked by somebody who waits so long for a transaction.
fn node_for(
    patience: Duration,
    method: &'static str,
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Server, Rpc) {
    let server = Server::new(move |a| match a.method.as_str() {
        m if m == method => answer(a),
        // Of two methods at once: what is sent, and what became of it.
        "eth_sendRawTransaction" | "eth_getTransactionReceipt" if method == "both" => answer(a),
        "eth_chainId" => result(&a.id, "\"0x7a69\""),
        "eth_estimateGas" => result(&a.id, "\"0x5208\""),
        "eth_feeHistory" => {
            result(&a.id, "{\"baseFeePerGas\":[\"0x3b9aca00\",\"0x3b9aca00\"],\"oldestBlock\":\"0x0\"}")
        }
        "eth_maxPriorityFeePerGas" => result(&a.id, "\"0x3b9aca00\""),
        "eth_getBalance" => result(&a.id, "\"0x8ac7230489e80000\""),
        "eth_getTransactionCount" => result(&a.id, "\"0x0\""),
        "eth_sendRawTransaction" => result(&a.id, &format!("\"{}\"", B256::ZERO)),
        "eth_getTransactionReceipt" => {
            let hash = a.params[0].as_str().expect("a hash");
            result(
                &a.id,
                &format!(
                    "{{\"transactionHash\":\"{hash}\",\"blockNumber\":\"0x1\",\"status\":\"0x1\",\
                     \"gasUsed\":\"0x5208\",\"contractAddress\":null,\"logs\":[]}}"
                ),
            )
        }
        "eth_call" | "eth_getCode" => result(&a.id, "\"0x\""),
        m => error(&a.id, &format!("{{\"code\":-32601,\"message\":\"no method {m}\"}}")),
    });
    let options = RpcOptions { receipt_timeout: patience, ..options(&server) };
    let node = Rpc::connect(options, Some(signer())).expect("a node");
    (server, node)
}

fn send(node: &mut Rpc) -> Result<u64, Error> {
    node.send(&Call::new(Address::repeat_byte(9), vec![1])).map(|r| r.gas_used)
}

#[test]
fn the_node_of_these_tests_works() {
    let (_server, mut node) = node_but("", |_| Reply::Close);
    assert_eq!(send(&mut node), Ok(21_000));
}

#[test]
fn a_node_cannot_ask_for_more_than_is_allowed() {
    // A node chooses the priority fee, and the chain takes all of it.
    let (_server, mut node) = node_but("eth_maxPriorityFeePerGas", |a| result(&a.id, "\"0xde0b6b3a7640000\""));
    let e = send(&mut node).expect_err("too dear");
    assert!(matches!(e, Error::FeeTooHigh { limit: 500_000_000_000, .. }), "{e:?}");
    for price in ["0xde0b6b3a7640000", "0xffffffffffffffffffffffffffffffff", &format!("0x{}", "f".repeat(64))] {
        let history = format!("{{\"baseFeePerGas\":[\"0x1\",\"{price}\"]}}");
        let (_server, mut node) = node_but("eth_feeHistory", move |a| result(&a.id, &history));
        let e = send(&mut node).expect_err("too dear");
        assert!(matches!(e, Error::FeeTooHigh { .. } | Error::BadAnswer { .. }), "{e:?}");
    }
    // A base fee that fits, without room to double, is paid.
    let (_server, mut node) =
        node_but("eth_feeHistory", |a| result(&a.id, "{\"baseFeePerGas\":[\"0x1\",\"0x5d21dba000\"]}"));
    assert_eq!(send(&mut node), Ok(21_000));
}

#[test]
fn nodes_without_dynamic_fees() {
    for answer in ["{\"baseFeePerGas\":[]}", "{\"baseFeePerGas\":[\"0x0\",\"0x0\"]}", "{}"] {
        let server = Server::new(move |a| match a.method.as_str() {
            "eth_feeHistory" => result(&a.id, answer),
            "eth_gasPrice" => result(&a.id, "\"0xde0b6b3a7640000\""),
            "eth_chainId" => result(&a.id, "\"0x1\""),
            "eth_estimateGas" => result(&a.id, "\"0x5208\""),
            m => error(&a.id, &format!("{{\"code\":-32601,\"message\":\"no method {m}\"}}")),
        });
        let mut node = Rpc::connect(options(&server), Some(signer())).expect("a node");
        let e = send(&mut node).expect_err("too dear");
        assert!(matches!(e, Error::FeeTooHigh { .. }), "{answer}: {e:?}");
    }
}

#[test]
fn accounts_that_cannot_pay() {
    let (_server, mut node) = node_but("eth_getBalance", |a| result(&a.id, "\"0x5\""));
    let e = send(&mut node).expect_err("no money");
    let Error::InsufficientFunds { account, balance, needed, .. } = &e else { panic!("{e:?}") };
    assert_eq!((*account, balance.to_string()), (signer().address(), "5".to_owned()));
    // 21000 gas and an eighth, at twice 1 gwei and 1 gwei.
    assert_eq!(needed.to_string(), (23_625_u64 * 3_000_000_000).to_string());
}

#[test]
fn without_a_key_nothing_is_sent() {
    let server = Server::new(|a| result(&a.id, "\"0x1\""));
    let mut node = Rpc::connect(options(&server), None).expect("a node");
    let e = send(&mut node).expect_err("no key");
    assert!(matches!(e, Error::NoSigner { .. }) && e.to_string().contains("ASSAY_PRIVATE_KEY"), "{e}");
}

#[test]
fn transactions_that_are_never_included() {
    for (name, receipt) in [
        ("never", "null"),
        (
            "another",
            &format!(
                "{{\"transactionHash\":\"{}\",\"blockNumber\":\"0x1\",\"status\":\"0x1\",\
                 \"gasUsed\":\"0x1\",\"logs\":[]}}",
                B256::ZERO
            ),
        ),
    ] {
        let receipt = receipt.to_owned();
        let (server, mut node) = node_for(SHORT, "eth_getTransactionReceipt", move |a| result(&a.id, &receipt));
        let started = Instant::now();
        let e = send(&mut node).expect_err(name);
        assert!(started.elapsed() < LONG);
        let Error::Pending { hash, endpoint, last, .. } = &e else { panic!("{name}: {e:?}") };
        assert!(e.to_string().contains(&hash.to_string()) && *endpoint == server.url, "{e}");
        assert_eq!(last.is_some(), name == "another");
    }
}

#[test]
fn questions_for_a_receipt_are_repeated_when_they_fail() {
    let failed = Arc::new(AtomicBool::new(false));
    let (_server, mut node) = node_but("eth_getTransactionReceipt", move |a| {
        if !failed.swap(true, Ordering::SeqCst) {
            return Reply::Close;
        }
        let hash = a.params[0].as_str().expect("a hash");
        let fields = "\"blockNumber\":\"0x1\",\"status\":\"0x1\",\"gasUsed\":\"0x5208\",\"logs\":[]";
        result(&a.id, &format!("{{\"transactionHash\":\"{hash}\",{fields}}}"))
    });
    assert_eq!(send(&mut node), Ok(21_000));
}

/// A node that includes nothing and does not answer `eth_sendRawTransaction` as it should.
fn node_without_receipts(patience: Duration, send: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Server, Rpc) {
    node_for(patience, "both", move |a| match a.method.as_str() {
        "eth_sendRawTransaction" => send(a),
        _ => result(&a.id, "null"),
    })
}

#[test]
fn a_connection_that_breaks_while_sending_leaves_the_hash() {
    let (_server, mut node) = node_without_receipts(SHORT, |_| Reply::Close);
    let e = send(&mut node).expect_err("broken");
    let Error::Unsure { hash, .. } = &e else { panic!("{e:?}") };
    assert!(e.to_string().contains(&hash.to_string()) && e.to_string().contains("before sending again"), "{e}");
    let (_server, mut node) = node_but("eth_sendRawTransaction", |a| {
        error(&a.id, "{\"code\":-32000,\"message\":\"replacement transaction underpriced\"}")
    });
    let e = send(&mut node).expect_err("refused");
    assert!(matches!(&e, Error::Refused { message, .. } if message.contains("underpriced")), "{e:?}");
}

#[test]
fn a_transaction_whose_answer_is_lost_is_found() {
    // The node has it, and does not get to say so; or it got the same bytes before.
    let (_server, mut node) = node_but("eth_sendRawTransaction", |_| Reply::Close);
    assert_eq!(send(&mut node), Ok(21_000));
    for message in ["already known", "nonce too low: next nonce 1, tx nonce 0"] {
        let (_server, mut node) = node_but("eth_sendRawTransaction", move |a| {
            error(&a.id, &format!("{{\"code\":-32000,\"message\":\"{message}\"}}"))
        });
        assert_eq!(send(&mut node), Ok(21_000), "{message}");
    }
}

#[test]
fn a_number_that_another_transaction_used_is_said_soon() {
    let (_server, mut node) =
        node_without_receipts(LONG, |a| error(&a.id, "{\"code\":-32000,\"message\":\"nonce too low\"}"));
    let e = send(&mut node).expect_err("used");
    assert!(matches!(e, Error::Displaced { .. }), "{e:?}");
}

/// The fees of transactions that a node was sent, in the order of their arrival: type 2, `[chain, nonce, tip, most, ...]`.
fn offers(raw: &str) -> (u64, u64, usize) {
    let bytes: assay_contracts::Bytes = raw.parse().expect("hexadecimal");
    let mut at = if bytes[1] < 0xf8 { 2 } else { 2 + usize::from(bytes[1] - 0xf7) };
    let mut number = || {
        let (first, start) = (bytes[at], at + 1);
        if first < 0x80 {
            at += 1;
            return u64::from(first);
        }
        let length = usize::from(first - 0x80);
        at = start + length;
        bytes[start..at].iter().fold(0, |n, b| (n << 8) | u64::from(*b))
    };
    let fields: Vec<u64> = (0..4).map(|_| number()).collect();
    (fields[1], fields[3], bytes.len())
}

/// A node whose blocks do not take transactions that offer less than `least` wei per gas; and what it was sent.
fn dear_node(least: u64, change: impl FnOnce(&mut RpcOptions)) -> (Server, Rpc, Arc<Mutex<Vec<String>>>) {
    let sent = Arc::new(Mutex::new(Vec::<String>::new()));
    let seen = sent.clone();
    let server = Server::new(move |a| {
        let included = |raw: &String| offers(raw).1 >= least;
        match a.method.as_str() {
            "eth_chainId" => result(&a.id, "\"0x7a69\""),
            "eth_estimateGas" => result(&a.id, "\"0x5208\""),
            "eth_feeHistory" => result(&a.id, "{\"baseFeePerGas\":[\"0x3b9aca00\",\"0x3b9aca00\"]}"),
            "eth_maxPriorityFeePerGas" => result(&a.id, "\"0x3b9aca00\""),
            "eth_getBalance" => result(&a.id, "\"0x8ac7230489e80000\""),
            "eth_getTransactionCount" => result(&a.id, "\"0x5\""),
            "eth_sendRawTransaction" => {
                seen.lock().unwrap().push(a.params[0].as_str().unwrap().to_owned());
                result(&a.id, &format!("\"{}\"", B256::ZERO))
            }
            "eth_getTransactionReceipt" => {
                let last = seen.lock().unwrap().last().cloned().expect("a transaction");
                let hash = assay_contracts::keccak256(last.parse::<assay_contracts::Bytes>().unwrap());
                if !included(&last) || a.params[0] != hash.to_string() {
                    return result(&a.id, "null");
                }
                let fields = "\"blockNumber\":\"0x1\",\"status\":\"0x1\",\"gasUsed\":\"0x5208\",\"logs\":[]";
                result(&a.id, &format!("{{\"transactionHash\":\"{hash}\",{fields}}}"))
            }
            m => error(&a.id, &format!("{{\"code\":-32601,\"message\":\"no method {m}\"}}")),
        }
    });
    let mut options = options(&server);
    options.raise_after = Duration::from_millis(200);
    change(&mut options);
    let node = Rpc::connect(options, Some(signer())).expect("a node");
    (server, node, sent)
}

#[test]
fn a_stuck_transaction_offers_more_with_the_same_number() {
    let (_server, mut node, sent) = dear_node(5_000_000_000, |_| {});
    assert_eq!(send(&mut node), Ok(21_000));
    let seen: Vec<_> = sent.lock().unwrap().iter().map(|raw| offers(raw)).collect();
    assert!(seen.len() >= 3 && seen[0].1 == 3_000_000_000, "{seen:?}");
    for pair in seen.windows(2) {
        assert!(pair[1].0 == 5 && pair[1].1 >= pair[0].1 + pair[0].1 / 8, "{seen:?}");
    }
    // Never more than is allowed.
    let (_server, mut node, sent) = dear_node(5_000_000_000, |o| {
        o.max_fee_per_gas = 4_000_000_000;
        o.receipt_timeout = Duration::from_secs(2);
    });
    let e = send(&mut node).expect_err("too dear");
    assert!(matches!(e, Error::Pending { .. }), "{e:?}");
    assert!(sent.lock().unwrap().iter().all(|raw| offers(raw).1 <= 4_000_000_000));
}

#[test]
fn what_must_not_happen_late_is_withdrawn() {
    let (_server, mut node, sent) = dear_node(5_000_000_000, |o| o.raise_after = Duration::from_millis(700));
    node.withdraw_after(Some(Duration::from_millis(400)));
    let call = Call::new(Address::repeat_byte(9), vec![1; 500]);
    let e = node.send(&call).expect_err("withdrawn");
    assert!(matches!(e, Error::Withdrawn { .. }), "{e:?}");
    let seen: Vec<_> = sent.lock().unwrap().iter().map(|raw| offers(raw)).collect();
    // The same number; the last of them carries nothing.
    assert!(seen.iter().all(|s| s.0 == 5) && seen[0].2 > 500 && seen.last().unwrap().2 < 200, "{seen:?}");
}

#[test]
fn receipts_that_do_not_fit() {
    for fields in [
        "\"blockNumber\":\"0x1\",\"status\":\"0x7\",\"gasUsed\":\"0x5208\",\"logs\":[]",
        "\"blockNumber\":\"0x1\",\"gasUsed\":\"0x5208\",\"logs\":[]",
        "\"blockNumber\":\"0x1\",\"status\":\"0x1\",\"gasUsed\":\"0x10000000000000000\",\"logs\":[]",
    ] {
        let (_server, mut node) = node_but("eth_getTransactionReceipt", move |a| {
            result(&a.id, &format!("{{\"transactionHash\":{},{fields}}}", a.params[0]))
        });
        let e = send(&mut node).expect_err("refused");
        assert!(matches!(e, Error::BadAnswer { .. }), "{fields}: {e:?}");
    }
    // A deployment whose receipt names a contract that the transaction cannot have created.
    let (_server, mut node) = node_but("eth_getTransactionReceipt", |a| {
        let fields = "\"blockNumber\":\"0x1\",\"status\":\"0x1\",\"gasUsed\":\"0x5208\",\"logs\":[]";
        let other = Address::repeat_byte(0xbb);
        result(&a.id, &format!("{{\"transactionHash\":{},{fields},\"contractAddress\":\"{other}\"}}", a.params[0]))
    });
    let e = node.send(&Call::create(vec![0])).expect_err("refused");
    assert!(matches!(e, Error::BadAnswer { .. }), "{e:?}");
}

#[test]
fn reverts_come_in_many_forms() {
    let data = "0x82b42900";
    for (object, expected) in [
        (
            format!("{{\"code\":3,\"message\":\"execution reverted\",\"data\":\"{data}\"}}"),
            Revert::decode(&[0x82, 0xb4, 0x29, 0]),
        ),
        (
            format!("{{\"code\":-32000,\"message\":\"execution reverted\",\"data\":{{\"result\":\"{data}\"}}}}"),
            Revert::decode(&[0x82, 0xb4, 0x29, 0]),
        ),
        ("{\"code\":-32000,\"message\":\"execution reverted\"}".to_owned(), Revert::Empty),
        ("{\"code\":-32000,\"message\":\"out of gas\"}".to_owned(), Revert::Halted("out of gas".to_owned())),
    ] {
        let shown = object.clone();
        let (_server, mut node) = node_but("eth_call", move |a| error(&a.id, &object));
        let e = node.call(&Call::new(Address::ZERO, vec![])).expect_err("reverts");
        assert!(matches!(&e, Error::Reverted { revert, .. } if *revert == expected), "{shown}: {e:?}");
    }
    let (_server, mut node) =
        node_but("eth_call", |a| error(&a.id, "{\"code\":-32000,\"message\":\"header not found\"}"));
    let e = node.call(&Call::new(Address::ZERO, vec![])).expect_err("refused");
    assert!(matches!(e, Error::Refused { .. }), "{e:?}");
    // A transaction that would revert is not sent.
    let (_server, mut node) = node_but("eth_estimateGas", |a| {
        error(&a.id, "{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x\"}")
    });
    let e = send(&mut node).expect_err("reverts");
    assert!(matches!(e, Error::Reverted { revert: Revert::Empty, .. }), "{e:?}");
}

#[test]
fn contracts_that_are_not_there_or_not_ours() {
    let (_server, mut node) = node_but("", |_| Reply::Close);
    let address = Address::repeat_byte(5);
    let verifier = Verifier::at_unchecked(address);
    let e = Verifier::at(&mut node, address).expect_err("nothing there");
    assert!(matches!(e, Error::NoContract { .. }), "{e:?}");
    let e = verifier.verify(&mut node, B256::ZERO, &[], [0; 32], &[]).expect_err("nothing there");
    assert!(matches!(e, Error::NoContract { .. }) && e.to_string().contains(&address.to_string()), "{e:?}");
    // Code, and answers of another form: neither is taken for "accepted".
    let two = format!("\"0x{:064x}\"", 2);
    let long = format!("\"0x{:064x}\"", 1).replace("\"0x", "\"0x01");
    for answer in ["\"0x\"".to_owned(), "\"0x01\"".to_owned(), two, long, format!("\"0x{}\"", "f".repeat(64))] {
        let shown = answer.clone();
        let server = Server::new(move |a| match a.method.as_str() {
            "eth_chainId" => result(&a.id, "\"0x1\""),
            "eth_getCode" => result(&a.id, "\"0x6001\""),
            "eth_call" => result(&a.id, &answer),
            m => error(&a.id, &format!("{{\"code\":-32601,\"message\":\"no method {m}\"}}")),
        });
        let mut node = Rpc::connect(options(&server), None).expect("a node");
        let e = verifier.verify(&mut node, B256::ZERO, &[], [0; 32], &[]).expect_err(&shown);
        assert!(matches!(e, Error::Unexpected { .. }), "{shown}: {e:?}");
        let e = Verifier::at(&mut node, address).expect_err("other code");
        assert!(matches!(e, Error::OtherContract { .. }), "{e:?}");
    }
}

#[test]
fn keys_that_a_node_makes_up_are_refused() {
    let address = Address::repeat_byte(5);
    let server = Server::new(move |a| match a.method.as_str() {
        "eth_chainId" => result(&a.id, "\"0x1\""),
        "eth_getCode" => result(&a.id, "\"0x00aabbcc\""),
        "eth_call" => result(&a.id, &format!("\"0x{:0>64}\"", "7")),
        m => error(&a.id, &format!("{{\"code\":-32601,\"message\":\"no method {m}\"}}")),
    });
    let mut node = Rpc::connect(options(&server), None).expect("a node");
    let e = Verifier::at_unchecked(address).key(&mut node, B256::repeat_byte(1)).expect_err("not that key");
    assert!(matches!(e, Error::Unexpected { .. }), "{e:?}");
}
