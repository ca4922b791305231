//! The device that says what the kernels mean: one thread, no tricks, arithmetic as written in the trait.

use super::eq::EqWeights;
use super::fractions::{FractionKernels, FractionLayer};
use super::leaves::rearrange;
use super::{AxisMatrix, Device, Functional, Leaves, Numerators};
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};

/// The obvious implementation of every kernel, against which the others are tested.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// All layers of a fraction tree that have not been passed, the smallest last, which is the current one.
#[derive(Debug)]
pub struct Layers {
    layers: Vec<FractionLayer>,
    /// Coordinates of the variables behind the next that is bound, and the one before them.
    point: Vec<Fr>,
    lambda: Fr,
}

impl Device for Reference {
    type Elements = Vec<Fr>;
    type Integers<'a> = &'a [i32];
    type Points<'a> = &'a [G1Affine];
    type Tree<'a> = Layers;

    fn name(&self) -> &'static str {
        "reference"
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
        assert!(row_len > 0 && values.len().is_multiple_of(row_len), "whole rows of {row_len} values");
        values.chunks_exact(row_len).map(|row| self.msm(bases, &field_elements(row))).collect()
    }

    fn msm(&self, bases: &&[G1Affine], scalars: &Vec<Fr>) -> G1Affine {
        assert!(bases.len() >= scalars.len(), "{} bases for {} scalars", bases.len(), scalars.len());
        let mut sum = G1Projective::ZERO;
        for (base, scalar) in bases.iter().zip(scalars) {
            let mut term = G1Projective::ZERO;
            for bit in scalar.into_bigint().to_bits_be() {
                term.double_in_place();
                if bit {
                    term += base.into_group();
                }
            }
            sum += term;
        }
        sum.into_affine()
    }

    fn msm_rows(&self, bases: &&[G1Affine], rows: &[&[Fr]]) -> Vec<G1Affine> {
        rows.iter().map(|row| self.msm(bases, &row.to_vec())).collect()
    }

    fn eq_table(&self, point: &[Fr]) -> Vec<Fr> {
        let n = point.len();
        (0..1usize << n)
            .map(|index| {
                (0..n).map(|j| if index >> (n - 1 - j) & 1 == 1 { point[j] } else { Fr::ONE - point[j] }).product()
            })
            .collect()
    }

    fn axis_map_i32(&self, data: &&[i32], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
        self.axis_map_fr(&field_elements(data), outer, inner, m)
    }

    fn axis_map_fr(&self, data: &Vec<Fr>, outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
        assert_eq!(data.len(), outer * m.len * inner, "data of an axis map");
        let mut out = Vec::with_capacity(outer * m.rows.len() * inner);
        for o in 0..outer {
            for row in &m.rows {
                for i in 0..inner {
                    out.push(row.iter().map(|&(l, weight)| weight * data[(o * m.len + l) * inner + i]).sum());
                }
            }
        }
        out
    }

    fn product_round(&self, a: &Vec<Fr>, b: &Vec<Fr>) -> [Fr; 2] {
        assert_eq!(a.len(), b.len(), "the two factors");
        let half = half_for_round(a.len());
        let mut h = [Fr::ZERO; 2];
        for x in 0..half {
            h[0] += a[x] * b[x];
            h[1] += (a[x + half] - a[x]) * (b[x + half] - b[x]);
        }
        h
    }

    fn product_round_i32(&self, a: &&[i32], b: &Vec<Fr>) -> [Fr; 2] {
        self.product_round(&field_elements(a), b)
    }

    fn bind(&self, a: &mut Vec<Fr>, r: Fr) {
        assert!(a.len() >= 2 && a.len().is_power_of_two(), "cannot bind an array of {} entries", a.len());
        let half = a.len() / 2;
        for x in 0..half {
            a[x] = a[x] + r * (a[x + half] - a[x]);
        }
        a.truncate(half);
    }

    fn bind_i32(&self, a: &&[i32], r: Fr) -> Vec<Fr> {
        let mut a = field_elements(a);
        self.bind(&mut a, r);
        a
    }

    fn product_bind_round(&self, a: &mut Vec<Fr>, b: &mut Vec<Fr>, r: Fr) -> [Fr; 2] {
        self.bind(a, r);
        self.bind(b, r);
        self.product_round(a, b)
    }

    fn rearrange(&self, data: &Vec<Fr>, source: &[usize], target: &[usize], len: usize) -> Vec<Fr> {
        rearrange(data, source, target, len)
    }

    fn add_assign(&self, a: &mut Vec<Fr>, b: &Vec<Fr>) {
        assert_eq!(a.len(), b.len(), "the two summands");
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    }

    fn inner_product(&self, a: &Vec<Fr>, b: &Vec<Fr>) -> Fr {
        assert_eq!(a.len(), b.len(), "the two factors");
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn inner_product_i32(&self, a: &&[i32], b: &Vec<Fr>) -> Fr {
        self.inner_product(&field_elements(a), b)
    }

    fn functional_products(&self, f: &&[i32], omega: &Functional, leading: usize) -> Vec<Fr> {
        let (f, omega) = (field_elements(f), omega.expand());
        assert_eq!(f.len(), omega.len(), "a functional on the integers");
        let len = f.len() >> leading;
        let pairs = f.chunks(len).flat_map(|row| omega.chunks(len).map(move |column| (row, column)));
        pairs.map(|(row, column)| row.iter().zip(column).map(|(a, b)| a * b).sum()).collect()
    }

    fn functional_bind(&self, omega: &Functional, point: &[Fr]) -> Vec<Fr> {
        let mut out = omega.expand();
        point.iter().for_each(|r| self.bind(&mut out, *r));
        out
    }

    fn fraction_tree<'a>(&self, leaves: &'a Leaves<'a>) -> Layers {
        let mut layers = vec![all_leaves(leaves)];
        while let Some((p, q)) = layers.last().filter(|(p, _)| p.len() > 2) {
            let next = layer_above(p, q);
            layers.push(next);
        }
        let layers = layers.into_iter().map(|(p, q)| FractionLayer::split(p, q)).collect();
        Layers { layers, point: vec![], lambda: Fr::ONE }
    }

    fn fraction_children(&self, tree: &Layers) -> [Fr; 4] {
        tree.layers[tree.layers.len() - 1].arrays().map(|array| array[0])
    }

    fn fraction_descend(&self, tree: &mut Layers, point: &[Fr], lambda: Fr) -> Fr {
        tree.layers.pop();
        (tree.point, tree.lambda) = (point.to_vec(), lambda);
        layer_round(&tree.layers[tree.layers.len() - 1], &self.eq_table(&point[1..]), lambda)[1]
    }

    fn fraction_bind_round(&self, tree: &mut Layers, r: Fr) -> [Fr; 2] {
        tree.point.remove(0);
        let last = tree.layers.len() - 1;
        self.fraction_bind(&mut tree.layers[last], r, None);
        if tree.point.is_empty() {
            return [Fr::ZERO; 2];
        }
        layer_round(&tree.layers[last], &self.eq_table(&tree.point[1..]), tree.lambda)
    }
}

/// One round of a layer's sumcheck; zeros when the children have one entry.
fn layer_round(layer: &FractionLayer, eq: &[Fr], lambda: Fr) -> [Fr; 2] {
    let [p0, p1, q0, q1] = layer.arrays();
    let half = half_for_round(layer.len());
    if half == 0 {
        return [Fr::ZERO; 2];
    }
    assert_eq!(eq.len(), half, "eq factors of a fraction round");
    let mut g = [Fr::ZERO; 2];
    for x in 0..half {
        let at_zero = |a: &[Fr]| a[x];
        let at_infinity = |a: &[Fr]| a[x + half] - a[x];
        g[0] += eq[x] * combined(at_zero(p0), at_zero(p1), at_zero(q0), at_zero(q1), lambda);
        g[1] += eq[x] * combined(at_infinity(p0), at_infinity(p1), at_infinity(q0), at_infinity(q1), lambda);
    }
    g
}

/// Numerators and denominators of all leaves, entry by entry.
fn all_leaves(leaves: &Leaves<'_>) -> (Vec<Fr>, Vec<Fr>) {
    let Leaves { bits, alpha, beta, ref runs } = *leaves;
    let (mut p, mut q) = (vec![Fr::ZERO; 1 << bits], vec![alpha; 1 << bits]);
    for run in runs {
        let (starts, len) = run.places();
        for (i, at) in starts.into_iter().flat_map(|start| start..start + len).enumerate() {
            let value = run.values.get(i).copied().unwrap_or(0);
            let tag = Fr::from(run.tag) + Fr::from(run.sides.get(i).copied().unwrap_or(0));
            let row = run.rows.get(i).copied().unwrap_or(Fr::ZERO);
            q[at] = alpha - Fr::from(run.keys[i]) - beta * Fr::from(value) - beta * beta * tag - row;
            p[at] = match run.numerators {
                Numerators::Ones => Fr::ONE,
                Numerators::Minus(counts) => -Fr::from(counts[i]),
            };
        }
    }
    (p, q)
}

impl FractionKernels for Reference {
    fn fingerprints(&self, keys: &[i32], values: &[i32], out: &mut [Fr], start: Fr, weights: [Fr; 2]) {
        assert!(values.is_empty() || values.len() == keys.len(), "a value for each key, or none");
        assert_eq!(out.len(), keys.len(), "a denominator for each key");
        for (i, (out, key)) in out.iter_mut().zip(keys).enumerate() {
            let value = values.get(i).copied().unwrap_or(0);
            *out = start - weights[0] * Fr::from(*key) - weights[1] * Fr::from(value);
        }
    }

    fn scaled_integers(&self, x: &[i32], weight: Fr, out: &mut [Fr]) {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = weight * Fr::from(*x));
    }

    fn weighed_leaves(&self, p: &[i32], q: &[Fr], eq: &[Fr], _: Fr, lambda: Fr) -> Fr {
        eq.iter().zip(p.iter().zip(q)).map(|(eq, (p, q))| *eq * (lambda * Fr::from(*p) + q)).sum()
    }

    fn eq_grown(&self, from: &[Fr], r: &Fr) -> Vec<Fr> {
        from.iter().map(|x| *x - *x * r).chain(from.iter().map(|x| *x * r)).collect()
    }

    fn fraction_layer(&self, p: &[Fr], q: &[Fr], [p_out, q_out]: [&mut [Fr]; 2]) {
        let (p, q) = layer_above(p, q);
        p_out.copy_from_slice(&p);
        q_out.copy_from_slice(&q);
    }

    fn fraction_layer_i32(&self, p: [&[i32]; 2], q: [&[Fr]; 2], out: [&mut [Fr]; 2]) {
        self.fraction_layer(&field_elements(&p.concat()), &q.concat(), out);
    }

    fn fraction_layers_i32(&self, p: &[i32], q: &[Fr], out: [&mut [Fr]; 2]) {
        let (p, q) = layer_above(&field_elements(p), q);
        self.fraction_layer(&p, &q, out);
    }

    fn fraction_slope(&self, layer: &FractionLayer, eq: EqWeights<'_>, lambda: Fr) -> Fr {
        layer_round(layer, &eq.expand(), lambda)[1]
    }

    fn fraction_slope_i32(&self, p: &[i32], q: &[Fr], eq: EqWeights<'_>, lambda: Fr) -> Fr {
        self.fraction_slope(&FractionLayer::split(field_elements(p), q.to_vec()), eq, lambda)
    }

    fn child_bind_i32(&self, p: &[i32], q: &[Fr], r: Fr, lambda: Fr, [p_out, q_out]: [&mut [Fr]; 2]) {
        let (mut p, mut q) = (field_elements(p), q.to_vec());
        self.bind(&mut p, r);
        self.bind(&mut q, r);
        p_out.iter_mut().zip(p).for_each(|(out, p)| *out = lambda * p);
        q_out.copy_from_slice(&q);
    }

    fn bind_halves(&self, lo: &mut [Fr], hi: &[Fr], r: Fr) {
        lo.iter_mut().zip(hi).for_each(|(lo, hi)| *lo += r * (*hi - *lo));
    }

    fn fraction_bind(&self, layer: &mut FractionLayer, r: Fr, scale: Option<Fr>) {
        let half = layer.len() / 2;
        for (k, array) in layer.arrays_mut().into_iter().enumerate() {
            let scale = scale.filter(|_| k < 2).unwrap_or(Fr::ONE);
            for x in 0..half {
                array[x] = scale * (array[x] + r * (array[x + half] - array[x]));
            }
        }
        layer.halve();
    }

    fn fraction_round(&self, layer: &FractionLayer, eq: EqWeights<'_>) -> [Fr; 2] {
        layer_round(layer, &eq.expand(), Fr::ONE)
    }

    fn layer_bind_round(&self, layer: &mut FractionLayer, r: Fr, scale: Option<Fr>, eq: EqWeights<'_>) -> [Fr; 2] {
        self.fraction_bind(layer, r, scale);
        self.fraction_round(layer, eq)
    }
}

/// One layer, `2n` fractions to `n`.
fn layer_above(p: &[Fr], q: &[Fr]) -> (Vec<Fr>, Vec<Fr>) {
    assert_eq!(p.len(), q.len(), "numerators and denominators");
    assert!(p.len() >= 2 && p.len().is_power_of_two(), "a layer of {} fractions", p.len());
    let n = p.len() / 2;
    (0..n).map(|i| (p[i] * q[i + n] + p[i + n] * q[i], q[i] * q[i + n])).unzip()
}

/// The polynomial that a fraction layer's sumcheck sums, at one point.
fn combined(p0: Fr, p1: Fr, q0: Fr, q1: Fr, lambda: Fr) -> Fr {
    lambda * (p0 * q1 + p1 * q0) + q0 * q1
}

/// Entries of each half, 0 when no variable is left.
fn half_for_round(len: usize) -> usize {
    assert!(len.is_power_of_two(), "a multilinear array of {len} entries");
    len / 2
}

fn field_elements(values: &[i32]) -> Vec<Fr> {
    values.iter().map(|&value| Fr::from(value)).collect()
}
