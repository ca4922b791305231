//! The pullback of a contraction: weights of operand axes, and functionals at the sumcheck's point.

use super::{AxisExpr, Contraction, Side};
use crate::{
    error::GraphError,
    functional::{Factor, Functional},
    ring::{Ring, eq_table, index_bits},
};

/// The rows of one operand axis: for each value of the axis' sumcheck indices, a sparse weight vector over the axis.
#[derive(Clone, Debug)]
pub struct AxisRows<E> {
    /// The sumcheck indices in this axis, outermost first.
    pub variables: Vec<usize>,
    /// Sparse rows, one per combination of those indices (row-major); a position may occur twice and adds up.
    pub rows: Vec<Vec<(usize, E)>>,
    /// Extent of the axis.
    pub len: usize,
    /// Where the weights are known to be an eq table.
    pub eq: AxisEq<E>,
}

/// What is known about the weights of an operand axis.
#[derive(Clone, Debug)]
pub enum AxisEq<E> {
    /// Nothing.
    Unknown,
    /// The axis is one sumcheck index: at the sumcheck's point the weights are the eq table of its coordinates.
    Variable,
    /// The axis is one index of the output: the weights are the eq table of this point.
    Point(Vec<E>),
}

impl Contraction {
    /// The weights of every axis of one operand, for a functional on the output.
    pub fn rows<E: Ring>(
        &self,
        side: Side,
        operand: &[usize],
        f: &Functional<E>,
    ) -> Result<Vec<AxisRows<E>>, GraphError> {
        let shared = self.variables();
        let mut scalars: Vec<E> = Vec::new();
        let mut out = Vec::with_capacity(operand.len());
        for (a, axis) in self.operand(side).iter().enumerate() {
            let indices: Vec<usize> = axis.terms.iter().map(|(i, _)| *i).collect();
            let variables: Vec<usize> = indices.iter().copied().filter(|i| shared.contains(i)).collect();
            let mut homes: Vec<(usize, &[E], &AxisExpr)> = Vec::new();
            for (o, expr) in self.out.iter().enumerate() {
                if self.home(o)? == Some((side, a)) {
                    homes.push((o, f.single(o)?, expr));
                }
            }
            let row_count: usize = variables.iter().map(|i| self.extents[*i]).product();
            let mut rows: Vec<Vec<(usize, E)>> = vec![Vec::new(); row_count];
            let grid: usize = indices.iter().map(|i| self.extents[*i]).product();
            let mut value = vec![0usize; self.extents.len()];
            for g in 0..grid {
                let mut rest = g;
                for i in indices.iter().rev() {
                    value[*i] = rest % self.extents[*i];
                    rest /= self.extents[*i];
                }
                let p = axis.terms.iter().fold(axis.offset, |p, (i, s)| p + s * value[*i] as i64);
                let Some(p) = usize::try_from(p).ok().filter(|p| *p < operand[a]) else { continue };
                let row = variables.iter().fold(0, |r, i| r * self.extents[*i] + value[*i]);
                let mut weight: Option<E> = None;
                for (_, w, expr) in &homes {
                    let k = expr.terms.iter().fold(0, |k, (i, s)| k + *s as usize * value[*i]);
                    let factor = w.get(k).cloned().ok_or(GraphError::Length { expected: k + 1, got: w.len() })?;
                    weight = Some(match weight {
                        None => factor,
                        Some(x) => x * factor,
                    });
                }
                rows[row].push((p, weight.unwrap_or_else(E::one)));
            }
            // A closed form is that of the axis' own weights only where position and index are the same number.
            let identity = match axis.terms.as_slice() {
                [(i, 1)] if axis.offset == 0 && self.extents[*i] == operand[a] => Some(*i),
                _ => None,
            };
            let eq = match (identity, homes.as_slice()) {
                (Some(i), []) if variables == [i] => AxisEq::Variable,
                (Some(i), [(o, _, expr)]) if variables.is_empty() && expr.terms == [(i, 1)] && expr.offset == 0 => {
                    f.factor_of(*o).and_then(|(k, _)| f.factors[k].eq.clone()).map_or(AxisEq::Unknown, AxisEq::Point)
                }
                _ => AxisEq::Unknown,
            };
            out.push(AxisRows { variables, rows, len: operand[a], eq });
        }
        // Output axes of extent one that belong to no index contribute a scalar, and so does an output without axes; the
        // first operand takes it.
        if side == Side::Lhs {
            scalars.extend(f.factors.iter().filter(|x| x.axes.is_empty()).flat_map(|x| x.weights.iter().cloned()));
            for (o, expr) in self.out.iter().enumerate() {
                if expr.terms.is_empty() && f.factor_of(o).is_none_or(|(k, _)| !f.factors[k].is_unit()) {
                    scalars.push(f.single(o)?.first().cloned().unwrap_or_else(E::one));
                }
            }
            if let Some(first) = out.first_mut() {
                if !scalars.is_empty() {
                    first.eq = AxisEq::Unknown;
                }
                for s in scalars {
                    first.rows.iter_mut().flatten().for_each(|(_, w)| *w = w.clone() * s.clone());
                }
            } else if !scalars.is_empty() {
                return Err(GraphError::Pullback("a scalar operand".to_owned()));
            }
        }
        Ok(out)
    }

    /// The functional on one operand at the sumcheck's point; `point` has [`Contraction::rounds`] coordinates.
    pub fn operand_functional<E: Ring>(&self, rows: &[AxisRows<E>], point: &[E]) -> Functional<E> {
        let mut points: Vec<Option<&[E]>> = vec![None; self.extents.len()];
        let mut start = 0;
        for i in self.variables() {
            let bits = index_bits(self.extents[i]);
            points[i] = Some(point.get(start..start + bits).unwrap_or(&[]));
            start += bits;
        }
        let tables: Vec<Option<Vec<E>>> = points.iter().map(|p| p.map(eq_table)).collect();
        let factors = rows
            .iter()
            .enumerate()
            .map(|(a, axis)| {
                match (&axis.eq, axis.variables.first().and_then(|i| points[*i])) {
                    (AxisEq::Variable, Some(point)) => return Factor::eq(a, point, axis.len),
                    (AxisEq::Point(point), _) => return Factor::eq(a, point, axis.len),
                    _ => {}
                }
                let mut weights: Vec<Option<E>> = vec![None; axis.len];
                for (r, row) in axis.rows.iter().enumerate() {
                    let mut scale: Option<E> = None;
                    let mut rest = r;
                    for i in axis.variables.iter().rev() {
                        let v = rest % self.extents[*i];
                        rest /= self.extents[*i];
                        if let Some(e) = tables[*i].as_ref().and_then(|t| t.get(v)) {
                            scale = Some(match scale {
                                None => e.clone(),
                                Some(s) => s * e.clone(),
                            });
                        }
                    }
                    for (p, w) in row {
                        let term = match &scale {
                            None => w.clone(),
                            Some(s) => w.clone() * s.clone(),
                        };
                        weights[*p] = Some(match weights[*p].take() {
                            None => term,
                            Some(x) => x + term,
                        });
                    }
                }
                Factor::dense(vec![a], weights.into_iter().map(|w| w.unwrap_or_else(E::zero)).collect())
            })
            .collect();
        Functional { factors }
    }
}
