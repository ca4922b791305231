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

mod any;
mod arena;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod axis;
mod axis_kernels;
mod cpu;
pub mod cuda;
mod dispatch;
mod eq;
mod fraction_kernels;
mod fractions;
mod functional;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod kernels;
mod lanes;
mod leaf_pieces;
mod leaves;
mod linear;
mod mac;
mod reference;
#[cfg(target_arch = "x86_64")]
mod small_dots;
mod split;
mod tree;

#[cfg(test)]
mod conformance;

pub use any::{AnyDevice, Held};
pub(crate) use arena::zeroed_integers;
pub use cpu::{Cpu, CpuError};
pub(crate) use functional::LeadingRounds;
pub use functional::{Functional, FunctionalFactor, FunctionalTerm, low_bits};
pub use leaves::{LeafRun, Leaves, Numerators};
pub use reference::Reference;
pub use tree::KEPT;

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

/// Kernels of the prover, on BN254 scalars, points and small integers. See the module for index conventions.
///
/// Arrays live where the device computes: what is uploaded stays there until it is dropped, and between two messages of a
/// proof only those messages come back.
///
/// # Panics
/// Every method panics when buffer lengths do not fit the shapes it documents.
pub trait Device: Send + Sync {
    /// Field elements in the device's memory.
    type Elements: Send + Sync;

    /// Small integers in the device's memory, or borrowed where that is the host's.
    type Integers<'a>: Send + Sync;

    /// Points in the device's memory, or borrowed where that is the host's.
    type Points<'a>: Send + Sync;

    /// A fraction tree on its way from the root to the leaves. Its *current layer* has `n` pairs of children, in four
    /// arrays: `p0/q0` have a top index bit of 0 and `p1/q1` of 1, and the layer above holds
    /// `(p0 q1 + p1 q0) / (q0 q1)`.
    type Tree<'a>: Send;

    /// A short name for logs and benchmarks.
    fn name(&self) -> &'static str;

    /// Makes integers available to the device.
    fn integers<'a>(&self, values: &'a [i32]) -> Self::Integers<'a>;

    /// Makes points available to the device.
    fn points<'a>(&self, points: &'a [G1Affine]) -> Self::Points<'a>;

    /// How many points there are.
    fn point_count(&self, points: &Self::Points<'_>) -> usize;

    /// Makes field elements available to the device.
    fn elements(&self, values: Vec<Fr>) -> Self::Elements;

    /// Field elements as the host sees them.
    fn download(&self, values: &Self::Elements) -> Vec<Fr>;

    /// The first element; what is left of an array whose variables are all bound. Needs a length of at least 1.
    fn first(&self, values: &Self::Elements) -> Fr;

    /// Commits to each row of `values`: row `r` gives `sum_i values[r * row_len + i] * bases[i]`.
    ///
    /// The length of `values` is a multiple of `row_len`, and `bases` holds at least `row_len` points.
    fn commit_rows(&self, bases: &Self::Points<'_>, values: &Self::Integers<'_>, row_len: usize) -> Vec<G1Affine>;

    /// `sum_i scalars[i] * bases[i]`, full-width scalars; there are at least as many bases as scalars.
    fn msm(&self, bases: &Self::Points<'_>, scalars: &Self::Elements) -> G1Affine;

    /// [`Device::msm`] for each of several rows that the host holds, which may differ in length.
    fn msm_rows(&self, bases: &Self::Points<'_>, rows: &[&[Fr]]) -> Vec<G1Affine>;

    /// All `2^n` values of `eq(point, .)`; `point[0]` belongs to the most significant index bit.
    fn eq_table(&self, point: &[Fr]) -> Self::Elements;

    /// Applies `m` to the middle axis of an `outer x m.len x inner` integer tensor:
    /// `out[o, k, i] = sum_l m[k][l] * data[o, l, i]`.
    fn axis_map_i32(&self, data: &Self::Integers<'_>, outer: usize, inner: usize, m: &AxisMatrix) -> Self::Elements;

    /// Applies `m` to the middle axis of an `outer x m.len x inner` tensor, as [`Device::axis_map_i32`] does.
    fn axis_map_fr(&self, data: &Self::Elements, outer: usize, inner: usize, m: &AxisMatrix) -> Self::Elements;

    /// Moves entries: `out[target[k]] = data[source[k]]`, and zeros elsewhere. No target comes twice.
    fn rearrange(&self, data: &Self::Elements, source: &[usize], target: &[usize], len: usize) -> Self::Elements;

    /// `a[i] += b[i]`.
    fn add_assign(&self, a: &mut Self::Elements, b: &Self::Elements);

    /// `sum_i a[i] b[i]`.
    fn inner_product(&self, a: &Self::Elements, b: &Self::Elements) -> Fr;

    /// [`Device::inner_product`] with an integer side.
    fn inner_product_i32(&self, a: &Self::Integers<'_>, b: &Self::Elements) -> Fr;

    /// One round of the sumcheck of `sum_x a(x) b(x)`: `[h(0), h(inf)]`, or zeros when the length is 1.
    fn product_round(&self, a: &Self::Elements, b: &Self::Elements) -> [Fr; 2];

    /// [`Device::product_round`] with an integer side.
    fn product_round_i32(&self, a: &Self::Integers<'_>, b: &Self::Elements) -> [Fr; 2];

    /// Binds the first variable to `r`, in place: the length halves. Needs a length of at least 2.
    fn bind(&self, a: &mut Self::Elements, r: Fr);

    /// Binds the first variable of an integer array to `r`. Needs a length of at least 2.
    fn bind_i32(&self, a: &Self::Integers<'_>, r: Fr) -> Self::Elements;

    /// Binds `a` and `b` to `r`, then gives the next round's [`Device::product_round`], in one pass.
    fn product_bind_round(&self, a: &mut Self::Elements, b: &mut Self::Elements, r: Fr) -> [Fr; 2];

    /// All sums `sum_x f(b, x) omega(c, x)` over pairs of the leading `leading` index bits, at `out[b * 2^leading + c]`.
    fn functional_products(&self, f: &Self::Integers<'_>, omega: &Functional, leading: usize) -> Vec<Fr>;

    /// The functional with its first variables bound to `point`; the only place where it is expanded.
    fn functional_bind(&self, omega: &Functional, point: &[Fr]) -> Self::Elements;

    /// Sums the fractions of all leaves, layer by layer: of `2n` fractions `p/q` to `n` with
    /// `p'[i] = p[i] q[i + n] + p[i + n] q[i]` and `q'[i] = q[i] q[i + n]` (Papini and Haboeck, "Improving logarithmic
    /// derivative lookups using GKR"). The current layer is the one under the root, with one pair of children. There are
    /// at least two leaves.
    fn fraction_tree<'a>(&self, leaves: &'a Leaves<'a>) -> Self::Tree<'a>;

    /// The first pair of children of the current layer, `[p0, p1, q0, q1]`: all there is when its variables are bound.
    fn fraction_children(&self, tree: &Self::Tree<'_>) -> [Fr; 4];

    /// Makes the next layer the current one, with twice as many pairs as its parent had at first, and begins its sumcheck, with
    /// the eq factor of the current variable taken out (Gruen, "Some improvements for the PIOP for ZeroCheck", section 3):
    /// `g(X) = sum_x eq(point[1..], x) * (lambda * (p0 q1 + p1 q0) + q0 q1)(X, x)`.
    ///
    /// The parent was bound to `point[1..]`, and there are `2^n` pairs for `n` coordinates. Gives `g(inf)` of the first
    /// round; `g(0) = lambda p0 + q0` for the parent's [`Device::fraction_children`]: where `X` is 0 or 1, what is summed are
    /// the parent's own entries. `lambda` is not zero. There is a layer left.
    fn fraction_descend(&self, tree: &mut Self::Tree<'_>, point: &[Fr], lambda: Fr) -> Fr;

    /// Binds the first variable of the current layer to `r`, then gives the next round, `[g(0), g(inf)]` with the eq factors of the
    /// variables behind it, or zeros when one pair is left.
    fn fraction_bind_round(&self, tree: &mut Self::Tree<'_>, r: Fr) -> [Fr; 2];
}
