//! Contractions of integers: the accumulators of quantized convolutions and matrix products.
//!
//! * Statement: `out = sum lhs * rhs (+ bias along an axis)`, in integers that do not wrap.
//! * ONNX: QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger, and QGemm of `com.microsoft`.
//! * Shapes: as the contraction says.
//! * Lowering: one [`crate::ops::Contraction`]; constants become weights of the width that they need, a bias two of them.
//! * Lookups: none, or one a value where an operand is an accumulator itself.
//! * Soundness: bilinear sumcheck.
//! * Reference: docs/protocol.md#bilinear.

use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
    },
    ops::{Contraction, Op},
    tensor::Tensor as Integers,
};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

/// The contraction, and the output axis along which the third input, if there is one, is added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contract {
    pub(crate) contraction: Contraction,
    pub(crate) bias: Option<usize>,
}

/// Widest integers of an operand that is computed.
const OPERAND_BITS: u32 = 24;
/// Bits of the low part of a wide constant.
const LOW_BITS: u32 = 16;

impl Contract {
    pub(super) fn eval(&self, inputs: &[TValue], shape: &[usize]) -> TractResult<Tensor> {
        let integers = |i: usize| -> TractResult<Integers> {
            let t = inputs.get(i).ok_or_else(|| TractError::msg(format!("no input {i}")))?;
            Ok(Integers { shape: t.shape().to_vec(), data: super::whole(t)? })
        };
        let (x, w) = (integers(0)?, integers(1)?);
        let fail = |e: crate::error::GraphError| TractError::msg(e.to_string());
        let made = self.contraction.infer(&x.shape, &w.shape).map_err(fail)?;
        if made != shape {
            return Err(TractError::msg(format!("a contraction to {made:?}, expected {shape:?}")));
        }
        let mut out = self.contraction.eval(&x, &w, shape).data;
        if let Some(axis) = self.bias {
            let bias = integers(2)?.data;
            let inner: usize = shape[axis + 1..].iter().product();
            for (i, v) in out.iter_mut().enumerate() {
                *v += bias[i / inner % shape[axis] % bias.len()];
            }
        }
        Tensor::from_shape(shape, &out)
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let (x, w) = (operand(c, node, 0)?, operand(c, node, 1)?);
        let mut id = c.push(Op::Contraction(self.contraction.clone()), &[x, w])?;
        if let Some(axis) = self.bias {
            let Value::Const(bias) = c.input(node, 2)? else {
                return Err(ImportError::unsupported("the bias of a quantized operator must be a constant"));
            };
            let shape = c.shape(id);
            let mut along = vec![1; shape.len()];
            along[axis] = bias.len();
            let values = super::whole(&bias).map_err(super::engine)?;
            let bias = constant(c, "bias", &along, &values)?;
            let bias = c.broadcast(bias, &shape)?;
            id = c.linear(&[(id, 1), (bias, 1)], 0)?;
        }
        Ok(c.result(OutletId::new(node.id, 0), id, 1.0))
    }
}

/// An operand as a node of integers, linear in committed tensors.
pub(super) fn operand(c: &mut Lowering<'_>, node: &TypedNode, i: usize) -> Result<NodeId> {
    match c.input(node, i)? {
        Value::Const(t) => {
            let values = super::whole(&t).map_err(super::engine)?;
            constant(c, &format!("operand{i}"), t.shape(), &values)
        }
        Value::Lazy(l) => {
            let root = c.operand(&l)?;
            let range = c.g.node(root.node).range;
            if !c.exact.contains(&root.node) || (range.hi - range.lo) >> OPERAND_BITS != 0 {
                return Err(ImportError::unsupported("an operand that is no small integer"));
            }
            unscaled(c, root.node, root.scale)
        }
    }
}

/// Input `i`, which is computed, as a node of small integers.
pub(crate) fn small_operand(c: &mut Lowering<'_>, node: &TypedNode, i: usize) -> Result<NodeId> {
    let id = operand(c, node, i)?;
    unscaled(c, id, 1.0)
}

/// A node whose values times the scale are integers, as those integers.
pub(super) fn unscaled(c: &mut Lowering<'_>, node: NodeId, scale: f64) -> Result<NodeId> {
    if scale.fract() != 0.0 || scale < 1.0 {
        let what = format!(
            "its integers come in units of {scale}, which this operator cannot read; leave it, or what is before it, in floats \
             (nodes_to_exclude of the quantizer)"
        );
        return Err(ImportError::unsupported(what));
    }
    let out = c.linear(&[(node, scale as i64)], 0)?;
    c.exact.insert(out);
    Ok(out)
}

/// Integers as a weight, or as several where they are wide.
pub(super) fn constant(c: &mut Lowering<'_>, suffix: &str, shape: &[usize], values: &[i64]) -> Result<NodeId> {
    let width = |v: &[i64]| v.iter().map(|v| 65 - v.unsigned_abs().leading_zeros()).max().unwrap_or(1).max(2);
    let bits = width(values);
    if bits <= 20 {
        return c.weight(suffix, shape, bits, values.to_vec());
    }
    let half = 1i64 << (LOW_BITS - 1);
    let high: Vec<i64> = values.iter().map(|v| v.saturating_add(half) >> LOW_BITS).collect();
    let low: Vec<i64> = values.iter().zip(&high).map(|(v, h)| v - (h << LOW_BITS)).collect();
    let high = constant(c, &format!("{suffix}_high"), shape, &high)?;
    let low = c.weight(&format!("{suffix}_low"), shape, LOW_BITS + 1, low)?;
    c.linear(&[(high, 1 << LOW_BITS), (low, 1)], 0)
}
