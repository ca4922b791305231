//! How floats and the integers of an input or output belong together.

use super::ModelError;
use crate::{
    error::GraphError,
    graph::{Node, printable},
    tensor::{Tensor, around, strides},
};
use serde::{Deserialize, Serialize};

/// Largest magnitude of [`TensorSpec::scale_bits`].
pub const MAX_SCALE_BITS: i32 = 120;

/// An input or output as the source model describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Name in the source model.
    pub name: String,
    /// Extents, with a batch of one.
    pub shape: Vec<usize>,
    /// `float = integer * 2^-scale_bits`, before [`Self::features`].
    pub scale_bits: i32,
    /// A scale and an offset for each index of an axis, where one step does not suit all.
    pub features: Option<Features>,
}

/// `float = offset[i] + scale[i] * (integer * 2^-scale_bits)` at index `i` of an axis. Quantization is no part of the
/// statement, so that a factor and an offset for each feature cost the prover nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// The axis.
    pub axis: usize,
    /// One factor per index; finite, not zero.
    pub scale: Vec<f64>,
    /// One offset per index; finite.
    pub offset: Vec<f64>,
}

impl Features {
    /// Checks the description against a shape.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self, shape: &[usize]) -> Result<(), String> {
        let Some(n) = shape.get(self.axis) else {
            return Err(format!("features along axis {} of shape {shape:?}", self.axis));
        };
        if self.scale.len() != *n || self.offset.len() != *n {
            let (s, o) = (self.scale.len(), self.offset.len());
            return Err(format!("{n} features, but {s} scales and {o} offsets"));
        }
        let usable = |v: f64| v.is_finite() && (1e-60..=1e60).contains(&v.abs());
        if let Some(i) = self.scale.iter().position(|v| !usable(*v)) {
            return Err(format!("the scale of feature {i} is {}", self.scale[i]));
        }
        if let Some(i) = self.offset.iter().position(|v| !v.is_finite() || v.abs() > 1e60) {
            return Err(format!("the offset of feature {i} is {}", self.offset[i]));
        }
        Ok(())
    }

    /// What `inner` describes, of which these are the floats: one description of both. Either may have one value for all.
    #[cfg(feature = "onnx")]
    pub(crate) fn of(&self, inner: &Self) -> Self {
        let n = self.scale.len().max(inner.scale.len());
        let at = |f: &Self, k: usize| {
            let k = if f.scale.len() == 1 { 0 } else { k };
            (f.scale.get(k).copied().unwrap_or(1.0), f.offset.get(k).copied().unwrap_or(0.0))
        };
        let both = |k: usize| {
            let ((a, b), (c, d)) = (at(self, k), at(inner, k));
            (a * c, b + a * d)
        };
        let (scale, offset) = (0..n).map(both).unzip();
        Self { axis: if inner.scale.len() == n { inner.axis } else { self.axis }, scale, offset }
    }

    /// Index along the axis of entry `i` of a tensor of this shape.
    fn index(&self, shape: &[usize], i: usize) -> usize {
        let (_, len, inner) = around(shape, self.axis);
        i / inner.max(1) % len.max(1)
    }

    /// What is quantized: `(float - offset) / scale`.
    pub(crate) fn normalize(&self, shape: &[usize], values: &[f32]) -> Vec<f32> {
        let one = |(i, v): (usize, &f32)| {
            let k = self.index(shape, i);
            ((f64::from(*v) - self.offset[k]) / self.scale[k]) as f32
        };
        values.iter().enumerate().map(one).collect()
    }

    /// The inverse of [`Self::normalize`].
    pub(crate) fn denormalize(&self, shape: &[usize], values: &[f32]) -> Vec<f32> {
        let one = |(i, v): (usize, &f32)| {
            let k = self.index(shape, i);
            (self.offset[k] + f64::from(*v) * self.scale[k]) as f32
        };
        values.iter().enumerate().map(one).collect()
    }
}

impl TensorSpec {
    /// A description with one step for all values.
    pub fn uniform(name: impl Into<String>, shape: &[usize], scale_bits: i32) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), scale_bits, features: None }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of one integer step at entry `i`, and the float that the integer zero stands for.
    pub fn step(&self, i: usize) -> (f64, f64) {
        let unit = (-f64::from(self.scale_bits)).exp2();
        match &self.features {
            None => (unit, 0.0),
            Some(f) => {
                let k = f.index(&self.shape, i);
                (unit * f.scale.get(k).copied().unwrap_or(1.0), f.offset.get(k).copied().unwrap_or(0.0))
            }
        }
    }

    /// Floats of an integer tensor with this shape and scale.
    pub fn dequantize(&self, t: &Tensor) -> Result<Vec<f32>, ModelError> {
        if t.shape != self.shape || t.data.len() != self.len() {
            return Err(GraphError::Shape { expected: self.shape.clone(), got: t.shape.clone() }.into());
        }
        let one = |(i, v): (usize, &i64)| {
            let (step, offset) = self.step(i);
            (offset + *v as f64 * step) as f32
        };
        Ok(t.data.iter().enumerate().map(one).collect())
    }

    /// The integer nearest to a float at entry `i`, the even one of two.
    fn nearest(&self, i: usize, v: f32) -> f64 {
        let (step, offset) = self.step(i);
        // A step that is a float32, without an offset, is one of a quantized model: its division is one of float32. (For powers
        // of two it makes no difference.) Ties go to the even integer, as everywhere in ONNX.
        let narrow = step as f32;
        let quotient = if offset == 0.0 && f64::from(narrow) == step {
            f64::from(v / narrow)
        } else {
            (f64::from(v) - offset) / step
        };
        quotient.round_ties_even()
    }

    /// The integer nearest to a float at entry `i`, clamped.
    pub(crate) fn at(&self, i: usize, v: f32, lo: i64, hi: i64) -> i64 {
        self.nearest(i, v).clamp(lo as f64, hi as f64) as i64
    }

    /// Integers of finite floats, to the nearest (the even one of two), clamped to `[lo, hi]`; also the number of values clamped.
    ///
    /// # Errors
    /// A wrong number of values, NaN or infinities.
    pub fn quantize(&self, values: &[f32], lo: i64, hi: i64) -> Result<(Tensor, usize), ModelError> {
        if values.len() != self.len() {
            return Err(ModelError::Length {
                name: self.name.clone(),
                shape: self.shape.clone(),
                expected: self.len(),
                got: values.len(),
            });
        }
        let mut saturated = 0;
        let mut data = Vec::with_capacity(values.len());
        for (i, v) in values.iter().enumerate() {
            if !v.is_finite() {
                return Err(ModelError::NotFinite {
                    name: self.name.clone(),
                    position: position(&self.shape, i),
                    value: v.to_string(),
                });
            }
            let q = self.nearest(i, *v);
            let clamped = q.clamp(lo as f64, hi as f64);
            saturated += usize::from(clamped != q);
            data.push(clamped as i64);
        }
        Ok((Tensor { shape: self.shape.clone(), data }, saturated))
    }

    /// Checks what does not need a graph: the scale, and features that fit the shape.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_description(&self) -> Result<(), ModelError> {
        let err = |what: String| Err(ModelError::Spec { name: self.name.clone(), what });
        if !printable(&self.name) {
            let what = "a name with control characters".to_owned();
            return Err(ModelError::Spec { name: self.name.escape_debug().to_string(), what });
        }
        if self.scale_bits.unsigned_abs() > MAX_SCALE_BITS.unsigned_abs() {
            return err(format!("a scale of 2^{}", -i64::from(self.scale_bits)));
        }
        match self.features.as_ref().map(|f| f.check(&self.shape)) {
            Some(Err(what)) => err(what),
            _ => Ok(()),
        }
    }

    pub(super) fn check(&self, node: &Node) -> Result<(), ModelError> {
        if self.shape != node.shape {
            let what = format!("shape {:?}, but node '{}' has {:?}", self.shape, node.name, node.shape);
            return Err(ModelError::Spec { name: self.name.clone(), what });
        }
        self.check_description()
    }
}

/// Index along each axis of entry `i`.
fn position(shape: &[usize], i: usize) -> Vec<usize> {
    strides(shape).iter().zip(shape).map(|(s, n)| i / (*s).max(1) % (*n).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> TensorSpec {
        let features = Features { axis: 1, scale: vec![100.0, -0.5, 3e-6], offset: vec![650.0, 0.0, 1.0] };
        TensorSpec { features: Some(features), ..TensorSpec::uniform("x", &[2, 3], 4) }
    }

    #[test]
    fn features_round_to_their_own_step() {
        let s = spec();
        assert!(s.check_description().is_ok());
        let values = [651.0, 0.25, 1.0 + 3e-6, 550.0, -1.0, 1.0];
        let (t, clamped) = s.quantize(&values, -16, 15).unwrap();
        assert_eq!(t.data, [0, -8, 16 - 1, -16, 15, 0]);
        // 1 + 3e-6 as a 32-bit float is a little below or above 16 steps; 2 steps of -0.5 reach 32.
        assert!(clamped >= 1);
        let back = s.dequantize(&t).unwrap();
        assert_eq!((back[0], back[1], back[3]), (650.0, 0.25, 550.0));
        assert_eq!(s.step(4), (-0.5 / 16.0, 0.0));
    }

    #[test]
    fn bad_features_are_refused() {
        let with = |f: fn(&mut Features)| {
            let mut s = spec();
            f(s.features.as_mut().unwrap());
            s.check_description()
        };
        assert!(with(|f| f.axis = 2).is_err());
        assert!(with(|f| f.scale[1] = 0.0).is_err());
        assert!(with(|f| f.scale[1] = f64::NAN).is_err());
        assert!(with(|f| f.offset[0] = f64::INFINITY).is_err());
        assert!(with(|f| f.offset.truncate(2)).is_err());
        assert!(with(|f| f.scale.push(1.0)).is_err());
    }
}
