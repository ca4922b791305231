//! The layout of a graph for the protocol: committed tensors and their places, lookups, tables, public values.
//!
//! Everything here is derived from the graph alone, the same way by prover and verifier (docs/protocol.md#layout).
//!
//! | file | what |
//! |---|---|
//! | `types` | the parts of a layout |
//! | `builder` | tensors, blocks and segments as they come, and their places |
//! | `claims` | which lookups and public values a graph asks for |
//! | `named` | tensors of named stacks, and what they are to the graph |
//! | `gather` | rows of a tensor, looked up by their index |
//! | `limits` | what a verifier's memory and time are bounded by |

mod builder;
mod claims;
mod gather;
mod limits;
mod named;
mod types;

pub use gather::VectorLookup;
pub use limits::{MAX_STACK_BITS, MAX_TABLE_ROWS, MAX_WEIGHTS};
pub use types::{
    BlockValues, CommittedTensor, Content, KeyTerm, Link, LookupMode, PublicTensor, Segment, Source, Stack, TableBlock,
    Visibility, lookup_mode, side_of,
};

use crate::{
    error::GraphError,
    graph::{Graph, NodeId},
    ops::Op,
    stack::NamedStack,
};
use builder::Builder;
use std::collections::BTreeSet;

/// Index of the witness stack, committed with every proof.
pub const WITNESS: usize = 0;
/// Index of the model stack: weights and table contents, committed with the key.
pub const MODEL: usize = 1;

/// Index of the first named stack (docs/protocol.md#named-stacks).
pub const NAMED: usize = 2;

/// The complete layout.
#[derive(Clone, Debug)]
pub struct Program {
    /// The graph, with its batch axis.
    pub graph: Graph,
    /// Number of inferences.
    pub batch: usize,
    /// The stacks. The order is that of their evaluations in a transcript, and of the powers of `gamma`.
    pub stacks: Vec<Stack>,
    /// Committed tensors of all stacks.
    pub tensors: Vec<CommittedTensor>,
    /// For each node its committed tensor, if it has one.
    pub node_tensor: Vec<Option<usize>>,
    /// Table blocks.
    pub blocks: Vec<TableBlock>,
    /// Lookups.
    pub segments: Vec<Segment>,
    /// Vector lookups.
    pub vectors: Vec<VectorLookup>,
    /// Public values: inputs, then outputs.
    pub public: Vec<PublicTensor>,
    /// Outputs whose values a named stack holds.
    pub links: Vec<Link>,
    /// Index bits of the fraction tree's leaves.
    pub leaf_bits: usize,
}

impl Program {
    /// Lays out `batch` inferences of a graph.
    pub fn inference(graph: &Graph, batch: usize, visibility: Visibility) -> Result<Self, GraphError> {
        Self::linked(graph, batch, visibility, &[])
    }

    /// Lays out `batch` inferences of a graph whose inputs, weights or outputs are in named stacks. What a stack holds is not
    /// public, whatever the visibility.
    ///
    /// # Errors
    /// Those of a graph that cannot be laid out, and stacks that do not fit it.
    pub fn linked(
        graph: &Graph,
        batch: usize,
        visibility: Visibility,
        stacks: &[NamedStack],
    ) -> Result<Self, GraphError> {
        let mut b = Builder::new(graph.batched(batch)?, batch, stacks)?;
        b.named(stacks)?;
        b.inference(visibility, stacks)?;
        let p = b.finish()?;
        p.rehearse()?;
        Ok(p)
    }

    /// Lays out the registration of a model: every weight is in its range, and the committed tables are the graph's.
    pub fn registration(graph: &Graph) -> Result<Self, GraphError> {
        Self::registration_beside(graph, &[])
    }

    /// The registration of a model some of whose weights are in named stacks, which it says nothing about.
    ///
    /// # Errors
    /// A graph that cannot be laid out.
    pub fn registration_beside(graph: &Graph, stacks: &[NamedStack]) -> Result<Self, GraphError> {
        let mut b = Builder::new(graph.batched(1)?, 1, stacks)?;
        b.registration()?;
        b.finish()
    }

    /// The entries of a committed tensor that the graph determines: a table's values.
    pub fn table_contents(&self, tensor: &CommittedTensor) -> Option<Vec<i64>> {
        match &tensor.content {
            Content::TableValues(id) => {
                self.graph.tables().get(id.0).map(|t| t.values.iter().map(|v| i64::from(*v)).collect())
            }
            Content::SideValues { key_min } => {
                let len: usize = tensor.shape.iter().product();
                Some((*key_min..).take(len).map(|h| i64::from(side_of(h))).collect())
            }
            _ => None,
        }
    }

    /// The public values of a registration: the contents of all committed tables.
    pub fn registration_public(&self) -> Vec<Vec<i64>> {
        let tensor = |p: &PublicTensor| match p.source {
            Source::Tensor(i) => self.tensors.get(i),
            Source::Node(_) | Source::Product(..) => None,
        };
        self.public.iter().map(|p| tensor(p).and_then(|t| self.table_contents(t)).unwrap_or_default()).collect()
    }

    /// The nodes that contractions multiply, and lookups whose key is a product: what is read of a graph's values once all that
    /// is committed is known.
    pub fn operands(&self) -> BTreeSet<NodeId> {
        let contracted = self.graph.nodes().iter().filter(|n| matches!(n.op, Op::Contraction(_)));
        let multiplied = self.segments.iter().flat_map(|s| &s.key).filter_map(|k| match k.source {
            Source::Product(a, b) => Some([a, b]),
            Source::Node(_) | Source::Tensor(_) => None,
        });
        contracted.flat_map(|n| n.inputs.iter().copied()).chain(multiplied.flatten()).collect()
    }

    /// Number of lookups (without padding).
    pub fn lookups(&self) -> usize {
        let scalars: usize = self.segments.iter().map(|s| s.shape.iter().product::<usize>()).sum();
        scalars + self.vectors.iter().map(|v| v.index_shape.iter().product::<usize>()).sum::<usize>()
    }

    /// Number of table rows, those of gathered tensors included.
    pub fn table_rows(&self) -> usize {
        let scalars: usize = self.blocks.iter().map(|b| 1usize << b.bits).sum();
        scalars + self.vectors.iter().map(|v| v.rows_shape.iter().product::<usize>()).sum::<usize>()
    }

    /// Number of a stack's values that tensors take, the padding of their axes included. What is behind them is zero.
    pub fn stack_filled(&self, stack: usize) -> usize {
        let ends = self.tensors.iter().filter(|t| t.stack == stack).map(|t| t.offset.saturating_add(1 << t.bits()));
        ends.max().unwrap_or(0)
    }

    /// Index bits of a stack.
    pub fn stack_bits(&self, stack: usize) -> usize {
        self.stacks.get(stack).map_or(0, |s| s.bits)
    }
}
