//! Proving a sum of products of two multilinear polynomials, of different lengths (docs/protocol.md#sumcheck).

use crate::{
    device::{AxisMatrix, Device},
    lookup::half_power,
    transcript::ProverTranscript,
};
use ark_ff::AdditiveGroup;
use assay_verifier::Fr;

/// `scale * sum_x left(x) right(x)`, where `left` may start as integers.
pub(crate) struct Product<'a, 'b, D: Device> {
    integers: Option<&'a D::Integers<'b>>,
    left: Option<D::Elements>,
    right: D::Elements,
    /// The value of this product's share of the sum.
    sum: Fr,
    /// Weight of the product, with `2^-missing` for the leading variables that it has not got.
    scale: Fr,
    missing: usize,
    round: [Fr; 2],
}

impl<'a, 'b, D: Device> Product<'a, 'b, D> {
    /// A product of field elements with weight `coefficient`, whose weighted sum is `sum`.
    pub(crate) fn elements(
        device: &D,
        [left, right]: [D::Elements; 2],
        coefficient: Fr,
        sum: Fr,
        missing: usize,
    ) -> Self {
        let round = device.product_round(&left, &right);
        Self { integers: None, left: Some(left), right, sum, scale: coefficient * half_power(missing), missing, round }
    }

    /// A product of integers and field elements, with weight one.
    pub(crate) fn integers(
        device: &D,
        integers: &'a D::Integers<'b>,
        right: D::Elements,
        sum: Fr,
        missing: usize,
    ) -> Self {
        let round = device.product_round_i32(integers, &right);
        Self { integers: Some(integers), left: None, right, sum, scale: half_power(missing), missing, round }
    }

    fn bind(&mut self, device: &D, r: Fr) {
        match (self.integers.take(), &mut self.left) {
            (None, Some(left)) => self.round = device.product_bind_round(left, &mut self.right, r),
            (Some(v), _) => {
                let left = device.bind_i32(v, r);
                device.bind(&mut self.right, r);
                self.round = device.product_round(&left, &self.right);
                self.left = Some(left);
            }
            (None, None) => unreachable!("a product has a left factor"),
        }
    }

    /// The value of `left` once every variable is bound.
    pub(crate) fn left(&self, device: &D) -> Fr {
        match (self.integers, &self.left) {
            (_, Some(left)) => device.first(left),
            // A product of no variables.
            (Some(v), None) => device.first(&device.axis_map_i32(v, 1, 1, &AxisMatrix::identity(1))),
            (None, None) => unreachable!("a product has a left factor"),
        }
    }

    /// The value of `right` once every variable is bound.
    pub(crate) fn right(&self, device: &D) -> Fr {
        device.first(&self.right)
    }

    /// The weighted sum.
    pub(crate) fn sum(&self) -> Fr {
        self.sum
    }
}

/// Runs all `rounds` rounds and returns the point. A product counts as constant until its own variables come up.
pub(crate) fn prove<D: Device>(
    device: &D,
    rounds: usize,
    products: &mut [Product<'_, '_, D>],
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
