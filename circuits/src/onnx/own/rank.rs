//! Ranks of the entries along an axis, without rounding.
//!
//! * Statement: `out` is the number of entries that come before an entry: larger ones (or smaller ones), and equal ones of a lower
//!   index.
//! * ONNX: TopK.
//! * Shapes: `[outer, entries, inner]`, which stays.
//! * Lowering: every pair is compared once, by the sign of its difference at any width. The comparisons are an order, so the ranks are
//!   all numbers below the number of entries, each once; comparisons of rounded differences would not be one.
//! * Lookups: one and limbs for each pair.
//! * Soundness: lookups and linear views.
//! * Reference: docs/protocol.md#lookups.

use super::{contract::constant, label::at_least_zero};
use crate::{
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
    },
    ops::{Op, Remap},
    tensor::around,
};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

/// Whether large entries come first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rank {
    pub(crate) largest: bool,
}

impl Rank {
    pub(super) fn eval(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let t = inputs.first().ok_or_else(|| TractError::msg("no input"))?;
        let values = super::wide(t)?;
        let (outer, n, inner) = around(t.shape(), 1);
        let mut out = vec![0i64; values.len()];
        for at in (0..outer).flat_map(|a| (0..inner).map(move |i| a * n * inner + i)) {
            let value = |k: usize| values[at + k * inner];
            for i in 0..n {
                let before = |j: usize| {
                    let strictly = if self.largest { value(j) > value(i) } else { value(j) < value(i) };
                    strictly || (j < i && value(j) == value(i))
                };
                out[at + i * inner] = (0..n).filter(|j| before(*j)).count() as i64;
            }
        }
        Tensor::from_shape(t.shape(), &out)
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let l = c.lazy(node, 0)?;
        let root = c.materialize(&l)?;
        let shape = c.shape(root.node);
        let [_, n, _] = shape[..] else {
            return Err(ImportError::unsupported(format!("ranks along an axis of a tensor of shape {shape:?}")));
        };
        let outlet = OutletId::new(node.id, 0);
        if n == 1 {
            let zero = c.linear(&[(root.node, 0)], 0)?;
            return Ok(c.result(outlet, zero, 1.0));
        }
        let pairs = || (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let sign = if self.largest { 1 } else { -1 };
        let differences = pairs().map(|(i, j)| vec![(i as u32, sign), (j as u32, -sign)]).collect();
        let differences = c.push(Op::Remap(Remap { axis: 1, rows: differences }), &[root.node])?;
        // One where the first of the pair stays first.
        let kept = at_least_zero(c, differences)?;
        let mut before: Vec<Vec<(u32, i64)>> = vec![vec![]; n];
        for (p, (i, j)) in pairs().enumerate() {
            before[i].push((p as u32, -1));
            before[j].push((p as u32, 1));
        }
        let before = c.push(Op::Remap(Remap { axis: 1, rows: before }), &[kept])?;
        let later: Vec<i64> = (0..n as i64).rev().collect();
        let later = constant(c, "later", &[1, n, 1], &later)?;
        let later = c.broadcast(later, &shape)?;
        let rank = c.linear(&[(before, 1), (later, 1)], 0)?;
        Ok(c.result(outlet, rank, 1.0))
    }
}
