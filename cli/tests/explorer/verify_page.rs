//! The page that checks settled proofs: from a disk, without a network, with the verdicts of the native check.

use super::{
    browser::Browser,
    common::{Sandbox, mlp, npy},
    program::Explorer,
    stub::Stub,
    world::lively,
};
use assay_verifier::{
    core::hex,
    settle::{
        argument::SettledArgument,
        check::{check, public_from_bytes},
        descriptor::Descriptor,
        key::{SettledProof, SettlementError, SettlementKey},
    },
};
use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/verify/verify.html");
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/test/vectors");

/// Turns hexadecimal digits into bytes, in the page.
const UNHEX: &str = "const bytes = (h) => Uint8Array.from(h.match(/../g) ?? [], (d) => Number.parseInt(d, 16));";

pub(super) fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.trim_start_matches("0x").as_bytes();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// A settled proof of two inferences whose inputs are shown and have scales of their own: `proof` and `key`, and what
/// `assay verify` says.
fn two_inferences(name: &str) -> (Sandbox, Value) {
    let s = Sandbox::new(name);
    let pixel = |row: usize, i: usize| ((i * 7 + row * 13) % 17) as f32 * if i.is_multiple_of(3) { 40.0 } else { 0.06 };
    let rows: Vec<f32> = (0..40).flat_map(|row| (0..64).map(move |i| pixel(row, i))).collect();
    s.write("samples.npy", npy("(40, 64)", &rows));
    let fixed = ["--weight-bits=8", "--activation-bits=8", "--accept-accuracy"];
    s.ok(&[&["compile", &mlp(), "--calibrate", "samples.npy", "-o", "model"], &fixed[..]].concat());
    let context =
        ["--chain-id=7", "--consumer", &"c0".repeat(20), "--job", &"0b".repeat(32), "--recipient", &"4e".repeat(20)];
    let settle = ["settle", "model", "samples.npy", "--batch=2", "--public-inputs", "-o", "proof", "--key-out", "key"];
    s.ok(&[&settle[..], &context[..]].concat());
    let said = s.ok(&["verify", "proof", "--key", "key", "--json"]).last_json();
    (s, said)
}

#[test]
fn the_page_checks_a_proof_from_a_disk() {
    let Some(mut b) = Browser::start("the_page_checks_a_proof_from_a_disk") else { return };
    let (s, said) = two_inferences("verify-page");
    let shown = s.ok(&["show", "key", "--json"]).last_json();
    assert!(shown["inputs"][0]["features"].is_object(), "{shown}");
    b.goto(&format!("file://{PAGE}"));
    b.wait("#result", "Give a settled proof");
    b.files("#proof", &[&s.path("proof")]);
    b.files("#key", &[&s.path("key")]);
    b.wait("#result h2", "Valid, but anybody could have made it");
    // Development powers are red, and before everything else that is said.
    assert_eq!(b.attribute("#result > *", "id")[1].as_deref(), Some("development"));
    let colour = b.evaluate("getComputedStyle(document.getElementById('development')).color");
    assert_eq!(colour, json!("rgb(156, 42, 31)"));
    let text = b.text("#result").join("\n");
    let id = said["settlement_id"].as_str().unwrap();
    for words in
        [id, &"c0".repeat(20), &"0b".repeat(32), &"4e".repeat(20), "Inference 2", "weights hidden", "recomputes"]
    {
        assert!(text.contains(words), "no '{words}' in {text}");
    }
    b.shots("verify-page");
    b.resize(1280, 900);

    // The very numbers that the command prints.
    let (proof, key) = (s.read("proof"), s.read("key"));
    let script = format!(
        "(async () => {{ {UNHEX} const r = await assay.verify(bytes('{}'), bytes('{}'));
         return [r.verdict, r.tensors.map((t) => t.inferences), r.batch]; }})()",
        hex(&proof),
        hex(&key)
    );
    let found = b.evaluate(&script);
    assert_eq!((&found[0], &found[2]), (&json!("valid"), &said["batch"]));
    let floats = |v: &Value| -> Vec<Vec<f32>> {
        let list = |v: &Value| v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        v.as_array().unwrap().iter().map(list).collect()
    };
    assert_eq!(floats(&found[1][0]), floats(&said["inputs"]));
    assert_eq!(floats(&found[1][1]), floats(&said["outputs"]));

    // By drag and drop: an altered proof, then the honest one in its place, then files that are something else.
    let mut altered = proof.clone();
    *altered.last_mut().unwrap() ^= 1;
    b.drop_files(&[("altered.proof", &altered)]);
    b.wait("#result h2", "NOT valid");
    b.wait("#proof-name", "altered.proof");
    b.drop_files(&[("key again", &key), ("proof again", &proof)]);
    b.wait("#result h2", "Valid, but anybody could have made it");
    b.drop_files(&[("<b>\u{202e}x", b"{}"), ("model", &s.read("model"))]);
    b.wait("#notes", "is a compiled model");
    assert!(b.text("#notes").join("").contains("<b>\u{fffd}x"));
    let mut other = key.clone();
    other[9] = 99;
    b.drop_files(&[("newer", &other)]);
    b.wait("#result h2", "Could not be checked");
    b.wait("#result", "format version 99");

    // Nothing was complained about, and nothing asked of any host.
    b.clean("");
}

/// What `assay verify` says of these bytes, under a key that was found good.
fn native(key: &SettlementKey, proof: &[u8]) -> &'static str {
    match SettledProof::from_bytes(proof) {
        Err(SettlementError::Version { .. }) => "unchecked",
        Err(_) => "invalid",
        Ok(proof) => key.verify(&proof).map_or("invalid", |_| "valid"),
    }
}

/// The next number of a fixed sequence (Knuth's multiplier).
pub(super) fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// One of the things that can happen to a file.
fn alter(honest: &[u8], state: &mut u64) -> Vec<u8> {
    let mut out = honest.to_vec();
    let at = next(state) % out.len();
    match next(state) % 6 {
        0 => out[at] ^= 1 << (next(state) % 8),
        1 => out[at..].iter_mut().take(32).for_each(|b| *b = 0),
        2 => out.truncate(at),
        3 => out.push(at as u8),
        4 => drop(out.remove(at)),
        _ => {
            let other = next(state) % out.len();
            out.swap(at, other);
        }
    }
    out
}

#[test]
fn verdicts_are_those_of_the_native_check_on_altered_proofs() {
    let Some(mut b) = Browser::start("verdicts_are_those_of_the_native_check_on_altered_proofs") else { return };
    let (s, _) = two_inferences("verify-altered");
    let (proof, key) = (s.read("proof"), s.read("key"));
    let native_key = SettlementKey::from_bytes(&key).unwrap();
    b.goto(&format!("file://{PAGE}"));
    let mut state = 1;
    let (mut all, mut invalid) = (0, 0);
    while all < 200 {
        let altered: Vec<Vec<u8>> = std::iter::repeat_with(|| alter(&proof, &mut state)).take(20).collect();
        let list = altered.iter().map(|a| format!("'{}'", hex(a))).collect::<Vec<_>>().join(",");
        let script = format!(
            "(async () => {{ {UNHEX} const key = bytes('{}'); const out = [];
             for (const p of [{list}]) out.push((await assay.verify(bytes(p), key)).verdict); return out; }})()",
            hex(&key)
        );
        let found: Vec<String> = serde_json::from_value(b.evaluate(&script)).unwrap();
        for (a, found) in altered.iter().zip(&found) {
            assert_eq!(found, native(&native_key, a), "{}", hex(a));
            assert_eq!(found == "valid", *a == proof);
            invalid += usize::from(found == "invalid");
        }
        all += altered.len();
    }
    assert!(invalid > 150, "{invalid} of {all}");

    // Of a key everything counts but the registration, which only `assay verify` checks; it is at the end.
    let registration = 1 + 9 * 64 + 4 + native_key.registration.to_bytes().len();
    let keys: Vec<String> = (0..40)
        .map(|_| {
            let mut key = key.clone();
            let at = next(&mut state) % (key.len() - registration);
            key[at] ^= 1 << (next(&mut state) % 8);
            format!("'{}'", hex(&key))
        })
        .collect();
    let script = format!(
        "(async () => {{ {UNHEX} const proof = bytes('{}'); const out = [];
         for (const k of [{}]) out.push((await assay.verify(proof, bytes(k))).verdict); return out; }})()",
        hex(&proof),
        keys.join(",")
    );
    let found: Vec<String> = serde_json::from_value(b.evaluate(&script)).unwrap();
    assert!(found.len() == 40 && found.iter().all(|v| v == "invalid" || v == "unchecked"), "{found:?}");
}

#[test]
fn the_module_loads_without_a_bundler() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/verify/assay-verify.js");
    let script = format!(
        "const {{ contractAccepts, kind }} = await import('file://{module}');
         const v = JSON.parse(require('fs').readFileSync('{VECTORS}/toy.json'));
         const words = [v.key, v.publicValues, v.context, v.proof].map((t) => Uint8Array.from(Buffer.from(t.slice(2), 'hex')));
         const yes = await contractAccepts(...words);
         words[3][100] ^= 1;
         console.log(yes, await contractAccepts(...words), kind(new Uint8Array(3)));"
    );
    let out = match Command::new("node").args(["-e", &format!("(async () => {{ {script} }})()")]).output() {
        Ok(out) => out,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: the_module_loads_without_a_bundler needs Node.js ({e})\n");
            assert!(std::env::var_os("ASSAY_REQUIRE_BROWSER").is_none(), "{e}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(said.trim(), "true false no file of Assay's", "{}", String::from_utf8_lossy(&out.stderr));
}

fn vectors() -> Vec<PathBuf> {
    let of = |folder: &Path| -> Vec<PathBuf> {
        let paths = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        paths.filter(|p| p.extension().is_some_and(|e| e == "json")).collect()
    };
    let folders = ["refused", "stacks", "networks"].map(|f| of(&Path::new(VECTORS).join(f)));
    [of(Path::new(VECTORS)), folders.concat()].concat()
}

#[test]
fn verdicts_are_those_of_the_native_check_on_the_golden_set() {
    let Some(mut b) = Browser::start("verdicts_are_those_of_the_native_check_on_the_golden_set") else { return };
    b.goto(&format!("file://{PAGE}"));
    let (mut accepted, mut refused) = (0, 0);
    for path in vectors() {
        let v: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let part = |name: &str| from_hex(v[name].as_str().unwrap());
        let (key, public, context, proof) = (part("key"), part("publicValues"), part("context"), part("proof"));
        let descriptor = Descriptor::from_bytes(&key).unwrap();
        let native = public_from_bytes(&descriptor, &public).is_some_and(|(ids, public)| {
            SettledArgument::from_bytes(&descriptor, &proof)
                .is_ok_and(|a| check(&descriptor, &public, &context.clone().try_into().unwrap(), &a) == Ok(ids))
        });
        let script = format!(
            "(async () => {{ {UNHEX}
             return assay.contractAccepts(bytes('{}'), bytes('{}'), bytes('{}'), bytes('{}')); }})()",
            hex(&key),
            hex(&public),
            hex(&context),
            hex(&proof)
        );
        assert_eq!(b.evaluate(&script), json!(native), "{}", path.display());
        *(if native { &mut accepted } else { &mut refused }) += 1;
    }
    assert!(accepted >= 20 && refused >= 7, "{accepted} accepted, {refused} refused");
}

#[test]
fn the_explorer_has_the_page() {
    let Some(mut b) = Browser::start("the_explorer_has_the_page") else { return };
    let (s, _) = two_inferences("verify-explorer");
    let stub = Stub::start(lively());
    let e = Explorer::start("explorer-verify", &stub.url);
    b.goto(&e.url);
    b.wait("#verify-here", "Verify here");
    b.click("#verify-here");
    b.wait("#result", "Give a settled proof");
    b.files("#proof", &[&s.path("proof")]);
    b.files("#key", &[&s.path("key")]);
    b.wait("#result h2", "Valid, but anybody could have made it");
    b.clean(&e.url);
}
