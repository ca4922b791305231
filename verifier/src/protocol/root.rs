//! The root claim: the leaves of the fraction tree and the public values, as one linear claim on nodes and committed
//! tensors (docs/protocol.md#root).

use super::{bilinear::Instance, get, gkr::LeafClaim, split};
use crate::channel::ProtocolError;
use assay_circuits::{
    Factor, Functional, NodeId, Program, Ring,
    program::{BlockValues, Source, VectorLookup},
    pullback::{Term, pull_back},
    ring::{eq_at, eq_below, index_below, index_bits},
};

/// The challenges that enter the root claim.
#[derive(Clone, Debug)]
pub struct Challenges<E> {
    /// Point of the fractions.
    pub alpha: E,
    /// Combines key, value and tag.
    pub beta: E,
    /// Powers of it weigh public values.
    pub zeta: E,
    /// Combines denominators, numerators and public values.
    pub lambda: E,
}

/// `coefficient * <committed tensor, functional>`.
#[derive(Clone, Debug)]
pub struct TensorTerm<E> {
    /// Index into [`Program::tensors`].
    pub tensor: usize,
    /// Its coefficient.
    pub coefficient: E,
    /// One weight vector per axis, or joint ones.
    pub functional: Functional<E>,
}

/// The claim that a sum of terms on committed tensors has a value.
#[derive(Clone, Debug)]
pub struct LinearClaim<E> {
    /// The terms.
    pub terms: Vec<TensorTerm<E>>,
    /// Their sum.
    pub value: E,
}

/// `coefficient * <product of two nodes, functional>`, the product being entry by entry.
#[derive(Clone, Debug)]
pub struct ProductTerm<E> {
    /// The factors.
    pub nodes: [NodeId; 2],
    /// Its coefficient.
    pub coefficient: E,
    /// One weight vector per axis.
    pub functional: Functional<E>,
}

/// The claim that a sum of terms on nodes and on committed tensors has a value.
#[derive(Clone, Debug)]
pub struct Root<E> {
    /// Terms on nodes.
    pub nodes: Vec<Term<E>>,
    /// Terms on committed tensors.
    pub tensors: Vec<TensorTerm<E>>,
    /// Terms on products of two nodes.
    pub products: Vec<ProductTerm<E>>,
    /// Their sum.
    pub value: E,
}

/// The eq functional of a tensor at a point of its padded index bits, cut to the real extents.
pub fn eq_functional<E: Ring>(shape: &[usize], point: &[E]) -> Result<Functional<E>, ProtocolError> {
    let mut rest = point;
    let mut factors = Vec::with_capacity(shape.len());
    for (axis, extent) in shape.iter().enumerate() {
        let (here, behind) = split(rest, index_bits(*extent))?;
        factors.push(Factor::eq(axis, here, *extent));
        rest = behind;
    }
    Ok(Functional { factors })
}

impl<E: Ring> LeafClaim<E> {
    /// The weight of a block of `2^bits` leaves at the point, and the coordinates within it.
    fn place(&self, leaf_bits: usize, offset: usize, bits: usize) -> Result<(E, &[E]), ProtocolError> {
        let (high, low) = split(&self.point, leaf_bits.saturating_sub(bits))?;
        Ok((eq_at(high, offset.checked_shr(u32::try_from(bits).unwrap_or(u32::MAX)).unwrap_or(0)), low))
    }
}

/// The sum of eq over the real extents: the multilinear extension of the indicator of real entries.
fn mask<E: Ring>(shape: &[usize], point: &[E]) -> Result<E, ProtocolError> {
    let mut acc = E::one();
    let mut rest = point;
    for extent in shape {
        let (here, behind) = split(rest, index_bits(*extent))?;
        // A full axis sums to one by construction.
        if !extent.is_power_of_two() {
            acc = acc * eq_below(here, *extent);
        }
        rest = behind;
    }
    Ok(acc)
}

/// `sum_i 2^(bits-1-i) * point_i`: the index as a multilinear polynomial.
fn index_polynomial<E: Ring>(point: &[E]) -> E {
    let mut acc = E::zero();
    for r in point {
        acc = acc.clone() + acc + r.clone();
    }
    acc
}

/// The weights `zeta^(start + i)` of entry `i`, as one factor per axis; and the exponent behind the last entry.
pub fn power_functional<E: Ring>(shape: &[usize], zeta: &E) -> Functional<E> {
    let mut factors = Vec::with_capacity(shape.len());
    let mut base = zeta.clone();
    for (axis, extent) in shape.iter().enumerate().rev() {
        let (factor, behind) = Factor::powers(axis, &base, *extent);
        base = behind;
        factors.push(factor);
    }
    factors.reverse();
    Functional { factors }
}

/// Builds the root claim from the leaves' claim.
///
/// The denominators are `alpha - [key + beta value + beta^2 tag]`, the bracket being absent on padding; so
/// `alpha - q(r)` is a linear claim on keys, values and tags. The numerators are 1 on real lookups and minus the
/// multiplicity on table rows. `public` is `sum_i zeta^i public_i` over all public values.
pub fn build<E: Ring>(
    program: &Program,
    leaf: &LeafClaim<E>,
    challenges: &Challenges<E>,
    public: E,
) -> Result<Root<E>, ProtocolError> {
    let Challenges { alpha, beta, zeta, lambda } = challenges;
    let beta2 = beta.clone() * beta.clone();
    let mut root = Root { nodes: vec![], tensors: vec![], products: vec![], value: alpha.clone() - leaf.q.clone() };
    // Numerators: sum of masks - <multiplicities> = p, so lambda times its negation is added.
    root.value = root.value - lambda.clone() * leaf.p.clone();
    let place = |offset: usize, bits: usize| leaf.place(program.leaf_bits, offset, bits);
    for s in &program.segments {
        let (weight, low) = place(s.leaf, s.bits())?;
        let functional = eq_functional(&s.shape, low)?;
        let real = weight.clone() * mask(&s.shape, low)?;
        let block = get(&program.blocks, s.block)?;
        let (c, exponent) = s.key_constant;
        let constant =
            E::from_i128(i128::from(c)) * E::pow2(exponent) + beta2.clone() * E::from_i128(i128::from(block.tag));
        root.value = root.value - real.clone() * constant;
        root.value = root.value + lambda.clone() * real;
        for k in &s.key {
            let mut coefficient = weight.clone();
            if k.coefficient != 1 || k.exponent != 0 {
                coefficient = coefficient * (E::from_i128(i128::from(k.coefficient)) * E::pow2(k.exponent));
            }
            root.push(k.source, coefficient, functional.clone());
        }
        if let Some(tensor) = s.value {
            let coefficient = weight.clone() * beta.clone();
            root.tensors.push(TensorTerm { tensor, coefficient, functional: functional.clone() });
        }
        if let Some(tensor) = s.side {
            root.tensors.push(TensorTerm { tensor, coefficient: weight * beta2.clone(), functional });
        }
    }
    for b in &program.blocks {
        let (weight, low) = place(b.leaf, b.bits)?;
        let functional = Functional { factors: vec![Factor::eq(0, low, 1 << b.bits.min(63))] };
        let mut known = E::from_i128(i128::from(b.key_min)) + index_polynomial(low);
        known = known + beta2.clone() * E::from_i128(i128::from(b.tag));
        match b.values {
            BlockValues::Constant(0) => {}
            BlockValues::Constant(v) => known = known + beta.clone() * E::from_i128(i128::from(v)),
            BlockValues::Committed(tensor) => {
                let coefficient = weight.clone() * beta.clone();
                root.tensors.push(TensorTerm { tensor, coefficient, functional: functional.clone() });
            }
        }
        root.value = root.value - weight.clone() * known;
        root.tensors.push(TensorTerm { tensor: b.multiplicity, coefficient: weight * lambda.clone(), functional });
    }
    for v in &program.vectors {
        vector(v, challenges, place, &mut root)?;
    }
    let behind = add_public(program, zeta, lambda.clone() * lambda.clone(), public, &mut root);
    add_links(program, zeta, behind, &mut root);
    Ok(root)
}

/// The leaves of a vector lookup: index `i` of place `g` has the denominator `alpha - [i + beta^2 (tag + g) + sum_j beta^(3+j)
/// row_j]` and the numerator 1; row `n` of the table likewise, with minus the number of times it is read.
fn vector<'a, E: Ring + 'a>(
    v: &VectorLookup,
    challenges: &Challenges<E>,
    place: impl Fn(usize, usize) -> Result<(E, &'a [E]), ProtocolError>,
    root: &mut Root<E>,
) -> Result<(), ProtocolError> {
    let Challenges { beta, lambda, .. } = challenges;
    let beta2 = beta.clone() * beta.clone();
    let tag = E::from_i128(i128::from(v.tag));
    // The powers of beta that weigh the entries of a row, behind the axes of the index or of the rows.
    let of_rows = |outer: &Functional<E>, rank: usize| {
        let mut factors = outer.factors.clone();
        factors.extend(
            power_functional(&v.row_shape, beta)
                .factors
                .into_iter()
                .map(|f| Factor { axes: f.axes.into_iter().map(|a| a + rank).collect(), ..f }),
        );
        Functional { factors }
    };
    let beta3 = beta2.clone() * beta.clone();

    let (weight, low) = place(v.index_leaf, v.index_bits())?;
    let functional = eq_functional(&v.index_shape, low)?;
    let real = weight.clone() * mask(&v.index_shape, low)?;
    let common_places = weight.clone() * places(&v.index_shape, v.leading, low)?;
    root.value = root.value.clone() - beta2.clone() * (real.clone() * tag.clone() + common_places);
    root.value = root.value.clone() + lambda.clone() * real;
    let rows = of_rows(&functional, v.index_shape.len());
    root.push(Source::Node(v.index), weight.clone(), functional);
    root.push(Source::Node(v.node), weight * beta3.clone(), rows);

    let (weight, low) = place(v.rows_leaf, v.rows_bits())?;
    let functional = eq_functional(&v.rows_shape, low)?;
    let real = weight.clone() * mask(&v.rows_shape, low)?;
    let common_places = weight.clone() * places(&v.rows_shape, v.leading, low)?;
    let (common, of_row) = split(low, v.rows_shape.iter().take(v.leading).map(|d| index_bits(*d)).sum())?;
    let (in_common, _) = v.rows_shape.split_at_checked(v.leading).ok_or(ProtocolError::Layout("no rows"))?;
    let extent = v.rows_shape.last().copied().unwrap_or(0);
    let keys = weight.clone() * mask(in_common, common)? * index_below(of_row, extent);
    root.value = root.value.clone() - keys - beta2 * (real * tag + common_places);
    let rows = of_rows(&functional, v.rows_shape.len());
    root.push(Source::Node(v.table), weight.clone() * beta3, rows);
    root.tensors.push(TensorTerm { tensor: v.counts, coefficient: weight * lambda.clone(), functional });
    Ok(())
}

/// The sum of eq over the real extents, each entry times its place in row-major order within the `leading` axes.
fn places<E: Ring>(shape: &[usize], leading: usize, point: &[E]) -> Result<E, ProtocolError> {
    let mut rest = point;
    // `all` is the mask so far; `sum` the same with places.
    let (mut all, mut sum) = (E::one(), E::zero());
    for (axis, extent) in shape.iter().enumerate() {
        let (here, behind) = split(rest, index_bits(*extent))?;
        let below = eq_below(here, *extent);
        if axis < leading {
            let scale = E::from_i128(i128::try_from(*extent).unwrap_or(i128::MAX));
            sum = sum * scale * below.clone() + all.clone() * index_below(here, *extent);
        } else {
            sum = sum * below.clone();
        }
        all = all * below;
        rest = behind;
    }
    Ok(sum)
}

/// Adds `scale * sum_i zeta^i (value_i - public_i) = 0` over all public tensors, `i` running on. Returns the coefficient of
/// whatever comes next.
fn add_public<E: Ring>(program: &Program, zeta: &E, scale: E, public: E, root: &mut Root<E>) -> E {
    root.value = root.value.clone() + scale.clone() * public;
    let mut coefficient = scale;
    for p in &program.public {
        let functional = power_functional(&p.shape, zeta);
        root.push(p.source, coefficient.clone(), functional);
        coefficient = times_power(coefficient, zeta, p.shape.iter().product());
    }
    coefficient
}

/// Adds `scale * sum_i zeta^i (value_i - held_i) = 0` over all outputs that named stacks hold, `i` running on.
fn add_links<E: Ring>(program: &Program, zeta: &E, scale: E, root: &mut Root<E>) {
    let mut coefficient = scale;
    for l in &program.links {
        let functional = power_functional(&l.shape, zeta);
        root.push(Source::Node(l.node), coefficient.clone(), functional.clone());
        root.push(Source::Tensor(l.tensor), E::zero() - coefficient.clone(), functional);
        coefficient = times_power(coefficient, zeta, l.shape.iter().product());
    }
}

/// `value * base^exponent`, by squaring.
fn times_power<E: Ring>(mut value: E, base: &E, mut exponent: usize) -> E {
    let mut step = base.clone();
    while exponent > 0 {
        if exponent & 1 == 1 {
            value = value * step.clone();
        }
        step = step.clone() * step;
        exponent >>= 1;
    }
    value
}

impl<E: Ring> Root<E> {
    fn push(&mut self, source: Source, coefficient: E, functional: Functional<E>) {
        match source {
            Source::Node(node) => self.nodes.push(Term { node, coefficient, functional }),
            Source::Tensor(tensor) => self.tensors.push(TensorTerm { tensor, coefficient, functional }),
            Source::Product(a, b) => self.products.push(ProductTerm { nodes: [a, b], coefficient, functional }),
        }
    }

    /// Carries the claim back to contractions and committed tensors. What remains to prove is
    /// `sum of instances + sum of claim terms = claim value`.
    pub fn pull_back(self, program: &Program) -> Result<(Vec<Instance<E>>, LinearClaim<E>), ProtocolError> {
        let pulled = pull_back(&program.graph, self.nodes)?;
        let mut claim = LinearClaim { terms: self.tensors, value: self.value - pulled.constant };
        push_committed(program, pulled.committed, &E::one(), &mut claim)?;
        let mut instances = Vec::with_capacity(pulled.bilinear.len());
        for t in pulled.bilinear {
            instances.push(Instance::new(program, t)?);
        }
        for t in self.products {
            instances.push(Instance::product(program, t)?);
        }
        Ok((instances, claim))
    }
}

/// Adds terms on committed nodes to a claim, times a factor.
pub(crate) fn push_committed<E: Ring>(
    program: &Program,
    terms: Vec<Term<E>>,
    factor: &E,
    claim: &mut LinearClaim<E>,
) -> Result<(), ProtocolError> {
    for t in terms {
        let NodeId(node) = t.node;
        let tensor = get(&program.node_tensor, node)?.ok_or(ProtocolError::Layout("a node without a tensor"))?;
        let coefficient = factor.clone() * t.coefficient;
        claim.terms.push(TensorTerm { tensor, coefficient, functional: t.functional });
    }
    Ok(())
}
