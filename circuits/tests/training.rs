//! The step graph computes what the plain trainer computes, bit for bit, and training learns.

use assay_circuits::{
    Tensor,
    eval::eval,
    train::{
        ACTIVATION_BITS, Activation, DATA_WIDTH, Layer, Loss, Network, Spec, WIDTH,
        reference::{State, evaluate_over, infer_over, train, train_over},
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

/// A convolution that keeps height and width.
fn same(inputs: usize, outputs: usize) -> Layer {
    Layer::Conv { inputs, outputs, kernel: [3, 3], pads: [1; 4], strides: [1; 2] }
}

/// Kinds of [`network`].
const KINDS: usize = 12;

/// A dense layer with an adapter.
fn adapted(rng: &mut StdRng, inputs: usize, outputs: usize) -> Layer {
    let rank = rng.gen_range(1..=inputs.min(outputs).min(3));
    Layer::Adapted { inputs, outputs, rank, scale_bits: rng.gen_range(0..3) }
}

/// A block of a transformer whose own weights stay as they are, and a layer behind it.
fn block(rng: &mut StdRng, tokens: usize, (heads, width, causal): (usize, usize, bool), classes: usize) -> Vec<Layer> {
    let fixed = |layer| Layer::Fixed { layer: Box::new(layer) };
    let norm = || fixed(Layer::TokenNorm { width, epsilon: 10 });
    let attention = vec![
        norm(),
        adapted(rng, width, 3 * width),
        Layer::Attention { heads, width, causal },
        fixed(dense(width, width)),
    ];
    let forward = vec![
        norm(),
        adapted(rng, width, 2 * width),
        Layer::Smooth(Activation::GeluTanh),
        adapted(rng, 2 * width, width),
    ];
    vec![
        Layer::Residual { body: attention, shortcut: vec![] },
        Layer::Residual { body: forward, shortcut: vec![] },
        Layer::Flatten,
        fixed(dense(tokens * width, classes)),
    ]
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
            let strides = [rng.gen_range(1..4), rng.gen_range(1..4)];
            let (h, w) = (4usize, 5usize);
            let oh = (h + pads[0] + pads[2] - kernel[0]) / strides[0] + 1;
            let ow = (w + pads[1] + pads[3] - kernel[1]) / strides[1] + 1;
            let conv = Layer::Conv { inputs: 2, outputs: b, kernel, pads, strides };
            let layers = vec![conv, Layer::Relu, Layer::Flatten, dense(b * oh * ow, c)];
            Network { input: vec![2, h, w], layers }
        }
        // Strides in front of more convolutions: errors go back through them.
        4 => {
            let strides = [rng.gen_range(1..3), rng.gen_range(1..4)];
            let conv = Layer::Conv { inputs: a, outputs: b, kernel: [2, 3], pads: [1, 0, 0, 2], strides };
            let (oh, ow) = ((5 + 1 - 2) / strides[0] + 1, (4 + 2 - 3) / strides[1] + 1);
            let layers = vec![same(1, a), Layer::Relu, conv, Layer::Flatten, dense(b * oh * ow, c)];
            Network { input: vec![1, 5, 4], layers }
        }
        5 => {
            let size = rng.gen_range(1..4);
            let (h, w) = (rng.gen_range(size..6), rng.gen_range(size..6));
            let pool = if rng.r#gen() { Layer::MaxPool { size } } else { Layer::AveragePool { size: 1 << (size / 2) } };
            let side = if let Layer::AveragePool { size } = pool { size } else { size };
            let flat = b * (h / side) * (w / side);
            let mut layers = vec![same(2, b), pool, Layer::Relu, Layer::Flatten, dense(flat, c)];
            if rng.r#gen() {
                layers.swap(1, 2);
            }
            Network { input: vec![2, h, w], layers }
        }
        // Normalization of one axis, smooth functions, branches inside branches.
        6 => {
            let a = 2 * a;
            let norm = Layer::Norm { channels: a, groups: rng.gen_range(1..3), epsilon: rng.gen_range(1..30) };
            let smooth = Layer::Smooth(Activation::ALL[rng.gen_range(0..5)]);
            let inner = Layer::Residual { body: vec![smooth.clone()], shortcut: vec![dense(b, b)] };
            let body = vec![norm.clone(), dense(a, b), inner, smooth, dense(b, a)];
            let layers = vec![
                dense(3, a),
                Layer::Residual { body, shortcut: vec![] },
                norm,
                Layer::Residual { body: vec![Layer::Relu, dense(a, c)], shortcut: vec![dense(a, c)] },
            ];
            Network { input: vec![3], layers }
        }
        // A residual block of images.
        7 => {
            let (a, size) = (2 * a, 2);
            let norm = Layer::Norm { channels: a, groups: [1, 2, a][rng.gen_range(0..3)], epsilon: 10 };
            let strides = [2, 2];
            let down = Layer::Conv { inputs: a, outputs: b, kernel: [1, 1], pads: [0; 4], strides };
            let conv = Layer::Conv { inputs: a, outputs: b, kernel: [3, 3], pads: [1; 4], strides };
            let layers = vec![
                same(1, a),
                norm,
                Layer::Relu,
                Layer::Residual { body: vec![conv, Layer::Relu, same(b, b)], shortcut: vec![down] },
                Layer::Relu,
                Layer::MaxPool { size },
                Layer::Flatten,
                dense(b, c),
            ];
            Network { input: vec![1, 4, 4], layers }
        }
        // Attention, and normalization of tokens, all of it trained.
        8 => {
            let (tokens, heads) = (rng.gen_range(1..4), rng.gen_range(1..3));
            let width = heads * rng.gen_range(1..4);
            let causal = rng.r#gen();
            let norm = Layer::TokenNorm { width, epsilon: rng.gen_range(1..30) };
            let body =
                vec![norm, dense(width, 3 * width), Layer::Attention { heads, width, causal }, dense(width, width)];
            let layers = vec![
                dense(2, width),
                Layer::Residual { body, shortcut: vec![] },
                Layer::Smooth(Activation::Gelu),
                Layer::Flatten,
                dense(tokens * width, c),
            ];
            Network { input: vec![tokens, 2], layers }
        }
        // Adapters of a block that stays as it is.
        9 => {
            let (tokens, heads) = (rng.gen_range(1..4), rng.gen_range(1..3));
            let width = heads * rng.gen_range(1..4);
            let causal = rng.r#gen();
            Network { input: vec![tokens, width], layers: block(rng, tokens, (heads, width, causal), c) }
        }
        // Layers of images that stay as they are, in front of and behind one that is trained.
        10 => {
            let fixed = |layer| Layer::Fixed { layer: Box::new(layer) };
            let norm = Layer::Norm { channels: a, groups: 1, epsilon: 10 };
            let layers =
                vec![fixed(same(2, a)), fixed(norm), same(a, b), Layer::Relu, fixed(same(b, b)), Layer::Flatten];
            Network { input: vec![2, 2, 3], layers: [layers, vec![fixed(dense(b * 6, c))]].concat() }
        }
        _ => {
            let conv = same;
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
    base: Vec<Tensor>,
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
    let base = spec.network.base().iter().map(|s| tensor(&mut rng, s, -w, w - 1)).collect();
    let shape: Vec<usize> = std::iter::once(spec.rows).chain(spec.network.input.iter().copied()).collect();
    let data = tensor(&mut rng, &shape, -d, d - 1);
    let targets = tensor(&mut rng, &[spec.rows, spec.outputs().unwrap()], -d, d - 1);
    Run { spec, weights, base, data, targets }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn graph_and_loops_agree(kind in 0..KINDS, seed: u64, large: bool) {
        let Run { spec, weights, base, data, targets } = run(kind, seed, large);
        let expected = train_over(&spec, weights.clone(), base.clone(), &data, &targets).unwrap();
        let training = spec.training().unwrap();
        let model = training.model_over(data.clone(), targets.clone(), &base).unwrap();
        let values = eval(&model.graph, &model.weights, &training.inputs(&weights)).unwrap();
        let mut got = values.outputs(&model.graph);
        let losses = got.pop().unwrap();
        prop_assert_eq!(&got, &expected.weights);
        prop_assert_eq!(&losses.data, &expected.losses);
        // The same weights before and after, compared on the rows, and as a model of its own on each of them.
        let evaluation = spec.evaluation(spec.rows).unwrap();
        let model = evaluation.model_over(data.clone(), targets.clone(), &base).unwrap();
        let both = [weights.clone(), expected.weights.clone()].concat();
        let values = eval(&model.graph, &model.weights, &both).unwrap();
        let losses = values.outputs(&model.graph).pop().unwrap();
        let of = |w: &[Tensor]| evaluate_over(&spec, w, &base, &data, &targets).unwrap();
        prop_assert_eq!(losses.data, vec![of(&weights), of(&expected.weights)]);
        let model = spec.inference_model(&[expected.weights.clone(), base.clone()].concat(), &[], &[]).unwrap();
        let width: usize = spec.network.input.iter().product();
        for row in data.data.chunks(width) {
            let input = Tensor::new([&[1], &spec.network.input[..]].concat(), row.to_vec()).unwrap();
            let values = eval(&model.graph, &model.weights, &[input]).unwrap();
            let out = infer_over(&spec, &expected.weights, &base, row).unwrap();
            prop_assert_eq!(values.outputs(&model.graph).pop().unwrap().data, out);
        }
    }
}

/// Central differences of the float loss against what one step moves, for every layer: the signs and sizes are those of a
/// gradient, not just the same mistake made twice.
#[test]
fn steps_go_down_the_gradient() {
    for kind in 0..KINDS {
        for loss in [Loss::SquaredError, Loss::CrossEntropy] {
            let (mut same, mut all) = (0, 0);
            for seed in 0..6 {
                let Run { mut spec, mut weights, mut base, data, mut targets } = run(kind, 1000 + seed, false);
                // Small enough that hardly anything clamps.
                weights.iter_mut().chain(&mut base).flat_map(|w| &mut w.data).for_each(|v| *v /= 2);
                (spec.loss, spec.steps, spec.rate_bits, spec.momentum_bits) = (loss, 1, 0, None);
                let classes = spec.outputs().unwrap();
                // One-hot targets.
                for row in targets.data.chunks_mut(classes) {
                    let hot = row[0].unsigned_abs() as usize % classes;
                    row.iter_mut().enumerate().for_each(|(k, v)| *v = if k == hot { 1 << ACTIVATION_BITS } else { 0 });
                }
                let after = train_over(&spec, weights.clone(), base.clone(), &data, &targets).unwrap();
                let at = |w: &[Tensor]| float_loss(&spec, (w, &base), &data, &targets);
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
            assert!(same * 20 >= all * 19, "network {kind}, {loss:?}: {same} of {all}");
        }
    }
}

/// `x W + b` along the last axis.
fn float_dense(x: &[f64], w: &[f64], b: &[f64], inputs: usize, outputs: usize) -> Vec<f64> {
    let sum = |x: &[f64], o: usize| b[o] + (0..inputs).map(|i| x[i] * w[i * outputs + o]).sum::<f64>();
    x.chunks(inputs).flat_map(|x| (0..outputs).map(move |o| sum(x, o))).collect()
}

/// A shape with another last axis.
fn behind(shape: &[usize], last: usize) -> Vec<usize> {
    [&shape[..shape.len() - 1], &[last]].concat()
}

/// Values less their mean, divided by their deviation, in groups of `n`.
fn float_normal(x: &[f64], n: usize, epsilon: u32) -> Vec<f64> {
    let group = |g: &[f64]| {
        let mean = g.iter().sum::<f64>() / n as f64;
        let variance = g.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
        let deviation = (variance + f64::from(epsilon) / f64::from(1u32 << 20)).sqrt();
        g.iter().map(|v| (v - mean) / deviation).collect::<Vec<_>>()
    };
    x.chunks(n).flat_map(group).collect()
}

/// Layers in floating point. `weights` are those that are left.
fn float_layers(layers: &[Layer], shape: &[usize], weights: &mut &[Vec<f64>], input: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let (mut x, mut shape) = (input.to_vec(), shape.to_vec());
    for layer in layers {
        let mut take = || {
            let (first, rest) = weights.split_first().unwrap();
            *weights = rest;
            first
        };
        let channel = |i: usize, shape: &[usize]| i / shape[1..].iter().product::<usize>();
        (x, shape) = match layer {
            Layer::Dense { inputs, outputs } => {
                let (w, b) = (take(), take());
                (float_dense(&x, w, b, *inputs, *outputs), behind(&shape, *outputs))
            }
            Layer::Fixed { layer } => float_layers(std::slice::from_ref(layer), &shape, weights, &x),
            Layer::Adapted { inputs, outputs, rank, scale_bits } => {
                let (w, b, down, up) = (take(), take(), take(), take());
                let base = float_dense(&x, w, b, *inputs, *outputs);
                let low = float_dense(&x, down, &vec![0.0; *rank], *inputs, *rank);
                let more = float_dense(&low, up, &vec![0.0; *outputs], *rank, *outputs);
                let factor = f64::from(1u32 << scale_bits);
                (base.iter().zip(&more).map(|(a, b)| a + factor * b).collect(), behind(&shape, *outputs))
            }
            Layer::TokenNorm { width, epsilon } => {
                let (gain, bias) = (take(), take());
                let value = |(i, v): (usize, f64)| v * gain[i % width] + bias[i % width];
                (float_normal(&x, *width, *epsilon).into_iter().enumerate().map(value).collect(), shape)
            }
            Layer::Attention { heads, width, causal } => {
                let (n, tokens) = (width / heads, shape[0]);
                let at = |t: usize, which: usize, h: usize, d: usize| x[t * 3 * width + which * width + h * n + d];
                let mut out = vec![];
                for i in 0..tokens {
                    for h in 0..*heads {
                        let seen = if *causal { i + 1 } else { tokens };
                        let score =
                            |j| (0..n).map(|d| at(i, 0, h, d) * at(j, 1, h, d)).sum::<f64>() / (n as f64).sqrt();
                        let powers: Vec<f64> = (0..seen).map(|j| f64::exp(score(j))).collect();
                        let sum: f64 = powers.iter().sum();
                        out.extend((0..n).map(|d| (0..seen).map(|j| powers[j] / sum * at(j, 2, h, d)).sum::<f64>()));
                    }
                }
                (out, vec![tokens, *width])
            }
            Layer::Conv { inputs, outputs, kernel: [kh, kw], pads: [t, l, bottom, r], strides } => {
                let (kernels, bias) = (take(), take());
                let (h, wd) = (shape[1], shape[2]);
                let (oh, ow) = ((h + t + bottom - kh) / strides[0] + 1, (wd + l + r - kw) / strides[1] + 1);
                let mut out = vec![];
                for o in 0..*outputs {
                    for y in 0..oh {
                        for z in 0..ow {
                            let mut s = bias[o];
                            for c in 0..*inputs {
                                for dy in 0..*kh {
                                    for dx in 0..*kw {
                                        let (py, px) = (y * strides[0] + dy, z * strides[1] + dx);
                                        if py >= *t && px >= *l && py - t < h && px - l < wd {
                                            s += x[(c * h + py - t) * wd + px - l]
                                                * kernels[((o * inputs + c) * kh + dy) * kw + dx];
                                        }
                                    }
                                }
                            }
                            out.push(s);
                        }
                    }
                }
                (out, vec![*outputs, oh, ow])
            }
            Layer::Relu => (x.iter().map(|v| v.max(0.0)).collect(), shape),
            Layer::Smooth(a) => {
                let f = |v: f64| match a {
                    Activation::Sigmoid => 1.0 / (1.0 + (-v).exp()),
                    Activation::Silu => v / (1.0 + (-v).exp()),
                    Activation::Tanh => v.tanh(),
                    // The exact one is so near that the test cannot tell.
                    Activation::Gelu | Activation::GeluTanh => {
                        0.5 * v * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v * v * v)).tanh())
                    }
                };
                (x.iter().map(|v| f(*v)).collect(), shape)
            }
            Layer::AveragePool { size } | Layer::MaxPool { size } => {
                let (h, wd) = (shape[1], shape[2]);
                let (oh, ow) = (h / size, wd / size);
                let mut out = vec![];
                for i in 0..shape[0] * oh * ow {
                    let (c, y, z) = (i / (oh * ow), i / ow % oh, i % ow);
                    let places = (0..size * size).map(|k| x[(c * h + y * size + k / size) * wd + z * size + k % size]);
                    out.push(if matches!(layer, Layer::MaxPool { .. }) {
                        places.fold(f64::NEG_INFINITY, f64::max)
                    } else {
                        places.sum::<f64>() / (size * size) as f64
                    });
                }
                (out, vec![shape[0], oh, ow])
            }
            Layer::Norm { groups, epsilon, .. } => {
                let (gain, bias) = (take(), take());
                let normal = float_normal(&x, x.len() / groups, *epsilon);
                let value = |(i, v): (usize, f64)| v * gain[channel(i, &shape)] + bias[channel(i, &shape)];
                (normal.into_iter().enumerate().map(value).collect(), shape)
            }
            Layer::Residual { body, shortcut } => {
                let (a, end) = float_layers(body, &shape, weights, &x);
                let (b, _) = float_layers(shortcut, &shape, weights, &x);
                (a.iter().zip(&b).map(|(a, b)| a + b).collect(), end)
            }
            Layer::Flatten => {
                let n = x.len();
                (x, vec![n])
            }
        };
    }
    (x, shape)
}

/// The loss in floating point, on the rows of the first step.
fn float_loss(spec: &Spec, (weights, base): (&[Tensor], &[Tensor]), data: &Tensor, targets: &Tensor) -> f64 {
    let sampler = assay_circuits::train::Sampler::new(&spec.seed, spec.rows as u64);
    let (width, classes) = (data.data.len() / spec.rows, targets.data.len() / spec.rows);
    // In the order in which layers read them.
    let (mut trained, mut stays) = (spec.network.names(false).into_iter().zip(weights), base.iter());
    let mut next = trained.next();
    let mut w: Vec<Vec<f64>> = vec![];
    for name in spec.network.all_names() {
        let is_trained = next.as_ref().is_some_and(|(n, _)| *n == name);
        let t = if is_trained { next.take().unwrap().1 } else { stays.next().unwrap() };
        if is_trained {
            next = trained.next();
        }
        w.push(t.data.iter().map(|v| *v as f64 / 4096.0).collect());
    }
    let mut total = 0.0;
    for b in 0..spec.batch() {
        let row = sampler.index(b as u64) as usize;
        let x: Vec<f64> = data.data[row * width..(row + 1) * width].iter().map(|v| *v as f64 / 256.0).collect();
        let (x, _) = float_layers(&spec.network.layers, &spec.network.input, &mut w.as_slice(), &x);
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
        s.network.layers.push(Layer::Conv { inputs: 1, outputs: 1, kernel: [1, 1], pads: [0; 4], strides: [1; 2] });
    });
    refused("layers", &|s| s.network.layers.clear());
    refused("one axis", &|s| {
        s.network.input = vec![1, 2, 2];
        s.network.layers = vec![Layer::Conv { inputs: 1, outputs: 1, kernel: [1, 1], pads: [0; 4], strides: [1; 2] }];
    });
    refused("do not fit its input", &|s| {
        s.network.input = vec![1, 2, 3];
        s.network.layers = vec![Layer::MaxPool { size: 3 }, Layer::Flatten, dense(1, 1)];
    });
    refused("1, 2, 4, 8 and 16", &|s| {
        s.network.input = vec![1, 3, 3];
        s.network.layers = vec![Layer::AveragePool { size: 3 }, Layer::Flatten, dense(1, 1)];
    });
    let norm = |channels, groups, epsilon| Layer::Norm { channels, groups, epsilon };
    refused("3 values or channels", &|s| s.network.layers.push(norm(3, 1, 10)));
    refused("0 groups do not divide", &|s| s.network.layers.push(norm(2, 0, 10)));
    refused("3 groups do not divide", &|s| s.network.layers.push(norm(2, 3, 10)));
    refused("epsilon", &|s| s.network.layers.push(norm(2, 1, 0)));
    refused("strides", &|s| {
        s.network.input = vec![1, 2, 3];
        let conv = Layer::Conv { inputs: 1, outputs: 1, kernel: [1, 1], pads: [0; 4], strides: [0, usize::MAX] };
        s.network.layers = vec![conv, Layer::Flatten, dense(1, 1)];
    });
    let residual = |body, shortcut| Layer::Residual { body, shortcut };
    refused("no layers", &|s| s.network.layers.push(residual(vec![], vec![])));
    refused("its branches give [3] and [2]", &|s| s.network.layers.push(residual(vec![dense(2, 3)], vec![])));
    refused("layer 0 (Dense) in it", &|s| s.network.layers.push(residual(vec![dense(3, 3)], vec![])));
    refused("inside each other", &|s| {
        let deep = (0..9).fold(Layer::Relu, |l, _| residual(vec![l], vec![]));
        s.network.layers.push(deep);
    });
    let attention = |heads, width| Layer::Attention { heads, width, causal: true };
    refused("needs [tokens, 12]", &|s| s.network.layers.push(attention(2, 4)));
    refused("heads that divide 3", &|s| {
        s.network.input = vec![2, 2];
        s.network.layers = vec![dense(2, 9), attention(2, 3), Layer::Flatten];
    });
    let adapter = |rank, scale_bits| Layer::Adapted { inputs: 2, outputs: 2, rank, scale_bits };
    refused("an adapter of rank 0", &|s| s.network.layers.push(adapter(0, 0)));
    refused("an adapter of rank 3", &|s| s.network.layers.push(adapter(3, 0)));
    refused("times 2^60", &|s| s.network.layers.push(adapter(1, 60)));
    let fixed = |layer| Layer::Fixed { layer: Box::new(layer) };
    refused("'Relu' has no weights", &|s| s.network.layers.push(fixed(Layer::Relu)));
    refused("'Dense' has no weights", &|s| s.network.layers.push(fixed(fixed(dense(2, 2)))));
    refused("one of them with weights to train", &|s| s.network.layers = vec![fixed(dense(2, 2))]);
    refused("needs 3 values along the last axis", &|s| {
        s.network.layers.push(Layer::TokenNorm { width: 3, epsilon: 1 })
    });
    refused("before all weights", &|s| s.network.layers.insert(0, Layer::Relu));
    refused("before all weights", &|s| s.network.layers.insert(0, norm(2, 1, 10)));
    refused("before all weights", &|s| {
        s.network.layers = vec![residual(vec![Layer::Relu, dense(2, 2)], vec![])];
    });
    // Data beyond its width.
    let training = good.training().unwrap();
    let fits = |v: i64| training.model(Tensor::new(vec![1, 2], vec![v, 0]).unwrap(), Tensor::zeros(&[1, 2]));
    assert!(fits(1 << 12).is_ok());
    assert!(fits(1 << 14).is_err());
}
