//! Ceremony files as snarkjs makes them: told from each other, imported, and refused where nobody brought a secret.

use assay_prover::srs::{Ceremony, Contribution, SrsError, import_ptau};
use std::{
    io::Cursor,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of the files, made by the pinned snarkjs on first use; `None` where that cannot be.
fn files() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ceremony");
    let made = Command::new(folder.join("make")).output().unwrap();
    match made.status.code() {
        Some(0) => Some(folder.join("files")),
        Some(3) => {
            // The project's own run makes the files before the tests, and fails there if it cannot.
            println!("SKIPPED, nothing was tested: {}", String::from_utf8_lossy(&made.stderr));
            None
        }
        code => panic!("{code:?}: {}", String::from_utf8_lossy(&made.stderr)),
    }
}

fn named(name: &str, beacon: bool) -> Contribution {
    Contribution { name: name.to_owned(), beacon }
}

#[test]
fn files_of_snarkjs() {
    let Some(folder) = files() else { return };
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let import = |name: &str, power: u32| import_ptau(Cursor::new(bytes(name)), power);
    let (first, second, beacon) = (named("first", false), named("second", false), named("final beacon", true));
    let all = vec![first.clone(), second.clone(), beacon];
    let cases = [
        ("one.ptau", 8, vec![first.clone()]),
        ("two.ptau", 8, vec![first, second]),
        ("beacon.ptau", 8, all.clone()),
        ("prepared.ptau", 8, all.clone()),
        ("truncated.ptau", 6, all),
    ];
    let mut hashes = vec![];
    for (name, power, contributions) in cases {
        let Ceremony { srs, contributions: told } = import(name, 28).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((srs.power(), told), (power, contributions), "{name}");
        assert_eq!(import(name, 5).unwrap().srs.g1_powers, srs.g1_powers[..32], "{name}");
        assert!(!srs.insecure_dev);
        hashes.push(srs.hash);
    }
    // Each contribution gives other powers; preparing and cutting do not.
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    assert!(hashes[2] == hashes[3] && hashes[3] == hashes[4]);

    assert!(matches!(import("beacon_only.ptau", 8), Err(SrsError::NoSecret { beacons: 1 })));
    assert!(matches!(import("new.ptau", 8), Err(SrsError::Degenerate(_))));

    let whole = bytes("two.ptau");
    for n in [0, 11, 60, 5_000, whole.len() - 1] {
        assert!(matches!(import_ptau(Cursor::new(&whole[..n]), 8), Err(SrsError::Size { .. })), "{n}");
    }
    // The list of a ceremony with a secret on the powers of the beacon alone. Sections 1 to 7 follow each other, 7 is last.
    let (alone, one) = (bytes("beacon_only.ptau"), bytes("one.ptau"));
    let at = |b: &[u8]| {
        let mut at = 12;
        loop {
            let id = u32::from_le_bytes(b[at..at + 4].try_into().unwrap());
            let size = u64::from_le_bytes(b[at + 4..at + 12].try_into().unwrap()) as usize;
            if id == 7 {
                return at;
            }
            at += 12 + size;
        }
    };
    let spliced = [&alone[..at(&alone)], &one[at(&one)..]].concat();
    assert!(matches!(import_ptau(Cursor::new(spliced), 8), Err(SrsError::Contributions(_))));
}
