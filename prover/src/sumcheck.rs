//! Proving a sum of products of two multilinear polynomials, of different lengths (docs/protocol.md#sumcheck).

use crate::{
    device::Device,
    lookup::{element, half_power},
    transcript::ProverTranscript,
};
use ark_ff::AdditiveGroup;
use assay_verifier::Fr;

/// `scale * sum_x left(x) right(x)`, where `left` may start as integers.
pub(crate) struct Product<'a> {
    integers: Option<&'a [i32]>,
    left: Vec<Fr>,
    right: Vec<Fr>,
    /// The value of this product's share of the sum.
    sum: Fr,
    /// Weight of the product, with `2^-missing` for the leading variables that it has not got.
    scale: Fr,
    missing: usize,
    round: [Fr; 2],
}

impl<'a> Product<'a> {
    /// A product of field elements with weight `coefficient`, whose weighted sum is `sum`.
    pub(crate) fn elements(
        device: &dyn Device,
        [left, right]: [Vec<Fr>; 2],
        coefficient: Fr,
        sum: Fr,
        missing: usize,
    ) -> Self {
        let round = device.product_round(&left, &right);
        Self { integers: None, left, right, sum, scale: coefficient * half_power(missing), missing, round }
    }

    /// A product of integers and field elements, with weight one.
    pub(crate) fn integers(device: &dyn Device, integers: &'a [i32], right: Vec<Fr>, sum: Fr, missing: usize) -> Self {
        let round = device.product_round_i32(integers, &right);
        Self { integers: Some(integers), left: vec![], right, sum, scale: half_power(missing), missing, round }
    }

    fn bind(&mut self, device: &dyn Device, r: Fr) {
        match self.integers.take() {
            Some(v) => {
                self.left = device.bind_i32(v, r);
                device.bind(&mut self.right, r);
                self.round = device.product_round(&self.left, &self.right);
            }
            None => self.round = device.product_bind_round(&mut self.left, &mut self.right, r),
        }
    }

    /// The value of `left` once every variable is bound.
    pub(crate) fn left(&self) -> Fr {
        match self.integers {
            Some(v) => v.first().map_or(Fr::ZERO, |v| element(*v)),
            None => self.left.first().copied().unwrap_or(Fr::ZERO),
        }
    }

    /// The value of `right` once every variable is bound.
    pub(crate) fn right(&self) -> Fr {
        self.right.first().copied().unwrap_or(Fr::ZERO)
    }

    /// The weighted sum.
    pub(crate) fn sum(&self) -> Fr {
        self.sum
    }
}

/// Runs all `rounds` rounds and returns the point. A product counts as constant until its own variables come up.
pub(crate) fn prove(
    device: &dyn Device,
    rounds: usize,
    products: &mut [Product<'_>],
    transcript: &mut ProverTranscript,
) -> Vec<Fr> {
    let mut point = Vec::with_capacity(rounds);
    for j in 0..rounds {
        let share = half_power(j + 1);
        let mut message = [Fr::ZERO; 2];
        for p in products.iter() {
            if j < p.missing {
                message[0] += p.sum * share;
            } else {
                message[0] += p.scale * p.round[0];
                message[1] += p.scale * p.round[1];
            }
        }
        message.iter().for_each(|m| transcript.send(*m));
        let challenge = transcript.challenge();
        point.push(challenge);
        products.iter_mut().filter(|p| j >= p.missing).for_each(|p| p.bind(device, challenge));
    }
    point
}
