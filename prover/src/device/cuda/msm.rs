//! Multi-scalar multiplication on the card; `prover/cuda/msm.cuh` has the method.

use super::engine::{Argument, Array, CudaError, Engine, grid, launch};
use super::{Accelerated, Points, Scalars, SmallIntegers, Words};
use crate::msm::{WindowSum, combine};
use ark_bn254::{Fq, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::{BigInt, Fp, Zero, batch_inversion};

/// Points that a thread adds up in a row; `prover/cuda/msm.cuh` says the same.
const CHUNK: usize = 32;

/// Counts that a block scans; `prover/cuda/msm.cuh` says the same.
const SCAN: usize = 8 * super::engine::THREADS;

/// Bits of a scalar, and one for the sign of the highest digit.
const SCALAR_BITS: u32 = 255;

/// Buckets and places of one batch of rows at most: 1.2 GB of the card's memory.
const BATCH: usize = 1 << 23;

/// A point with two denominators: X, Y, ZZ and ZZZ.
type Sum = [u64; 16];

/// How values are cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Windows {
    width: u32,
    count: u32,
}

impl Windows {
    /// For values below `2^(bits - 1)` in size, `terms` of them: the width with the least additions, where folding a bucket
    /// costs about four.
    fn new(bits: u32, terms: usize) -> Self {
        let at = |width: u32| Self { width, count: bits.div_ceil(width) };
        let cost = |w: &Self| w.count as usize * (terms + 4 * w.buckets());
        (3..=16).map(at).min_by_key(cost).unwrap_or(at(8))
    }

    fn buckets(&self) -> usize {
        1 << (self.width - 1)
    }

    /// What is added to a value so that each lower window can take half of its range off.
    fn offset(&self) -> [u64; 4] {
        let mut out = [0u64; 4];
        for window in 1..self.count {
            let bit = (window * self.width - 1) as usize;
            out[bit / 64] |= 1 << (bit % 64);
        }
        out
    }
}

/// Which segments there are: how many points each has, and where it begins.
struct Segments<E: Engine> {
    counts: Words<E>,
    starts: Words<E>,
    /// All points.
    total: usize,
}

impl<E: Engine> Accelerated<E> {
    pub(super) fn upload_points(&self, points: &[G1Affine]) -> Result<Points<E>, CudaError> {
        let words = |p: &G1Affine| {
            let (x, y) = (p.x.0.0, p.y.0.0);
            [x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]]
        };
        Array::from_host(&self.engine, &points.iter().map(words).collect::<Vec<_>>())
    }

    pub(super) fn try_commit_rows(
        &self,
        bases: &Points<E>,
        values: &SmallIntegers<E>,
        row_len: usize,
    ) -> Result<Vec<G1Affine>, CudaError> {
        assert!(row_len > 0 && values.len.is_multiple_of(row_len), "whole rows of {row_len} values");
        assert!(bases.len >= row_len, "{} bases for {row_len} values", bases.len);
        let rows = values.len / row_len;
        let bits = self.bits(values)?;
        if rows == 0 || bits == 0 {
            return Ok(vec![G1Affine::identity(); rows]);
        }
        let windows = Windows::new(bits + 1, row_len);
        let row_size = windows.count as usize * row_len.max(windows.buckets());
        let batch = (BATCH / row_size).clamp(1, rows);
        let mut out = Vec::with_capacity(rows);
        for first in (0..rows).step_by(batch) {
            let count = batch.min(rows - first);
            let sums = self.small_sums(bases, values, first * row_len, row_len, count, windows)?;
            out.extend(G1Projective::normalize_batch(&combine(sums, count)));
        }
        Ok(out)
    }

    pub(super) fn try_msm(&self, bases: &Points<E>, scalars: &Scalars<E>) -> Result<G1Affine, CudaError> {
        assert!(bases.len >= scalars.len, "{} bases for {} scalars", bases.len, scalars.len);
        if scalars.len == 0 {
            return Ok(G1Affine::identity());
        }
        let windows = Windows::new(SCALAR_BITS, scalars.len);
        let offset = windows.offset();
        let count = [
            scalars.at(&self.engine, 0),
            scalars.len.into(),
            Argument::Field(&offset),
            Argument::Word(windows.width),
            Argument::Word(windows.count),
            windows.buckets().into(),
        ];
        // SAFETY: the arguments are those of both kernels up to the counts.
        let sums = unsafe { self.bucket_sums(bases, ["count_wide", "place_wide"], scalars.len, &count, 1, windows)? };
        Ok(combine(sums, 1).first().map(|sum| sum.into_affine()).unwrap_or_default())
    }

    /// Bits of the largest size among the values.
    fn bits(&self, values: &SmallIntegers<E>) -> Result<u32, CudaError> {
        let e = &self.engine;
        let out = Words::<E>::zeros(e, 1)?;
        // SAFETY: the array has that many entries, the output one.
        unsafe { self.over(values.len, "size_bits", &[values.at(e, 0), values.len.into(), out.at(e, 0)])? };
        let mut bits = [0];
        out.read(e, 0, &mut bits)?;
        Ok(u32::BITS - bits[0].leading_zeros())
    }

    fn small_sums(
        &self,
        bases: &Points<E>,
        values: &SmallIntegers<E>,
        first: usize,
        row_len: usize,
        rows: usize,
        windows: Windows,
    ) -> Result<Vec<WindowSum>, CudaError> {
        let count = [
            values.at(&self.engine, first),
            (rows * row_len).into(),
            row_len.into(),
            Argument::Long(windows.offset()[0]),
            Argument::Word(windows.width),
            Argument::Word(windows.count),
            windows.buckets().into(),
        ];
        // SAFETY: the arguments are those of both kernels up to the counts.
        unsafe { self.bucket_sums(bases, ["count_small", "place_small"], rows * row_len, &count, rows, windows) }
    }

    /// Sums of all windows of all rows, bit by bit. `kernels` count digits and place points, given `arguments` and the counts.
    ///
    /// # Safety
    /// The arguments are the kernels' up to the counts.
    unsafe fn bucket_sums(
        &self,
        bases: &Points<E>,
        kernels: [&'static str; 2],
        values: usize,
        arguments: &[Argument<'_>],
        rows: usize,
        windows: Windows,
    ) -> Result<Vec<WindowSum>, CudaError> {
        let e = &self.engine;
        let tasks = rows * windows.count as usize;
        let segments = tasks * windows.buckets();
        let counts = Words::<E>::zeros(e, segments)?;
        let with = |more: &[Argument<'static>]| [arguments, more].concat();
        // SAFETY: there is a count for every bucket of every task.
        unsafe { self.over(values, kernels[0], &with(&[counts.at(e, 0)]))? };
        let places_of = self.scanned(counts)?;
        let next = places_of.starts.duplicate(e)?;
        let places = Words::<E>::zeros(e, places_of.total)?;
        // SAFETY: every digit that was counted has a place.
        unsafe { self.over(values, kernels[1], &with(&[next.at(e, 0), places.at(e, 0)]))? };

        let mut chunks = self.chunks(&places_of, segments)?;
        let mut sums = Array::<E::Memory, Sum>::zeros(e, chunks.total)?;
        let inputs = [bases.at(e, 0), places.at(e, 0)];
        // SAFETY: all places are positions among the bases; see `chunks`.
        unsafe { self.sum_chunks("sum_places", &inputs, &places_of, &chunks, segments, &sums)? };
        // The longest segment that there can be, in chunks.
        let mut longest = values.div_ceil(CHUNK);
        while longest > 1 {
            let next = self.chunks(&chunks, segments)?;
            let out = Array::<E::Memory, Sum>::zeros(e, next.total)?;
            // SAFETY: see `chunks`.
            unsafe { self.sum_chunks("sum_chunks", &[sums.at(e, 0)], &chunks, &next, segments, &out)? };
            (chunks, sums) = (next, out);
            longest = longest.div_ceil(CHUNK);
        }
        self.folded(&sums, &chunks, tasks, windows)
    }

    /// Where segments with these counts begin.
    fn scanned(&self, counts: Words<E>) -> Result<Segments<E>, CudaError> {
        let e = &self.engine;
        let len = counts.len;
        let blocks = len.div_ceil(SCAN);
        let (starts, totals) = (Words::<E>::zeros(e, len)?, Words::<E>::zeros(e, blocks)?);
        let arguments = [counts.at(e, 0), len.into(), starts.at(e, 0), totals.at(e, 0)];
        // SAFETY: a block scans its own counts, and none is left out.
        unsafe { launch(e, "scan", [blocks as u32, 1], &arguments)? };
        let mut before = vec![0; blocks];
        totals.read(e, 0, &mut before)?;
        let mut total = 0usize;
        for here in &mut before {
            let sum = *here;
            *here = total as u32;
            total += sum as usize;
        }
        assert!(total < 1 << 31, "{total} points are more than a kernel counts");
        let before = Words::<E>::from_host(e, &before)?;
        // SAFETY: there is a total for each block.
        unsafe { self.over(len, "scan_shift", &[starts.at(e, 0), len.into(), before.at(e, 0)])? };
        Ok(Segments { counts, starts, total })
    }

    /// The segments of the sums of chunks.
    fn chunks(&self, of: &Segments<E>, segments: usize) -> Result<Segments<E>, CudaError> {
        let e = &self.engine;
        let counts = Words::<E>::zeros(e, segments)?;
        // SAFETY: there is a count for every segment.
        unsafe { self.over(segments, "chunk_counts", &[of.counts.at(e, 0), segments.into(), counts.at(e, 0)])? };
        self.scanned(counts)
    }

    /// # Safety
    /// `inputs` are the kernel's, which hold what `of` says.
    unsafe fn sum_chunks(
        &self,
        kernel: &'static str,
        inputs: &[Argument<'static>],
        of: &Segments<E>,
        chunks: &Segments<E>,
        segments: usize,
        out: &Array<E::Memory, Sum>,
    ) -> Result<(), CudaError> {
        let e = &self.engine;
        let rest = [
            of.starts.at(e, 0),
            of.counts.at(e, 0),
            chunks.starts.at(e, 0),
            segments.into(),
            chunks.total.into(),
            out.at(e, 0),
        ];
        let arguments = [inputs, &rest].concat();
        // SAFETY: the caller's; the output holds every chunk.
        unsafe { launch(e, kernel, [grid(e, chunks.total), 1], &arguments) }
    }

    /// `sum_k k B_k` of each task, bit by bit.
    fn folded(
        &self,
        sums: &Array<E::Memory, Sum>,
        segments: &Segments<E>,
        tasks: usize,
        windows: Windows,
    ) -> Result<Vec<WindowSum>, CudaError> {
        let e = &self.engine;
        let buckets = windows.buckets();
        let low = windows.width / 2;
        let highs = buckets >> low;
        let high_bits = usize::BITS - highs.leading_zeros();
        let halves = Array::<E::Memory, Sum>::zeros(e, tasks * (highs + (1 << low) - 1))?;
        let arguments = [
            sums.at(e, 0),
            segments.starts.at(e, 0),
            segments.counts.at(e, 0),
            tasks.into(),
            buckets.into(),
            Argument::Word(low),
            halves.at(e, 0),
        ];
        // SAFETY: there is a segment for each bucket of each task, and an output for each half.
        unsafe { self.over(halves.len, "fold_buckets", &arguments)? };
        let bits = high_bits + low;
        let out = Array::<E::Memory, Sum>::zeros(e, tasks * bits as usize)?;
        let arguments = [
            halves.at(e, 0),
            tasks.into(),
            buckets.into(),
            Argument::Word(low),
            Argument::Word(high_bits),
            out.at(e, 0),
        ];
        // SAFETY: there is an output for each bit of each task.
        unsafe { self.over(out.len, "fold_bits", &arguments)? };
        let mut host = vec![[0; 16]; out.len];
        out.read(e, 0, &mut host)?;
        let window_sum = |(i, sum): (usize, G1Affine)| {
            let (task, bit) = (i / bits as usize, i as u32 % bits);
            let (row, window) = (task / windows.count as usize, task as u32 % windows.count);
            let within = if bit < high_bits { low + bit } else { bit - high_bits };
            WindowSum { row, shift: window * windows.width + within, sum }
        };
        Ok(affine(&host).into_iter().enumerate().map(window_sum).collect())
    }
}

/// Sums without their denominators.
fn affine(sums: &[Sum]) -> Vec<G1Affine> {
    let coordinate = |sum: &Sum, k: usize| -> Fq {
        Fp::new_unchecked(BigInt([sum[4 * k], sum[4 * k + 1], sum[4 * k + 2], sum[4 * k + 3]]))
    };
    let mut inverses: Vec<Fq> = sums.iter().map(|sum| coordinate(sum, 2) * coordinate(sum, 3)).collect();
    batch_inversion(&mut inverses);
    let point = |(sum, inverse): (&Sum, &Fq)| {
        if inverse.is_zero() {
            return G1Affine::identity();
        }
        let (zz, zzz) = (coordinate(sum, 2), coordinate(sum, 3));
        G1Affine::new_unchecked(coordinate(sum, 0) * zzz * inverse, coordinate(sum, 1) * zz * inverse)
    };
    sums.iter().zip(&inverses).map(point).collect()
}
