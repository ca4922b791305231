//! The value of a contraction: both operands are gathered into matrices, and those multiplied.

use super::{AxisExpr, Contraction, Side};
use crate::{
    ops::dot,
    parallel::{in_parts, on_all_threads, threads},
    tensor::Tensor,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Products fewer than these are not worth other threads.
const SMALL: usize = 1 << 18;
/// Values of the right operand that stay in the nearest cache while rows of the left one go by.
const NEAR: usize = 1 << 14;

impl Contraction {
    /// Evaluates by gathering both operands into `[batch, rows, k]` matrices.
    pub(crate) fn eval(&self, lhs: &Tensor, rhs: &Tensor, shape: &[usize]) -> Tensor {
        self.apply(lhs, &self.prepare(rhs), shape)
    }

    /// Indices by where they occur: in all three tensors, in the first operand and the output, in the second operand and
    /// the output, in no output.
    fn groups(&self) -> [Vec<usize>; 4] {
        let mut out = [vec![], vec![], vec![], vec![]];
        for i in 0..self.extents.len() {
            let k = match (self.in_operand(Side::Lhs, i), self.in_operand(Side::Rhs, i), self.in_out(i)) {
                (_, _, false) => 3,
                (true, true, true) => 0,
                (true, false, true) => 1,
                _ => 2,
            };
            out[k].push(i);
        }
        out
    }

    /// The second operand, laid out as rows.
    pub(crate) fn prepare(&self, rhs: &Tensor) -> Rows {
        let [b, _, n, k] = self.groups();
        // Weights mostly lie as they are needed.
        let as_it_is = self.is_row_major(Side::Rhs, &rhs.shape, [&b, &n, &k]);
        match narrow(&rhs.data) {
            Some((v, max)) if as_it_is => Rows::Narrow(v, max),
            Some((v, max)) => Rows::Narrow(self.gather(Side::Rhs, &v, &rhs.shape, &b, &n, &k), max),
            None => Rows::Wide(self.gather(Side::Rhs, &rhs.data, &rhs.shape, &b, &n, &k)),
        }
    }

    /// Whether an operand's own order is that of these indices, each of its entries once.
    fn is_row_major(&self, side: Side, shape: &[usize], groups: [&[usize]; 3]) -> bool {
        let mut order = Vec::new();
        for (axis, len) in self.operand(side).iter().zip(shape) {
            let mut extent = 1;
            for (i, stride) in axis.terms.iter().rev() {
                if usize::try_from(*stride) != Ok(extent) {
                    return false;
                }
                extent *= self.extents[*i];
            }
            if axis.offset != 0 || extent != *len {
                return false;
            }
            order.extend(axis.terms.iter().map(|(i, _)| *i));
        }
        order == groups.concat()
    }

    /// [`Self::eval`] with a prepared second operand.
    pub(crate) fn apply(&self, lhs: &Tensor, right: &Rows, shape: &[usize]) -> Tensor {
        let [b, m, n, k] = self.groups();
        let mut data: Vec<i64> = in_parts(shape.iter().product(), 1, |_, _| ());
        let out_strides = crate::tensor::strides(shape);
        let place = |group: &[usize]| {
            self.grid(group, |value| {
                let mut at = 0;
                for (axis, s) in self.out.iter().zip(&out_strides) {
                    for (i, stride) in axis.terms.iter().filter(|(i, _)| group.contains(i)) {
                        at += value[*i] * *stride as usize * s;
                    }
                }
                at
            })
        };
        let (out_b, out_m, out_n) = (place(&b), place(&m), place(&n));
        let depth: usize = k.iter().map(|i| self.extents[*i]).product();
        // A block of rows at a time: its values stay in the cache while the other operand goes by.
        let block = ((1 << 18) / depth.max(1)).clamp(1, out_m.len().max(1));
        let small = data.len().saturating_mul(depth) < SMALL;
        // Whole tiles, and enough blocks for all threads.
        let share = if small { block } else { out_m.len().div_ceil(2 * threads()).next_multiple_of(4) };
        let block = block.min(share).max(1);
        let width = out_n.len();
        let tasks: Vec<(usize, std::ops::Range<usize>)> = (0..out_b.len())
            .flat_map(|bi| (0..out_m.len()).step_by(block).map(move |first| (bi, first)))
            .map(|(bi, first)| (bi, first..(first + block).min(out_m.len())))
            .collect();
        let short = narrow(&lhs.data);
        let run = |(bi, rows): &(usize, std::ops::Range<usize>)| {
            let groups = [&b[..], &m, &k];
            let left = match &short {
                Some((v, max)) => {
                    Rows::Narrow(self.gather_part(Side::Lhs, v, &lhs.shape, groups, *bi, rows.clone()), *max)
                }
                None => Rows::Wide(self.gather_part(Side::Lhs, &lhs.data, &lhs.shape, groups, *bi, rows.clone())),
            };
            let mut out = vec![0i64; rows.len() * width];
            gemm(&left, right, bi * width..(bi + 1) * width, depth, |i, j, v| out[i * width + j] += v);
            out
        };
        let made: Vec<Vec<i64>> = if small { tasks.iter().map(run).collect() } else { on_all_threads(&tasks, run) };
        for ((bi, rows), values) in tasks.iter().zip(made) {
            for (row, values) in out_m[rows.clone()].iter().zip(values.chunks_exact(width.max(1))) {
                for (column, v) in out_n.iter().zip(values) {
                    data[out_b[*bi] + row + column] = *v;
                }
            }
        }
        Tensor { shape: shape.to_vec(), data }
    }

    fn grid<T>(&self, group: &[usize], mut f: impl FnMut(&[usize]) -> T) -> Vec<T> {
        let count: usize = group.iter().map(|i| self.extents[*i]).product();
        let mut value = vec![0usize; self.extents.len()];
        (0..count)
            .map(|g| {
                let mut rest = g;
                for i in group.iter().rev() {
                    value[*i] = rest % self.extents[*i];
                    rest /= self.extents[*i];
                }
                f(&value)
            })
            .collect()
    }

    fn gather<T: Copy + Default>(
        &self,
        side: Side,
        data: &[T],
        shape: &[usize],
        b: &[usize],
        rows: &[usize],
        k: &[usize],
    ) -> Vec<T> {
        let count = |group: &[usize]| group.iter().map(|i| self.extents[*i]).product::<usize>();
        let mut out = Vec::with_capacity(count(b) * count(rows) * count(k));
        for x in 0..count(b) {
            out.extend(self.gather_part(side, data, shape, [b, rows, k], x, 0..count(rows)));
        }
        out
    }

    /// Some rows of one batch entry of an operand: `k` varies fastest, and what lies outside of the tensor is zero.
    fn gather_part<T: Copy + Default>(
        &self,
        side: Side,
        data: &[T],
        shape: &[usize],
        [b, rows, k]: [&[usize]; 3],
        entry: usize,
        range: std::ops::Range<usize>,
    ) -> Vec<T> {
        let axes = self.operand(side);
        let strides = crate::tensor::strides(shape);
        let digits = |group: &[usize], mut n: usize| {
            let mut value = vec![0usize; group.len()];
            for (v, i) in value.iter_mut().zip(group).rev() {
                *v = n % self.extents[*i];
                n /= self.extents[*i];
            }
            value
        };
        // Position along each axis of a part of the indices.
        let along = |group: &[usize], value: &[usize], start: bool| -> Vec<i64> {
            let one = |a: &AxisExpr| {
                let of = |i: &usize| group.iter().position(|g| g == i).map_or(0, |p| value[p] as i64);
                a.terms.iter().fold(if start { a.offset } else { 0 }, |p, (i, s)| p + s * of(i))
            };
            axes.iter().map(one).collect()
        };
        let base = along(b, &digits(b, entry), true);
        // The innermost contracted index is a run along one axis, or stands still.
        let (outer, run) = match k.split_last() {
            Some((last, outer)) => (outer, Some(*last)),
            None => (k, None),
        };
        let length = run.map_or(1, |i| self.extents[i]);
        let moving = run.and_then(|i| {
            axes.iter().position(|a| a.has(i)).map(|axis| {
                let stride = axes[axis].terms.iter().find(|t| t.0 == i).map_or(0, |t| t.1);
                (axis, stride)
            })
        });
        let outer_count: usize = outer.iter().map(|i| self.extents[*i]).product();
        let starts: Vec<Vec<i64>> = (0..outer_count).map(|n| along(outer, &digits(outer, n), false)).collect();
        // Where all runs of a row lie inside of the tensor, only their places count.
        let jumps: Vec<i64> = starts.iter().map(|s| s.iter().zip(&strides).map(|(p, s)| p * *s as i64).sum()).collect();
        let reach: Vec<(i64, i64)> = (0..axes.len())
            .map(|a| {
                let lo = starts.iter().map(|s| s[a]).min().unwrap_or(0);
                let hi = starts.iter().map(|s| s[a]).max().unwrap_or(0);
                let run = match moving {
                    Some((axis, stride)) if axis == a => stride * (length as i64 - 1),
                    _ => 0,
                };
                (lo + run.min(0), hi + run.max(0))
            })
            .collect();
        let mut out = Vec::with_capacity(range.len() * outer_count * length);
        for row in range {
            let at: Vec<i64> = base.iter().zip(along(rows, &digits(rows, row), false)).map(|(p, q)| p + q).collect();
            if at.iter().zip(&reach).zip(shape).all(|((p, (lo, hi)), len)| p + lo >= 0 && p + hi < *len as i64) {
                let first: i64 = at.iter().zip(&strides).map(|(p, s)| p * *s as i64).sum();
                let step = moving.map_or(0, |(axis, stride)| stride * strides[axis] as i64);
                copy_runs(data, first, &jumps, step, length, &mut out);
                continue;
            }
            for start in &starts {
                let mut inside = true;
                let mut offset = 0i64;
                for (a, (p, q)) in at.iter().zip(start).enumerate() {
                    let position = p + q;
                    offset += position * strides[a] as i64;
                    if moving.is_none_or(|(axis, _)| axis != a) {
                        inside &= (0..shape[a] as i64).contains(&position);
                    }
                }
                let Some((axis, stride)) = moving else {
                    let value = if inside { data[offset as usize] } else { T::default() };
                    out.resize(out.len() + length, value);
                    continue;
                };
                if !inside {
                    out.resize(out.len() + length, T::default());
                    continue;
                }
                let (first, extent) = (at[axis] + start[axis], shape[axis] as i64);
                let step = stride * strides[axis] as i64;
                let last = first + stride * (length as i64 - 1);
                let all = (0..extent).contains(&first) && (0..extent).contains(&last);
                if all && step == 1 {
                    out.extend_from_slice(&data[offset as usize..offset as usize + length]);
                } else if all {
                    out.extend((0..length as i64).map(|i| data[(offset + i * step) as usize]));
                } else {
                    out.extend((0..length as i64).map(|i| {
                        let within = (0..extent).contains(&(first + i * stride));
                        if within { data[(offset + i * step) as usize] } else { T::default() }
                    }));
                }
            }
        }
        out
    }
}

/// Appends `length` values from each `first + jump`, `step` apart; all of them lie inside of `data`.
fn copy_runs<T: Copy + Default>(data: &[T], first: i64, jumps: &[i64], step: i64, length: usize, out: &mut Vec<T>) {
    /// Runs as short as a kernel is wide are copied without a call.
    fn short<T: Copy, const N: usize>(data: &[T], first: i64, jumps: &[i64], out: &mut [T]) {
        for (to, jump) in out.chunks_exact_mut(N).zip(jumps) {
            let at = (first + jump) as usize;
            if let (Some(from), Ok(to)) = (data[at..].first_chunk::<N>(), <&mut [T; N]>::try_from(to)) {
                *to = *from;
            }
        }
    }
    let start = out.len();
    out.resize(start + jumps.len() * length, T::default());
    let out = &mut out[start..];
    match (step, length) {
        (_, 1) => short::<T, 1>(data, first, jumps, out),
        (1, 3) => short::<T, 3>(data, first, jumps, out),
        (1, 5) => short::<T, 5>(data, first, jumps, out),
        (1, 7) => short::<T, 7>(data, first, jumps, out),
        _ => {
            for (to, jump) in out.chunks_exact_mut(length.max(1)).zip(jumps) {
                let at = first + jump;
                if step == 1 {
                    to.copy_from_slice(&data[at as usize..at as usize + length]);
                } else {
                    to.iter_mut().enumerate().for_each(|(i, v)| *v = data[(at + i as i64 * step) as usize]);
                }
            }
        }
    }
}

/// Rows of integers, of 16 bits where they fit.
pub(crate) enum Rows {
    Narrow(Vec<i16>, u64),
    Wide(Vec<i64>),
}

/// The same values as 16-bit integers and their largest magnitude, if they are such.
fn narrow(values: &[i64]) -> Option<(Vec<i16>, u64)> {
    // What is beyond 16 bits in any value, and the largest magnitude.
    let (beyond, most) = (AtomicU64::new(0), AtomicU64::new(0));
    let short = in_parts(values.len(), 1, |first, out: &mut [i16]| {
        let (over, largest) = shorten(&values[first..], out);
        beyond.fetch_or(over, Ordering::Relaxed);
        most.fetch_max(largest, Ordering::Relaxed);
    });
    (beyond.into_inner() == 0).then(|| (short, most.into_inner()))
}

vectors! {
    /// The last 16 bits of as many values as there is room for; what is beyond those in any value, and the largest magnitude if
    /// nothing is.
    fn shorten(values: &[i64], out: &mut [i16]) -> (u64, u64) {
        let (mut beyond, mut lo, mut hi) = (0, 0i64, 0i64);
        for (o, v) in out.iter_mut().zip(values) {
            *o = *v as i16;
            beyond |= v.wrapping_add(1 << 15);
            lo = if *v < lo { *v } else { lo };
            hi = if *v > hi { *v } else { hi };
        }
        (beyond as u64 >> 16, lo.unsigned_abs().max(hi.unsigned_abs()))
    }
}

impl Rows {
    fn wide(&self) -> std::borrow::Cow<'_, [i64]> {
        match self {
            Self::Narrow(v, _) => v.iter().map(|x| i64::from(*x)).collect(),
            Self::Wide(v) => v.into(),
        }
    }
}

/// `emit(i, j, v)` with `v` that add up to `sum_k left[i, k] * right[j, k]`, for the rows `range` of `right`; with 16-bit multiplies
/// where the values allow.
fn gemm(
    left: &Rows,
    right: &Rows,
    range: std::ops::Range<usize>,
    depth: usize,
    mut emit: impl FnMut(usize, usize, i64),
) {
    if let (Rows::Narrow(l, a), Rows::Narrow(r, b)) = (left, right)
        && depth > 0
    {
        let r = &r[range.start * depth..range.end * depth];
        if fitting(*a, *b) >= SHORT.min(depth) {
            return tiles((l, *a), (r, *b), depth, &mut emit);
        }
        // Products of 16 bits leave 32 after a few: eight bits of the left values at a time.
        let (high, low): (Vec<i16>, Vec<i16>) = l.iter().map(|x| (x >> 8, x & 255)).unzip();
        tiles((&high, 128), (r, *b), depth, &mut |i, j, v| emit(i, j, 256 * v));
        return tiles((&low, 255), (r, *b), depth, &mut emit);
    }
    let (left, right) = (left.wide(), right.wide());
    let depth = depth.max(1);
    for (i, x) in left.chunks_exact(depth).enumerate() {
        for (j, y) in right[range.start * depth..range.end * depth].chunks_exact(depth).enumerate() {
            emit(i, j, x.iter().zip(y).map(|(u, v)| u * v).sum());
        }
    }
}

/// Fewer products at a time than these are not worth a call.
const SHORT: usize = 64;

/// How many products of values of these magnitudes add up within 32 bits, at least 1.
fn fitting(a: u64, b: u64) -> usize {
    usize::try_from((i32::MAX as u64) / (a * b).max(1)).unwrap_or(usize::MAX).max(1)
}

/// [`gemm`] of rows of 16-bit integers, with their largest magnitudes.
fn tiles((l, a): (&[i16], u64), (r, b): (&[i16], u64), depth: usize, emit: &mut impl FnMut(usize, usize, i64)) {
    let chunk = fitting(a, b).min(depth);
    let tile = dot::tile();
    let (high, wide) = dot::TILE;
    let near = (NEAR / depth).next_multiple_of(wide).max(wide);
    for (n, close) in r.chunks(near * depth).enumerate() {
        for (p, some) in l.chunks(high * depth).enumerate() {
            for (q, columns) in close.chunks(wide * depth).enumerate() {
                let (i, j) = (high * p, near * n + wide * q);
                // What is missing at an edge is taken twice.
                let (rows, width) = (some.len() / depth, columns.len() / depth);
                let (row, column) = (|i: usize| i.min(rows - 1) * depth, |j: usize| j.min(width - 1) * depth);
                let mut acc = [[0i64; dot::TILE.1]; dot::TILE.0];
                for at in (0..depth).step_by(chunk) {
                    let end = (at + chunk).min(depth);
                    let sums = tile(
                        std::array::from_fn(|i| &some[row(i) + at..row(i) + end]),
                        std::array::from_fn(|j| &columns[column(j) + at..column(j) + end]),
                    );
                    for (acc, sum) in acc.iter_mut().flatten().zip(sums.iter().flatten()) {
                        *acc += i64::from(*sum);
                    }
                }
                for (di, acc) in acc.iter().take(rows).enumerate() {
                    acc.iter().take(width).enumerate().for_each(|(dj, v)| emit(i + di, j + dj, *v));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Of any magnitude up to the whole of 16 bits and beyond, with extremes.
        #[test]
        fn products_of_matrices_are_sums_of_products(
            (rows, columns, depth) in (1usize..11, 1usize..7, 1usize..300),
            (left, right) in (1u32..=17, 1u32..=17),
            extreme: bool,
            seed: u64,
        ) {
            use rand::{Rng, SeedableRng};
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
            let mut draw = |n: usize, bits: u32| -> Vec<i64> {
                let half = 1i64 << (bits - 1);
                (0..n).map(|_| if extreme && rng.gen_bool(0.7) { -half } else { rng.gen_range(-half..half) }).collect()
            };
            let (l, r) = (draw(rows * depth, left), draw(columns * depth, right));
            let of = |values: &[i64]| match narrow(values) {
                Some((v, max)) => Rows::Narrow(v, max),
                None => Rows::Wide(values.to_vec()),
            };
            let mut got = vec![0i64; rows * columns];
            gemm(&of(&l), &of(&r), 0..columns, depth, |i, j, v| got[i * columns + j] += v);
            let want: Vec<i64> = (0..rows * columns)
                .map(|at| (0..depth).map(|k| l[at / columns * depth + k] * r[at % columns * depth + k]).sum())
                .collect();
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn what_is_narrow() {
        assert_eq!(narrow(&[-32_768, 5]).map(|(_, max)| max), Some(32_768));
        assert!(narrow(&[32_768]).is_none() && narrow(&[-32_769]).is_none());
        assert_eq!(narrow(&[]), Some((vec![], 0)));
    }

    proptest! {
        #[test]
        fn narrow_values_are_the_same(
            values in prop::collection::vec((any::<i64>(), 46u32..64).prop_map(|(v, s)| v >> s), 0..40),
            far in prop::option::of((any::<prop::sample::Index>(), any::<i64>())),
        ) {
            let mut values = values;
            if let (Some((at, v)), false) = (far, values.is_empty()) {
                let at = at.index(values.len());
                values[at] = v;
            }
            let short: Option<Vec<i16>> = values.iter().map(|v| i16::try_from(*v).ok()).collect();
            let most = values.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
            prop_assert_eq!(narrow(&values), short.map(|s| (s, most)));
        }
    }
}
