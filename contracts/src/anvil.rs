//! A local `anvil` node for tests: the pinned one of `contracts/node_modules`, on a free port, stopped when it is
//! dropped.

use crate::{Error, Rpc, RpcOptions, Signer};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The private key of the first funded account, public knowledge.
pub const PRIVATE_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// The folder of the contracts, with its scripts.
pub const CONTRACTS: &str = env!("CARGO_MANIFEST_DIR");

/// How long it may take to start once it is installed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Anvil {
    /// Starts a node of chain 31337 under the rules of Osaka, which mines every transaction at once. The toolchain is
    /// installed first if it is not there.
    ///
    /// # Errors
    ///
    /// In words, for a test to fail with.
    pub fn start() -> Result<Self, String> {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more arguments for `anvil`.
    ///
    /// # Errors
    ///
    /// In words, for a test to fail with.
    pub fn start_with(arguments: &[&str]) -> Result<Self, String> {
        let folder = Path::new(CONTRACTS);
        let run = folder.join("run");
        // Installed apart, so that the time it takes to start is bounded.
        let install = Command::new(folder.join("install"))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{}: {e}", folder.join("install").display()))?;
        if !install.status.success() {
            let text = String::from_utf8_lossy(&install.stderr);
            return Err(format!("the contract toolchain cannot be installed ({}):\n{text}", install.status));
        }
        let mut child = Command::new(&run)
            .args(["anvil", "--port", "0", "--hardfork", "osaka", "--threads", "1"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", run.display()))?;
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let mut this = Self { child, url: String::new() };
        let (send, receive) = mpsc::channel();
        // The node writes a line per request for as long as it lives, and stops if nobody reads them.
        thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|s| BufReader::new(s).lines().map_while(Result::ok));
            for line in lines {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    let _ = send.send(address.trim().to_owned());
                }
            }
        });
        match receive.recv_timeout(PATIENCE) {
            Ok(address) => {
                this.url = format!("http://{address}");
                thread::spawn(move || stderr.map(|mut s| std::io::copy(&mut s, &mut std::io::sink())));
                Ok(this)
            }
            Err(e) => {
                let _ = this.child.kill();
                let mut text = String::new();
                if let Some(mut stderr) = stderr {
                    let _ = stderr.read_to_string(&mut text);
                }
                Err(format!("anvil does not start within {} s ({e}): {text}", PATIENCE.as_secs()))
            }
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Connects to it with the first funded account.
    ///
    /// # Errors
    ///
    /// What went wrong on the way.
    pub fn connect(&self) -> Result<Rpc, Error> {
        Rpc::connect(RpcOptions::new(&self.url), Some(signer()))
    }
}

/// The key of the first funded account.
///
/// # Panics
///
/// Never.
pub fn signer() -> Signer {
    let key = alloy_primitives::hex::decode_to_array(PRIVATE_KEY).expect("64 hexadecimal digits");
    Signer::from_bytes(&key).expect("a key in range")
}
