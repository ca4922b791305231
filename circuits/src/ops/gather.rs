//! Gather: rows of a table, chosen by an index that is data.
//!
//! * Statement: `out[g.., i.., :] = table[g.., idx[g.., i..], :]`, where the first `leading` axes `g` are common to table and
//!   index. A row is all that lies behind the indexed axis.
//! * Shapes: table `[g.., N, row..]`, index `[g.., i..]`, out `[g.., i.., row..]`.
//! * Pullback: none; the output is committed and a claim on it goes to the opening.
//! * Lookups: one an index. With `j` the place within a row, `G` the place in row-major order within `g` and `T` the tag,
//!   `idx + beta^2 (T + G) + sum_j beta^(3+j) out_j` is among `n + beta^2 (T + G) + sum_j beta^(3+j) table_(G,n,j)` for all
//!   `n < N`. How often each row is read is committed; the table's side is linear in the table, which costs nothing more.
//! * Soundness: equal fingerprints are equal coefficients of a polynomial in `beta`, so tag, place in `g`, index and all of the row
//!   agree; `0 <= idx < N` follows, since padding of the table has no fingerprints. The values of a row are in the table's proven
//!   range because they are the table's. Tags are unlike those of scalar tables, whose fingerprints end at `beta^2`.
//! * Reference: docs/protocol.md#gather.

use crate::{
    error::GraphError,
    interval::Interval,
    tensor::{Tensor, element_count},
};
use serde::{Deserialize, Serialize};

/// Parameters of the operator, whose inputs are a table and an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather {
    /// Axes in front that table and index have in common.
    pub leading: usize,
}

/// Most values of a row.
pub const MAX_ROW: usize = 1 << 20;

impl Gather {
    /// `[g.., i.., row..]`.
    pub(crate) fn infer(&self, table: &[usize], index: &[usize]) -> Result<Vec<usize>, GraphError> {
        let g = self.leading;
        if table.len() <= g || index.len() < g {
            return Err(GraphError::Parameter(format!(
                "a table of rank {} and an index of rank {} with {g} common axes; the table needs one more",
                table.len(),
                index.len()
            )));
        }
        if table[..g] != index[..g] {
            return Err(GraphError::Shape { expected: table[..g].to_vec(), got: index[..g].to_vec() });
        }
        let row = element_count(&table[g + 1..])?;
        if row > MAX_ROW {
            return Err(GraphError::Parameter(format!("rows of {row} values; at most {MAX_ROW}")));
        }
        // Row counts and keys have 32 bits.
        element_count(&table[..g + 1])?;
        let shape = [index, &table[g + 1..]].concat();
        element_count(&shape)?;
        Ok(shape)
    }

    /// The table's range: rows are copied.
    pub(crate) fn range(&self, table: Interval) -> Result<Interval, GraphError> {
        if table.lo < i128::from(i32::MIN) || table.hi > i128::from(i32::MAX) {
            return Err(GraphError::Parameter(format!(
                "rows of values in [{}, {}]; committed values have 32 bits",
                table.lo, table.hi
            )));
        }
        Ok(table)
    }

    /// For each index, in row-major order, the row of the table (counted through the common axes) that it names.
    ///
    /// # Errors
    /// An index that is no row's.
    pub fn rows(&self, table: &[usize], index: &Tensor) -> Result<Vec<usize>, GraphError> {
        let n = *table.get(self.leading).ok_or(GraphError::Arity { expected: 2, got: 1 })?;
        let inner: usize = index.shape.iter().skip(self.leading).product();
        let row = |(k, v): (usize, &i64)| match usize::try_from(*v) {
            Ok(v) if v < n => Ok(k / inner.max(1) * n + v),
            _ => Err(GraphError::OutOfRange { value: *v, lo: 0, hi: n as i128 - 1 }),
        };
        index.data.iter().enumerate().map(row).collect()
    }

    pub(crate) fn eval(&self, table: &Tensor, index: &Tensor, shape: &[usize]) -> Result<Tensor, GraphError> {
        let width: usize = table.shape.iter().skip(self.leading + 1).product();
        let mut data = Vec::with_capacity(index.data.len() * width);
        for row in self.rows(&table.shape, index)? {
            data.extend_from_slice(&table.data[row * width..(row + 1) * width]);
        }
        Ok(Tensor { shape: shape.to_vec(), data })
    }
}
