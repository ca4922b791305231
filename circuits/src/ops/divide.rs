//! Divide: the quotient of two tensors, rounded down.
//!
//! * Statement: `out = floor(a / b)`, entry by entry, for `b >= 1`. One rounding for all: who wants the nearest integer adds
//!   half of the divisor to `a` before.
//! * Shapes: both inputs have the output's shape; broadcasts are [`super::Window`]s.
//! * Pullback: none; the output is committed and a claim on it goes to the opening.
//! * Lookups: `out - lo`, `r = a - out b` and `b - 1 - r` are in range tables, `lo` being the least quotient that is
//!   possible. `out b` is an instance of the bilinear sumcheck, so `b` must not be the result of a contraction.
//! * Soundness: the first check makes `out` an integer of a proven range. Within it and the proven ranges of `a` and `b` nothing
//!   wraps in the field, so `0 <= r < b` holds for integers, and with `b >= 1`, which the graph's ranges guarantee,
//!   `(out, r)` is unique. Without the first check `out = (a - r) / b` in the field would do, for any `r`.
//! * Reference: docs/protocol.md#advice.

use super::advice::{Monomial, Part, RangeCheck, bits_of, proven};
use crate::{error::GraphError, interval::Interval, tensor::Tensor};
use serde::{Deserialize, Serialize};

/// The operator has no parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divide {}

impl Divide {
    pub(crate) fn infer(&self, a: &[usize], b: &[usize]) -> Result<Vec<usize>, GraphError> {
        if a != b {
            return Err(GraphError::Shape { expected: a.to_vec(), got: b.to_vec() });
        }
        Ok(a.to_vec())
    }

    /// The quotients that the ranges of dividend and divisor allow.
    pub(crate) fn range(&self, a: Interval, b: Interval) -> Result<Interval, GraphError> {
        if b.lo < 1 {
            return Err(GraphError::Parameter(format!(
                "the divisor may be {} in the worst case; it must be at least 1: clamp it with a lookup",
                b.lo
            )));
        }
        let ends = [a.lo.div_euclid(b.lo), a.lo.div_euclid(b.hi), a.hi.div_euclid(b.lo), a.hi.div_euclid(b.hi)];
        let lo = ends.into_iter().min().unwrap_or(0);
        let hi = ends.into_iter().max().unwrap_or(0);
        if lo < i128::from(i32::MIN) || hi > i128::from(i32::MAX) {
            return Err(GraphError::Parameter(format!("quotients from {lo} to {hi}; committed values have 32 bits")));
        }
        Ok(Interval { lo, hi })
    }

    pub(crate) fn checks(&self, a: Interval, b: Interval) -> Result<Vec<RangeCheck>, GraphError> {
        let q = self.range(a, b)?;
        let bits = bits_of(q.hi - q.lo);
        // What the checks speak of stays below 2^62 for every quotient that the first one admits.
        let product = proven(q.lo, bits).times(b)?;
        a.plus(product.scale(-1)?)?.plus(b)?;
        let rest = bits_of(b.hi - 1);
        let (a, b) = (Part::Input(0), Part::Input(1));
        let least = i64::try_from(q.lo).map_err(|_| GraphError::Parameter("a quotient beyond 64 bits".to_owned()))?;
        Ok(vec![
            RangeCheck { terms: vec![Monomial::linear(1, Part::Output)], constant: -least, bits },
            RangeCheck {
                terms: vec![Monomial::linear(1, a), Monomial::product(-1, Part::Output, b)],
                constant: 0,
                bits: rest,
            },
            RangeCheck {
                terms: vec![Monomial::linear(1, b), Monomial::linear(-1, a), Monomial::product(1, Part::Output, b)],
                constant: -1,
                bits: rest,
            },
        ])
    }

    pub(crate) fn eval(&self, a: &Tensor, b: &Tensor) -> Result<Tensor, GraphError> {
        let quotient = |(a, b): (&i64, &i64)| match *b {
            1.. => Ok(a.div_euclid(*b)),
            _ => Err(GraphError::OutOfRange { value: *b, lo: 1, hi: i128::from(i64::MAX) }),
        };
        let data = a.data.iter().zip(&b.data).map(quotient).collect::<Result<_, _>>()?;
        Ok(Tensor { shape: a.shape.clone(), data })
    }
}
