//! What is trained, and how.

use super::{ACTIVATION_BITS, ERROR_BITS, PROBABILITY_BITS, WEIGHT_BITS};
use crate::error::GraphError;
use serde::{Deserialize, Serialize};

/// Most rows of a data set.
pub const MAX_ROWS: usize = 1 << 20;
/// Most steps of one proof.
pub const MAX_STEPS: usize = 1 << 12;

/// Why something cannot be trained.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// A part of the specification that is impossible.
    #[error("{what}: got {got}, {allowed}")]
    Spec {
        /// Which part.
        what: String,
        /// What it is.
        got: String,
        /// What it may be.
        allowed: String,
    },
    /// A layer that does not fit what comes before it.
    #[error("layer {index} ({layer}): {reason}")]
    Layer {
        /// Its position.
        index: usize,
        /// Its kind.
        layer: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// Data or weights that do not fit the specification.
    #[error("{name}: expected {expected}, got {got}")]
    Data {
        /// Which tensor.
        name: String,
        /// Shape or range that is needed.
        expected: String,
        /// What is there.
        got: String,
    },
    /// The step graph breaks a rule of graphs.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// One layer of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// `y = x W + b` with `W` of shape `[inputs, outputs]`; the input has one axis.
    Dense {
        /// Number of inputs.
        inputs: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// A convolution of stride one over `[channels, height, width]` with a bias per channel; kernels are
    /// `[outputs, inputs, kernel[0], kernel[1]]`.
    Conv {
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Height and width of the kernel.
        kernel: [usize; 2],
        /// Zeros around the input: above, left, below, right.
        pads: [usize; 4],
    },
    /// `max(x, 0)`.
    Relu,
    /// Means of `size` x `size` squares that do not overlap; `size` is a power of two.
    AveragePool {
        /// Side of a square.
        size: usize,
    },
    /// `[channels, height, width]` to one axis.
    Flatten,
}

impl Layer {
    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dense { .. } => "Dense",
            Self::Conv { .. } => "Conv",
            Self::Relu => "Relu",
            Self::AveragePool { .. } => "AveragePool",
            Self::Flatten => "Flatten",
        }
    }

    /// Shapes of its weights and bias; `None` without any.
    pub fn weights(&self) -> Option<[Vec<usize>; 2]> {
        match self {
            Self::Dense { inputs, outputs } => Some([vec![*inputs, *outputs], vec![*outputs]]),
            Self::Conv { inputs, outputs, kernel: [h, w], .. } => {
                Some([vec![*outputs, *inputs, *h, *w], vec![*outputs]])
            }
            _ => None,
        }
    }

    fn apply(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let image = || match input {
            [c, h, w] => Ok([*c, *h, *w]),
            _ => Err(format!("needs [channels, height, width], its input is {input:?}")),
        };
        match self {
            Self::Dense { inputs, outputs } if input == [*inputs] && *outputs > 0 => Ok(vec![*outputs]),
            Self::Dense { inputs, .. } => Err(format!("needs [{inputs}], its input is {input:?}")),
            Self::Conv { inputs, outputs, kernel: [kh, kw], pads: [t, l, b, r] } => {
                let [c, h, w] = image()?;
                let (h, w) = (h + t + b, w + l + r);
                if c != *inputs || *outputs == 0 || *kh == 0 || *kw == 0 || h < *kh || w < *kw {
                    return Err(format!("kernels of {inputs} x {kh} x {kw} do not fit its input {input:?}"));
                }
                if *t >= *kh || *b >= *kh || *l >= *kw || *r >= *kw {
                    return Err("its padding is as wide as its kernel".to_owned());
                }
                Ok(vec![*outputs, h - kh + 1, w - kw + 1])
            }
            Self::Relu => Ok(input.to_vec()),
            Self::AveragePool { size } => {
                let [c, h, w] = image()?;
                if !size.is_power_of_two() || *size > 16 || h % size != 0 || w % size != 0 {
                    return Err(format!("squares of {size} do not tile its input {input:?} (2, 4, 8 or 16 can)"));
                }
                Ok(vec![c, h / size, w / size])
            }
            Self::Flatten => Ok(vec![input.iter().product()]),
        }
    }
}

/// Layers in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Shape of one input.
    pub input: Vec<usize>,
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Network {
    /// The shape behind the last layer, whether or not a layer has weights.
    #[cfg(feature = "onnx")]
    pub(crate) fn shape_behind(&self) -> Result<Vec<usize>, String> {
        self.layers.iter().try_fold(self.input.clone(), |shape, l| l.apply(&shape))
    }

    /// Shapes of the input and behind every layer.
    ///
    /// # Errors
    /// A layer that does not fit, or no layer with weights.
    pub fn shapes(&self) -> Result<Vec<Vec<usize>>, TrainError> {
        let spec = |what: &str, got: String, allowed: &str| {
            Err(TrainError::Spec { what: what.to_owned(), got, allowed: allowed.to_owned() })
        };
        let n: u128 = self.input.iter().map(|d| *d as u128).product();
        if self.input.is_empty() || n == 0 || n > 1 << 20 {
            return spec("shape of one input", format!("{:?}", self.input), "1 to 2^20 values are possible");
        }
        if self.layers.len() > 256 || self.layers.iter().all(|l| l.weights().is_none()) {
            return spec("layers", self.layers.len().to_string(), "1 to 256, one of them with weights, are possible");
        }
        let mut out = vec![self.input.clone()];
        for (index, layer) in self.layers.iter().enumerate() {
            let fail = |reason| TrainError::Layer { index, layer: layer.name(), reason };
            let next = layer.apply(out.last().unwrap_or(&self.input)).map_err(fail)?;
            let count = next.iter().map(|d| *d as u128).product::<u128>();
            let weights: u128 = layer.weights().map_or(0, |[w, _]| w.iter().map(|d| *d as u128).product::<u128>());
            if count.max(weights) > 1 << 26 {
                return Err(fail("more than 2^26 values".to_owned()));
            }
            out.push(next);
        }
        Ok(out)
    }

    /// Shapes of all weights: of each layer that has some, weights and bias.
    pub fn weights(&self) -> Vec<Vec<usize>> {
        self.layers.iter().filter_map(Layer::weights).flatten().collect()
    }
}

/// What is made small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// Mean over the batch of the sum of squared differences.
    SquaredError,
    /// Mean over the batch of the cross-entropy of softmax probabilities.
    CrossEntropy,
}

impl Loss {
    /// Fraction bits of the differences that it squares or sends backward: those of outputs, or of probabilities.
    pub fn difference_bits(self) -> u32 {
        match self {
            Self::SquaredError => ACTIVATION_BITS,
            Self::CrossEntropy => PROBABILITY_BITS,
        }
    }
}

/// A training run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The network.
    pub network: Network,
    /// The loss.
    pub loss: Loss,
    /// Number of steps.
    pub steps: usize,
    /// log2 of the rows of one step.
    pub batch_bits: u32,
    /// The learning rate is `2^-rate_bits`.
    pub rate_bits: u32,
    /// With `m`, velocities decay by `1 - 2^-m` a step; without, plain SGD.
    pub momentum_bits: Option<u32>,
    /// Rows of the data.
    pub rows: usize,
    /// Chooses the rows of each step (see [`super::Sampler`]).
    pub seed: [u8; 32],
}

impl Spec {
    /// Rows of one step.
    pub fn batch(&self) -> usize {
        1 << self.batch_bits
    }

    /// Checks all parts.
    ///
    /// # Errors
    /// The first part that is impossible.
    pub fn validate(&self) -> Result<(), TrainError> {
        let shapes = self.network.shapes()?;
        for (index, layer) in self.network.layers.iter().enumerate() {
            match layer {
                Layer::Flatten => {}
                Layer::Dense { .. } | Layer::Conv { .. } => break,
                other => {
                    let reason = "comes before all weights: apply it to the data".to_owned();
                    return Err(TrainError::Layer { index, layer: other.name(), reason });
                }
            }
        }
        let check = |what: &str, got: u64, range: std::ops::RangeInclusive<u64>| {
            if range.contains(&got) {
                return Ok(());
            }
            let allowed = format!("{} to {} are possible", range.start(), range.end());
            Err(TrainError::Spec { what: what.to_owned(), got: got.to_string(), allowed })
        };
        check("steps", self.steps as u64, 1..=MAX_STEPS as u64)?;
        check("log2 of the batch", u64::from(self.batch_bits), 0..=10)?;
        check("minus log2 of the learning rate", u64::from(self.rate_bits), 0..=12)?;
        check("rows of data", self.rows as u64, 1..=MAX_ROWS as u64)?;
        if let Some(m) = self.momentum_bits {
            check("minus log2 of one minus the momentum", u64::from(m), 1..=8)?;
        }
        match shapes.last().map(Vec::as_slice) {
            Some([_]) => Ok(()),
            other => Err(TrainError::Spec {
                what: "shape of the network's output".to_owned(),
                got: format!("{other:?}"),
                allowed: "one axis is possible (end with Flatten or Dense)".to_owned(),
            }),
        }
    }

    /// Values of the network's output.
    pub fn outputs(&self) -> Result<usize, TrainError> {
        Ok(self.network.shapes()?.last().map_or(0, |s| s.iter().product()))
    }

    /// The power of two that gradients of weights are divided by, as a shift: learning rate, batch and units together.
    /// A gradient of weights has `ACTIVATION_BITS + ERROR_BITS` fraction bits.
    pub(crate) fn weight_shift(&self) -> i64 {
        i64::from(ACTIVATION_BITS) + self.bias_shift()
    }

    /// The same for biases, whose gradients have `ERROR_BITS` fraction bits.
    pub(crate) fn bias_shift(&self) -> i64 {
        // The gradient of a square is twice the difference.
        let twice = i64::from(self.loss == Loss::SquaredError);
        i64::from(ERROR_BITS) - i64::from(WEIGHT_BITS) + i64::from(self.rate_bits + self.batch_bits) - twice
    }
}
