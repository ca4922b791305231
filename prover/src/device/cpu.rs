//! Forwards for now.

use super::*;

/// Fast device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Device for Cpu {
    fn name(&self) -> &'static str {
        Reference.name()
    }
    fn commit_rows(&self, bases: &[G1Affine], values: &[i32], row_len: usize) -> Vec<G1Affine> {
        Reference.commit_rows(bases, values, row_len)
    }
    fn msm(&self, bases: &[G1Affine], scalars: &[Fr]) -> G1Affine {
        Reference.msm(bases, scalars)
    }
    fn eq_table(&self, point: &[Fr]) -> Vec<Fr> {
        Reference.eq_table(point)
    }
    fn eq_suffixes(&self, point: &[Fr]) -> Vec<Vec<Fr>> {
        Reference.eq_suffixes(point)
    }
    fn axis_map_i32(&self, data: &[i32], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
        Reference.axis_map_i32(data, outer, inner, m)
    }
    fn axis_map_fr(&self, data: &[Fr], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
        Reference.axis_map_fr(data, outer, inner, m)
    }
    fn product_round(&self, a: &[Fr], b: &[Fr]) -> [Fr; 2] {
        Reference.product_round(a, b)
    }
    fn product_round_i32(&self, a: &[i32], b: &[Fr]) -> [Fr; 2] {
        Reference.product_round_i32(a, b)
    }
    fn bind(&self, a: &mut Vec<Fr>, r: Fr) {
        Reference.bind(a, r)
    }
    fn bind_i32(&self, a: &[i32], r: Fr) -> Vec<Fr> {
        Reference.bind_i32(a, r)
    }
    fn product_bind_round(&self, a: &mut Vec<Fr>, b: &mut Vec<Fr>, r: Fr) -> [Fr; 2] {
        Reference.product_bind_round(a, b, r)
    }
    fn fingerprints(&self, keys: &[i32], values: &[i32], alpha_minus_tag: Fr, beta: Fr) -> Vec<Fr> {
        Reference.fingerprints(keys, values, alpha_minus_tag, beta)
    }
    fn fraction_layer(&self, p: &[Fr], q: &[Fr]) -> (Vec<Fr>, Vec<Fr>) {
        Reference.fraction_layer(p, q)
    }
    fn fraction_layer_i32(&self, p: &[i32], q: &[Fr]) -> (Vec<Fr>, Vec<Fr>) {
        Reference.fraction_layer_i32(p, q)
    }
    fn fraction_round(&self, layer: &FractionLayer, eq: &[Fr], lambda: Fr) -> [Fr; 2] {
        Reference.fraction_round(layer, eq, lambda)
    }
    fn fraction_round_i32(&self, p: &[i32], q: &[Fr], eq: &[Fr], lambda: Fr) -> [Fr; 2] {
        Reference.fraction_round_i32(p, q, eq, lambda)
    }
    fn fraction_bind(&self, layer: &mut FractionLayer, r: Fr) {
        Reference.fraction_bind(layer, r)
    }
    fn fraction_bind_i32(&self, p: &[i32], q: &[Fr], r: Fr) -> FractionLayer {
        Reference.fraction_bind_i32(p, q, r)
    }
    fn fraction_bind_round(&self, layer: &mut FractionLayer, r: Fr, eq: &[Fr], lambda: Fr) -> [Fr; 2] {
        Reference.fraction_bind_round(layer, r, eq, lambda)
    }
}
