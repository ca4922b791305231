//! Quantization of floats to the integers of a quantized model.
//!
//! * Statement: `out = clamp(rint(x / scale), lo - zero, hi - zero) + zero` in float32, ties to the even integer.
//! * ONNX: QuantizeLinear with one scale.
//! * Shapes: unchanged.
//! * Lowering: directly behind an input of the model, the integers are what is proven, and the division is done outside of the
//!   statement as all quantization of inputs is; the clamp is proven. Elsewhere it is a function of one tensor, tabulated.
//! * Lookups: one a value.
//! * Soundness: lookups.
//! * Reference: docs/quantization.md.

use crate::{
    model::Features,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
        ops::pointwise::compose,
    },
};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

/// Scale, zero point and the result's type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quantize {
    pub(crate) scale: f32,
    pub(crate) zero: i64,
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

impl Quantize {
    /// The integer for a float.
    pub(crate) fn at(&self, x: f32) -> i64 {
        let (lo, hi) = ((self.lo - self.zero) as f32, (self.hi - self.zero) as f32);
        (x / self.scale).max(lo).min(hi).round_ties_even() as i64 + self.zero
    }

    pub(super) fn eval(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let t = inputs.first().ok_or_else(|| TractError::msg("no input"))?;
        let x = t.cast_to::<f32>()?;
        let out: Vec<i64> = x.to_plain_array_view::<f32>()?.iter().map(|v| self.at(*v)).collect();
        Tensor::from_shape(t.shape(), &out)
    }

    /// Signed width of an input that holds `out - zero`.
    pub(crate) fn input_bits(&self) -> u32 {
        let most = (self.hi - self.zero).max(self.zero - self.lo - 1).max(1);
        65 - most.unsigned_abs().leading_zeros()
    }

    /// How a float input of this shape becomes `out - zero`.
    pub(crate) fn features(&self, shape: &[usize]) -> Features {
        let n = shape.first().copied().unwrap_or(1);
        Features { axis: 0, scale: vec![f64::from(self.scale); n], offset: vec![0.0; n] }
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let l = c.lazy(node, 0)?;
        if c.quantized.contains(&l.root.node) {
            let id = c.clamp(l.root.node, 0, (self.lo - self.zero, self.hi - self.zero))?;
            let id = c.linear(&[(id, 1)], self.zero)?;
            return Ok(c.result(OutletId::new(node.id, 0), id, 1.0));
        }
        compose(c, node)?.ok_or_else(|| ImportError::unsupported("quantization of different tensors"))
    }
}
