//! Random models: the integer graph against the float model.

use crate::proto::{Model, float, int, integers, ints, tensor};
use assay_circuits::onnx::{CompileOptions, compile, load_bytes};
use proptest::prelude::*;

/// A layer to append, where it fits.
#[derive(Clone, Debug)]
enum Layer {
    Conv { channels: usize, kernel: usize, stride: usize, pad: usize, depthwise: bool },
    Relu,
    Leaky(u8),
    Sigmoid,
    Silu,
    Skip,
    MaxPool { kernel: usize, stride: usize, pad: usize },
    AveragePool { kernel: usize, pad: usize },
    Scale,
    Shift,
    Transpose,
    Concat,
    Slice,
    Clip,
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        3 => (1..5usize, 1..4usize, 1..3usize, 0..2usize, any::<bool>()).prop_map(|(channels, kernel, stride, pad, depthwise)| {
            Layer::Conv { channels, kernel, stride, pad, depthwise }
        }),
        2 => Just(Layer::Relu),
        1 => (1..6u8).prop_map(Layer::Leaky),
        1 => Just(Layer::Sigmoid),
        1 => Just(Layer::Silu),
        2 => Just(Layer::Skip),
        1 => (2..4usize, 1..3usize, 0..2usize).prop_map(|(kernel, stride, pad)| Layer::MaxPool { kernel, stride, pad }),
        1 => (2..4usize, 0..2usize).prop_map(|(kernel, pad)| Layer::AveragePool { kernel, pad }),
        1 => Just(Layer::Scale),
        1 => Just(Layer::Shift),
        1 => Just(Layer::Transpose),
        1 => Just(Layer::Concat),
        1 => Just(Layer::Slice),
        1 => Just(Layer::Clip),
    ]
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 40) as f32 / (1u32 << 24) as f32) * 2.0 - 1.0
    }

    fn many(&mut self, n: usize, size: f32) -> Vec<f32> {
        (0..n).map(|_| self.next() * size).collect()
    }
}

/// Builds a model on `[1, 2, 7, 6]`; returns the file.
fn build(layers: &[Layer], seed: u64) -> Vec<u8> {
    let mut r = Random(seed);
    let mut m = Model::default();
    let mut shape = [2usize, 7, 6];
    let mut x = "x".to_owned();
    let mut earlier: Vec<(String, [usize; 3])> = vec![];
    for (k, l) in layers.iter().enumerate() {
        let before = (x.clone(), shape);
        let name = |s: &str| format!("{s}{k}");
        match l {
            Layer::Conv { channels, kernel, stride, pad, depthwise } => {
                let fits = |n: usize| n + 2 * pad >= *kernel;
                if !fits(shape[1]) || !fits(shape[2]) {
                    continue;
                }
                let (groups, per_in, out) = if *depthwise { (shape[0], 1, shape[0]) } else { (1, shape[0], *channels) };
                let fan = (per_in * kernel * kernel) as f32;
                let w = r.many(out * per_in * kernel * kernel, 2.0 / fan.sqrt());
                let dims = [out as i64, per_in as i64, *kernel as i64, *kernel as i64];
                m.initializer(&tensor(&name("w"), &dims, &w));
                m.initializer(&tensor(&name("b"), &[out as i64], &r.many(out, 0.5)));
                let at = [
                    ints("strides", &[*stride as i64; 2]),
                    ints("pads", &[*pad as i64; 4]),
                    int("group", groups as i64),
                ];
                x = m.node("Conv", &[&x, &name("w"), &name("b")], &at);
                let size = |n: usize| (n + 2 * pad - kernel) / stride + 1;
                shape = [out, size(shape[1]), size(shape[2])];
            }
            Layer::Relu => x = m.node("Relu", &[&x], &[]),
            Layer::Leaky(a) => x = m.node("LeakyRelu", &[&x], &[float("alpha", f32::from(*a) / 10.0)]),
            Layer::Sigmoid => x = m.node("Sigmoid", &[&x], &[]),
            Layer::Silu => {
                let s = m.node("Sigmoid", &[&x], &[]);
                x = m.node("Mul", &[&x, &s], &[]);
            }
            Layer::Skip => match earlier.iter().rev().find(|e| e.1 == shape && e.0 != x) {
                Some((other, _)) => x = m.node("Add", &[&x, other], &[]),
                None => continue,
            },
            Layer::MaxPool { kernel, stride, pad } => {
                if shape[1] < *kernel || shape[2] < *kernel || *pad >= *kernel {
                    continue;
                }
                let at = [
                    ints("kernel_shape", &[*kernel as i64; 2]),
                    ints("strides", &[*stride as i64; 2]),
                    ints("pads", &[*pad as i64; 4]),
                ];
                x = m.node("MaxPool", &[&x], &at);
                let size = |n: usize| (n + 2 * pad - kernel) / stride + 1;
                shape = [shape[0], size(shape[1]), size(shape[2])];
            }
            Layer::AveragePool { kernel, pad } => {
                if shape[1] < *kernel || shape[2] < *kernel {
                    continue;
                }
                let at = [ints("kernel_shape", &[*kernel as i64; 2]), ints("pads", &[*pad as i64; 4])];
                x = m.node("AveragePool", &[&x], &at);
                shape = [shape[0], shape[1] + 2 * pad - kernel + 1, shape[2] + 2 * pad - kernel + 1];
            }
            Layer::Scale | Layer::Shift => {
                m.initializer(&tensor(&name("c"), &[shape[0] as i64, 1, 1], &r.many(shape[0], 1.5)));
                x = m.node(if matches!(l, Layer::Scale) { "Mul" } else { "Add" }, &[&x, &name("c")], &[]);
            }
            Layer::Transpose => {
                x = m.node("Transpose", &[&x], &[ints("perm", &[0, 1, 3, 2])]);
                shape.swap(1, 2);
            }
            Layer::Concat => {
                let Some((other, _)) = earlier.iter().rev().find(|e| e.1 == shape && shape[0] < 5) else { continue };
                x = m.node("Concat", &[other, &x], &[int("axis", 1)]);
                shape[0] *= 2;
            }
            Layer::Slice => {
                if shape[1] < 3 {
                    continue;
                }
                for (tag, v) in [("s", 1), ("e", shape[1] as i64), ("a", 2), ("t", 2)] {
                    m.initializer(&integers(&name(tag), &[v]));
                }
                x = m.node("Slice", &[&x, &name("s"), &name("e"), &name("a"), &name("t")], &[]);
                shape[1] /= 2;
            }
            Layer::Clip => {
                m.initializer(&tensor(&name("lo"), &[], &[-0.5]));
                m.initializer(&tensor(&name("hi"), &[], &[1.5]));
                x = m.node("Clip", &[&x, &name("lo"), &name("hi")], &[]);
            }
        }
        earlier.push(before);
    }
    let n = shape.iter().product::<usize>();
    let flat = m.node("Flatten", &[&x], &[]);
    m.initializer(&tensor("w", &[n as i64, 3], &r.many(n * 3, 2.0 / (n as f32).sqrt())));
    m.initializer(&tensor("b", &[3], &r.many(3, 0.5)));
    let y = m.node("Gemm", &[&flat, "w", "b"], &[]);
    m.finish(&[("x", &[1, 2, 7, 6])], &y)
}

/// How far the integer graph is from the float model on the samples that it was calibrated on, and what is allowed.
fn follows(layers: &[Layer], seed: u64, private: bool) -> Result<(), TestCaseError> {
    let model = load_bytes(&build(layers, seed)).expect("the writer writes valid files");
    let mut r = Random(seed ^ 99);
    let samples: Vec<Vec<Vec<f32>>> = (0..6).map(|_| vec![r.many(84, 1.5)]).collect();
    let options = CompileOptions {
        weight_bits: Some(12),
        activation_bits: Some(12),
        private_output: private,
        ..CompileOptions::default()
    };
    let m =
        compile(&model, &options, Some(&samples), &mut |_, _, _| {}).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let mut size = 0.0f32;
    let mut worst = 0.0f32;
    for s in &samples {
        let want = model.run(s).expect("the float model runs").remove(0);
        let (q, _) = m.quantize_all(s).expect("finite");
        let out = m.eval(&q).expect("evaluates").outputs(&m.graph);
        let got = m.dequantize(&m.outputs[0], &out[0]).expect("its shape");
        for (g, w) in got.iter().zip(&want) {
            worst = worst.max((g - w).abs());
            size = size.max(w.abs());
        }
    }
    prop_assert!(worst <= 0.01 * size + 0.002, "error {} at size {}: {:?}", worst, size, m.report);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(128), ..ProptestConfig::default() })]

    #[test]
    fn random_models_follow_the_float_model(layers in prop::collection::vec(layer(), 1..9), seed in any::<u64>(), private in any::<bool>()) {
        follows(&layers, seed, private)?;
    }
}

/// As many cases as `PROPTEST_CASES` asks for, or `default`.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Found by chance: what comes out is small beside what the last layers add up.
#[test]
fn a_small_map_of_few_values_follows_the_float_model() {
    let conv = |kernel, stride| Layer::Conv { channels: 1, kernel, stride, pad: 1, depthwise: true };
    let layers = [Layer::Shift, conv(3, 1), Layer::Relu, conv(1, 2), Layer::MaxPool { kernel: 3, stride: 1, pad: 1 }];
    follows(&layers, 9_795_565_390_737_824_740, false).expect("within the bound");
}

/// Found by chance: a factor that is tiny for one channel, and no part of the weights, had the channel take all steps of what it
/// multiplies.
#[test]
fn a_tiny_factor_of_its_own_follows_the_float_model() {
    let turned = [
        Layer::Conv { channels: 1, kernel: 3, stride: 1, pad: 0, depthwise: true },
        Layer::Transpose,
        Layer::Scale,
        Layer::MaxPool { kernel: 2, stride: 1, pad: 0 },
    ];
    follows(&turned, 6_301_019_791_861_033_602, false).expect("within the bound");
    let layers = [
        Layer::Conv { channels: 4, kernel: 2, stride: 1, pad: 0, depthwise: false },
        Layer::Relu,
        Layer::Scale,
        Layer::Transpose,
    ];
    follows(&layers, 4_150_332_641_848_710_772, false).expect("within the bound");
}
