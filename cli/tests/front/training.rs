//! Training: from an ONNX file and data to trained weights and a proof that is checked against the record of the run.

use super::common::{Sandbox, cnn, digits, mlp};
use serde_json::Value;

const SEED: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

fn record(s: &Sandbox, path: &str) -> Value {
    serde_json::from_slice(&s.read(path)).unwrap()
}

#[test]
fn train_verify_evaluate() {
    let s = Sandbox::new("train");
    let run = ["--steps", "3", "--batch", "16", "--lr", "2^-6", "--seed", SEED];
    let v = s.json(&[&["train", &mlp(), &digits(), "-o", "out"], &run[..]].concat());
    assert_eq!(v["losses"].as_array().map(Vec::len), Some(3));
    assert!(v["accuracy_after"].as_f64().is_some_and(|a| a > 0.8), "{v}");
    let check = ["verify", "out/proof", "--key", "out/key"];
    let v = s.json(&[&check[..], &["--training", "out/training.json"]].concat());
    assert_eq!(v["valid"], true);
    assert!(v["training"].as_str().is_some_and(|t| t.contains("3 steps of 16 of 360 rows, rate 2^-6")), "{v}");

    // A record that says something else about the run.
    let good = record(&s, "out/training.json");
    let refused = |what: &str, change: &dyn Fn(&mut Value), words: &str| {
        let mut other = good.clone();
        change(&mut other);
        s.write("other.json", other.to_string());
        let text = s.fails(1, &[&check[..], &["--training", "other.json"]].concat(), &["not about this training run"]);
        assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{what}: {text}");
    };
    let graph = "neither this specification's training";
    refused(
        "a trained weight",
        &|r| r["trained"][0][5] = (r["trained"][0][5].as_i64().unwrap() + 1).into(),
        "ends with other",
    );
    refused(
        "a first weight",
        &|r| r["initial"][2][0] = (r["initial"][2][0].as_i64().unwrap() + 1).into(),
        "starts from other",
    );
    refused("a loss", &|r| r["losses"][1] = 1.into(), "ends with other");
    refused("another seed", &|r| r["spec"]["seed"][0] = 1.into(), graph);
    refused("another rate", &|r| r["spec"]["rate_bits"] = 5.into(), graph);
    refused("another momentum", &|r| r["spec"]["momentum_bits"] = 3.into(), graph);
    refused("another number of rows", &|r| r["spec"]["rows"] = 359.into(), graph);
    refused("another loss", &|r| r["spec"]["loss"] = "SquaredError".into(), graph);
    // What is no record at all could not be checked.
    s.write("broken.json", "{\"format\": 1}");
    s.fails(2, &[&check[..], &["--training", "broken.json"]].concat(), &["no record of a training run"]);

    // The trained file is a model like any other, and training goes on from the very same integers.
    s.ok(&["inspect", "out/trained.onnx"]);
    s.ok(&[&["train", "out/trained.onnx", &digits(), "-o", "next"], &run[..]].concat());
    assert_eq!(record(&s, "next/training.json")["initial"], good["trained"]);
    s.fails(
        1,
        &["verify", "next/proof", "--key", "next/key", "--training", "out/training.json"],
        &["starts from other"],
    );

    // Losses on rows, before and after.
    let v = s.json(&["evaluate", "out/training.json", &digits(), "-o", "e.proof", "--key-out", "e.key"]);
    assert_eq!(v["rows"], 360);
    let check = ["verify", "e.proof", "--key", "e.key", "--training"];
    assert!(
        s.json(&[&check[..], &["out/training.json"]].concat())["training"].as_str().unwrap().contains("360 held-out")
    );
    s.fails(1, &[&check[..], &["next/training.json"]].concat(), &["evaluates other weights"]);
}

#[test]
fn what_can_be_trained_is_listed() {
    let s = Sandbox::new("trainable");
    let v = s.json(&["inspect", &mlp(), "--train"]);
    assert_eq!((v["trainable"].as_bool(), v["parameters"].as_u64()), (Some(true), Some(6570)));
    s.fails(2, &["inspect", &cnn(), "--train"], &["MaxPool", "no gradient rule"]);
    s.fails(2, &["train", &cnn(), &digits(), "-o", "out"], &["cannot be trained", "MaxPool"]);
}

#[test]
fn mistakes_are_explained() {
    let s = Sandbox::new("training-mistakes");
    let with = |more: &[&str]| {
        [&["train", &mlp(), &digits(), "-o", "out"], more].concat().iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()
    };
    let fails = |more: &[&str], words: &[&str]| {
        let args = with(more);
        s.fails(2, &args.iter().map(String::as_str).collect::<Vec<_>>(), words);
    };
    fails(&["--batch", "12"], &["power of two"]);
    fails(&["--steps", "0"], &["steps"]);
    fails(&["--seed", "12"], &["32 bytes in hexadecimal"]);
    let (model, data) = (mlp(), digits());
    s.fails(2, &["train", &data, &model, "-o", "out"], &["expected an ONNX model"]);
    s.fails(2, &["train", &model, &model, "-o", "out"], &["expected a ZIP or .npz archive"]);
    s.fails(2, &["train", &model, &data, "-o", "no/such/folder"], &["cannot make the folder"]);
    assert!(!s.path("out").exists());
}
