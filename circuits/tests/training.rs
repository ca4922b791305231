//! The step graph computes what the plain trainer computes, bit for bit, and training learns.

use assay_circuits::{
    Tensor,
    eval::eval,
    train::{
        ACTIVATION_BITS, DATA_WIDTH, Layer, Loss, Network, Spec, WIDTH,
        reference::{State, train},
    },
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

fn tensor(rng: &mut StdRng, shape: &[usize], low: i64, high: i64) -> Tensor {
    let n = shape.iter().product();
    Tensor::new(shape.to_vec(), (0..n).map(|_| rng.gen_range(low..=high)).collect()).unwrap()
}

fn dense(inputs: usize, outputs: usize) -> Layer {
    Layer::Dense { inputs, outputs }
}

/// Networks of all layers in several orders.
fn network(kind: usize, rng: &mut StdRng) -> Network {
    let (a, b, c) = (rng.gen_range(1..6), rng.gen_range(1..6), rng.gen_range(1..5));
    match kind {
        0 => Network { input: vec![a], layers: vec![dense(a, c)] },
        1 => Network { input: vec![a], layers: vec![dense(a, b), Layer::Relu, dense(b, c)] },
        2 => Network { input: vec![a], layers: vec![Layer::Flatten, dense(a, b), dense(b, c), Layer::Relu] },
        3 => {
            let kernel = [rng.gen_range(1..4), rng.gen_range(1..4)];
            let pads = [0; 4].map(|_| rng.gen_range(0..kernel[0].min(kernel[1])));
            let (h, w) = (4usize, 4usize);
            let (oh, ow) = (h + pads[0] + pads[2] + 1 - kernel[0], w + pads[1] + pads[3] + 1 - kernel[1]);
            let conv = Layer::Conv { inputs: 2, outputs: b, kernel, pads };
            let layers = vec![conv, Layer::Relu, Layer::Flatten, dense(b * oh * ow, c)];
            Network { input: vec![2, h, w], layers }
        }
        _ => {
            let conv = |inputs, outputs| Layer::Conv { inputs, outputs, kernel: [3, 3], pads: [1; 4] };
            let layers = vec![
                conv(1, a),
                Layer::Relu,
                Layer::AveragePool { size: 2 },
                conv(a, b),
                Layer::AveragePool { size: 2 },
                Layer::Relu,
                Layer::Flatten,
                dense(b, c),
            ];
            Network { input: vec![1, 4, 4], layers }
        }
    }
}

struct Run {
    spec: Spec,
    weights: Vec<Tensor>,
    data: Tensor,
    targets: Tensor,
}

fn run(kind: usize, seed: u64, large: bool) -> Run {
    let mut rng = StdRng::seed_from_u64(seed);
    let network = network(kind, &mut rng);
    let spec = Spec {
        network,
        loss: if rng.r#gen() { Loss::SquaredError } else { Loss::CrossEntropy },
        steps: rng.gen_range(1..5),
        batch_bits: rng.gen_range(0..4),
        rate_bits: rng.gen_range(0..6),
        momentum_bits: if rng.r#gen() { Some(rng.gen_range(1..5)) } else { None },
        rows: rng.gen_range(1..12),
        seed: rng.r#gen(),
    };
    // Values at the very ends of their widths clamp everywhere.
    let (w, d) = if large { (1 << (WIDTH - 1), 1 << (DATA_WIDTH - 1)) } else { (1 << 12, 1 << ACTIVATION_BITS) };
    let weights = spec.network.weights().iter().map(|s| tensor(&mut rng, s, -w, w - 1)).collect();
    let shape: Vec<usize> = std::iter::once(spec.rows).chain(spec.network.input.iter().copied()).collect();
    let data = tensor(&mut rng, &shape, -d, d - 1);
    let targets = tensor(&mut rng, &[spec.rows, spec.outputs().unwrap()], -d, d - 1);
    Run { spec, weights, data, targets }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn graph_and_loops_agree(kind in 0usize..5, seed: u64, large: bool) {
        let Run { spec, weights, data, targets } = run(kind, seed, large);
        let expected = train(&spec, weights.clone(), &data, &targets).unwrap();
        let model = spec.training().unwrap().model(data, targets).unwrap();
        let values = eval(&model.graph, &model.weights, &weights).unwrap();
        let mut got = values.outputs(&model.graph);
        let losses = got.pop().unwrap();
        prop_assert_eq!(&got, &expected.weights);
        prop_assert_eq!(&losses.data, &expected.losses);
    }
}

/// Central differences of the float loss against what one step moves, for every layer: the signs and sizes are those of a
/// gradient, not just the same mistake made twice.
#[test]
fn steps_go_down_the_gradient() {
    for kind in 0..5 {
        for loss in [Loss::SquaredError, Loss::CrossEntropy] {
            let (mut same, mut all) = (0, 0);
            for seed in 0..6 {
                let Run { mut spec, weights, data, mut targets } = run(kind, 1000 + seed, false);
                (spec.loss, spec.steps, spec.rate_bits, spec.momentum_bits) = (loss, 1, 0, None);
                let classes = spec.outputs().unwrap();
                // One-hot targets.
                for row in targets.data.chunks_mut(classes) {
                    let hot = row[0].unsigned_abs() as usize % classes;
                    row.iter_mut().enumerate().for_each(|(k, v)| *v = if k == hot { 1 << ACTIVATION_BITS } else { 0 });
                }
                let after = train(&spec, weights.clone(), &data, &targets).unwrap();
                let at = |w: &[Tensor]| float_loss(&spec, w, &data, &targets);
                for k in 0..weights.len() {
                    for i in 0..weights[k].data.len() {
                        let shifted = |by: i64| {
                            let mut w = weights.clone();
                            w[k].data[i] += by;
                            at(&w)
                        };
                        const H: i64 = 16;
                        let slope = (shifted(H) - shifted(-H)) / (2.0 * H as f64 / 4096.0);
                        let moved = (after.weights[k].data[i] - weights[k].data[i]) as f64 / 4096.0;
                        let clipped = after.weights[k].data[i].abs() >= (1 << (WIDTH - 1)) - 1;
                        if slope.abs() > 0.02 && !clipped {
                            all += 1;
                            same += usize::from((moved + slope).abs() < 0.15 * slope.abs() + 0.02);
                        }
                    }
                }
            }
            // Kinks of ReLU and rounding spoil a few.
            assert!(all > 10, "network {kind}, {loss:?}: {all}");
            assert!(same * 10 >= all * 8, "network {kind}, {loss:?}: {same} of {all}");
        }
    }
}

/// The loss in floating point, on the rows of the first step.
fn float_loss(spec: &Spec, weights: &[Tensor], data: &Tensor, targets: &Tensor) -> f64 {
    let sampler = assay_circuits::train::Sampler::new(&spec.seed, spec.rows as u64);
    let shapes = spec.network.shapes().unwrap();
    let (width, classes) = (data.data.len() / spec.rows, targets.data.len() / spec.rows);
    let w: Vec<Vec<f64>> = weights.iter().map(|t| t.data.iter().map(|v| *v as f64 / 4096.0).collect()).collect();
    let mut total = 0.0;
    for b in 0..spec.batch() {
        let row = sampler.index(b as u64) as usize;
        let mut x: Vec<f64> = data.data[row * width..(row + 1) * width].iter().map(|v| *v as f64 / 256.0).collect();
        let mut k = 0;
        for (layer, shape) in spec.network.layers.iter().zip(&shapes) {
            x = match layer {
                Layer::Dense { inputs, outputs } => (0..*outputs)
                    .map(|o| w[k + 1][o] + (0..*inputs).map(|i| x[i] * w[k][i * outputs + o]).sum::<f64>())
                    .collect(),
                Layer::Conv { inputs, outputs, kernel: [kh, kw], pads: [t, l, bottom, r] } => {
                    let (h, wd) = (shape[1], shape[2]);
                    let (oh, ow) = (h + t + bottom + 1 - kh, wd + l + r + 1 - kw);
                    let mut out = vec![];
                    for o in 0..*outputs {
                        for y in 0..oh {
                            for z in 0..ow {
                                let mut s = w[k + 1][o];
                                for c in 0..*inputs {
                                    for dy in 0..*kh {
                                        for dx in 0..*kw {
                                            let (py, px) = (y + dy, z + dx);
                                            if py >= *t && px >= *l && py - t < h && px - l < wd {
                                                s += x[(c * h + py - t) * wd + px - l]
                                                    * w[k][((o * inputs + c) * kh + dy) * kw + dx];
                                            }
                                        }
                                    }
                                }
                                out.push(s);
                            }
                        }
                    }
                    out
                }
                Layer::Relu => x.iter().map(|v| v.max(0.0)).collect(),
                Layer::AveragePool { size } => {
                    let (h, wd) = (shape[1], shape[2]);
                    let mut out = vec![0.0; x.len() / (size * size)];
                    for (i, v) in x.iter().enumerate() {
                        let (c, y, z) = (i / (h * wd), i / wd % h, i % wd);
                        out[(c * (h / size) + y / size) * (wd / size) + z / size] += v / (size * size) as f64;
                    }
                    out
                }
                Layer::Flatten => x,
            };
            k += if layer.weights().is_some() { 2 } else { 0 };
        }
        let y: Vec<f64> = targets.data[row * classes..(row + 1) * classes].iter().map(|v| *v as f64 / 256.0).collect();
        total += match spec.loss {
            Loss::SquaredError => x.iter().zip(&y).map(|(a, b)| (a - b) * (a - b)).sum::<f64>(),
            Loss::CrossEntropy => {
                let sum: f64 = x.iter().map(|v| v.exp()).sum();
                x.iter().zip(&y).map(|(a, b)| -b * (a - sum.ln())).sum::<f64>()
            }
        };
    }
    total / spec.batch() as f64
}

/// Two classes that a line cannot separate are learned by a hidden layer.
#[test]
fn exclusive_or_is_learned() {
    let rows = [[0, 0], [0, 1], [1, 0], [1, 1]];
    let data = Tensor::new(vec![4, 2], rows.iter().flatten().map(|v| (2 * v - 1) * 256).collect()).unwrap();
    let labels = rows.iter().flat_map(|[a, b]| if a == b { [256, 0] } else { [0, 256] });
    let targets = Tensor::new(vec![4, 2], labels.collect()).unwrap();
    for (loss, momentum_bits, rate_bits) in
        [(Loss::SquaredError, None, 4), (Loss::CrossEntropy, None, 2), (Loss::CrossEntropy, Some(3), 4)]
    {
        let network = Network { input: vec![2], layers: vec![dense(2, 16), Layer::Relu, dense(16, 2)] };
        let spec = Spec { network, loss, steps: 300, batch_bits: 2, rate_bits, momentum_bits, rows: 4, seed: [1; 32] };
        let mut rng = StdRng::seed_from_u64(3);
        let weights = spec.network.weights().iter().map(|s| tensor(&mut rng, s, -3000, 3000)).collect();
        let end: State = train(&spec, weights, &data, &targets).unwrap();
        let (first, last) = (end.losses[0], end.losses[299]);
        assert!(last * 10 < first, "{loss:?}, momentum {momentum_bits:?}: {first} to {last}");
    }
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let good = Spec {
        network: Network { input: vec![2], layers: vec![dense(2, 2)] },
        loss: Loss::SquaredError,
        steps: 1,
        batch_bits: 0,
        rate_bits: 0,
        momentum_bits: None,
        rows: 1,
        seed: [0; 32],
    };
    good.validate().unwrap();
    let refused = |what: &str, change: &dyn Fn(&mut Spec)| {
        let mut spec = good.clone();
        change(&mut spec);
        let error = spec.training().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused("steps: got 0", &|s| s.steps = 0);
    refused("steps: got", &|s| s.steps = usize::MAX);
    refused("log2 of the batch", &|s| s.batch_bits = 60);
    refused("rows of data", &|s| s.rows = usize::MAX);
    refused("learning rate", &|s| s.rate_bits = 63);
    refused("momentum", &|s| s.momentum_bits = Some(0));
    refused("layer 0 (Dense)", &|s| s.network.input = vec![3]);
    refused("shape of one input", &|s| s.network.input = vec![usize::MAX, 2]);
    refused("layer 1 (Dense)", &|s| s.network.layers.push(dense(1 << 40, 1 << 40)));
    refused("more than 2^26 values", &|s| s.network.layers.push(dense(2, 1 << 40)));
    refused("layer 1 (Conv)", &|s| {
        s.network.layers.push(Layer::Conv { inputs: 1, outputs: 1, kernel: [1, 1], pads: [0; 4] });
    });
    refused("layers", &|s| s.network.layers.clear());
    refused("one axis", &|s| {
        s.network.input = vec![1, 2, 2];
        s.network.layers = vec![Layer::Conv { inputs: 1, outputs: 1, kernel: [1, 1], pads: [0; 4] }];
    });
    refused("do not tile", &|s| {
        s.network.input = vec![1, 2, 3];
        s.network.layers = vec![Layer::AveragePool { size: 2 }, Layer::Flatten, dense(1, 1)];
    });
    refused("before all weights", &|s| s.network.layers.insert(0, Layer::Relu));
    // Data beyond its width.
    let training = good.training().unwrap();
    let fits = |v: i64| training.model(Tensor::new(vec![1, 2], vec![v, 0]).unwrap(), Tensor::zeros(&[1, 2]));
    assert!(fits(1 << 12).is_ok());
    assert!(fits(1 << 14).is_err());
}
