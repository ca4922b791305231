//! Linear maps on one axis of a tensor, tiled so that a tile of data stays in the first-level cache.

use super::AxisMatrix;
use super::mac::{IntegerSum, Limbs, ProductSum, element, limbs, mul_wide};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use rayon::prelude::*;

/// Consecutive outputs that are computed together.
const BLOCK: usize = 64;

/// Matrix entries that are applied to a block before the next block.
const CHUNK: usize = 64;

/// Multiply-accumulates below which no thread is woken.
const TASK: usize = 1 << 15;

/// Outputs and entries from which a block is worth copying into a tile.
const TILED: usize = 8;

/// Terms of 32 bits times canonical weights that an [`IntegerSum`] takes.
const TERMS: usize = 1 << 17;

/// `x + 2^31`.
#[inline(always)]
fn nonnegative(x: i32) -> u64 {
    u64::from(x as u32 ^ 1 << 31)
}

/// A row of the matrix, ready for integers.
struct IntegerRow {
    entries: Vec<(usize, Limbs)>,
    /// `2^31` times the sum of all weights.
    shift: Fr,
}

impl IntegerRow {
    fn new(row: &[(usize, Fr)]) -> Self {
        Self {
            entries: row.iter().map(|(column, weight)| (*column, *limbs(weight))).collect(),
            shift: row.iter().map(|(_, weight)| weight).sum::<Fr>() * Fr::from(1u64 << 31),
        }
    }

    /// `out[i] = sum_l weight_l * data[column_l * inner + i]`; `data` starts at the block.
    ///
    /// Integers are made nonnegative by adding `2^31`, which the shift takes back.
    fn apply(&self, data: &[i32], inner: usize, out: &mut [Fr]) {
        if out.len() < TILED || self.entries.len() < TILED {
            for (i, out) in out.iter_mut().enumerate() {
                *out = -self.shift;
                for entries in self.entries.chunks(TERMS) {
                    let mut sum = IntegerSum::default();
                    for (column, weight) in entries {
                        sum.add(weight, nonnegative(data[column * inner + i]));
                    }
                    *out += element(sum.finish());
                }
            }
            return;
        }
        out.fill(-self.shift);
        let mut tile = [0; CHUNK * BLOCK];
        for entries in self.entries.chunks(TERMS) {
            let mut sums = [IntegerSum::default(); BLOCK];
            for entries in entries.chunks(CHUNK) {
                // Lines that are a power of two apart share few cache sets, so the tile is copied out of them.
                for ((column, _), line) in entries.iter().zip(tile.chunks_exact_mut(BLOCK)) {
                    line[..out.len()].copy_from_slice(&data[column * inner..][..out.len()]);
                }
                for (i, sum) in sums[..out.len()].iter_mut().enumerate() {
                    let mut local = *sum;
                    for ((_, weight), line) in entries.iter().zip(tile.chunks_exact(BLOCK)) {
                        local.add(weight, nonnegative(line[i]));
                    }
                    *sum = local;
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out += element(sum.finish());
            }
        }
    }
}

/// [`super::Device::axis_map_i32`].
pub(super) fn map_i32(data: &[i32], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
    assert_eq!(data.len(), outer * m.len * inner, "data of an axis map");
    let rows: Vec<IntegerRow> = m.rows.iter().map(|row| IntegerRow::new(row)).collect();
    fill(outer, inner, m, |o, k, start, out| {
        rows[k].apply(&data[o * m.len * inner + start..], inner, out);
    })
}

/// [`super::Device::axis_map_fr`].
pub(super) fn map_fr(data: &[Fr], outer: usize, inner: usize, m: &AxisMatrix) -> Vec<Fr> {
    assert_eq!(data.len(), outer * m.len * inner, "data of an axis map");
    fill(outer, inner, m, |o, k, start, out| {
        let data = &data[o * m.len * inner + start..];
        let mut sums = [ProductSum::default(); BLOCK];
        for chunk in m.rows[k].chunks(CHUNK / 8) {
            for (i, sum) in sums[..out.len()].iter_mut().enumerate() {
                let mut local = *sum;
                for (column, weight) in chunk {
                    local.add(&mul_wide(limbs(weight), limbs(&data[column * inner + i])));
                }
                *sum = local;
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = sum.finish();
        }
    })
}

/// Computes the output in blocks: `block(o, k, i, out)` fills `out[o, k, i..]`.
fn fill(
    outer: usize,
    inner: usize,
    m: &AxisMatrix,
    block: impl Fn(usize, usize, usize, &mut [Fr]) + Sync,
) -> Vec<Fr> {
    let count = m.rows.len();
    let mut out = vec![Fr::ZERO; outer * count * inner];
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
