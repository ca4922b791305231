//! Rank-one functionals: how a tensor is paired with weights in a claim `<t, w> = v` (docs/protocol.md#claims).
//!
//! A functional is a tensor product of [`Factor`]s, each over a few axes (usually one). Its length is the sum of the
//! factors' lengths, not the product of the extents, which is what keeps the verifier short.

use crate::{
    error::GraphError,
    ring::{Ring, eq_table, index_bits},
    tensor::strides,
};

/// Receives the targets of one source index: position and coefficient, `None` being one.
pub type Emit<'a> = &'a mut dyn FnMut(usize, Option<i64>);

/// Weights over one or more axes of a tensor.
#[derive(Clone, Debug)]
pub struct Factor<E> {
    /// The axes covered, in the order in which `weights` is laid out (row-major, last one fastest).
    pub axes: Vec<usize>,
    /// One weight per combination of indices of those axes.
    pub weights: Vec<E>,
    /// For a factor over one axis: the point whose eq table, cut to the extent, the weights are, where that is known. Such
    /// factors are paired with each other in closed form ([`crate::ring::eq_pair`]).
    pub eq: Option<Vec<E>>,
    /// For a factor over one axis whose weights are `z^i`: `z^(2^k)` for each coordinate, the highest first, where that is known. They
    /// are paired with eq tables in closed form ([`crate::ring::power_pair`]).
    pub powers: Option<Vec<E>>,
}

/// From how many weights on powers are known as such. With fewer of them the weights themselves cost a verifier hardly more.
pub const LONG_POWERS: usize = 1 << 8;

impl<E: Ring> Factor<E> {
    /// Weights without known structure.
    pub fn dense(axes: Vec<usize>, weights: Vec<E>) -> Self {
        Self { axes, weights, eq: None, powers: None }
    }

    /// The weights `z^i` for `i < extent`, and `z^extent`.
    pub fn powers(axis: usize, z: &E, extent: usize) -> (Self, E) {
        let mut weights = Vec::with_capacity(extent);
        let mut power = E::one();
        for _ in 0..extent {
            weights.push(power.clone());
            power = power * z.clone();
        }
        let mut out = Self::dense(vec![axis], weights);
        if extent < LONG_POWERS {
            return (out, power);
        }
        let bits = index_bits(extent);
        let mut squares = Vec::with_capacity(bits);
        let mut square = z.clone();
        for _ in 0..bits {
            squares.push(square.clone());
            square = square.clone() * square;
        }
        // The same power in few products, so that the many are not needed.
        let mut behind = if extent == 1 << bits { square } else { E::one() };
        for (k, s) in squares.iter().enumerate().filter(|(k, _)| extent < 1 << bits && extent >> k & 1 == 1) {
            behind = if k == 0 { s.clone() } else { behind * s.clone() };
        }
        squares.reverse();
        out.powers = Some(squares);
        (out, behind)
    }

    /// The first `extent` entries of the eq table of a point of `index_bits(extent)` coordinates.
    pub fn eq(axis: usize, point: &[E], extent: usize) -> Self {
        let mut weights = eq_table(point);
        weights.truncate(extent);
        Self { axes: vec![axis], weights, eq: Some(point.to_vec()), powers: None }
    }

    /// Whether the only weight is one by construction.
    pub(crate) fn is_unit(&self) -> bool {
        self.eq.as_ref().is_some_and(Vec::is_empty)
    }
}

/// A tensor product of factors that together cover every axis exactly once.
#[derive(Clone, Debug)]
pub struct Functional<E> {
    /// The factors, ordered by their smallest axis.
    pub factors: Vec<Factor<E>>,
}

impl<E: Ring> Functional<E> {
    /// One factor per axis, with the given weights.
    pub fn from_axes(weights: Vec<Vec<E>>) -> Self {
        let factors = weights.into_iter().enumerate().map(|(a, weights)| Factor::dense(vec![a], weights)).collect();
        Self { factors }
    }

    /// Number of weights of all factors.
    pub fn len(&self) -> u64 {
        self.factors.iter().map(|f| f.weights.len() as u64).sum()
    }

    /// Whether there are no weights: the functional of a tensor of rank zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The factor that covers an axis, and the position of the axis in it.
    pub fn factor_of(&self, axis: usize) -> Option<(usize, usize)> {
        self.factors.iter().enumerate().find_map(|(i, f)| f.axes.iter().position(|a| *a == axis).map(|p| (i, p)))
    }

    /// The functional of a tensor of which `shape` is what a sparse matrix along `axis` makes, of extent `extent` before: entry
    /// `o` of the result sums the entries that `scatter(o, emit)` emits.
    ///
    /// # Errors
    /// An axis that no factor covers.
    pub fn map_axis(
        &self,
        axis: usize,
        shape: &[usize],
        extent: usize,
        scatter: &mut dyn FnMut(usize, Emit<'_>),
    ) -> Result<Self, GraphError> {
        let (index, position) =
            self.factor_of(axis).ok_or_else(|| GraphError::Pullback(format!("axis {axis} is not covered")))?;
        let factor = &self.factors[index];
        let dims: Vec<usize> = factor.axes.iter().map(|a| shape[*a]).collect();
        let mut out = self.clone();
        out.factors[index] = factor.map_axis(&dims, position, extent, scatter);
        Ok(out)
    }

    /// The weights of an axis that has a factor of its own.
    pub fn single(&self, axis: usize) -> Result<&[E], GraphError> {
        self.factors
            .iter()
            .find(|f| f.axes == [axis])
            .map(|f| f.weights.as_slice())
            .ok_or_else(|| GraphError::Pullback(format!("axis {axis} is tied to other axes by a reshape")))
    }

    /// Sum of all weights: the value of the functional on the all-ones tensor.
    pub fn total(&self) -> E {
        let mut acc: Option<E> = None;
        for f in &self.factors {
            let s = crate::ring::sum(&f.weights);
            acc = Some(match acc {
                None => s,
                Some(a) => a * s,
            });
        }
        acc.unwrap_or_else(E::one)
    }

    /// `<t, w>` for a public integer tensor of the given shape, contracting one factor at a time.
    pub fn pair_integers(&self, shape: &[usize], data: &[i64]) -> Result<E, GraphError> {
        let elems: Vec<E> = data.iter().map(|v| E::from_i128(i128::from(*v))).collect();
        self.pair(shape, elems)
    }

    /// `<t, w>` for a public tensor of ring elements.
    pub fn pair(&self, shape: &[usize], data: Vec<E>) -> Result<E, GraphError> {
        let n: usize = shape.iter().product();
        if n != data.len() {
            return Err(GraphError::Length { expected: n, got: data.len() });
        }
        let mut dims = shape.to_vec();
        let mut data = data;
        for f in &self.factors {
            data = contract_factor(&dims, &data, f)?;
            for a in &f.axes {
                dims[*a] = 1;
            }
        }
        Ok(crate::ring::sum(&data))
    }

    /// Puts the factors in the order of their smallest axis.
    pub fn sorted(mut self) -> Self {
        self.factors.sort_by_key(|f| f.axes.iter().copied().min().unwrap_or(0));
        self
    }

    /// Checks that the factors cover the axes of `shape` exactly once, with the right lengths.
    pub fn validate(&self, shape: &[usize]) -> Result<(), GraphError> {
        let mut seen = vec![false; shape.len()];
        for f in &self.factors {
            let mut n = 1usize;
            for a in &f.axes {
                match seen.get_mut(*a) {
                    Some(s) if !*s => *s = true,
                    _ => return Err(GraphError::Pullback(format!("axis {a} is covered twice or does not exist"))),
                }
                n *= shape[*a];
            }
            if n != f.weights.len() {
                return Err(GraphError::Length { expected: n, got: f.weights.len() });
            }
        }
        if seen.iter().all(|s| *s) { Ok(()) } else { Err(GraphError::Pullback("an axis is not covered".to_owned())) }
    }
}

/// Sums a tensor over the axes of one factor, with its weights; those axes keep extent 1.
fn contract_factor<E: Ring>(dims: &[usize], data: &[E], f: &Factor<E>) -> Result<Vec<E>, GraphError> {
    let st = strides(dims);
    let offsets = grid_offsets(f.axes.iter().map(|a| (dims[*a], st[*a])));
    if offsets.len() != f.weights.len() {
        return Err(GraphError::Length { expected: offsets.len(), got: f.weights.len() });
    }
    let rest = grid_offsets((0..dims.len()).map(|a| if f.axes.contains(&a) { (1, st[a]) } else { (dims[a], st[a]) }));
    let mut out = Vec::with_capacity(rest.len());
    for base in rest {
        let mut acc = E::zero();
        for (o, w) in offsets.iter().zip(&f.weights) {
            acc = acc + data[base + o].clone() * w.clone();
        }
        out.push(acc);
    }
    Ok(out)
}

/// All sums of `index * stride`, row-major over the given (extent, stride) pairs.
pub fn grid_offsets(axes: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    let mut out = vec![0usize];
    for (extent, stride) in axes {
        if extent == 1 {
            continue;
        }
        let mut next = Vec::with_capacity(out.len() * extent);
        for o in &out {
            for i in 0..extent {
                next.push(o + i * stride);
            }
        }
        out = next;
    }
    out
}

impl<E: Ring> Factor<E> {
    /// Applies a sparse matrix along the axis at `position`: `out[.., p, ..] = sum_(o) m(o -> p) * self[.., o, ..]`,
    /// where `scatter(o, emit)` calls `emit(p, coefficient)` for each target of `o`.
    pub fn map_axis(
        &self,
        dims: &[usize],
        position: usize,
        new_len: usize,
        scatter: &mut dyn FnMut(usize, Emit<'_>),
    ) -> Self {
        let outer: usize = dims[..position].iter().product();
        let len = dims[position];
        let inner: usize = dims[position + 1..].iter().product();
        let mut out: Vec<Option<E>> = vec![None; outer * new_len * inner];
        for o in 0..len {
            scatter(o, &mut |p, c| {
                for a in 0..outer {
                    for i in 0..inner {
                        let w = &self.weights[(a * len + o) * inner + i];
                        let term = match c {
                            None => w.clone(),
                            Some(c) => w.clone() * E::from_i128(i128::from(c)),
                        };
                        let slot = &mut out[(a * new_len + p) * inner + i];
                        *slot = Some(match slot.take() {
                            None => term,
                            Some(s) => s + term,
                        });
                    }
                }
            });
        }
        let weights = out.into_iter().map(|w| w.unwrap_or_else(E::zero)).collect();
        Self::dense(self.axes.clone(), weights)
    }

    /// The tensor product of several factors, as one.
    pub fn join(factors: &[&Self]) -> Self {
        if let [one] = factors {
            return (*one).clone();
        }
        let mut axes = Vec::new();
        let mut weights = vec![E::one()];
        // Eq tables multiply to the eq table of the joined point if all but the first are whole.
        let whole = factors.iter().skip(1).all(|f| f.weights.len().is_power_of_two());
        let points: Option<Vec<&Vec<E>>> = factors.iter().map(|f| f.eq.as_ref()).collect();
        let eq = points.filter(|_| whole).map(|p| p.into_iter().flatten().cloned().collect());
        for (k, f) in factors.iter().enumerate() {
            axes.extend_from_slice(&f.axes);
            if k == 0 {
                weights = f.weights.clone();
                continue;
            }
            let mut next = Vec::with_capacity(weights.len() * f.weights.len());
            for a in &weights {
                for b in &f.weights {
                    next.push(a.clone() * b.clone());
                }
            }
            weights = next;
        }
        Self { axes, weights, eq, powers: None }
    }

    /// The same factor with its axes in increasing order.
    pub fn in_axis_order(&self, shape: &[usize]) -> Self {
        let mut order: Vec<usize> = (0..self.axes.len()).collect();
        order.sort_by_key(|k| self.axes[*k]);
        if order.windows(2).all(|w| w[0] < w[1]) {
            return self.clone();
        }
        let dims: Vec<usize> = self.axes.iter().map(|a| shape[*a]).collect();
        let st = strides(&dims);
        let offsets = grid_offsets(order.iter().map(|k| (dims[*k], st[*k])));
        Self {
            axes: order.iter().map(|k| self.axes[*k]).collect(),
            weights: offsets.into_iter().map(|o| self.weights[o].clone()).collect(),
            eq: None,
            powers: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{dot, power_pair};
    use ark_bn254::Fr;
    use ark_ff::Field;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

        /// Weights are powers whatever the extent, the power behind them is the next one, and the closed form is the pairing with
        /// an eq table that is cut to the extent.
        #[test]
        fn powers_in_closed_form(extent in prop_oneof![1usize..8, 250usize..1100, Just(256), Just(512), Just(1024)], z: u64, seed: u64) {
            let z = Fr::from(z);
            let (factor, behind) = Factor::powers(3, &z, extent);
            let expected: Vec<Fr> = (0..extent as u64).map(|i| z.pow([i])).collect();
            prop_assert_eq!((&factor.axes, &factor.weights), (&vec![3], &expected));
            prop_assert_eq!(behind, z.pow([extent as u64]));
            prop_assert_eq!(factor.powers.is_some(), extent >= LONG_POWERS);
            if let Some(squares) = &factor.powers {
                let point: Vec<Fr> = (0..squares.len() as u64).map(|k| Fr::from(seed).pow([k + 2])).collect();
                let table = eq_table(&point);
                prop_assert_eq!(power_pair(squares, &point, extent), dot(&expected, &table[..extent]));
            }
        }
    }
}
