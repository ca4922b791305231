//! What the tests share: small contracts written as bytes, and a server that answers as it is told.

#![allow(dead_code)]

use assay_contracts::Bytes;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Creation code for a contract with this code (at most 255 bytes).
pub(crate) fn creation(code: &[u8]) -> Vec<u8> {
    let length = u8::try_from(code.len()).expect("a short contract");
    // PUSH1 length, DUP1, PUSH1 9, PUSH0, CODECOPY, PUSH0, RETURN
    let mut out = vec![0x60, length, 0x80, 0x60, 9, 0x5f, 0x39, 0x5f, 0xf3];
    out.extend_from_slice(code);
    out
}

/// Copies its calldata to memory and then runs `end` with size and offset of it on the stack.
fn echo(end: &[u8]) -> Vec<u8> {
    // CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY, ..., CALLDATASIZE, PUSH0, end
    let mut code = vec![0x36, 0x5f, 0x5f, 0x37, 0x36, 0x5f];
    code.extend_from_slice(end);
    code
}

/// Returns its calldata.
pub(crate) fn returner() -> Vec<u8> {
    echo(&[0xf3])
}

/// Reverts with its calldata.
pub(crate) fn reverter() -> Vec<u8> {
    echo(&[0xfd])
}

/// Writes its calldata as an event with the topic 7.
pub(crate) fn logger() -> Vec<u8> {
    // PUSH1 7 goes under size and offset.
    vec![0x36, 0x5f, 0x5f, 0x37, 0x60, 7, 0x36, 0x5f, 0xa1, 0x00]
}

/// Runs until its gas is gone: JUMPDEST, PUSH0, JUMP.
pub(crate) fn looper() -> Vec<u8> {
    vec![0x5b, 0x5f, 0x56]
}

/// Stores the first word of its calldata at slot 0: costs, refunds and warm slots.
pub(crate) fn storer() -> Vec<u8> {
    vec![0x5f, 0x35, 0x5f, 0x55, 0x00]
}

/// Passes its calldata to the precompile at an address and returns the word it says; reverts if that fails.
pub(crate) fn caller(address: u8) -> Vec<u8> {
    vec![
        0x36, 0x5f, 0x5f, 0x37, // calldata to memory
        0x60, 0x20, 0x60, 0x20, 0x36, 0x5f, 0x60, address, 0x5a,
        0xfa, // staticcall(gas, address, 0, size, 32, 32)
        0x60, 20, 0x57, 0x5f, 0x5f, 0xfd, // revert(0, 0) unless it succeeded
        0x5b, 0x60, 0x20, 0x60, 0x20, 0xf3, // return(32, 32)
    ]
}

/// A pairing check of two pairs that holds: e(G, H) e(-G, H) = 1 (EIP-197 encoding).
pub(crate) fn pairing_input() -> Bytes {
    const H: [&str; 4] = [
        "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2",
        "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed",
        "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b",
        "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa",
    ];
    let one = format!("{:0>64}", "1");
    let two = format!("{:0>64}", "2");
    let minus_two = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd45";
    let text = [&[one.as_str(), &two], &H[..], &[one.as_str(), minus_two], &H[..]].concat().concat();
    text.parse().expect("hexadecimal")
}

/// What a server does with a connection.
pub(crate) enum Reply {
    /// HTTP with a status and a body.
    Http(u16, Vec<u8>),
    /// These bytes and no more.
    Raw(Vec<u8>),
    /// Closes at once.
    Close,
    /// Says nothing and keeps the connection.
    Hang,
    /// A body without an end.
    Endless,
    /// A body of one byte every 20 ms.
    Drip,
}

/// A JSON-RPC success.
pub(crate) fn result(id: &str, value: &str) -> Reply {
    Reply::Http(200, format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{value}}}").into_bytes())
}

/// A JSON-RPC error.
pub(crate) fn error(id: &str, object: &str) -> Reply {
    Reply::Http(200, format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{object}}}").into_bytes())
}

/// A request: its method, parameters and identity as JSON text.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) params: serde_json::Value,
    pub(crate) id: String,
}

/// A server on a port of this machine, for as long as the test runs.
pub(crate) struct Server {
    pub(crate) url: String,
    /// Bytes of endless bodies that were taken.
    pub(crate) sent: Arc<AtomicUsize>,
    /// Connections so far.
    pub(crate) connections: Arc<AtomicU64>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sent, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let (answer, counts) = (Arc::new(answer), (sent.clone(), connections.clone()));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counts.1.fetch_add(1, Ordering::SeqCst);
                let (answer, sent) = (answer.clone(), counts.0.clone());
                thread::spawn(move || serve(stream, &*answer, &sent));
            }
        });
        Self { url, sent, connections }
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Asked) -> Reply, sent: &AtomicUsize) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(n) = line.strip_prefix("content-length:") {
            length = n.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let json: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let asked = Asked {
        method: json["method"].as_str()?.to_owned(),
        params: json["params"].clone(),
        id: json["id"].to_string(),
    };
    match answer(&asked) {
        Reply::Http(status, body) => {
            let head =
                format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).ok()?;
            stream.write_all(&body).ok()?;
        }
        Reply::Raw(bytes) => stream.write_all(&bytes).ok()?,
        Reply::Close => {}
        Reply::Hang => thread::sleep(Duration::from_secs(120)),
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"0x").ok()?;
            let chunk = [b'0'; 1 << 16];
            while stream.write_all(&chunk).is_ok() {
                sent.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
        Reply::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    Some(())
}

/// Asks a node something by hand and gives the result; panics if it refuses.
pub(crate) fn ask(url: &str, method: &str, params: &serde_json::Value) -> serde_json::Value {
    let host = url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(host).expect("a connection");
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    write!(stream, "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n").expect("a request");
    write!(stream, "content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len()).expect("a request");
    stream.write_all(body.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
    assert!(json.get("error").is_none(), "{method}: {json}");
    json["result"].clone()
}
