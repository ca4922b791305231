//! One small model per ONNX operator, against the output of onnxruntime.

use crate::support::{npz, path};
use assay_circuits::{
    Program, Visibility,
    onnx::{CompileOptions, ImportError, compile, load},
};

#[derive(Debug)]
struct Entry {
    name: String,
    file: String,
    data: String,
    ops: Vec<String>,
    tolerance: f64,
    supported: bool,
}

fn manifest() -> Vec<Entry> {
    let text = std::fs::read_to_string(path("circuits/tests/models/manifest.json")).expect("the manifest exists");
    let value: serde_json::Value = serde_json::from_str(&text).expect("the manifest is JSON");
    let text = |v: &serde_json::Value| v.as_str().expect("a string").to_owned();
    let entries = value.as_array().expect("a list").iter().map(|e| Entry {
        name: text(&e["name"]),
        file: text(&e["file"]),
        data: text(&e["data"]),
        ops: e["ops"].as_array().expect("a list").iter().map(text).collect(),
        tolerance: e["tolerance"].as_f64().expect("a number"),
        supported: e["supported"].as_bool().expect("a flag"),
    });
    entries.collect()
}

fn run(e: &Entry, options: &CompileOptions) -> Result<f64, String> {
    let model = load(path(&format!("circuits/tests/models/{}", e.file))).map_err(|x| x.to_string())?;
    let data = npz(&format!("circuits/tests/models/{}", e.data));
    let names: Vec<String> = data.keys().filter(|k| k.starts_with('x')).cloned().collect();
    let inputs: Vec<Vec<f32>> = names.iter().map(|n| data[n].1.clone()).collect();
    let compiled =
        compile(&model, options, Some(std::slice::from_ref(&inputs)), &mut |_, _, _| {}).map_err(|x| x.to_string())?;
    let (integers, _) = compiled.quantize_all(&inputs).map_err(|x| x.to_string())?;
    let values = compiled.eval(&integers).map_err(|x| x.to_string())?;
    let out = values.outputs(&compiled.graph);
    let got = compiled.dequantize(&compiled.outputs[0], &out[0]).map_err(|x| x.to_string())?;
    let (shape, want) = &data["y"];
    if shape != &compiled.outputs[0].shape {
        return Err(format!("shape {:?}, expected {shape:?}", compiled.outputs[0].shape));
    }
    for batch in [1, 3] {
        Program::inference(&compiled.graph, batch, Visibility::default()).map_err(|x| format!("batch {batch}: {x}"))?;
    }
    Program::registration(&compiled.graph).map_err(|x| format!("registration: {x}"))?;
    let again = assay_circuits::model::Model::from_bytes(&compiled.to_bytes().map_err(|x| x.to_string())?);
    if again.map_err(|x| x.to_string())? != compiled {
        return Err("the model changes when written and read".to_owned());
    }
    Ok(got.iter().zip(want).map(|(g, w)| f64::from((g - w).abs())).fold(0.0, f64::max))
}

fn check(options: &CompileOptions) {
    let mut failures = Vec::new();
    let mut count = 0;
    for e in manifest().iter().filter(|e| e.supported) {
        count += 1;
        match run(e, options) {
            Ok(error) if error <= e.tolerance => {}
            Ok(error) => failures.push(format!("{}: error {error:.4}, tolerance {}", e.name, e.tolerance)),
            Err(text) => failures.push(format!("{}: {text}", e.name)),
        }
    }
    assert!(count > 100, "only {count} models");
    assert!(failures.is_empty(), "{} of {count} fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn supported_models_match_onnxruntime() {
    check(&CompileOptions::default());
}

#[test]
fn supported_models_match_with_rounded_outputs() {
    check(&CompileOptions {
        private_output: true,
        weight_bits: Some(10),
        activation_bits: Some(10),
        ..CompileOptions::default()
    });
}

#[test]
fn unsupported_models_name_node_and_operator() {
    let mut count = 0;
    for e in manifest().iter().filter(|e| !e.supported) {
        count += 1;
        let model = load(path(&format!("circuits/tests/models/{}", e.file))).expect("the file itself is sound");
        let error = compile(&model, &CompileOptions::default(), None, &mut |_, _, _| {}).expect_err(&e.name);
        let ImportError::Unsupported { node, op, help } = &error else {
            panic!("{}: {error}", e.name);
        };
        assert!(e.ops.contains(op), "{}: {op} is not among {:?}", e.name, e.ops);
        assert!(model.nodes.iter().any(|n| n.name == *node), "{}: no node '{node}'", e.name);
        assert!(help.len() > 20, "{}: no help", e.name);
    }
    assert_eq!(count, 1);
}
