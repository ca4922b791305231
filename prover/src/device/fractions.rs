//! Layers of fraction trees in the host's memory, and the kernels that work on them.

use super::eq::EqWeights;
use ark_bn254::Fr;

/// The two children of one layer of the fraction tree: `n` fractions `p0/q0` and `n` fractions `p1/q1`, where the layer
/// above holds `(p0 q1 + p1 q0) / (q0 q1)`. Each child is bound where it is, so that nothing is copied.
#[derive(Clone, Debug)]
pub(super) struct FractionLayer {
    /// Numerators: those of the children whose top index bit is 0 from `start` on, the others `stride` behind them.
    p: Vec<Fr>,
    /// Denominators, likewise.
    q: Vec<Fr>,
    start: usize,
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
        Self { p, q, start: 0, stride, len: stride }
    }

    /// The layer of `2 pairs` fractions from `start` on, in arrays that may hold others beside it.
    ///
    /// # Panics
    /// When the arrays are shorter, or not as long as each other.
    pub(super) fn within(p: Vec<Fr>, q: Vec<Fr>, start: usize, pairs: usize) -> Self {
        assert_eq!(p.len(), q.len(), "numerators and denominators");
        assert!(start + 2 * pairs <= p.len(), "a layer of {pairs} pairs from {start} on in {} fractions", p.len());
        Self { p, q, start, stride: pairs, len: pairs }
    }

    /// The arrays that it is in, numerators first.
    pub(super) fn into_arrays(self) -> [Vec<Fr>; 2] {
        [self.p, self.q]
    }

    /// Number of entries in each of the four arrays.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// `[p0, p1, q0, q1]`.
    pub(super) fn arrays(&self) -> [&[Fr]; 4] {
        let middle = self.start + self.stride;
        let (low, high) = (self.start..self.start + self.len, middle..middle + self.len);
        [&self.p[low.clone()], &self.p[high.clone()], &self.q[low], &self.q[high]]
    }

    /// `[p0, p1, q0, q1]`.
    pub(super) fn arrays_mut(&mut self) -> [&mut [Fr]; 4] {
        let (len, stride) = (self.len, self.stride);
        let (p0, p1) = self.p[self.start..].split_at_mut(stride);
        let (q0, q1) = self.q[self.start..].split_at_mut(stride);
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
    /// Denominators of lookups: `out[i] = start - weights[0] * keys[i] - weights[1] * values[i]`. `out` is as long as `keys`, and
    /// so is `values`, or empty for all zeros.
    fn fingerprints(&self, keys: &[i32], values: &[i32], out: &mut [Fr], start: Fr, weights: [Fr; 2]);

    /// `out[i] = weight * x[i]`.
    fn scaled_integers(&self, x: &[i32], weight: Fr, out: &mut [Fr]);

    /// `sum_i eq[i] * (q[i] + lambda * p[i])`; `eq_sum` is the sum of `eq`.
    fn weighed_leaves(&self, p: &[i32], q: &[Fr], eq: &[Fr], eq_sum: Fr, lambda: Fr) -> Fr;

    /// An eq table with one more variable, the most significant.
    fn eq_grown(&self, from: &[Fr], r: &Fr) -> Vec<Fr>;

    /// One layer, `2n` fractions to `n`.
    fn fraction_layer(&self, p: &[Fr], q: &[Fr], out: [&mut [Fr]; 2]);

    /// [`FractionKernels::fraction_layer`] at the leaves, where numerators are small integers: 0 and 1 for lookups, minus
    /// the multiplicity for table rows.
    fn fraction_layer_i32(&self, p: [&[i32]; 2], q: [&[Fr]; 2], out: [&mut [Fr]; 2]);

    /// Two layers up from the leaves, `4n` fractions to `n`; the layer between is not kept.
    fn fraction_layers_i32(&self, p: &[i32], q: &[Fr], out: [&mut [Fr]; 2]);

    /// The leading coefficient of a layer's first round; zero when the children have one entry.
    fn fraction_slope(&self, layer: &FractionLayer, eq: EqWeights<'_>, lambda: Fr) -> Fr;

    /// [`FractionKernels::fraction_slope`] of the leaf layer: `p` and `q` hold `2n` fractions that their top index bit splits into
    /// the two children, and `eq` has `n / 2` entries.
    fn fraction_slope_i32(&self, p: &[i32], q: &[Fr], eq: EqWeights<'_>, lambda: Fr) -> Fr;

    /// Binds the first variable of one child of the leaf layer to `r`; numerators come out `lambda` times as large.
    fn child_bind_i32(&self, p: &[i32], q: &[Fr], r: Fr, lambda: Fr, out: [&mut [Fr]; 2]);

    /// `lo[i] += r (hi[i] - lo[i])`.
    fn bind_halves(&self, lo: &mut [Fr], hi: &[Fr], r: Fr);

    /// Binds the first variable of all four arrays to `r`, in place, and multiplies numerators by a scale.
    fn fraction_bind(&self, layer: &mut FractionLayer, r: Fr, scale: Option<Fr>);

    /// One round of the sumcheck of a layer whose numerators are `lambda` times as large as they were; zeros when the
    /// children have one entry.
    ///
    /// With `P = lambda p`, what is summed is `q0 q1 + P0 q1 + P1 q0 = (q0 + P0) q1 + P1 q0`: two products.
    fn fraction_round(&self, layer: &FractionLayer, eq: EqWeights<'_>) -> [Fr; 2];

    /// [`FractionKernels::fraction_bind`] and [`FractionKernels::fraction_round`] in one pass. `eq` is not read when one entry is
    /// left.
    fn layer_bind_round(&self, layer: &mut FractionLayer, r: Fr, scale: Option<Fr>, eq: EqWeights<'_>) -> [Fr; 2];
}
