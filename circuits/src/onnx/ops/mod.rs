//! Lowering of tract operators, one file per family.
//!
//! Every file is headed: statement, ONNX operators, shapes, lowering, lookups, soundness, reference. To add an operator,
//! write its file and add one line to [`FAMILIES`].

mod axes;
pub(crate) mod binary;
mod broadcast;
mod concat;
mod conv;
pub(crate) mod einsum;
mod gather;
mod integer;
mod logic;
pub(crate) mod mask;
pub(crate) mod norm;
mod pad;
pub(crate) mod pointwise;
pub(crate) mod pool;
mod prelu;
mod reduce;
mod slice;
mod whole;

use super::lower::{Lowering, Result, Value};
use tract_onnx::prelude::TypedNode;

/// Lowers a node if it is of the family: its outputs' values, or `None`.
pub(crate) type Lower = fn(&mut Lowering<'_>, &TypedNode) -> Result<Option<Vec<Value>>>;

/// The families, in the order in which they are asked.
pub(crate) const FAMILIES: &[Lower] = &[
    axes::lower,
    broadcast::lower,
    einsum::lower,
    conv::lower,
    prelu::lower,
    binary::lower,
    pointwise::lower,
    logic::lower,
    pool::lower,
    reduce::lower,
    slice::lower,
    concat::lower,
    pad::lower,
    super::own::lower,
];
