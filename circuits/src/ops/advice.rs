//! Advice: committed values that a relation pins down, shared by [`super::Divide`] and [`super::Root`].
//!
//! The relation is a list of range checks: sums of products of at most two of the operator's inputs and its output, each said to
//! lie in `[0, 2^bits)`. A sum that is linear enters the lookup's key as it is; a product of two tensors is one more
//! instance of the bilinear sumcheck. Wide ranges are cut in limbs, all but the highest committed, as a lookup's remainder is
//! (docs/protocol.md#advice).

use crate::{error::GraphError, interval::Interval, tensor::Tensor};

/// A tensor that a relation speaks of, all of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The committed output.
    Output,
    /// An input, by its place.
    Input(usize),
}

/// `coefficient * part`, or `coefficient * part * part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monomial {
    /// The coefficient.
    pub coefficient: i64,
    /// The first factor.
    pub of: Part,
    /// The second factor, if there is one.
    pub times: Option<Part>,
}

impl Monomial {
    /// `coefficient * part`.
    pub fn linear(coefficient: i64, of: Part) -> Self {
        Self { coefficient, of, times: None }
    }

    /// `coefficient * a * b`.
    pub fn product(coefficient: i64, a: Part, b: Part) -> Self {
        Self { coefficient, of: a, times: Some(b) }
    }
}

/// The statement that `sum of terms + constant` lies in `[0, 2^bits)`, entry by entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeCheck {
    /// The terms.
    pub terms: Vec<Monomial>,
    /// The constant.
    pub constant: i64,
    /// log2 of the bound; at least one.
    pub bits: u32,
}

impl RangeCheck {
    /// The sum, entry by entry.
    ///
    /// # Errors
    /// A sum beyond 64 bits, which proven ranges exclude.
    pub fn eval(&self, inputs: &[&Tensor], output: &Tensor) -> Result<Vec<i64>, GraphError> {
        let data = |p: Part| match p {
            Part::Output => Ok(&output.data),
            Part::Input(i) => {
                inputs.get(i).map(|t| &t.data).ok_or(GraphError::Arity { expected: i + 1, got: inputs.len() })
            }
        };
        let mut out = vec![i128::from(self.constant); output.data.len()];
        for m in &self.terms {
            let a = data(m.of)?;
            let b = m.times.map(data).transpose()?;
            for (k, slot) in out.iter_mut().enumerate() {
                let v = i128::from(a.get(k).copied().unwrap_or(0));
                let w = b.map_or(1, |b| i128::from(b.get(k).copied().unwrap_or(0)));
                *slot += i128::from(m.coefficient) * v * w;
            }
        }
        let wide = || GraphError::Parameter("a checked sum beyond 64 bits".to_owned());
        out.into_iter().map(|v| i64::try_from(v).map_err(|_| wide())).collect()
    }
}

/// Bits of the numbers from zero to `most`, at least one.
pub(super) fn bits_of(most: i128) -> u32 {
    (128 - most.max(1).leading_zeros()).max(1)
}

/// The interval that a check of `bits` bits from `lo` on proves.
pub(super) fn proven(lo: i128, bits: u32) -> Interval {
    Interval { lo, hi: lo.saturating_add(1i128.checked_shl(bits).unwrap_or(i128::MAX).saturating_sub(1)) }
}
