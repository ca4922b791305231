//! Trainings of networks that are drawn at random, small enough for a prover of lies.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use crate::support::Lcg;
use assay_circuits::{
    Tensor,
    model::Model,
    train::{Activation, Layer, Loss, Network, Spec},
};

/// Kinds of networks.
pub const KINDS: usize = 4;
/// The kind with adapters and attention with a causal mask.
pub const TOKENS: usize = 2;

/// A number of a closed range.
pub fn within(rng: &mut Lcg, lo: usize, hi: usize) -> usize {
    lo + rng.next() as usize % (hi - lo + 1)
}

fn dense(inputs: usize, outputs: usize) -> Layer {
    Layer::Dense { inputs, outputs }
}

fn fixed(layer: Layer) -> Layer {
    Layer::Fixed { layer: Box::new(layer) }
}

fn network(kind: usize, rng: &mut Lcg) -> Network {
    let (a, b, c) = (within(rng, 1, 4), within(rng, 2, 4), within(rng, 2, 3));
    match kind {
        0 => Network { input: vec![a], layers: vec![dense(a, b), Layer::Relu, dense(b, c)] },
        1 => {
            let norm = Layer::Norm { channels: b, groups: 1, epsilon: within(rng, 1, 30) as u32 };
            let smooth = Layer::Smooth(Activation::ALL[within(rng, 0, 4)]);
            Network { input: vec![a], layers: vec![dense(a, b), norm, smooth, dense(b, c)] }
        }
        TOKENS => {
            let (tokens, heads) = (within(rng, 2, 3), within(rng, 1, 2));
            let width = heads * within(rng, 1, 2);
            let rank = within(rng, 1, width.min(2));
            let body = vec![
                fixed(Layer::TokenNorm { width, epsilon: 10 }),
                Layer::Adapted { inputs: width, outputs: 3 * width, rank, scale_bits: within(rng, 0, 2) as u32 },
                Layer::Attention { heads, width, causal: true },
                fixed(dense(width, width)),
            ];
            let layers =
                vec![Layer::Residual { body, shortcut: vec![] }, Layer::Flatten, fixed(dense(tokens * width, c))];
            Network { input: vec![tokens, width], layers }
        }
        _ => {
            let (h, w) = (within(rng, 3, 4), within(rng, 3, 4));
            let conv = Layer::Conv { inputs: 1, outputs: b, kernel: [2, 2], pads: [0; 4], strides: [1; 2] };
            Network {
                input: vec![1, h, w],
                layers: vec![conv, Layer::MaxPool { size: 2 }, Layer::Flatten, dense(b, c)],
            }
        }
    }
}

/// A run with all that goes into it.
pub struct Run {
    pub spec: Spec,
    /// With data, targets and what stays as it is in the key.
    pub model: Model,
    pub initial: Vec<Tensor>,
    pub base: Vec<Tensor>,
    /// Initial weights and walk.
    pub inputs: Vec<Vec<Tensor>>,
}

impl Run {
    pub fn draw(kind: usize, seed: u64) -> Self {
        // The first numbers of near seeds are near each other.
        let mut rng = Lcg(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let network = network(kind, &mut rng);
        let loss = if within(&mut rng, 0, 2) == 0 { Loss::SquaredError } else { Loss::CrossEntropy };
        let momentum = (within(&mut rng, 0, 1) == 1).then(|| within(&mut rng, 1, 3) as u32);
        let spec = Spec {
            network,
            loss,
            steps: within(&mut rng, 2, 3),
            batch_bits: within(&mut rng, 0, 1) as u32,
            rate_bits: within(&mut rng, 0, 2) as u32,
            momentum_bits: momentum,
            rows: within(&mut rng, 3, 6),
            seed: [within(&mut rng, 0, 255) as u8; 32],
        };
        let mut tensors =
            |shapes: Vec<Vec<usize>>| -> Vec<Tensor> { shapes.iter().map(|s| rng.tensor(s, 13)).collect() };
        let (initial, base) = (tensors(spec.network.weights()), tensors(spec.network.base()));
        let classes = spec.outputs().unwrap();
        let data = rng.tensor(&[&[spec.rows], &spec.network.input[..]].concat(), 10);
        let mut targets = vec![0; spec.rows * classes];
        (0..spec.rows).for_each(|row| targets[row * classes + within(&mut rng, 0, classes - 1)] = 256);
        let targets = Tensor::new(vec![spec.rows, classes], targets).unwrap();
        let training = spec.training().unwrap();
        let model = training.model_over(data, targets, &base).unwrap();
        let inputs = vec![training.inputs(&initial)];
        Self { spec, model, initial, base, inputs }
    }

    /// What data, targets and what stays are in the key's list of weights.
    pub fn data(&self) -> &Tensor {
        &self.model.weights[0]
    }

    pub fn targets(&self) -> &Tensor {
        &self.model.weights[1]
    }
}
