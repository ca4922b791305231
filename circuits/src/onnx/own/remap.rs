//! A sparse matrix along one axis: resizing, borders, permutations.
//!
//! * Statement: `out[.., o, ..] = sum over (p, c) in rows[o] of c * in[.., p, ..]`.
//! * ONNX: Resize, Upsample, Pad (reflect, edge, wrap, negative), ConvTranspose, Col2Im, CenterCropPad, ReverseSequence,
//!   Compress.
//! * Shapes: the axis gets as many entries as there are rows.
//! * Lowering: [`crate::ops::Remap`] with factors that are integers over a common denominator, which divides the scale. Factors
//!   that have none below 65 are rounded to a multiple of 2^-16.
//! * Lookups: none.
//! * Soundness: a linear view.
//! * Reference: docs/protocol.md#linear.

use crate::{
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
        ops::binary::limits,
    },
    ops::Op,
    tensor::around,
};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

/// The axis, and for each entry of the result the entries that it sums with their factors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remap {
    pub(crate) axis: usize,
    pub(crate) rows: Vec<Vec<(u32, f64)>>,
}

/// Denominator of factors that are no simple fractions.
const FINE: i64 = 1 << 16;

impl Remap {
    /// Chosen entries; `None` is a zero.
    pub(crate) fn select(axis: usize, positions: impl IntoIterator<Item = Option<usize>>) -> Self {
        Self { axis, rows: positions.into_iter().map(|p| p.map(|p| (p as u32, 1.0)).into_iter().collect()).collect() }
    }

    /// Whether the axis, of this extent, stays as it is.
    pub(crate) fn is_identity(&self, extent: usize) -> bool {
        self.rows.len() == extent && self.rows.iter().enumerate().all(|(i, r)| *r == [(i as u32, 1.0)])
    }

    pub(super) fn eval(&self, inputs: &[TValue], shape: &[usize]) -> TractResult<Tensor> {
        let t = inputs.first().ok_or_else(|| TractError::msg("no input"))?;
        let values = super::wide(t)?;
        let (outer, len, inner) = around(t.shape(), self.axis);
        let mut out = Vec::with_capacity(shape.iter().product());
        for a in 0..outer {
            for row in &self.rows {
                for i in 0..inner {
                    out.push(row.iter().map(|(p, c)| c * values[(a * len + *p as usize) * inner + i]).sum::<f64>());
                }
            }
        }
        Ok(Tensor::from_shape(shape, &out)?.cast_to_dt(t.datum_type())?.into_owned())
    }

    /// The common denominator of all factors.
    fn denominator(&self) -> i64 {
        let factors = || self.rows.iter().flatten().map(|(_, c)| *c);
        let fits = |d: i64| factors().all(|c| (c * d as f64 - (c * d as f64).round()).abs() < 1e-9);
        let powers = (0..=12).map(|k| 1i64 << k);
        powers.chain(3..=64).find(|d| fits(*d)).unwrap_or(FINE)
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let l = c.lazy(node, 0)?;
        let root = c.materialize_within(&l, 40)?;
        let d = self.denominator();
        let rows = self.rows.iter().map(|r| r.iter().map(|(p, f)| (*p, (f * d as f64).round() as i64)).collect());
        let op = crate::ops::Remap { axis: self.axis, rows: rows.collect() };
        let id = c.push(Op::Remap(op), &[root.node])?;
        let outlet = OutletId::new(node.id, 0);
        if let Some(kind) = c.integer(outlet).filter(|k| k.is_integer())
            && self.rows.iter().any(|r| r.len() > 1)
        {
            let (lo, hi) = limits(kind);
            let range = c.g.node(id).range;
            if (range.lo as f64) < lo || range.hi as f64 > hi {
                let what = format!("sums from {} to {} may wrap around in their type", range.lo, range.hi);
                return Err(ImportError::unsupported(what));
            }
        }
        Ok(c.result(outlet, id, root.scale / d as f64))
    }
}
