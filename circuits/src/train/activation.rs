//! Smooth activation functions, as whole numbers: values and derivatives for every key of a table.
//!
//! Keys and values have `ACTIVATION_BITS` fraction bits, derivatives `SLOPE_BITS`. The functions are computed by `libm` in Rust,
//! which gives the same bits on every platform: a verifier rebuilds these tables.

use super::{ACTIVATION_BITS, SLOPE_BITS};
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// A smooth activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `x Phi(x)`.
    Gelu,
    /// The approximation of `x Phi(x)` by a hyperbolic tangent.
    GeluTanh,
    /// `x / (1 + e^-x)`.
    Silu,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Gelu, Self::GeluTanh, Self::Silu, Self::Sigmoid, Self::Tanh];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gelu => "Gelu",
            Self::GeluTanh => "Gelu (tanh)",
            Self::Silu => "Silu",
            Self::Sigmoid => "Sigmoid",
            Self::Tanh => "Tanh",
        }
    }

    /// Value and derivative at a real number.
    fn at(self, x: f64) -> (f64, f64) {
        match self {
            Self::Gelu => {
                let below = (1.0 + libm::erf(x * FRAC_1_SQRT_2)) / 2.0;
                (x * below, below + x * libm::exp(-x * x / 2.0) / libm::sqrt(2.0 * PI))
            }
            Self::GeluTanh => {
                let c = libm::sqrt(2.0 / PI);
                let t = libm::tanh(c * (x + 0.044715 * x * x * x));
                let inner = c * (1.0 + 3.0 * 0.044715 * x * x);
                (x * (1.0 + t) / 2.0, (1.0 + t) / 2.0 + x * (1.0 - t * t) * inner / 2.0)
            }
            Self::Silu => {
                let s = 1.0 / (1.0 + libm::exp(-x));
                (x * s, s * (1.0 + x * (1.0 - s)))
            }
            Self::Sigmoid => {
                let s = 1.0 / (1.0 + libm::exp(-x));
                (s, s * (1.0 - s))
            }
            Self::Tanh => {
                let t = libm::tanh(x);
                (t, 1.0 - t * t)
            }
        }
    }

    /// Whether these are its values at these points, as single precision gives them.
    #[cfg(feature = "onnx")]
    pub(crate) fn is(self, points: &[f64], values: &[f64]) -> bool {
        let near = |(x, v): (&f64, &f64)| (self.at(*x).0 - v).abs() < 1e-5;
        points.len() == values.len() && points.iter().zip(values).all(near)
    }

    /// The value for a key, in units of `2^-ACTIVATION_BITS`.
    pub fn value(self, key: i64) -> i64 {
        let unit = f64::from(1u32 << ACTIVATION_BITS);
        libm::round(self.at(key as f64 / unit).0 * unit) as i64
    }

    /// The derivative for a key, in units of `2^-SLOPE_BITS`.
    pub fn slope(self, key: i64) -> i64 {
        let unit = f64::from(1u32 << ACTIVATION_BITS);
        libm::round(self.at(key as f64 / unit).1 * f64::from(1u32 << SLOPE_BITS)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_values() {
        for a in Activation::ALL {
            for key in -2000..2000 {
                let x = f64::from(key) / 256.0;
                let numeric = (a.at(x + 1e-5).0 - a.at(x - 1e-5).0) / 2e-5;
                assert!((a.at(x).1 - numeric).abs() < 1e-6, "{} at {x}", a.name());
            }
        }
        assert_eq!((Activation::Sigmoid.value(0), Activation::Sigmoid.slope(0)), (128, 1024));
        assert_eq!((Activation::Silu.value(8191), Activation::Gelu.value(-8192)), (8191, 0));
    }
}
