//! Two models linked by a stack: what one computes, committed, is what the other reads. Two proofs have one id in common, and
//! neither shows a feature.

use super::{
    common::{Sandbox, npy},
    proto::{Model, tensor},
};
use serde_json::Value;

const FEATURES: usize = 20;

fn weights(from: usize, to: usize) -> Vec<f32> {
    (0..from * to).map(|i| ((i * 37 + 11) % 41) as f32 / 40.0 - 0.5).collect()
}

/// The product of an input with weights, and what is positive of it.
fn network(input: &str, from: usize, to: usize, relu: bool) -> Vec<u8> {
    let mut m = Model::default();
    m.initializer(&tensor("w", &[from as i64, to as i64], &weights(from, to)));
    let mut y = m.node("MatMul", &[input, "w"], &[]);
    if relu {
        y = m.node("Relu", &[&y], &[]);
    }
    m.finish(&[(input, &[1, from as i64])], &y)
}

/// Samples, and the float features of each.
pub(super) fn samples() -> [Vec<f32>; 2] {
    let x: Vec<f32> = (0..60).flat_map(|r| (0..12).map(move |i| ((r * 5 + i * 7) % 17) as f32 / 8.0 - 1.0)).collect();
    let w = weights(12, FEATURES);
    let one =
        |row: &[f32], j: usize| row.iter().enumerate().map(|(i, v)| v * w[i * FEATURES + j]).sum::<f32>().max(0.0);
    let features = x.chunks(12).flat_map(|row| (0..FEATURES).map(|j| one(row, j)).collect::<Vec<_>>()).collect();
    [x, features]
}

/// Features of twelve values, and three scores of the features.
pub(super) fn networks() -> [Vec<u8>; 2] {
    [network("x", 12, FEATURES, true), network("features", FEATURES, 3, false)]
}

fn stack(v: &Value, name: &str) -> String {
    let all = v["stacks"].as_array().unwrap();
    all.iter().find(|s| s["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
}

/// The commands of docs/cli.md#stacks, and what stands in their way where the second model takes the stack for something else.
#[test]
fn features_of_one_model_are_classified_by_another() {
    let s = Sandbox::new("linked-models");
    let [x, features] = samples();
    let [first, second] = networks();
    s.write("features.onnx", first);
    s.write("classes.onnx", second);
    s.write("xs.npy", npy("(60, 12)", &x));
    s.write("x.npy", npy("(1, 12)", &x[..12]));
    s.write("fs.npy", npy("(60, 20)", &features));
    s.write("far.npy", npy("(60, 20)", &features.iter().map(|v| 8.0 * v).collect::<Vec<_>>()));
    let compile = |what: &str, samples: &str, bits: &str, more: &[&str], to: &str| {
        let fixed = ["compile", what, "--calibrate", samples, "--activation-bits", bits, "-o", to];
        s.ok(&[&fixed[..], &["--weight-bits", "8", "--accept-accuracy"], more].concat());
    };
    compile("features.onnx", "xs.npy", "8", &["--private-outputs"], "features.assay");
    compile("classes.onnx", "fs.npy", "9", &[], "classes.assay");
    s.ok(&["stack", "commit", "x.npy", "--model", "features.assay", "-o", "x.stack"]);
    let commits = ["--commit", "input=x.stack", "--commit", "output=f.stack"];
    s.ok(&[&["settle", "features.assay", "-o", "one", "--key-out", "one.key"][..], &commits].concat());

    // The same integers in another model's hands: of another width, or of other steps, where they would be other numbers.
    let settle =
        |model: &'static str| ["settle", model, "-o", "two", "--key-out", "two.key", "--commit", "input=f.stack"];
    compile("classes.onnx", "fs.npy", "8", &[], "narrow.assay");
    s.fails(2, &settle("narrow.assay"), &["f.stack", "steps of 2^-7", "steps of 2^-6", "--activation"]);
    compile("classes.onnx", "far.npy", "9", &[], "far.assay");
    s.fails(2, &settle("far.assay"), &["steps of 2^-7", "steps of 2^-4", "other numbers"]);
    compile("classes.onnx", "far.npy", "12", &[], "wide.assay");
    s.fails(2, &settle("wide.assay"), &["with 9 bits", "has 12", "--activation"]);
    assert!(!s.path("two").exists());

    s.ok(&settle("classes.assay"));
    for (proof, key) in [("one", "one.key"), ("two", "two.key")] {
        assert_eq!(s.json(&["chain", "verify", proof, "--key", key])["accepted"], true);
    }
    let one = s.json(&["verify", "one", "--key", "one.key", "--commit", "output=f.stack"]);
    let two = s.json(&["verify", "two", "--key", "two.key", "--commit", "input=f.stack"]);
    assert_eq!(stack(&one, "output"), stack(&two, "input"));
    assert!(one["outputs"].as_array().unwrap().iter().all(|o| o.as_array().is_some_and(Vec::is_empty)), "{one}");
    // The scores are those of both models in a row.
    let f = s.json(&["prove", "features.assay", "x.npy", "-o", "p"])["outputs"][0].clone();
    let f: Vec<f32> = f.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    s.write("f.npy", npy("(1, 20)", &f));
    assert_eq!(two["outputs"], s.json(&["prove", "classes.assay", "f.npy", "-o", "p"])["outputs"]);
    // What the stack says of itself.
    assert!(s.ok(&["stack", "show", "f.stack"]).stdout.contains("in steps of 2^-7"));
}
