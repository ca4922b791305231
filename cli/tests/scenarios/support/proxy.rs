//! A node in front of a node: it drops, delays, repeats and makes up answers.

use crate::common::http;
use assay_contracts::sol_types::SolCall;
use serde_json::{Value, json};
use std::{
    io::Write,
    net::TcpStream,
    sync::{Arc, Mutex, RwLock},
    thread,
    time::Duration,
};

/// A request that passes by.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) params: Value,
}

impl Asked {
    /// Whether this sends a transaction with a call of a function.
    pub(crate) fn sends<C: SolCall>(&self) -> bool {
        self.method == "eth_sendRawTransaction" && self.carries::<C>()
    }

    /// Whether a function's selector is in it, however it is sent.
    pub(crate) fn carries<C: SolCall>(&self) -> bool {
        self.params.to_string().contains(&selector::<C>())
    }

    pub(crate) fn is(&self, method: &str) -> bool {
        self.method == method
    }
}

/// A function's selector in hexadecimal digits.
pub(crate) fn selector<C: SolCall>() -> String {
    C::SELECTOR.iter().map(|b| format!("{b:02x}")).collect()
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    None,
    /// The node never gets it.
    DropRequest,
    /// The node gets it, and its answer is lost.
    DropAnswer,
    Delay(Duration),
    /// The node gets it twice, and the second answer is passed on.
    Repeat,
    /// The node never gets it, and this is answered.
    Instead(Value),
    /// The node never gets it, and this error is answered.
    Refuse(&'static str),
}

type Rule = Box<dyn FnMut(&Asked) -> Fault + Send>;

/// A server on a port of this machine, for as long as the test runs.
#[derive(Clone)]
pub(crate) struct Proxy {
    url: String,
    upstream: Arc<RwLock<String>>,
    rule: Arc<Mutex<Rule>>,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Proxy {
    pub(crate) fn new(upstream: &str) -> Self {
        let mut this = Self {
            url: String::new(),
            upstream: Arc::new(RwLock::new(upstream.to_owned())),
            rule: Arc::new(Mutex::new(Box::new(|_| Fault::None))),
            seen: Arc::default(),
        };
        let server = this.clone();
        this.url = format!("http://{}", http::listen(move |stream| server.serve(stream)));
        this
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The node behind it; empty if there is none. Nothing is on its way to the old one any more when this comes back.
    pub(crate) fn upstream(&self, url: &str) {
        *self.upstream.write().unwrap() = url.to_owned();
    }

    /// What happens to requests from now on.
    pub(crate) fn rule(&self, rule: impl FnMut(&Asked) -> Fault + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    pub(crate) fn honest(&self) {
        self.rule(|_| Fault::None);
    }

    /// Requests so far that something holds for.
    pub(crate) fn seen(&self, is: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        self.seen.lock().unwrap().iter().filter(|a| is(a)).cloned().collect()
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let (_, body) = http::read(stream)?;
        let request: Value = serde_json::from_slice(&body).ok()?;
        let asked = Asked { method: request["method"].as_str()?.to_owned(), params: request["params"].clone() };
        self.seen.lock().unwrap().push(asked.clone());
        let fault = (self.rule.lock().unwrap())(&asked);
        let forward = || post(&self.upstream.read().unwrap(), &body);
        let own = |key: &str, value: Value| {
            json!({ "jsonrpc": "2.0", "id": request["id"], key: value }).to_string().into_bytes()
        };
        let answer = match fault {
            Fault::None => forward()?,
            Fault::DropRequest => return None,
            Fault::DropAnswer => {
                forward();
                return None;
            }
            Fault::Delay(time) => {
                thread::sleep(time);
                forward()?
            }
            Fault::Repeat => {
                forward();
                forward()?
            }
            Fault::Instead(value) => own("result", value),
            Fault::Refuse(message) => own("error", json!({ "code": -32000, "message": message })),
        };
        http::answer(stream, 200, &answer)
    }
}

fn post(url: &str, body: &[u8]) -> Option<Vec<u8>> {
    let host = url.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(host).ok()?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    http::read(&stream).map(|(_, body)| body)
}

/// Asks a node something by hand; panics if it refuses.
pub(crate) fn ask(url: &str, method: &str, params: &Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let answer = post(url, body.as_bytes()).unwrap_or_else(|| panic!("{method}: no answer"));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}
