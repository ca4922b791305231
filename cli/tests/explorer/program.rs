//! The running program, and requests to it.

use super::{common::Sandbox, world::deployment};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// The running program.
pub(super) struct Explorer {
    child: Child,
    pub(super) url: String,
    _sandbox: Sandbox,
}

impl Drop for Explorer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Explorer {
    pub(super) fn start(name: &str, rpc: &str) -> Self {
        let sandbox = Sandbox::new(name);
        sandbox.write("deployment.json", deployment().to_json());
        Self::of(sandbox, rpc)
    }

    /// With `deployment.json` in a sandbox.
    pub(super) fn of(sandbox: Sandbox, rpc: &str) -> Self {
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
        Self { child, url, _sandbox: sandbox }
    }

    /// One request as it is written, with the name of the server filled in: status, headers, body. Status 0: the connection
    /// was closed.
    pub(super) fn raw(&self, request: &str) -> (u16, BTreeMap<String, String>, String) {
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

    pub(super) fn ask(&self, body: &str) -> (u16, Value) {
        let body = body.replace('\n', " ");
        let (status, _, text) = self.raw(&format!(
            "POST /rpc HTTP/1.1\nhost: {{host}}\nconnection: close\ncontent-type: application/json\ncontent-length: {}\n\n{body}",
            body.len()
        ));
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

pub(super) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\nhost: {{host}}\nconnection: close\n\n")
}
