//! Multi-scalar multiplication over G1: commitments to small integers and to field elements.
//!
//! Both are Pippenger's bucket method with signed digits. Bucket sums are affine additions that share one field inversion
//! for a whole batch (six multiplications an addition instead of eleven), over all buckets of several rows or windows at
//! once, eight of them at a time where the machine has the instructions; the weighted sum of the buckets splits a bucket
//! number into a high and a low half, and those into bits, so that it too is such additions. Windows follow the values: a row of 8-bit values has one window of at most 2^8 buckets, and an odd
//! large value only adds a few nearly empty windows.
//!
//! Full-width scalars are first halved by the curve's endomorphism (Gallant, Lambert, Vanstone 2001), which halves the
//! windows, hence the buckets.

mod affine;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod buckets;
mod glv;
pub mod icicle;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod plan;
mod point;
pub mod reference;
mod segments;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vectors;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::AdditiveGroup;
use rayon::prelude::*;

use crate::{device::Cpu, vector::Vector};

pub(crate) use buckets::WindowSum;
use buckets::{Task, run_batch};
use point::Point;

/// Points of one batch of tasks at least: enough that its inversions vanish.
const MIN_BATCH: usize = 1 << 13;
/// Points of one batch of tasks at most: its bucket sums stay near the cores.
const MAX_BATCH: usize = 1 << 16;
/// Longest part of a row of small values handled as one task.
const SMALL_PART: usize = 1 << 18;
/// Longest part of a full-width product handled at once: longer parts need fewer buckets a point but more cache.
const WIDE_PART: usize = 1 << 17;
/// Shortest part worth its own buckets when a product is split for the sake of idle threads.
const MIN_PART: usize = 1 << 10;

/// Commits to rows of small integers: `out[k] = sum_i values[k * row_len + i] * bases[i]`.
///
/// Zeros are free; the cost of a row grows with the bits of its largest values.
///
/// # Panics
/// When `row_len` is zero, `values` is not a whole number of rows, or there are fewer than `row_len` bases.
pub fn commit_rows(bases: &[G1Affine], values: &[i32], row_len: usize) -> Vec<G1Affine> {
    commit_rows_with(Cpu::default().vector(), bases, values, row_len)
}

/// [`commit_rows`] with the kernels of a device.
pub(crate) fn commit_rows_with(
    vector: Option<Vector>,
    bases: &[G1Affine],
    values: &[i32],
    row_len: usize,
) -> Vec<G1Affine> {
    assert!(row_len > 0 && values.len().is_multiple_of(row_len), "values are not whole rows of {row_len}");
    assert!(bases.len() >= row_len, "a row of {row_len} values needs as many bases, got {}", bases.len());
    let rows = values.len() / row_len;
    if rows == 0 {
        return Vec::new();
    }
    let part = part_len(row_len, rows, SMALL_PART);
    let tasks: Vec<Task> = values
        .par_chunks(row_len)
        .enumerate()
        .with_min_len(1 + MIN_BATCH / row_len)
        .flat_map_iter(|(row, values)| {
            let parts = values.chunks(part).enumerate();
            parts.flat_map(move |(k, part_values)| plan::small(row, k * part, part_values))
        })
        .collect();
    let bases: Vec<Point> = bases[..row_len].par_iter().with_min_len(1 << 12).map(Point::from).collect();
    let sums = run(vector, &tasks, &bases, &|task, i| plan::small_digit(task, values[task.row * row_len + i]));
    G1Projective::normalize_batch(&combine(sums, rows))
}

/// `sum_i scalars[i] * bases[i]`.
///
/// # Panics
/// When there are fewer bases than scalars.
pub fn msm(bases: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    msm_many(bases, &[scalars]).pop().unwrap_or(G1Projective::ZERO)
}

/// Several products over the same bases, sharing threads and inversions: `out[k] = sum_i rows[k][i] * bases[i]`.
///
/// # Panics
/// When there are fewer bases than the longest row has scalars.
pub fn msm_many(bases: &[G1Affine], rows: &[&[Fr]]) -> Vec<G1Projective> {
    msm_many_with(Cpu::default().vector(), bases, rows)
}

/// [`msm_many`] with the kernels of a device.
pub(crate) fn msm_many_with(vector: Option<Vector>, bases: &[G1Affine], rows: &[&[Fr]]) -> Vec<G1Projective> {
    let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    assert!(bases.len() >= longest, "{longest} scalars need as many bases, got {}", bases.len());
    let pairs = glv::with_images(&bases[..longest]);
    let halves: Vec<Vec<i128>> = rows.iter().map(|row| glv::split(row)).collect();
    let mut tasks = Vec::new();
    for (row, halves) in halves.iter().enumerate() {
        for start in (0..halves.len()).step_by(WIDE_PART) {
            plan::wide(row, start..halves.len().min(start + WIDE_PART), &mut tasks);
        }
    }
    let sums = run(vector, &tasks, &pairs, &|task, i| plan::wide_digit(task, halves[task.row][i]));
    combine(sums, rows.len())
}

/// Length of the parts that rows of `len` are cut into, so that no thread is idle when there are few rows.
fn part_len(len: usize, rows: usize, limit: usize) -> usize {
    let threads = rayon::current_num_threads();
    let parts = if rows >= threads { 1 } else { threads.div_ceil(rows.max(1)) };
    len.div_ceil(parts).clamp(MIN_PART, limit)
}

/// Runs all tasks, in batches that are about as large as each other.
fn run(
    vector: Option<Vector>,
    tasks: &[Task],
    bases: &[Point],
    digit: &(impl Fn(&Task, usize) -> i32 + Sync),
) -> Vec<WindowSum> {
    let total: usize = tasks.iter().map(|task| task.range.len()).sum();
    let threads = rayon::current_num_threads();
    let share = total / (threads * total.div_ceil(threads * MAX_BATCH).max(1));
    let limit = share.max(MIN_BATCH);
    let mut batches = Vec::new();
    let (mut start, mut points) = (0, 0);
    for (i, task) in tasks.iter().enumerate() {
        points += task.range.len();
        if points >= limit || i + 1 == tasks.len() {
            batches.push(&tasks[start..=i]);
            (start, points) = (i + 1, 0);
        }
    }
    batches.into_par_iter().flat_map_iter(|batch| run_batch(vector, batch, bases, digit)).collect()
}

/// Adds each row's windows up, the highest first.
pub(crate) fn combine(mut sums: Vec<WindowSum>, rows: usize) -> Vec<G1Projective> {
    sums.sort_unstable_by_key(|sum| (sum.row, core::cmp::Reverse(sum.shift)));
    let mut totals = vec![G1Projective::ZERO; rows];
    for row in sums.chunk_by(|a, b| a.row == b.row) {
        let total = &mut totals[row[0].row];
        let mut at = row[0].shift;
        for sum in row {
            for _ in sum.shift..at {
                total.double_in_place();
            }
            at = sum.shift;
            *total += sum.sum;
        }
        for _ in 0..at {
            total.double_in_place();
        }
    }
    totals
}
