//! Activation functions of recurrent cells, as ONNX names them.

use serde::{Deserialize, Serialize};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    Affine,
    Relu,
    LeakyRelu,
    ThresholdedRelu,
    Tanh,
    ScaledTanh,
    Sigmoid,
    HardSigmoid,
    Elu,
    Softsign,
    Softplus,
}

/// A function with its parameters; its argument is first clipped to `[-clip, clip]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Activation {
    pub(crate) shape: Shape,
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
    pub(crate) clip: Option<f32>,
}

impl Activation {
    /// The function of a name (in any case), and its default parameters where it has any.
    pub(crate) fn named(name: &str) -> Option<(Shape, Option<f32>, Option<f32>)> {
        Some(match name.to_ascii_lowercase().as_str() {
            "affine" => (Shape::Affine, Some(1.0), Some(0.0)),
            "relu" => (Shape::Relu, None, None),
            "leakyrelu" => (Shape::LeakyRelu, Some(0.01), None),
            "thresholdedrelu" => (Shape::ThresholdedRelu, Some(1.0), None),
            "tanh" => (Shape::Tanh, None, None),
            "scaledtanh" => (Shape::ScaledTanh, Some(1.0), Some(1.0)),
            "sigmoid" => (Shape::Sigmoid, None, None),
            "hardsigmoid" => (Shape::HardSigmoid, Some(0.2), Some(0.5)),
            "elu" => (Shape::Elu, Some(1.0), None),
            "softsign" => (Shape::Softsign, None, None),
            "softplus" => (Shape::Softplus, None, None),
            _ => return None,
        })
    }

    /// The function's value.
    pub(crate) fn at(&self, x: f32) -> f32 {
        let x = self.clip.map_or(x, |c| x.clamp(-c, c));
        let (a, b) = (self.alpha, self.beta);
        match self.shape {
            Shape::Affine => a * x + b,
            Shape::Relu => x.max(0.0),
            Shape::LeakyRelu => {
                if x >= 0.0 {
                    x
                } else {
                    a * x
                }
            }
            Shape::ThresholdedRelu => {
                if x > a {
                    x
                } else {
                    0.0
                }
            }
            Shape::Tanh => x.tanh(),
            Shape::ScaledTanh => a * (b * x).tanh(),
            Shape::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Shape::HardSigmoid => (a * x + b).clamp(0.0, 1.0),
            Shape::Elu => {
                if x >= 0.0 {
                    x
                } else {
                    a * x.exp_m1()
                }
            }
            Shape::Softsign => x / (1.0 + x.abs()),
            Shape::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        }
    }

    /// Whether no value exceeds one in magnitude.
    pub(crate) fn is_bounded(&self) -> bool {
        matches!(self.shape, Shape::Tanh | Shape::Sigmoid | Shape::HardSigmoid | Shape::Softsign)
    }

    /// Largest magnitude over an interval, sampled; one where that is a bound.
    pub(crate) fn reach(&self, (lo, hi): (f64, f64)) -> f64 {
        const POINTS: u32 = 256;
        if self.is_bounded() {
            return 1.0;
        }
        let at = |i: u32| (lo + (hi - lo) * f64::from(i) / f64::from(POINTS)) as f32;
        (0..=POINTS).map(|i| f64::from(self.at(at(i)).abs())).fold(0.0, f64::max)
    }
}
