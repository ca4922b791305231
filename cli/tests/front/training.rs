//! Training: from an ONNX file and data to trained weights and a proof that is checked against the record of the run.

use super::common::{Sandbox, cnn, digits, mlp, npy};
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
    let other = |field: &'static str, from: &'static str| {
        let id = good[from].clone();
        move |r: &mut Value| r[field] = id.clone()
    };
    refused("other trained weights", &other("trained", "weights"), "ends with other");
    refused("other first weights", &other("weights", "trained"), "starts from other");
    refused("other data", &other("dataset", "trained"), "trained on other data");
    refused("a loss", &|r| r["losses"][1] = 1.into(), "steps have other losses");
    refused("another seed", &|r| r["spec"]["seed"][0] = 1.into(), "rows are those of another seed");
    refused("another rate", &|r| r["spec"]["rate_bits"] = 5.into(), graph);
    refused("another momentum", &|r| r["spec"]["momentum_bits"] = 3.into(), graph);
    refused("another number of rows", &|r| r["spec"]["rows"] = 359.into(), graph);
    refused("another loss", &|r| r["spec"]["loss"] = "SquaredError".into(), graph);
    // What is no record at all could not be checked.
    s.write("broken.json", "{\"format\": 1}");
    s.fails(2, &[&check[..], &["--training", "broken.json"]].concat(), &["no record of a training run"]);

    // The trained file is a model like any other, and training goes on from the very same integers.
    s.ok(&["inspect", "out/trained.onnx"]);
    s.ok(&[&["train", "out/trained.onnx", &digits(), "-o", "anew"], &run[..]].concat());
    let next = ["--weights", "out/trained.stack", "-o", "next"];
    s.ok(&[&["train", "out/trained.onnx", "out/dataset.stack"], &next[..], &run[..]].concat());
    assert_eq!(record(&s, "next/training.json")["weights"], good["trained"]);
    assert_eq!(record(&s, "next/training.json")["dataset"], good["dataset"]);
    assert_eq!(record(&s, "next/training.json")["losses"], record(&s, "anew/training.json")["losses"]);
    s.fails(
        1,
        &["verify", "next/proof", "--key", "next/key", "--training", "out/training.json"],
        &["starts from other"],
    );

    // Losses on rows, before and after.
    let v = s.json(&["evaluate", "out/training.json", &digits(), "-o", "e.proof", "--key-out", "e.key"]);
    assert_eq!(v["rows"], 360);
    s.fails(2, &["evaluate", "out/training.json", "out/dataset.stack"], &["is the data that was trained on"]);
    let check = ["verify", "e.proof", "--key", "e.key", "--training"];
    assert!(
        s.json(&[&check[..], &["out/training.json"]].concat())["training"].as_str().unwrap().contains("360 held-out")
    );
    s.fails(1, &[&check[..], &["next/training.json"]].concat(), &["starts from other weights"]);
}

/// Settled runs follow each other, and are checked against their record as core ones are.
#[test]
fn settled_runs() {
    let s = Sandbox::new("train-settled");
    let run = ["--steps", "2", "--batch", "8", "--lr", "2^-6", "--settle", "--seed", SEED];
    let v = s.json(&[&["train", &mlp(), &digits(), "-o", "out"], &run[..]].concat());
    assert_eq!(
        (v["accepted"].as_bool(), v["hiding"].as_bool(), v["row_bits"].as_u64()),
        (Some(true), Some(true), Some(18))
    );
    let settlement = v["settlement_id"].clone();
    let check = ["verify", "out/settled", "--key", "out/settlement.key", "--training"];
    let v = s.json(&[&check[..], &["out/training.json"]].concat());
    assert!(v["training"].as_str().is_some_and(|t| t.contains("2 steps of 8 of 360 rows")), "{v}");
    let good = record(&s, "out/training.json");
    for (field, words) in [("weights", "starts from other"), ("trained", "ends with other"), ("dataset", "other data")]
    {
        let mut other = good.clone();
        other[field] = "00".repeat(32).into();
        s.write("other.json", other.to_string());
        s.fails(1, &[&check[..], &["other.json"]].concat(), &[words]);
    }
    let files = ["-o", "e.settled", "--key-out", "e.key", "--holdout-out", "holdout.stack", "--settle"];
    let v = s.json(&[&["evaluate", "out/training.json", &digits()], &files[..]].concat());
    assert_eq!(v["accepted"], true);
    s.ok(&["verify", "e.settled", "--key", "e.key", "--training", "out/training.json"]);
    // Whoever trains so has the key of the same id: nothing in it is a secret of this machine.
    let other = Sandbox::with_own_cache("train-settled-elsewhere");
    let e = other.json(&[&["train", &mlp(), &digits(), "-o", "out"], &run[..]].concat());
    assert_eq!((&e["settlement_id"], e["settlement_setup_cached"].as_bool()), (&settlement, Some(false)));
    // The same rows again from their stack, for another chain: no contract here checks that.
    let bound = ["--settle", "--consumer", "0x0000000000000000000000000000000000000001", "--chain-id", "5"];
    let v = s.json(&[&["evaluate", "out/training.json", "holdout.stack"], &bound[..]].concat());
    assert_eq!((v["settlement_setup_cached"].as_bool(), v.get("accepted")), (Some(true), None));
}

/// Features of very unlike sizes: the trained file takes them as they are.
#[test]
fn standardized_data_is_folded_in() {
    let s = Sandbox::new("train-standardized");
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../circuits/tests/models/op_gemm.onnx");
    let inputs = 6;
    let v = s.json(&["inspect", table]);
    assert_eq!(v["inputs"][0]["shape"], serde_json::json!([1, inputs]), "{v}");
    let outputs = v["outputs"][0]["shape"][1].as_u64().unwrap() as usize;
    // Feature i is around 10^i; the class follows from its sign about that.
    let rows = 64;
    let x: Vec<f32> = (0..rows * inputs)
        .map(|k| 10f32.powi((k % inputs) as i32) * (1.0 + 0.1 * ((k * 37 % 19) as f32 / 9.0 - 1.0)))
        .collect();
    let y: Vec<f32> = x.chunks(inputs).map(|r| f32::from(u8::from(r[3] > 1e3))).collect();
    let files = [("x.npy", npy(&format!("({rows}, {inputs})"), &x)), ("y.npy", npy(&format!("({rows},)"), &y))];
    s.write("data.npz", stored_zip(&files));
    assert!(outputs >= 2, "{v}");
    s.fails(2, &["train", table, "data.npz", "-o", "out"], &["within plus or minus 32"]);
    let args = ["--steps", "64", "--batch", "16", "--lr", "2^-1", "--standardize", "fresh", "--seed", SEED];
    let v = s.json(&[&["train", table, "data.npz", "-o", "out"], &args[..]].concat());
    assert!(v["accuracy_after"].as_f64().is_some_and(|a| a > 0.9), "{v}");
    // The file on raw data is right where the integers on standardized data were.
    s.write("raw.npy", npy(&format!("({rows}, {inputs})"), &x));
    let v = s.json(&["run", "out/trained.onnx", "raw.npy", "--calibrate", "raw.npy", "--accept-accuracy"]);
    let right = v["outputs"].as_array().unwrap().iter().zip(&y).filter(|(o, y)| {
        let o: Vec<f64> = o.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let best = (0..o.len()).max_by(|a, b| o[*a].total_cmp(&o[*b])).unwrap();
        best as f32 == **y
    });
    assert!(right.count() * 10 >= rows * 9, "{v}");
    s.ok(&["verify", "out/proof", "--key", "out/key", "--training", "out/training.json"]);
}

/// An archive whose entries are stored.
pub(crate) fn stored_zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let crc = |data: &[u8]| {
        !data.iter().fold(!0u32, |c, b| {
            (0..8).fold(c ^ u32::from(*b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
        })
    };
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in files {
        let mut head = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        head.extend(crc(data).to_le_bytes());
        head.extend((data.len() as u32).to_le_bytes().repeat(2));
        head.extend((name.len() as u16).to_le_bytes());
        let offset = out.len() as u32;
        out.extend(b"PK\x03\x04");
        out.extend(&head);
        out.extend([0, 0]);
        out.extend(name.as_bytes());
        out.extend(data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&head);
        directory.extend([0; 12]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend((files.len() as u16).to_le_bytes().repeat(2));
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}

#[test]
fn what_can_be_trained_is_listed() {
    let s = Sandbox::new("trainable");
    let v = s.json(&["inspect", &mlp(), "--train"]);
    assert_eq!((v["trainable"].as_bool(), v["parameters"].as_u64()), (Some(true), Some(6570)));
    // Convolutions and maxima, from a file to a proof that is checked.
    assert_eq!(s.json(&["inspect", &cnn(), "--train"])["trainable"], true);
    let run = ["--steps", "2", "--batch", "8", "--lr", "2^-6", "--seed", SEED];
    s.ok(&[&["train", &cnn(), &digits(), "-o", "cnn"], &run[..]].concat());
    let v = s.json(&["verify", "cnn/proof", "--key", "cnn/key", "--training", "cnn/training.json"]);
    assert_eq!(v["valid"], true);
    s.ok(&["inspect", "cnn/trained.onnx"]);
    let leaky = concat!(env!("CARGO_MANIFEST_DIR"), "/../circuits/tests/models/op_leaky_relu.onnx");
    s.fails(2, &["inspect", leaky, "--train"], &["LeakyRelu", "no gradient rule"]);
    s.fails(2, &["train", leaky, &digits(), "-o", "out"], &["cannot be trained", "LeakyRelu"]);
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
