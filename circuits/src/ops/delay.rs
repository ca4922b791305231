//! Delay: a tensor one step later along an axis of time. It is the only operator whose input may come later in a graph, so
//! the only way to write a recurrence.
//!
//! * Statement: along `axis`, `out[0] = init` and `out[t] = state[t-1]`; the last slice of `state` is not read.
//! * Shapes: `state` and `out` alike, `len` along `axis`; `init` the same with extent one there.
//! * Pullback: the weights of slice 0 go to `init`, the others, one step earlier, to `state`.
//! * Lookups: none.
//! * Soundness: exact rewriting of the functional. `state` is a committed node, so the pullback ends there although the graph
//!   has a cycle; the declared range is checked against all values that the range check of `state` lets through, never against
//!   a range that was derived through the cycle. That the slices determine each other one after the other, and so the values
//!   of the cycle exist and are unique, is checked by [`crate::schedule`].
//! * Reference: docs/protocol.md#time.

use super::{LinearPullback, Piece};
use crate::{
    error::GraphError,
    functional::Functional,
    interval::Interval,
    ring::Ring,
    tensor::{MAX_EXTENT, Tensor, around, element_count},
};
use serde::{Deserialize, Serialize};

/// Parameters of the delay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// The axis of time.
    pub axis: usize,
    /// Number of steps: the extent of that axis.
    pub len: usize,
    /// Smallest value that `state` can hold.
    pub lo: i64,
    /// Largest value that `state` can hold.
    pub hi: i64,
}

impl Delay {
    /// The shape of `out` and of `state`, from the shape of `init`.
    pub(crate) fn infer(&self, init: &[usize]) -> Result<Vec<usize>, GraphError> {
        match init.get(self.axis) {
            Some(1) => {}
            Some(n) => {
                let what = format!("an initial state of {n} steps; it has one");
                return Err(GraphError::Parameter(what));
            }
            None => {
                return Err(GraphError::Parameter(format!("axis {} of a tensor of rank {}", self.axis, init.len())));
            }
        }
        if self.len == 0 || self.len > MAX_EXTENT {
            return Err(GraphError::Parameter(format!("{} steps; 1 to {MAX_EXTENT} are possible", self.len)));
        }
        if self.lo > self.hi {
            return Err(GraphError::Parameter(format!("an empty range [{}, {}]", self.lo, self.hi)));
        }
        let mut shape = init.to_vec();
        shape[self.axis] = self.len;
        element_count(&shape)?;
        Ok(shape)
    }

    /// The range that `state` must stay within.
    pub fn declared(&self) -> Interval {
        Interval { lo: i128::from(self.lo), hi: i128::from(self.hi) }
    }

    pub(crate) fn range(&self, init: Interval) -> Interval {
        init.union(self.declared())
    }

    pub(crate) fn eval(&self, init: &Tensor, state: &Tensor, shape: &[usize]) -> Tensor {
        let (outer, len, inner) = around(shape, self.axis);
        let mut data = Vec::with_capacity(outer * len * inner);
        for a in 0..outer {
            data.extend_from_slice(&init.data[a * inner..(a + 1) * inner]);
            data.extend_from_slice(&state.data[a * len * inner..((a + 1) * len - 1) * inner]);
        }
        Tensor { shape: shape.to_vec(), data }
    }

    pub(crate) fn pullback<E: Ring>(
        &self,
        shape: &[usize],
        f: &Functional<E>,
    ) -> Result<LinearPullback<E>, GraphError> {
        let init = f.map_axis(self.axis, shape, 1, &mut |o, emit| {
            if o == 0 {
                emit(0, None);
            }
        })?;
        let mut pieces = vec![Piece { input: 0, coefficient: 1, functional: init }];
        if self.len > 1 {
            let state = f.map_axis(self.axis, shape, self.len, &mut |o, emit| {
                if let Some(p) = o.checked_sub(1) {
                    emit(p, None);
                }
            })?;
            pieces.push(Piece { input: 1, coefficient: 1, functional: state });
        }
        Ok(LinearPullback { pieces, constant: None })
    }
}
