//! Ensembles of decision trees.
//!
//! * Statement: every tree sends the row to one leaf by comparing features with thresholds; the scores are the sums of the leaves' weights.
//! * ONNX: TreeEnsembleClassifier, TreeEnsembleRegressor and TreeEnsemble of `ai.onnx.ml`.
//! * Shapes: `[rows, features]` to `[rows, targets]`.
//! * Lowering: where that costs less, each tree is walked from its root ([`super::tree_paths`]). Otherwise a decision is the sign of threshold minus feature, features being chosen by a [`crate::ops::Remap`]; equal
//!   decisions are made once. A node is reached if its parent is and the decision says so: one lookup gives the child on the
//!   `yes` side, the difference to the parent the other one. Leaves times their weights are one contraction with weights of 31
//!   bits.
//! * Lookups: two and a limb for each decision, one for each split below a root.
//! * Soundness: lookups, linear views, bilinear sumcheck. Rows reach exactly one leaf of a tree by construction.
//! * Reference: docs/protocol.md#lookups; docs/quantization.md.
//!
//! An input that only ensembles read gets a step for each feature ([`super::tree_columns`]): thresholds and features are rounded by the same rule, so
//! that a value equal to a threshold stays equal to it. Where thresholds and values lie on a decimal or binary grid, the grid's
//! points stay apart and decisions are those of float32. Elsewhere a value within the same step as a threshold may be taken for
//! it; there are 2^20 steps.

use super::{
    contract::constant,
    label::{at_least_zero, one_at},
    tree_columns::{self, Column},
    tree_paths,
};
use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
    },
    ops::{Concat, Contraction, Indices, Op, Remap},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tract_onnx::prelude::*;

/// Where a decision leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Next {
    /// Another split.
    Split(u32),
    /// A leaf.
    Leaf(u32),
}

/// `x[feature] <= threshold`, or `<` where it is strict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Split {
    pub(crate) feature: u32,
    pub(crate) threshold: f32,
    pub(crate) strict: bool,
    pub(crate) yes: Next,
    pub(crate) no: Next,
}

/// Units in the last place between a threshold and a point of a grid that is meant to be the same number.
const SAME: f32 = 4.0;

impl Split {
    /// Whether the point of the grid that is nearest to the threshold goes to the `yes` side. Values lie on a grid as the float32 that
    /// is nearest to it; a threshold that was computed may be a bit below or above.
    pub(super) fn takes(&self, point: f32) -> bool {
        let ulp = f32::EPSILON * self.threshold.abs().max(f32::MIN_POSITIVE);
        if (point - self.threshold).abs() > SAME * ulp {
            return !self.strict;
        }
        if self.strict { point < self.threshold } else { point <= self.threshold }
    }
}

/// The ensemble: a root for each tree, splits, weights of leaves for all targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trees {
    pub(crate) features: u32,
    pub(crate) targets: u32,
    pub(crate) roots: Vec<Next>,
    pub(crate) splits: Vec<Split>,
    /// Row-major, leaf by target.
    pub(crate) leaves: Vec<f32>,
    /// Added to the scores.
    pub(crate) base: Vec<f32>,
}

/// Signed width of a feature.
pub(crate) const FEATURE_BITS: u32 = 20;
/// Bits of a leaf's weight, without its sign.
const WEIGHT_BITS: i32 = 30;
/// Lookups of a split of which every row makes the decision.
const LOOKUPS_PER_SPLIT: usize = 3;
/// Room around thresholds and calibrated values.
const HEADROOM: f64 = 1.25;
/// Deepest tree.
const MAX_DEPTH: usize = 64;
/// Grids that thresholds and values are found on, from coarse to fine.
const GRIDS: [f64; 17] =
    [1.0, 0.5, 0.25, 0.125, 0.1, 0.05, 0.025, 0.01, 0.005, 2.5e-3, 1e-3, 5e-4, 1e-4, 5e-5, 1e-5, 5e-6, 1e-6];

impl Trees {
    /// Checks references, and that every node has one parent.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |what: &str| Err(ImportError::unsupported(format!("its trees are broken: {what}")));
        let n = self.targets.max(1) as usize;
        if !self.leaves.len().is_multiple_of(n) || self.base.len() > n || self.roots.is_empty() {
            return bad("weights, base values or roots do not fit");
        }
        let mut seen = (vec![false; self.splits.len()], vec![false; self.leaves.len() / n]);
        let children = self.splits.iter().flat_map(|s| [s.yes, s.no]);
        for next in self.roots.iter().copied().chain(children) {
            let slot = match next {
                Next::Split(i) => seen.0.get_mut(i as usize),
                Next::Leaf(i) => seen.1.get_mut(i as usize),
            };
            match slot {
                Some(s) if !*s => *s = true,
                _ => return bad("a node is missing, or has two parents"),
            }
        }
        if self.splits.iter().any(|s| s.feature >= self.features || !s.threshold.is_finite()) {
            return bad("a feature that does not exist, or a threshold that is no number");
        }
        if self.leaves.iter().chain(&self.base).any(|w| !w.is_finite()) {
            return bad("a weight that is no number");
        }
        Ok(())
    }

    pub(super) fn eval(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let t = inputs.first().ok_or_else(|| TractError::msg("no input"))?;
        let x = t.cast_to::<f32>()?;
        let x: Vec<f32> = x.to_plain_array_view::<f32>()?.iter().copied().collect();
        let (width, n) = (self.features as usize, self.targets as usize);
        let rows = x.len() / width.max(1);
        let mut out = vec![0f32; rows * n];
        for (row, scores) in x.chunks(width.max(1)).zip(out.chunks_mut(n.max(1))) {
            for root in &self.roots {
                let mut at = *root;
                let mut steps = 0;
                let leaf = loop {
                    match at {
                        Next::Leaf(l) => break l as usize,
                        Next::Split(i) => {
                            let s = self.splits.get(i as usize).ok_or_else(|| TractError::msg("no such split"))?;
                            let v = row.get(s.feature as usize).copied().unwrap_or(0.0);
                            let yes = if s.strict { v < s.threshold } else { v <= s.threshold };
                            at = if yes { s.yes } else { s.no };
                        }
                    }
                    steps += 1;
                    if steps > self.splits.len() {
                        return Err(TractError::msg("a tree without end"));
                    }
                };
                let weights = self.leaves.get(leaf * n..(leaf + 1) * n).unwrap_or_default();
                scores.iter_mut().zip(weights).for_each(|(s, w)| *s += w);
            }
            scores.iter_mut().zip(&self.base).for_each(|(s, b)| *s += b);
        }
        Tensor::from_shape(&[rows, n], &out)
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let l = c.lazy(node, 0)?;
        // What else is a feature is an integer times a scale.
        let (x, columns) = match c.tabular.get(&l.root.node).cloned() {
            Some(columns) => (l.root.node, columns),
            None => {
                let root = c.materialize(&l)?;
                (root.node, vec![Column::Scaled(root.scale); self.features as usize])
            }
        };
        let rows = match c.shape(x)[..] {
            [rows, width] if width == self.features as usize && columns.len() == width => rows,
            ref other => return Err(ImportError::unsupported(format!("trees on features of shape {other:?}"))),
        };
        let last = tree_columns::last(&columns);
        let unit = self.unit();
        // Every split once, or every tree from its root: what costs less.
        if tree_paths::cost(self, rows) < LOOKUPS_PER_SPLIT * rows * self.splits.len() {
            let weight = |leaf: usize, target: usize| fixed(self.leaves[leaf * self.targets as usize + target], unit);
            if let Some(sums) = tree_paths::scores(self, c, x, &last, &weight)? {
                return self.finish(c, node, sums, unit);
            }
        }
        let (bits, place) = self.decisions(c, x, &last, rows)?;
        let leaves = self.reached(c, bits, &place)?;
        self.scores(c, node, leaves)
    }

    /// Every different decision, `[rows, decisions]`, and the place of each split's. `last` is the largest integer of a split's
    /// feature that goes to the `yes` side.
    fn decisions(
        &self,
        c: &mut Lowering<'_>,
        x: NodeId,
        last: &dyn Fn(&Split) -> i128,
        rows: usize,
    ) -> Result<(NodeId, Vec<usize>)> {
        let range = c.g.node(x).range;
        let mut known: HashMap<(u32, i64), usize> = HashMap::new();
        let mut list: Vec<(u32, i64)> = Vec::new();
        let mut place = Vec::with_capacity(self.splits.len());
        for s in &self.splits {
            let last = last(s).clamp(range.lo - 1, range.hi) as i64;
            let next = list.len();
            place.push(*known.entry((s.feature, last)).or_insert_with(|| {
                list.push((s.feature, last));
                next
            }));
        }
        if list.is_empty() {
            list.push((0, 0));
        }
        let chosen = Remap::select(1, list.iter().map(|(f, _)| Some(*f)));
        let chosen = c.push(Op::Remap(chosen), &[x])?;
        let limits: Vec<i64> = list.iter().map(|(_, l)| *l).collect();
        let limits = constant(c, "thresholds", &[1, list.len()], &limits)?;
        let limits = c.broadcast(limits, &[rows, list.len()])?;
        let room = c.linear(&[(limits, 1), (chosen, -1)], 0)?;
        Ok((at_least_zero(c, room)?, place))
    }

    /// One for each leaf that is reached, by level; also the leaves in that order.
    fn reached(&self, c: &mut Lowering<'_>, bits: NodeId, place: &[usize]) -> Result<(NodeId, Vec<usize>)> {
        let select = |c: &mut Lowering<'_>, from: NodeId, at: Vec<usize>| {
            c.push(Op::Remap(Remap::select(1, at.into_iter().map(|p| Some(p as u32)))), &[from])
        };
        let mut level: Vec<Next> = self.roots.clone();
        // Which of the nodes of a level are reached; all roots are.
        let mut reach: Option<NodeId> = None;
        let (mut parts, mut order) = (Vec::new(), Vec::new());
        for depth in 0..=MAX_DEPTH {
            let is_leaf = |n: &Next| matches!(n, Next::Leaf(_));
            let leaves: Vec<usize> = (0..level.len()).filter(|i| is_leaf(&level[*i])).collect();
            let inner: Vec<usize> = (0..level.len()).filter(|i| !is_leaf(&level[*i])).collect();
            if !leaves.is_empty() {
                order.extend(leaves.iter().map(|i| match level[*i] {
                    Next::Leaf(l) | Next::Split(l) => l as usize,
                }));
                parts.push(match reach {
                    Some(reach) => select(c, reach, leaves)?,
                    None => {
                        // A tree that is a leaf: reached by every row.
                        let zero = select(c, bits, vec![0; leaves.len()])?;
                        c.linear(&[(zero, 0)], 1)?
                    }
                });
            }
            if inner.is_empty() {
                let all = if let [one] = parts[..] { one } else { c.push(Op::Concat(Concat { axis: 1 }), &parts)? };
                return Ok((all, order));
            }
            let splits: Vec<&Split> = inner
                .iter()
                .filter_map(|i| match level[*i] {
                    Next::Split(s) => self.splits.get(s as usize),
                    Next::Leaf(_) => None,
                })
                .collect();
            let at = inner.iter().filter_map(|i| match level[*i] {
                Next::Split(s) => place.get(s as usize).copied(),
                Next::Leaf(_) => None,
            });
            let decided = select(c, bits, at.collect())?;
            let (yes, no) = match reach {
                None => (decided, c.linear(&[(decided, -1)], 1)?),
                Some(reach) => {
                    let parent = select(c, reach, inner)?;
                    let both = c.linear(&[(parent, 1), (decided, 1)], 0)?;
                    let yes = one_at(c, both, 2)?;
                    (yes, c.linear(&[(parent, 1), (yes, -1)], 0)?)
                }
            };
            reach = Some(c.push(Op::Concat(Concat { axis: 1 }), &[yes, no])?);
            level = splits.iter().map(|s| s.yes).chain(splits.iter().map(|s| s.no)).collect();
            if depth == MAX_DEPTH {
                break;
            }
        }
        Err(ImportError::unsupported(format!("a tree of more than {MAX_DEPTH} levels")))
    }

    /// The unit of leaves' weights.
    fn unit(&self) -> f64 {
        let largest = self.leaves.iter().fold(0f32, |m, w| m.max(w.abs()));
        let largest = if largest > 0.0 { f64::from(largest) } else { 1.0 };
        let e = WEIGHT_BITS - 1 - largest.log2().floor() as i32;
        (-f64::from(e)).exp2()
    }

    fn scores(&self, c: &mut Lowering<'_>, node: &TypedNode, (leaves, order): (NodeId, Vec<usize>)) -> Result<Value> {
        let n = self.targets as usize;
        let unit = self.unit();
        let weights: Vec<i64> =
            order.iter().flat_map(|l| self.leaves[l * n..(l + 1) * n].iter().map(|w| fixed(*w, unit))).collect();
        let weights = constant(c, "leaves", &[order.len(), n], &weights)?;
        let rows = c.shape(leaves)[0];
        let mut indices = Indices::default();
        let (r, l, t) = (indices.axis(rows), indices.axis(order.len()), indices.axis(n));
        let op = Contraction {
            extents: indices.0,
            lhs: vec![r.clone(), l.clone()],
            rhs: vec![l, t.clone()],
            out: vec![r, t],
        };
        let id = c.push(Op::Contraction(op), &[leaves, weights])?;
        self.finish(c, node, id, unit)
    }

    /// Adds the base values to the sums of leaves.
    fn finish(&self, c: &mut Lowering<'_>, node: &TypedNode, mut id: NodeId, unit: f64) -> Result<Value> {
        let (n, rows) = (self.targets as usize, c.shape(id)[0]);
        if self.base.iter().any(|b| *b != 0.0) {
            let base: Vec<i64> = (0..n).map(|i| fixed(self.base.get(i).copied().unwrap_or(0.0), unit)).collect();
            let base = constant(c, "base", &[1, n], &base)?;
            let base = c.broadcast(base, &[rows, n])?;
            id = c.linear(&[(id, 1), (base, 1)], 0)?;
        }
        Ok(c.result(OutletId::new(node.id, 0), id, unit))
    }
}

/// A weight in units.
fn fixed(w: f32, unit: f64) -> i64 {
    (f64::from(w) / unit).round() as i64
}

/// Whether a step is that of a grid, halved some times, and not just as fine as there are bits.
pub(super) fn on_grid(step: f64) -> bool {
    let power_of_two = |v: f64| v > 0.0 && v.to_bits().trailing_zeros() >= f64::MANTISSA_DIGITS - 1;
    GRIDS.iter().any(|d| power_of_two(d / step))
}

/// Step and offset for numbers: the grid that they lie on, as fine as there are bits, or as many steps as there are.
pub(super) fn grid(values: &[f64]) -> (f64, f64) {
    let (lo, hi) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    if values.is_empty() || hi - lo <= 0.0 {
        let at = if values.is_empty() { 0.0 } else { lo };
        return (at.abs().max(1.0) * (-16f64).exp2(), at);
    }
    let steps = f64::from(1u32 << FEATURE_BITS) - 4.0;
    let finest = (hi - lo) * HEADROOM / steps;
    let on = |d: f64| {
        values.iter().all(|v| {
            let k = v / d;
            (k - k.round()).abs() <= 0.01 + 2e-7 * k.abs() && 2e-7 * k.abs() < 0.2
        })
    };
    match GRIDS.iter().find(|d| **d >= finest && on(**d)) {
        Some(d) => {
            let step = d * (-(d / finest).log2().floor()).exp2();
            (step, d * ((lo + hi) / 2.0 / d).round())
        }
        None => (finest, (lo + hi) / 2.0),
    }
}
