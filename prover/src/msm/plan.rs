//! Windows: how many bits, and what digit a value has in each.
//!
//! With W windows of c bits, a value v is written as `v + H = sum_w u_w 2^(c w)`, `H = sum_(w < W-1) 2^(c w + c - 1)`: the
//! digits `u_w - 2^(c-1)` of the lower windows are signed, which halves the buckets, and need no carries. The highest
//! window keeps all remaining bits and its sign.

use core::ops::Range;

use super::{
    buckets::Task,
    glv::{HALF_BITS, HALF_LIMIT},
};

/// One-bit windows of a half would carry beyond 128 bits.
pub(super) const MIN_WINDOW: u32 = 2;
pub(super) const MAX_WINDOW: u32 = 16;

/// Tasks for a part of a row of small values that starts at position `start`; none when all values are zero.
pub(super) fn small(row: usize, start: usize, values: &[i32]) -> Vec<Task> {
    // by_bits[b] counts the values whose absolute value has b bits.
    let mut by_bits = [0u32; 33];
    let (mut min, mut max) = (0, 0);
    for &value in values {
        by_bits[(32 - value.unsigned_abs().leading_zeros()) as usize] += 1;
        (min, max) = (value.min(min), value.max(max));
    }
    let bits = (1..=32).rev().find(|&b| by_bits[b] != 0).unwrap_or(0) as u32;
    if bits == 0 {
        return Vec::new();
    }
    // at_least[b] counts the values with at least b bits.
    let mut at_least = by_bits;
    for b in (0..32).rev() {
        at_least[b] += at_least[b + 1];
    }
    let width = best_width(bits, |shift| at_least[shift.max(1) as usize] as usize);
    windows(row, start..start + values.len(), width, bits, i128::from(min)..i128::from(max))
}

/// The digit of a small value in a task's window.
#[inline(always)]
pub(super) fn small_digit(task: &Task, value: i32) -> i32 {
    let shifted = (i64::from(value) + task.offset as i64) >> task.shift;
    match task.width {
        Some(width) => (shifted & ((1 << width) - 1)) as i32 - (1 << (width - 1)),
        None => shifted as i32,
    }
}

/// Adds the tasks for a part of a row of halved scalars.
pub(super) fn wide(row: usize, range: Range<usize>, tasks: &mut Vec<Task>) {
    let width = best_width(HALF_BITS, |_| range.len());
    tasks.extend(windows(row, range, width, HALF_BITS, -HALF_LIMIT..HALF_LIMIT));
}

/// The digit of a halved scalar in a task's window.
#[inline(always)]
pub(super) fn wide_digit(task: &Task, half: i128) -> i32 {
    let shifted = (half + task.offset) >> task.shift;
    match task.width {
        Some(width) => (shifted as i32 & ((1 << width) - 1)) - (1 << (width - 1)),
        None => shifted as i32,
    }
}

/// One task for each window, for values in `bounds` (both ends included) of at most `bits` bits.
pub(super) fn windows(row: usize, range: Range<usize>, width: u32, bits: u32, bounds: Range<i128>) -> Vec<Task> {
    let top = (bits.div_ceil(width) - 1) * width;
    let offset = (0..top).step_by(width as usize).map(|shift| 1i128 << (shift + width - 1)).sum();
    let task = |shift, width, buckets| Task { row, range: range.clone(), shift, width, offset, buckets };
    let top_digit = |value: i128| ((value + offset) >> top).unsigned_abs() as usize;
    let top_buckets = top_digit(bounds.start).max(top_digit(bounds.end)).max(1);
    (0..top)
        .step_by(width as usize)
        .map(|shift| task(shift, Some(width), 1 << (width - 1)))
        .chain([task(top, None, top_buckets)])
        .collect()
}

/// The window width with the least work, in additions: `points(shift)` counts the values with a bit at or above `shift`.
fn best_width(bits: u32, points: impl Fn(u32) -> usize) -> u32 {
    let cost = |width: u32| {
        let count = bits.div_ceil(width);
        let buckets = |w: u32| {
            if w + 1 < count { 1 << (width - 1) } else { 1usize << (bits - w * width) }
        };
        (0..count).map(|w| points(w * width) + bucket_cost(buckets(w))).sum::<usize>()
    };
    (MIN_WINDOW.min(bits)..=MAX_WINDOW.min(bits)).min_by_key(|&width| cost(width)).unwrap_or(1)
}

/// Additions that a window's buckets cost, in units of one batched addition: two a bucket, then half of those that are
/// left for each of their bits, and about a dozen units for each bit's sum when windows are put together.
fn bucket_cost(buckets: usize) -> usize {
    let bits = (usize::BITS - buckets.leading_zeros()) as usize;
    2 * buckets + bits * buckets.isqrt() + 12 * bits
}
