//! `assay split`, and a split model with setup, prove, settle, verify and `chain verify`.

use super::common::{Sandbox, digits_proof, image};
use std::path::PathBuf;

/// The digits network in two segments, with an input and proofs of it.
fn sandbox(name: &str) -> Sandbox {
    let s = digits_proof(name);
    let cut = s.json(&["split", "model", "--segments", "2", "-o", "cut"]);
    assert_eq!(cut["segments"].as_array().unwrap().len(), 2);
    s.ok(&["setup", "cut", "-o", "keys"]);
    s.ok(&["prove", "cut", "input.json", "--key", "keys", "-o", "proofs"]);
    s
}

/// The parts of a file of segments, behind its head of 15 bytes.
fn parts(file: &[u8]) -> Vec<Vec<u8>> {
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
fn file(like: &[u8], parts: &[&Vec<u8>]) -> Vec<u8> {
    let mut out = like[..11].to_vec();
    out.extend((parts.len() as u32).to_be_bytes());
    for part in parts {
        out.extend((part.len() as u32).to_be_bytes());
        out.extend(*part);
    }
    out
}

#[test]
fn segments_are_proven_and_verified_as_one() {
    let s = sandbox("segments");
    let whole = s.json(&["prove", "model", "input.json", "--key", "key", "-o", "whole"]);
    let v = s.json(&["verify", "proofs", "--key", "keys"]);
    assert_eq!((&v["outputs"], &v["valid"], &v["segments"]), (&whole["outputs"], &true.into(), &2.into()));
    assert_eq!(v["boundaries"].as_array().unwrap().len(), 1);
    let id = v["split_id"].as_str().unwrap();
    s.ok(&["verify", "proofs", "--key", "keys", "--model-id", id]);
    s.fails(1, &["verify", "proofs", "--key", "keys", "--model-id", &"0".repeat(64)], &["another split"]);
    // Keys follow from the model, so whoever has it makes those of the same id.
    s.ok(&["split", "model", "--segments", "2", "-o", "again"]);
    assert_eq!(s.json(&["setup", "again", "-o", "keys2"])["split_id"], id);
    // What inputs and outputs the proofs are about, as with other proofs.
    s.write("y.json", serde_json::json!({ "output_data": v["outputs"] }).to_string());
    s.ok(&["verify", "proofs", "--key", "keys", "--output", "y.json"]);
    s.write("wrong.json", serde_json::json!({ "output_data": [image(3)[..10]] }).to_string());
    s.fails(1, &["verify", "proofs", "--key", "keys", "--output", "wrong.json"], &["another output"]);
    s.fails(2, &["verify", "proofs", "--key", "keys", "--input", "input.json"], &["do not show the inputs"]);
    s.ok(&["prove", "cut", "input.json", "-o", "shown", "--key-out", "keys-in", "--public-inputs"]);
    s.ok(&["verify", "shown", "--key", "keys-in", "--input", "input.json"]);
    s.write("other.json", format!("{{\"input_data\": [{:?}]}}", image(6)));
    s.fails(1, &["verify", "shown", "--key", "keys-in", "--input", "other.json"], &["another input"]);
    for kept in ["proofs", "keys"] {
        assert!(s.json(&["show", kept])["segments"] == 2);
    }
    // A batch has keys of its own.
    s.write("two.json", format!("{{\"input_data\": [{:?}, {:?}]}}", image(5), image(6)));
    let two = s.json(&["prove", "cut", "two.json", "-o", "two", "--key-out", "keys-two"]);
    let v = s.json(&["verify", "two", "--key", "keys-two"]);
    assert_eq!((&v["batch"], &v["outputs"]), (&2.into(), &two["outputs"]));
    s.fails(2, &["prove", "cut", "two.json", "-o", "no", "--key", "keys"], &["--batch 2"]);
    s.fails(1, &["verify", "two", "--key", "keys"], &["segment 1"]);
}

#[test]
fn proofs_that_do_not_belong_together_are_not_valid() {
    let s = sandbox("segments-cheats");
    s.write("other.json", format!("{{\"input_data\": [{:?}]}}", image(6)));
    s.ok(&["prove", "cut", "other.json", "--key", "keys", "-o", "other"]);
    s.ok(&["prove", "cut", "input.json", "--key", "keys", "-o", "again"]);
    let head = s.read("proofs");
    let (a, b, c) = (parts(&head), parts(&s.read("other")), parts(&s.read("again")));
    let cheats: [(&str, Vec<&Vec<u8>>, &str); 7] = [
        ("another order", vec![&a[1], &a[0]], "segment 1"),
        ("one segment twice", vec![&a[0], &a[0]], "segment 2"),
        ("the last is missing", vec![&a[0]], "2 segments"),
        ("one more", vec![&a[0], &a[1], &a[1]], "2 segments"),
        ("none", vec![], "2 segments"),
        ("the last of another input", vec![&a[0], &b[1]], "another boundary"),
        ("the last of the same input, proven again", vec![&a[0], &c[1]], "another boundary"),
    ];
    for (what, proofs, says) in cheats {
        s.write("cheat", file(&head, &proofs));
        let text = s.fails(1, &["verify", "cheat", "--key", "keys"], &[]);
        let flat = text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(says), "{what}: {flat}");
    }
    // A byte of the last proof.
    let mut bytes = head.clone();
    *bytes.last_mut().unwrap() ^= 1;
    s.write("cheat", bytes);
    s.fails(1, &["verify", "cheat", "--key", "keys"], &[]);
    // Keys of the graph with other weights, and keys of two models.
    s.ok(&["compile", &super::common::mlp(), "--weight-bits", "7", "--activation-bits", "8", "-o", "model2"]);
    s.ok(&["split", "model2", "--segments", "2", "-o", "cut2"]);
    s.ok(&["setup", "cut2", "-o", "keys2"]);
    s.fails(1, &["verify", "proofs", "--key", "keys2"], &["segment 1"]);
    let (k, k2) = (s.read("keys"), s.read("keys2"));
    s.write("mixed", file(&k, &[&parts(&k)[1], &parts(&k)[0]]));
    s.fails(1, &["verify", "proofs", "--key", "mixed"], &["not those of one model"]);
    s.write("mixed", file(&k, &[&parts(&k)[0], &parts(&k2)[1]]));
    s.fails(1, &["verify", "proofs", "--key", "mixed"], &[]);
    // What cannot be checked.
    s.fails(2, &["verify", "proofs", "--key", "key"], &["expected the keys"]);
    s.fails(2, &["verify", "proof", "--key", "keys"], &["expected a verifying key"]);
    s.fails(2, &["prove", "cut", "input.json", "-o", "no", "--key", "keys2"], &["segment 1"]);
}

#[test]
fn segments_are_settled_together() {
    let s = sandbox("segments-settled");
    let whole = s.json(&["prove", "model", "input.json", "--key", "key", "-o", "whole"]);
    s.ok(&["settle", "cut", "input.json", "-o", "settled", "--key-out", "settlement"]);
    let v = s.json(&["verify", "settled", "--key", "settlement"]);
    assert_eq!((&v["outputs"], &v["hiding"]), (&whole["outputs"], &true.into()));
    let chain = s.json(&["chain", "verify", "settled", "--key", "settlement"]);
    assert_eq!((&chain["accepted"], &chain["split_id"]), (&true.into(), &v["split_id"]));
    assert!(chain["gas"].as_u64().unwrap() > 500_000, "{chain}");
    // The same cheats, judged natively and by the contract.
    s.write("other.json", format!("{{\"input_data\": [{:?}]}}", image(6)));
    s.ok(&["settle", "cut", "other.json", "-o", "other"]);
    s.ok(&["settle", "cut", "input.json", "-o", "elsewhere", "--chain-id", "7"]);
    let head = s.read("settled");
    let (a, b, c) = (parts(&head), parts(&s.read("other")), parts(&s.read("elsewhere")));
    for cheat in [
        vec![&a[1], &a[0]],
        vec![&a[0], &a[0]],
        vec![&a[0]],
        vec![&a[0], &a[1], &a[1]],
        vec![&a[0], &b[1]],
        vec![&b[0], &a[1]],
        vec![&a[0], &c[1]],
    ] {
        s.write("cheat", file(&head, &cheat));
        s.fails(1, &["verify", "cheat", "--key", "settlement"], &[]);
        s.fails(1, &["chain", "verify", "cheat", "--key", "settlement"], &["does not accept"]);
    }
    s.fails(2, &["chain", "verify", "proofs", "--key", "keys"], &["core proofs"]);
    s.fails(2, &["chain", "verify", "settled"], &["--key"]);
    s.fails(2, &["verify", "settled", "--key", "keys"], &["two"]);
}

#[test]
fn a_model_is_cut_where_it_is_told_to_be() {
    let s = digits_proof("split");
    let nodes = s.ok(&["show", "model", "--nodes"]).stdout;
    let cut = s.json(&["split", "model", "--segments", "2", "-o", "cut"]);
    let name = cut["segments"][0]["boundary"][0]["name"].as_str().unwrap().split_once(' ').unwrap().1.to_owned();
    assert!(nodes.contains(&name));
    let same = s.json(&["split", "model", "--at", &name, "-o", "same"]);
    assert_eq!(same["segments"], cut["segments"]);
    s.fails(2, &["split", "model", "--at", "nobody", "-o", "no"], &["no node is called 'nobody'"]);
    s.fails(2, &["split", "model", "--segments", "40", "-o", "no"], &["too few"]);
    s.fails(2, &["split", "model", "--segments", "1", "-o", "no"], &["2 to 64"]);
    assert!(!s.path("no").exists());
    std::fs::create_dir(s.path("full")).unwrap();
    s.write("full/mine", "x");
    s.fails(2, &["split", "model", "--segments", "2", "-o", "full"], &["something else"]);
    // A folder that was changed is noticed.
    let model = |k: usize| PathBuf::from("cut").join(format!("segment-{k}.assay"));
    std::fs::copy(s.path("model"), s.dir.join(model(2))).unwrap();
    s.fails(2, &["prove", "cut", "input.json", "-o", "no"], &["segment-2.assay", "which was cut off"]);
    let text = String::from_utf8(s.read("same/split.json")).unwrap();
    for (from, to) in
        [("assay split 1", "assay split 9"), ("segment-1.assay", "../model"), ("\"row_bits\": ", "\"row_bits\": 7")]
    {
        s.write("same/split.json", text.replace(from, to));
        s.fails(2, &["prove", "same", "input.json", "-o", "no"], &["is no split model"]);
    }
    s.write("same/split.json", "{");
    s.fails(2, &["setup", "same", "-o", "no"], &["is no split model"]);
    s.fails(2, &["prove", "cut", "input.json", "-o", "no", "--commit", "input=x"], &["--commit"]);
    s.fails(2, &["setup", "model", "-o", "no", "--batch", "2"], &["split models"]);
}

/// Whoever edits the manifest connects other tensors, under the name of the same model: the segments say themselves what they read.
#[test]
fn a_folder_whose_wires_were_altered_is_refused() {
    let s = digits_proof("segments-wires");
    s.ok(&["split", "model", "--segments", "3", "-o", "cut"]);
    let good: serde_json::Value = serde_json::from_slice(&s.read("cut/split.json")).unwrap();
    let (second, third) = ("/segments/1/wires", "/segments/2/wires");
    let from = |path: String, value: serde_json::Value| (path, value);
    for (path, value) in [
        from(format!("{second}/reads/0/1"), 7.into()),
        from(format!("{second}/reads"), serde_json::json!([])),
        from(format!("{third}/reads/0/0"), 0.into()),
        from(format!("{second}/boundary/0/node"), 999.into()),
        from(format!("{second}/boundary/0/bits"), 1.into()),
        from("/model_id".to_owned(), "".into()),
        from("/model_id".to_owned(), "/etc/passwd".into()),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(&path).unwrap() = value;
        s.write("cut/split.json", serde_json::to_vec(&bad).unwrap());
        s.fails(2, &["setup", "cut", "-o", "keys"], &["split.json"]);
        s.fails(2, &["prove", "cut", "input.json", "-o", "proofs"], &["split.json"]);
        assert!(!s.path("keys").exists() && !s.path("proofs").exists(), "{path}");
    }
}
