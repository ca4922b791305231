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

use crate::{
    error::GraphError,
    functional::{Factor, Functional},
    interval::Interval,
    ops::dot,
    ring::{Ring, eq_table, index_bits},
    tensor::{MAX_EXTENT, Tensor, element_count},
};
use serde::{Deserialize, Serialize};

/// Products fewer than these are not worth other threads.
const SMALL: usize = 1 << 18;
/// Values of the right operand that stay in the nearest cache while rows of the left one go by.
const NEAR: usize = 1 << 14;

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

/// The rows of one operand axis: for each value of the axis' sumcheck indices, a sparse weight vector over the axis.
#[derive(Clone, Debug)]
pub struct AxisRows<E> {
    /// The sumcheck indices in this axis, outermost first.
    pub variables: Vec<usize>,
    /// Sparse rows, one per combination of those indices (row-major); a position may occur twice and adds up.
    pub rows: Vec<Vec<(usize, E)>>,
    /// Extent of the axis.
    pub len: usize,
    /// Where the weights are known to be an eq table.
    pub eq: AxisEq<E>,
}

/// What is known about the weights of an operand axis.
#[derive(Clone, Debug)]
pub enum AxisEq<E> {
    /// Nothing.
    Unknown,
    /// The axis is one sumcheck index: at the sumcheck's point the weights are the eq table of its coordinates.
    Variable,
    /// The axis is one index of the output: the weights are the eq table of this point.
    Point(Vec<E>),
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

    /// The weights of every axis of one operand, for a functional on the output.
    pub fn rows<E: Ring>(
        &self,
        side: Side,
        operand: &[usize],
        f: &Functional<E>,
    ) -> Result<Vec<AxisRows<E>>, GraphError> {
        let shared = self.variables();
        let mut scalars: Vec<E> = Vec::new();
        let mut out = Vec::with_capacity(operand.len());
        for (a, axis) in self.operand(side).iter().enumerate() {
            let indices: Vec<usize> = axis.terms.iter().map(|(i, _)| *i).collect();
            let variables: Vec<usize> = indices.iter().copied().filter(|i| shared.contains(i)).collect();
            let mut homes: Vec<(usize, &[E], &AxisExpr)> = Vec::new();
            for (o, expr) in self.out.iter().enumerate() {
                if self.home(o)? == Some((side, a)) {
                    homes.push((o, f.single(o)?, expr));
                }
            }
            let row_count: usize = variables.iter().map(|i| self.extents[*i]).product();
            let mut rows: Vec<Vec<(usize, E)>> = vec![Vec::new(); row_count];
            let grid: usize = indices.iter().map(|i| self.extents[*i]).product();
            let mut value = vec![0usize; self.extents.len()];
            for g in 0..grid {
                let mut rest = g;
                for i in indices.iter().rev() {
                    value[*i] = rest % self.extents[*i];
                    rest /= self.extents[*i];
                }
                let p = axis.terms.iter().fold(axis.offset, |p, (i, s)| p + s * value[*i] as i64);
                let Some(p) = usize::try_from(p).ok().filter(|p| *p < operand[a]) else { continue };
                let row = variables.iter().fold(0, |r, i| r * self.extents[*i] + value[*i]);
                let mut weight: Option<E> = None;
                for (_, w, expr) in &homes {
                    let k = expr.terms.iter().fold(0, |k, (i, s)| k + *s as usize * value[*i]);
                    let factor = w.get(k).cloned().ok_or(GraphError::Length { expected: k + 1, got: w.len() })?;
                    weight = Some(match weight {
                        None => factor,
                        Some(x) => x * factor,
                    });
                }
                rows[row].push((p, weight.unwrap_or_else(E::one)));
            }
            // A closed form is that of the axis' own weights only where position and index are the same number.
            let identity = match axis.terms.as_slice() {
                [(i, 1)] if axis.offset == 0 && self.extents[*i] == operand[a] => Some(*i),
                _ => None,
            };
            let eq = match (identity, homes.as_slice()) {
                (Some(i), []) if variables == [i] => AxisEq::Variable,
                (Some(i), [(o, _, expr)]) if variables.is_empty() && expr.terms == [(i, 1)] && expr.offset == 0 => {
                    f.factor_of(*o).and_then(|(k, _)| f.factors[k].eq.clone()).map_or(AxisEq::Unknown, AxisEq::Point)
                }
                _ => AxisEq::Unknown,
            };
            out.push(AxisRows { variables, rows, len: operand[a], eq });
        }
        // Output axes of extent one that belong to no index contribute a scalar, and so does an output without axes; the
        // first operand takes it.
        if side == Side::Lhs {
            scalars.extend(f.factors.iter().filter(|x| x.axes.is_empty()).flat_map(|x| x.weights.iter().cloned()));
            for (o, expr) in self.out.iter().enumerate() {
                if expr.terms.is_empty() && f.factor_of(o).is_none_or(|(k, _)| !f.factors[k].is_unit()) {
                    scalars.push(f.single(o)?.first().cloned().unwrap_or_else(E::one));
                }
            }
            if let Some(first) = out.first_mut() {
                if !scalars.is_empty() {
                    first.eq = AxisEq::Unknown;
                }
                for s in scalars {
                    first.rows.iter_mut().flatten().for_each(|(_, w)| *w = w.clone() * s.clone());
                }
            } else if !scalars.is_empty() {
                return Err(GraphError::Pullback("a scalar operand".to_owned()));
            }
        }
        Ok(out)
    }

    /// The functional on one operand at the sumcheck's point; `point` has [`Contraction::rounds`] coordinates.
    pub fn operand_functional<E: Ring>(&self, rows: &[AxisRows<E>], point: &[E]) -> Functional<E> {
        let mut points: Vec<Option<&[E]>> = vec![None; self.extents.len()];
        let mut start = 0;
        for i in self.variables() {
            let bits = index_bits(self.extents[i]);
            points[i] = Some(point.get(start..start + bits).unwrap_or(&[]));
            start += bits;
        }
        let tables: Vec<Option<Vec<E>>> = points.iter().map(|p| p.map(eq_table)).collect();
        let factors = rows
            .iter()
            .enumerate()
            .map(|(a, axis)| {
                match (&axis.eq, axis.variables.first().and_then(|i| points[*i])) {
                    (AxisEq::Variable, Some(point)) => return Factor::eq(a, point, axis.len),
                    (AxisEq::Point(point), _) => return Factor::eq(a, point, axis.len),
                    _ => {}
                }
                let mut weights: Vec<Option<E>> = vec![None; axis.len];
                for (r, row) in axis.rows.iter().enumerate() {
                    let mut scale: Option<E> = None;
                    let mut rest = r;
                    for i in axis.variables.iter().rev() {
                        let v = rest % self.extents[*i];
                        rest /= self.extents[*i];
                        if let Some(e) = tables[*i].as_ref().and_then(|t| t.get(v)) {
                            scale = Some(match scale {
                                None => e.clone(),
                                Some(s) => s * e.clone(),
                            });
                        }
                    }
                    for (p, w) in row {
                        let term = match &scale {
                            None => w.clone(),
                            Some(s) => w.clone() * s.clone(),
                        };
                        weights[*p] = Some(match weights[*p].take() {
                            None => term,
                            Some(x) => x + term,
                        });
                    }
                }
                Factor::dense(vec![a], weights.into_iter().map(|w| w.unwrap_or_else(E::zero)).collect())
            })
            .collect();
        Functional { factors }
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

    /// Evaluates by gathering both operands into `[batch, rows, k]` matrices.
    pub(crate) fn eval(&self, lhs: &Tensor, rhs: &Tensor, shape: &[usize]) -> Tensor {
        self.apply(lhs, &self.prepare(rhs), shape)
    }

    /// Indices by where they occur: in all three tensors, in the first operand and the output, in the second operand and
    /// the output, in no output.
    fn groups(&self) -> [Vec<usize>; 4] {
        let mut out = [vec![], vec![], vec![], vec![]];
        for i in 0..self.extents.len() {
            let k = match (self.in_operand(Side::Lhs, i), self.in_operand(Side::Rhs, i), self.in_out(i)) {
                (_, _, false) => 3,
                (true, true, true) => 0,
                (true, false, true) => 1,
                _ => 2,
            };
            out[k].push(i);
        }
        out
    }

    /// The second operand, laid out as rows.
    pub(crate) fn prepare(&self, rhs: &Tensor) -> Rows {
        let [b, _, n, k] = self.groups();
        match narrow(&rhs.data) {
            Some((v, max)) => Rows::Narrow(self.gather(Side::Rhs, &v, &rhs.shape, &b, &n, &k), max),
            None => Rows::Wide(self.gather(Side::Rhs, &rhs.data, &rhs.shape, &b, &n, &k)),
        }
    }

    /// [`Self::eval`] with a prepared second operand.
    pub(crate) fn apply(&self, lhs: &Tensor, right: &Rows, shape: &[usize]) -> Tensor {
        let [b, m, n, k] = self.groups();
        let mut data = vec![0i64; shape.iter().product()];
        let out_strides = crate::tensor::strides(shape);
        let place = |group: &[usize]| {
            self.grid(group, |value| {
                let mut at = 0;
                for (axis, s) in self.out.iter().zip(&out_strides) {
                    for (i, stride) in axis.terms.iter().filter(|(i, _)| group.contains(i)) {
                        at += value[*i] * *stride as usize * s;
                    }
                }
                at
            })
        };
        let (out_b, out_m, out_n) = (place(&b), place(&m), place(&n));
        let depth: usize = k.iter().map(|i| self.extents[*i]).product();
        // A block of rows at a time: its values stay in the cache while the other operand goes by.
        let block = ((1 << 18) / depth.max(1)).clamp(1, out_m.len().max(1));
        let small = data.len().saturating_mul(depth) < SMALL;
        // Whole tiles, and enough blocks for all threads.
        let share = if small { block } else { out_m.len().div_ceil(2 * threads()).next_multiple_of(4) };
        let block = block.min(share).max(1);
        let width = out_n.len();
        let tasks: Vec<(usize, std::ops::Range<usize>)> = (0..out_b.len())
            .flat_map(|bi| (0..out_m.len()).step_by(block).map(move |first| (bi, first)))
            .map(|(bi, first)| (bi, first..(first + block).min(out_m.len())))
            .collect();
        let short = narrow(&lhs.data);
        let run = |(bi, rows): &(usize, std::ops::Range<usize>)| {
            let groups = [&b[..], &m, &k];
            let left = match &short {
                Some((v, max)) => {
                    Rows::Narrow(self.gather_part(Side::Lhs, v, &lhs.shape, groups, *bi, rows.clone()), *max)
                }
                None => Rows::Wide(self.gather_part(Side::Lhs, &lhs.data, &lhs.shape, groups, *bi, rows.clone())),
            };
            let mut out = vec![0i64; rows.len() * width];
            gemm(&left, right, bi * width..(bi + 1) * width, depth, |i, j, v| out[i * width + j] = v);
            out
        };
        let made: Vec<Vec<i64>> = if small { tasks.iter().map(run).collect() } else { on_all_threads(&tasks, run) };
        for ((bi, rows), values) in tasks.iter().zip(made) {
            for (row, values) in out_m[rows.clone()].iter().zip(values.chunks_exact(width.max(1))) {
                for (column, v) in out_n.iter().zip(values) {
                    data[out_b[*bi] + row + column] = *v;
                }
            }
        }
        Tensor { shape: shape.to_vec(), data }
    }

    fn grid<T>(&self, group: &[usize], mut f: impl FnMut(&[usize]) -> T) -> Vec<T> {
        let count: usize = group.iter().map(|i| self.extents[*i]).product();
        let mut value = vec![0usize; self.extents.len()];
        (0..count)
            .map(|g| {
                let mut rest = g;
                for i in group.iter().rev() {
                    value[*i] = rest % self.extents[*i];
                    rest /= self.extents[*i];
                }
                f(&value)
            })
            .collect()
    }

    fn gather<T: Copy + Default>(
        &self,
        side: Side,
        data: &[T],
        shape: &[usize],
        b: &[usize],
        rows: &[usize],
        k: &[usize],
    ) -> Vec<T> {
        let count = |group: &[usize]| group.iter().map(|i| self.extents[*i]).product::<usize>();
        let mut out = Vec::with_capacity(count(b) * count(rows) * count(k));
        for x in 0..count(b) {
            out.extend(self.gather_part(side, data, shape, [b, rows, k], x, 0..count(rows)));
        }
        out
    }

    /// Some rows of one batch entry of an operand: `k` varies fastest, and what lies outside of the tensor is zero.
    fn gather_part<T: Copy + Default>(
        &self,
        side: Side,
        data: &[T],
        shape: &[usize],
        [b, rows, k]: [&[usize]; 3],
        entry: usize,
        range: std::ops::Range<usize>,
    ) -> Vec<T> {
        let axes = self.operand(side);
        let strides = crate::tensor::strides(shape);
        let digits = |group: &[usize], mut n: usize| {
            let mut value = vec![0usize; group.len()];
            for (v, i) in value.iter_mut().zip(group).rev() {
                *v = n % self.extents[*i];
                n /= self.extents[*i];
            }
            value
        };
        // Position along each axis of a part of the indices.
        let along = |group: &[usize], value: &[usize], start: bool| -> Vec<i64> {
            let one = |a: &AxisExpr| {
                let of = |i: &usize| group.iter().position(|g| g == i).map_or(0, |p| value[p] as i64);
                a.terms.iter().fold(if start { a.offset } else { 0 }, |p, (i, s)| p + s * of(i))
            };
            axes.iter().map(one).collect()
        };
        let base = along(b, &digits(b, entry), true);
        // The innermost contracted index is a run along one axis, or stands still.
        let (outer, run) = match k.split_last() {
            Some((last, outer)) => (outer, Some(*last)),
            None => (k, None),
        };
        let length = run.map_or(1, |i| self.extents[i]);
        let moving = run.and_then(|i| {
            axes.iter().position(|a| a.has(i)).map(|axis| {
                let stride = axes[axis].terms.iter().find(|t| t.0 == i).map_or(0, |t| t.1);
                (axis, stride)
            })
        });
        let outer_count: usize = outer.iter().map(|i| self.extents[*i]).product();
        let starts: Vec<Vec<i64>> = (0..outer_count).map(|n| along(outer, &digits(outer, n), false)).collect();
        let mut out = Vec::with_capacity(range.len() * outer_count * length);
        for row in range {
            let at: Vec<i64> = base.iter().zip(along(rows, &digits(rows, row), false)).map(|(p, q)| p + q).collect();
            for start in &starts {
                let mut inside = true;
                let mut offset = 0i64;
                for (a, (p, q)) in at.iter().zip(start).enumerate() {
                    let position = p + q;
                    offset += position * strides[a] as i64;
                    if moving.is_none_or(|(axis, _)| axis != a) {
                        inside &= (0..shape[a] as i64).contains(&position);
                    }
                }
                let Some((axis, stride)) = moving else {
                    let value = if inside { data[offset as usize] } else { T::default() };
                    out.resize(out.len() + length, value);
                    continue;
                };
                if !inside {
                    out.resize(out.len() + length, T::default());
                    continue;
                }
                let (first, extent) = (at[axis] + start[axis], shape[axis] as i64);
                let step = stride * strides[axis] as i64;
                let last = first + stride * (length as i64 - 1);
                let all = (0..extent).contains(&first) && (0..extent).contains(&last);
                if all && step == 1 {
                    out.extend_from_slice(&data[offset as usize..offset as usize + length]);
                } else if all {
                    out.extend((0..length as i64).map(|i| data[(offset + i * step) as usize]));
                } else {
                    out.extend((0..length as i64).map(|i| {
                        let within = (0..extent).contains(&(first + i * stride));
                        if within { data[(offset + i * step) as usize] } else { T::default() }
                    }));
                }
            }
        }
        out
    }
}

/// Rows of integers, of 16 bits where they fit.
pub(crate) enum Rows {
    Narrow(Vec<i16>, u64),
    Wide(Vec<i64>),
}

#[cfg(feature = "parallel")]
fn threads() -> usize {
    rayon::current_num_threads()
}

#[cfg(not(feature = "parallel"))]
fn threads() -> usize {
    1
}

/// `f` of every task, in order.
#[cfg(feature = "parallel")]
fn on_all_threads<T: Sync, R: Send>(tasks: &[T], f: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    use rayon::prelude::*;
    tasks.par_iter().map(f).collect()
}

/// `f` of every task, in order.
#[cfg(not(feature = "parallel"))]
fn on_all_threads<T, R>(tasks: &[T], f: impl Fn(&T) -> R) -> Vec<R> {
    tasks.iter().map(f).collect()
}

/// The same values as 16-bit integers and their largest magnitude, if that is below `2^15`.
fn narrow(values: &[i64]) -> Option<(Vec<i16>, u64)> {
    let max = values.iter().fold(0, |m, x| m.max(x.unsigned_abs()));
    (max < 1 << 15).then(|| (values.iter().map(|x| *x as i16).collect(), max))
}

impl Rows {
    fn wide(&self) -> std::borrow::Cow<'_, [i64]> {
        match self {
            Self::Narrow(v, _) => v.iter().map(|x| i64::from(*x)).collect(),
            Self::Wide(v) => v.into(),
        }
    }
}

/// `emit(i, j, sum_k left[i, k] * right[j, k])` for the rows `range` of `right`, with 16-bit multiplies where the values
/// allow.
fn gemm(
    left: &Rows,
    right: &Rows,
    range: std::ops::Range<usize>,
    depth: usize,
    mut emit: impl FnMut(usize, usize, i64),
) {
    if let (Rows::Narrow(l, a), Rows::Narrow(r, b)) = (left, right)
        && depth > 0
    {
        let r = &r[range.start * depth..range.end * depth];
        let chunk = usize::try_from((i32::MAX as u64) / (a * b).max(1)).unwrap_or(usize::MAX).clamp(1, depth);
        let tile = dot::tile();
        let (high, wide) = dot::TILE;
        // A dot product in pieces that fit 32 bits.
        let one = |x: &[i16], y: &[i16]| -> i64 {
            x.chunks(chunk).zip(y.chunks(chunk)).map(|(p, q)| i64::from(dot::single(p, q))).sum()
        };
        let near = (NEAR / depth).next_multiple_of(wide).max(wide);
        for (n, close) in r.chunks(near * depth).enumerate() {
            for (p, some) in l.chunks(high * depth).enumerate() {
                let rows: Vec<&[i16]> = some.chunks_exact(depth).collect();
                for (q, columns) in close.chunks(wide * depth).enumerate() {
                    let columns: Vec<&[i16]> = columns.chunks_exact(depth).collect();
                    let (i, j) = (high * p, near * n + wide * q);
                    let ([a, b, c, d], [e, f]) = (&rows[..], &columns[..]) else {
                        for (di, x) in rows.iter().enumerate() {
                            columns.iter().enumerate().for_each(|(dj, y)| emit(i + di, j + dj, one(x, y)));
                        }
                        continue;
                    };
                    let mut acc = [[0i64; 2]; 4];
                    for at in (0..depth).step_by(chunk) {
                        let end = (at + chunk).min(depth);
                        let sums = tile([a, b, c, d].map(|x| &x[at..end]), [e, f].map(|y| &y[at..end]));
                        for (acc, sum) in acc.iter_mut().flatten().zip(sums.iter().flatten()) {
                            *acc += i64::from(*sum);
                        }
                    }
                    for (di, acc) in acc.iter().enumerate() {
                        acc.iter().enumerate().for_each(|(dj, v)| emit(i + di, j + dj, *v));
                    }
                }
            }
        }
        return;
    }
    let (left, right) = (left.wide(), right.wide());
    let depth = depth.max(1);
    for (i, x) in left.chunks_exact(depth).enumerate() {
        for (j, y) in right[range.start * depth..range.end * depth].chunks_exact(depth).enumerate() {
            emit(i, j, x.iter().zip(y).map(|(u, v)| u * v).sum());
        }
    }
}
