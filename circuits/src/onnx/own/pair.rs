//! A function of two small integers.
//!
//! * Statement: `out = f(a, b)` entry by entry, with broadcasting.
//! * ONNX: QLinearAdd and QLinearMul of `com.microsoft`, and Add and Mul between DequantizeLinear and QuantizeLinear, as onnxruntime
//!   computes them: in float32, the zero point added before rounding.
//! * Shapes: the broadcast of both.
//! * Lowering: one lookup with the key `a + n b`.
//! * Lookups: one a value; a table of as many keys as there are pairs.
//! * Soundness: both operands have proven ranges, so that a key is one pair.
//! * Reference: docs/protocol.md#lookups.

use super::contract::unscaled;
use crate::onnx::{
    error::ImportError,
    lower::{Lowering, Result, Value},
    tables::Function,
};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

/// What is done with the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Act {
    /// Sum of dequantized values.
    Add,
    /// Product of dequantized values.
    Mul,
}

/// The function: scales and zero points of operands and result, and the result's type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) act: Act,
    pub(crate) scales: [f32; 3],
    pub(crate) zeros: [i64; 3],
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

/// Most keys of the table, in bits.
const KEY_BITS: u32 = 17;

impl Pair {
    fn at(&self, a: i64, b: i64) -> i64 {
        let [sa, sb, sy] = self.scales;
        let [za, zb, zy] = self.zeros;
        let (a, b) = (sa * (a - za) as f32, sb * (b - zb) as f32);
        let v = match self.act {
            Act::Add => (a + b) / sy,
            Act::Mul => a * b / sy,
        };
        let v = v.max((self.lo - zy) as f32).min((self.hi - zy) as f32);
        (v + zy as f32).round_ties_even() as i64
    }

    pub(super) fn eval(&self, inputs: &[TValue], shape: &[usize]) -> TractResult<Tensor> {
        let operand = |i: usize| -> TractResult<Vec<i64>> {
            let t = inputs.get(i).ok_or_else(|| TractError::msg(format!("no input {i}")))?;
            super::whole(&t.broadcast_to_shape(shape)?)
        };
        let out: Vec<i64> = operand(0)?.iter().zip(operand(1)?).map(|(a, b)| self.at(*a, b)).collect();
        Tensor::from_shape(shape, &out)
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let shape = c.out_shape(node, 0);
        let mut ids = Vec::new();
        for i in 0..2 {
            let id = super::contract::operand(c, node, i)?;
            let id = unscaled(c, id, 1.0)?;
            ids.push(c.broadcast(id, &shape)?);
        }
        let (a, b) = (c.g.node(ids[0]).range, c.g.node(ids[1]).range);
        let (n, m) = (a.hi - a.lo + 1, b.hi - b.lo + 1);
        if n * m > 1 << KEY_BITS {
            return Err(ImportError::unsupported(format!("operands of {n} and {m} values; their pairs are too many")));
        }
        let (n, first) = (n as i64, (a.lo as i64, b.lo as i64));
        let key = c.linear(&[(ids[0], 1), (ids[1], n)], -first.0 - n * first.1)?;
        let last = n * m as i64 - 1;
        let pair = *self;
        let at = move |k: i64| pair.at(first.0 + k.rem_euclid(n), first.1 + k.div_euclid(n));
        let f = Function {
            name: format!("{self:?} from {first:?} by {n}"),
            digest: 0,
            base: (0, last),
            values: Box::new(move |keys| Ok(keys.iter().map(|k| at((*k).clamp(0, last)) as i32).collect())),
        };
        let id = c.lookup(key, 0, &f)?;
        Ok(c.result(OutletId::new(node.id, 0), id, 1.0))
    }
}
