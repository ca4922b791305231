//! Every command block of README and docs runs, line by line, in the order in which it stands, one folder a page. What cannot run here is
//! listed with the reason or with the test that runs it.

use super::{
    common::{KEYS, Sandbox, digits, image, mlp, nats, npy, running::PATIENCE},
    linked_models, training,
    training_stacks::attention_rows,
};
use std::{
    fmt::Write as _,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Commands that stay: "in a terminal of its own".
const SERVERS: [&str; 4] = ["assay chain up", "assay explorer", "assay farm up", "assay farm worker"];

/// Lines that do not run here: how they start, the file whose test runs them (or the folder whose script does), and words that it must hold.
const ELSEWHERE: &[(&str, &str, &[&str])] = &[
    ("cargo run --release -- demo --train", "cli/tests/front/demo.rs", &["\"demo\", \"--train\""]),
    ("cargo run --release -- demo", "cli/tests/front/demo.rs", &["\"demo\", \"--model\""]),
    ("assay demo", "cli/tests/front/demo.rs", &["\"demo\", \"--model\""]),
    ("cargo test --workspace --all-features", ".ci/run", &["cargo test --workspace --all-features"]),
    // It builds what is tested here, a second time.
    ("cargo install --path cli", "cli/Cargo.toml", &["name = \"assay\""]),
    ("pip install ./python", "python/test", &["maturin"]),
    ("xdg-open cli/assets/verify/verify.html", "cli/tests/explorer/verify_page.rs", &["verify.html"]),
    ("assay dataset register", "cli/tests/market/tasks.rs", &["\"register\"", "\"--licence\"", "\"--royalty\""]),
    (
        "assay task ",
        "cli/tests/market/tasks.rs",
        &["\"lease\"", "\"seed\"", "\"submit\"", "\"reveal\"", "\"settle\"", "\"withdraw\""],
    ),
];

/// The `sh` blocks of a page: command lines without their comments.
fn blocks(page: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
    fenced(&text, "sh")
        .into_iter()
        .map(|block| {
            let code = block.lines().map(|l| l.split(" #").next().unwrap_or_default().trim().to_owned());
            code.filter(|l| !l.is_empty() && !l.starts_with('#')).collect()
        })
        .collect()
}

fn fenced(text: &str, language: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut block: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(name)) => block = Some((name == language, String::new())),
            (Some(_), Some(_)) => out.extend(block.take().filter(|b| b.0).map(|b| b.1)),
            (Some((true, body)), None) => {
                let _ = writeln!(body, "{line}");
            }
            _ => {}
        }
    }
    out
}

/// A port below those that systems give away by themselves: nobody has it a moment later.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 10_000) as u16;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed) % 10_000);
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Somebody who types what a page shows.
struct Reader {
    s: Sandbox,
    /// What stands for something else, and for what.
    names: Vec<(String, String)>,
    servers: Vec<Child>,
    ran: usize,
    /// What the last line wrote.
    said: String,
}

impl Drop for Reader {
    fn drop(&mut self) {
        for child in &mut self.servers {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Reader {
    fn new(name: &str) -> Self {
        let s = Sandbox::new(&format!("blocks-{name}"));
        std::fs::create_dir(s.path("bin")).unwrap();
        link(Path::new(env!("CARGO_BIN_EXE_assay")), &s.path("bin/assay"));
        for folder in ["cli", "contracts", "python"] {
            link(&Path::new(ROOT).join(folder), &s.path(folder));
        }
        Self { s, names: Vec::new(), servers: Vec::new(), ran: 0, said: String::new() }
    }

    /// A network, samples of its inputs, and one input.
    fn with_model(name: &str) -> Self {
        let r = Self::new(name);
        r.s.write("model.onnx", std::fs::read(mlp()).unwrap());
        r.s.write("samples.npz", std::fs::read(digits()).unwrap());
        r.s.write("input.json", format!("{{\"input_data\": [{:?}]}}", image(5)));
        r
    }

    fn stands_for(mut self, name: &str, value: &str) -> Self {
        self.named(name, value.to_owned());
        self
    }

    fn named(&mut self, name: &str, value: String) {
        self.names.retain(|n| n.0 != name);
        self.names.push((name.to_owned(), value));
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = self.s.command(&[]);
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(&self.s.dir).stdin(Stdio::null());
        for (name, value) in command.env("NO_COLOR", "1").get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", self.s.path("bin").display()));
        if let Some((_, key)) = self.names.iter().find(|n| n.0 == "ASSAY_PRIVATE_KEY=...") {
            shell.env("ASSAY_PRIVATE_KEY", key.trim_start_matches("ASSAY_PRIVATE_KEY="));
        }
        shell
    }

    fn types(&mut self, page: &str, line: &str) {
        self.ran += 1;
        let mut typed = line.replace("cargo run --release --", "assay");
        for (name, value) in &self.names {
            typed = typed.replace(name, value);
        }
        println!("{page}: {typed}");
        if SERVERS.iter().any(|s| line.starts_with(s)) {
            return self.serves(line, &typed);
        }
        let out = self.shell(&typed).output().unwrap();
        self.said = String::from_utf8_lossy(&out.stdout).into_owned();
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{page}: '{line}', typed as '{typed}', fails:\n{}{errors}", self.said);
        assert!(!errors.contains("panicked"), "{page}: '{line}': {errors}");
    }

    /// Starts what stays, at ports of its own, and waits until it can be asked.
    fn serves(&mut self, line: &str, typed: &str) {
        let free = free_port();
        let more = match line {
            l if l.starts_with("assay farm worker") => " --json".to_owned(),
            l if l.starts_with("assay explorer") => " --json --port 0".to_owned(),
            _ => format!(" --json --port {free}"),
        };
        let mut child = self.shell(&format!("exec {typed}{more}")).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        self.servers.push(child);
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert!(first.starts_with('{'), "'{line}' says: {first}");
        // Nobody reads on; the pipe must not fill.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        if line.starts_with("assay chain up") {
            self.named("http://127.0.0.1:8545", format!("http://127.0.0.1:{free}"));
            self.named("ASSAY_PRIVATE_KEY=...", format!("ASSAY_PRIVATE_KEY={}", KEYS[0]));
            self.until("assay-deployment.json");
        } else if line.starts_with("assay farm up") {
            self.named("nats://127.0.0.1:4222", format!("nats://127.0.0.1:{free}"));
        }
    }

    /// A name for the first address that the last line wrote, if the next one uses the name.
    fn takes(&mut self, name: &str, next: &str) {
        let is_address = |w: &&str| w.len() == 42 && w.starts_with("0x");
        let said = self.said.clone();
        if let Some(address) = said.split(|c: char| !c.is_ascii_alphanumeric()).find(is_address) {
            self.named(name, address.to_owned());
        }
        assert!(!next.contains(name) || self.names.iter().any(|n| n.0 == name), "no address: {said}");
    }

    fn until(&self, file: &str) {
        let start = Instant::now();
        while !self.s.path(file).exists() {
            assert!(start.elapsed() < PATIENCE, "no {file}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Types blocks of a page, but for what runs elsewhere; `before` is told of each line.
    fn reads(&mut self, page: &str, blocks: &[Vec<String>], before: impl Fn(&mut Self, &str)) {
        for line in blocks.iter().flatten() {
            if let Some((_, file, words)) = ELSEWHERE.iter().find(|e| line.starts_with(e.0)) {
                let text = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
                words.iter().for_each(|w| assert!(text.contains(w), "{page}: '{line}' does not run in {file}: no {w}"));
                continue;
            }
            before(self, line);
            self.types(page, line);
        }
    }
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) {
    std::os::unix::fs::symlink(std::fs::canonicalize(from).unwrap(), to).unwrap();
}

fn nothing(_: &mut Reader, _: &str) {}

#[test]
fn readme() {
    let mut r = Reader::with_model("readme");
    let all = blocks("README.md");
    let (chain, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|b| b.iter().any(|l| l.contains("--rpc")));
    assert_eq!(chain.len(), 1);
    r.reads("README.md", &rest, nothing);
    // A node without contracts; the address is the one that was shown.
    let node = assay_contracts::anvil::Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    r.named("http://127.0.0.1:8545", node.url().to_owned());
    r.named("ASSAY_PRIVATE_KEY=...", format!("ASSAY_PRIVATE_KEY={}", KEYS[0]));
    r.reads("README.md", &chain, |r, line| r.takes("ADDRESS", line));
    assert!(r.ran >= 15, "only {}", r.ran);
}

#[test]
fn pages_for_ml_engineers_protocol_engineers_and_provers() {
    let mut r = Reader::with_model("people");
    for page in ["docs/start.md", "docs/ml-engineers.md", "docs/protocol-engineers.md", "docs/provers.md"] {
        r.reads(page, &blocks(page), nothing);
    }
    assert!(r.ran >= 11, "only {}", r.ran);
}

#[test]
fn measuring() {
    let mut r = Reader::with_model("measuring").stands_for("assay bench", "assay bench --repeats 1");
    r.s.ok(&["compile", "model.onnx", "--calibrate", "samples.npz", "-o", "model.assay"]);
    r.reads("docs/measured.md", &blocks("docs/measured.md"), nothing);
    assert_eq!(r.ran, 3);
}

/// The blocks of docs/cli.md about training, and that the tests below run all others.
#[test]
fn command_line_training() {
    let mut r = Reader::with_model("training").stands_for("block.onnx data.npz", "block.onnx block.npz");
    r.named("HEX", "5e".repeat(32));
    for file in ["data.npz", "holdout.npz"] {
        r.s.write(file, std::fs::read(digits()).unwrap());
    }
    let [x, y] = attention_rows();
    r.s.write("block.npz", training::stored_zip(&[("x.npy", x), ("y.npy", y)]));
    let block = concat!(env!("CARGO_MANIFEST_DIR"), "/../circuits/tests/training_onnx/attention_block.onnx");
    r.s.write("block.onnx", std::fs::read(block).unwrap());
    r.s.write("x.json", format!("{{\"input_data\": [{:?}]}}", image(3)));
    let all = blocks("docs/cli.md");
    let of = |words: &[&str]| -> Vec<Vec<String>> {
        let about = |b: &&Vec<String>| b.iter().any(|l| words.iter().any(|w| l.starts_with(w)));
        all.iter().filter(about).cloned().collect()
    };
    let training = of(&["assay train"]);
    let shared = of(&["assay compile features.onnx"]);
    let segments = of(&["assay split", "assay chain deploy"]);
    let market = of(&["assay chain up", "assay job post", "assay task"]);
    assert_eq!((training.len(), shared.len(), segments.len(), market.len()), (2, 1, 2, 3));
    assert_eq!(all.len(), 8, "a block of docs/cli.md is not run");
    r.reads("docs/cli.md", &training, nothing);
    assert!(r.ran >= 14, "only {}", r.ran);
}

#[test]
fn command_line_shared_stacks() {
    let mut r = Reader::new("shared");
    let [x, features] = linked_models::samples();
    let [first, second] = linked_models::networks();
    r.s.write("features.onnx", first);
    r.s.write("classes.onnx", second);
    r.s.write("x.npz", training::stored_zip(&[("x.npy", npy("(60, 12)", &x))]));
    r.s.write("f.npz", training::stored_zip(&[("features.npy", npy("(60, 20)", &features))]));
    r.s.write("x.npy", npy("(1, 12)", &x[..12]));
    let all: Vec<_> = blocks("docs/cli.md").into_iter().filter(|b| b[0].contains("features.onnx")).collect();
    r.reads("docs/cli.md", &all, nothing);
    assert_eq!(r.ran, 7);
}

#[test]
fn command_line_segments() {
    let mut r = Reader::with_model("segments");
    r.s.ok(&["compile", "model.onnx", "--calibrate", "samples.npz", "-o", "model.assay"]);
    let of =
        |first: &str| -> Vec<_> { blocks("docs/cli.md").into_iter().filter(|b| b[0].starts_with(first)).collect() };
    r.reads("docs/cli.md", &of("assay split"), nothing);
    assert_eq!(r.ran, 7);
    let node = assay_contracts::anvil::Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    r.named("http://127.0.0.1:8545", node.url().to_owned());
    r.named("ASSAY_PRIVATE_KEY=...", format!("ASSAY_PRIVATE_KEY={}", KEYS[0]));
    r.reads("docs/cli.md", &of("assay chain deploy"), |r, line| match line {
        l if l.contains("VERIFIER") => r.takes("VERIFIER", l),
        l if l.contains("register") => r.takes("SEGMENTS", l),
        _ => {}
    });
    assert_eq!(r.ran, 11);
}

#[test]
fn command_line_market() {
    // The market is one that has a job already.
    let mut r = Reader::with_model("market").stands_for("job result 1 ", "job result 2 ");
    r.s.ok(&["compile", "model.onnx", "--calibrate", "samples.npz", "-o", "model.assay"]);
    let market = |b: &Vec<String>| b.iter().any(|l| l.starts_with("assay job post") || l.starts_with("assay task"));
    let all: Vec<_> = blocks("docs/cli.md").into_iter().filter(market).collect();
    r.reads("docs/cli.md", &all, |r, line| {
        // "Somebody else, who was sent the file in `jobs`".
        if line.contains("--inbox inbox") {
            let sent = r.shell("cp -a jobs inbox && chmod 700 inbox").status().unwrap();
            assert!(sent.success());
        }
    });
    assert!(r.ran >= 12, "only {}", r.ran);
}

#[test]
fn farm() {
    let mut r = Reader::with_model("farm").stands_for("/var/lib/farm", "store");
    r.s.ok(&["compile", "model.onnx", "--calibrate", "samples.npz", "-o", "model.assay"]);
    r.s.write(
        "data.npz",
        training::stored_zip(&[("x.npy", npy("(6, 64)", &(0..6).flat_map(image).collect::<Vec<_>>()))]),
    );
    let all = blocks("docs/farm.md");
    let (mut server, alone): (Vec<_>, Vec<_>) = all.into_iter().partition(|b| b.iter().any(|l| l.contains("nats://")));
    // A farm that was drained takes no more.
    let last: Vec<String> =
        server.iter_mut().flat_map(|b| b.extract_if(.., |l| l.starts_with("assay farm drain"))).collect();
    assert_eq!(last.len(), 1);
    server.push(last);
    r.reads("docs/farm.md", &alone, nothing);
    if nats() {
        r.reads("docs/farm.md", &server, |r, line| {
            if line.starts_with("assay farm submit") {
                std::fs::remove_dir_all(r.s.path("proofs")).unwrap();
            }
        });
    }
}

/// The module of docs/browser.md, in Node.js.
#[test]
fn module_that_checks_proofs() {
    let r = Reader::with_model("module");
    r.s.ok(&["compile", "model.onnx", "--calibrate", "samples.npz", "-o", "model"]);
    r.s.ok(&["settle", "model", "input.json", "-o", "proof", "--key-out", "key"]);
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/browser.md")).unwrap();
    let [block] = &fenced(&text, "js")[..] else { panic!("docs/browser.md has other blocks") };
    assert!(block.contains("\"./assay-verify.js\""));
    r.s.write("assay-verify.mjs", std::fs::read(Path::new(ROOT).join("cli/assets/verify/assay-verify.js")).unwrap());
    let module = block.replace("./assay-verify.js", "./assay-verify.mjs");
    let (import, rest) = module.split_once('\n').unwrap();
    let shown = "if (result.verdict !== \"valid\" || result.tensors[0].inferences[0].length !== 10) process.exit(1);";
    let read = "import { readFileSync } from \"node:fs\";\nconst [proofBytes, keyBytes] = [\"proof\", \"key\"].map((f) => new Uint8Array(readFileSync(f)));";
    r.s.write("block.mjs", format!("{import}\n{read}\n{rest}\n{shown}\n"));
    let out = r.shell("node block.mjs").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn no_page_has_blocks_that_nobody_reads() {
    let read = [
        "README.md",
        "docs/start.md",
        "docs/ml-engineers.md",
        "docs/protocol-engineers.md",
        "docs/provers.md",
        "docs/measured.md",
        "docs/cli.md",
        "docs/farm.md",
        "docs/python.md",
    ];
    for file in std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap() {
        let page = format!("docs/{}", file.unwrap().file_name().to_string_lossy());
        let commands = page.ends_with(".md") && !blocks(&page).is_empty();
        assert!(!commands || read.contains(&page.as_str()), "{page} has command blocks that no test runs");
    }
    // Of docs/python.md, `python/tests/test_docs.py` runs the Python.
    let rest = blocks("docs/python.md").concat();
    assert!(rest.iter().all(|l| ELSEWHERE.iter().any(|e| l.starts_with(e.0))), "{rest:?}");
}
