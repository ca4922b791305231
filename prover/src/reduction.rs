//! Proving the opening reduction (docs/protocol.md#reduction).

use crate::{
    device::{AxisMatrix, Device, Functional, FunctionalFactor, FunctionalTerm},
    sumcheck::{self, Product},
    transcript::ProverTranscript,
};
use ark_ff::AdditiveGroup;
use assay_circuits::{Program, TensorRole, functional::grid_offsets, ring::index_bits};
use assay_verifier::{
    Fr,
    protocol::{
        OpeningClaim, padded_bits,
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
fn functional(program: &Program, terms: &[TensorTerm<Fr>], role: TensorRole, bits: usize) -> Functional {
    let of_stack = terms.iter().filter(|t| program.tensors[t.tensor].role == role);
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

/// Proves the reduction of a linear claim. Both stacks are padded to at least one row. `mask` is the mask row of a hiding
/// argument.
pub fn prove<D: Device>(
    device: &D,
    program: &Program,
    row_bits: usize,
    claim: &LinearClaim<Fr>,
    [witness, model]: [&D::Integers<'_>; 2],
    mask: Option<&[Fr]>,
    transcript: &mut ProverTranscript,
) -> OpeningClaim<Fr> {
    let bits = [padded_bits(program.witness_bits, row_bits), padded_bits(program.model_bits, row_bits)];
    let total = bits[0].max(bits[1]);
    let [omega_f, omega_w] = [(TensorRole::Witness, bits[0]), (TensorRole::Model, bits[1])]
        .map(|(role, bits)| functional(program, &claim.terms, role, bits));
    let mut products = [
        Product::integers(device, witness, &omega_f, total - bits[0]),
        Product::integers(device, model, &omega_w, total - bits[1]),
    ];
    let point = sumcheck::prove(device, total, &mut products, transcript);
    let [f, w] = [products[0].left(device), products[1].left(device)];
    transcript.send(f);
    transcript.send(w);
    let tail = |bits: usize| &point[total - bits..];
    let low = tail(row_bits).to_vec();
    let mask = mask.map(|s| {
        let value = evaluate(s, &low);
        transcript.send(value);
        value
    });
    let gamma = transcript.challenge();
    let value = f + gamma * (w + mask.map_or(Fr::ZERO, |s| gamma * s));
    let high = |bits: usize| tail(bits)[..bits - row_bits].to_vec();
    OpeningClaim { witness_high: high(bits[0]), model_high: high(bits[1]), low, gamma, value }
}

/// The combined row: `sum_b c_b f_b + sum_b c'_b W_b`.
pub fn combined_row<D: Device>(
    device: &D,
    row_bits: usize,
    [witness, model]: [&D::Integers<'_>; 2],
    coefficients: [&[Fr]; 2],
) -> D::Elements {
    let inner = 1usize << row_bits;
    let [of_witness, of_model] = coefficients.map(AxisMatrix::dense_row);
    let mut row = device.axis_map_i32(witness, 1, inner, &of_witness);
    device.add_assign(&mut row, &device.axis_map_i32(model, 1, inner, &of_model));
    row
}
