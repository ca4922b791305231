//! A function of two small integers.
//!
//! * Statement: `out = f(a, b)` entry by entry, with broadcasting.
//! * ONNX: QLinearAdd and QLinearMul of `com.microsoft`, and Add and Mul between DequantizeLinear and QuantizeLinear, as onnxruntime
//!   computes them: in float32, the zero point added before rounding.
//! * Shapes: the broadcast of both.
//! * Lowering: one lookup with the key `a + n b`; of a constant operand, `b` counts its different values. Results of 16 bits,
//!   which no runtime computes with integers, are the rounded combination, or product, of both.
//! * Lookups: one a value; a table of as many keys as there are pairs. With 16 bits the remainder's limbs.
//! * Soundness: both operands have proven ranges, so that a key is one pair.
//! * Reference: docs/protocol.md#lookups.

use super::{
    contract::{constant, operand, unscaled},
    integers,
    rescale::nearest,
};
use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
        tables::Function,
    },
    ops::{Contraction, Op},
};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
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
/// Width beyond which results are rounded combinations.
const WIDE: i64 = 255;

/// An operand as a node, and the values that `node - first` counts.
struct Side {
    node: NodeId,
    first: i64,
    values: Vec<i64>,
}

impl Side {
    /// For people.
    fn name(&self) -> String {
        match self.values.as_slice() {
            [first, .., last] => format!("{} values from {first} to {last}", self.values.len()),
            values => format!("{values:?}"),
        }
    }
}

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
        if self.hi - self.lo > WIDE {
            let id = self.wide(c, node, &shape)?;
            return Ok(c.result(OutletId::new(node.id, 0), id, 1.0));
        }
        let (left, right) = (self.side(c, node, 0, &shape)?, self.side(c, node, 1, &shape)?);
        let (n, m) = (left.values.len(), right.values.len());
        if n.saturating_mul(m) > 1 << KEY_BITS {
            return Err(ImportError::unsupported(format!("operands of {n} and {m} values; their pairs are too many")));
        }
        let key = c.linear(&[(left.node, 1), (right.node, n as i64)], -left.first - n as i64 * right.first)?;
        let last = (n * m) as i64 - 1;
        let pair = *self;
        let name = format!("{self:?} of {} and {}", left.name(), right.name());
        let mut hasher = DefaultHasher::new();
        (&left.values, &right.values).hash(&mut hasher);
        let at = move |k: usize| pair.at(left.values[k % n], right.values[k / n]);
        let f = Function {
            name,
            digest: hasher.finish(),
            base: (0, last),
            values: Box::new(move |keys| Ok(keys.iter().map(|k| at((*k).clamp(0, last) as usize) as i32).collect())),
        };
        let id = c.lookup(key, 0, &f)?;
        Ok(c.result(OutletId::new(node.id, 0), id, 1.0))
    }

    /// Operand `i`, repeated to the result's shape.
    fn side(&self, c: &mut Lowering<'_>, node: &TypedNode, i: usize, shape: &[usize]) -> Result<Side> {
        if let Value::Const(t) = c.input(node, i)? {
            let all = integers(&t)?;
            let mut values = all.clone();
            values.sort_unstable();
            values.dedup();
            // Around zero, as the range of weights is.
            let first = -(values.len() as i64 / 2);
            let place = |v: &i64| first + values.partition_point(|w| w < v) as i64;
            let places = constant(c, &format!("operand{i}"), t.shape(), &all.iter().map(place).collect::<Vec<_>>())?;
            return Ok(Side { node: c.broadcast(places, shape)?, first, values });
        }
        let id = operand(c, node, i)?;
        let id = unscaled(c, id, 1.0)?;
        let range = c.g.node(id).range;
        if (range.hi - range.lo) >> KEY_BITS != 0 {
            return Err(ImportError::unsupported(format!("an operand of {} values", range.hi - range.lo + 1)));
        }
        let (lo, hi) = (range.lo as i64, range.hi as i64);
        Ok(Side { node: c.broadcast(id, shape)?, first: lo, values: (lo..=hi).collect() })
    }

    /// The result of 16 bits: a line in the operands, or in their product.
    fn wide(&self, c: &mut Lowering<'_>, node: &TypedNode, shape: &[usize]) -> Result<NodeId> {
        let mut ids = Vec::new();
        for i in 0..2 {
            let id = operand(c, node, i)?;
            let id = unscaled(c, id, 1.0)?;
            let id = c.linear(&[(id, 1)], -self.zeros[i])?;
            ids.push(c.broadcast(id, shape)?);
        }
        let [sa, sb, sy] = self.scales.map(f64::from);
        let (first, most) = (self.zeros[2] - self.lo, self.hi - self.lo);
        let (key, shift) = match self.act {
            Act::Add => {
                let sum = c.g.node(ids[0]).range.union(c.g.node(ids[1]).range);
                let (shift, lines) = nearest(&[sa / sy, sb / sy], sum, (first, most))?;
                let terms = [(ids[0], lines[0].factor()?), (ids[1], lines[1].factor()?)];
                (c.linear(&terms, lines[0].offset(shift)?)?, shift)
            }
            Act::Mul => {
                let product = c.push(Op::Contraction(Contraction::elementwise(shape)), &ids)?;
                let range = c.g.node(product).range;
                let (shift, lines) = nearest(&[sa * sb / sy], range, (first, most))?;
                (c.linear(&[(product, lines[0].factor()?)], lines[0].offset(shift)?)?, shift)
            }
        };
        let id = c.clamp(key, shift, (0, most))?;
        c.linear(&[(id, 1)], self.lo)
    }
}
