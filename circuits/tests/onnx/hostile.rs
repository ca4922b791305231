//! Broken, truncated and malicious files and data: an error that says what is wrong, never a panic.

use crate::{
    proto::{Message, Model, tensor},
    support::path,
};
use assay_circuits::onnx::{CompileOptions, ImportError, compile, inspect, load, load_bytes};

fn quiet(_: &str, _: u64, _: u64) {}

/// Loads and, where that works, compiles; only the absence of panics is asked for.
fn survive(bytes: &[u8]) -> bool {
    let Ok(model) = load_bytes(bytes) else { return false };
    let _ = inspect(&model);
    let options = CompileOptions { weight_bits: Some(8), activation_bits: Some(8), ..CompileOptions::default() };
    compile(&model, &options, None, &mut quiet).is_ok()
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(path(&format!("circuits/tests/models/{name}.onnx"))).expect("the model exists")
}

#[test]
fn truncated_files_are_rejected() {
    for name in ["op_gemm", "op_residual_block", "op_maxpool"] {
        let bytes = sample(name);
        assert!(survive(&bytes), "{name} itself works");
        for n in (0..bytes.len()).step_by(7) {
            assert!(!survive(&bytes[..n]), "{name} cut to {n} bytes");
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    for (name, step) in [("op_gemm", 1), ("op_maxpool", 1), ("op_slice", 2), ("op_conv2d_grouped", 3)] {
        let bytes = sample(name);
        for i in (0..bytes.len()).step_by(step) {
            let mut broken = bytes.clone();
            broken[i] ^= 1 << (i % 8);
            survive(&broken);
        }
    }
}

#[test]
fn what_is_no_model_is_rejected() {
    assert!(matches!(load_bytes(b""), Err(ImportError::Malformed { .. })));
    assert!(load_bytes(b"this is no protobuf at all").is_err());
    assert!(load_bytes(&[0; 64]).is_err());
    assert!(matches!(load(path("circuits/tests")), Err(ImportError::Read { .. })));
    assert!(matches!(load(path("circuits/tests/missing.onnx")), Err(ImportError::Read { .. })));
    let text = load(path("circuits/tests")).expect_err("a directory").to_string();
    assert!(text.contains("directory"), "{text}");
}

fn dense(weight: &Message, input: &[i64]) -> Vec<u8> {
    let mut m = Model::default();
    m.initializer(weight);
    let y = m.node("MatMul", &["x", "w"], &[]);
    m.finish(&[("x", input)], &y)
}

#[test]
fn sizes_are_checked_before_anything_is_allocated() {
    let good = tensor("w", &[2, 3], &[0.5; 6]);
    assert!(survive(&dense(&good, &[1, 2])));
    for dims in [vec![1 << 40, 1 << 40], vec![-1, 6], vec![2, 4], vec![1 << 20, 1 << 20], vec![1; 40]] {
        let error = load_bytes(&dense(&tensor("w", &dims, &[0.5; 6]), &[1, 2])).expect_err("a wrong size");
        assert!(matches!(&error, ImportError::Tensor { tensor, .. } if tensor == "w"), "{error}");
    }
    for input in [vec![1, 1 << 40], vec![1 << 20, 1 << 20], vec![1, -5]] {
        let error = load_bytes(&dense(&good, &input)).expect_err("a wrong input");
        assert!(matches!(&error, ImportError::Tensor { tensor, .. } if tensor == "x"), "{error}");
    }
}

#[test]
fn bad_weights_are_rejected() {
    for v in [f32::NAN, f32::INFINITY] {
        let error = load_bytes(&dense(&tensor("w", &[2, 3], &[1.0, 2.0, v, 0.0, 1.0, 1.0]), &[1, 2])).expect_err("NaN");
        assert!(error.to_string().contains("'w'"), "{error}");
    }
    let external = Message::default()
        .int(1, 6)
        .int(2, 1)
        .bytes(8, b"w")
        .bytes(13, &Message::default().bytes(1, b"location").bytes(2, b"/etc/passwd").0)
        .int(14, 1);
    let error = load_bytes(&dense(&external, &[1, 6])).expect_err("another file");
    assert!(error.to_string().contains("another file"), "{error}");
}

#[test]
fn missing_outputs_and_cycles_are_rejected() {
    let mut m = Model::default();
    m.node("Relu", &["x"], &[]);
    assert!(load_bytes(&m.clone().finish(&[("x", &[1, 4])], "nothing")).is_err());
    let mut m = Model::default();
    m.node("Add", &["x", "relu_2"], &[]);
    let y = m.node("Relu", &["add_1"], &[]);
    let model = load_bytes(&m.finish(&[("x", &[1, 4])], &y));
    let error = model.and_then(|m| compile(&m, &CompileOptions::default(), None, &mut quiet));
    assert!(error.is_err(), "a cycle");
}

#[test]
fn unknown_operators_are_named() {
    let mut m = Model::default();
    let y = m.node("Frobnicate", &["x"], &[]);
    let model = load_bytes(&m.finish(&[("x", &[1, 4])], &y)).expect("the file itself is sound");
    let error = compile(&model, &CompileOptions::default(), None, &mut quiet).expect_err("unknown");
    let text = error.to_string();
    assert!(text.contains("frobnicate_1") && text.contains("Frobnicate"), "{text}");
    let listed = inspect(&model);
    assert!(!listed.supported());
    assert!(listed.nodes.iter().any(|n| n.op == "Frobnicate" && !n.supported), "{listed:?}");
}

#[test]
fn wrong_calibration_data_is_rejected() {
    let model = load_bytes(&dense(&tensor("w", &[2, 3], &[0.5; 6]), &[1, 2])).expect("it loads");
    let try_with = |s: Vec<Vec<Vec<f32>>>| compile(&model, &CompileOptions::default(), Some(&s), &mut quiet);
    assert!(try_with(vec![vec![vec![1.0, 2.0]]]).is_ok());
    for bad in
        [vec![vec![1.0]], vec![vec![1.0, 2.0, 3.0]], vec![], vec![vec![1.0, f32::NAN]], vec![vec![1.0, f32::INFINITY]]]
    {
        let error = try_with(vec![vec![vec![1.0, 2.0]], bad.clone()]).expect_err("bad data");
        assert!(matches!(error, ImportError::Calibration { sample: 1, .. }), "{bad:?}: {error}");
    }
}

#[test]
fn wrong_inputs_are_rejected() {
    let model = load_bytes(&dense(&tensor("w", &[2, 3], &[0.5; 6]), &[1, 2])).expect("it loads");
    let m = compile(&model, &CompileOptions::default(), None, &mut quiet).expect("it compiles");
    let spec = &m.inputs[0];
    assert!(m.quantize(spec, &[0.1]).is_err());
    let text = m.quantize(spec, &[0.1, f32::NAN]).expect_err("NaN").to_string();
    assert!(text.contains("[0, 1]") && text.contains("NaN"), "{text}");
    assert!(m.quantize(spec, &[f32::INFINITY, 0.0]).is_err());
    let (t, saturated) = m.quantize(spec, &[1e30, -1e30]).expect("finite");
    assert_eq!(saturated, 2);
    assert!(m.eval(&[t]).is_ok());
    assert!(m.quantize(&m.outputs[0], &[0.0; 3]).is_err());
}

#[test]
fn options_are_checked() {
    let model = load_bytes(&dense(&tensor("w", &[2, 3], &[0.5; 6]), &[1, 2])).expect("it loads");
    for o in [
        CompileOptions { weight_bits: Some(1), ..CompileOptions::default() },
        CompileOptions { activation_bits: Some(40), ..CompileOptions::default() },
        CompileOptions { limb_bits: Some(3), ..CompileOptions::default() },
    ] {
        assert!(matches!(compile(&model, &o, None, &mut quiet), Err(ImportError::Option { .. })), "{o:?}");
    }
}
