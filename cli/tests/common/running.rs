//! A process of the program beside a test, and what it says.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::{KEYS, Sandbox};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(400);

/// It dies with this.
pub(crate) struct Running {
    child: Child,
    events: Receiver<Value>,
    /// All events that were taken from it so far.
    pub(crate) seen: Vec<Value>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// A command that writes an event a line, shown under `name`.
    pub(crate) fn start(mut command: Command, name: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (send, events) = mpsc::channel();
        let out = child.stdout.take().unwrap();
        let name = name.to_owned();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                println!("{name}: {line}");
                if send.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, events, seen: Vec::new() }
    }

    /// The worker of account `i`, whose journal is `journal-i`.
    pub(crate) fn worker(s: &Sandbox, url: &str, i: usize, more: &[&str]) -> Self {
        let journal = format!("journal-{i}");
        let fixed = ["--journal", &journal, "--poll", "0.2", "--threads", "1", "--json", "--rpc", url];
        let mut command = s.command(&[&["worker", "model"], &fixed[..], more].concat());
        command.env("ASSAY_PRIVATE_KEY", KEYS[i]);
        let market = s.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self::start(command, &format!("{market} worker {i}"))
    }

    /// Waits for an event.
    pub(crate) fn wait_for(&mut self, name: &str) -> Value {
        self.within(PATIENCE, name).unwrap_or_else(|| panic!("no event '{name}' in time; only {:#?}", self.seen))
    }

    /// Waits for an event, so long.
    pub(crate) fn within(&mut self, limit: Duration, name: &str) -> Option<Value> {
        let start = Instant::now();
        loop {
            match self.events.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if event["event"] == name {
                        return Some(event);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without '{name}': {:#?}", self.seen),
            }
        }
    }

    /// Waits until so many events of a kind were said: all of them. What they tell of may be seen elsewhere before they are.
    pub(crate) fn all(&mut self, name: &str, n: usize) -> Vec<Value> {
        while self.said(name).len() < n {
            self.wait_for(name);
        }
        self.said(name)
    }

    /// Waits until it ends: its exit code and its last line.
    pub(crate) fn ends(&mut self) -> (i32, Value) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.seen.extend(self.events.iter());
                return (status.code().unwrap_or(-1), self.seen.last().cloned().unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end: {:#?}", self.seen);
    }

    /// As a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.seen.extend(self.events.iter());
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Events of a kind so far.
    pub(crate) fn said(&mut self, name: &str) -> Vec<Value> {
        self.seen.extend(self.events.try_iter());
        self.seen.iter().filter(|e| e["event"] == name).cloned().collect()
    }
}
