//! The walk of a fraction tree from the root to the leaves, in the host's memory.
//!
//! With many leaves, `N`, there is memory for `N / 4` fractions: all layers but the three lowest lie in it at first, then one of
//! those after the other. The third lowest is computed from the leaves when it comes up, the two below it for each pass over them,
//! until enough variables are bound. A few leaves are kept, which is faster, in as much memory for the two lowest layers as all others
//! take.

use super::arena::zeroed;
use super::eq::{EqSuffixes, EqWeights, LOW_BITS};
use super::fractions::{FractionKernels, FractionLayer};
use super::leaf_pieces::{LeafBuffer, LeafPieces};
use super::{Leaves, leaves::add_pairs};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;

/// Fractions of each piece that are put together at once: with all pieces, what fits the second-level cache. The eq factors of as
/// many entries are one table.
const SLICE: usize = 1 << LOW_BITS;

/// Leaves that are kept: up to 36 MiB. Tests have both kinds of trees at small sizes.
pub const KEPT: usize = if cfg!(test) { 1 << 6 } else { 1 << 20 };

/// A tree's layers that have not come up yet, and the current one.
#[derive(Debug)]
pub struct Tree<'a> {
    /// Until their variables are bound; absent when there are so few that they are a layer as any other.
    leaves: Option<LeafPieces<'a>>,
    /// All of them, when they are few enough.
    kept: Option<LeafBuffer>,
    /// Fractions of the stored layer that comes up next.
    next: usize,
    /// Fractions of the lowest layer that is stored from the beginning.
    lowest: usize,
    at: At,
    /// The current layer, when it is stored; the stored layer of `n` fractions is from place `n` of the arrays on.
    current: FractionLayer,
    /// The eq factors of its rounds.
    eq: EqSuffixes,
    /// What its numerators are multiplied by as soon as a variable is bound.
    lambda: Fr,
    /// How many of its variables are not bound.
    left: usize,
    /// Whether numerators of `current` are multiplied by `lambda`.
    scaled: bool,
}

/// Which layer is the current one.
#[derive(Clone, Copy, Debug)]
enum At {
    /// A layer that is stored whole.
    Stored,
    /// The one two above the leaves, stored whole since it came up.
    Quarter,
    /// The one above the leaves: not bound yet, then stored.
    Largest { bound: bool },
    /// The leaves: not bound, bound to one challenge, then stored.
    Leaves { first: Option<Fr>, bound: bool },
}

impl<'a> Tree<'a> {
    /// Sums all layers.
    pub(super) fn new(kernels: &(impl FractionKernels + Sync), leaves: &'a Leaves<'a>) -> Self {
        let pieces = LeafPieces::new(leaves);
        let few = pieces.len() < 8;
        let kept = (!few && pieces.len() <= KEPT).then(|| pieces.all(kernels));
        let lowest = match &kept {
            Some(_) => pieces.len() / 4,
            None if few => pieces.len(),
            None => pieces.len() / 8,
        };
        let (mut p, mut q) = (zeroed(2 * lowest), zeroed(2 * lowest));
        let out = [&mut p[lowest..], &mut q[lowest..]];
        match &kept {
            Some(all) => kernels.fraction_layers_i32(&all.p, &all.q, out),
            None if few => few_leaves(kernels, &pieces, out),
            None => sum_pieces(kernels, &pieces, 8, out),
        }
        let mut n = lowest;
        while n > 2 {
            let ((p_out, p), (q_out, q)) = (p.split_at_mut(n), q.split_at_mut(n));
            n /= 2;
            kernels.fraction_layer(&p[..2 * n], &q[..2 * n], [&mut p_out[n..], &mut q_out[n..]]);
        }
        let leaves = (!few).then_some(pieces);
        let current = FractionLayer::within(p, q, n, n / 2);
        let (eq, lambda) = (EqSuffixes::default(), Fr::ONE);
        Self { leaves, kept, next: 2 * n, lowest, at: At::Stored, current, eq, lambda, left: 0, scaled: false }
    }

    /// See [`super::Device::fraction_children`].
    pub(super) fn children(&self) -> [Fr; 4] {
        let [p0, p1, q0, q1] = self.current.arrays().map(|array| array[0]);
        if !self.scaled {
            return [p0, p1, q0, q1];
        }
        let Some(scale) = self.lambda.inverse() else { panic!("lambda is zero") };
        [p0 * scale, p1 * scale, q0, q1]
    }

    /// See [`super::Device::fraction_descend`].
    pub(super) fn descend(&mut self, kernels: &(impl FractionKernels + Sync), point: &[Fr], lambda: Fr) -> Fr {
        assert!(lambda != Fr::ZERO, "lambda is zero");
        // What was bound is not needed any more.
        let [mut p, mut q] = arrays_of(&mut self.current);
        self.eq = EqSuffixes::new(point, &|from, r| kernels.eq_grown(from, r));
        (self.lambda, self.left, self.scaled) = (lambda, point.len(), false);
        let eq = self.eq.weights(self.left - 1);
        if self.next <= self.lowest {
            self.current = FractionLayer::within(p, q, self.next, self.next / 2);
            self.next *= 2;
            return kernels.fraction_slope(&self.current, eq, lambda);
        }
        let Some(leaves) = &self.leaves else { panic!("no layer below the leaves") };
        match (self.at, &self.kept) {
            (At::Stored | At::Quarter, Some(all)) => {
                self.at = At::Largest { bound: true };
                let (leaves_p, leaves_q) = (all.p.split_at(p.len()), all.q.split_at(q.len()));
                kernels.fraction_layer_i32(leaves_p.into(), leaves_q.into(), [&mut p, &mut q]);
                self.current = FractionLayer::split(p, q);
                kernels.fraction_slope(&self.current, eq, lambda)
            }
            (At::Largest { .. }, Some(all)) => {
                self.at = At::Leaves { first: None, bound: false };
                self.current = FractionLayer::split(p, q);
                kernels.fraction_slope_i32(&all.p, &all.q, eq, lambda)
            }
            (At::Stored, None) => {
                self.at = At::Quarter;
                sum_pieces(kernels, leaves, 4, [&mut p, &mut q]);
                self.current = FractionLayer::split(p, q);
                kernels.fraction_slope(&self.current, eq, lambda)
            }
            (At::Quarter, None) => {
                self.at = At::Largest { bound: false };
                self.current = FractionLayer::split(p, q);
                let square = leaves.none().square();
                let slopes = over_slices(leaves, 8, eq, &|buffer, offset, eq| {
                    let len = eq.low.len();
                    if leaves.are_none(4..8, 8, offset, len) {
                        // p / q + 0 / alpha = (alpha p) / (alpha q)
                        leaves.read(kernels, offset, buffer, 0..4);
                        let (p, q) = (&buffer.p[..4 * len], &buffer.q[..4 * len]);
                        return [Fr::ZERO, square * kernels.fraction_slope_i32(p, q, eq, lambda)];
                    }
                    leaves.sum(kernels, offset, buffer);
                    let layer = layer_of(&mut buffer.sums);
                    let slope = kernels.fraction_slope(&layer, eq, lambda);
                    buffer.sums = layer.into_arrays();
                    [Fr::ZERO, slope]
                });
                slopes[1]
            }
            (At::Largest { .. }, None) => {
                self.at = At::Leaves { first: None, bound: false };
                self.current = FractionLayer::split(p, q);
                let slopes = over_slices(leaves, 4, eq, &|buffer, offset, eq| {
                    // A child that is the same everywhere has no slope.
                    let len = eq.low.len();
                    if [0..2, 2..4].into_iter().any(|child| leaves.are_none(child, 4, offset, len)) {
                        return [Fr::ZERO; 2];
                    }
                    leaves.read(kernels, offset, buffer, 0..4);
                    [Fr::ZERO, kernels.fraction_slope_i32(&buffer.p, &buffer.q, eq, lambda)]
                });
                slopes[1]
            }
            (At::Leaves { .. }, _) => panic!("no layer below the leaves"),
        }
    }

    /// See [`super::Device::fraction_bind_round`].
    pub(super) fn bind_round(&mut self, kernels: &(impl FractionKernels + Sync), r: Fr) -> [Fr; 2] {
        self.left -= 1;
        let lambda = self.lambda;
        // Of the last variable nothing is left to weigh.
        let eq = self.eq.weights(self.left.saturating_sub(1));
        let scale = (!std::mem::replace(&mut self.scaled, true)).then_some(lambda);
        if matches!(self.at, At::Leaves { bound: false, .. })
            && let Some(all) = self.kept.take()
        {
            let [mut p, mut q] = arrays_of(&mut self.current);
            bind_leaves(kernels, &all.p, &all.q, r, lambda, [&mut p, &mut q]);
            self.current = FractionLayer::split(p, q);
            self.at = At::Leaves { first: None, bound: true };
            // There are at least four pairs of leaves, so two are left.
            return kernels.fraction_round(&self.current, eq);
        }
        match (self.at, &self.leaves) {
            (At::Largest { bound: false }, Some(leaves)) => {
                bind_slices(leaves, &mut self.current, &|buffer, offset, out| {
                    let len = out[0].len();
                    if leaves.are_none(4..8, 8, offset, len) {
                        leaves.read_beside_none(kernels, offset, buffer, 0..4);
                        let [p0, p1, q0, q1] = out;
                        for (child, out) in [[p0, q0], [p1, q1]].into_iter().enumerate() {
                            let place = 2 * child * len..2 * (child + 1) * len;
                            let (p, q) = (&buffer.p[place.clone()], &buffer.q[place]);
                            kernels.child_bind_i32(p, q, r, lambda * leaves.none(), out);
                        }
                        return;
                    }
                    leaves.sum(kernels, offset, buffer);
                    let mut layer = layer_of(&mut buffer.sums);
                    kernels.fraction_bind(&mut layer, r, scale);
                    out.into_iter().zip(layer.arrays()).for_each(|(out, array)| out.copy_from_slice(array));
                    buffer.sums = layer.into_arrays();
                });
                self.at = At::Largest { bound: true };
            }
            (At::Leaves { first: None, bound: false }, Some(leaves)) => {
                self.at = At::Leaves { first: Some(r), bound: false };
                let eq_sum = eq.low.iter().sum();
                return over_slices(leaves, 8, eq, &|buffer, offset, eq| {
                    let len = eq.low.len();
                    if !leaves.are_none(4..8, 8, offset, len) {
                        leaves.read(kernels, offset, buffer, 0..8);
                        let [mut p, mut q] = std::mem::take(&mut buffer.sums);
                        for out in [&mut p, &mut q] {
                            out.resize(4 * len, Fr::ZERO);
                        }
                        bind_leaves(kernels, &buffer.p, &buffer.q, r, lambda, [&mut p, &mut q]);
                        let layer = FractionLayer::split(p, q);
                        let round = kernels.fraction_round(&layer, eq);
                        buffer.sums = layer.into_arrays();
                        return round;
                    }
                    // Where `p1 / q1` is `0 / alpha`, what is summed is `alpha (q0 + lambda p0)`, and has no slope.
                    leaves.read(kernels, offset, buffer, [0, 2].into_iter());
                    let sum = |k: usize| {
                        let place = k * len..(k + 1) * len;
                        kernels.weighed_leaves(&buffer.p[place.clone()], &buffer.q[place], eq.low, eq_sum, lambda)
                    };
                    let (low, high) = (sum(0), sum(2));
                    [eq.high[0] * leaves.none() * (low + r * (high - low)), Fr::ZERO]
                });
            }
            (At::Leaves { first: Some(first), bound: false }, Some(leaves)) => {
                bind_slices(leaves, &mut self.current, &|buffer, offset, [p0, p1, q0, q1]| {
                    let len = q0.len();
                    for (child, (p_out, q_out)) in [(p0, q0), (p1, q1)].into_iter().enumerate() {
                        let pieces = 4 * child..4 * child + 4;
                        if leaves.are_none(pieces.clone(), 8, offset, len) {
                            p_out.fill(Fr::ZERO);
                            q_out.fill(leaves.none());
                            continue;
                        }
                        leaves.read(kernels, offset, buffer, pieces.clone());
                        let place = pieces.start * len..pieces.end * len;
                        let (mut p, mut q) = (zeroed(2 * len), zeroed(2 * len));
                        let out = [&mut p[..], &mut q[..]];
                        kernels.child_bind_i32(&buffer.p[place.clone()], &buffer.q[place], first, lambda, out);
                        for (array, out) in [(p, p_out), (q, q_out)] {
                            out.copy_from_slice(&array[..len]);
                            kernels.bind_halves(out, &array[len..], r);
                        }
                    }
                });
                self.at = At::Leaves { first: None, bound: true };
            }
            _ => return kernels.layer_bind_round(&mut self.current, r, scale, eq),
        }
        if self.current.len() == 1 {
            return [Fr::ZERO; 2];
        }
        kernels.fraction_round(&self.current, eq)
    }
}

/// The arrays that a layer was in.
fn arrays_of(layer: &mut FractionLayer) -> [Vec<Fr>; 2] {
    std::mem::replace(layer, FractionLayer::split(vec![], vec![])).into_arrays()
}

/// The layer that is all of two arrays, which are to be given back.
fn layer_of(arrays: &mut [Vec<Fr>; 2]) -> FractionLayer {
    let [p, q] = std::mem::take(arrays);
    FractionLayer::split(p, q)
}

/// Two or four leaves as a layer.
fn few_leaves(kernels: &impl FractionKernels, leaves: &LeafPieces<'_>, [p_out, q_out]: [&mut [Fr]; 2]) {
    let buffer = leaves.all(kernels);
    p_out.iter_mut().zip(&buffer.p).for_each(|(out, p)| *out = Fr::from(*p));
    q_out.copy_from_slice(&buffer.q);
}

/// The layer whose fractions are the sums of `pieces` leaves, 4 or 8; there are at least as many.
fn sum_pieces(
    kernels: &(impl FractionKernels + Sync),
    leaves: &LeafPieces<'_>,
    pieces: usize,
    [p_out, q_out]: [&mut [Fr]; 2],
) {
    let slice = (leaves.len() / pieces).min(8 * SLICE / pieces);
    (p_out.par_chunks_mut(slice), q_out.par_chunks_mut(slice)).into_par_iter().enumerate().for_each_init(
        || LeafBuffer::new(pieces, slice),
        |buffer, (k, (p_out, q_out))| {
            leaves.sum(kernels, k * slice, buffer);
            let [p, q] = &buffer.sums;
            if pieces == 4 {
                kernels.fraction_layer(p, q, [p_out, q_out]);
            } else {
                // Leaves that are summed are not needed any more.
                let (p_between, rest) = buffer.q.split_at_mut(2 * slice);
                let q_between = &mut rest[..2 * slice];
                kernels.fraction_layer(p, q, [&mut *p_between, &mut *q_between]);
                kernels.fraction_layer(p_between, q_between, [p_out, q_out]);
            }
        },
    );
}

/// The leaf layer with its first variable bound and numerators `lambda` times as large.
fn bind_leaves(kernels: &impl FractionKernels, p: &[i32], q: &[Fr], r: Fr, lambda: Fr, [p_out, q_out]: [&mut [Fr]; 2]) {
    let (child, bound) = (q.len() / 2, q.len() / 4);
    let out = p_out.chunks_exact_mut(bound).zip(q_out.chunks_exact_mut(bound));
    for ((p, q), (p_out, q_out)) in p.chunks_exact(child).zip(q.chunks_exact(child)).zip(out) {
        kernels.child_bind_i32(p, q, r, lambda, [p_out, q_out]);
    }
}

/// Sums a round over slices of `pieces` pieces of the leaves, each at its offset and with its eq factors. There are at least 8
/// leaves.
fn over_slices(
    leaves: &LeafPieces<'_>,
    pieces: usize,
    eq: EqWeights<'_>,
    round: &(impl Fn(&mut LeafBuffer, usize, EqWeights<'_>) -> [Fr; 2] + Sync),
) -> [Fr; 2] {
    assert_eq!(eq.len(), leaves.len() / pieces, "eq factors of a fraction round");
    let slice = eq.low.len();
    let sums = eq.high.par_chunks(1).enumerate().map_init(
        || LeafBuffer::new(pieces, slice),
        |buffer, (k, high)| round(buffer, k * slice, EqWeights { high, low: eq.low }),
    );
    sums.reduce(|| [Fr::ZERO; 2], add_pairs)
}

/// Puts together what `bound` writes for slices of eight pieces of the leaves, each at its offset: four arrays of an eighth each, for
/// which the layer has the memory. There are at least 8 leaves.
fn bind_slices(
    leaves: &LeafPieces<'_>,
    layer: &mut FractionLayer,
    bound: &(impl Fn(&mut LeafBuffer, usize, [&mut [Fr]; 4]) + Sync),
) {
    let len = leaves.len() / 8;
    let slice = len.min(SLICE);
    let [p, q] = arrays_of(layer);
    assert_eq!(p.len(), 2 * len, "memory for a quarter of the leaves");
    *layer = FractionLayer::split(p, q);
    let [p0, p1, q0, q1] = layer.arrays_mut().map(|array| array.par_chunks_mut(slice));
    (p0, p1, q0, q1).into_par_iter().enumerate().for_each_init(
        || LeafBuffer::new(8, slice),
        |buffer, (k, (p0, p1, q0, q1))| bound(buffer, k * slice, [p0, p1, q0, q1]),
    );
}
