//! The direction of dependencies: circuits <- verifier <- prover <- cli, benches. Read from cargo's own metadata.

use std::{collections::BTreeSet, process::Command};

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// Names in the normal and build dependency tree of a package, itself included.
fn tree(package: &str) -> BTreeSet<String> {
    let text =
        cargo(&["tree", "--offline", "-p", package, "-e", "normal,build", "--prefix", "none", "--no-default-features"]);
    text.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn nothing_imports_upward() {
    let order = ["assay-circuits", "assay-verifier", "assay-prover", "assay"];
    for (i, package) in order.iter().enumerate() {
        let tree = tree(package);
        assert!(tree.contains(*package));
        for above in &order[i + 1..] {
            assert!(!tree.contains(*above), "{package} depends on {above}");
        }
        for below in &order[..i] {
            assert!(tree.contains(*below), "{package} should build on {below}");
        }
        assert!(!tree.contains("assay-benches"), "{package} depends on the benchmarks");
    }
}

#[test]
fn the_verifier_stays_small_and_portable() {
    let tree = tree("assay-verifier");
    for heavy in ["rayon", "tract-onnx", "tract-core", "tokio", "getrandom", "ndarray"] {
        assert!(!tree.contains(heavy), "the verifier depends on {heavy}");
    }
}
