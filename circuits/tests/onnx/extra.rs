//! Operators beyond the zoo, and the shape of what is generated: how many lookups, tables and weights.

use crate::proto::{Message, Model, float, int, integers, ints, tensor};
use assay_circuits::{
    Op, Program, Visibility,
    model::Model as Compiled,
    onnx::{CompileOptions, ImportError, compile, load_bytes},
};

const SHAPE: &[i64] = &[1, 2, 4, 3];

fn samples(count: usize) -> Vec<Vec<Vec<f32>>> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| vec![(0..24).map(|_| next()).collect()]).collect()
}

/// Compiles a model of one input `x` of [`SHAPE`], and checks every output to within `tolerance`.
fn check(file: &[u8], tolerance: f32) -> Compiled {
    let model = load_bytes(file).expect("the writer writes valid files");
    let options = CompileOptions { weight_bits: Some(12), activation_bits: Some(12), ..CompileOptions::default() };
    let samples = samples(8);
    let m = compile(&model, &options, Some(&samples), &mut |_, _, _| {}).unwrap_or_else(|e| panic!("{e}"));
    Program::inference(&m.graph, 2, Visibility::default()).expect("it can be laid out");
    for s in &samples {
        let want = model.run(s).expect("the float model runs");
        let (q, _) = m.quantize_all(s).expect("finite");
        let out = m.eval(&q).expect("evaluates").outputs(&m.graph);
        assert_eq!(out.len(), want.len());
        for ((spec, t), want) in m.outputs.iter().zip(&out).zip(&want) {
            let got = m.dequantize(spec, t).expect("its shape");
            let worst = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
            assert!(worst <= tolerance, "output {}: error {worst}", spec.name);
        }
    }
    m
}

fn count(m: &Compiled, pick: impl Fn(&Op) -> bool) -> usize {
    m.graph.nodes().iter().filter(|n| pick(&n.op)).count()
}

fn lookups(m: &Compiled) -> usize {
    count(m, |op| matches!(op, Op::Lookup(_)))
}

fn unary(op: &str, attributes: &[Message], tolerance: f32) -> Compiled {
    let mut m = Model::default();
    let y = m.node(op, &["x"], attributes);
    check(&m.finish(&[("x", SHAPE)], &y), tolerance)
}

fn ramp(n: usize, from: f32, step: f32) -> Vec<f32> {
    (0..n).map(|i| from + step * i as f32).collect()
}

#[test]
fn gathers_at_constant_positions() {
    for positions in [vec![1], vec![3, 2, 0], vec![0, 1, 3, 3, 1], vec![-1, -3]] {
        let mut m = Model::default();
        m.initializer(&integers("i", &positions));
        let y = m.node("Gather", &["x", "i"], &[int("axis", 2)]);
        assert_eq!(lookups(&check(&m.finish(&[("x", SHAPE)], &y), 0.001)), 0, "{positions:?}");
    }
}

#[test]
fn reductions() {
    for op in ["ReduceMax", "ReduceMin", "ReduceMean", "ReduceSumSquare"] {
        unary(op, &[ints("axes", &[2, 3]), int("keepdims", 1)], 0.02);
    }
    unary("GlobalMaxPool", &[], 0.005);
}

#[test]
fn maxima_minima_and_quotients_of_tensors() {
    for op in ["Max", "Min"] {
        let mut m = Model::default();
        let a = m.node("Neg", &["x"], &[]);
        let b = m.node("Transpose", &["x"], &[ints("perm", &[0, 1, 2, 3])]);
        m.initializer(&tensor("c", &[2, 1, 1], &[0.25, -0.5]));
        let b = m.node("Mul", &[&b, "c"], &[]);
        let y = m.node(op, &[&a, &b], &[]);
        check(&m.finish(&[("x", SHAPE)], &y), 0.01);
        let mut m = Model::default();
        m.initializer(&tensor("c", &[2, 1, 1], &[0.25, -0.5]));
        let y = m.node(op, &["x", "c"], &[]);
        check(&m.finish(&[("x", SHAPE)], &y), 0.01);
    }
    let mut m = Model::default();
    m.initializer(&tensor("c", &[2, 1, 1], &[0.25, -0.5]));
    let scaled = m.node("Mul", &["x", "c"], &[]);
    let s = m.node("Exp", &["x"], &[]);
    let y = m.node("Div", &[&scaled, &s], &[]);
    check(&m.finish(&[("x", SHAPE)], &y), 0.01);
}

#[test]
fn layer_normalization_from_primitives() {
    let mut m = Model::default();
    m.initializer(&tensor("two", &[], &[2.0]));
    m.initializer(&tensor("eps", &[], &[1e-3]));
    m.initializer(&tensor("gain", &[3], &[0.5, 1.0, 1.5]));
    m.initializer(&tensor("bias", &[3], &[0.1, 0.0, -0.1]));
    let at = [ints("axes", &[-1]), int("keepdims", 1)];
    let mean = m.node("ReduceMean", &["x"], &at);
    let d = m.node("Sub", &["x", &mean], &[]);
    let square = m.node("Pow", &[&d, "two"], &[]);
    let variance = m.node("ReduceMean", &[&square], &at);
    let v = m.node("Add", &[&variance, "eps"], &[]);
    let root = m.node("Sqrt", &[&v], &[]);
    let n = m.node("Div", &[&d, &root], &[]);
    let g = m.node("Mul", &[&n, "gain"], &[]);
    let y = m.node("Add", &[&g, "bias"], &[]);
    check(&m.finish(&[("x", SHAPE)], &y), 0.12);
}

#[test]
fn expansion_and_split() {
    let mut m = Model::default();
    m.initializer(&integers("shape", &[1, 2, 4, 3]));
    let mean = m.node("ReduceMean", &["x"], &[ints("axes", &[2]), int("keepdims", 1)]);
    let wide = m.node("Expand", &[&mean, "shape"], &[]);
    let y = m.node("Sub", &["x", &wide], &[]);
    assert_eq!(lookups(&check(&m.finish(&[("x", SHAPE)], &y), 0.002)), 0);
}

/// A convolution that keeps the shape, with a bias.
fn conv(m: &mut Model, x: &str, tag: &str) -> String {
    let (w, b) = (format!("w{tag}"), format!("b{tag}"));
    m.initializer(&tensor(&w, &[2, 2, 3, 3], &ramp(36, -0.4, 0.023)));
    m.initializer(&tensor(&b, &[2], &[0.3, -0.2]));
    m.node("Conv", &[x, &w, &b], &[ints("pads", &[1; 4])])
}

#[test]
fn a_residual_block_needs_two_lookups_and_one_table() {
    let mut m = Model::default();
    let a = conv(&mut m, "x", "0");
    let a = m.node("Relu", &[&a], &[]);
    let b = conv(&mut m, &a, "1");
    let s = m.node("Add", &[&b, &a], &[]);
    let r = m.node("Relu", &[&s], &[]);
    let y = conv(&mut m, &r, "2");
    let m = check(&m.finish(&[("x", SHAPE)], &y), 0.01);
    assert_eq!(lookups(&m), 2);
    assert_eq!(m.graph.tables().len(), 1, "{:?}", m.graph.tables().iter().map(|t| &t.name).collect::<Vec<_>>());
}

#[test]
fn composed_activations_are_one_lookup() {
    // x * sigmoid(x), x * relu6(x + 3) / 6, and 0.5 x (1 + tanh(0.8 (x + 0.04 x^3))), each behind a convolution.
    let mut silu = Model::default();
    let c = conv(&mut silu, "x", "0");
    let s = silu.node("Sigmoid", &[&c], &[]);
    let y = silu.node("Mul", &[&c, &s], &[]);
    assert_eq!(lookups(&check(&silu.finish(&[("x", SHAPE)], &y), 0.005)), 1);

    let mut swish = Model::default();
    for (name, v) in [("three", 3.0), ("zero", 0.0), ("six", 6.0)] {
        swish.initializer(&tensor(name, &[], &[v]));
    }
    let c = conv(&mut swish, "x", "0");
    let s = swish.node("Add", &[&c, "three"], &[]);
    let s = swish.node("Clip", &[&s, "zero", "six"], &[]);
    let s = swish.node("Mul", &[&c, &s], &[]);
    let y = swish.node("Div", &[&s, "six"], &[]);
    assert_eq!(lookups(&check(&swish.finish(&[("x", SHAPE)], &y), 0.005)), 1);

    let mut gelu = Model::default();
    for (name, v) in [("cube", 0.04), ("outer", 0.8), ("one", 1.0), ("half", 0.5)] {
        gelu.initializer(&tensor(name, &[], &[v]));
    }
    let c = conv(&mut gelu, "x", "0");
    let q = gelu.node("Mul", &[&c, &c], &[]);
    let q = gelu.node("Mul", &[&q, &c], &[]);
    let q = gelu.node("Mul", &[&q, "cube"], &[]);
    let q = gelu.node("Add", &[&c, &q], &[]);
    let q = gelu.node("Mul", &[&q, "outer"], &[]);
    let q = gelu.node("Tanh", &[&q], &[]);
    let q = gelu.node("Add", &[&q, "one"], &[]);
    let q = gelu.node("Mul", &[&q, &c], &[]);
    let y = gelu.node("Mul", &[&q, "half"], &[]);
    assert_eq!(lookups(&check(&gelu.finish(&[("x", SHAPE)], &y), 0.005)), 1);
}

#[test]
fn constants_behind_a_product_are_folded() {
    let mut m = Model::default();
    let flat = m.node("Flatten", &["x"], &[]);
    m.initializer(&tensor("w", &[24, 5], &ramp(120, -0.6, 0.01)));
    m.initializer(&tensor("g", &[5], &[1.0, -2.0, 0.5, 3.0, 0.1]));
    m.initializer(&tensor("b", &[5], &[0.1, 0.2, 0.3, 0.4, 0.5]));
    m.initializer(&tensor("s", &[], &[0.7]));
    let y = m.node("MatMul", &[&flat, "w"], &[]);
    let y = m.node("Add", &[&y, "b"], &[]);
    let y = m.node("Mul", &[&y, "g"], &[]);
    let y = m.node("Sub", &["s", &y], &[]);
    let m = check(&m.finish(&[("x", SHAPE)], &y), 0.02);
    assert_eq!(lookups(&m), 0);
    assert_eq!(count(&m, |op| matches!(op, Op::Contraction(_))), 1);
    assert_eq!(m.weights.len(), 2);
}

#[test]
fn means_are_free() {
    let mut m = Model::default();
    let c = conv(&mut m, "x", "0");
    let r = m.node("Relu", &[&c], &[]);
    let p = m.node("GlobalAveragePool", &[&r], &[]);
    let f = m.node("Flatten", &[&p], &[]);
    m.initializer(&tensor("w", &[2, 3], &ramp(6, -1.0, 0.4)));
    let y = m.node("MatMul", &[&f, "w"], &[]);
    assert_eq!(lookups(&check(&m.finish(&[("x", SHAPE)], &y), 0.005)), 1);
}

#[test]
fn leaky_relus_of_several_layers_work() {
    let mut m = Model::default();
    let mut x = "x".to_owned();
    for tag in ["0", "1", "2"] {
        x = conv(&mut m, &x, tag);
        x = m.node("LeakyRelu", &[&x], &[float("alpha", 0.1)]);
    }
    assert_eq!(lookups(&check(&m.finish(&[("x", SHAPE)], &x), 0.01)), 3);
}

#[test]
fn compiling_twice_gives_the_same_model() {
    let mut m = Model::default();
    let c = conv(&mut m, "x", "0");
    let p = m.node("MaxPool", &[&c], &[ints("kernel_shape", &[2, 2])]);
    let y = m.node("Sigmoid", &[&p], &[]);
    let file = m.finish(&[("x", SHAPE)], &y);
    let build = || {
        let model = load_bytes(&file).expect("it loads");
        compile(&model, &CompileOptions::default(), None, &mut |_, _, _| {}).expect("it compiles")
    };
    let (a, b) = (build(), build());
    assert_eq!(a.to_bytes().expect("encodes"), b.to_bytes().expect("encodes"));
    assert!(a.report.generated);
    assert!(a.report.notes.iter().any(|n| n.contains("no calibration data")), "{:?}", a.report.notes);
}

#[test]
fn a_power_of_two_tensors_is_composed_and_what_cannot_be_is_refused_with_help() {
    let mut m = Model::default();
    let t = m.node("Transpose", &["x"], &[ints("perm", &[0, 1, 2, 3])]);
    m.initializer(&tensor("c", &[1, 1, 1, 3], &[0.5, 1.0, 2.0]));
    let a = m.node("Mul", &[&t, "c"], &[]);
    let y = m.node("Pow", &[&a, &t], &[]);
    let model = load_bytes(&m.finish(&[("x", SHAPE)], &y)).expect("it loads");
    let positive: Vec<Vec<Vec<f32>>> =
        samples(4).into_iter().map(|s| vec![s[0].iter().map(|v| v.abs() + 0.1).collect()]).collect();
    assert!(compile(&model, &CompileOptions::default(), Some(&positive), &mut |_, _, _| {}).is_ok());
    let mut m = Model::default();
    m.initializer(&tensor("d", &[1, 1, 1, 3], &[0.5, 1.0, 2.0]));
    let scaled = m.node("Mul", &["x", "d"], &[]);
    let same = m.node("Equal", &[&scaled, "x"], &[]);
    let y = m.node("Cast", &[&same], &[int("to", 1)]);
    let model = load_bytes(&m.finish(&[("x", SHAPE)], &y)).expect("it loads");
    let error = compile(&model, &CompileOptions::default(), Some(&positive), &mut |_, _, _| {})
        .expect_err("equality of floats");
    assert!(matches!(&error, ImportError::Unsupported { op, .. } if op == "Equal"), "{error}");
}
