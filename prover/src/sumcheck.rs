//! Proving a sum of products of two multilinear polynomials, of different lengths (docs/protocol.md#sumcheck).

use crate::{
    device::{AxisMatrix, Device, Functional, LeadingRounds},
    lookup::half_power,
    transcript::ProverTranscript,
};
use ark_ff::AdditiveGroup;
use assay_verifier::Fr;

/// `scale * sum_x left(x) right(x)`.
pub(crate) struct Product<'a, 'b, D: Device> {
    sides: Sides<'a, 'b, D>,
    /// The value of this product's share of the sum.
    sum: Fr,
    /// Weight of the product, with `2^-missing` for the leading variables that it has not got.
    scale: Fr,
    missing: usize,
    round: [Fr; 2],
}

/// Both factors.
enum Sides<'a, 'b, D: Device> {
    Elements([D::Elements; 2]),
    /// Integers and a functional, none of which is expanded until its leading variables are bound.
    Leading {
        integers: &'a D::Integers<'b>,
        functional: &'a Functional,
        rounds: LeadingRounds,
        point: Vec<Fr>,
        variables: usize,
    },
}

/// Leading variables that are bound before a functional of `bits` variables is expanded: each halves the memory, and
/// doubles the products.
pub fn leading(bits: usize) -> usize {
    let most = if bits < 24 { 3 } else { 4 };
    bits.saturating_sub(12).clamp(1, most).min(bits)
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
        Self { sides: Sides::Elements([left, right]), sum, scale: coefficient * half_power(missing), missing, round }
    }

    /// A functional of integers, with weight one.
    pub(crate) fn integers(
        device: &D,
        integers: &'a D::Integers<'b>,
        functional: &'a Functional,
        missing: usize,
    ) -> Self {
        let variables = leading(functional.bits);
        let rounds = LeadingRounds::new(device.functional_products(integers, functional, variables));
        let (sum, round) = (rounds.total(), rounds.round());
        let sides = Sides::Leading { integers, functional, rounds, point: vec![], variables };
        let mut product = Self { sides, sum, scale: half_power(missing), missing, round };
        product.expand(device);
        product
    }

    /// Expands both factors once their leading variables are bound.
    fn expand(&mut self, device: &D) {
        let Sides::Leading { integers, functional, point, variables, .. } = &self.sides else { return };
        if point.len() < *variables {
            return;
        }
        let weights = AxisMatrix::dense_row(&device.download(&device.eq_table(point)));
        let left = device.axis_map_i32(integers, 1, 1 << (functional.bits - *variables), &weights);
        let right = device.functional_bind(functional, point);
        self.round = device.product_round(&left, &right);
        self.sides = Sides::Elements([left, right]);
    }

    fn bind(&mut self, device: &D, r: Fr) {
        match &mut self.sides {
            Sides::Elements([left, right]) => self.round = device.product_bind_round(left, right, r),
            Sides::Leading { rounds, point, .. } => {
                rounds.bind(r);
                self.round = rounds.round();
                point.push(r);
                self.expand(device);
            }
        }
    }

    fn side(&self, device: &D, side: usize) -> Fr {
        match &self.sides {
            Sides::Elements(sides) => device.first(&sides[side]),
            Sides::Leading { .. } => unreachable!("every variable is bound"),
        }
    }

    /// The value of `left` once every variable is bound.
    pub(crate) fn left(&self, device: &D) -> Fr {
        self.side(device, 0)
    }

    /// The value of `right` once every variable is bound.
    pub(crate) fn right(&self, device: &D) -> Fr {
        self.side(device, 1)
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
