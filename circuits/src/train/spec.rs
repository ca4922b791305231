//! What is trained, and how.

use super::{
    ACTIVATION_BITS, PROBABILITY_BITS, WEIGHT_BITS,
    layer::{self, Layer, Parameter},
};
use crate::error::GraphError;
use serde::{Deserialize, Serialize};

/// Most rows of a data set.
pub const MAX_ROWS: usize = 1 << 19;
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

/// Layers in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Shape of one input.
    pub input: Vec<usize>,
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Network {
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
        if self.layers.len() > 256 || !self.layers.iter().any(Layer::trains) {
            return spec(
                "layers",
                self.layers.len().to_string(),
                "1 to 256, one of them with weights to train, are possible",
            );
        }
        layer::shapes(&self.layers, &self.input).map_err(|(index, layer, reason)| TrainError::Layer {
            index,
            layer,
            reason,
        })
    }

    /// Shapes of all weights that are trained: of each layer that has some, weights and bias (of adapters, what goes down to the
    /// rank and what goes up); of branches, those of the body first.
    pub fn weights(&self) -> Vec<Vec<usize>> {
        self.parameters().into_iter().filter(|p| !p.frozen).map(|p| p.shape).collect()
    }

    /// Shapes of all weights that stay as they are, in the same order.
    pub fn base(&self) -> Vec<Vec<usize>> {
        self.parameters().into_iter().filter(|p| p.frozen).map(|p| p.shape).collect()
    }

    /// Names of what is trained, or of what stays as it is, in the order of [`Self::weights`] and [`Self::base`]: `0.weight`, ..
    pub fn names(&self, frozen: bool) -> Vec<String> {
        self.parameters().into_iter().filter(|p| p.frozen == frozen).map(|p| p.name).collect()
    }

    /// Names of all weights, in the order in which layers read them.
    pub fn all_names(&self) -> Vec<String> {
        self.parameters().into_iter().map(|p| p.name).collect()
    }

    /// One for each weight, from one for each that is trained and one for each that stays: layers read theirs side by side.
    ///
    /// # Errors
    /// Another number of either than the network has.
    pub(super) fn side_by_side<T: Clone>(&self, weights: &[T], base: &[T]) -> Result<Vec<T>, TrainError> {
        let (mut trained, mut stays) = (weights.iter(), base.iter());
        let all = self.parameters();
        let merged: Option<Vec<T>> =
            all.iter().map(|p| if p.frozen { stays.next() } else { trained.next() }.cloned()).collect();
        match merged {
            Some(all) if trained.next().is_none() && stays.next().is_none() => Ok(all),
            _ => Err(TrainError::Data {
                name: "weights".to_owned(),
                expected: format!("{} that are trained, {} that stay", self.weights().len(), self.base().len()),
                got: format!("{} and {}", weights.len(), base.len()),
            }),
        }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        layer::parameters(&self.layers, "")
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
    /// Chooses the rows of each step (see [`super::Sampler`]). The graph does not depend on it.
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
        layer::learns(&self.network.layers, false).map_err(|(index, layer)| {
            let reason = "comes before all weights: apply it to the data".to_owned();
            TrainError::Layer { index, layer, reason }
        })?;
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

    /// The power of two that gradients of so many fraction bits are divided by, as a shift: learning rate, batch and units together.
    pub(super) fn shift(&self, gradient_bits: u32) -> i64 {
        // The gradient of a square is twice the difference.
        let twice = i64::from(self.loss == Loss::SquaredError);
        i64::from(gradient_bits) - i64::from(WEIGHT_BITS) + i64::from(self.rate_bits + self.batch_bits) - twice
    }
}
