//! Tensors, blocks and segments as they come, and their places once all are known.

use super::{
    BlockValues, CommittedTensor, Content, KeyTerm, LookupMode, MODEL, Program, Segment, Source, Stack, TableBlock,
    WITNESS, limits::size, lookup_mode,
};
use crate::{
    error::GraphError,
    graph::{Graph, NodeId},
    interval::Interval,
    ops::Op,
    ring::index_bits,
    stack::{NamedStack, Role, is_named},
    table::{Table, TableId},
};
use std::collections::BTreeMap;

pub(super) struct Builder {
    pub(super) program: Program,
    range_blocks: BTreeMap<u32, usize>,
    table_blocks: BTreeMap<(usize, bool), usize>,
    side_blocks: BTreeMap<(i64, usize), usize>,
    pub(super) table_values: BTreeMap<usize, usize>,
    side_values: BTreeMap<(i64, usize), usize>,
    next_tag: u64,
}

impl Builder {
    /// Starts a layout; the model's stack comes first and depends on the graph alone, not on the batch. Weights of named
    /// stacks are not in it.
    pub(super) fn new(graph: Graph, batch: usize, named: &[NamedStack]) -> Result<Self, GraphError> {
        let nodes = graph.nodes().len();
        let mut b = Self {
            program: Program {
                graph,
                batch,
                stacks: vec![Stack { bits: 0, label: "f(x)" }, Stack { bits: 0, label: "W(x)" }],
                tensors: vec![],
                node_tensor: vec![None; nodes],
                blocks: vec![],
                segments: vec![],
                vectors: vec![],
                public: vec![],
                links: vec![],
                leaf_bits: 0,
            },
            range_blocks: BTreeMap::new(),
            table_blocks: BTreeMap::new(),
            side_blocks: BTreeMap::new(),
            table_values: BTreeMap::new(),
            side_values: BTreeMap::new(),
            next_tag: 1,
        };
        let mut weight = 0;
        for i in 0..nodes {
            let id = NodeId(i);
            let node = b.program.graph.node(id);
            let shape = node.shape.clone();
            match node.op.clone() {
                Op::Weight(_) => {
                    if !is_named(named, Role::Weight(weight)) {
                        let t = b.tensor(Content::Node(id), MODEL, shape);
                        b.program.node_tensor[i] = Some(t);
                    }
                    weight += 1;
                }
                Op::Lookup(op) => {
                    let bits = op.table(b.program.graph.tables())?.key_bits();
                    if !b.table_values.contains_key(&op.table.0) {
                        let t = b.tensor(Content::TableValues(op.table), MODEL, vec![1 << bits]);
                        b.table_values.insert(op.table.0, t);
                    }
                    if let LookupMode::Clamped { high } = lookup_mode(&b.program.graph, id)? {
                        let key = side_key(high)?;
                        if !b.side_values.contains_key(&key) {
                            let content = Content::SideValues { key_min: key.0 };
                            let t = b.tensor(content, MODEL, vec![1 << key.1]);
                            b.side_values.insert(key, t);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(b)
    }

    pub(super) fn tensor(&mut self, content: Content, stack: usize, shape: Vec<usize>) -> usize {
        self.program.tensors.push(CommittedTensor { content, stack, shape, offset: 0 });
        self.program.tensors.len() - 1
    }

    /// The first of so many tags that nothing else has.
    pub(super) fn tags(&mut self, count: u64) -> u64 {
        let tag = self.next_tag;
        self.next_tag += count;
        tag
    }

    pub(super) fn block(&mut self, key_min: i64, bits: usize, values: BlockValues) -> usize {
        let block = self.program.blocks.len();
        let multiplicity = self.tensor(Content::Multiplicity { block }, WITNESS, vec![1 << bits]);
        let tag = self.tags(1);
        self.program.blocks.push(TableBlock { tag, key_min, bits, values, multiplicity, leaf: 0 });
        block
    }

    pub(super) fn range_block(&mut self, bits: u32) -> usize {
        if let Some(b) = self.range_blocks.get(&bits) {
            return *b;
        }
        let b = self.block(0, bits as usize, BlockValues::Constant(0));
        self.range_blocks.insert(bits, b);
        b
    }

    pub(super) fn segment(&mut self, segment: Segment) {
        self.program.segments.push(segment);
    }

    /// Every entry of a source node is in its signed range.
    pub(super) fn range_check(&mut self, id: NodeId, bits: u32) {
        let shape = self.program.graph.node(id).shape.clone();
        let block = self.range_block(bits);
        self.segment(Segment {
            node: id,
            shape,
            key: vec![KeyTerm { source: Source::Node(id), coefficient: 1, exponent: 0 }],
            key_constant: (1i64 << (bits - 1), 0),
            value: None,
            block,
            side: None,
            leaf: 0,
        });
    }

    /// The block of a table; with `sides`, followed by the blocks for keys above and below.
    pub(super) fn table_block(&mut self, id: TableId, table: &Table, values: usize, sides: bool) -> usize {
        if let Some(b) = self.table_blocks.get(&(id.0, sides)) {
            return *b;
        }
        let (min, bits) = (table.key_min, table.key_bits());
        let b = self.block(min, bits, BlockValues::Committed(values));
        if sides {
            let ends = (table.values.last().copied().unwrap_or(0), table.values.first().copied().unwrap_or(0));
            self.block(min, bits, BlockValues::Constant(ends.0));
            self.block(min, bits, BlockValues::Constant(ends.1));
        }
        self.table_blocks.insert((id.0, sides), b);
        b
    }

    pub(super) fn side_block(&mut self, high: Interval) -> Result<usize, GraphError> {
        let key = side_key(high)?;
        if let Some(b) = self.side_blocks.get(&key) {
            return Ok(*b);
        }
        let values = self.side_values.get(&key).copied().unwrap_or(0);
        let b = self.block(key.0, key.1, BlockValues::Committed(values));
        self.side_blocks.insert(key, b);
        Ok(b)
    }

    /// Places everything: largest first, each at a multiple of its own size.
    pub(super) fn finish(mut self) -> Result<Program, GraphError> {
        self.program.check_size()?;
        let p = &mut self.program;
        for stack in 0..p.stacks.len() {
            let mut order: Vec<usize> = (0..p.tensors.len()).filter(|i| p.tensors[*i].stack == stack).collect();
            order.sort_by_key(|i| std::cmp::Reverse(p.tensors[*i].bits()));
            let mut at = 0usize;
            for i in order {
                p.tensors[i].offset = at;
                at += size(p.tensors[i].bits())?;
            }
            let bits = index_bits(at);
            size(bits)?;
            p.stacks[stack].bits = bits;
        }
        let segments = p.segments.iter_mut().map(|s| (s.bits(), &mut s.leaf));
        let blocks = p.blocks.iter_mut().map(|b| (b.bits, &mut b.leaf));
        let vectors = p.vectors.iter_mut().flat_map(|v| {
            let bits = [v.index_bits(), v.rows_bits()];
            bits.into_iter().zip([&mut v.index_leaf, &mut v.rows_leaf])
        });
        let mut order: Vec<(usize, &mut usize)> = segments.chain(blocks).chain(vectors).collect();
        order.sort_by_key(|o| std::cmp::Reverse(o.0));
        let mut at = 0usize;
        for (bits, leaf) in order {
            *leaf = at;
            at += size(bits)?;
        }
        p.leaf_bits = index_bits(at).max(1);
        size(p.leaf_bits)?;
        Ok(self.program)
    }
}

/// Smallest key and index bits of the table from `high` to `side`.
fn side_key(high: Interval) -> Result<(i64, usize), GraphError> {
    let len = usize::try_from(high.hi - high.lo + 1).map_err(|_| GraphError::Parameter("clamp range".to_owned()))?;
    let lo = i64::try_from(high.lo).map_err(|_| GraphError::Parameter("clamp range".to_owned()))?;
    Ok((lo, index_bits(len)))
}
