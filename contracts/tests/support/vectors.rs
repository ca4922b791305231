//! Golden vectors: keys and proofs as files.

#![allow(dead_code, reason = "each test file uses a part")]

use assay_contracts::Bytes;
use std::{fs, path::Path};

/// One file of `contracts/test/vectors`.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) key: Vec<u8>,
    pub(crate) public_values: Vec<u8>,
    pub(crate) context: [u8; 32],
    pub(crate) proof: Vec<u8>,
}

pub(crate) fn vectors() -> Vec<Vector> {
    in_folder("test/vectors")
}

/// Real networks of the benchmarks and the demo.
pub(crate) fn networks() -> Vec<Vector> {
    in_folder("test/vectors/networks")
}

/// Proofs about named stacks.
pub(crate) fn stacks() -> Vec<Vector> {
    in_folder("test/vectors/stacks")
}

fn in_folder(folder: &str) -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("the vectors")
        .map(|e| e.expect("a file").path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no vectors in {}", folder.display());
    paths.iter().map(|p| vector(p)).collect()
}

fn vector(path: &Path) -> Vector {
    let text = fs::read_to_string(path).expect("a readable file");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let field = |name: &str| {
        let text = json[name].as_str().unwrap_or_else(|| panic!("{} has no {name}", path.display()));
        text.parse::<Bytes>().expect("hexadecimal").to_vec()
    };
    Vector {
        name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
        key: field("key"),
        public_values: field("publicValues"),
        context: field("context").try_into().expect("32 bytes"),
        proof: field("proof"),
    }
}

pub(crate) fn vector_again(name: &str) -> Vector {
    vector(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("test/vectors/{name}.json")))
}
