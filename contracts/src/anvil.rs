//! A local `anvil` node: the pinned one of `contracts/node_modules` or another, stopped when it is dropped.

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
const PATIENCE: Duration = Duration::from_secs(120);

/// A running node.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // The guard ends the node when its standard input ends, and itself then.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs a command and ends it when standard input does: whatever becomes of this process, the node does not outlive it.
pub const GUARD: &str = "exec 3<&0
\"$@\" </dev/null 3<&- &
node=$!
(cat <&3 >/dev/null; kill \"$node\"; sleep 2; kill -9 \"$node\") >/dev/null 2>&1 &
wait \"$node\"";

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
        // Installed apart, so that the time it takes to start is bounded.
        let install = Command::new(folder.join("install"))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{}: {e}", folder.join("install").display()))?;
        if !install.status.success() {
            let text = String::from_utf8_lossy(&install.stderr);
            return Err(format!("the contract toolchain cannot be installed ({}):\n{text}", install.status));
        }
        Self::launch(&folder.join("run"), &[&["anvil", "--port", "0"], arguments].concat())
    }

    /// Starts a program that is `anvil` or ends with becoming it. It stops when this is dropped, or this process ends.
    ///
    /// # Errors
    ///
    /// In words.
    pub fn launch(program: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut child = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(program)
            .args(arguments)
            .args(["--hardfork", "osaka", "--threads", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
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
                let dead = matches!(e, mpsc::RecvTimeoutError::Disconnected);
                drop(this);
                let mut text = String::new();
                if let Some(stderr) = stderr {
                    let _ = stderr.take(2_000).read_to_string(&mut text);
                }
                let text = crate::abi::printable(text.trim());
                Err(if dead {
                    format!("anvil ended at once: {text}")
                } else {
                    format!("anvil does not start within {} s: {text}", PATIENCE.as_secs())
                })
            }
        }
    }

    /// Waits until the node ends by itself.
    pub fn wait(&mut self) {
        // Not `wait`: that would end standard input, and with it the node.
        while matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(200));
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
