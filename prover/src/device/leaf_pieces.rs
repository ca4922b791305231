//! Leaves of a fraction tree, computed where they are needed: an array of all denominators would be the largest of a
//! proof.

use super::{LeafRun, Leaves, Numerators, fractions::FractionKernels};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// The leaves of a tree, found by their places.
#[derive(Debug)]
pub(super) struct LeafPieces<'a> {
    bits: usize,
    plain: Prints,
    /// Denominators times `alpha`: those of the sums with leaves of no run, `0 / alpha`.
    beside_none: Prints,
    /// By place; they do not overlap.
    runs: Vec<PlacedRun<'a>>,
}

/// What denominators are made with.
#[derive(Clone, Copy, Debug)]
struct Prints {
    /// That of a leaf of no run.
    none: Fr,
    /// What keys, values and tags are multiplied by.
    key: Fr,
    value: Fr,
    tag: Fr,
}

impl Prints {
    fn new(leaves: &Leaves<'_>, scale: Fr) -> Self {
        let value = scale * leaves.beta;
        Self { none: scale * leaves.alpha, key: scale, value, tag: value * leaves.beta }
    }
}

/// A run and where its entries are.
#[derive(Debug)]
struct PlacedRun<'a> {
    run: &'a LeafRun<'a>,
    /// Where contiguous pieces of the run begin, in order.
    starts: Vec<usize>,
    /// How long each is, at least 1.
    len: usize,
    /// Behind the last.
    end: usize,
}

/// Memory in which leaves are put together.
#[derive(Debug)]
pub(super) struct LeafBuffer {
    /// Numerators.
    pub(super) p: Vec<i32>,
    /// Denominators.
    pub(super) q: Vec<Fr>,
    /// Denominators without the leaves of no run between them.
    dense: Vec<Fr>,
    /// Numerators and denominators of the layer above.
    pub(super) sums: [Vec<Fr>; 2],
}

impl LeafBuffer {
    /// For `count` slices of `len` leaves.
    pub(super) fn new(count: usize, len: usize) -> Self {
        Self {
            p: vec![0; count * len],
            q: vec![Fr::ZERO; count * len],
            dense: vec![Fr::ZERO; len],
            sums: [vec![], vec![]],
        }
    }
}

impl<'a> LeafPieces<'a> {
    pub(super) fn new(leaves: &'a Leaves<'a>) -> Self {
        let bits = leaves.bits;
        let mut runs: Vec<_> = leaves.runs.iter().filter_map(PlacedRun::new).collect();
        runs.sort_unstable_by_key(|run| run.starts[0]);
        for pair in runs.windows(2) {
            assert!(pair[0].end <= pair[1].starts[0], "runs of leaves overlap at {}", pair[1].starts[0]);
        }
        assert!(runs.last().is_none_or(|last| last.end <= 1 << bits), "a run ends behind the 2^{bits} leaves");
        Self { bits, plain: Prints::new(leaves, Fr::ONE), beside_none: Prints::new(leaves, leaves.alpha), runs }
    }

    /// How many leaves there are.
    pub(super) fn len(&self) -> usize {
        1 << self.bits
    }

    /// The denominator of a leaf of no run.
    pub(super) fn none(&self) -> Fr {
        self.plain.none
    }

    /// Runs that reach into a range of leaves, with the first of their contiguous pieces that does, and the one behind the last.
    fn within(&self, start: usize, end: usize) -> impl Iterator<Item = (&PlacedRun<'a>, usize, usize)> {
        let first = self.runs.partition_point(|run| run.end <= start);
        self.runs[first..].iter().take_while(move |run| run.starts[0] < end).filter_map(move |placed| {
            let from = placed.starts.partition_point(|at| at + placed.len <= start);
            let to = placed.starts.partition_point(|at| *at < end);
            (from < to).then_some((placed, from, to))
        })
    }

    /// Whether all leaves of the slices of pieces `pieces` at `offset` are of no run, as [`LeafPieces::read`] cuts them.
    pub(super) fn are_none(&self, mut pieces: std::ops::Range<usize>, count: usize, offset: usize, len: usize) -> bool {
        let piece = self.len() / count;
        pieces.all(|k| self.within(k * piece + offset, k * piece + offset + len).next().is_none())
    }

    /// Cuts all leaves into as many equal pieces as the buffer has slices, and reads the slice at `offset` of each piece that
    /// `wanted` names.
    ///
    /// The fractions in the buffer are a tree of their own: layer by layer, its sums are the slices at `offset` of the
    /// pieces of the whole tree's layers, as long as these layers have two pieces or more.
    pub(super) fn read(
        &self,
        kernels: &impl FractionKernels,
        offset: usize,
        buffer: &mut LeafBuffer,
        wanted: impl Iterator<Item = usize>,
    ) {
        self.read_by(kernels, &self.plain, offset, buffer, wanted);
    }

    /// As [`LeafPieces::read`], with denominators `alpha` times as large.
    pub(super) fn read_beside_none(
        &self,
        kernels: &impl FractionKernels,
        offset: usize,
        buffer: &mut LeafBuffer,
        wanted: impl Iterator<Item = usize>,
    ) {
        self.read_by(kernels, &self.beside_none, offset, buffer, wanted);
    }

    fn read_by(
        &self,
        kernels: &impl FractionKernels,
        by: &Prints,
        offset: usize,
        buffer: &mut LeafBuffer,
        wanted: impl Iterator<Item = usize>,
    ) {
        let LeafBuffer { p, q, dense, .. } = buffer;
        let len = dense.len();
        let piece = self.len() / (q.len() / len);
        for k in wanted {
            let (at, place) = (k * piece + offset, k * len..(k + 1) * len);
            self.fill(kernels, by, at, &mut p[place.clone()], &mut q[place], dense);
        }
    }

    /// The layer above the slices that [`LeafPieces::read`] reads, into the buffer's.
    pub(super) fn sum(&self, kernels: &impl FractionKernels, offset: usize, buffer: &mut LeafBuffer) {
        let LeafBuffer { p, q, dense, sums: [p_out, q_out] } = buffer;
        let len = dense.len();
        let (count, half) = (q.len() / len, q.len() / 2);
        let piece = self.len() / count;
        for out in [&mut *p_out, &mut *q_out] {
            out.resize(half, Fr::ZERO);
        }
        for (k, (p_out, q_out)) in p_out.chunks_exact_mut(len).zip(q_out.chunks_exact_mut(len)).enumerate() {
            let (p0, p1) = p[k * len..].split_at_mut(half);
            let (q0, q1) = q[k * len..].split_at_mut(half);
            let (p0, p1, q0, q1) = (&mut p0[..len], &mut p1[..len], &mut q0[..len], &mut q1[..len]);
            let [left, right] = [k, k + count / 2].map(|k| k * piece + offset);
            if self.within(right, right + len).next().is_none() {
                // p / q + 0 / alpha = (alpha p) / (alpha q)
                self.fill(kernels, &self.beside_none, left, p0, q_out, dense);
                kernels.scaled_integers(p0, self.plain.none, p_out);
            } else {
                self.fill(kernels, &self.plain, left, p0, q0, dense);
                self.fill(kernels, &self.plain, right, p1, q1, dense);
                kernels.fraction_layer_i32([p0, p1], [q0, q1], [p_out, q_out]);
            }
        }
    }

    /// All leaves, in a buffer that is for nothing else.
    pub(super) fn all(&self, kernels: &impl FractionKernels) -> LeafBuffer {
        let mut buffer = LeafBuffer::new(1, self.len());
        self.read(kernels, 0, &mut buffer, 0..1);
        buffer.dense = vec![];
        buffer
    }

    /// The leaves from `start` on.
    fn fill(
        &self,
        kernels: &impl FractionKernels,
        by: &Prints,
        start: usize,
        p: &mut [i32],
        q: &mut [Fr],
        dense: &mut [Fr],
    ) {
        let end = start + q.len();
        // Up to where the slice is written; leaves of no run are those that are passed over.
        let mut done = 0;
        for (placed, from, to) in self.within(start, end) {
            let PlacedRun { run, starts, len, .. } = placed;
            // Where the contiguous pieces and the slice meet, by the run's entries.
            let first_entry = from * len + start.saturating_sub(starts[from]);
            let last_entry = (to - 1) * len + (*len).min(end - starts[to - 1]);
            let prints = &mut dense[..last_entry - first_entry];
            let alone = to - from == 1;
            if !alone {
                placed.prints(kernels, by, first_entry, prints);
            }
            let mut entry = first_entry;
            for at in &starts[from..to] {
                let (low, high) = ((*at).max(start) - start, (at + len).min(end) - start);
                let next = entry + high - low;
                p[done..low].fill(0);
                q[done..low].fill(by.none);
                done = high;
                if alone {
                    placed.prints(kernels, by, entry, &mut q[low..high]);
                } else {
                    q[low..high].copy_from_slice(&prints[entry - first_entry..next - first_entry]);
                }
                match run.numerators {
                    Numerators::Ones => p[low..high].fill(1),
                    Numerators::Minus(counts) => {
                        p[low..high].iter_mut().zip(&counts[entry..next]).for_each(|(p, m)| *p = -m);
                    }
                }
                entry = next;
            }
        }
        p[done..].fill(0);
        q[done..].fill(by.none);
    }
}

impl<'a> PlacedRun<'a> {
    /// Nothing for a run without entries.
    fn new(run: &'a LeafRun<'a>) -> Option<Self> {
        let (starts, len) = run.places();
        let last = *starts.last().filter(|_| len > 0)?;
        assert!(starts.is_sorted(), "contiguous pieces of a run are in order");
        assert_eq!(run.keys.len(), starts.len() * len, "a key for each entry of a run");
        Some(Self { run, starts, len, end: last + len })
    }

    /// Denominators of the entries from `entry` on.
    fn prints(&self, kernels: &impl FractionKernels, by: &Prints, entry: usize, out: &mut [Fr]) {
        let run = self.run;
        let range = entry..entry + out.len();
        let values = if run.values.is_empty() { &[] } else { &run.values[range.clone()] };
        let start = by.none - by.tag * Fr::from(run.tag);
        kernels.fingerprints(&run.keys[range.clone()], values, out, start, [by.key, by.value]);
        if !run.sides.is_empty() {
            for (print, side) in out.iter_mut().zip(&run.sides[range.clone()]) {
                match side {
                    0 => {}
                    1 => *print -= by.tag,
                    2 => *print -= by.tag + by.tag,
                    side => *print -= by.tag * Fr::from(*side),
                }
            }
        }
        if !run.rows.is_empty() {
            out.iter_mut().zip(&run.rows[range]).for_each(|(print, row)| *print -= by.key * row);
        }
    }
}
