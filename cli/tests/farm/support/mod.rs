//! A farm with a real server behind a network that can be slow or gone, and real workers.

pub(crate) mod client;
pub(crate) mod proxy;

pub(crate) use crate::common::nats;
pub(crate) use crate::common::running::{PATIENCE, Running};
use crate::common::{Sandbox, digits, mlp};
use proxy::Proxy;
use serde_json::Value;
use std::{
    path::Path,
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// A model and its key, made once.
fn template() -> &'static Sandbox {
    static ONCE: OnceLock<Sandbox> = OnceLock::new();
    ONCE.get_or_init(|| {
        let s = Sandbox::new("farm-template");
        let fixed = ["--weight-bits", "8", "--activation-bits", "8"];
        s.ok(&[&["compile", &mlp(), "--calibrate", &digits(), "-o", "model"], &fixed[..]].concat());
        s.ok(&["setup", "model", "-o", "key"]);
        s
    })
}

/// A folder with a model and its key in it.
pub(crate) fn sandbox(name: &str) -> Sandbox {
    let s = Sandbox::new(&format!("farm-{name}"));
    for file in ["model", "key"] {
        s.write(file, template().read(file));
    }
    s
}

/// A farm.
pub(crate) struct Farm {
    pub(crate) s: Sandbox,
    pub(crate) proxy: Proxy,
    pub(crate) up: Running,
    more: Vec<String>,
}

impl Farm {
    /// Short leases, so that what is lost comes back soon. A worker that the machine lets wait for so long loses its job: where
    /// nothing may be done twice, `more` has a longer one.
    pub(crate) fn new(name: &str, more: &[&str]) -> Self {
        let s = sandbox(name);
        let more: Vec<String> = more.iter().map(|a| (*a).to_owned()).collect();
        let (up, url) = start(&s, &more);
        Self { s, proxy: Proxy::new(&url), up, more }
    }

    /// Where workers and submitters find it: past a network that can be bad.
    pub(crate) fn url(&self) -> String {
        self.proxy.url()
    }

    /// Ends server and keeper at once.
    pub(crate) fn kill(&mut self) {
        self.up.kill();
        self.proxy.upstream("");
    }

    /// Starts them again, with what they kept, at another port behind the same address.
    pub(crate) fn again(&mut self) {
        let (up, url) = start(&self.s, &self.more);
        self.up = up;
        self.proxy.upstream(&url);
    }

    /// As [`again`](Self::again), with other arguments.
    pub(crate) fn again_with(&mut self, more: &[&str]) {
        self.more = more.iter().map(|a| (*a).to_owned()).collect();
        self.again();
    }

    pub(crate) fn worker(&self, name: &str, more: &[&str]) -> Running {
        let url = self.url();
        let fixed = ["farm", "worker", "--nats", &url, "--name", name, "--threads", "1", "--json"];
        Running::start(self.s.command(&[&fixed[..], more].concat()), name)
    }

    /// A worker that takes a job and comes no further: its powers of tau are a pipe that nobody writes into. However slow the test
    /// is, the job is not done before the worker is killed.
    pub(crate) fn stuck(&self, name: &str) -> Running {
        let pipe = self.s.path("pipe");
        if !pipe.exists() {
            assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        }
        self.worker(name, &["--srs", "pipe"])
    }

    /// The arguments of a submission of so many jobs.
    pub(crate) fn submission(&self, count: usize, more: &[&str]) -> Vec<String> {
        let fixed = [
            "farm",
            "submit",
            "model",
            &digits(),
            "--nats",
            &self.url(),
            "--count",
            &count.to_string(),
            "--key",
            "key",
        ]
        .map(str::to_owned);
        fixed.into_iter().chain(more.iter().map(|a| (*a).to_owned())).collect()
    }

    /// Submits and comes back at once; the result.
    pub(crate) fn send(&self, count: usize) -> Value {
        let args = self.submission(count, &[]);
        self.s.json(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Submits, or collects what was submitted: the result.
    pub(crate) fn collect(&self, count: usize) -> Value {
        let args = self.submission(count, &["--output", "out", "--timeout", "400s"]);
        self.s.json(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn status(&self) -> Value {
        self.s.json(&["farm", "status", "--nats", &self.url()])
    }

    /// What the record of a job says.
    pub(crate) fn job(&self, job: &str) -> Value {
        self.s.json(&["farm", "status", "--nats", &self.url(), "--job", job])
    }

    /// Waits until status says so, of what stays so.
    pub(crate) fn until(&self, what: &str, n: u64) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status();
            if status[what].as_u64() == Some(n) {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "{what} is not {n}: {status:#}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Every proof of a collection is there and valid, by the command that knows nothing of farms.
    pub(crate) fn check(&self, count: usize) {
        let folder = self.s.path("out");
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
        let proofs: Vec<_> = files.iter().filter(|p| p.extension().is_some_and(|e| e == "proof")).collect();
        assert_eq!((proofs.len(), files.len()), (count, count + 1), "{files:?}");
        for proof in proofs {
            assert_eq!(self.s.json(&["verify", &text(proof), "--key", "key"])["valid"], true);
        }
    }
}

/// Waits until workers have said that they handed in so many proofs: of which jobs.
pub(crate) fn proven(workers: &mut [Running], n: usize) -> Vec<String> {
    let start = Instant::now();
    loop {
        let all: Vec<String> =
            workers.iter_mut().flat_map(|w| w.said("proven")).map(|e| e["job"].to_string()).collect();
        if all.len() >= n {
            return all;
        }
        assert!(start.elapsed() < PATIENCE, "{n} proofs are not handed in, only of {all:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn start(s: &Sandbox, more: &[String]) -> (Running, String) {
    let mut args = vec!["farm", "up", "--port", "0", "--store", "store", "--json"];
    args.extend(more.iter().map(String::as_str));
    if !args.contains(&"--lease") {
        args.extend(["--lease", "3s"]);
    }
    let mut up = Running::start(s.command(&args), "farm");
    let url = up.wait_for("listening")["url"].as_str().unwrap().to_owned();
    (up, url)
}
