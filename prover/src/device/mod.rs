//! The seam between the protocol and the machine: kernels grouped by algebra.
//!
//! A [`Device`] sees buffers and public shapes, never a transcript: it cannot draw a challenge, and two devices that
//! pass the conformance suite are interchangeable in the middle of a proof.
//!
//! Conventions, for every multilinear array below:
//!
//! * its length is a power of two, `2^n` entries for `n` variables;
//! * the **most significant** index bit is variable 1 and is bound **first**: with `lo = a[..len/2]` and
//!   `hi = a[len/2..]`, binding to `r` gives `lo + r (hi - lo)`;
//! * a round polynomial of degree two is sent as `[h(0), h(inf)]`, where `h(inf)` is its leading coefficient; `h(1)`
//!   follows from the running claim.
//!
//! Shapes are a contract between the caller and the device: a mismatch is a bug in the prover and panics.

mod axis;
mod axis_kernels;
mod cpu;
mod dispatch;
mod fraction_kernels;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod kernels;
mod lanes;
mod mac;
mod reference;
mod split;

#[cfg(test)]
mod conformance;

pub use cpu::Cpu;
pub use reference::Reference;

use ark_bn254::{Fr, G1Affine};
use ark_ff::One;

/// A sparse matrix that acts on one axis of a tensor: `rows.len()` outputs from `len` inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisMatrix {
    /// Number of columns: the length of the axis that the matrix reads.
    pub len: usize,
    /// For each output, its nonzero entries as `(column, weight)`; a repeated column adds up.
    pub rows: Vec<Vec<(usize, Fr)>>,
}

impl AxisMatrix {
    /// The matrix with the given rows over `len` columns.
    ///
    /// # Panics
    /// When an entry names a column that is not below `len`.
    pub fn from_rows(len: usize, rows: Vec<Vec<(usize, Fr)>>) -> Self {
        for &(column, _) in rows.iter().flatten() {
            assert!(column < len, "column {column} of a matrix with {len} columns");
        }
        Self { len, rows }
    }

    /// One row over all columns: contraction of the axis with `weights`.
    pub fn dense_row(weights: &[Fr]) -> Self {
        let row = weights.iter().copied().enumerate().collect();
        Self { len: weights.len(), rows: vec![row] }
    }

    /// `scale` times the identity on an axis of `len` entries.
    pub fn scaled_identity(len: usize, scale: Fr) -> Self {
        Self { len, rows: (0..len).map(|i| vec![(i, scale)]).collect() }
    }

    /// The identity on an axis of `len` entries.
    pub fn identity(len: usize) -> Self {
        Self::scaled_identity(len, Fr::one())
    }
}

/// The two children of one layer of the fraction tree: `n` fractions `p0/q0` and `n` fractions `p1/q1`, where the layer
/// above holds `(p0 q1 + p1 q0) / (q0 q1)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FractionLayer {
    /// Numerators of the children whose top index bit is 0.
    pub p0: Vec<Fr>,
    /// Numerators of the children whose top index bit is 1.
    pub p1: Vec<Fr>,
    /// Denominators of the children whose top index bit is 0.
    pub q0: Vec<Fr>,
    /// Denominators of the children whose top index bit is 1.
    pub q1: Vec<Fr>,
}

impl FractionLayer {
    /// Splits a layer of `2n` fractions by its top index bit, reusing the buffers for the lower halves.
    ///
    /// # Panics
    /// When the lengths differ or are odd.
    pub fn split(mut p: Vec<Fr>, mut q: Vec<Fr>) -> Self {
        assert_eq!(p.len(), q.len(), "numerators and denominators");
        assert!(p.len().is_multiple_of(2), "a layer of {} fractions has no halves", p.len());
        let p1 = p.split_off(p.len() / 2);
        let q1 = q.split_off(q.len() / 2);
        Self { p0: p, p1, q0: q, q1 }
    }

    /// Number of entries in each of the four arrays.
    pub fn len(&self) -> usize {
        self.q0.len()
    }

    /// Whether the layer holds no fraction.
    pub fn is_empty(&self) -> bool {
        self.q0.is_empty()
    }
}

/// Kernels of the prover, on BN254 scalars, points and small integers. See the module for index conventions.
///
/// # Panics
/// Every method panics when buffer lengths do not fit the shapes it documents.
pub trait Device: Send + Sync {
    /// A short name for logs and benchmarks.
    fn name(&self) -> &'static str;

    /// Commits to each row of `values`: row `r` gives `sum_i values[r * row_len + i] * bases[i]`.
    ///
    /// `values.len()` is a multiple of `row_len`, and `bases` holds at least `row_len` points.
    fn commit_rows(&self, bases: &[G1Affine], values: &[i32], row_len: usize) -> Vec<G1Affine>;

    /// `sum_i scalars[i] * bases[i]`, full-width scalars; `bases` holds at least `scalars.len()` points.
    fn msm(&self, bases: &[G1Affine], scalars: &[Fr]) -> G1Affine;

    /// All `2^n` values of `eq(point, .)`; `point[0]` belongs to the most significant index bit.
    fn eq_table(&self, point: &[Fr]) -> Vec<Fr>;

    /// The eq tables of all proper suffixes: `out[j] = eq_table(point[j + 1..])`, so the last one is `[1]`.
    fn eq_suffixes(&self, point: &[Fr]) -> Vec<Vec<Fr>>;

    /// Applies `m` to the middle axis of an `outer x m.len x inner` integer tensor:
    /// `out[o, k, i] = sum_l m[k][l] * data[o, l, i]`.
    fn axis_map_i32(&self, data: &[i32], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr>;

    /// Applies `m` to the middle axis of an `outer x m.len x inner` tensor, as [`Device::axis_map_i32`] does.
    fn axis_map_fr(&self, data: &[Fr], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr>;

    /// One round of the sumcheck of `sum_x a(x) b(x)`: `[h(0), h(inf)]`, or zeros when the length is 1.
    fn product_round(&self, a: &[Fr], b: &[Fr]) -> [Fr; 2];

    /// [`Device::product_round`] with an integer side.
    fn product_round_i32(&self, a: &[i32], b: &[Fr]) -> [Fr; 2];

    /// Binds the first variable to `r`, in place: the length halves. Needs a length of at least 2.
    fn bind(&self, a: &mut Vec<Fr>, r: Fr);

    /// Binds the first variable of an integer array to `r`. Needs a length of at least 2.
    fn bind_i32(&self, a: &[i32], r: Fr) -> Vec<Fr>;

    /// Binds `a` and `b` to `r`, then gives the next round's [`Device::product_round`], in one pass.
    fn product_bind_round(&self, a: &mut Vec<Fr>, b: &mut Vec<Fr>, r: Fr) -> [Fr; 2];

    /// Denominators of lookups: `out[i] = alpha_minus_tag - keys[i] - beta * values[i]`. `values` is as long as `keys`,
    /// or empty for all zeros.
    fn fingerprints(&self, keys: &[i32], values: &[i32], alpha_minus_tag: Fr, beta: Fr) -> Vec<Fr>;

    /// One layer of the fraction tree, `2n` fractions to `n`: `p'[i] = p[i] q[i + n] + p[i + n] q[i]` and
    /// `q'[i] = q[i] q[i + n]` (Papini and Haboeck, "Improving logarithmic derivative lookups using GKR").
    fn fraction_layer(&self, p: &[Fr], q: &[Fr]) -> (Vec<Fr>, Vec<Fr>);

    /// [`Device::fraction_layer`] at the leaves, where numerators are small integers: 0 and 1 for lookups, minus the
    /// multiplicity for table rows.
    fn fraction_layer_i32(&self, p: &[i32], q: &[Fr]) -> (Vec<Fr>, Vec<Fr>);

    /// One round of a layer's sumcheck with the eq factor of the current variable taken out (Gruen, "Some improvements
    /// for the PIOP for ZeroCheck", section 3):
    /// `g(X) = sum_x eq[x] * (lambda * (p0 q1 + p1 q0) + q0 q1)(X, x)`.
    ///
    /// `eq` has half as many entries as each child. Gives `[g(0), g(inf)]`, or zeros when the children have one entry.
    fn fraction_round(&self, layer: &FractionLayer, eq: &[Fr], lambda: Fr) -> [Fr; 2];

    /// The first round of the leaf layer: `p` and `q` hold `2n` fractions that their top index bit splits into the two
    /// children, and `eq` has `n / 2` entries.
    fn fraction_round_i32(&self, p: &[i32], q: &[Fr], eq: &[Fr], lambda: Fr) -> [Fr; 2];

    /// Binds the first variable of all four arrays to `r`, in place.
    fn fraction_bind(&self, layer: &mut FractionLayer, r: Fr);

    /// Splits the leaf layer into its children and binds their first variable to `r`.
    fn fraction_bind_i32(&self, p: &[i32], q: &[Fr], r: Fr) -> FractionLayer;

    /// [`Device::fraction_bind`], then the next round's [`Device::fraction_round`], in one pass. `eq` has half as many
    /// entries as a child after binding, and is not read when that is one.
    fn fraction_bind_round(&self, layer: &mut FractionLayer, r: Fr, eq: &[Fr], lambda: Fr) -> [Fr; 2];
}
