//! `assay split`, and a split model with setup, prove, settle, verify and `chain verify`.

use super::common::{KEYS, Sandbox, digits, digits_proof, image, joined, mlp, npy, parts};
use assay_contracts::anvil::Anvil;
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

/// The same of a network whose outputs fit a stack.
fn narrow(name: &str) -> Sandbox {
    let s = Sandbox::new(name);
    let fixed = ["--weight-bits", "8", "--activation-bits", "8", "--private-outputs", "--accept-accuracy"];
    s.ok(&[&["compile", &mlp(), "--calibrate", &digits(), "-o", "model"], &fixed[..]].concat());
    s.ok(&["split", "model", "--segments", "2", "-o", "cut"]);
    s.ok(&["setup", "cut", "-o", "keys"]);
    s
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
        s.write("cheat", joined(&head, &proofs));
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
    s.write("mixed", joined(&k, &[&parts(&k)[1], &parts(&k)[0]]));
    s.fails(1, &["verify", "proofs", "--key", "mixed"], &["not those of one model"]);
    s.write("mixed", joined(&k, &[&parts(&k)[0], &parts(&k2)[1]]));
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
    for (cheat, said) in [
        (vec![&a[1], &a[0]], "another settlement key"),
        (vec![&a[0], &a[0]], "another settlement key"),
        (vec![&a[0]], "as many proofs"),
        (vec![&a[0], &a[1], &a[1]], "as many proofs"),
        (vec![&a[0], &b[1]], "the contract does not accept"),
        (vec![&b[0], &a[1]], "the contract does not accept"),
        (vec![&a[0], &c[1]], "bound to another chain"),
    ] {
        s.write("cheat", joined(&head, &cheat));
        s.fails(1, &["verify", "cheat", "--key", "settlement"], &[]);
        s.fails(1, &["chain", "verify", "cheat", "--key", "settlement"], &[said]);
    }
    s.fails(2, &["chain", "verify", "proofs", "--key", "keys"], &["core proofs"]);
    s.fails(2, &["chain", "verify", "settled"], &["--key"]);
    s.fails(2, &["verify", "settled", "--key", "keys"], &["two"]);
}

/// Every verb that takes a model takes the folder of a split one.
#[test]
fn a_folder_is_shown_inspected_estimated_and_run() {
    let s = sandbox("segments-verbs");
    let shown = s.json(&["show", "cut"]);
    let ids = |v: &serde_json::Value| {
        v["segments"].as_array().unwrap().iter().map(|p| p["model_id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((&shown["kind"], ids(&shown).len()), (&"split".into(), 2));
    assert_eq!(shown["segments"][1]["reads"][0], serde_json::json!({ "boundary": 1, "tensor": 0 }));
    assert_eq!(shown["segments"][0]["boundary"].as_array().unwrap().len(), 1);
    assert!(shown["segments"][1]["boundary"].as_array().unwrap().is_empty());
    for k in 1..=2 {
        let file = s.json(&["show", &format!("cut/segment-{k}.assay")]);
        assert_eq!(file["model_id"], shown["segments"][k - 1]["model_id"]);
    }
    s.ok(&["show", "cut", "--nodes"]);

    let seen = s.json(&["inspect", "cut"]);
    assert_eq!((&seen["supported"], ids(&seen)), (&true.into(), ids(&shown)));
    assert_eq!(seen["parameters"], s.json(&["show", "model"])["parameters"]);
    s.fails(2, &["inspect", "cut", "--train"], &["split model"]);
    s.fails(2, &["inspect", "cut", "--drop-softmax"], &["compiled already"]);

    let e = s.json(&["estimate", "cut"]);
    let sum = |key: &str| e["segments"].as_array().unwrap().iter().map(|p| p[key].as_u64().unwrap()).sum::<u64>();
    let settled = |key: &str| {
        e["segments"].as_array().unwrap().iter().map(|p| p["settlement"][key].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(e["proof_bytes"].as_u64().unwrap(), sum("proof_bytes"));
    assert_eq!(e["settlement"]["gas"].as_u64().unwrap(), settled("gas"));
    assert!(e["memory_bytes"].as_u64().unwrap() < sum("memory_bytes"));
    // The sizes are those of the proofs that come.
    let proven = s.json(&["run", "cut", "input.json", "-o", "ran", "--key-out", "ran-keys"]);
    let whole = s.json(&["run", "model", "input.json"]);
    assert_eq!((&proven["outputs"], &proven["valid"]), (&whole["outputs"], &true.into()));
    let single: Vec<usize> = parts(&s.read("ran")).iter().map(Vec::len).collect();
    let said: Vec<usize> =
        e["segments"].as_array().unwrap().iter().map(|p| p["proof_bytes"].as_u64().unwrap() as usize).collect();
    assert_eq!(said, single, "bytes of the proofs of each segment");
    assert_eq!(s.json(&["verify", "ran", "--key", "ran-keys"])["split_id"], proven["split_id"]);
    s.fails(2, &["run", "cut", "input.json", "--fresh"], &["--fresh"]);
    let settled = s.json(&["run", "cut", "input.json", "--settle"]);
    assert_eq!((&settled["outputs"], &settled["hiding"]), (&whole["outputs"], &true.into()));
    let (gas, forecast) = (settled["gas"].as_u64().unwrap(), e["settlement"]["gas"].as_u64().unwrap());
    assert!(gas < forecast && 10 * gas > 9 * forecast, "{gas} of at most {forecast}");
}

/// A folder that held more segments holds the new ones alone.
#[test]
fn a_shorter_split_leaves_nothing_of_a_longer_one() {
    let s = sandbox("segments-again");
    s.ok(&["split", "model", "--segments", "3", "-o", "again"]);
    s.write("again/notes.txt", b"mine");
    s.ok(&["split", "model", "--segments", "2", "-o", "again"]);
    assert!(!s.dir.join("again/segment-3.assay").exists() && s.dir.join("again/notes.txt").exists());
    assert_eq!(s.read("again/split.json"), s.read("cut/split.json"));
}

/// A folder of proofs keeps the key that they belong to.
#[test]
fn a_farm_does_not_replace_the_key_of_other_proofs() {
    let s = sandbox("farm-key");
    s.ok(&["farm", "submit", "model", "input.json", "--key", "key", "-o", "farmed"]);
    s.ok(&["farm", "submit", "model", "input.json", "--key", "key", "-o", "farmed"]);
    let kept = s.read("farmed/key");
    for args in [vec!["cut", "input.json", "--key", "keys"], vec!["model", "input.json", "--settle"]] {
        let all = [&["farm", "submit"][..], &args, &["-o", "farmed"]].concat();
        s.fails(2, &all, &["farmed/key", "the key of another model, or of other proofs", "--output"]);
        assert_eq!(s.read("farmed/key"), kept);
    }
    s.write("farmed/key", b"mine");
    let all = ["farm", "submit", "model", "input.json", "--key", "key", "-o", "farmed"];
    s.fails(2, &all, &["something that is no key"]);
    assert_eq!(s.read("farmed/key"), b"mine");
}

/// Stacks of the whole's inputs and outputs: the ids are those of the files, and so those that a model in one piece shows.
#[test]
fn inputs_and_outputs_of_a_split_model_are_committed() {
    let s = narrow("segments-stacks");
    for (name, seed) in [("x", 5), ("z", 6)] {
        s.write(&format!("{name}.npy"), npy("(1, 64)", &image(seed)));
        let file = format!("{name}.stack");
        s.ok(&["stack", "commit", &format!("{name}.npy"), "--model", "model", "-o", &file]);
    }
    let id = |file: &str| s.json(&["stack", "show", file])["stack_id"].clone();
    let commit = ["--commit", "input=x.stack"];
    s.ok(&[&["prove", "model", "-o", "whole", "--key-out", "key-x"][..], &commit].concat());
    let whole = s.json(&["verify", "whole", "--key", "key-x"]);
    let both = [&commit[..], &["--commit", "output=y.stack"]].concat();
    s.ok(&[&["setup", "cut", "-o", "keys-x"][..], &both].concat());
    let made = s.json(&[&["prove", "cut", "-o", "a", "--key", "keys-x"][..], &both].concat());
    assert_eq!((&made["stacks"][1]["name"], &made["stacks"][1]["id"]), (&"output".into(), &id("y.stack")));
    // A key that is made on the way is the same.
    s.ok(&[&["prove", "cut", "-o", "b", "--key-out", "keys-b"][..], &commit, &["--commit", "output=b.stack"]].concat());
    assert_eq!(s.read("keys-x"), s.read("keys-b"));
    let v = s.json(&[&["verify", "a", "--key", "keys-x"][..], &both].concat());
    assert_eq!(v["stacks"][0], whole["stacks"][0]);
    assert_eq!((&v["stacks"][0]["id"], &v["stacks"][1]["id"]), (&id("x.stack"), &id("y.stack")));
    assert_eq!((&v["outputs"], &v["shown"]["outputs"]), (&serde_json::json!([]), &serde_json::json!([])));
    // What the stack of outputs holds is what the model computes.
    s.ok(&["stack", "verify", "y.stack"]);
    assert_eq!(made["outputs"], whole["outputs"]);
    // Another stack, also of the same outputs, is not what the proof is about.
    for other in ["input=z.stack", "output=b.stack"] {
        s.fails(1, &["verify", "a", "--key", "keys-x", "--commit", other], &["about another stack"]);
    }
    s.fails(2, &["verify", "a", "--key", "keys-x", "--commit", "weights=x.stack"], &["about no stack 'weights'"]);
    s.fails(2, &["verify", "a", "--key", "keys-x", "--input", "x.npy"], &["in named stacks"]);
    // The key is for any stack of that form; a proof of another file's is about that one.
    s.ok(&["prove", "cut", "-o", "c", "--key", "keys-x", "--commit", "input=z.stack", "--commit", "output=c.stack"]);
    s.fails(1, &[&["verify", "c", "--key", "keys-x"][..], &both].concat(), &["about another stack"]);
    // The first segment about one input, the last about another.
    s.write("cheat", joined(&s.read("a"), &[&parts(&s.read("a"))[0], &parts(&s.read("c"))[1]]));
    s.fails(1, &["verify", "cheat", "--key", "keys-x"], &["another boundary"]);
    // Without what the key names, and with what it does not.
    s.fails(2, &["prove", "cut", "x.npy", "-o", "no", "--key", "keys-x"], &["--commit input=FILE"]);
    s.fails(2, &[&["prove", "cut", "-o", "no", "--key", "keys-x"][..], &commit].concat(), &["--commit output=FILE"]);
    s.fails(2, &[&["prove", "cut", "-o", "no", "--key", "keys"][..], &commit].concat(), &["about no stack 'input'"]);
    s.fails(2, &[&["prove", "cut", "x.npy", "-o", "no"][..], &commit].concat(), &["is not needed"]);
    s.fails(2, &[&["prove", "cut", "-o", "no", "--row-bits", "12"][..], &commit].concat(), &["--row-bits is 12"]);
    s.fails(2, &["farm", "submit", "cut", "x.npy", "--key", "keys-x", "-o", "farm"], &["which no job has"]);
    assert!(!s.path("no").exists());
}

#[test]
fn committed_inputs_of_a_split_model_are_settled() {
    let s = narrow("segments-settled-stacks");
    s.write("x.npy", npy("(1, 64)", &image(5)));
    for file in ["x.stack", "z.stack"] {
        s.ok(&["stack", "commit", "x.npy", "--model", "model", "-o", file, "--row-bits", "10"]);
    }
    let fixed = ["settle", "cut", "-o", "settled", "--key-out", "settlement"];
    let both = ["--commit", "input=x.stack", "--commit", "output=y.stack"];
    let made = s.json(&[&fixed[..], &both].concat());
    let v = s.json(&[&["verify", "settled", "--key", "settlement"][..], &both].concat());
    assert_eq!((&v["stacks"], v["stacks"].as_array().map(Vec::len)), (&made["stacks"], Some(2)));
    assert_eq!(v["stacks"][0]["id"], s.json(&["stack", "show", "x.stack"])["stack_id"]);
    assert_eq!(v["outputs"], serde_json::json!([]));
    s.fails(1, &["verify", "settled", "--key", "settlement", "--commit", "input=z.stack"], &["about another stack"]);
    // The contract compares the boundaries; the ids of these stacks are public values behind theirs.
    assert_eq!(s.json(&["chain", "verify", "settled", "--key", "settlement"])["accepted"], true);
    s.ok(&["settle", "cut", "-o", "other", "--commit", "input=z.stack", "--commit", "output=w.stack"]);
    s.write("cheat", joined(&s.read("settled"), &[&parts(&s.read("settled"))[0], &parts(&s.read("other"))[1]]));
    s.fails(1, &["verify", "cheat", "--key", "settlement"], &["another boundary"]);
    s.fails(1, &["chain", "verify", "cheat", "--key", "settlement"], &["does not accept"]);
    // Outputs that are too wide are refused before anything is proven.
    s.ok(&["compile", &mlp(), "--calibrate", &digits(), "--weight-bits", "8", "--activation-bits", "8", "-o", "wide"]);
    s.ok(&["split", "wide", "--segments", "2", "-o", "cut2"]);
    let args = ["settle", "cut2", "x.npy", "-o", "no", "--commit", "output=no.stack"];
    s.fails(2, &args, &["× output 'logits'", "at most 20 bits", "--private-outputs"]);
}

#[test]
fn segments_are_settled_on_a_node() {
    let mut s = sandbox("segments-node");
    s.key = Some(KEYS[0]);
    let node = Anvil::start().unwrap_or_else(|e| panic!("{e}"));
    let at = |args: &[&str], contract: &str| {
        let more = ["--rpc", node.url(), "--contract", contract];
        [args, &more].concat().iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()
    };
    let ok = |args: Vec<String>| s.json(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let fails = |code: i32, args: Vec<String>, words: &[&str]| {
        s.fails(code, &args.iter().map(String::as_str).collect::<Vec<_>>(), words);
    };
    let verifier = s.json(&["chain", "deploy", "--accept-development-srs", "--rpc", node.url()]);
    let verifier = verifier["contract"].as_str().unwrap();
    let made = s.json(&["chain", "deploy", "--segments", verifier, "--rpc", node.url()]);
    assert_eq!((&made["verifier"], &made["accepts_development_srs"]), (&verifier.into(), &true.into()));
    let contract = made["contract"].as_str().unwrap();
    s.fails(2, &["chain", "deploy", "--segments", contract, "--rpc", node.url()], &["not the AssayVerifier"]);
    // Bound to the contract, for somebody.
    let somebody = format!("0x{}", "5b".repeat(20));
    let bound = ["--consumer", contract, "--recipient", &somebody];
    s.ok(&[&["settle", "cut", "input.json", "-o", "settled", "--key-out", "settlement"][..], &bound].concat());
    s.ok(&["settle", "cut", "input.json", "-o", "elsewhere"]);
    s.write("other.json", format!("{{\"input_data\": [{:?}]}}", image(6)));
    s.ok(&[&["settle", "cut", "other.json", "-o", "other"][..], &bound].concat());
    let verify = ["chain", "verify", "settled", "--key", "settlement"];
    fails(2, at(&verify, contract), &["has no model", "assay chain register"]);
    let register = ["chain", "register", "settlement"];
    fails(2, at(&register, verifier), &["not the SegmentVerifier"]);
    let first = ok(at(&register, contract));
    assert_eq!((&first["registered_now"], first["segments"].as_array().map(Vec::len)), (&2.into(), Some(2)));
    let again = ok(at(&register, contract));
    assert_eq!((&again["registered_now"], &again["gas"], &again["plan_id"]), (&0.into(), &0.into(), &first["plan_id"]));
    let v = ok(at(&verify, contract));
    assert_eq!((&v["accepted"], &v["submitted"], &v["plan_id"]), (&true.into(), &false.into(), &first["plan_id"]));
    let sent = ok(at(&[&verify[..], &["--submit"]].concat(), contract));
    assert_eq!(
        (&sent["submitted"], &sent["contract"], &sent["chain_id"]),
        (&true.into(), &contract.into(), &31337.into())
    );
    let (asked, paid) = (v["gas"].as_u64().unwrap(), sent["gas"].as_u64().unwrap());
    println!("gas: estimated {asked}, paid with an event {paid}, registered {}", first["gas"]);
    assert!(paid > 800_000 && paid < asked * 5 / 4, "{asked} {paid}");
    // What this program's own EVM says of the same proofs.
    assert_eq!(s.json(&verify)["plan_id"], first["plan_id"]);
    // Two inferences put together, and a proof for another purpose.
    let head = s.read("settled");
    s.write("cheat", joined(&head, &[&parts(&head)[0], &parts(&s.read("other"))[1]]));
    for more in [&[][..], &["--submit"]] {
        let cheat = [&["chain", "verify", "cheat", "--key", "settlement"][..], more].concat();
        fails(1, at(&cheat, contract), &["does not accept"]);
    }
    let elsewhere = ["chain", "verify", "elsewhere", "--key", "settlement"];
    assert_eq!(ok(at(&elsewhere, contract))["accepted"], true);
    fails(2, at(&[&elsewhere[..], &["--submit"]].concat(), contract), &["bound to another contract", contract]);
    // Addresses of something else, and none.
    fails(2, at(&verify, verifier), &["not the SegmentVerifier"]);
    fails(2, at(&verify, &somebody), &["no contract"]);
    s.fails(2, &[&verify[..], &["--rpc", node.url()]].concat(), &["which contract", "--segments"]);
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
    s.fails(2, &["prove", "cut", "input.json", "-o", "no", "--commit", "weights=x"], &["--commit", "own weights"]);
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
