//! What converters and quantizers write: what is refused of it, and what the report says.

use crate::proto::{Message, Model, int, tensor};
use assay_circuits::onnx::{CompileOptions, ImportError, compile, inspect, load_bytes};

fn bytes_of(name: &str, dims: &[i64], data: &[i8]) -> Message {
    let raw: Vec<u8> = data.iter().map(|v| *v as u8).collect();
    let m = dims.iter().fold(Message::default(), |m, d| m.int(1, *d));
    m.int(2, 3).bytes(8, name.as_bytes()).bytes(9, &raw)
}

/// `DynamicQuantizeLinear`, `MatMulInteger`, `Cast`, `Mul` on `[2, 3]`, with the output that `pick` names of its nodes.
fn dynamic(pick: &str) -> Vec<u8> {
    let node = |op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]| {
        let m = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i.as_bytes()));
        let m = outputs.iter().fold(m, |m, o| m.bytes(2, o.as_bytes()));
        let m = m.bytes(3, op.to_lowercase().as_bytes()).bytes(4, op.as_bytes());
        attributes.iter().fold(m, |m, a| m.bytes(5, &a.0))
    };
    let nodes = [
        node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[]),
        node("MatMulInteger", &["q", "w", "z"], &["a"], &[]),
        node("Cast", &["a"], &["f"], &[int("to", 1)]),
        node("Mul", &["f", "s"], &["y"], &[]),
    ];
    let mut g = nodes.iter().fold(Message::default(), |g, n| g.bytes(1, &n.0));
    g = g.bytes(5, &bytes_of("w", &[3, 2], &[100, -50, 7, 0, -128, 127]).0);
    let shape = [2, 3].iter().fold(Message::default(), |m, d| m.bytes(1, &Message::default().int(1, *d).0));
    let kind = Message::default().int(1, 1).bytes(2, &shape.0);
    let x = Message::default().bytes(1, b"x").bytes(2, &Message::default().bytes(1, &kind.0).0);
    let g = g.bytes(2, b"test").bytes(11, &x.0).bytes(12, &Message::default().bytes(1, pick.as_bytes()).0);
    Message::default().int(1, 8).bytes(8, &Message::default().int(2, 17).0).bytes(7, &g.0).0
}

#[test]
fn a_dynamically_quantized_product_is_the_product_with_its_weights() {
    let model = load_bytes(&dynamic("y")).expect("it is valid");
    assert!(inspect(&model).supported(), "{:?}", inspect(&model));
    assert!(model.notes.iter().any(|n| n.contains("1 dynamically quantized")), "{:?}", model.notes);
    let x = vec![0.5f32, -1.0, 0.25, 2.0, 0.0, -0.75];
    let got = model.run(std::slice::from_ref(&x)).expect("it runs");
    let w = [100.0f32, -50.0, 7.0, 0.0, -128.0, 127.0];
    let want: Vec<f32> = (0..4).map(|i| (0..3).map(|k| x[i / 2 * 3 + k] * w[2 * k + i % 2]).sum::<f32>()).collect();
    assert_eq!(got, [want]);
}

#[test]
fn integers_of_dynamic_quantization_that_are_seen_are_refused_by_name() {
    // The quantized tensor itself, accumulators in its units, and its scale.
    for pick in ["q", "a", "s"] {
        let model = load_bytes(&dynamic(pick)).expect("it is valid");
        let e = compile(&model, &CompileOptions::default(), None, &mut |_, _, _| {})
            .expect_err("the scale depends on data");
        let ImportError::Unsupported { node, op, .. } = &e else { panic!("{e}") };
        assert_eq!((node.as_str(), op.as_str()), ("dynamicquantizelinear", "DynamicQuantizeLinear"), "{e}");
    }
}

#[test]
fn integer_outputs_are_compared() {
    // A cast to int64 makes a tensor that the engine holds as numbers of another kind.
    let mut m = Model::default();
    m.initializer(&tensor("c", &[1], &[3.0]));
    let whole = m.node("Floor", &["x"], &[]);
    let y = m.node("Mul", &[&whole, "c"], &[]);
    let y = m.node("Cast", &[&y], &[int("to", 7)]);
    let model = load_bytes(&m.finish(&[("x", &[1, 4])], &y)).expect("it is valid");
    let samples: Vec<Vec<Vec<f32>>> =
        (0..20).map(|k| vec![(0..4).map(|i| (k * 7 + i * 13) as f32 % 29.0 + 0.5).collect()]).collect();
    let made = compile(&model, &CompileOptions::default(), Some(&samples), &mut |_, _, _| {}).expect("it compiles");
    let report = &made.report.outputs[0];
    assert_eq!(report.range, 84.0, "{report:?}");
    assert!(made.report.passes(), "{report:?}");
}

#[test]
fn decisions_that_the_float_model_leaves_open_agree_with_either() {
    // Two outputs that differ by a hundredth of what they have in common are told apart by no width; a tenth is.
    let margins = |step: f32| {
        let mut m = Model::default();
        m.initializer(&tensor("w", &[1, 2], &[1.0, 1.0]));
        m.initializer(&tensor("b", &[1, 2], &[0.0, step]));
        let y = m.node("MatMul", &["x", "w"], &[]);
        let y = m.node("Add", &[&y, "b"], &[]);
        let y = m.node("Tanh", &[&y], &[]);
        let model = load_bytes(&m.finish(&[("x", &[1, 1])], &y)).expect("it is valid");
        let samples: Vec<Vec<Vec<f32>>> = (0..64).map(|k| vec![vec![k as f32 / 32.0 - 1.0]]).collect();
        let options = CompileOptions { weight_bits: Some(8), activation_bits: Some(6), ..CompileOptions::default() };
        compile(&model, &options, Some(&samples), &mut |_, _, _| {}).expect("it compiles").report.top1()
    };
    assert!(margins(2e-3) > 0.99, "ties: {}", margins(2e-3));
    assert!(margins(1.5e-2) < 0.99, "decisions that six bits lose: {}", margins(1.5e-2));
}
