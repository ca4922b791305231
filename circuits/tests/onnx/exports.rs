//! What converters and quantizers write: what is refused of it, and what the report says.

use crate::{
    proto::{Message, Model, int, raw, tensor},
    rng::Rng,
};
use assay_circuits::onnx::{CompileOptions, ImportError, compile, inspect, load_bytes};

fn bytes_of(name: &str, dims: &[i64], data: &[i8]) -> Message {
    raw(name, dims, 3, &data.iter().map(|v| *v as u8).collect::<Vec<_>>())
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

/// Sums and products of integers of 16 bits are those of real numbers, rounded to the nearest integer but for a sixteenth of one and
/// clamped to the type, for whatever scales, zero points and shapes that broadcast.
#[test]
fn sums_and_products_of_16_bits_are_the_nearest_integers() {
    let mut rng = Rng(91);
    let mut inside = 0;
    for k in 0..24 {
        let op = if k % 2 == 0 { "Add" } else { "Mul" };
        let signed = k % 3 == 0;
        let (kind, lo, hi) = if signed { (5, -32768, 32767) } else { (4, 0, 65535) };
        let mut scales: Vec<f32> =
            (0..3).map(|_| (1.0 + rng.below(999) as f32 / 999.0) / (1 << rng.below(9)) as f32).collect();
        let zeros: Vec<i64> = (0..3).map(|_| rng.within(lo, hi)).collect();
        if op == "Mul" {
            // Products in the units that make use of the type.
            scales[2] = scales[0] * scales[1] * 32768.0;
        }
        let mut m = Model::default();
        for (i, name) in ["x", "y", "z"].iter().enumerate() {
            m.initializer(&tensor(&format!("{name}_scale"), &[], &[scales[i]]));
            m.initializer(&raw(&format!("{name}_zero"), &[], kind, &(zeros[i] as i16).to_le_bytes()));
        }
        let part = |m: &mut Model, value: &str, name: &str| {
            let (scale, zero) = (format!("{name}_scale"), format!("{name}_zero"));
            let q = m.node("QuantizeLinear", &[value, &scale, &zero], &[]);
            m.node("DequantizeLinear", &[&q, &scale, &zero], &[])
        };
        let (x, y) = (part(&mut m, "x", "x"), part(&mut m, "y", "y"));
        let z = m.node(op, &[&x, &y], &[]);
        let z = part(&mut m, &z, "z");
        let (a, b) = (1 + rng.below(3), 1 + rng.below(5));
        let (a, b) = (a as i64, b as i64);
        let other: [i64; 2] = if k % 4 < 2 { [1, b] } else { [a, 1] };
        let float = load_bytes(&m.finish(&[("x", &[a, b]), ("y", &other)], &z)).expect("it is valid");
        let count = |s: &[i64]| s.iter().product::<i64>() as usize;
        let mut draw = |n: usize| -> Vec<i64> { (0..n).map(|_| rng.within(lo, hi)).collect() };
        let integers: Vec<[Vec<i64>; 2]> = (0..20).map(|_| [draw(count(&[a, b])), draw(count(&other))]).collect();
        let real = |i: usize, v: i64| (v - zeros[i]) as f32 * scales[i];
        let samples: Vec<Vec<Vec<f32>>> = integers
            .iter()
            .map(|both| (0..2).map(|i| both[i].iter().map(|v| real(i, *v)).collect()).collect())
            .collect();
        let model =
            compile(&float, &CompileOptions::default(), Some(&samples), &mut |_, _, _| {}).expect("it compiles");
        for (both, sample) in integers.iter().zip(&samples) {
            let (q, _) = model.quantize_all(sample).expect("finite");
            let out = model.eval(&q).expect("it runs").outputs(&model.graph);
            let got = model.outputs[0].dequantize(&out[0]).expect("its shape");
            for (i, got) in got.iter().enumerate() {
                let (row, column) = (i / b as usize, i % b as usize);
                let j = if k % 4 < 2 { column } else { row };
                let (x, y) = (
                    f64::from(scales[0]) * (both[0][i] - zeros[0]) as f64,
                    f64::from(scales[1]) * (both[1][j] - zeros[1]) as f64,
                );
                let exact = if op == "Add" { x + y } else { x * y } / f64::from(scales[2]) + zeros[2] as f64;
                let got = f64::from(*got) / f64::from(scales[2]) + zeros[2] as f64;
                let clamped = exact.clamp(lo as f64, hi as f64);
                inside += usize::from(clamped == exact);
                assert!((got - clamped).abs() < 0.5 + 0.13, "{op} {scales:?} {zeros:?}: {got} for {exact}");
            }
        }
    }
    assert!(inside > 300, "{inside}");
}

/// Entries that are the largest of their window are found exactly: as many as the integers have, and no comparison of others.
#[test]
fn peaks_are_where_the_integers_have_them() {
    let mut m = Model::default();
    m.initializer(&tensor("w", &[1, 1, 1, 1], &[0.7]));
    let h = m.node("Conv", &["x", "w"], &[]);
    let h = m.node("Sigmoid", &[&h], &[]);
    let window = [crate::proto::ints("kernel_shape", &[3, 3]), crate::proto::ints("pads", &[1, 1, 1, 1])];
    let top = m.node("MaxPool", &[&h], &window);
    let y = m.node("Equal", &[&h, &top], &[]);
    let y = m.node("Cast", &[&y], &[int("to", 1)]);
    let float = load_bytes(&m.finish(&[("x", &[1, 1, 5, 6])], &y)).expect("it is valid");
    let mut rng = Rng(17);
    let samples: Vec<Vec<Vec<f32>>> =
        (0..40).map(|_| vec![(0..30).map(|_| rng.within(-3000, 3000) as f32 / 1000.0).collect()]).collect();
    let model = compile(&float, &CompileOptions::default(), Some(&samples), &mut |_, _, _| {}).expect("it compiles");
    let mut peaks = 0;
    for sample in &samples {
        let (q, _) = model.quantize_all(sample).expect("finite");
        let out = model.eval(&q).expect("it runs").outputs(&model.graph);
        let got = model.outputs[0].dequantize(&out[0]).expect("its shape");
        let x = &q[0].data;
        for (i, got) in got.iter().enumerate() {
            let (row, column) = (i / 6, i % 6);
            let near = (row.saturating_sub(1)..(row + 2).min(5))
                .flat_map(|r| (column.saturating_sub(1)..(column + 2).min(6)).map(move |c| r * 6 + c));
            let top = near.map(|k| x[k]).max().expect("itself");
            // Entries that rounding after the sigmoid made equal to the largest are peaks as well; the largest always is.
            assert!(*got == 0.0 || *got == 1.0);
            if x[i] == top {
                assert_eq!(*got, 1.0, "{i}");
                peaks += 1;
            } else if x[i] + 64 < top {
                assert_eq!(*got, 0.0, "{i}: {} of {top}", x[i]);
            }
        }
    }
    assert!(peaks > 150, "{peaks}");
    // Maxima of another tensor, and of a rounded copy, are not compared.
    let mut m = Model::default();
    let h = m.node("Sigmoid", &["x"], &[]);
    let top = m.node("MaxPool", &["x"], &window);
    let y = m.node("Equal", &[&h, &top], &[]);
    let y = m.node("Cast", &[&y], &[int("to", 1)]);
    let float = load_bytes(&m.finish(&[("x", &[1, 1, 5, 6])], &y)).expect("it is valid");
    let e =
        compile(&float, &CompileOptions::default(), Some(&samples), &mut |_, _, _| {}).expect_err("not its own maxima");
    assert!(matches!(&e, ImportError::Unsupported { op, .. } if op == "Equal"), "{e}");
}
