//! Fraction trees in the host's memory: kernels of a layer, and the walk from the root to the leaves.

use super::{Leaves, arena::zeroed};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use rayon::prelude::*;

/// The two children of one layer of the fraction tree: `n` fractions `p0/q0` and `n` fractions `p1/q1`, where the layer
/// above holds `(p0 q1 + p1 q0) / (q0 q1)`. Each child is bound where it is, so that nothing is copied.
#[derive(Clone, Debug)]
pub(super) struct FractionLayer {
    /// Numerators: those of the children whose top index bit is 0 from 0 on, the others from `stride` on.
    p: Vec<Fr>,
    /// Denominators, likewise.
    q: Vec<Fr>,
    stride: usize,
    len: usize,
}

impl FractionLayer {
    /// A layer of `2n` fractions, split by its top index bit.
    ///
    /// # Panics
    /// When the lengths differ or are odd.
    pub(super) fn split(p: Vec<Fr>, q: Vec<Fr>) -> Self {
        assert_eq!(p.len(), q.len(), "numerators and denominators");
        assert!(p.len().is_multiple_of(2), "a layer of {} fractions has no halves", p.len());
        let stride = p.len() / 2;
        Self { p, q, stride, len: stride }
    }

    /// Number of entries in each of the four arrays.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// `[p0, p1, q0, q1]`.
    pub(super) fn arrays(&self) -> [&[Fr]; 4] {
        let (low, high) = (0..self.len, self.stride..self.stride + self.len);
        [&self.p[low.clone()], &self.p[high.clone()], &self.q[low], &self.q[high]]
    }

    /// `[p0, p1, q0, q1]`.
    pub(super) fn arrays_mut(&mut self) -> [&mut [Fr]; 4] {
        let (len, stride) = (self.len, self.stride);
        let (p0, p1) = self.p.split_at_mut(stride);
        let (q0, q1) = self.q.split_at_mut(stride);
        [&mut p0[..len], &mut p1[..len], &mut q0[..len], &mut q1[..len]]
    }

    /// Keeps the first half of each array.
    pub(super) fn halve(&mut self) {
        self.len /= 2;
    }
}

impl PartialEq for FractionLayer {
    fn eq(&self, other: &Self) -> bool {
        self.arrays() == other.arrays()
    }
}

/// What a layer of a tree is computed with.
pub(super) trait FractionKernels {
    /// Denominators of lookups: `out[i] = alpha_minus_tag - keys[i] - beta * values[i]`. `values` is as long as `keys`,
    /// or empty for all zeros.
    fn fingerprints(&self, keys: &[i32], values: &[i32], alpha_minus_tag: Fr, beta: Fr) -> Vec<Fr>;

    /// One layer, `2n` fractions to `n`.
    fn fraction_layer(&self, p: &[Fr], q: &[Fr]) -> (Vec<Fr>, Vec<Fr>);

    /// [`FractionKernels::fraction_layer`] at the leaves, where numerators are small integers: 0 and 1 for lookups, minus
    /// the multiplicity for table rows.
    fn fraction_layer_i32(&self, p: &[i32], q: &[Fr]) -> (Vec<Fr>, Vec<Fr>);

    /// Two layers up from the leaves, `4n` fractions to `n`; the layer between is not kept.
    fn fraction_layers_i32(&self, p: &[i32], q: &[Fr]) -> (Vec<Fr>, Vec<Fr>);

    /// One round of a layer's sumcheck; zeros when the children have one entry.
    fn fraction_round(&self, layer: &FractionLayer, eq: &[Fr], lambda: Fr) -> [Fr; 2];

    /// The first round of the leaf layer: `p` and `q` hold `2n` fractions that their top index bit splits into the two
    /// children, and `eq` has `n / 2` entries.
    fn fraction_round_i32(&self, p: &[i32], q: &[Fr], eq: &[Fr], lambda: Fr) -> [Fr; 2];

    /// Splits the leaf layer into its children and binds their first variable to `r`.
    fn fraction_bind_i32(&self, p: &[i32], q: &[Fr], r: Fr) -> FractionLayer;

    /// Binds all four arrays, then gives the next round, in one pass. `eq` is not read when one entry is left.
    fn layer_bind_round(&self, layer: &mut FractionLayer, r: Fr, eq: &[Fr], lambda: Fr) -> [Fr; 2];
}

/// The layers that have not come up yet, and the current one.
#[derive(Debug)]
pub struct Tree {
    /// Numerators and denominators of all leaves, until theirs is the current layer and bound.
    leaves: Option<(Vec<i32>, Vec<Fr>)>,
    /// Layers above the leaves, the smallest last; without the largest, which is half of all their memory and is computed
    /// again from the leaves when its turn comes.
    layers: Vec<(Vec<Fr>, Vec<Fr>)>,
    /// Whether the largest is still to come.
    largest: bool,
    current: FractionLayer,
}

/// Numerators and denominators of all leaves.
pub(super) fn expand(kernels: &impl FractionKernels, leaves: &Leaves<'_>) -> (Vec<i32>, Vec<Fr>) {
    let Leaves { alpha, beta, .. } = *leaves;
    let beta2 = beta * beta;
    let mut q = zeroed(1 << leaves.bits);
    q.par_chunks_mut(1 << 14).for_each(|q| q.fill(alpha));
    for run in &leaves.runs {
        let mut prints = kernels.fingerprints(&run.keys, &run.values, alpha - beta2 * Fr::from(run.tag), beta);
        for (print, side) in prints.iter_mut().zip(run.sides) {
            if *side != 0 {
                *print -= beta2 * Fr::from(*side);
            }
        }
        for (print, row) in prints.iter_mut().zip(run.rows.iter()) {
            *print -= row;
        }
        let (starts, len) = run.places();
        for (start, piece) in starts.into_iter().zip(prints.chunks_exact(len.max(1))) {
            q[start..start + len].copy_from_slice(piece);
        }
    }
    (leaves.numerators(), q)
}

impl Tree {
    /// Sums all layers.
    pub(super) fn new(kernels: &impl FractionKernels, leaves: &Leaves<'_>) -> Self {
        let (p, q) = expand(kernels, leaves);
        if q.len() == 2 {
            let p = p.into_iter().map(Fr::from).collect();
            return Self { leaves: None, layers: vec![], largest: false, current: FractionLayer::split(p, q) };
        }
        if q.len() == 4 {
            let (top_p, top_q) = kernels.fraction_layer_i32(&p, &q);
            let current = FractionLayer::split(top_p, top_q);
            return Self { leaves: Some((p, q)), layers: vec![], largest: false, current };
        }
        let mut layers = vec![kernels.fraction_layers_i32(&p, &q)];
        while let Some((p, q)) = layers.last().filter(|(_, q)| q.len() > 2) {
            let next = kernels.fraction_layer(p, q);
            layers.push(next);
        }
        let (top_p, top_q) = layers.pop().unwrap_or_default();
        Self { leaves: Some((p, q)), layers, largest: true, current: FractionLayer::split(top_p, top_q) }
    }

    /// See [`super::Device::fraction_children`].
    pub(super) fn children(&self) -> [Fr; 4] {
        self.current.arrays().map(|array| array[0])
    }

    /// See [`super::Device::fraction_descend`].
    pub(super) fn descend(&mut self, kernels: &impl FractionKernels, eq: &[Fr], lambda: Fr) -> [Fr; 2] {
        // What was bound is not needed any more.
        self.current = FractionLayer::split(vec![], vec![]);
        let next = self.layers.pop().or_else(|| {
            let leaves = self.leaves.as_ref().filter(|_| self.largest);
            self.largest = false;
            leaves.map(|(p, q)| kernels.fraction_layer_i32(p, q))
        });
        match (next, &self.leaves) {
            (Some((p, q)), _) => {
                self.current = FractionLayer::split(p, q);
                kernels.fraction_round(&self.current, eq, lambda)
            }
            (None, Some((p, q))) => kernels.fraction_round_i32(p, q, eq, lambda),
            (None, None) => panic!("no layer below the leaves"),
        }
    }

    /// See [`super::Device::fraction_bind_round`].
    pub(super) fn bind_round(
        &mut self,
        kernels: &impl FractionKernels,
        r: Fr,
        eq: Option<&[Fr]>,
        lambda: Fr,
    ) -> [Fr; 2] {
        let eq = eq.unwrap_or(&[]);
        if self.current.len() > 0 {
            return kernels.layer_bind_round(&mut self.current, r, eq, lambda);
        }
        let (p, q) = self.leaves.take().unwrap_or_default();
        self.current = kernels.fraction_bind_i32(&p, &q, r);
        if self.current.len() == 1 {
            return [Fr::ZERO; 2];
        }
        kernels.fraction_round(&self.current, eq, lambda)
    }
}
