//! The farm's own `nats-server`: configured, started, and ended with this process, whatever becomes of it.

use crate::{
    error::{Failure, Outcome},
    files,
};
use assay_contracts::anvil::GUARD;
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the project's script puts the server.
pub(crate) const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install-nats");

/// What a server is to be.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) program: PathBuf,
    pub(crate) host: String,
    /// 0 takes a free one.
    pub(crate) port: u16,
    pub(crate) store: PathBuf,
    /// Largest size of the store.
    pub(crate) max_store: Option<u64>,
    pub(crate) token: Option<String>,
    /// Writes to the disk before it answers, instead of every second.
    pub(crate) sync: bool,
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The guard ends the server when its standard input ends, and itself then.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A program of that name in a folder of the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|d| d.join(name)).find(|p| p.is_file())
}

/// The server that is named, else that of the checkout, else that on the path.
pub(crate) fn program(named: Option<&Path>) -> Outcome<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let fetched = Path::new(INSTALL).with_file_name(".nats").join("bin").join("nats-server");
    if fetched.is_file() {
        return Ok(fetched);
    }
    on_path("nats-server").ok_or_else(|| {
        Failure::new("there is no nats-server here").help(
            "run cli/deploy/install-nats of a checkout, or install the package nats-server, or name one with --nats-server; for \
             one machine no server is needed: `assay farm submit` without --nats",
        )
    })
}

/// A string in the server's configuration.
fn quoted(text: &str) -> Outcome<String> {
    if text.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return Err(Failure::new("a quote, a backslash or a control character in a path or the token")
            .help("use another folder or token"));
    }
    Ok(format!("\"{text}\""))
}

fn configuration(s: &Settings, ports: &Path) -> Outcome<String> {
    let path = |p: &Path| {
        let text = p
            .to_str()
            .ok_or_else(|| Failure::new("a path that is not UTF-8").help("use another folder for --store"))?;
        quoted(text)
    };
    let port = if s.port == 0 { "-1".to_owned() } else { s.port.to_string() };
    let mut text = format!(
        "listen: {}\nports_file_dir: {}\nmax_payload: 1MB\njetstream {{\n  store_dir: {}\n  sync_interval: {}\n",
        quoted(&format!("{}:{port}", s.host))?,
        path(ports)?,
        path(&s.store)?,
        if s.sync { "always" } else { "\"1s\"" },
    );
    if let Some(size) = s.max_store {
        text += &format!("  max_file_store: {size}\n");
    }
    text += "}\n";
    if let Some(token) = &s.token {
        text += &format!("authorization {{\n  token: {}\n}}\n", quoted(token)?);
    }
    Ok(text)
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(s: &Settings) -> Outcome<Self> {
        let unwritable = |p: &Path, e: &std::io::Error| {
            Failure::new(format!("cannot write '{}': {e}", p.display()))
                .help("choose a folder with --store where this user may write and that has room left")
        };
        let store = std::path::absolute(&s.store).map_err(|e| unwritable(&s.store, &e))?;
        let run = store.join("run");
        let _ = std::fs::remove_dir_all(&run);
        std::fs::create_dir_all(&run).map_err(|e| unwritable(&run, &e))?;
        let config = run.join("server.conf");
        let settings = Settings { store, ..s.clone() };
        files::write_private(&config, configuration(&settings, &run)?.as_bytes())?;
        let mut child = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(&s.program)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| {
                Failure::new(format!("cannot start '{}': {e}", s.program.display()))
                    .help("name a nats-server with --nats-server")
            })?;
        let log = child.stderr.take();
        // It writes a line now and then for as long as it lives, and stops if nobody reads them.
        let log = thread::spawn(move || {
            let mut kept = Vec::new();
            let Some(mut log) = log else { return kept };
            let mut part = [0; 4096];
            while let Ok(n @ 1..) = log.read(&mut part) {
                kept.extend_from_slice(part.get(..n).unwrap_or_default());
                let drop = kept.len().saturating_sub(4_000);
                kept.drain(..drop);
            }
            kept
        });
        let mut this = Self { child, port: s.port };
        let start = Instant::now();
        loop {
            if let Some(port) = listening(&run) {
                this.port = port;
                return Ok(this);
            }
            let over = this.child.try_wait().is_ok_and(|s| s.is_some());
            if over || start.elapsed() > PATIENCE {
                drop(this);
                let text = log.join().unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
                let last = lines.iter().rev().find(|l| l.contains("[FTL]") || l.contains("[ERR]")).or(lines.last());
                let why = super::record::cut(last.copied().unwrap_or("it says nothing"), 300);
                let what = if over { "ended at once" } else { "does not start" };
                return Err(Failure::new(format!("nats-server {what}: {why}"))
                    .help("choose another --port or --store; a farm that runs already is used with --nats"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is still there.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|s| s.is_none())
    }
}

/// The port that the server wrote down when it was ready.
fn listening(run: &Path) -> Option<u16> {
    let file = std::fs::read_dir(run).ok()?.flatten().find(|f| f.path().extension().is_some_and(|e| e == "ports"))?;
    let text: serde_json::Value = serde_json::from_slice(&files::read(&file.path(), 1 << 16).ok()?).ok()?;
    let url = text["nats"].get(0)?.as_str()?;
    url.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        let s = Settings {
            program: PathBuf::new(),
            host: "127.0.0.1".to_owned(),
            port: 0,
            store: PathBuf::from("/s"),
            max_store: Some(5),
            token: Some("abc".to_owned()),
            sync: true,
        };
        let text = configuration(&s, Path::new("/r")).unwrap();
        for line in ["listen: \"127.0.0.1:-1\"", "token: \"abc\"", "max_file_store: 5", "sync_interval: always"] {
            assert!(text.contains(line), "{text}");
        }
        let bad = Settings { token: Some("a\"}\nport: 1".to_owned()), ..s };
        assert!(configuration(&bad, Path::new("/r")).is_err());
    }
}
