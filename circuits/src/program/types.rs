//! The parts of a layout: committed tensors, table blocks, lookups, public values.

use crate::{
    error::GraphError,
    graph::{Graph, NodeId},
    interval::Interval,
    ops::Op,
    ring::index_bits,
    table::TableId,
};
use serde::{Deserialize, Serialize};

/// Which parts of the statement the verifier sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    /// The model's inputs are public.
    pub inputs: bool,
    /// The weights are public (the key can be recomputed from the model file).
    pub weights: bool,
    /// The model's outputs are public.
    pub outputs: bool,
}

impl Default for Visibility {
    fn default() -> Self {
        Self { inputs: false, weights: false, outputs: true }
    }
}

/// What a committed tensor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The value of a node.
    Node(NodeId),
    /// Limb `index` of the remainder of a lookup node: `bits` bits from bit `low` on.
    Remainder {
        /// The lookup.
        node: NodeId,
        /// Lowest bit.
        low: u32,
        /// Width.
        bits: u32,
    },
    /// A limb of a checked sum of a node that commits advice: `bits` bits from bit `low` on.
    Limb {
        /// The node.
        node: NodeId,
        /// Index of the check.
        check: usize,
        /// Lowest bit.
        low: u32,
        /// Width.
        bits: u32,
    },
    /// `floor((t - key_min) / 2^k)` of a clamped lookup.
    High(NodeId),
    /// 0 inside the keys, 1 above, 2 below.
    Side(NodeId),
    /// The values of a graph table.
    TableValues(TableId),
    /// The table that maps `high` to `side`, from `key_min` on.
    SideValues {
        /// Smallest key.
        key_min: i64,
    },
    /// A tensor of a named stack that is no source of this graph: an output, or one that the graph does not read.
    Named {
        /// Index of the stack among the named ones.
        stack: usize,
        /// Index of the tensor in its schema.
        tensor: usize,
    },
    /// How often each row of a gather's table is read.
    RowCounts(NodeId),
    /// How often each row of a table block is looked up.
    Multiplicity {
        /// Index of the block.
        block: usize,
    },
}

/// A list of committed tensors, cut in rows that are committed one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Index bits.
    pub bits: usize,
    /// The name of its evaluation in transcripts.
    pub label: &'static str,
}

/// A tensor within a stack.
#[derive(Clone, Debug)]
pub struct CommittedTensor {
    /// What it holds.
    pub content: Content,
    /// Index of its stack.
    pub stack: usize,
    /// Its extents; in the stack each axis is padded to a power of two.
    pub shape: Vec<usize>,
    /// Place of its first entry in the stack, a multiple of its padded size.
    pub offset: usize,
}

impl CommittedTensor {
    /// Index bits of the padded tensor.
    pub fn bits(&self) -> usize {
        self.shape.iter().map(|d| index_bits(*d)).sum()
    }
}

/// The values of a table block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockValues {
    /// One public value in all rows (zero for a range table).
    Constant(i32),
    /// A committed tensor of the model.
    Committed(usize),
}

/// `2^bits` rows `(tag, key_min + i, values[i])` of the stacked table.
#[derive(Clone, Debug)]
pub struct TableBlock {
    /// Tells this block's rows from all others.
    pub tag: u64,
    /// Key of the first row.
    pub key_min: i64,
    /// log2 of the number of rows.
    pub bits: usize,
    /// The values.
    pub values: BlockValues,
    /// The committed multiplicities.
    pub multiplicity: usize,
    /// Place among the leaves of the fraction tree.
    pub leaf: usize,
}

/// Where a summand of a lookup key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The value of a node (committed or not).
    Node(NodeId),
    /// A committed tensor.
    Tensor(usize),
    /// The product, entry by entry, of the values of two nodes of one shape, neither of which a contraction precedes.
    Product(NodeId, NodeId),
}

/// `coefficient * 2^exponent * source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTerm {
    /// The source.
    pub source: Source,
    /// Integer part of the coefficient.
    pub coefficient: i64,
    /// Power of two of the coefficient.
    pub exponent: i32,
}

/// One lookup per entry of a tensor.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The node that asks for it.
    pub node: NodeId,
    /// Extents of the tensor.
    pub shape: Vec<usize>,
    /// The key: a sum of terms ...
    pub key: Vec<KeyTerm>,
    /// ... and a constant `coefficient * 2^exponent`.
    pub key_constant: (i64, i32),
    /// The committed value; `None` is zero.
    pub value: Option<usize>,
    /// Block (the first of three with a `side`).
    pub block: usize,
    /// A committed tensor added to the tag.
    pub side: Option<usize>,
    /// Place among the leaves of the fraction tree.
    pub leaf: usize,
}

impl Segment {
    /// Index bits of the padded tensor.
    pub fn bits(&self) -> usize {
        self.shape.iter().map(|d| index_bits(*d)).sum()
    }
}

/// A tensor whose values the verifier sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicTensor {
    /// The node, or (at registration) the committed table.
    pub source: Source,
    /// Its extents.
    pub shape: Vec<usize>,
    /// The integers that a valid public value may hold.
    pub range: Interval,
}

/// The statement that a named stack holds the values of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The output.
    pub node: NodeId,
    /// The committed tensor, of the same shape.
    pub tensor: usize,
    /// Its extents.
    pub shape: Vec<usize>,
}

/// How a lookup reaches its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupMode {
    /// The worst case stays within the keys.
    Plain,
    /// Keys are split into `lo + 2^k * hi`, `hi` within this interval.
    Clamped {
        /// Bounds of `hi`.
        high: Interval,
    },
}

/// The mode of a lookup node: a function of the graph alone.
pub fn lookup_mode(graph: &Graph, id: NodeId) -> Result<LookupMode, GraphError> {
    let node = graph.node(id);
    let Op::Lookup(op) = &node.op else {
        return Err(GraphError::Parameter(format!("node '{}' is no lookup", node.name)));
    };
    let table = op.table(graph.tables())?;
    let input = node.inputs.first().map(|i| graph.node(*i).range).ok_or(GraphError::Arity { expected: 1, got: 0 })?;
    let t = input.round_shift(op.shift);
    if table.domain().contains(t) {
        return Ok(LookupMode::Plain);
    }
    let k = table.key_bits();
    let base = i128::from(table.key_min);
    let high = Interval { lo: (t.lo - base) >> k, hi: (t.hi - base) >> k };
    let high = high.union(Interval { lo: 0, hi: 0 });
    if high.hi - high.lo >= 1 << 20 {
        return Err(GraphError::Parameter(format!(
            "worst-case keys [{}, {}] are too wide for table '{}' of 2^{k} keys; use more shift or a wider table",
            t.lo, t.hi, table.name
        ))
        .at(&node.name, node.op.name()));
    }
    Ok(LookupMode::Clamped { high })
}

/// The entry of a side table: 0 inside, 1 above, 2 below.
pub fn side_of(high: i64) -> i32 {
    match high {
        0 => 0,
        h if h > 0 => 1,
        _ => 2,
    }
}
