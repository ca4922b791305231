//! `assay stack`, and `--commit` of setup, prove, settle and verify.

use super::common::{Sandbox, digits, digits_proof, image, mlp, npy};

const FILE_MODE: u32 = 0o600;

#[cfg(unix)]
fn mode(s: &Sandbox, file: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(s.path(file)).unwrap().permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode(_: &Sandbox, _: &str) -> u32 {
    FILE_MODE
}

/// A model whose outputs fit a stack, and one of the images of [`image`].
fn sandbox(name: &str) -> Sandbox {
    let s = digits_proof(name);
    s.write("x.npy", npy("(1, 64)", &image(1)));
    s.ok(&["stack", "commit", "x.npy", "--model", "model", "-o", "x.stack"]);
    s
}

fn id(s: &Sandbox, file: &str) -> String {
    s.json(&["stack", "show", file])["stack_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_input_is_committed_once_and_proven_about_twice() {
    let s = sandbox("stacks");
    assert_eq!(mode(&s, "x.stack"), FILE_MODE);
    let shown = s.json(&["show", "x.stack"]);
    assert_eq!(
        (shown["blinded"].as_bool(), shown["values"].as_u64(), shown["rows"].as_u64()),
        (Some(true), Some(64), Some(1))
    );
    let id = id(&s, "x.stack");
    let v = s.json(&["stack", "verify", "x.stack", "--id", &id]);
    assert_eq!(v["valid"], true);
    s.fails(1, &["stack", "verify", "x.stack", "--id", &"0".repeat(64)], &["not 000"]);
    // The same values again are another stack, unless they are public.
    s.ok(&["stack", "commit", "x.npy", "--model", "model", "-o", "again.stack"]);
    assert_ne!(self::id(&s, "again.stack"), id);
    let public = |file: &str| {
        s.ok(&["stack", "commit", "x.npy", "--model", "model", "-o", file, "--public"]);
        self::id(&s, file)
    };
    assert_eq!(public("p1"), public("p2"));

    // Core: a key made for the stack, then a proof under it; and one made on the way.
    let commit = ["--commit", "input=x.stack"];
    s.ok(&[&["setup", "model", "-o", "key-x"][..], &commit].concat());
    s.ok(&[&["prove", "model", "-o", "a", "--key", "key-x"][..], &commit].concat());
    s.ok(&[&["prove", "model", "-o", "b", "--key-out", "key-b"][..], &commit].concat());
    let plain = s.json(&["prove", "model", "x.npy", "-o", "plain"]);
    for (proof, key) in [("a", "key-x"), ("b", "key-b")] {
        let v = s.json(&[&["verify", proof, "--key", key][..], &commit].concat());
        assert_eq!((&v["stacks"][0]["name"], &v["stacks"][0]["id"]), (&"input".into(), &id.as_str().into()));
        assert_eq!(v["outputs"], plain["outputs"]);
        assert_eq!(v["inputs"], serde_json::Value::Null);
        s.fails(1, &["verify", proof, "--key", key, "--commit", "input=again.stack"], &["about another stack"]);
        s.fails(2, &["verify", proof, "--key", key, "--commit", "weights=x.stack"], &["about no stack 'weights'"]);
        s.fails(2, &["verify", proof, "--key", key, "--input", "x.npy"], &["in named stacks"]);
    }
    // The key is about another file of the same schema just as well: which stack it is comes with the proof.
    s.ok(&["prove", "model", "-o", "c", "--key", "key-x", "--commit", "input=again.stack"]);
    s.fails(1, &[&["verify", "c", "--key", "key-x"][..], &commit].concat(), &["about another stack"]);
    s.fails(2, &["prove", "model", "x.npy", "-o", "d", "--key", "key-x"], &["--commit input=FILE"]);
    s.fails(2, &[&["prove", "model", "x.npy", "-o", "d"][..], &commit].concat(), &["is not needed"]);
    s.fails(2, &[&["prove", "model", "-o", "d", "--key", "key"][..], &commit].concat(), &["about no stack 'input'"]);
    let ran = s.assay(&["prove", "model", "-o", "d"]);
    assert!(ran.code == 2 && ran.stderr.contains("<INPUT>"), "{ran:#?}");
    assert!(!s.path("d").exists());
}

#[test]
fn a_committed_input_is_settled() {
    let s = sandbox("settled-stacks");
    let commit = ["--commit", "input=x.stack"];
    s.ok(&["stack", "commit", "model", "-o", "w.stack", "--public"]);
    let settle = ["settle", "model", "-o", "sp", "--key-out", "sk", "--commit", "weights=w.stack"];
    // Stacks of one proof have rows of one length.
    s.fails(2, &[&settle[..], &commit].concat(), &["one row length"]);
    s.ok(&["stack", "commit", "x.npy", "--model", "model", "-o", "x.stack", "--row-bits", &row_bits(&s, "w.stack")]);
    s.ok(&[&settle[..], &commit].concat());
    let v = s.json(&[&["verify", "sp", "--key", "sk"][..], &commit, &["--commit", "weights=w.stack"]].concat());
    let ids = [id(&s, "x.stack"), id(&s, "w.stack")];
    let shown: Vec<&str> = v["stacks"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| shown.contains(&id.as_str())), "{v}");
    s.ok(&["chain", "verify", "sp", "--key", "sk"]);
    let text = s.ok(&["show", "sk"]).stdout;
    assert!(text.contains("'input', given") && text.contains("'weights', pinned"), "{text}");
}

/// Two proofs linked by an id: what one computes, committed, is what the other reads.
#[test]
fn an_output_is_committed_and_read_by_another_proof() {
    let s = Sandbox::new("linked-stacks");
    let (network, data) = (mlp(), digits());
    let compile = ["compile", &network, "--calibrate", &data, "--weight-bits", "8", "--activation-bits", "8"];
    s.ok(&[&compile[..], &["--private-outputs", "--accept-accuracy", "-o", "model"]].concat());
    s.write("x.npy", npy("(2, 64)", &[image(1), image(2)].concat()));
    let commit = ["--commit", "output=y.stack"];
    s.ok(&[&["prove", "model", "x.npy", "-o", "core", "--key-out", "k", "--batch", "2"][..], &commit].concat());
    assert_eq!(mode(&s, "y.stack"), FILE_MODE);
    let first = id(&s, "y.stack");
    let shown = s.json(&["stack", "show", "y.stack"]);
    assert_eq!((shown["blinded"].as_bool(), shown["values"].as_u64()), (Some(true), Some(20)), "{shown}");
    s.ok(&["stack", "verify", "y.stack", "--id", &first]);
    let v = s.json(&[&["verify", "core", "--key", "k"][..], &commit].concat());
    assert_eq!((&v["stacks"][0]["name"], &v["stacks"][0]["id"]), (&"output".into(), &first.as_str().into()));
    let shown = v["outputs"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(shown.iter().all(|one| one.as_array().is_some_and(Vec::is_empty)), "{v}");

    // Settled: another stack of the same values, since factors are drawn anew. What was there is not overwritten by a failure.
    let settle = ["settle", "model", "x.npy", "--batch", "2", "-o", "sp", "--key-out", "sk"];
    s.ok(&[&settle[..], &["--commit", "output=z.stack"]].concat());
    let second = id(&s, "z.stack");
    assert_ne!(first, second);
    let v = s.json(&["verify", "sp", "--key", "sk", "--commit", "output=z.stack"]);
    assert_eq!(v["stacks"][0]["id"], second.as_str());
    s.fails(1, &["verify", "sp", "--key", "sk", "--commit", "output=y.stack"], &["about another stack"]);
    let shown = s.json(&["show", "sp"]);
    // The id, and the inputs are not shown by default.
    assert_eq!(shown["public_bytes"], 32, "{shown}");
    let given = &s.json(&["show", "sk"])["stacks"][0];
    assert_eq!((&given["name"], &given["pinned"]), (&"output".into(), &false.into()));

    // Ten scores are no image, and the key is for two of them.
    s.fails(2, &["prove", "model", "-o", "d", "--commit", "input=y.stack"], &["expected shape"]);
    s.fails(2, &[&["prove", "model", "x.npy", "-o", "d", "--key", "k", "--batch", "1"][..], &commit].concat(), &[]);
    assert!(!s.path("d").exists());
    assert_eq!(id(&s, "y.stack"), first);
}

fn row_bits(s: &Sandbox, file: &str) -> String {
    s.json(&["stack", "show", file])["row_bits"].to_string()
}

#[test]
fn bad_stacks() {
    let s = sandbox("bad-stacks");
    let good = s.read("x.stack");
    let edits: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("cut to its first bytes", good[..9].to_vec()),
        ("cut in the middle", good[..good.len() / 2].to_vec()),
        ("cut at the end", good[..good.len() - 1].to_vec()),
        ("a byte too long", [&good[..], &[0]].concat()),
        ("a bit flipped", flipped(&good, good.len() / 2)),
        ("another version", flipped(&good, 9)),
        ("another length", flipped(&good, 12)),
    ];
    for (what, bytes) in edits {
        s.write("bad.stack", bytes);
        for args in [&["stack", "show", "bad.stack"][..], &["stack", "verify", "bad.stack"], &["show", "bad.stack"]] {
            let ran = s.assay(args);
            assert_eq!((ran.code, ran.stderr.matches('×').count()), (2, 1), "{what}: {ran:#?}");
        }
        s.fails(2, &["prove", "model", "-o", "d", "--commit", "input=bad.stack"], &[]);
    }
    // A file that says it is a stack and is larger than any.
    let huge = std::fs::File::create(s.path("huge")).unwrap();
    std::io::Write::write_all(&mut &huge, b"ASSAYSTK").unwrap();
    huge.set_len(1 << 40).unwrap();
    s.fails(2, &["stack", "show", "huge"], &["at most"]);
    s.fails(2, &["stack", "show", "model"], &["is a compiled model; expected a stack", "assay stack commit"]);
    s.fails(2, &["stack", "commit", "x.npy", "-o", "y"], &["--model MODEL"]);
    s.fails(2, &["stack", "commit", "model", "--model", "model", "-o", "y"], &["names another"]);
    s.fails(2, &["stack", "commit", &digits(), "--model", "model", "-o", "y", "--row-bits", "9"], &["2^9"]);
    let ran = s.assay(&["prove", "model", "-o", "d", "--commit", "input"]);
    assert!(ran.code == 2 && ran.stderr.contains("input=FILE"), "{ran:#?}");
    s.fails(2, &["prove", "model", "-o", "d", "--commit", "input=x.stack", "--commit", "input=x.stack"], &["twice"]);
    assert!(!s.path("y").exists() && !s.path("d").exists());
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[at] ^= 4;
    out
}
