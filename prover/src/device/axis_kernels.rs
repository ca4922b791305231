//! The loops of linear maps on one axis, written once for any [`Lanes`].

use super::kernels::{broadcast_scaled, stride};
use super::lanes::{INTEGER_TERMS, Lanes};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;

/// Outputs of one call at most: the tile of their data stays in the first-level cache.
pub(super) const BLOCK: usize = 256;

/// Matrix entries that are applied to a block at once.
const CHUNK: usize = 16;

/// Products that are reduced together, at most.
const PRODUCTS: usize = 8;

/// `out[i] = start + sum_l weight_l * (data[column_l * inner + i] + 2^31)`, for at most [`BLOCK`] outputs and `2^17`
/// entries; `start` and the weights carry the integer scale.
#[inline(always)]
pub(super) fn axis_lines_i32<L: Lanes>(out: &mut [Fr], data: &[i32], inner: usize, row: &[(usize, Fr)], start: &Fr) {
    let len = out.len();
    let start = L::broadcast(start);
    if row.len() < CHUNK || len < 8 {
        for at in (0..len).step_by(L::COUNT) {
            let mut sum = L::integer_sum(start);
            for (column, weight) in row {
                let line = &data[column * inner..][..len];
                L::integer_add(&mut sum, L::broadcast(weight), L::load_integers(line, at));
            }
            L::store(L::integer_finish(sum), out, at);
        }
        return;
    }
    let mut sums = vec![L::integer_sum(start); len / L::COUNT];
    let mut weights = [start; CHUNK];
    let mut tile = [0; CHUNK * BLOCK];
    for (index, chunk) in row.chunks(CHUNK).enumerate() {
        // Lines that are a power of two apart share few cache sets, so they are copied together.
        for (k, (column, weight)) in chunk.iter().enumerate() {
            weights[k] = L::broadcast(weight);
            tile[k * BLOCK..][..len].copy_from_slice(&data[column * inner..][..len]);
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            let mut local = *sum;
            for (k, &weight) in weights[..chunk.len()].iter().enumerate() {
                let x = L::load_integers_unordered(&tile, k * BLOCK + i * L::COUNT);
                L::integer_add(&mut local, weight, x);
            }
            if (index + 1).is_multiple_of(INTEGER_TERMS / CHUNK) {
                L::integer_fold(&mut local);
            }
            *sum = local;
        }
    }
    for (i, sum) in sums.into_iter().enumerate() {
        L::store(L::reorder(L::integer_finish(sum)), out, i * L::COUNT);
    }
}

/// `out[o] += sum_l weights[l] * (data[o * stride + l] + 2^31)`.
#[inline(always)]
pub(super) fn axis_dots_i32<L: Lanes>(weights: &[Fr], data: &[i32], stride: usize, out: &mut [Fr]) {
    let zero = L::broadcast(&Fr::ZERO);
    let block = L::COUNT * INTEGER_TERMS;
    for start in (0..weights.len()).step_by(block) {
        let end = (start + block).min(weights.len());
        let mut o = 0;
        // A weight is unpacked once for two outputs.
        while o + 1 < out.len() {
            let (first, second) = (&data[o * stride..], &data[(o + 1) * stride..]);
            let (mut sum0, mut sum1) = (L::integer_sum(zero), L::integer_sum(zero));
            for at in (start..end).step_by(L::COUNT) {
                let weight = L::load(weights, at);
                L::integer_add(&mut sum0, weight, L::load_integers(first, at));
                L::integer_add(&mut sum1, weight, L::load_integers(second, at));
            }
            out[o] += L::integer_total(sum0);
            out[o + 1] += L::integer_total(sum1);
            o += 2;
        }
        if o < out.len() {
            let mut sum = L::integer_sum(zero);
            for at in (start..end).step_by(L::COUNT) {
                L::integer_add(&mut sum, L::load(weights, at), L::load_integers(&data[o * stride..], at));
            }
            out[o] += L::integer_total(sum);
        }
    }
}

/// `out[i] += sum_l weight_l * data[column_l * inner + i]`.
#[inline(always)]
pub(super) fn axis_lines_fr<L: Lanes>(out: &mut [Fr], data: &[Fr], inner: usize, row: &[(usize, Fr)]) {
    let len = out.len();
    let mut weights = [L::broadcast(&Fr::ZERO); PRODUCTS];
    for chunk in row.chunks(L::PRODUCTS.min(PRODUCTS)) {
        for (k, (_, weight)) in chunk.iter().enumerate() {
            weights[k] = broadcast_scaled::<L>(weight);
        }
        for at in (0..len).step_by(L::COUNT) {
            let mut sum = L::mul(weights[0], L::load(data, chunk[0].0 * inner + at));
            for k in 1..chunk.len() {
                sum = L::mul_add(sum, weights[k], L::load(data, chunk[k].0 * inner + at));
            }
            let value = L::reduce_add(sum, L::load(out, at));
            L::store(value, out, at);
        }
    }
}

/// `out[i] += sum_k scale_k * data_k[start + i]`.
#[inline(always)]
pub(super) fn add_products<L: Lanes>(out: &mut [Fr], start: usize, terms: &[(&[Fr], Fr)]) {
    let mut weights = [L::broadcast(&Fr::ZERO); PRODUCTS];
    let mut data: [&[Fr]; PRODUCTS] = [&[]; PRODUCTS];
    for chunk in terms.chunks(L::PRODUCTS.min(PRODUCTS)) {
        for (k, (from, scale)) in chunk.iter().enumerate() {
            weights[k] = broadcast_scaled::<L>(scale);
            data[k] = &from[start..][..out.len()];
        }
        for at in (0..out.len()).step_by(L::COUNT) {
            let mut sum = L::mul(weights[0], L::load(data[0], at));
            for k in 1..chunk.len() {
                sum = L::mul_add(sum, weights[k], L::load(data[k], at));
            }
            let value = L::reduce_add(sum, L::load(out, at));
            L::store(value, out, at);
        }
    }
}

/// The inner product.
#[inline(always)]
pub(super) fn dot<L: Lanes>(weights: &[Fr], data: &[Fr]) -> Fr {
    let data = &data[..weights.len()];
    let mut sum = L::sum();
    let mut start = 0;
    while start < weights.len() {
        let end = start.saturating_add(stride::<L>()).min(weights.len());
        for at in (start..end).step_by(L::COUNT) {
            L::accumulate(&mut sum, L::load(weights, at), L::load(data, at));
        }
        L::fold(&mut sum);
        start = end;
    }
    L::finish(sum)
}
