//! Networks to train, from ONNX files and back: what is read computes what the file computes, and what is written does too.

use assay_circuits::{
    Tensor,
    onnx::{
        self,
        training::{Adapters, trainable},
    },
    train::{Layer, Loss, Network, Spec, reference},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::path::{Path, PathBuf};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

fn digits(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/assets").join(name)
}

/// Networks as exporters write them; `benches/training/networks.py` makes them.
fn networks() -> impl Iterator<Item = (&'static str, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/training_onnx");
    let names = [
        "gelu_written_out",
        "gelu_tanh_written_out",
        "activations",
        "residual_images",
        "transformer_block",
        "attention_block",
    ];
    names.into_iter().map(move |n| (n, folder.join(format!("{n}.onnx"))))
}

fn samples(shape: &[usize], rng: &mut StdRng) -> Vec<f32> {
    (0..shape.iter().product()).map(|_| rng.gen_range(-1.0f32..1.0)).collect()
}

/// The largest difference between two models on a random input.
fn difference(a: &onnx::FloatModel, b: &onnx::FloatModel, rng: &mut StdRng) -> f32 {
    let x: Vec<Vec<f32>> = a.inputs.iter().map(|(_, s)| samples(s, rng)).collect();
    let (a, b) = (a.run(&x).unwrap(), b.run(&x).unwrap());
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(&b).flat_map(|(a, b)| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b)
    });
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn rewritten_files_compute_the_same() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut read = vec![];
    let mut files: Vec<PathBuf> = std::fs::read_dir(models()).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "onnx"));
    files.extend(networks().map(|(_, path)| path));
    files.push(digits("digits_mlp.onnx"));
    files.push(digits("digits_cnn.onnx"));
    files.sort();
    for path in files {
        let Ok((_, Some(network))) = trainable(&path) else { continue };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let original = onnx::load(&path).unwrap();
        let written = onnx::load_bytes(&network.write(&network.weights)).unwrap();
        let d = difference(&original, &written, &mut rng);
        assert!(d < 1e-4, "{name}: {d}");
        // Other weights are other outputs.
        let other: Vec<Vec<f32>> = network.weights.iter().map(|t| t.iter().map(|v| v + 0.5).collect()).collect();
        assert!(difference(&original, &onnx::load_bytes(&network.write(&other)).unwrap(), &mut rng) > 1e-2, "{name}");
        // What is written is read again.
        let file = std::env::temp_dir().join(format!("assay-trainable-{}-{name}.onnx", std::process::id()));
        std::fs::write(&file, network.write(&network.weights)).unwrap();
        let again = trainable(&file).unwrap().1.unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((&again.network, &again.weights), (&network.network, &network.weights), "{name}");
        read.push(name);
    }
    let names = networks().map(|(name, _)| name);
    for name in [
        "digits_mlp",
        "digits_cnn",
        "op_gemm",
        "op_conv2d",
        "op_conv2d_pad",
        "op_conv2d_pad_asymmetric",
        "op_conv2d_stride",
        "op_residual_block",
    ]
    .into_iter()
    .chain(names)
    {
        assert!(read.iter().any(|r| r == name), "{name} is not among {read:?}");
    }
}

/// What has no gradient rule is refused by the node's name, and the others are listed as trainable.
#[test]
fn operators_without_a_rule_are_named() {
    for (file, op) in [
        (models().join("op_conv2d_grouped.onnx"), "Conv"),
        (models().join("op_conv2d_dilation.onnx"), "Conv"),
        (models().join("op_hard_sigmoid.onnx"), "HardSigmoid"),
        (models().join("op_elu.onnx"), "Elu"),
    ] {
        let (rules, network) = trainable(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(network.is_none(), "{}", file.display());
        assert!(rules.iter().any(|r| r.op == op && r.help.is_some()), "{}: {rules:?}", file.display());
    }
    let (rules, _) = trainable(models().join("op_leaky_relu.onnx")).unwrap();
    assert!(rules.iter().all(|r| r.help.is_some() == (r.op == "LeakyRelu")), "{rules:?}");
    assert!(trainable(models().join("op_two_inputs.onnx")).is_err());
    assert!(trainable(models().join("no such file")).is_err());
}

/// One step on one row: only the network matters.
fn one_row(network: Network) -> Spec {
    Spec {
        network,
        loss: Loss::CrossEntropy,
        steps: 1,
        batch_bits: 0,
        rate_bits: 0,
        momentum_bits: None,
        rows: 1,
        seed: [0; 32],
    }
}

/// Weights as the integers of training.
fn fixed(all: &[Vec<f32>], shapes: Vec<Vec<usize>>) -> Vec<Tensor> {
    let one = |(t, s): (&Vec<f32>, Vec<usize>)| {
        Tensor::new(s, t.iter().map(|v| (v * 4096.0).round() as i64).collect()).unwrap()
    };
    all.iter().zip(shapes).map(one).collect()
}

/// The integer network is near the file's network: weights lie where the trainer expects them.
#[test]
fn integers_are_near_the_file() {
    let path = digits("digits_mlp.onnx");
    let network = trainable(&path).unwrap().1.unwrap();
    let float = onnx::load(&path).unwrap();
    let spec = one_row(network.network.clone());
    let weights = fixed(&network.weights, spec.network.weights());
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..20 {
        let x: Vec<f32> = (0..64).map(|_| f32::from(rng.gen_range(0u8..=16)) / 16.0).collect();
        let row: Vec<i64> = x.iter().map(|v| (v * 256.0) as i64).collect();
        let got = reference::infer(&spec, &weights, &row).unwrap();
        let expected = float.run(&[x]).unwrap();
        for (g, e) in got.iter().zip(&expected[0]) {
            assert!((*g as f32 / 256.0 - e).abs() < 0.1, "{got:?}, {expected:?}");
        }
    }
}

/// Number of matrices with adapters.
fn adapted_matrices(layers: &[Layer]) -> usize {
    let one = |l: &Layer| match l {
        Layer::Adapted { .. } => 1,
        Layer::Residual { body, shortcut } => adapted_matrices(body) + adapted_matrices(shortcut),
        _ => 0,
    };
    layers.iter().map(one).sum()
}

/// A block of a transformer with adapters: at the start it is the file's, afterwards what is written has them in its matrices, and the
/// integers follow it.
#[test]
fn adapters_are_written_into_the_matrices() {
    let mut rng = StdRng::seed_from_u64(4);
    for (name, path) in networks().filter(|(n, _)| n.ends_with("_block")) {
        let source = trainable(&path).unwrap().1.unwrap();
        let causal = name == "transformer_block";
        let text = format!("{:?}", source.network.layers);
        assert!(text.contains(&format!("causal: {causal}")), "{name}: {text}");
        let heads = if causal { 2 } else { 3 };
        assert!(text.contains(&format!("heads: {heads}")), "{name}: {text}");
        let original = onnx::load(&path).unwrap();
        let adapt = |nodes: &[String], rank: usize| {
            let adapters = Adapters { rank, scale_bits: 1, nodes: nodes.to_vec() };
            let mut own = StdRng::seed_from_u64(5);
            source.adapt(&adapters, &mut || own.gen_range(-1.0f32..1.0))
        };
        assert!(adapt(&["nobody".to_owned()], 2).unwrap_err().contains("'nobody'"));
        assert!(adapt(&[], 1000).is_err());
        let one = adapt(&source.titles[..1], 2).unwrap();
        assert_eq!(one.weights.len(), 2);
        let mut adapted = adapt(&[], 2).unwrap();
        assert_eq!(
            (adapted.weights.len(), adapted.base.len()),
            (adapted_matrices(&adapted.network.layers) * 2, source.weights.len())
        );
        assert!(difference(&original, &onnx::load_bytes(&adapted.write(&adapted.weights)).unwrap(), &mut rng) < 1e-4);
        for w in &mut adapted.weights {
            w.iter_mut().for_each(|v| *v = rng.gen_range(-0.2f32..0.2));
        }
        let merged = onnx::load_bytes(&adapted.write(&adapted.weights)).unwrap();
        assert!(difference(&original, &merged, &mut rng) > 1e-2, "{name}");
        let network = adapted.network.clone();
        let (weights, base) = (fixed(&adapted.weights, network.weights()), fixed(&adapted.base, network.base()));
        let spec = one_row(network);
        for _ in 0..5 {
            let x: Vec<f32> = samples(&spec.network.input, &mut rng);
            let row: Vec<i64> = x.iter().map(|v| (v * 256.0).round() as i64).collect();
            let got = reference::infer_over(&spec, &weights, &base, &row).unwrap();
            let expected = merged.run(&[x]).unwrap();
            for (g, e) in got.iter().zip(&expected[0]) {
                assert!((*g as f32 / 256.0 - e).abs() < 0.25, "{name}: {got:?}, {expected:?}");
            }
        }
    }
}

/// Weights for standardized data compute on it what the file's weights compute on the data itself, and come back unchanged.
#[test]
fn standardization_moves_in_and_out() {
    let mut rng = StdRng::seed_from_u64(3);
    let path = digits("digits_mlp.onnx");
    let network = trainable(&path).unwrap().1.unwrap();
    let mean: Vec<f32> = (0..64).map(|_| rng.gen_range(-3.0..3.0)).collect();
    let scale: Vec<f32> = (0..64).map(|_| rng.gen_range(0.2..5.0)).collect();
    let mut weights = network.weights.clone();
    network.standardize(&mut weights, &mean, &scale, false).unwrap();
    let original = onnx::load(&path).unwrap();
    let shifted = onnx::load_bytes(&network.write(&weights)).unwrap();
    let x = samples(&[64], &mut rng);
    let z: Vec<f32> = x.iter().zip(mean.iter().zip(&scale)).map(|(x, (m, s))| (x - m) / s).collect();
    let (a, b) = (original.run(&[x]).unwrap(), shifted.run(&[z]).unwrap());
    assert!(a[0].iter().zip(&b[0]).all(|(a, b)| (a - b).abs() < 1e-3), "{a:?}, {b:?}");
    network.standardize(&mut weights, &mean, &scale, true).unwrap();
    for (a, b) in weights.iter().flatten().zip(network.weights.iter().flatten()) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    assert!(network.standardize(&mut weights, &mean[1..], &scale, true).is_err());
    let conv = trainable(models().join("op_conv2d.onnx")).unwrap().1.unwrap();
    assert!(conv.standardize(&mut conv.weights.clone(), &mean, &scale, true).is_err());
}
