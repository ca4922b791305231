//! What training leaves behind and starts from: stacks that are committed to without training, the trained model about the stack that
//! training ended with, adapters over weights that stay, and estimates of all of it.

use super::common::{Sandbox, digits, mlp, npy};
use serde_json::Value;

const SEED: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

/// The trained model is proven about the very stack that training ended with, and about no other.
#[test]
fn the_trained_model_is_about_the_trained_stack() {
    let s = Sandbox::new("trained-stack");
    let run = ["--steps", "3", "--batch", "16", "--lr", "2^-6", "--seed", SEED];
    let v = s.json(&[&["train", &mlp(), &digits(), "-o", "out"], &run[..]].concat());
    let trained = v["stacks"]["trained"].as_str().unwrap().to_owned();
    // The integers of training, not quantized anew: it is right about the rows as often.
    let ran = s.json(&["run", "out/trained.assay", &digits(), "--batch", "2"]);
    assert_eq!(ran["outputs"].as_array().map(Vec::len), Some(2), "{ran}");
    for (command, key) in [("prove", "p.key"), ("settle", "s.key")] {
        let files = ["--commit", "weights=out/trained.stack", "-o", "proof", "--key-out", key];
        let v = s.json(&[&[command, "out/trained.assay", &digits(), "--batch", "1"], &files[..]].concat());
        let stacks = v["stacks"].as_array().unwrap_or_else(|| panic!("{v}"));
        assert_eq!(stacks.len(), 1);
        assert_eq!(stacks[0]["id"], trained.as_str());
        let check = ["verify", "proof", "--key", key, "--commit"];
        s.ok(&[&check[..], &["weights=out/trained.stack"]].concat());
        s.fails(1, &[&check[..], &["weights=out/weights.stack"]].concat(), &["about another stack"]);
    }
    // Other weights in the stack than in the model.
    let files = ["--commit", "weights=out/weights.stack", "-o", "other", "--key-out", "other.key"];
    let ran = s.assay(&[&["prove", "out/trained.assay", &digits(), "--batch", "1"], &files[..]].concat());
    assert!(ran.code != 0 || s.json(&["verify", "other", "--key", "other.key"])["stacks"][0]["id"] != trained.as_str());
    // The stack of data holds no weights.
    s.fails(
        2,
        &[
            "prove",
            "out/trained.assay",
            &digits(),
            "--commit",
            "weights=out/dataset.stack",
            "-o",
            "x",
            "--key-out",
            "y",
        ],
        &["holds no weights of this model"],
    );
}

/// A dataset and the weights of a file are committed to without training, and trained on afterwards.
#[test]
fn stacks_before_training() {
    let s = Sandbox::new("stacks-before-training");
    let v = s.json(&["dataset", "commit", &digits(), "--model", &mlp(), "-o", "data.stack", "--row-bits", "12"]);
    assert_eq!((v["row_bits"].as_u64(), v["blinded"].as_bool()), (Some(12), Some(true)));
    assert_eq!(v["tensors"][0]["shape"], serde_json::json!([360, 64]));
    assert_eq!(v["tensors"][1]["shape"], serde_json::json!([360, 10]));
    let w = s.json(&["stack", "commit", &mlp(), "--train", "-o", "weights.stack", "--row-bits", "12"]);
    s.ok(&["stack", "verify", "data.stack", "--id", v["stack_id"].as_str().unwrap()]);
    let run = ["--steps", "2", "--batch", "8", "--lr", "2^-6", "--seed", SEED];
    let t = s.json(&[&["train", &mlp(), "data.stack", "--weights", "weights.stack", "-o", "out"], &run[..]].concat());
    assert_eq!((&t["stacks"]["dataset"], &t["stacks"]["weights"]), (&v["stack_id"], &w["stack_id"]));
    // As from the file and the rows themselves.
    let anew = s.json(&[&["train", &mlp(), &digits(), "-o", "anew"], &run[..]].concat());
    assert_eq!(t["losses"], anew["losses"]);
    // In public, the id follows from the rows.
    let public = |out: &str| {
        s.json(&["dataset", "commit", &digits(), "--model", &mlp(), "-o", out, "--public"])["stack_id"].clone()
    };
    assert_eq!(public("a.stack"), public("b.stack"));
    s.fails(2, &["dataset", "commit", &mlp(), "--model", &mlp(), "-o", "c.stack"], &["expected a ZIP or .npz"]);
    s.fails(2, &["stack", "commit", &digits(), "--train", "-o", "c.stack"], &["expected an ONNX model"]);
    s.fails(2, &["train", &mlp(), "data.stack", "--row-bits", "8", "-o", "no"], &["rows of other lengths"]);
}

/// A command line that lacks an option says which.
fn misused(s: &Sandbox, args: &[&str], option: &str) {
    let ran = s.assay(args);
    assert_eq!(ran.code, 2, "{args:?}: {ran:#?}");
    assert!(ran.stderr.contains("required arguments") && ran.stderr.contains(option), "{ran:#?}");
}

/// What is said before is what comes: bytes and the contract's gas are exact.
#[test]
fn estimates_of_training_are_what_comes() {
    let s = Sandbox::new("estimate-training");
    let run = ["--steps", "2", "--batch", "8", "--lr", "2^-6"];
    let e = s.json(&[&["estimate", &mlp(), "--train", "--rows", "360"], &run[..]].concat());
    assert_eq!((e["training"]["weights"].as_u64(), e["training"]["updates"].as_u64()), (Some(6570), Some(2 * 6570)));
    assert!(e["training"]["train_seconds"].as_f64().is_some_and(|t| t > 0.0), "{e}");
    let core = s.json(&[&["train", &mlp(), &digits(), "-o", "core", "--seed", SEED], &run[..]].concat());
    assert_eq!((&e["proof_bytes"], &e["row_bits"]), (&core["proof_bytes"], &core["row_bits"]));
    let settled = s.json(&[&["train", &mlp(), &digits(), "-o", "out", "--settle", "--seed", SEED], &run[..]].concat());
    let x = &e["settlement"];
    let gas = s.json(&["chain", "gas", "out/settled", "--key", "out/settlement.key"]);
    assert_eq!(x["executed_gas"], gas["executed_gas"]);
    assert_eq!(x["calldata_bytes"], gas["calldata_bytes"]);
    assert_eq!((&x["circuit_k"], &x["row_bits"]), (&settled["circuit_k"], &settled["row_bits"]));
    assert_eq!(x["proof_bytes"].as_u64(), Some(s.read("out/settled").len() as u64));
    assert_eq!(x["key_bytes"].as_u64(), Some(s.read("out/settlement.key").len() as u64));
    // Mistakes.
    misused(&s, &["estimate", &mlp(), "--train"], "--rows");
    misused(&s, &["estimate", &mlp(), "--rows", "5"], "--train");
    s.fails(2, &["estimate", &mlp(), "--train", "--rows", "5", "--batch", "3"], &["power of two"]);
    s.fails(2, &["estimate", &mlp(), "--train", "--rows", "5", "--lora", "1000"], &["more than 1000 rows"]);
    let lora = s.json(&["estimate", &mlp(), "--train", "--rows", "5", "--lora", "2"]);
    assert!(lora["training"]["weights"].as_u64().is_some_and(|w| w < 1000), "{lora}");
}

fn record(s: &Sandbox, path: &str) -> Value {
    serde_json::from_slice(&s.read(path)).unwrap()
}

/// Inputs of `attention_block.onnx` and their classes: four tokens of twelve values; the class is the sign of a sum.
pub(super) fn attention_rows() -> [Vec<u8>; 2] {
    let (rows, width) = (40, 48);
    let x: Vec<f32> = (0..rows * width).map(|k| ((k * 7919 + k / width * 31) % 201) as f32 / 100.0 - 1.0).collect();
    let y: Vec<f32> = x.chunks(width).map(|r| f32::from(u8::from(r[..4].iter().sum::<f32>() > 0.0))).collect();
    [npy(&format!("({rows}, 4, 12)"), &x), npy(&format!("({rows},)"), &y)]
}

/// Adapters of a transformer's block: the file's weights stay in a stack of their own, which a settlement key pins.
#[test]
fn adapters_over_weights_that_stay() {
    let s = Sandbox::new("train-adapters");
    let block = concat!(env!("CARGO_MANIFEST_DIR"), "/../circuits/tests/training_onnx/attention_block.onnx");
    let [x, y] = attention_rows();
    s.write("x.npy", &x);
    s.write("data.npz", super::training::stored_zip(&[("x.npy", x), ("y.npy", y)]));
    let v = s.json(&["inspect", block, "--train"]);
    assert_eq!(v["trainable"], true, "{v}");
    let run = ["--lora", "2", "--steps", "4", "--batch", "8", "--lr", "2^-3", "--seed", SEED, "--row-bits", "12"];
    let v = s.json(&[&["train", block, "data.npz", "-o", "out"], &run[..]].concat());
    let base = v["stacks"]["base"].as_str().unwrap_or_else(|| panic!("{v}")).to_owned();
    let check = ["verify", "out/proof", "--key", "out/key", "--training"];
    s.ok(&[&check[..], &["out/training.json"]].concat());
    let good = record(&s, "out/training.json");
    let refused = |change: &dyn Fn(&mut Value), words: &str| {
        let mut other = good.clone();
        change(&mut other);
        s.write("other.json", other.to_string());
        s.fails(1, &[&check[..], &["other.json"]].concat(), &[words]);
    };
    refused(&|r| r["base"] = r["weights"].clone(), "other weights stay");
    refused(
        &|r| {
            r.as_object_mut().unwrap().remove("base");
        },
        "other weights stay",
    );
    let text = good.to_string().replace("\"rank\":2", "\"rank\":1");
    assert_ne!(text, good.to_string());
    s.write("other.json", text);
    s.fails(1, &[&check[..], &["other.json"]].concat(), &["neither this specification's training"]);
    // The next run goes on from adapters and base as they are; a base committed to anew is another one.
    let next = ["--weights", "out/trained.stack", "-o", "next"];
    let n = s.json(&[&["train", block, "out/dataset.stack", "--base", "out/base.stack"], &next[..], &run[..]].concat());
    assert_eq!((&n["stacks"]["base"], &n["stacks"]["weights"]), (&base.clone().into(), &v["stacks"]["trained"]));
    let anew = s.json(&[&["train", block, "out/dataset.stack", "-o", "anew"], &run[..]].concat());
    assert_ne!(anew["stacks"]["base"], base.as_str());
    assert_eq!(anew["losses"], v["losses"]);
    s.fails(2, &["train", block, "data.npz", "-o", "x", "--lora", "2", "--adapt", "nobody"], &["'nobody'"]);
    s.fails(2, &["train", block, "data.npz", "-o", "x", "--lora", "2", "--lora-scale", "3"], &["power of two"]);
    misused(&s, &["train", block, "data.npz", "-o", "x", "--base", "out/base.stack"], "--lora");
    // Held-out rows, the trained model as a file, and in the integers of training.
    s.ok(&["evaluate", "out/training.json", "data.npz", "-o", "e.proof", "--key-out", "e.key"]);
    s.ok(&["verify", "e.proof", "--key", "e.key", "--training", "out/training.json"]);
    s.ok(&["inspect", "out/trained.onnx"]);
    s.ok(&["run", "out/trained.assay", "x.npy", "--batch", "1"]);
    // Settled, the base is part of the key.
    let settled = ["--base", "out/base.stack", "--settle", "-o", "settled"];
    let v = s.json(&[&["train", block, "out/dataset.stack"], &settled[..2], &run[..], &settled[2..]].concat());
    assert_eq!((&v["accepted"], &v["stacks"]["base"]), (&true.into(), &base.into()));
    let check = ["verify", "settled/settled", "--key", "settled/settlement.key", "--training"];
    s.ok(&[&check[..], &["settled/training.json"]].concat());
    let mut other = record(&s, "settled/training.json");
    other["base"] = other["weights"].clone();
    s.write("other.json", other.to_string());
    s.fails(1, &[&check[..], &["other.json"]].concat(), &["other weights stay"]);
}
