//! The tests of the contracts in Solidity: `contracts/check` installs the toolchain, compares the artefacts with the
//! sources and runs forge. This is how `cargo test --workspace` covers them.

use std::{path::Path, process::Command};

#[test]
fn the_contracts_pass_their_own_check() {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("check");
    let output = Command::new(&check).output().unwrap_or_else(|e| panic!("{}: {e}", check.display()));
    assert!(
        output.status.success(),
        "{} failed ({})\n{}\n{}",
        check.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
