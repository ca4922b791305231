//! Runs the built binary in a folder of its own, with a cache that all tests share.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod http;
pub(crate) mod running;

use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock},
};

/// A folder that is removed at the end.
pub(crate) struct Sandbox {
    pub(crate) dir: PathBuf,
    cache: PathBuf,
    /// Private key of the account that sends.
    pub(crate) key: Option<&'static str>,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// A fresh folder.
    ///
    /// # Panics
    /// If another test of this process has one of this name.
    pub(crate) fn new(name: &str) -> Self {
        static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let first = NAMES.lock().unwrap().insert(name.to_owned());
        assert!(first, "two tests have a folder '{name}'");
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = tmp.join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir, cache: tmp.join("cache"), key: None }
    }

    /// The same with an empty cache.
    pub(crate) fn with_own_cache(name: &str) -> Self {
        let mut s = Self::new(name);
        s.cache = s.dir.join("cache");
        s
    }

    /// Another folder as the cache from now on.
    pub(crate) fn use_cache(&mut self, cache: PathBuf) {
        self.cache = cache;
    }

    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// `assay` with arguments, in the folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command
            .args(args)
            .current_dir(&self.dir)
            .env("ASSAY_CACHE", &self.cache)
            .env("RUST_BACKTRACE", "1")
            .env_remove("NO_COLOR")
            .env_remove("ASSAY_PRIVATE_KEY")
            .stdin(Stdio::null());
        if let Some(key) = self.key {
            command.env("ASSAY_PRIVATE_KEY", key);
        }
        command
    }

    /// Runs `assay` in the folder. Whatever happens, it must not show a panic, and must end with code 0, 1 or 2.
    pub(crate) fn assay(&self, args: &[&str]) -> Ran {
        let out = self.command(args).output().unwrap();
        let clean = |b: Vec<u8>| String::from_utf8(b).unwrap().replace(&self.dir.display().to_string(), "[DIR]");
        let ran = Ran { code: out.status.code().unwrap_or(-1), stdout: clean(out.stdout), stderr: clean(out.stderr) };
        for text in [&ran.stdout, &ran.stderr] {
            for word in ["panicked", "internal error", "backtrace", "unwrap()"] {
                assert!(!text.contains(word), "{args:?} says '{word}': {ran:#?}");
            }
        }
        assert!((0..=2).contains(&ran.code), "{args:?}: {ran:#?}");
        ran
    }

    /// Runs and expects success.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.assay(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:#?}");
        ran
    }

    /// Runs with `--json` and expects success; the last line.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.ok(&[args, &["--json"]].concat());
        assert_eq!(ran.stderr, "", "{args:?}");
        ran.last_json()
    }

    /// Runs and expects a failure with this code whose text holds all of these words; all of its text.
    pub(crate) fn fails(&self, code: i32, args: &[&str], words: &[&str]) -> String {
        let ran = self.assay(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:#?}");
        // Lines are wrapped for people.
        let flat = ran.stderr.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for w in words {
            assert!(flat.contains(w), "{args:?} does not say '{w}': {ran:#?}");
        }
        assert_eq!(ran.stderr.matches('×').count(), 1, "one error: {ran:#?}");
        ran.stderr
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Ran {
    /// The last line as JSON; every line must be JSON.
    pub(crate) fn last_json(&self) -> Value {
        let mut last = Value::Null;
        for line in self.stdout.lines() {
            last = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in '{line}': {self:#?}"));
        }
        last
    }
}

pub(crate) const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");

pub(crate) fn mlp() -> String {
    format!("{ASSETS}/digits_mlp.onnx")
}

pub(crate) fn cnn() -> String {
    format!("{ASSETS}/digits_cnn.onnx")
}

pub(crate) fn digits() -> String {
    format!("{ASSETS}/digits_test.npz")
}

/// A sandbox with `model`, `key` and `proof` of one test image, and the image as `input.json`.
pub(crate) fn digits_proof(name: &str) -> Sandbox {
    let s = Sandbox::new(name);
    let fixed = ["--weight-bits", "8", "--activation-bits", "8"];
    s.ok(&[&["compile", &mlp(), "--calibrate", &digits(), "-o", "model"], &fixed[..]].concat());
    s.ok(&["setup", "model", "-o", "key"]);
    let row = image(5);
    s.write("input.json", format!("{{\"input_data\": [{row:?}]}}"));
    s.ok(&["prove", "model", "input.json", "--key", "key", "-o", "proof"]);
    s
}

/// Pixels that look a little like a digit.
pub(crate) fn image(seed: usize) -> Vec<f32> {
    (0..64).map(|i| ((i * 7 + seed * 13) % 17) as f32 / 16.0).collect()
}

/// The parts of a file of segments, behind its head of 15 bytes.
pub(crate) fn parts(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[15..];
    let mut out = vec![];
    while let Some((n, tail)) = rest.split_first_chunk::<4>() {
        let (part, tail) = tail.split_at(u32::from_be_bytes(*n) as usize);
        out.push(part.to_vec());
        rest = tail;
    }
    out
}

/// A file of segments with the head of another and these parts.
pub(crate) fn joined(like: &[u8], parts: &[&Vec<u8>]) -> Vec<u8> {
    let mut out = like[..11].to_vec();
    out.extend((parts.len() as u32).to_be_bytes());
    for part in parts {
        out.extend((part.len() as u32).to_be_bytes());
        out.extend(*part);
    }
    out
}

/// A `.npy` file of 32-bit floats.
pub(crate) fn npy(shape: &str, values: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
    out
}

/// Whether there is a server to test with; says so where there is none, and fails where there must be one.
pub(crate) fn nats() -> bool {
    static ONCE: OnceLock<bool> = OnceLock::new();
    *ONCE.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install-nats");
        let out = Command::new(script).stdin(Stdio::null()).output().unwrap();
        let there = out.status.success();
        if !there {
            let why = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(std::env::var_os("ASSAY_REQUIRE_NATS").is_none(), "no nats-server: {why}");
            eprintln!("SKIPPED: no nats-server, so farms are not tested: {why}");
        }
        there
    })
}

/// Private keys of the first accounts of development chains: public knowledge.
pub(crate) const KEYS: [&str; 4] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

/// A node with the whole market on it, and a sandbox whose account may do everything there, with a compiled `model`.
pub(crate) struct MarketOf {
    pub(crate) s: Sandbox,
    pub(crate) node: assay_contracts::anvil::Anvil,
}

impl MarketOf {
    pub(crate) fn new(name: &str) -> Self {
        let node = assay_contracts::anvil::Anvil::start().unwrap_or_else(|e| panic!("{e}"));
        let mut s = Sandbox::new(name);
        s.key = Some(KEYS[0]);
        let fixed = ["--weight-bits", "8", "--activation-bits", "8"];
        s.ok(&[&["compile", &mlp(), "--calibrate", &digits(), "-o", "model"], &fixed[..]].concat());
        let v = s.json(&["chain", "up", "--rpc", node.url()]);
        assert_eq!((v["development"].as_bool(), v["chain_id"].as_u64()), (Some(true), Some(31337)));
        Self { s, node }
    }

    /// Runs with the node's address; the last JSON line.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.s.json(&[args, &["--rpc", self.node.url()]].concat())
    }

    /// A client of the node, and where the contracts are.
    pub(crate) fn client(&self) -> (assay_contracts::Rpc, assay_contracts::economy::Deployment) {
        let text = String::from_utf8(self.s.read("assay-deployment.json")).unwrap();
        let at = assay_contracts::economy::Deployment::from_json(&text).unwrap();
        (self.node.connect().unwrap(), at)
    }
}

/// What an account has and can withdraw, at one block: pay that is withdrawn meanwhile would else be counted twice, or not at all.
pub(crate) fn worth(
    chain: &mut assay_contracts::Rpc,
    at: &assay_contracts::economy::Deployment,
    account: assay_contracts::Address,
) -> assay_contracts::U256 {
    use assay_contracts::Chain;
    loop {
        let before = chain.head().unwrap();
        let has = at.token().balance(chain, account).unwrap();
        let owed = at.market().ledger().claimable(chain, account).unwrap();
        if chain.head().unwrap() == before {
            return has + owed;
        }
    }
}
