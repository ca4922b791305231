//! There is no room, at the server or where proofs are collected: it is said, nothing is lost, and the same command goes on when there
//! is room again.

use crate::support::{Farm, nats};
use std::process::Command;

#[test]
fn the_server_has_no_room() {
    if !nats() {
        return;
    }
    let mut farm = Farm::new("full", &["--max-store", "80kB"]);
    let args = farm.submission(40, &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    farm.s.fails(2, &args, &["the farm's store is full", "--max-store"]);
    farm.kill();
    farm.again_with(&["--max-store", "100MB"]);
    let all = farm.s.json(&args);
    assert_eq!(all["jobs"], 40);
    farm.until("queued", 40);
    let _worker = farm.worker("a", &["--jobs", "2"]);
    farm.until("accepted", 2);
}

#[test]
fn proofs_cannot_be_written() {
    if !nats() {
        return;
    }
    let farm = Farm::new("full-here", &[]);
    let _worker = farm.worker("a", &[]);
    let args = farm.submission(1, &["--output", "out", "--json"]);
    // As on a full disk: no file may get longer than a few kilobytes. The key is there already.
    farm.collect(1);
    std::fs::remove_file(farm.s.path("out/digits_test-00000.proof")).unwrap();
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    let command = farm.s.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let out = Command::new("sh")
        .args(["-c", limited, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(&farm.s.dir)
        .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("cannot write"), "{text}");
    assert!(!farm.s.path("out/digits_test-00000.proof").exists());
    farm.collect(1);
    farm.check(1);
}
