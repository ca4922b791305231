//! Sizes that a model's numbers decide, and attributes that nobody reads: an error or a sound model, never gigabytes or a
//! different network.

use crate::proto::{Message, Model, float, int, integers, ints, tensor};
use assay_circuits::onnx::{CompileOptions, ImportError, compile, inspect, load_bytes};

fn quiet(_: &str, _: u64, _: u64) {}

fn options() -> CompileOptions {
    CompileOptions { weight_bits: Some(8), activation_bits: Some(8), ..CompileOptions::default() }
}

/// `f(x w)` with all weights alike.
fn layer(f: &str, weight: f32) -> Vec<u8> {
    let mut m = Model::default();
    m.initializer(&tensor("w", &[8, 8], &[weight; 64]));
    let y = m.node("MatMul", &["x", "w"], &[]);
    let y = m.node(f, &[&y], &[]);
    m.finish(&[("x", &[1, 8])], &y)
}

#[test]
fn tiny_weights_do_not_ask_for_large_tables() {
    for weight in [1e-40, 1e-30, 1e-20, 1e-15, 1e-10] {
        for f in ["Relu", "Sigmoid", "Exp", "Tanh"] {
            let model = load_bytes(&layer(f, weight)).expect("it loads");
            let _ = inspect(&model);
            if let Ok(m) = compile(&model, &options(), None, &mut quiet) {
                let keys: usize = m.graph.tables().iter().map(|t| t.values.len()).sum();
                assert!(keys < 1 << 20, "{f} with weights of {weight:e}: {keys} keys");
            }
        }
    }
}

#[test]
fn constants_are_bounded_before_they_are_made() {
    let huge = 1i64 << 30;
    let shape = |m: &mut Model, name: &str, v: &[i64]| m.initializer(&integers(name, v));
    let mut files = Vec::new();
    for (op, first) in [("ConstantOfShape", None), ("Expand", Some("c")), ("Tile", Some("c"))] {
        let mut m = Model::default();
        m.initializer(&tensor("c", &[1], &[0.5]));
        shape(&mut m, "s", &[huge]);
        let inputs: Vec<&str> = first.into_iter().chain(["s"]).collect();
        let y = m.node(op, &inputs, &[]);
        let y = m.node("ReduceSum", &[&y], &[int("keepdims", 1)]);
        let y = m.node("Add", &["x", &y], &[]);
        files.push((op, m.finish(&[("x", &[1])], &y)));
    }
    // An outer product of two long vectors.
    let mut m = Model::default();
    m.initializer(&tensor("a", &[1, 1 << 15], &[0.5; 1 << 15]));
    m.initializer(&tensor("b", &[1 << 15, 1], &[0.5; 1 << 15]));
    let y = m.node("Mul", &["a", "b"], &[]);
    let y = m.node("ReduceSum", &[&y], &[int("keepdims", 0)]);
    let y = m.node("Add", &["x", &y], &[]);
    files.push(("Mul", m.finish(&[("x", &[1])], &y)));
    for (op, file) in files {
        let model = load_bytes(&file).expect("the file itself is sound");
        let error = compile(&model, &options(), None, &mut quiet).expect_err(op).to_string();
        assert!(error.contains("values") || error.contains("at most"), "{op}: {error}");
    }
}

#[test]
fn attributes_that_nobody_reads_are_refused_by_name() {
    let refused = |op: &str, attribute: Message, name: &str| {
        let mut m = Model::default();
        let y = m.node(op, &["x"], &[attribute]);
        let model = load_bytes(&m.finish(&[("x", &[1, 4, 4, 4])], &y)).expect("the file itself is sound");
        let error = compile(&model, &options(), None, &mut quiet).expect_err("an attribute without effect");
        assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("'{name}'")) && text.contains(op), "{text}");
        assert!(!inspect(&model).supported());
    };
    refused("Relu", float("alpha", 0.5), "alpha");
    refused("Softplus", float("beta", 2.0), "beta");
    refused("GlobalAveragePool", ints("axes", &[1]), "axes");
    refused("Abs", int("frobnicate", 1), "frobnicate");
}
