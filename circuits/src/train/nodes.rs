//! What step graphs are built from.

use super::{RELU_KEYS, TrainError, WIDTH};
use crate::{
    graph::{GraphBuilder, NodeId},
    interval::Interval,
    ops::{Contraction, Op, Reshape, Window},
    table::Table,
};

pub(super) type Result<T> = std::result::Result<T, TrainError>;

/// Graph nodes while they are made.
pub(super) struct Nodes {
    pub(super) g: GraphBuilder,
    pub(super) steps: usize,
    pub(super) batch: usize,
}

impl Nodes {
    pub(super) fn shape(&self, id: NodeId) -> Vec<usize> {
        self.g.node(id).shape.clone()
    }

    pub(super) fn reshape(&mut self, name: &str, id: NodeId, shape: Vec<usize>) -> Result<NodeId> {
        if self.shape(id) == shape {
            return Ok(id);
        }
        Ok(self.g.push(name, Op::Reshape(Reshape { shape }), &[id])?)
    }

    /// `clamp(round(x / 2^shift))`.
    pub(super) fn keep(&mut self, name: &str, id: NodeId, shift: u32) -> Result<NodeId> {
        let low = -(1i64 << (WIDTH - 1));
        Ok(self.g.lookup(name, id, shift, Table::tabulate("keep", low, WIDTH as usize, |t| t as i32))?)
    }

    pub(super) fn contract(&mut self, name: &str, c: Contraction, l: NodeId, r: NodeId) -> Result<NodeId> {
        Ok(self.g.push(name, Op::Contraction(c), &[l, r])?)
    }

    /// The sum over an axis, which is dropped.
    pub(super) fn sum(&mut self, name: &str, id: NodeId, axis: usize) -> Result<NodeId> {
        let mut shape = self.shape(id);
        let sum = self.g.push(name, Op::Window(Window::reduce(axis, shape[axis])), &[id])?;
        shape.remove(axis);
        self.reshape(name, sum, shape)
    }

    /// An axis of this extent, along which everything is repeated, in front of `axis`.
    pub(super) fn repeat(&mut self, name: &str, id: NodeId, axis: usize, len: usize) -> Result<NodeId> {
        let mut shape = self.shape(id);
        shape.insert(axis, 1);
        let flat = self.reshape(name, id, shape)?;
        if len == 1 {
            return Ok(flat);
        }
        Ok(self.g.push(name, Op::Window(Window::broadcast(axis, len)), &[flat])?)
    }

    /// The product of two tensors of one shape, entry by entry.
    pub(super) fn product(&mut self, name: &str, l: NodeId, r: NodeId) -> Result<NodeId> {
        let shape = self.shape(l);
        self.contract(name, Contraction::elementwise(&shape), l, r)
    }

    /// `max(round(x / 2^shift), 0)`, below `2^(RELU_KEYS - 1)`.
    pub(super) fn relu(&mut self, name: &str, id: NodeId, shift: u32) -> Result<NodeId> {
        let half = 1i64 << (RELU_KEYS - 1);
        Ok(self.g.lookup(name, id, shift, Table::relu(-half, RELU_KEYS, (half - 1) as i32))?)
    }

    /// The larger of two tensors, entry by entry: `b + relu(a - b)`. `bits` hold what the difference can be, with its sign, whatever
    /// the worst case of the sums is.
    pub(super) fn larger(&mut self, name: &str, a: NodeId, b: NodeId, bits: u32) -> Result<NodeId> {
        let difference = self.g.linear(name, &[(a, 1), (b, -1)], 0)?;
        let table = Table::relu(-(1i64 << (bits - 1)), bits as usize, i32::MAX);
        let more = self.g.lookup(name, difference, 0, table)?;
        Ok(self.g.linear(name, &[(b, 1), (more, 1)], 0)?)
    }

    /// What is proven of a node's values.
    pub(super) fn range(&self, id: NodeId) -> Interval {
        self.g.node(id).range
    }

    /// An axis split in two, the second of this extent.
    pub(super) fn split(&mut self, name: &str, id: NodeId, axis: usize, inner: usize) -> Result<NodeId> {
        let mut shape = self.shape(id);
        shape[axis] /= inner;
        shape.insert(axis + 1, inner);
        self.reshape(name, id, shape)
    }

    /// Two axes, `axis` and the next one, made one.
    pub(super) fn join(&mut self, name: &str, id: NodeId, axis: usize) -> Result<NodeId> {
        let mut shape = self.shape(id);
        shape[axis] *= shape.remove(axis + 1);
        self.reshape(name, id, shape)
    }

    /// The last axes summed away, until so many are left.
    pub(super) fn sum_to(&mut self, name: &str, id: NodeId, axes: usize) -> Result<NodeId> {
        let mut id = id;
        while self.shape(id).len() > axes {
            id = self.sum(name, id, self.shape(id).len() - 1)?;
        }
        Ok(id)
    }

    /// `id` repeated along new axes behind its own, up to `shape`.
    pub(super) fn spread(&mut self, name: &str, id: NodeId, shape: &[usize]) -> Result<NodeId> {
        let mut id = id;
        for axis in self.shape(id).len()..shape.len() {
            id = self.repeat(name, id, axis, shape[axis])?;
        }
        Ok(id)
    }
}
