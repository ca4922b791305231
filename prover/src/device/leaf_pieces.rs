//! Leaves of a fraction tree, computed where they are needed: an array of all denominators would be the largest of a
//! proof.

use super::{LeafRun, Leaves, Numerators, fractions::FractionKernels};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;

/// The leaves of a tree, found by their places.
#[derive(Debug)]
pub(super) struct LeafPieces<'a> {
    bits: usize,
    alpha: Fr,
    beta: Fr,
    beta2: Fr,
    /// By place; they do not overlap.
    runs: Vec<PlacedRun<'a>>,
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
    alpha_minus_tag: Fr,
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
}

impl LeafBuffer {
    /// For `count` slices of `len` leaves.
    pub(super) fn new(count: usize, len: usize) -> Self {
        Self { p: vec![0; count * len], q: vec![Fr::ZERO; count * len], dense: vec![Fr::ZERO; len] }
    }
}

impl<'a> LeafPieces<'a> {
    pub(super) fn new(leaves: &'a Leaves<'a>) -> Self {
        let Leaves { bits, alpha, beta, .. } = *leaves;
        let beta2 = beta * beta;
        let mut runs: Vec<_> = leaves.runs.iter().filter_map(|run| PlacedRun::new(run, alpha, beta2)).collect();
        runs.sort_unstable_by_key(|run| run.starts[0]);
        for pair in runs.windows(2) {
            assert!(pair[0].end <= pair[1].starts[0], "runs of leaves overlap at {}", pair[1].starts[0]);
        }
        assert!(runs.last().is_none_or(|last| last.end <= 1 << bits), "a run ends behind the 2^{bits} leaves");
        Self { bits, alpha, beta, beta2, runs }
    }

    /// How many leaves there are.
    pub(super) fn len(&self) -> usize {
        1 << self.bits
    }

    /// Cuts all leaves into as many equal pieces as the buffer has slices, and reads the slice at `offset` of each piece.
    ///
    /// The fractions in the buffer are a tree of their own: layer by layer, its sums are the slices at `offset` of the
    /// pieces of the whole tree's layers, as long as these layers have two pieces or more.
    pub(super) fn read(&self, kernels: &impl FractionKernels, offset: usize, buffer: &mut LeafBuffer) {
        let LeafBuffer { p, q, dense } = buffer;
        let len = dense.len();
        let piece = self.len() / (q.len() / len);
        for (k, (p, q)) in p.chunks_exact_mut(len).zip(q.chunks_exact_mut(len)).enumerate() {
            self.fill(kernels, k * piece + offset, p, q, dense);
        }
    }

    /// All leaves, in a buffer that is for nothing else.
    pub(super) fn all(&self, kernels: &impl FractionKernels) -> LeafBuffer {
        let mut buffer = LeafBuffer::new(1, self.len());
        self.read(kernels, 0, &mut buffer);
        buffer.dense = vec![];
        buffer
    }

    /// The leaves from `start` on.
    fn fill(&self, kernels: &impl FractionKernels, start: usize, p: &mut [i32], q: &mut [Fr], dense: &mut [Fr]) {
        let end = start + q.len();
        // Up to where the slice is written; leaves of no run are those that are passed over.
        let mut done = 0;
        let first = self.runs.partition_point(|run| run.end <= start);
        for placed in self.runs[first..].iter().take_while(|run| run.starts[0] < end) {
            let PlacedRun { run, starts, len, .. } = placed;
            let from = starts.partition_point(|at| at + len <= start);
            let to = starts.partition_point(|at| *at < end);
            if from >= to {
                continue;
            }
            // Where the contiguous pieces and the slice meet, by the run's entries.
            let first_entry = from * len + start.saturating_sub(starts[from]);
            let last_entry = (to - 1) * len + (*len).min(end - starts[to - 1]);
            let prints = &mut dense[..last_entry - first_entry];
            let alone = to - from == 1;
            if !alone {
                self.prints(kernels, placed, first_entry, prints);
            }
            let mut entry = first_entry;
            for at in &starts[from..to] {
                let (low, high) = ((*at).max(start) - start, (at + len).min(end) - start);
                let next = entry + high - low;
                p[done..low].fill(0);
                q[done..low].fill(self.alpha);
                done = high;
                if alone {
                    self.prints(kernels, placed, entry, &mut q[low..high]);
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
        q[done..].fill(self.alpha);
    }

    /// Denominators of a run's entries from `entry` on.
    fn prints(&self, kernels: &impl FractionKernels, placed: &PlacedRun<'_>, entry: usize, out: &mut [Fr]) {
        let run = placed.run;
        let range = entry..entry + out.len();
        let values = if run.values.is_empty() { &[] } else { &run.values[range.clone()] };
        kernels.fingerprints(&run.keys[range.clone()], values, out, placed.alpha_minus_tag, self.beta);
        if !run.sides.is_empty() {
            for (print, side) in out.iter_mut().zip(&run.sides[range.clone()]) {
                match side {
                    0 => {}
                    1 => *print -= self.beta2,
                    -1 => *print += self.beta2,
                    side => *print -= self.beta2 * Fr::from(*side),
                }
            }
        }
        if !run.rows.is_empty() {
            out.iter_mut().zip(&run.rows[range]).for_each(|(print, row)| *print -= row);
        }
    }
}

impl<'a> PlacedRun<'a> {
    /// Nothing for a run without entries.
    fn new(run: &'a LeafRun<'a>, alpha: Fr, beta2: Fr) -> Option<Self> {
        let (starts, len) = run.places();
        let last = *starts.last().filter(|_| len > 0)?;
        assert!(starts.is_sorted(), "contiguous pieces of a run are in order");
        assert_eq!(run.keys.len(), starts.len() * len, "a key for each entry of a run");
        Some(Self { run, starts, len, end: last + len, alpha_minus_tag: alpha - beta2 * Fr::from(run.tag) })
    }
}
