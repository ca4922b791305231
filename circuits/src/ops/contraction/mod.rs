//! Contraction: the one bilinear operator. Matrix products, einsums, convolutions and elementwise products are instances.
//!
//! * Statement: over named indices with extents, `out[o(.)] = sum lhs[a(.)] * rhs[b(.)]`, summed over the indices that do
//!   not occur in `out`. Each operand axis is an affine expression of indices (`s*o + d*k - p` for a convolution); a
//!   position outside the axis reads zero. Each output axis is a mixed-radix number of indices.
//! * Shapes: operand ranks as the expressions; output extents are the products of their indices' extents.
//! * Pullback: the output functional has one factor per output axis, and each goes to the operand axis that holds all of its
//!   indices. Indices that both operands share are the variables of one sumcheck `sum_x A(x) B(x)`, where
//!   `A(x) = <lhs, w_A(x)>` and `w_A` is again rank-one, axis by axis. At the sumcheck's point two claims remain.
//! * Lookups: none.
//! * Soundness: sumcheck, degree 2 a variable (docs/protocol.md#bilinear).
//! * Reference: Thaler, CRYPTO 2013 (matrix multiplication); the affine axes are ours, docs/protocol.md#bilinear.

mod eval;
pub(crate) use eval::Rows;
mod rows;

pub use rows::{AxisEq, AxisRows};

use crate::{
    error::GraphError,
    interval::Interval,
    ring::index_bits,
    tensor::{MAX_EXTENT, element_count},
};
use serde::{Deserialize, Serialize};

/// A position on an axis: `offset + sum of index * stride`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AxisExpr {
    /// Pairs (index, stride), outermost first.
    pub terms: Vec<(usize, i64)>,
    /// Constant part.
    pub offset: i64,
}

impl AxisExpr {
    /// The axis is one index.
    pub fn index(i: usize) -> Self {
        Self { terms: vec![(i, 1)], offset: 0 }
    }

    /// The axis is no index: it has extent one.
    pub fn unit() -> Self {
        Self { terms: vec![], offset: 0 }
    }

    /// A sum of indices times strides; those that do not exist, because their extent is one, are left out.
    pub fn sum(terms: &[(Option<usize>, i64)], offset: i64) -> Self {
        Self { terms: terms.iter().filter_map(|(i, s)| i.map(|i| (i, *s))).collect(), offset }
    }

    /// Axes that are one index each.
    pub fn indices(indices: &[usize]) -> Vec<Self> {
        indices.iter().copied().map(Self::index).collect()
    }

    fn has(&self, i: usize) -> bool {
        self.terms.iter().any(|(j, _)| *j == i)
    }
}

/// Extents of a contraction's indices as they come. An extent of one needs no index.
#[derive(Clone, Debug, Default)]
pub struct Indices(pub Vec<usize>);

impl Indices {
    /// A new index of this extent.
    pub fn add(&mut self, extent: usize) -> Option<usize> {
        (extent > 1).then(|| {
            self.0.push(extent);
            self.0.len() - 1
        })
    }

    /// An axis of this extent that is an index of its own.
    pub fn axis(&mut self, extent: usize) -> AxisExpr {
        AxisExpr::sum(&[(self.add(extent), 1)], 0)
    }
}

/// Which operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Lhs,
    /// The second.
    Rhs,
}

/// Parameters of the contraction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contraction {
    /// Extent of each index.
    pub extents: Vec<usize>,
    /// Axes of the first operand.
    pub lhs: Vec<AxisExpr>,
    /// Axes of the second operand.
    pub rhs: Vec<AxisExpr>,
    /// Axes of the output.
    pub out: Vec<AxisExpr>,
}

impl Contraction {
    /// A matrix product `out[batch.., m, n] = sum_k lhs[batch.., m, k] * rhs[batch.., k, n]` with equal batch axes.
    pub fn matmul(batch: &[usize], m: usize, k: usize, n: usize) -> Self {
        let b = batch.len();
        let mut extents = batch.to_vec();
        extents.extend([m, k, n]);
        let axes = |last: [usize; 2]| (0..b).chain(last).map(AxisExpr::index).collect::<Vec<_>>();
        Self { extents, lhs: axes([b, b + 1]), rhs: axes([b + 1, b + 2]), out: axes([b, b + 2]) }
    }

    /// An elementwise product of two tensors of one shape.
    pub fn elementwise(shape: &[usize]) -> Self {
        let axes: Vec<_> = (0..shape.len()).map(AxisExpr::index).collect();
        Self { extents: shape.to_vec(), lhs: axes.clone(), rhs: axes.clone(), out: axes }
    }

    fn operand(&self, side: Side) -> &[AxisExpr] {
        match side {
            Side::Lhs => &self.lhs,
            Side::Rhs => &self.rhs,
        }
    }

    fn in_operand(&self, side: Side, i: usize) -> bool {
        self.operand(side).iter().any(|a| a.has(i))
    }

    fn in_out(&self, i: usize) -> bool {
        self.out.iter().any(|a| a.has(i))
    }

    /// The indices that both operands share: the sumcheck's variables, in order.
    pub fn variables(&self) -> Vec<usize> {
        (0..self.extents.len()).filter(|i| self.in_operand(Side::Lhs, *i) && self.in_operand(Side::Rhs, *i)).collect()
    }

    /// Number of sumcheck rounds.
    pub fn rounds(&self) -> usize {
        self.variables().iter().map(|i| index_bits(self.extents[*i])).sum()
    }

    /// Number of multiply-adds.
    pub fn multiply_adds(&self) -> u128 {
        self.extents.iter().fold(1, |n: u128, e| n.saturating_mul(*e as u128))
    }

    /// Entries of all rows of both operands: what [`Self::rows`] allocates.
    pub fn row_entries(&self) -> u64 {
        let grid = |axis: &AxisExpr| {
            axis.terms.iter().fold(1u64, |n, (i, _)| n.saturating_mul(self.extents.get(*i).map_or(1, |e| *e as u64)))
        };
        self.lhs.iter().chain(&self.rhs).fold(0, |n, axis| n.saturating_add(grid(axis)))
    }

    pub(crate) fn infer(&self, lhs: &[usize], rhs: &[usize]) -> Result<Vec<usize>, GraphError> {
        let bad = |what: String| Err(GraphError::Parameter(what));
        if self.extents.contains(&0) || self.extents.len() > 16 || self.multiply_adds() > 1 << 44 {
            return bad(format!("index extents {:?}", self.extents));
        }
        for (side, shape) in [(Side::Lhs, lhs), (Side::Rhs, rhs)] {
            let axes = self.operand(side);
            if axes.len() != shape.len() {
                return Err(GraphError::Shape { expected: vec![axes.len()], got: shape.to_vec() });
            }
            let mut seen = vec![false; self.extents.len()];
            for axis in axes {
                let mut reach = axis.offset.unsigned_abs() as u128;
                for (i, stride) in &axis.terms {
                    match seen.get_mut(*i) {
                        Some(s) if !*s => *s = true,
                        _ => return bad(format!("index {i} is unknown or occurs twice in one operand")),
                    }
                    reach += u128::from(stride.unsigned_abs()) * self.extents[*i] as u128;
                }
                let grid: u128 = axis.terms.iter().map(|(i, _)| self.extents[*i] as u128).product();
                if reach > 1 << 40 || grid > MAX_EXTENT as u128 {
                    return bad("an axis expression reaches too far".to_owned());
                }
            }
        }
        let mut seen = vec![false; self.extents.len()];
        let mut shape = Vec::with_capacity(self.out.len());
        for axis in &self.out {
            let mut extent = 1usize;
            for (i, stride) in axis.terms.iter().rev() {
                match seen.get_mut(*i) {
                    Some(s) if !*s => *s = true,
                    _ => return bad(format!("index {i} is unknown or occurs twice in the output")),
                }
                if usize::try_from(*stride) != Ok(extent) {
                    return bad("an output axis is no mixed-radix number of its indices".to_owned());
                }
                extent = extent.saturating_mul(self.extents[*i]);
            }
            if axis.offset != 0 {
                return bad("an output axis has an offset".to_owned());
            }
            shape.push(extent);
        }
        element_count(&shape)?;
        for i in 0..self.extents.len() {
            if !self.in_operand(Side::Lhs, i) && !self.in_operand(Side::Rhs, i) {
                return bad(format!("index {i} occurs in no operand"));
            }
        }
        for axis in 0..self.out.len() {
            self.home(axis)?;
        }
        Ok(shape)
    }

    /// The operand axis that holds all indices of an output axis.
    fn home(&self, out_axis: usize) -> Result<Option<(Side, usize)>, GraphError> {
        let indices: Vec<usize> = self.out[out_axis].terms.iter().map(|(i, _)| *i).collect();
        if indices.is_empty() {
            return Ok(None);
        }
        for side in [Side::Lhs, Side::Rhs] {
            for (a, axis) in self.operand(side).iter().enumerate() {
                if indices.iter().all(|i| axis.has(*i)) {
                    return Ok(Some((side, a)));
                }
            }
        }
        Err(GraphError::Parameter(format!("no operand axis holds all indices of output axis {out_axis}")))
    }

    /// Whether entries of both operands at the same place are multiplied and summed. Products that are not summed keep the interval
    /// of any product, with which keys exist.
    pub(crate) fn sums_pairs(&self) -> bool {
        self.lhs == self.rhs && (0..self.extents.len()).any(|i| !self.in_out(i))
    }

    pub(crate) fn range(&self, lhs: Interval, rhs: Interval) -> Result<Interval, GraphError> {
        let terms: i128 =
            (0..self.extents.len()).filter(|i| !self.in_out(*i)).map(|i| self.extents[i] as i128).product();
        // A position outside an operand reads zero.
        lhs.times(rhs)?.union(Interval { lo: 0, hi: 0 }).scale(terms)
    }

    pub(crate) fn batched(&self, batch: usize, lhs_constant: bool, rhs_constant: bool) -> Self {
        let mut c = self.clone();
        let i = c.extents.len();
        c.extents.push(batch);
        if !lhs_constant {
            c.lhs.insert(0, AxisExpr::index(i));
        }
        if !rhs_constant {
            c.rhs.insert(0, AxisExpr::index(i));
        }
        c.out.insert(0, AxisExpr::index(i));
        c
    }
}
