//! The explorer's server: a fixed set of files, the addresses of a deployment, and questions passed on to its node.
//!
//! The page never talks to the node itself. The node's address may hold credentials, many nodes do not let pages of other
//! origins ask, and this way the page's policy can be that it connects to nothing but where it came from. Only the questions
//! of [`Question`] go through, so whoever reaches the port can read the chain and no more.
//!
//! It listens on this machine alone. Other pages in the same browser could still send requests to it: the name it was
//! reached by must be its own (so a foreign name that resolves to this machine is no way in), and a question must come as
//! JSON from the page itself.

use crate::error::{Failure, Outcome};
use assay_contracts::{Error as NodeError, Question, Relay, economy::Deployment};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{self, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{convert::Infallible, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::Semaphore,
    task::JoinSet,
};

/// Most connections at a time; more wait.
const CONNECTIONS: usize = 64;
/// Most questions to the node at a time.
const QUESTIONS: usize = 8;
/// Most questions in one request.
const BATCH: usize = 64;
/// Most bytes of a request's body: a batch of calls with a few words each.
const BODY_BYTES: usize = 64 << 10;
/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// Code of an error that is not the node's word but that there was none.
const NO_ANSWER: i64 = -32098;

/// Code of an error that says that the answer is too long.
const TOO_MUCH: i64 = -32005;

/// What the page may do: load its own files, ask where it came from, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page that checks proofs may do: run what is written in it, by the hashes in its own policy. It asks for nothing.
const OFFLINE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; \
                              form-action 'none'; frame-ancestors 'none'";

/// Path of that page, which `cli/web/build` makes: one file that also works from a disk.
const VERIFY: &str = "/verify.html";

/// Path, type and content of the page's files.
const FILES: [(&str, &str, &[u8]); 20] = [
    ("/", "text/html; charset=utf-8", include_bytes!("../assets/explorer/index.html")),
    ("/explorer.css", "text/css; charset=utf-8", include_bytes!("../assets/explorer/explorer.css")),
    ("/icon.svg", "image/svg+xml", include_bytes!("../assets/explorer/icon.svg")),
    ("/explorer.js", SCRIPT, include_bytes!("../assets/explorer/explorer.js")),
    ("/abi.js", SCRIPT, include_bytes!("../assets/explorer/abi.js")),
    ("/node.js", SCRIPT, include_bytes!("../assets/explorer/node.js")),
    ("/chain.js", SCRIPT, include_bytes!("../assets/explorer/chain.js")),
    ("/training.js", SCRIPT, include_bytes!("../assets/explorer/training.js")),
    ("/keys.js", SCRIPT, include_bytes!("../assets/explorer/keys.js")),
    ("/evidence.js", SCRIPT, include_bytes!("../assets/explorer/evidence.js")),
    ("/lists.js", SCRIPT, include_bytes!("../assets/explorer/lists.js")),
    ("/numbers.js", SCRIPT, include_bytes!("../assets/explorer/numbers.js")),
    ("/dom.js", SCRIPT, include_bytes!("../assets/explorer/dom.js")),
    ("/parts.js", SCRIPT, include_bytes!("../assets/explorer/parts.js")),
    ("/views.js", SCRIPT, include_bytes!("../assets/explorer/views.js")),
    ("/jobs.js", SCRIPT, include_bytes!("../assets/explorer/jobs.js")),
    ("/datasets.js", SCRIPT, include_bytes!("../assets/explorer/datasets.js")),
    ("/tasks.js", SCRIPT, include_bytes!("../assets/explorer/tasks.js")),
    ("/payouts.js", SCRIPT, include_bytes!("../assets/explorer/payouts.js")),
    (VERIFY, "text/html; charset=utf-8", include_bytes!("../assets/verify/verify.html")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A bound port, and what is served there.
pub(crate) struct Server {
    runtime: Runtime,
    listener: TcpListener,
    port: u16,
    site: Arc<Site>,
}

struct Site {
    relay: Relay,
    questions: Semaphore,
    chain_id: u64,
    config: Bytes,
    /// Names that this server is reached by.
    hosts: [String; 2],
}

type Answer = Response<Full<Bytes>>;

impl Server {
    pub(crate) fn bind(port: u16, relay: Relay, deployment: &Deployment) -> Outcome<Self> {
        let cannot = |e: std::io::Error| {
            Failure::new(format!("cannot listen on port {port} of this machine: {e}"))
                .help("choose another port with --port; 0 takes a free one")
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))).map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let at = &deployment.contracts;
        let config = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "node": relay.endpoint(),
            "chain_id": deployment.chain_id,
            "block": deployment.block,
            "verifier": at.verifier,
            "registry": at.registry,
            "models": at.models,
            "token": at.token,
            "emission": at.emission,
            "market": at.market,
            "datasets": at.datasets,
            "training": at.training,
        });
        let site = Site {
            relay,
            questions: Semaphore::new(QUESTIONS),
            chain_id: deployment.chain_id,
            config: config.to_string().into(),
            hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")],
        };
        Ok(Self { runtime, listener, port, site: Arc::new(site) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks the node which chain it is on: fails if it is another than the deployment's; tells what is wrong if it does not
    /// answer, which may pass.
    pub(crate) fn trouble(&self) -> Outcome<Option<String>> {
        let site = &self.site;
        match self.runtime.block_on(site.relay.ask(&Question::ChainId())) {
            Ok(id) if id == format!("{:#x}", site.chain_id) => Ok(None),
            Ok(id) => {
                let id = id.as_str().unwrap_or_default().trim_start_matches("0x");
                let found = u64::from_str_radix(id, 16).map_or_else(|_| "another chain".to_owned(), |n| n.to_string());
                Err(Failure::new(format!("the deployment is on chain {}, the node on {found}", site.chain_id))
                    .help("pass a node of the deployment's chain, or the file of a deployment on the node's chain"))
            }
            Err(e) => Ok(Some(e.to_string())),
        }
    }

    /// Serves until the process ends.
    pub(crate) fn serve(self) -> Outcome<()> {
        let Self { runtime, listener, site, .. } = self;
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        runtime.block_on(async move {
            loop {
                let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return Ok(()) };
                let stream = match listener.accept().await {
                    Ok((stream, _)) => stream,
                    // Out of file descriptors, or a connection that broke before it was taken: both pass.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                };
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let site = Arc::clone(&site);
                        async move { Ok::<_, Infallible>(site.answer(request).await) }
                    });
                    let mut builder = http1::Builder::new();
                    builder.timer(TokioTimer::new()).header_read_timeout(ARRIVAL).max_buf_size(32 << 10);
                    // A client that goes away or talks nonsense ends its own connection.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    drop(permit);
                });
            }
        })
    }
}

impl Site {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let head = request.method() == Method::HEAD;
        let policy = if request.uri().path() == VERIFY { OFFLINE_POLICY } else { POLICY };
        let mut answer = self.route(request).await;
        let length = answer.body().size_hint().exact().unwrap_or_default();
        answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        secure(answer.headers_mut(), policy);
        if head {
            *answer.body_mut() = Full::default();
        }
        answer
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default().to_owned();
        if !self.hosts.contains(&host) {
            return plain(StatusCode::MISDIRECTED_REQUEST, "This server has another name.");
        }
        let path = request.uri().path().to_owned();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let file = FILES.iter().find(|(p, _, _)| *p == path);
        match (path.as_str(), file) {
            ("/rpc", _) if request.method() == Method::POST => self.relay(&host, request).await,
            ("/rpc", _) => refuse_method("POST"),
            ("/config.json", _) if reads => content(StatusCode::OK, "application/json", self.config.clone()),
            (_, Some((_, kind, bytes))) if reads => content(StatusCode::OK, kind, Bytes::from_static(bytes)),
            ("/config.json", _) | (_, Some(_)) => refuse_method("GET, HEAD"),
            _ => plain(StatusCode::NOT_FOUND, "There is nothing here."),
        }
    }

    /// JSON-RPC, one request or a list.
    async fn relay(self: Arc<Self>, host: &str, request: Request<Incoming>) -> Answer {
        let text = |name: HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
        // A page of another origin cannot send this type without being allowed to first, which it is not.
        let json = text(header::CONTENT_TYPE).is_some_and(|t| t.split(';').next() == Some("application/json"));
        if !json {
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "A question is JSON.");
        }
        if text(header::ORIGIN).is_some_and(|o| o.strip_prefix("http://") != Some(host)) {
            return plain(StatusCode::FORBIDDEN, "Only this page may ask.");
        }
        let body = tokio::time::timeout(ARRIVAL, Limited::new(request.into_body(), BODY_BYTES).collect()).await;
        let body = match body {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return plain(StatusCode::PAYLOAD_TOO_LARGE, "That is too long for a question."),
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "The question did not arrive in time."),
        };
        let (asked, many) = match serde_json::from_slice(&body) {
            Ok(Value::Array(asked)) if (1..=BATCH).contains(&asked.len()) => (asked, true),
            Ok(one @ Value::Object(_)) => (vec![one], false),
            Ok(_) => return plain(StatusCode::BAD_REQUEST, "Ask one question or a list of at most 64."),
            Err(_) => return plain(StatusCode::BAD_REQUEST, "That is not JSON."),
        };
        let mut tasks = JoinSet::new();
        let mut answers = vec![Value::Null; asked.len()];
        for (i, question) in asked.into_iter().enumerate() {
            let site = Arc::clone(&self);
            tasks.spawn(async move { (i, site.ask(question).await) });
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok((i, answer)) = done
                && let Some(slot) = answers.get_mut(i)
            {
                *slot = answer;
            }
        }
        let body = if many { Value::Array(answers) } else { answers.pop().unwrap_or_default() };
        content(StatusCode::OK, "application/json", body.to_string().into())
    }

    async fn ask(&self, question: Value) -> Value {
        let id = question.get("id").filter(|id| id.is_number() || id.is_string()).cloned().unwrap_or_default();
        let failed = |code: i64, message: String| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
        let question = match Question::deserialize(question) {
            Ok(question) => question,
            Err(e) => return failed(-32601, format!("only questions that read the chain are passed on: {e}")),
        };
        let Ok(_permit) = self.questions.acquire().await else {
            return failed(NO_ANSWER, "the server ends".to_owned());
        };
        match self.relay.ask(&question).await {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(NodeError::Refused { code, message, .. }) => failed(code, message),
            // As nodes say it themselves; the page asks for less then.
            Err(e @ NodeError::TooLarge { .. }) => failed(TOO_MUCH, e.to_string()),
            Err(e) => failed(NO_ANSWER, e.to_string()),
        }
    }
}

fn content(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    content(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn refuse_method(allowed: &'static str) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Not with this method.");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// What every answer says about how it may be used.
fn secure(headers: &mut HeaderMap, policy: &'static str) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
