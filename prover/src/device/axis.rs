//! Linear maps on one axis of a tensor, cut into blocks of outputs.

use super::AxisMatrix;
use super::arena::zeroed;
use super::axis_kernels::BLOCK;
use super::dispatch::{self, Vector};
use super::kernels::OFFSET;
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use rayon::prelude::*;

/// Multiply-accumulates below which no thread is woken.
const TASK: usize = 1 << 15;

/// Entries of a row that one kernel call takes.
const ENTRIES: usize = 1 << 16;

/// The weights of a row over consecutive columns, and the first column.
fn consecutive(row: &[(usize, Fr)]) -> Option<(usize, Vec<Fr>)> {
    let first = row.first()?.0;
    let consecutive = row.iter().enumerate().all(|(k, (column, _))| *column == first + k);
    consecutive.then(|| (first, row.iter().map(|(_, weight)| *weight).collect()))
}

/// Cuts a length in a part that is a multiple of 8 and the rest.
fn whole_vectors(len: usize) -> usize {
    len / 8 * 8
}

/// Row lengths from which dot products beat lanes over the outputs.
const DENSE: usize = 16;

/// The rows as dot products over consecutive columns, when all of them are long ones.
fn dot_products(inner: usize, m: &AxisMatrix) -> Option<Vec<(usize, Vec<Fr>)>> {
    if inner != 1 || m.rows.iter().any(|row| row.len() < DENSE) {
        return None;
    }
    m.rows.iter().map(|row| consecutive(row)).collect()
}

/// [`super::Device::axis_map_i32`].
pub(super) fn map_i32(vector: Option<Vector>, data: &[i32], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
    assert_eq!(data.len(), outer * m.len * inner, "data of an axis map");
    // The kernels read `x + 2^31`; the total of each row's weights takes it back.
    let shifts: Vec<Fr> =
        m.rows.iter().map(|row| -(row.iter().map(|(_, weight)| weight).sum::<Fr>() * Fr::from(OFFSET))).collect();
    if let Some(rows) = dot_products(inner, m) {
        return fill_columns(outer, m, |first, k, out| {
            let (column, weights) = &rows[k];
            let (head, tail) = weights.split_at(whole_vectors(weights.len()));
            let data = &data[first * m.len + column..];
            out.fill(shifts[k]);
            dispatch::axis_dots_i32(vector, head, data, m.len, out);
            dispatch::axis_dots_i32(None, tail, &data[head.len()..], m.len, out);
        });
    }
    let scale = dispatch::integer_scale(vector);
    let scaled: Vec<Vec<(usize, Fr)>> =
        m.rows.iter().map(|row| row.iter().map(|(column, weight)| (*column, *weight * scale)).collect()).collect();
    fill(outer, inner, m, |o, k, start, out| {
        let data = &data[o * m.len * inner + start..];
        let (head, tail) = out.split_at_mut(whole_vectors(out.len()));
        let tail_data = &data[head.len()..];
        map_block(vector, &scaled[k], shifts[k] * scale, data, inner, head);
        map_block(None, &m.rows[k], shifts[k], tail_data, inner, tail);
    })
}

/// Outputs of one row; a very long row is cut where the sums of the kernel are full.
fn map_block(vector: Option<Vector>, row: &[(usize, Fr)], start: Fr, data: &[i32], inner: usize, out: &mut [Fr]) {
    if out.is_empty() {
        return;
    }
    let (first, rest) = row.split_at(row.len().min(ENTRIES));
    dispatch::axis_lines_i32(vector, out, data, inner, first, &start);
    for entries in rest.chunks(ENTRIES) {
        let mut more = vec![Fr::ZERO; out.len()];
        dispatch::axis_lines_i32(vector, &mut more, data, inner, entries, &Fr::ZERO);
        for (out, more) in out.iter_mut().zip(more) {
            *out += more;
        }
    }
}

/// [`super::Device::axis_map_fr`].
pub(super) fn map_fr(vector: Option<Vector>, data: &[Fr], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
    assert_eq!(data.len(), outer * m.len * inner, "data of an axis map");
    if let Some(rows) = dot_products(inner, m) {
        return fill_columns(outer, m, |first, k, out| {
            let (column, weights) = &rows[k];
            let (head, tail) = weights.split_at(whole_vectors(weights.len()));
            for (o, out) in out.iter_mut().enumerate() {
                let data = &data[(first + o) * m.len + column..];
                *out = dispatch::dot(vector, head, data) + dispatch::dot(None, tail, &data[head.len()..]);
            }
        });
    }
    fill(outer, inner, m, |o, k, start, out| {
        let data = &data[o * m.len * inner + start..];
        let (head, tail) = out.split_at_mut(whole_vectors(out.len()));
        let tail_data = &data[head.len()..];
        dispatch::axis_lines_fr(vector, head, data, inner, &m.rows[k]);
        dispatch::axis_lines_fr(None, tail, tail_data, inner, &m.rows[k]);
    })
}

/// Computes an output without inner axis: `block(o, k, out)` fills `out[o.., k]`.
fn fill_columns(outer: usize, m: &AxisMatrix, block: impl Fn(usize, usize, &mut [Fr]) + Sync) -> Vec<Fr> {
    let count = m.rows.len();
    let mut columns = zeroed(outer * count);
    let lines = (TASK / m.len).max(1);
    for (k, column) in columns.chunks_mut(outer.max(1)).enumerate() {
        if outer < 2 * lines || rayon::current_num_threads() == 1 {
            block(0, k, column);
        } else {
            column.par_chunks_mut(lines).enumerate().for_each(|(i, out)| block(i * lines, k, out));
        }
    }
    if count == 1 {
        return columns;
    }
    (0..outer * count).map(|i| columns[i % count * outer + i / count]).collect()
}

/// Computes the output in blocks: `block(o, k, i, out)` fills `out[o, k, i..]`.
fn fill(outer: usize, inner: usize, m: &AxisMatrix, block: impl Fn(usize, usize, usize, &mut [Fr]) + Sync) -> Vec<Fr> {
    let count = m.rows.len();
    let mut out = zeroed(outer * count * inner);
    if out.is_empty() {
        return out;
    }
    let line = |(index, line): (usize, &mut [Fr])| {
        for (b, out) in line.chunks_mut(BLOCK).enumerate() {
            block(index / count, index % count, b * BLOCK, out);
        }
    };
    let entries = m.rows.iter().map(Vec::len).sum::<usize>();
    let work = outer * inner * (entries + count);
    if work < 2 * TASK || rayon::current_num_threads() == 1 {
        out.chunks_mut(inner).enumerate().for_each(line);
    } else if outer * count >= 16 {
        let lines = (TASK * outer * count).div_ceil(work);
        out.par_chunks_mut(inner).enumerate().with_min_len(lines).for_each(line);
    } else {
        let blocks = (TASK * outer * count * inner).div_ceil(work * BLOCK);
        for (index, line) in out.chunks_mut(inner).enumerate() {
            line.par_chunks_mut(BLOCK)
                .enumerate()
                .with_min_len(blocks)
                .for_each(|(b, out)| block(index / count, index % count, b * BLOCK, out));
        }
    }
    out
}
