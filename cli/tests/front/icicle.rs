//! Long products handed to a library, by one that stands in for ICICLE.

use super::common::digits_proof;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The stand-in that fails in a way after some products (`prover/tests/icicle/standin.cpp`).
fn standin(folder: &Path, fault: u32, after: u32) -> PathBuf {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../prover/tests/icicle/build");
    let out = folder.join(format!("standin-{fault}-{after}.so"));
    let status = Command::new(build).arg(&out).args([fault.to_string(), after.to_string()]).status();
    assert!(status.unwrap().success(), "the stand-in does not compile; install g++ or set CXX");
    out
}

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn a_library_takes_long_products() {
    let s = digits_proof("icicle");
    s.ok(&["setup", "model", "-o", "wide", "--row-bits", "14"]);
    s.ok(&["prove", "model", "input.json", "--key", "wide", "-o", "plain"]);
    let with = |library: &Path, args: &[&str]| s.command(args).env("ASSAY_ICICLE", library).output().unwrap();
    let prove = |library: &Path, to: &str| with(library, &["prove", "model", "input.json", "--key", "wide", "-o", to]);

    let honest = standin(&s.path(""), 0, 0);
    let out = prove(&honest, "same");
    assert!(out.status.success() && !text(&out).contains("ASSAY_ICICLE"), "{}", text(&out));
    assert_eq!(s.read("same"), s.read("plain"));
    let doctor = text(&with(&honest, &["doctor", "--json"]));
    assert!(doctor.contains(r#""device":"STANDIN""#) && doctor.contains("standin-0-0.so"), "{doctor}");

    // It fails when it is used: so it is used, and the proof is made without it.
    let out = prove(&standin(&s.path(""), 1, 1), "alone");
    assert!(out.status.success() && text(&out).contains("it reports error 2 (out of memory)"), "{}", text(&out));
    assert_eq!(s.read("alone"), s.read("plain"));

    // A point of the curve, but another one: no such proof is written.
    let out = prove(&standin(&s.path(""), 2, 1), "wrong");
    assert!(!out.status.success() && !s.path("wrong").exists(), "{}", text(&out));

    let out = prove(&standin(&s.path(""), 2, 0), "never");
    let said = text(&out);
    assert!(out.status.code() == Some(2) && said.contains("its result is another point"), "{said}");
    assert!(said.contains("unset ASSAY_ICICLE") && !s.path("never").exists(), "{said}");
    let said = text(&prove(&s.path("nothing.so"), "never"));
    assert!(said.contains("nothing.so cannot be loaded"), "{said}");
}
