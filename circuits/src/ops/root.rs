//! Root: the square root of a tensor, rounded down.
//!
//! * Statement: `out = floor(sqrt(v))`, entry by entry, for `v >= 0`.
//! * Shapes: unchanged.
//! * Pullback: none; the output is committed and a claim on it goes to the opening.
//! * Lookups: `out`, `r = v - out^2` and `2 out - r` are in range tables. `out^2` is an instance of the bilinear sumcheck.
//! * Soundness: the first check makes `out` an integer that is not negative and so small that nothing wraps in the field. Then
//!   `out^2 <= v <= out^2 + 2 out` holds for integers, which one `out` satisfies. Without the first check `-out - 1` would
//!   pass as well.
//! * Reference: docs/protocol.md#advice.

use super::advice::{Monomial, Part, RangeCheck, bits_of, proven};
use crate::{error::GraphError, interval::Interval, tensor::Tensor};
use serde::{Deserialize, Serialize};

/// The operator has no parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {}

impl Root {
    pub(crate) fn range(&self, v: Interval) -> Result<Interval, GraphError> {
        if v.lo < 0 {
            return Err(GraphError::Parameter(format!(
                "the root of what may be {} in the worst case; it must not be negative: clamp it with a lookup",
                v.lo
            )));
        }
        let hi = v.hi.isqrt();
        if hi > i128::from(i32::MAX) {
            return Err(GraphError::Parameter(format!("roots up to {hi}; committed values have 32 bits")));
        }
        Ok(Interval { lo: v.lo.isqrt(), hi })
    }

    pub(crate) fn checks(&self, v: Interval) -> Result<Vec<RangeCheck>, GraphError> {
        let d = self.range(v)?;
        let bits = bits_of(d.hi);
        let all = proven(0, bits);
        v.plus(all.times(all)?.scale(-1)?)?.plus(all.scale(2)?)?;
        let rest = bits_of(2 * d.hi);
        let (v, out) = (Part::Input(0), Part::Output);
        Ok(vec![
            RangeCheck { terms: vec![Monomial::linear(1, out)], constant: 0, bits },
            RangeCheck {
                terms: vec![Monomial::linear(1, v), Monomial::product(-1, out, out)],
                constant: 0,
                bits: rest,
            },
            RangeCheck {
                terms: vec![Monomial::linear(2, out), Monomial::linear(-1, v), Monomial::product(1, out, out)],
                constant: 0,
                bits: rest,
            },
        ])
    }

    pub(crate) fn eval(&self, v: &Tensor) -> Result<Tensor, GraphError> {
        let root =
            |v: &i64| v.checked_isqrt().ok_or(GraphError::OutOfRange { value: *v, lo: 0, hi: i128::from(i64::MAX) });
        let data = v.data.iter().map(root).collect::<Result<_, _>>()?;
        Ok(Tensor { shape: v.shape.clone(), data })
    }
}
