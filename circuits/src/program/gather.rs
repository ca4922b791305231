//! Vector lookups: rows of a tensor by their index (docs/protocol.md#gather).

use super::{Content, Program, WITNESS, builder::Builder};
use crate::{
    error::GraphError,
    graph::NodeId,
    ops::{Gather, Op},
    ring::index_bits,
};

/// The lookups of a [`Gather`]: one leaf an index, and one a row of the table.
#[derive(Clone, Debug)]
pub struct VectorLookup {
    /// The operator, whose output is committed: shape `index ++ row`.
    pub node: NodeId,
    /// The node whose rows are read, of shape `rows ++ row`.
    pub table: NodeId,
    /// The node that names them.
    pub index: NodeId,
    /// Axes that `index` and `rows` have in common, in front.
    pub leading: usize,
    /// Extents of the index.
    pub index_shape: Vec<usize>,
    /// The common extents and the number of rows.
    pub rows_shape: Vec<usize>,
    /// Extents of a row.
    pub row_shape: Vec<usize>,
    /// The tag of the first of the common places; those of the others follow.
    pub tag: u64,
    /// How often each row is read, of shape `rows`.
    pub counts: usize,
    /// Place of the indices among the leaves.
    pub index_leaf: usize,
    /// Place of the rows among the leaves.
    pub rows_leaf: usize,
}

fn bits(shape: &[usize]) -> usize {
    shape.iter().map(|d| index_bits(*d)).sum()
}

impl VectorLookup {
    /// Index bits of the padded index.
    pub fn index_bits(&self) -> usize {
        bits(&self.index_shape)
    }

    /// Index bits of the padded rows.
    pub fn rows_bits(&self) -> usize {
        bits(&self.rows_shape)
    }

    /// Number of values of a row.
    pub fn width(&self) -> usize {
        self.row_shape.iter().product()
    }

    /// The operator.
    pub fn op(&self) -> Gather {
        Gather { leading: self.leading }
    }
}

impl Builder {
    /// The vector lookup of a node, its output and its row counts.
    pub(super) fn gather(&mut self, id: NodeId) -> Result<(), GraphError> {
        let node = self.program.graph.node(id).clone();
        let (Op::Gather(op), [table, index]) = (&node.op, node.inputs.as_slice()) else { return Ok(()) };
        let of = |id: NodeId| self.program.graph.node(id).shape.clone();
        let (table_shape, index_shape) = (of(*table), of(*index));
        let (rows_shape, row_shape) = table_shape.split_at(op.leading + 1);
        let value = self.tensor(Content::Node(id), WITNESS, node.shape.clone());
        self.program.node_tensor[id.0] = Some(value);
        let counts = self.tensor(Content::RowCounts(id), WITNESS, rows_shape.to_vec());
        let places: usize = rows_shape[..op.leading].iter().product();
        let tag = self.tags(places as u64);
        self.program.vectors.push(VectorLookup {
            node: id,
            table: *table,
            index: *index,
            leading: op.leading,
            index_shape,
            rows_shape: rows_shape.to_vec(),
            row_shape: row_shape.to_vec(),
            tag,
            counts,
            index_leaf: 0,
            rows_leaf: 0,
        });
        Ok(())
    }
}

impl Program {
    /// The largest exponent of `beta` in a fingerprint (docs/protocol.md#gather): two without vector lookups.
    pub fn fingerprint_degree(&self) -> usize {
        self.vectors.iter().map(|v| v.width() + 2).max().unwrap_or(2).max(2)
    }
}
