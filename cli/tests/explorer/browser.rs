//! A browser that does one step after another.

use assay_verifier::core::hex;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Condvar, Mutex, OnceLock, PoisonError},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/explorer");

/// The browser's path, or why there is none. Installs what is missing, once.
fn installed() -> &'static Result<String, String> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let out = Command::new(Path::new(FOLDER).join("install"))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("cli/tests/explorer/install does not run: {e}"))?;
        let text = |b: &[u8]| String::from_utf8_lossy(b).trim().to_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    })
}

/// How many browsers there are at a time: each takes a few hundred megabytes, and mostly waits for a page's next look at the chain.
const TOGETHER: usize = 4;

/// One of the browsers that there may be.
struct Turn;

impl Turn {
    fn state() -> &'static (Mutex<usize>, Condvar) {
        static TAKEN: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());
        &TAKEN
    }

    fn take() -> Self {
        let (taken, free) = Self::state();
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        *free.wait_while(taken, |n| *n == TOGETHER).unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (taken, free) = Self::state();
        *taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        free.notify_one();
    }
}

pub(crate) struct Browser {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _turn: Turn,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without more steps it closes the browser and ends.
        self.input.take();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// A browser with an empty page. None, with a loud word about it, where there can be none.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let turn = Turn::take();
        let path = match installed() {
            Ok(path) => path,
            Err(why) => {
                // Straight to the terminal: what a passing test prints is otherwise hidden.
                let _ = writeln!(std::io::stderr(), "\nSKIPPED: {test} needs a browser.\n{why}\n");
                assert!(std::env::var_os("ASSAY_REQUIRE_BROWSER").is_none(), "{why}");
                return None;
            }
        };
        let mut child = Command::new("node")
            .arg(Path::new(FOLDER).join("probe.mjs"))
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Some(Self { input: child.stdin.take(), child, output, _turn: turn })
    }

    fn step(&mut self, step: Value) -> Value {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{step}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{step}: the browser is gone ({e})"));
        if let Some(e) = answer["error"].as_str() {
            let page = self.text("body").join("\n");
            panic!("{step}: {e}\nthe page:\n{page}");
        }
        answer["value"].clone()
    }

    pub(crate) fn goto(&mut self, url: &str) {
        self.step(json!({ "op": "goto", "url": url }));
    }

    /// Waits until an element holds a text.
    pub(crate) fn wait(&mut self, selector: &str, text: &str) {
        self.step(json!({ "op": "wait", "selector": selector, "text": text }));
    }

    /// Waits for refreshes.
    pub(crate) fn refreshed(&mut self, times: u32) {
        self.step(json!({ "op": "refreshed", "times": times }));
    }

    /// Visible text of all elements that fit.
    pub(crate) fn text(&mut self, selector: &str) -> Vec<String> {
        let texts = self.step(json!({ "op": "text", "selector": selector }));
        serde_json::from_value(texts).unwrap()
    }

    pub(crate) fn attribute(&mut self, selector: &str, name: &str) -> Vec<Option<String>> {
        let values = self.step(json!({ "op": "attribute", "selector": selector, "name": name }));
        serde_json::from_value(values).unwrap()
    }

    pub(crate) fn click(&mut self, selector: &str) {
        self.step(json!({ "op": "click", "selector": selector }));
    }

    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        self.step(json!({ "op": "fill", "selector": selector, "text": text }));
    }

    /// Picks files in a file input.
    pub(crate) fn files(&mut self, selector: &str, paths: &[&Path]) {
        self.step(json!({ "op": "files", "selector": selector, "paths": paths }));
    }

    /// Drops files on the page.
    pub(crate) fn drop_files(&mut self, files: &[(&str, &[u8])]) {
        let one = |(name, bytes): &(&str, &[u8])| json!({ "name": name, "hex": hex(bytes) });
        let files: Vec<Value> = files.iter().map(one).collect();
        self.step(json!({ "op": "drop", "files": files }));
    }

    pub(crate) fn press(&mut self, key: &str) {
        self.step(json!({ "op": "press", "key": key }));
    }

    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        self.step(json!({ "op": "evaluate", "script": script }))
    }

    /// Pictures in the folder that `ASSAY_SCREENSHOTS` names: light, dark, and as on a telephone.
    pub(crate) fn shots(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("ASSAY_SCREENSHOTS") else { return };
        for (kind, width, scheme) in
            [("light", 1280, "light"), ("dark", 1280, "dark"), ("narrow", 360, "light"), ("narrow-dark", 360, "dark")]
        {
            let path = Path::new(&folder).join(format!("{name}-{kind}.png"));
            self.step(json!({ "op": "resize", "width": width, "height": 900 }));
            self.step(json!({ "op": "scheme", "scheme": scheme }));
            self.step(json!({ "op": "shot", "path": path, "whole": true }));
        }
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        self.step(json!({ "op": "resize", "width": width, "height": height }));
    }

    /// Nothing was complained about, nothing opened, and nobody but this host was asked.
    pub(crate) fn clean(&mut self, url: &str) {
        let seen = self.step(json!({ "op": "seen" }));
        assert_eq!(seen["problems"], json!([]));
        assert_eq!(seen["hosts"], json!([url.trim_start_matches("http://")]));
    }
}
