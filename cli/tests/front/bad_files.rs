//! Damaged, swapped and oversized files, and proofs of something else: one clear error and the right exit code each.

use super::common::{Sandbox, digits, digits_proof, image, mlp, npy};

/// Damaged copies of a file, each with a name.
fn damaged(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut out = vec![("empty".to_owned(), vec![])];
    for n in [4, 9, 17, bytes.len() / 3, bytes.len() - 1] {
        out.push((format!("cut to {n}"), bytes[..n.min(bytes.len() - 1)].to_vec()));
    }
    for at in [3, 9, 12, 40, bytes.len() / 2, bytes.len() - 1] {
        let mut b = bytes.to_vec();
        b[at] ^= 0x10;
        out.push((format!("bit of byte {at}"), b));
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    out.push(("one byte more".to_owned(), longer));
    out
}

#[test]
fn proofs() {
    let s = digits_proof("bad-proofs");
    let verify = ["verify", "bad", "--key", "key"];
    for (name, bytes) in damaged(&s.read("proof")) {
        s.write("bad", bytes);
        let ran = s.assay(&verify);
        // Without its first bytes it is not known to be a proof at all; of another version it cannot be checked.
        let unknown = ["empty", "cut to 4", "bit of byte 3", "bit of byte 9"].contains(&name.as_str());
        assert_eq!(ran.code, if unknown { 2 } else { 1 }, "{name}: {ran:#?}");
        assert_eq!(ran.stderr.matches('×').count(), 1, "{name}: {ran:#?}");
    }
    s.fails(2, &["verify", ".", "--key", "key"], &["is a directory"]);
    s.fails(2, &["verify", "nowhere", "--key", "key"], &["no such file"]);
    s.fails(2, &["verify", "key", "--key", "key"], &["is a verifying key; expected a core proof", "assay prove"]);
    s.fails(2, &["verify", "proof", "--key", "proof"], &["is a core proof; expected a verifying key", "assay setup"]);
    let huge = std::fs::File::create(s.path("huge")).unwrap();
    std::io::Write::write_all(&mut &huge, b"ASSAYPRF").unwrap();
    huge.set_len(1 << 40).unwrap();
    s.fails(2, &["verify", "huge", "--key", "key"], &["at most"]);

    let last = s.assay(&["verify", "bad", "--key", "key", "--json"]).last_json();
    assert_eq!((last["event"].as_str(), last["valid"].as_bool()), (Some("error"), Some(false)));
}

#[test]
fn proofs_of_something_else() {
    let s = digits_proof("other");
    // Another key of the same model.
    s.ok(&["setup", "model", "--public-inputs", "-o", "key2"]);
    s.fails(1, &["verify", "proof", "--key", "key2"], &["made for another key"]);
    // Another model.
    s.ok(&[
        "compile",
        &mlp(),
        "--calibrate",
        &digits(),
        "--weight-bits",
        "9",
        "--activation-bits",
        "8",
        "-o",
        "model3",
    ]);
    s.ok(&["setup", "model3", "-o", "key3"]);
    s.fails(1, &["verify", "proof", "--key", "key3"], &["made for another key"]);
    s.fails(2, &["prove", "model3", "input.json", "--key", "key", "-o", "p"], &["another model"]);
    // Another input's proof, with the answer of the first.
    s.write("input2.json", format!("[{:?}]", image(11)));
    s.ok(&["prove", "model", "input2.json", "--key", "key", "-o", "proof2"]);
    let (a, b) = (s.json(&["verify", "proof", "--key", "key"]), s.json(&["verify", "proof2", "--key", "key"]));
    assert_ne!(a["outputs"], b["outputs"]);
    s.write("out.json", format!("{{\"output_data\": {}}}", a["outputs"]));
    s.fails(1, &["verify", "proof2", "--key", "key", "--output", "out.json"], &["another output"]);
    // The public values of one proof with the argument of another: after magic, version, kind, key digest and batch.
    let (one, two) = (s.read("proof"), s.read("proof2"));
    let values = 8 + 2 + 1 + 32 + 4 + 4 + 4 + 80;
    s.write("mixed", [&one[..values], &two[values..]].concat());
    s.fails(1, &["verify", "mixed", "--key", "key"], &["not valid"]);
}

#[test]
fn keys() {
    let s = digits_proof("bad-keys");
    for (name, bytes) in damaged(&s.read("key")) {
        s.write("bad", bytes);
        let ran = s.assay(&["verify", "proof", "--key", "bad"]);
        assert_ne!(ran.code, 0, "{name}: {ran:#?}");
        assert_eq!(ran.stderr.matches('×').count(), 1, "{name}: {ran:#?}");
        let ran = s.assay(&["prove", "model", "input.json", "--key", "bad", "-o", "p"]);
        // A key with a damaged registration still makes proofs; nobody will accept them.
        assert!(
            ran.code == 2 || (ran.code == 0 && s.assay(&["verify", "p", "--key", "bad"]).code == 1),
            "{name}: {ran:#?}"
        );
    }
    s.fails(2, &["verify", "proof", "--key", "model"], &["is a compiled model; expected a verifying key"]);
    s.fails(2, &["verify", "proof", "--key", "."], &["is a directory"]);
}

#[test]
fn models() {
    let s = digits_proof("bad-models");
    for (name, bytes) in damaged(&s.read("model")) {
        s.write("bad", bytes);
        for args in [&["setup", "bad", "-o", "k"][..], &["estimate", "bad"], &["prove", "bad", "input.json", "-o", "p"]]
        {
            let ran = s.assay(args);
            assert_eq!(ran.code, 2, "{name}: {ran:#?}");
            assert_eq!(ran.stderr.matches('×').count(), 1, "{name}: {ran:#?}");
        }
    }
    let onnx = std::fs::read(mlp()).unwrap();
    for (name, bytes) in damaged(&onnx) {
        s.write("bad.onnx", bytes);
        let ran = s.assay(&["compile", "bad.onnx", "-o", "m"]);
        // ONNX has no checksum: a changed weight is another model.
        assert!(ran.code == 2 || name.starts_with("bit"), "{name}: {ran:#?}");
        s.assay(&["inspect", "bad.onnx"]);
    }
    assert!(!s.path("k").exists() && !s.path("p").exists());
    s.fails(2, &["setup", "proof", "-o", "k"], &["is a core proof; expected a model"]);
    s.fails(2, &["compile", "model", "-o", "m"], &["expected an ONNX model"]);
    s.fails(2, &["compile", ".", "-o", "m"], &["is a directory"]);
    s.fails(2, &["compile", "nowhere.onnx", "-o", "m"], &["no such file"]);
    s.fails(2, &["setup", "model", "-o", "."], &["is a directory"]);
    s.fails(2, &["setup", "model", "-o", "no/such/key"], &["no folder"]);
    s.fails(2, &["setup", "model", "--weight-bits", "8", "-o", "k"], &["is compiled already"]);
    let huge = std::fs::File::create(s.path("huge.onnx")).unwrap();
    huge.set_len(1 << 40).unwrap();
    s.fails(2, &["compile", "huge.onnx", "-o", "m"], &["at most"]);
}

#[test]
fn inputs() {
    let s = digits_proof("bad-inputs");
    let row = image(2);
    let with = |i: usize, text: &str| {
        let mut cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        cells[i] = text.to_owned();
        format!("{{\"input_data\": [[{}]]}}", cells.join(", ")).into_bytes()
    };
    let mut nan = row.clone();
    nan[9] = f32::NAN;
    let mut inf = row.clone();
    inf[63] = f32::NEG_INFINITY;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "empty"),
        ("not JSON", b"hello".to_vec(), "not a JSON file"),
        ("cut JSON", with(0, "1")[..100].to_vec(), "not a JSON file"),
        ("too few", b"{\"input_data\": [[1, 2, 3]]}".to_vec(), "wrong number of values"),
        ("too many", format!("[{:?}]", [&row[..], &row[..1]].concat()).into_bytes(), "wrong number of values"),
        ("another name", b"{\"data\": [[1]]}".to_vec(), "there is no \"input_data\""),
        ("text", with(4, "\"1\""), "expected a number"),
        ("null", with(4, "null"), "expected a number"),
        ("NaN", with(4, "NaN"), "JSON has no NaN"),
        ("infinity", with(4, "1e39"), "does not fit a 32-bit float"),
        ("npy NaN", npy("(1, 64)", &nan), "value 9 is NaN"),
        ("npy infinity", npy("(64,)", &inf), "value 63 is -inf"),
        ("npy shape", npy("(8, 8)", &row), "expected shape [1, 64]"),
        ("npy cut", npy("(1, 64)", &row)[..200].to_vec(), "needs 256 bytes"),
        ("npy too large", npy("(4294967296, 4294967296)", &row), "more than"),
        (
            "npy type",
            npy("(64,)", &row).iter().map(|b| if *b == b'f' { b'c' } else { *b }).collect(),
            "not a .npy file",
        ),
        ("zip", b"PK\x03\x04 and no directory".to_vec(), "not a .npz file"),
        ("a proof", s.read("proof"), "it is a core proof; expected numbers"),
    ];
    for (name, bytes, word) in cases {
        s.write("bad", &bytes);
        let text = s.fails(2, &["prove", "model", "bad", "--key", "key", "-o", "p"], &[word]);
        assert!(text.contains("help:"), "{name}: {text}");
    }
    assert!(!s.path("p").exists());
    s.fails(2, &["prove", "model", ".", "-o", "p"], &["is a directory"]);
    s.fails(2, &["prove", "model", "nowhere", "-o", "p"], &["no such file"]);
    let huge = std::fs::File::create(s.path("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    s.fails(2, &["prove", "model", "huge", "-o", "p"], &["at most"]);
    s.write("bad", npy("(2, 63)", &row[..63].repeat(2)));
    s.fails(2, &["compile", &mlp(), "--calibrate", "bad", "-o", "m"], &["expected shape"]);
}

#[test]
fn errors_as_people_see_them() {
    let s = digits_proof("messages");
    s.write("short.json", "{\"input_data\": [[1, 2, 3]]}");
    s.write("cut", &s.read("proof")[..500]);
    let text = [
        s.fails(2, &["prove", "model", "short.json", "-o", "p"], &[]),
        s.fails(2, &["prove", "nowhere", "short.json", "-o", "p"], &[]),
        s.fails(2, &["verify", "model", "--key", "key"], &[]),
        s.fails(1, &["verify", "cut", "--key", "key"], &[]),
        s.fails(2, &["setup", "model", "-o", "."], &[]),
    ];
    insta::assert_snapshot!(text.join("\n"));
    let json = s.assay(&["prove", "model", "short.json", "-o", "p", "--json"]).stdout;
    insta::assert_snapshot!(json);
}

#[test]
fn a_remembered_registration_is_of_one_key() {
    // Damages the cache, so it has one of its own.
    let s = Sandbox::with_own_cache("remembered");
    let fixed = ["--weight-bits", "8", "--activation-bits", "8"];
    s.ok(&[&["compile", &mlp(), "--calibrate", &digits(), "-o", "model"], &fixed[..]].concat());
    s.ok(&["setup", "model", "-o", "key"]);
    s.write("input.json", format!("{{\"input_data\": [{:?}]}}", image(5)));
    s.ok(&["prove", "model", "input.json", "--key", "key", "-o", "proof"]);
    let verify = ["verify", "proof", "--key", "key"];
    s.ok(&verify);
    let entries = || -> Vec<std::path::PathBuf> {
        let names = std::fs::read_dir(s.cache()).unwrap().map(|e| e.unwrap().path());
        names.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("registration-")).collect()
    };
    let before = entries();
    assert!(!before.is_empty());
    // The last bytes of a key are its registration's: another argument is another key to the cache, and is checked.
    let mut key = s.read("key");
    let at = key.len() - 40;
    key[at] ^= 1;
    s.write("other", key);
    assert_ne!(s.assay(&["verify", "proof", "--key", "other"]).code, 0);
    assert_eq!(entries(), before);
    // A damaged entry is no entry.
    for path in &before {
        std::fs::write(path, b"ASSAYCCH").unwrap();
    }
    let ran = s.ok(&verify);
    assert!(ran.stderr.contains("damaged"), "{ran:#?}");
    s.ok(&verify);
}
