//! The opening reduction: one linear claim on all stacks becomes one evaluation of each (docs/protocol.md#reduction).
//!
//! With `f_s` the stacks, the claim is `sum_s <f_s, Omega_s> = V`, where each `Omega_s` is a sum of rank-one functionals placed in
//! its stack. One sumcheck over the longest stack's variables, which shorter ones join late, ends in all `f_s(x)` and in
//! `Omega_s(x)`, which the verifier computes from the short weight vectors.

use super::{
    Mode, OpeningClaim, get, half_power, padded_bits,
    root::{LinearClaim, TensorTerm},
    split, sumcheck,
};
use crate::channel::{Channel, Check, ProtocolError};
use assay_circuits::{
    Factor, Program, Ring,
    ring::{dot, eq_at, eq_pair, eq_table, index_bits, power_pair},
};

/// Runs the reduction and returns what is left for the opening.
pub fn verify<C: Channel>(
    channel: &mut C,
    program: &Program,
    row_bits: usize,
    mode: Mode,
    claim: LinearClaim<C::Elem>,
) -> Result<OpeningClaim<C::Elem>, ProtocolError> {
    let bits: Vec<usize> = program.stacks.iter().map(|s| padded_bits(s.bits, row_bits)).collect();
    let rounds = bits.iter().copied().max().unwrap_or(row_bits);
    let (point, last) = sumcheck::verify(channel, rounds, claim.value)?;
    let mut values = Vec::with_capacity(bits.len().saturating_add(1));
    for stack in &program.stacks {
        values.push(channel.receive(stack.label)?);
    }
    let mut omegas = Vec::with_capacity(bits.len());
    let mut high = Vec::with_capacity(bits.len());
    for (stack, bits) in bits.iter().enumerate() {
        let (_, tail) = split(&point, rounds.saturating_sub(*bits))?;
        omegas.push(omega_at(program, &claim.terms, stack, tail)?);
        high.push(split(tail, bits.saturating_sub(row_bits))?.0.to_vec());
    }
    let mut expected = C::Elem::zero();
    for ((value, omega), bits) in values.iter().zip(omegas).zip(&bits) {
        expected = expected + half_power::<C::Elem>(rounds.saturating_sub(*bits)) * (value.clone() * omega);
    }
    channel.assert_zero(Check::Reduction, expected - last)?;
    if mode == Mode::Hiding {
        values.push(channel.receive("s(x)")?);
    }
    let gamma = channel.challenge("gamma")?;
    let value = combine(&values, &gamma);
    let (_, low) = split(&point, rounds.saturating_sub(row_bits))?;
    Ok(OpeningClaim { high, low: low.to_vec(), gamma, value })
}

/// `sum_i gamma^i values[i]`.
pub fn combine<E: Ring>(values: &[E], gamma: &E) -> E {
    let mut reversed = values.iter().rev().cloned();
    let last = reversed.next().unwrap_or_else(E::zero);
    reversed.fold(last, |sum, value| value + gamma.clone() * sum)
}

/// The weight of a tensor's place in its stack, the stack's point along each axis, and eq tables of those that are needed.
struct Place<'a, E> {
    weight: E,
    points: Vec<(&'a [E], usize)>,
    tables: Vec<Option<Vec<E>>>,
}

impl<E: Ring> Place<'_, E> {
    fn table(&mut self, axis: usize) -> Result<&[E], ProtocolError> {
        let (point, extent) = *get(&self.points, axis)?;
        let slot = self.tables.get_mut(axis).ok_or(ProtocolError::Layout("axis"))?;
        Ok(slot.get_or_insert_with(|| {
            let mut table = eq_table(point);
            table.truncate(extent);
            table
        }))
    }
}

/// The multilinear extension of the sum of all terms of one stack, at a point.
pub fn omega_at<E: Ring>(
    program: &Program,
    terms: &[TensorTerm<E>],
    stack: usize,
    point: &[E],
) -> Result<E, ProtocolError> {
    let mut places: Vec<Option<Place<'_, E>>> = program.tensors.iter().map(|_| None).collect();
    let mut acc = E::zero();
    for t in terms {
        let tensor = get(&program.tensors, t.tensor)?;
        if tensor.stack != stack {
            continue;
        }
        let slot = places.get_mut(t.tensor).ok_or(ProtocolError::Layout("tensor index"))?;
        let place = match slot {
            Some(p) => p,
            None => {
                let bits = tensor.bits();
                let (high, mut rest) = split(point, point.len().saturating_sub(bits))?;
                let index = tensor.offset.checked_shr(u32::try_from(bits).unwrap_or(u32::MAX)).unwrap_or(0);
                let mut points = Vec::with_capacity(tensor.shape.len());
                for extent in &tensor.shape {
                    let (here, behind) = split(rest, index_bits(*extent))?;
                    points.push((here, *extent));
                    rest = behind;
                }
                let tables = vec![None; points.len()];
                slot.insert(Place { weight: eq_at(high, index), points, tables })
            }
        };
        let mut value = t.coefficient.clone() * place.weight.clone();
        for factor in &t.functional.factors {
            value = value * factor_at(factor, place)?;
        }
        acc = acc + value;
    }
    Ok(acc)
}

/// `sum_i weights[i] * prod_axis eq_axis[i_axis]`: in closed form for an eq table and for powers, or one axis after the other, the last
/// first.
fn factor_at<E: Ring>(factor: &Factor<E>, place: &mut Place<'_, E>) -> Result<E, ProtocolError> {
    if let (Some(point), [axis]) = (&factor.eq, factor.axes.as_slice()) {
        let (here, extent) = *get(&place.points, *axis)?;
        if point.len() != here.len() || factor.weights.len() != extent {
            return Err(ProtocolError::Layout("weights do not fit an axis"));
        }
        return Ok(eq_pair(point, here, extent));
    }
    if let (Some(powers), [axis]) = (&factor.powers, factor.axes.as_slice()) {
        let (here, extent) = *get(&place.points, *axis)?;
        if powers.len() != here.len() || factor.weights.len() != extent {
            return Err(ProtocolError::Layout("weights do not fit an axis"));
        }
        return Ok(power_pair(powers, here, extent));
    }
    let mut values = factor.weights.clone();
    for a in factor.axes.iter().rev() {
        let table = place.table(*a)?;
        if table.is_empty() || !values.len().is_multiple_of(table.len()) {
            return Err(ProtocolError::Layout("weights do not fit an axis"));
        }
        values = values.chunks(table.len()).map(|c| dot(c, table)).collect();
    }
    match values.as_slice() {
        [v] => Ok(v.clone()),
        _ => Err(ProtocolError::Layout("weights do not fit the axes")),
    }
}
