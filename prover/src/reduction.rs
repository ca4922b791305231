//! Proving the opening reduction (docs/protocol.md#reduction).

use crate::{
    device::{AxisMatrix, Device},
    sumcheck::{self, Product},
    transcript::ProverTranscript,
};
use ark_ff::AdditiveGroup;
use assay_circuits::{Program, TensorRole, ring::index_bits};
use assay_verifier::{
    Fr,
    protocol::{
        OpeningClaim, padded_bits,
        root::{LinearClaim, TensorTerm},
    },
};
use rayon::prelude::*;

/// Adds the entries of one term to the dense vector of its tensor's padded block.
fn add_term(program: &Program, term: &TensorTerm<Fr>, block: &mut [Fr]) {
    let shape = &program.tensors[term.tensor].shape;
    let mut strides = vec![1usize; shape.len()];
    for k in (0..shape.len().saturating_sub(1)).rev() {
        strides[k] = strides[k + 1] << index_bits(shape[k + 1]);
    }
    let offsets =
        |axes: &[usize]| assay_circuits::functional::grid_offsets(axes.iter().map(|a| (shape[*a], strides[*a])));
    // All but the last non-trivial factor are multiplied out; the last one is the inner loop.
    let mut scale = term.coefficient;
    let mut factors = Vec::new();
    for f in &term.functional.factors {
        if let [w] = f.weights.as_slice() {
            scale *= w;
        } else {
            factors.push((offsets(&f.axes), &f.weights));
        }
    }
    let Some((inner_offsets, inner_weights)) = factors.pop() else {
        block[0] += scale;
        return;
    };
    let mut outer = vec![(0usize, scale)];
    for (offsets, weights) in &factors {
        outer = outer
            .iter()
            .flat_map(|(at, c)| offsets.iter().zip(weights.iter()).map(move |(o, w)| (at + o, *c * w)))
            .collect();
    }
    let span = inner_offsets.last().map_or(1, |o| o + 1);
    let increasing = outer.windows(2).all(|w| w[0].0 + span <= w[1].0);
    let add = |target: &mut [Fr], c: Fr| {
        for (o, w) in inner_offsets.iter().zip(inner_weights) {
            target[*o] += c * w;
        }
    };
    if !increasing || outer.len() * inner_offsets.len() < 1 << 12 {
        outer.iter().for_each(|(at, c)| add(&mut block[*at..], *c));
        return;
    }
    // Disjoint, increasing targets: hand each thread its own slice of the block.
    let pieces = rayon::current_num_threads() * 4;
    let chunk = outer.len().div_ceil(pieces).max(1);
    let mut rest = block;
    let mut consumed = 0usize;
    let mut jobs = Vec::with_capacity(pieces);
    for part in outer.chunks(chunk) {
        let (start, end) = (part[0].0, part[part.len() - 1].0 + span);
        let (_, tail) = std::mem::take(&mut rest).split_at_mut(start - consumed);
        let (here, tail) = tail.split_at_mut(end - start);
        (rest, consumed) = (tail, end);
        jobs.push((part, here, start));
    }
    jobs.into_par_iter().for_each(|(part, here, start)| {
        part.iter().for_each(|(at, c)| add(&mut here[at - start..], *c));
    });
}

/// The dense sum of all terms of one stack.
fn omega(program: &Program, terms: &[TensorTerm<Fr>], role: TensorRole, bits: usize) -> Vec<Fr> {
    let mut out = vec![Fr::ZERO; 1 << bits];
    for t in terms {
        let tensor = &program.tensors[t.tensor];
        if tensor.role == role {
            add_term(program, t, &mut out[tensor.offset..tensor.offset + (1 << tensor.bits())]);
        }
    }
    out
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
        .map(|(role, bits)| device.elements(omega(program, &claim.terms, role, bits)));
    // The sum of one stack is computed, the other's follows from the claim.
    let sums = if bits[0] < bits[1] {
        let f = device.inner_product_i32(witness, &omega_f);
        [f, claim.value - f]
    } else {
        let w = device.inner_product_i32(model, &omega_w);
        [claim.value - w, w]
    };
    let mut products = [
        Product::integers(device, witness, omega_f, sums[0], total - bits[0]),
        Product::integers(device, model, omega_w, sums[1], total - bits[1]),
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
