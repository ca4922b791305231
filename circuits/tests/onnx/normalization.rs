//! Normalization of rows that hardly differ from a constant: their spread, not the tensor's range, decides the steps.

use crate::proto::{Model, float, int, ints, tensor};
use assay_circuits::{
    Program, Visibility,
    model::Model as Compiled,
    onnx::{CompileOptions, compile, load_bytes},
};

const WIDTH: usize = 8;

fn made(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / f64::from(1u32 << 23) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// `(x - mean) / sqrt(variance + eps)` of every row, in doubles.
fn layer_norm(x: &[f32], width: usize, eps: f64) -> Vec<f64> {
    let row = |r: &[f32]| {
        let mean = r.iter().map(|v| f64::from(*v)).sum::<f64>() / width as f64;
        let variance = r.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / width as f64;
        r.iter().map(|v| (f64::from(*v) - mean) / (variance + eps).sqrt()).collect::<Vec<_>>()
    };
    x.chunks(width).flat_map(row).collect()
}

/// Normalizes the rows of `x`, or of `x` times the unit matrix, by the operator or in primitives.
fn file(operator: bool, product: bool, shape: &[i64; 3], eps: f32) -> Vec<u8> {
    let width = shape[2] as usize;
    let mut m = Model::default();
    m.initializer(&tensor("eps", &[], &[eps]));
    m.initializer(&tensor("two", &[], &[2.0]));
    m.initializer(&tensor("gain", &[shape[2]], &vec![1.0; width]));
    let x = if product {
        let unit: Vec<f32> = (0..width * width).map(|i| f32::from(u8::from(i / width == i % width))).collect();
        m.initializer(&tensor("unit", &[shape[2], shape[2]], &unit));
        m.node("MatMul", &["x", "unit"], &[])
    } else {
        "x".to_owned()
    };
    let at = [ints("axes", &[-1]), int("keepdims", 1)];
    let y = if operator {
        m.node("LayerNormalization", &[&x, "gain"], &[int("axis", -1), float("epsilon", eps)])
    } else {
        let mean = m.node("ReduceMean", &[&x], &at);
        let d = m.node("Sub", &[&x, &mean], &[]);
        let square = m.node("Pow", &[&d, "two"], &[]);
        let variance = m.node("ReduceMean", &[&square], &at);
        let v = m.node("Add", &[&variance, "eps"], &[]);
        let root = m.node("Sqrt", &[&v], &[]);
        m.node("Div", &[&d, &root], &[])
    };
    m.finish(&[("x", shape)], &y)
}

fn compiled(file: &[u8], samples: &[Vec<Vec<f32>>]) -> Compiled {
    let model = load_bytes(file).expect("the writer writes valid files");
    let m =
        compile(&model, &CompileOptions::default(), Some(samples), &mut |_, _, _| {}).unwrap_or_else(|e| panic!("{e}"));
    Program::inference(&m.graph, 1, Visibility::default()).expect("it can be laid out");
    m
}

/// The largest error over all samples, and where it is.
fn error(m: &Compiled, samples: &[Vec<Vec<f32>>], width: usize, eps: f64) -> (f64, String) {
    let mut worst = (0.0, String::new());
    for (k, s) in samples.iter().enumerate() {
        let (q, _) = m.quantize_all(s).expect("finite");
        let out = m.eval(&q).expect("evaluates").outputs(&m.graph);
        let got = m.dequantize(&m.outputs[0], &out[0]).expect("its shape");
        for (i, (g, w)) in got.iter().zip(layer_norm(&s[0], width, eps)).enumerate() {
            let e = (f64::from(*g) - w).abs();
            if e > worst.0 {
                worst = (e, format!("sample {k}, row {}, entry {}: {g}, expected {w}", i / width, i % width));
            }
        }
    }
    worst
}

/// Rows of each kind: their mean and spread.
fn rows(kinds: &[(f64, f64)], samples: usize, width: usize) -> Vec<Vec<Vec<f32>>> {
    let sample = |k: usize| {
        let noise = made(kinds.len() * width, k as u64 + 1);
        let value = |(i, v): (usize, &f64)| (kinds[i / width].0 + kinds[i / width].1 * v) as f32;
        vec![noise.iter().enumerate().map(value).collect()]
    };
    (0..samples).map(sample).collect()
}

/// What a row is like, its rows' means and spreads, epsilon, and what its error may be.
type Case<'a> = (&'a str, &'a [(f64, f64)], f32, f64);

#[test]
fn nearly_constant_rows_are_normalized_as_floats_are() {
    let cases: [Case; 7] = [
        ("ordinary", &[(0.0, 1.0), (0.5, 2.0)], 1e-5, 0.05),
        ("constant beside ordinary", &[(0.0, 1.0), (0.7, 0.0), (-2.0, 0.0)], 1e-5, 0.05),
        ("all constant", &[(0.7, 0.0), (-2.0, 0.0)], 1e-5, 0.05),
        ("nearly constant beside ordinary", &[(0.0, 2.0), (0.7, 0.01)], 1e-5, 0.05),
        ("below epsilon", &[(0.0, 2.0), (0.7, 0.002)], 1e-5, 0.05),
        ("tiny epsilon", &[(0.0, 2.0), (0.7, 0.01)], 1e-12, 0.05),
        ("a large mean", &[(100.0, 1.0), (-100.0, 0.5)], 1e-5, 0.05),
    ];
    let mut failed = Vec::new();
    for (what, kinds, eps, tolerance) in cases {
        let shape = [1, kinds.len() as i64, WIDTH as i64];
        let samples = rows(kinds, 24, WIDTH);
        for (operator, product) in [(true, false), (false, false), (true, true), (false, true)] {
            let m = compiled(&file(operator, product, &shape, eps), &samples);
            let (e, at) = error(&m, &samples, WIDTH, f64::from(eps));
            let widths = (m.report.weight_bits, m.report.activation_bits);
            eprintln!("{what}, operator {operator}, product {product}, {widths:?}: {e:.4} at {at}");
            if e > tolerance {
                failed.push(format!("{what}, operator {operator}, product {product}: {e} at {at}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
