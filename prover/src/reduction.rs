//! Proving the opening reduction (docs/protocol.md#reduction).

use crate::{
    device::{AxisMatrix, Device, Functional, FunctionalFactor, FunctionalTerm},
    sumcheck::{self, Product},
    transcript::ProverTranscript,
};
use ark_ff::AdditiveGroup;
use assay_circuits::{Program, functional::grid_offsets, ring::index_bits};
use assay_verifier::{
    Fr,
    protocol::{
        OpeningClaim, padded_bits,
        reduction::combine,
        root::{LinearClaim, TensorTerm},
    },
};
use rayon::prelude::*;

/// One term as a product over the index bits of its tensor's padded block.
fn term(program: &Program, term: &TensorTerm<Fr>) -> FunctionalTerm {
    let tensor = &program.tensors[term.tensor];
    let shape = &tensor.shape;
    let mut strides = vec![1usize; shape.len()];
    for k in (0..shape.len().saturating_sub(1)).rev() {
        strides[k] = strides[k + 1] << index_bits(shape[k + 1]);
    }
    let mut coefficient = term.coefficient;
    let mut factors = Vec::new();
    for f in &term.functional.factors {
        if let [w] = f.weights.as_slice() {
            coefficient *= w;
        } else {
            let offsets = grid_offsets(f.axes.iter().map(|a| (shape[*a], strides[*a])));
            factors.push(FunctionalFactor { offsets, weights: f.weights.clone() });
        }
    }
    FunctionalTerm { offset: tensor.offset, bits: tensor.bits(), coefficient, factors }
}

/// All terms of one stack.
fn functional(program: &Program, terms: &[TensorTerm<Fr>], stack: usize, bits: usize) -> Functional {
    let of_stack = terms.iter().filter(|t| program.tensors[t.tensor].stack == stack);
    Functional { bits, terms: of_stack.map(|t| term(program, t)).collect() }
}

/// The multilinear extension of a row at a point.
fn evaluate(row: &[Fr], point: &[Fr]) -> Fr {
    let mut row = row.to_vec();
    for r in point {
        let half = row.len() / 2;
        let (low, high) = row.split_at_mut(half);
        low.par_iter_mut().zip(&*high).with_min_len(1 << 10).for_each(|(a, b)| *a += *r * (*b - *a));
        row.truncate(half);
    }
    row.first().copied().unwrap_or(Fr::ZERO)
}

/// Proves the reduction of a linear claim. All stacks are padded to at least one row. `mask` is the mask row of a hiding
/// argument.
pub fn prove<D: Device>(
    device: &D,
    program: &Program,
    row_bits: usize,
    claim: &LinearClaim<Fr>,
    stacks: &[&D::Integers<'_>],
    mask: Option<&[Fr]>,
    transcript: &mut ProverTranscript,
) -> OpeningClaim<Fr> {
    let bits: Vec<usize> = program.stacks.iter().map(|s| padded_bits(s.bits, row_bits)).collect();
    let total = bits.iter().copied().max().unwrap_or(row_bits);
    let omegas: Vec<Functional> =
        bits.iter().enumerate().map(|(stack, bits)| functional(program, &claim.terms, stack, *bits)).collect();
    let sides = stacks.iter().zip(&omegas).zip(&bits);
    let mut products: Vec<_> =
        sides.map(|((stack, omega), bits)| Product::integers(device, stack, omega, total - bits)).collect();
    let point = sumcheck::prove(device, total, &mut products, transcript);
    let tail = |bits: usize| &point[total - bits..];
    let low = tail(row_bits).to_vec();
    let mut values: Vec<Fr> = products.iter().map(|p| p.left(device)).collect();
    values.extend(mask.map(|s| evaluate(s, &low)));
    values.iter().for_each(|v| transcript.send(*v));
    let gamma = transcript.challenge();
    let value = combine(&values, &gamma);
    let high = bits.iter().map(|bits| tail(*bits)[..bits - row_bits].to_vec()).collect();
    OpeningClaim { high, low, gamma, value }
}

/// The combined row: the sum of all rows of all stacks, each times its coefficient.
pub fn combined_row<D: Device>(
    device: &D,
    row_bits: usize,
    stacks: &[&D::Integers<'_>],
    coefficients: &[&[Fr]],
) -> D::Elements {
    let inner = 1usize << row_bits;
    let rows = stacks.iter().zip(coefficients);
    let mut rows = rows.map(|(stack, c)| device.axis_map_i32(stack, 1, inner, &AxisMatrix::dense_row(c)));
    let mut sum = rows.next().unwrap_or_else(|| device.elements(vec![Fr::ZERO; inner]));
    rows.for_each(|row| device.add_assign(&mut sum, &row));
    sum
}
