//! Reshape: the same entries, other extents.
//!
//! * Statement: `out` has the entries of `in` in row-major order.
//! * Shapes: any with the same number of entries.
//! * Pullback: axes are grouped where the running products of both shapes meet. In each group the factors are multiplied
//!   out over the group's entries; a group of one axis on both sides passes through.
//! * Lookups: none.
//! * Soundness: exact rewriting of the functional.
//! * Reference: docs/protocol.md#linear.

use super::LinearPullback;
use crate::{
    error::GraphError,
    functional::{Factor, Functional},
    ring::{Ring, index_bits},
    tensor::{MAX_EXTENT, element_count},
};
use serde::{Deserialize, Serialize};

/// Parameters: the new extents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshape {
    /// Extents of the output.
    pub shape: Vec<usize>,
}

impl Reshape {
    pub(crate) fn infer(&self, input: &[usize]) -> Result<Vec<usize>, GraphError> {
        let (n, m) = (element_count(input)?, element_count(&self.shape)?);
        if n != m {
            return Err(GraphError::Shape { expected: self.shape.clone(), got: input.to_vec() });
        }
        Ok(self.shape.clone())
    }

    pub(crate) fn batched(&self, batch: usize) -> Self {
        let mut shape = vec![batch];
        shape.extend_from_slice(&self.shape);
        Self { shape }
    }
}

/// Groups of axes `(input range, output range)` with equal products, as fine as possible.
fn groups(input: &[usize], output: &[usize]) -> Vec<(usize, usize, usize, usize)> {
    let (mut i, mut o) = (0, 0);
    let mut out = Vec::new();
    while i < input.len() || o < output.len() {
        let (i0, o0) = (i, o);
        let (mut a, mut b) = (1usize, 1usize);
        if i < input.len() {
            a = input[i];
            i += 1;
        }
        if o < output.len() {
            b = output[o];
            o += 1;
        }
        while a != b {
            if a < b && i < input.len() {
                a *= input[i];
                i += 1;
            } else if o < output.len() {
                b *= output[o];
                o += 1;
            } else {
                // Only possible for a == b products left over by extents of one; take all that remains.
                i = input.len();
                break;
            }
        }
        out.push((i0, i, o0, o));
    }
    out
}

/// A factor over the entries of a group, on the axes that carry them: an eq table over whole axes splits into one for each.
fn spread<E: Ring>(joined: Factor<E>, axes: Vec<usize>, input: &[usize]) -> Vec<Factor<E>> {
    if let [axis] = axes.as_slice() {
        return vec![Factor { axes: vec![*axis], ..joined }];
    }
    let whole = axes.iter().skip(1).all(|a| input[*a].is_power_of_two());
    let (Some(point), true) = (&joined.eq, whole) else {
        return vec![Factor::dense(axes, joined.weights)];
    };
    let mut rest = point.as_slice();
    let mut out = Vec::with_capacity(axes.len());
    for a in axes {
        let (here, behind) = rest.split_at(index_bits(input[a]));
        out.push(Factor::eq(a, here, input[a]));
        rest = behind;
    }
    out
}

/// Carries a functional on the output shape to the input shape.
pub(crate) fn pullback<E: Ring>(
    input: &[usize],
    output: &[usize],
    f: &Functional<E>,
) -> Result<LinearPullback<E>, GraphError> {
    let mut gs = groups(input, output);
    // A factor that spans groups merges them.
    for factor in &f.factors {
        let of = |axis: usize, gs: &[(usize, usize, usize, usize)]| gs.iter().position(|g| g.2 <= axis && axis < g.3);
        let hit: Vec<usize> = factor.axes.iter().filter_map(|a| of(*a, &gs)).collect();
        if let (Some(lo), Some(hi)) = (hit.iter().copied().min(), hit.iter().copied().max())
            && lo < hi
        {
            let merged = (gs[lo].0, gs[hi].1, gs[lo].2, gs[hi].3);
            gs.splice(lo..=hi, [merged]);
        }
    }
    let mut factors = Vec::new();
    let mut scalar: Option<E> = None;
    // A tensor of rank zero keeps its weight in a factor without axes, which belongs to no group.
    for w in f.factors.iter().filter(|x| x.axes.is_empty()).flat_map(|x| &x.weights) {
        scalar = Some(scalar.map_or(w.clone(), |s| s * w.clone()));
    }
    for (i0, i1, o0, o1) in gs {
        let members: Vec<&Factor<E>> =
            f.factors.iter().filter(|x| x.axes.iter().any(|a| (o0..o1).contains(a))).collect();
        if i0 == i1 {
            // Output axes of extent one with no counterpart: a scalar.
            for m in members.into_iter().filter(|m| !m.is_unit()) {
                let w = m.weights[0].clone();
                scalar = Some(scalar.map_or(w.clone(), |s| s * w));
            }
            continue;
        }
        if o0 == o1 {
            for a in i0..i1 {
                factors.push(Factor::eq(a, &[], 1));
            }
            continue;
        }
        // Extents of one need no joint factor with the single axis that carries the entries.
        let entries: usize = output[o0..o1].iter().product();
        if members.len() > 1 && entries > MAX_EXTENT {
            return Err(GraphError::Pullback(format!(
                "a reshape of {input:?} to {output:?} ties {entries} entries together; at most {MAX_EXTENT}"
            )));
        }
        let joined = Factor::join(&members).in_axis_order(output);
        let mut carrying: Vec<usize> = (i0..i1).filter(|a| input[*a] != 1).collect();
        if carrying.is_empty() {
            carrying.push(i0);
        }
        for a in i0..i1 {
            if !carrying.contains(&a) {
                factors.push(Factor::eq(a, &[], 1));
            }
        }
        factors.extend(spread(joined, carrying, input));
    }
    if let Some(s) = scalar {
        match factors.first_mut() {
            Some(first) => {
                first.weights.iter_mut().for_each(|w| *w = w.clone() * s.clone());
                first.eq = None;
                first.powers = None;
            }
            None => {
                return Ok(LinearPullback::one(Functional { factors: vec![Factor::dense(vec![], vec![s])] }));
            }
        }
    }
    Ok(LinearPullback::one(Functional { factors }.sorted()))
}
