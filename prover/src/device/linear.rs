//! Sums of integers with a functional that is expanded a piece at a time, in a buffer of the second-level cache.

use super::arena::zeroed;
use super::dispatch::{self, Vector};
use super::functional::{Functional, PreparedTerm, add_scaled};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use rayon::prelude::*;

/// log2 of the entries of a piece: 256 KiB of field elements.
const PIECE_BITS: usize = 13;

/// The terms that fall into each piece of a functional.
struct Pieces {
    bits: usize,
    terms: Vec<PreparedTerm>,
    /// For each piece, indices of its terms.
    of_piece: Vec<Vec<u32>>,
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

    /// Adds `scale` times a piece of the functional. Gives whether there was anything to add.
    fn add(&self, vector: Option<Vector>, piece: usize, scale: Fr, out: &mut [Fr]) -> bool {
        let mut any = false;
        for t in &self.of_piece[piece] {
            let term = &self.terms[*t as usize];
            // Where the block begins within the piece, and the piece within the block: one of them is zero.
            let start = term.offset & ((1 << self.bits) - 1);
            let within = piece - (term.offset >> self.bits);
            term.parts(within, scale, &mut |at, scale, low| {
                any = true;
                // Where a factor above uses bits below the highest of `low`, the places of `low` that reach beyond are zero.
                let out = &mut out[start + at..];
                let len = low.len().min(out.len());
                add_scaled(vector, &mut out[..len], low, scale);
            });
        }
        any
    }
}

/// See [`super::Device::functional_products`].
pub(super) fn products(vector: Option<Vector>, f: &[i32], omega: &Functional, leading: usize) -> Vec<Fr> {
    assert_eq!(f.len(), 1 << omega.bits, "a functional on the integers");
    let (side, row_bits) = (1 << leading, omega.bits - leading);
    let pieces = Pieces::new(vector, omega, row_bits);
    let (len, columns) = (1usize << pieces.bits, 1usize << (row_bits - pieces.bits));
    let zeros = vec![0; len];
    // The kernel is for whole vectors, and reads `x + 2^31`.
    let vector = if len.is_multiple_of(8) { vector } else { None };
    let one_column = |column: usize| {
        let mut sums = vec![Fr::ZERO; side * side];
        let mut dense = vec![Fr::ZERO; len];
        let rows = |b: usize| &f[(b << row_bits) + column * len..][..len];
        if (0..side).all(|b| rows(b).iter().all(|x| *x == 0)) {
            return sums;
        }
        let mut dirty = false;
        for c in 0..side {
            if dirty {
                dense.fill(Fr::ZERO);
            }
            dirty = pieces.add(vector, c * columns + column, Fr::from(1u64), &mut dense);
            if dirty {
                let mut out = vec![Fr::ZERO; side];
                dispatch::axis_dots_i32(vector, &dense, &f[column * len..], 1 << row_bits, &mut out);
                let mut shift = [Fr::ZERO];
                dispatch::axis_dots_i32(vector, &dense, &zeros, len, &mut shift);
                out.iter().enumerate().for_each(|(b, sum)| sums[b * side + c] += *sum - shift[0]);
            }
        }
        sums
    };
    let add = |mut a: Vec<Fr>, b: Vec<Fr>| {
        a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
        a
    };
    (0..columns).into_par_iter().map(one_column).reduce(|| vec![Fr::ZERO; side * side], add)
}

/// The functional with its leading index bits summed over `weights`.
pub(super) fn bind(vector: Option<Vector>, omega: &Functional, weights: &[Fr]) -> Vec<Fr> {
    let row_bits = omega.bits - weights.len().trailing_zeros() as usize;
    let pieces = Pieces::new(vector, omega, row_bits);
    let columns = 1usize << (row_bits - pieces.bits);
    let mut out = zeroed(1 << row_bits);
    out.par_chunks_mut(1 << pieces.bits).enumerate().for_each(|(column, out)| {
        for (c, weight) in weights.iter().enumerate() {
            pieces.add(vector, c * columns + column, *weight, out);
        }
    });
    out
}
