//! Sums of integers with a functional, and a functional with its first variables bound, a piece at a time.
//!
//! A functional is a sum of products of small vectors. Where the dense product of a term's low factors is long, integers are
//! summed with that product, once for each place that the outer factors name; only short ones are expanded.

use super::arena::zeroed;
use super::dispatch::{self, Vector};
use super::functional::{Functional, PreparedTerm, add_products};
use super::kernels::OFFSET;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;

/// log2 of the entries of a piece: 512 KiB of field elements.
const PIECE_BITS: usize = 14;

/// Entries from which integers are summed with a low product where it is: the sums of shorter ones would cost more than they
/// save.
const DIRECT: usize = if cfg!(test) { 16 } else { 192 };

/// Entries of a piece that are put together at once, in the first-level cache.
const TILE: usize = 256;

/// The terms that fall into each piece of a functional.
struct Pieces {
    bits: usize,
    terms: Vec<PreparedTerm>,
    /// For each piece, indices of its terms.
    of_piece: Vec<Vec<u32>>,
}

/// What a term adds to a piece: `scale * low` from place `at` on.
struct Part<'a> {
    at: usize,
    scale: Fr,
    low: &'a [Fr],
}

impl Pieces {
    /// Pieces that do not cross a multiple of `2^row_bits`.
    fn new(vector: Option<Vector>, omega: &Functional, row_bits: usize) -> Self {
        let bits = PIECE_BITS.min(row_bits);
        let terms: Vec<PreparedTerm> =
            omega.terms.par_iter().map(|term| PreparedTerm::new(vector, term, bits)).collect();
        let mut of_piece = vec![vec![]; 1 << (omega.bits - bits)];
        for (t, term) in (0u32..).zip(&terms) {
            let first = term.offset >> bits;
            let count = 1usize << term.bits.saturating_sub(bits);
            of_piece[first..first + count].iter_mut().for_each(|piece| piece.push(t));
        }
        Self { bits, terms, of_piece }
    }

    /// Gives the parts of `scale` times a piece of the functional.
    fn parts<'a>(&'a self, piece: usize, scale: Fr, add: &mut impl FnMut(Part<'a>)) {
        let len = 1 << self.bits;
        for t in &self.of_piece[piece] {
            let term = &self.terms[*t as usize];
            // Where the block begins within the piece, and the piece within the block: one of them is zero.
            let start = term.offset & (len - 1);
            let within = piece - (term.offset >> self.bits);
            term.parts(within, scale, &mut |at, scale, low| {
                let at = start + at;
                // Where a factor above uses bits below the highest of `low`, the places of `low` that reach beyond are zero.
                add(Part { at, scale, low: &low[..low.len().min(len - at)] });
            });
        }
    }
}

/// Adds parts up, those that cover the same places together.
fn add_parts(vector: Option<Vector>, parts: &[Part<'_>], out: &mut [Fr]) {
    let mut cut = Vec::with_capacity(parts.len());
    for Part { at, scale, low } in parts {
        let mut from = 0;
        while from < low.len() {
            let start = at + from;
            let to = low.len().min(from + TILE - start % TILE);
            cut.push(Part { at: start, scale: *scale, low: &low[from..to] });
            from = to;
        }
    }
    cut.sort_unstable_by_key(|part| (part.at, part.low.len()));
    let mut terms = Vec::new();
    for same in cut.chunk_by(|a, b| (a.at, a.low.len()) == (b.at, b.low.len())) {
        terms.clear();
        terms.extend(same.iter().map(|part| (part.low, part.scale)));
        add_products(vector, &mut out[same[0].at..][..same[0].low.len()], &terms);
    }
}

/// `out[o] += sum_l weights[l] * data[o * stride + l]`, with vectors as far as they reach.
fn add_dots(vector: Option<Vector>, weights: &[Fr], data: &[i32], stride: usize, scale: Fr, out: &mut [Fr]) {
    let mut dots = vec![Fr::ZERO; out.len()];
    let (head, tail) = weights.split_at(weights.len() / 8 * 8);
    let small = dispatch::small_dots(vector, head, data, stride, &mut dots);
    // The other kernel reads `x + 2^31`.
    let read = if small { tail } else { weights };
    let shift = read.iter().sum::<Fr>() * Fr::from(OFFSET);
    dots.iter_mut().for_each(|dot| *dot -= shift);
    if !small {
        dispatch::axis_dots_i32(vector, head, data, stride, &mut dots);
    }
    dispatch::axis_dots_i32(None, tail, &data[head.len()..], stride, &mut dots);
    out.iter_mut().zip(dots).for_each(|(out, dot)| *out += scale * dot);
}

/// See [`super::Device::functional_products`].
pub(super) fn products(vector: Option<Vector>, f: &[i32], omega: &Functional, leading: usize) -> Vec<Fr> {
    assert_eq!(f.len(), 1 << omega.bits, "a functional on the integers");
    let (side, row_bits) = (1 << leading, omega.bits - leading);
    let pieces = Pieces::new(vector, omega, row_bits);
    let (len, columns) = (1usize << pieces.bits, 1usize << (row_bits - pieces.bits));
    let one_column = |column: usize| {
        // `sums[c * side + b]`: the sums of one column's entries with all rows of integers are next to each other.
        let mut sums = vec![Fr::ZERO; side * side];
        let mut dense = vec![];
        for (c, sums) in sums.chunks_exact_mut(side).enumerate() {
            let (mut parts, mut short) = (vec![], vec![]);
            pieces.parts(c * columns + column, Fr::ONE, &mut |part| {
                if part.low.len() < DIRECT { short.push(part) } else { parts.push(part) }
            });
            for Part { at, scale, low } in parts {
                add_dots(vector, low, &f[column * len + at..], 1 << row_bits, scale, sums);
            }
            if !short.is_empty() {
                dense.clear();
                dense.resize(len, Fr::ZERO);
                add_parts(vector, &short, &mut dense);
                add_dots(vector, &dense, &f[column * len..], 1 << row_bits, Fr::ONE, sums);
            }
        }
        sums
    };
    let add = |mut a: Vec<Fr>, b: Vec<Fr>| {
        a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
        a
    };
    let sums = (0..columns).into_par_iter().map(one_column).reduce(|| vec![Fr::ZERO; side * side], add);
    (0..side * side).map(|k| sums[k % side * side + k / side]).collect()
}

/// The functional with its leading index bits summed over `weights`.
pub(super) fn bind(vector: Option<Vector>, omega: &Functional, weights: &[Fr]) -> Vec<Fr> {
    let row_bits = omega.bits - weights.len().trailing_zeros() as usize;
    let pieces = Pieces::new(vector, omega, row_bits);
    let columns = 1usize << (row_bits - pieces.bits);
    let mut out = zeroed(1 << row_bits);
    out.par_chunks_mut(1 << pieces.bits).enumerate().for_each(|(column, out)| {
        let mut parts = Vec::new();
        for (c, weight) in weights.iter().enumerate() {
            pieces.parts(c * columns + column, *weight, &mut |part| parts.push(part));
        }
        add_parts(vector, &parts, out);
    });
    out
}
