//! The fast device for general-purpose cores: delayed reductions, in-place binds, and all threads of the current pool.

use super::arena::zeroed;
use super::dispatch::{self, Vector};
use super::eq::{EqWeights, weighed};
use super::fractions::{FractionKernels, FractionLayer};
use super::kernels::{OFFSET, Quarters};
use super::leaves::{add_pairs, rearrange};
use super::split::{for_each, reduce};
use super::tree::Tree;
use super::{AxisMatrix, Device, Functional, Leaves, axis, linear};
use crate::msm::{
    self,
    icicle::{Icicle, IcicleError},
};
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};

/// Fast kernels on the threads of the current rayon pool; buffers of a few thousand entries stay on the calling thread.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    vector: Option<Vector>,
    /// Takes long full-width products.
    icicle: Option<&'static Icicle>,
}

impl Cpu {
    /// The device with the fastest instructions that this machine has.
    pub fn new() -> Self {
        Self::with(Vector::detect())
    }

    /// The device without vector instructions: what [`Cpu::new`] is on a machine that has none.
    pub fn portable() -> Self {
        Self::with(None)
    }

    fn with(vector: Option<Vector>) -> Self {
        Self { vector, icicle: None }
    }

    /// The same device, with long full-width products handed to a library.
    #[must_use]
    pub fn with_icicle(self, icicle: Option<&'static Icicle>) -> Self {
        Self { icicle, ..self }
    }

    /// The library that takes long products.
    pub fn icicle(&self) -> Option<&'static Icicle> {
        self.icicle
    }

    /// The device with the kernels for AVX2 and fused multiply-adds, where this machine has them.
    pub fn avx2() -> Option<Self> {
        Vector::avx2().map(|v| Self::with(Some(v)))
    }

    /// The device that `ASSAY_CPU` names: `auto` (or nothing) for the fastest, `portable`, `avx2` or `avx512` for one kind of
    /// kernel, so that a whole test suite can run with each; with the library that `ASSAY_ICICLE` names, if it names one.
    ///
    /// # Errors
    /// A name that is none of these, instructions that this machine lacks, or a library that cannot be used.
    pub fn selected() -> Result<Self, CpuError> {
        let cpu = Self::selected_kernels()?;
        Ok(cpu.with_icicle(Icicle::selected()?))
    }

    fn selected_kernels() -> Result<Self, CpuError> {
        match std::env::var_os(VARIABLE).as_deref().map(std::ffi::OsStr::to_string_lossy).as_deref() {
            None | Some("" | "auto") => Ok(Self::new()),
            Some("portable") => Ok(Self::portable()),
            Some("avx2") => Self::avx2().ok_or(CpuError::Missing { name: "avx2", lacks: "AVX2 or FMA" }),
            Some("avx512") => Vector::avx512()
                .map(|v| Self::with(Some(v)))
                .ok_or(CpuError::Missing { name: "avx512", lacks: "AVX-512 IFMA" }),
            Some(other) => Err(CpuError::Unknown { got: other.to_owned() }),
        }
    }

    /// Which kernels this device runs, for people.
    pub fn kernels(&self) -> &'static str {
        self.vector.map_or("portable", Vector::name)
    }

    /// The vector instructions that this device uses.
    pub(crate) fn vector(&self) -> Option<Vector> {
        self.vector
    }

    fn bind_integers(&self, [lo, hi]: [&[i32]; 2], r: &Fr) -> Vec<Fr> {
        let mut out = zeroed(lo.len());
        let weights = [Fr::ONE - r, *r];
        for_each(([lo, hi], &mut out[..]), &|([lo, hi], out)| dispatch::bind_i32(self.vector, lo, hi, out, &weights));
        out
    }
}

/// Names the kernels of [`Cpu::default`].
const VARIABLE: &str = "ASSAY_CPU";

/// Why [`Cpu::selected`] gives no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// No kernels have this name.
    #[error("ASSAY_CPU is \"{got}\"; expected auto, portable, avx2 or avx512")]
    Unknown {
        /// What the variable holds.
        got: String,
    },
    /// The machine lacks the instructions.
    #[error("ASSAY_CPU is \"{name}\", but this machine has no {lacks}")]
    Missing {
        /// What was asked for.
        name: &'static str,
        /// What is not there.
        lacks: &'static str,
    },
    /// The library that `ASSAY_ICICLE` names.
    #[error(transparent)]
    Icicle(#[from] IcicleError),
}

impl Default for Cpu {
    /// [`Cpu::selected`].
    ///
    /// # Panics
    /// Where that fails: a test suite that was asked to run with other kernels must not pass with these.
    fn default() -> Self {
        Self::selected().unwrap_or_else(|e| panic!("{e}"))
    }
}

/// Fractions of a layer that is passed over at once: they stay in the first-level cache.
const BETWEEN: usize = 128;

/// The two halves of an array with at least one variable.
fn halves<T>(a: &[T]) -> [&[T]; 2] {
    check_length(a.len());
    let (lo, hi) = a.split_at(a.len() / 2);
    [lo, hi]
}

fn check_length(len: usize) {
    assert!(len >= 2 && len.is_power_of_two(), "no variable to bind in an array of {len} entries");
}

/// The quarters of an array that is bound in place; needs at least two variables.
fn quarters(a: &mut [Fr]) -> Quarters<'_> {
    let quarter = a.len() / 4;
    check_length(2 * quarter);
    let (to, from) = a.split_at_mut(2 * quarter);
    let (to0, to1) = to.split_at_mut(quarter);
    let (from0, from1) = from.split_at(quarter);
    ([to0, to1], [from0, from1])
}

/// Cuts an array to its bound half.
fn halve(a: &mut Vec<Fr>) {
    a.truncate(a.len() / 2);
}

impl Device for Cpu {
    type Elements = Vec<Fr>;
    type Integers<'a> = &'a [i32];
    type Points<'a> = &'a [G1Affine];
    type Tree<'a> = Tree<'a>;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn integers<'a>(&self, values: &'a [i32]) -> &'a [i32] {
        values
    }

    fn points<'a>(&self, points: &'a [G1Affine]) -> &'a [G1Affine] {
        points
    }

    fn point_count(&self, points: &&[G1Affine]) -> usize {
        points.len()
    }

    fn elements(&self, values: Vec<Fr>) -> Vec<Fr> {
        values
    }

    fn download(&self, values: &Vec<Fr>) -> Vec<Fr> {
        values.clone()
    }

    fn first(&self, values: &Vec<Fr>) -> Fr {
        values[0]
    }

    fn commit_rows(&self, bases: &&[G1Affine], values: &&[i32], row_len: usize) -> Vec<G1Affine> {
        msm::commit_rows_with(self.vector, bases, values, row_len)
    }

    fn msm(&self, bases: &&[G1Affine], scalars: &Vec<Fr>) -> G1Affine {
        self.msm_rows(bases, &[scalars]).pop().unwrap_or_default()
    }

    fn msm_rows(&self, bases: &&[G1Affine], rows: &[&[Fr]]) -> Vec<G1Affine> {
        let handed = self.icicle.and_then(|library| library.products(bases, rows));
        handed.unwrap_or_else(|| G1Projective::normalize_batch(&msm::msm_many_with(self.vector, bases, rows)))
    }

    fn eq_table(&self, point: &[Fr]) -> Vec<Fr> {
        let mut table = zeroed(1 << point.len());
        table[0] = Fr::ONE;
        let mut len = 1;
        for r in point.iter().rev() {
            let (lo, hi) = table[..2 * len].split_at_mut(len);
            for_each([lo, hi], &|[lo, hi]| dispatch::eq_grow(self.vector, lo, hi, r));
            len *= 2;
        }
        table
    }

    fn axis_map_i32(&self, data: &&[i32], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
        axis::map_i32(self.vector, data, outer, inner, m)
    }

    fn axis_map_fr(&self, data: &Vec<Fr>, outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
        axis::map_fr(self.vector, data, outer, inner, m)
    }

    fn product_round(&self, a: &Vec<Fr>, b: &Vec<Fr>) -> [Fr; 2] {
        assert_eq!(a.len(), b.len(), "the two factors");
        if a.len() == 1 {
            return [Fr::ZERO; 2];
        }
        reduce((halves(a), halves(b)), &|(a, b)| dispatch::product_round(self.vector, a, b), &add_pairs)
    }

    fn product_round_i32(&self, a: &&[i32], b: &Vec<Fr>) -> [Fr; 2] {
        assert_eq!(a.len(), b.len(), "the two factors");
        if a.len() == 1 {
            return [Fr::ZERO; 2];
        }
        reduce((halves(a), halves(b)), &|(a, b)| dispatch::product_round_i32(self.vector, a, b), &add_pairs)
    }

    fn bind(&self, a: &mut Vec<Fr>, r: Fr) {
        check_length(a.len());
        let half = a.len() / 2;
        let (lo, hi) = a.split_at_mut(half);
        for_each((lo, &*hi), &|(lo, hi)| dispatch::bind(self.vector, lo, hi, &r));
        a.truncate(half);
    }

    fn bind_i32(&self, a: &&[i32], r: Fr) -> Vec<Fr> {
        self.bind_integers(halves(a), &r)
    }

    fn product_bind_round(&self, a: &mut Vec<Fr>, b: &mut Vec<Fr>, r: Fr) -> [Fr; 2] {
        assert_eq!(a.len(), b.len(), "the two factors");
        if a.len() == 2 {
            self.bind(a, r);
            self.bind(b, r);
            return [Fr::ZERO; 2];
        }
        let factors = [quarters(a), quarters(b)];
        let h = reduce(factors, &|factors| dispatch::product_bind_round(self.vector, factors, &r), &add_pairs);
        halve(a);
        halve(b);
        h
    }

    fn rearrange(&self, data: &Vec<Fr>, source: &[usize], target: &[usize], len: usize) -> Vec<Fr> {
        rearrange(data, source, target, len)
    }

    fn add_assign(&self, a: &mut Vec<Fr>, b: &Vec<Fr>) {
        assert_eq!(a.len(), b.len(), "the two summands");
        for_each((&mut a[..], &b[..]), &|(a, b): (&mut [Fr], &[Fr])| a.iter_mut().zip(b).for_each(|(a, b)| *a += b));
    }

    fn inner_product(&self, a: &Vec<Fr>, b: &Vec<Fr>) -> Fr {
        assert_eq!(a.len(), b.len(), "the two factors");
        let head = a.len() / 8 * 8;
        let ((a, a_tail), (b, b_tail)) = (a.split_at(head), b.split_at(head));
        let total = reduce((a, b), &|(a, b)| dispatch::dot(self.vector, a, b), &|a, b| a + b);
        total + dispatch::dot(None, a_tail, b_tail)
    }

    fn inner_product_i32(&self, a: &&[i32], b: &Vec<Fr>) -> Fr {
        assert_eq!(a.len(), b.len(), "the two factors");
        // The kernel reads `x + 2^31`.
        let piece = |vector, a: &[i32], b: &[Fr]| {
            let mut out = [-(b.iter().sum::<Fr>() * Fr::from(1u64 << 31))];
            dispatch::axis_dots_i32(vector, b, a, a.len(), &mut out);
            out[0]
        };
        let head = a.len() / 8 * 8;
        let ((a, a_tail), (b, b_tail)) = (a.split_at(head), b.split_at(head));
        let total = reduce((a, b), &|(a, b)| piece(self.vector, a, b), &|a, b| a + b);
        total + piece(None, a_tail, b_tail)
    }

    fn functional_products(&self, f: &&[i32], omega: &Functional, leading: usize) -> Vec<Fr> {
        linear::products(self.vector, f, omega, leading)
    }

    fn functional_bind(&self, omega: &Functional, point: &[Fr]) -> Vec<Fr> {
        linear::bind(self.vector, omega, &self.eq_table(point))
    }

    fn fraction_tree<'a>(&self, leaves: &'a Leaves<'a>) -> Tree<'a> {
        Tree::new(self, leaves)
    }

    fn fraction_children(&self, tree: &Tree<'_>) -> [Fr; 4] {
        tree.children()
    }

    fn fraction_descend(&self, tree: &mut Tree<'_>, point: &[Fr], lambda: Fr) -> Fr {
        tree.descend(self, point, lambda)
    }

    fn fraction_bind_round(&self, tree: &mut Tree<'_>, r: Fr) -> [Fr; 2] {
        tree.bind_round(self, r)
    }
}

impl FractionKernels for Cpu {
    fn fingerprints(&self, keys: &[i32], values: &[i32], out: &mut [Fr], start: Fr, weights: [Fr; 2]) {
        assert_eq!(out.len(), keys.len(), "a denominator for each key");
        // A tail that is shorter than a vector goes by itself.
        let (head, tail) = out.split_at_mut(keys.len() / 8 * 8);
        let (head_keys, tail_keys) = keys.split_at(head.len());
        if values.is_empty() {
            for (keys, out) in [(head_keys, head), (tail_keys, tail)] {
                for_each((keys, out), &|(keys, out)| {
                    dispatch::key_fingerprints(self.vector, keys, out, &start, &weights[0]);
                });
            }
        } else {
            assert_eq!(values.len(), keys.len(), "a value for each key, or none");
            let (head_values, tail_values) = values.split_at(head.len());
            for (keys, values, out) in [(head_keys, head_values, head), (tail_keys, tail_values, tail)] {
                for_each(([keys, values], out), &|([keys, values], out)| {
                    dispatch::fingerprints(self.vector, keys, values, out, &start, &weights);
                });
            }
        }
    }

    fn scaled_integers(&self, x: &[i32], weight: Fr, out: &mut [Fr]) {
        dispatch::bind_i32(self.vector, x, x, out, &[weight, Fr::ZERO]);
    }

    fn weighed_leaves(&self, p: &[i32], q: &[Fr], eq: &[Fr], eq_sum: Fr, lambda: Fr) -> Fr {
        // The kernel reads `x + 2^31`.
        let mut numerators = [-(eq_sum * Fr::from(OFFSET))];
        dispatch::axis_dots_i32(self.vector, eq, p, p.len(), &mut numerators);
        dispatch::dot(self.vector, eq, q) + lambda * numerators[0]
    }

    fn eq_grown(&self, from: &[Fr], r: &Fr) -> Vec<Fr> {
        let mut table = zeroed(2 * from.len());
        let (lo, hi) = table.split_at_mut(from.len());
        for_each((from, [lo, hi]), &|(from, [lo, hi])| dispatch::eq_grow_into(self.vector, from, lo, hi, r));
        table
    }

    fn fraction_layer(&self, p: &[Fr], q: &[Fr], out: [&mut [Fr]; 2]) {
        assert_eq!(p.len(), q.len(), "numerators and denominators");
        for_each((halves(p), halves(q), out), &|(p, q, out)| dispatch::fraction_layer(self.vector, p, q, out));
    }

    fn fraction_layer_i32(&self, p: [&[i32]; 2], q: [&[Fr]; 2], out: [&mut [Fr]; 2]) {
        for_each((p, q, out), &|(p, q, out)| dispatch::fraction_layer_i32(self.vector, p, q, out));
    }

    fn fraction_layers_i32(&self, p: &[i32], q: &[Fr], out: [&mut [Fr]; 2]) {
        assert_eq!(p.len(), q.len(), "numerators and denominators");
        let (p, q) = (halves(p).map(halves), halves(q).map(halves));
        // Child k of an upper fraction is the sum of quarters k and k + 2.
        for_each((p, q, out), &|([[p0, p1], [p2, p3]], [[q0, q1], [q2, q3]], [p_out, q_out])| {
            let mut between = [const { [Fr::ZERO; BETWEEN] }; 4];
            for start in (0..q_out.len()).step_by(BETWEEN) {
                let end = (start + BETWEEN).min(q_out.len());
                let [a, b, c, d] = between.each_mut().map(|array| &mut array[..end - start]);
                let at = start..end;
                let [even, odd] = [([p0, p2], [q0, q2]), ([p1, p3], [q1, q3])]
                    .map(|(p, q)| (p.map(|p: &[i32]| &p[at.clone()]), q.map(|q: &[Fr]| &q[at.clone()])));
                dispatch::fraction_layer_i32(self.vector, even.0, even.1, [&mut *a, &mut *b]);
                dispatch::fraction_layer_i32(self.vector, odd.0, odd.1, [&mut *c, &mut *d]);
                let out = [&mut p_out[at.clone()], &mut q_out[at]];
                dispatch::fraction_layer(self.vector, [&*a, &*c], [&*b, &*d], out);
            }
        });
    }

    fn fraction_slope(&self, layer: &FractionLayer, eq: EqWeights<'_>, lambda: Fr) -> Fr {
        if layer.len() == 1 {
            return Fr::ZERO;
        }
        let (lo, hi) = (layer.arrays().map(|a| halves(a)[0]), layer.arrays().map(|a| halves(a)[1]));
        let [_, slope] = weighed((lo, hi), eq, &|(lo, hi), eq| {
            [Fr::ZERO, dispatch::fraction_slope(self.vector, lo, hi, eq, &lambda)]
        });
        slope
    }

    fn fraction_slope_i32(&self, p: &[i32], q: &[Fr], eq: EqWeights<'_>, lambda: Fr) -> Fr {
        assert_eq!(p.len(), q.len(), "numerators and denominators");
        let (p, q) = (halves(p), halves(q));
        if p[0].len() == 1 {
            return Fr::ZERO;
        }
        let [_, slope] = weighed((p.map(halves), q.map(halves)), eq, &|(p, q), eq| {
            [Fr::ZERO, dispatch::fraction_slope_i32(self.vector, p, q, eq, &lambda)]
        });
        slope
    }

    fn child_bind_i32(&self, p: &[i32], q: &[Fr], r: Fr, lambda: Fr, [p_out, q_out]: [&mut [Fr]; 2]) {
        let weights = [lambda * (Fr::ONE - r), lambda * r];
        for_each((halves(p), p_out), &|([lo, hi], out)| dispatch::bind_i32(self.vector, lo, hi, out, &weights));
        for_each((halves(q), q_out), &|([lo, hi], out)| dispatch::bind_into(self.vector, lo, hi, out, &r));
    }

    fn bind_halves(&self, lo: &mut [Fr], hi: &[Fr], r: Fr) {
        for_each((lo, hi), &|(lo, hi)| dispatch::bind(self.vector, lo, hi, &r));
    }

    fn fraction_bind(&self, layer: &mut FractionLayer, r: Fr, scale: Option<Fr>) {
        check_length(layer.len());
        let half = layer.len() / 2;
        for (k, array) in layer.arrays_mut().into_iter().enumerate() {
            let (lo, hi) = array.split_at_mut(half);
            for_each((lo, &*hi), &|(lo, hi)| match scale {
                Some(scale) if k < 2 => dispatch::bind_scaled(self.vector, lo, hi, &r, &scale),
                _ => dispatch::bind(self.vector, lo, hi, &r),
            });
        }
        layer.halve();
    }

    fn fraction_round(&self, layer: &FractionLayer, eq: EqWeights<'_>) -> [Fr; 2] {
        if layer.len() == 1 {
            return [Fr::ZERO; 2];
        }
        let (lo, hi) = (layer.arrays().map(|a| halves(a)[0]), layer.arrays().map(|a| halves(a)[1]));
        weighed((lo, hi), eq, &|(lo, hi), eq| dispatch::fraction_round(self.vector, lo, hi, eq))
    }

    fn layer_bind_round(&self, layer: &mut FractionLayer, r: Fr, scale: Option<Fr>, eq: EqWeights<'_>) -> [Fr; 2] {
        if layer.len() == 2 {
            self.fraction_bind(layer, r, scale);
            return [Fr::ZERO; 2];
        }
        let g = weighed(layer.arrays_mut().map(quarters), eq, &|layer, eq| {
            dispatch::fraction_bind_round(self.vector, layer, &r, scale.as_ref(), eq)
        });
        layer.halve();
        g
    }
}
