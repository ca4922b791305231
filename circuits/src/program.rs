//! The layout of a graph for the protocol: committed tensors and their places, lookups, tables, public values.
//!
//! Everything here is derived from the graph alone, the same way by prover and verifier (docs/protocol.md#layout).

use crate::{
    error::GraphError,
    functional::Functional,
    graph::{Graph, NodeId, TensorRole},
    interval::Interval,
    ops::{Op, contraction::Side},
    pullback::{Term, pull_back_within, spend},
    ring::{Ring, index_bits},
    table::TableId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// How often each row of a table block is looked up.
    Multiplicity {
        /// Index of the block.
        block: usize,
    },
}

/// A tensor within one of the two stacks.
#[derive(Clone, Debug)]
pub struct CommittedTensor {
    /// What it holds.
    pub content: Content,
    /// Which stack.
    pub role: TensorRole,
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

/// The complete layout.
#[derive(Clone, Debug)]
pub struct Program {
    /// The graph, with its batch axis.
    pub graph: Graph,
    /// Number of inferences.
    pub batch: usize,
    /// Committed tensors of both stacks.
    pub tensors: Vec<CommittedTensor>,
    /// For each node its committed tensor, if it has one.
    pub node_tensor: Vec<Option<usize>>,
    /// Table blocks.
    pub blocks: Vec<TableBlock>,
    /// Lookups.
    pub segments: Vec<Segment>,
    /// Public values: inputs, then outputs.
    pub public: Vec<PublicTensor>,
    /// Index bits of the fraction tree's leaves.
    pub leaf_bits: usize,
    /// Index bits of the witness stack.
    pub witness_bits: usize,
    /// Index bits of the model stack.
    pub model_bits: usize,
}

/// Largest supported size of a stack or of the fraction tree, in index bits.
pub const MAX_STACK_BITS: usize = 30;

/// Most weights of all functionals of a layout, and most entries of all rows of its contractions: what a verifier's
/// memory and time are proportional to.
pub const MAX_WEIGHTS: u64 = 1 << 25;

/// Most rows of all table blocks, and most entries of all tables of the model.
pub const MAX_TABLE_ROWS: usize = 1 << 23;

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

struct Builder {
    program: Program,
    range_blocks: BTreeMap<u32, usize>,
    table_blocks: BTreeMap<(usize, bool), usize>,
    side_blocks: BTreeMap<(i64, usize), usize>,
    table_values: BTreeMap<usize, usize>,
    side_values: BTreeMap<(i64, usize), usize>,
    next_tag: u64,
}

impl Program {
    /// Lays out `batch` inferences of a graph.
    pub fn inference(graph: &Graph, batch: usize, visibility: Visibility) -> Result<Self, GraphError> {
        let mut b = Builder::new(graph.batched(batch)?, batch)?;
        b.inference(visibility)?;
        let p = b.finish()?;
        p.rehearse()?;
        Ok(p)
    }

    /// Lays out the registration of a model: every weight is in its range, and the committed tables are the graph's.
    pub fn registration(graph: &Graph) -> Result<Self, GraphError> {
        let mut b = Builder::new(graph.batched(1)?, 1)?;
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
            Source::Node(_) => None,
        };
        self.public.iter().map(|p| tensor(p).and_then(|t| self.table_contents(t)).unwrap_or_default()).collect()
    }

    /// Number of lookups (without padding).
    pub fn lookups(&self) -> usize {
        self.segments.iter().map(|s| s.shape.iter().product::<usize>()).sum()
    }

    /// Number of table rows.
    pub fn table_rows(&self) -> usize {
        self.blocks.iter().map(|b| 1usize << b.bits).sum()
    }

    /// Index bits of a stack.
    pub fn stack_bits(&self, role: TensorRole) -> usize {
        match role {
            TensorRole::Witness => self.witness_bits,
            TensorRole::Model => self.model_bits,
        }
    }

    /// Carries a symbolic claim through the whole graph, so that a graph through which claims cannot be carried, or not
    /// with reasonable work, is rejected before any commitment is made.
    fn rehearse(&self) -> Result<(), GraphError> {
        let ones = |shape: &[usize]| Functional::from_axes(shape.iter().map(|d| vec![Unit; *d]).collect::<Vec<_>>());
        let mut terms = Vec::new();
        for s in &self.segments {
            for k in &s.key {
                if let Source::Node(node) = k.source {
                    terms.push(Term { node, coefficient: Unit, functional: ones(&self.graph.node(node).shape) });
                }
            }
        }
        for p in &self.public {
            if let Source::Node(node) = p.source {
                terms.push(Term { node, coefficient: Unit, functional: ones(&p.shape) });
            }
        }
        let mut budget = MAX_WEIGHTS;
        let pulled = pull_back_within(&self.graph, terms, &mut budget)?;
        for t in &pulled.bilinear {
            let node = self.graph.node(t.node);
            let Op::Contraction(c) = &node.op else { continue };
            spend(&mut budget, c.row_entries())?;
            for (side, input) in [(Side::Lhs, 0), (Side::Rhs, 1)] {
                let operand = node.inputs[input];
                let shape = &self.graph.node(operand).shape;
                let rows = c.rows(side, shape, &t.functional).map_err(|e| e.at(&node.name, node.op.name()))?;
                let functional = c.operand_functional(&rows, &vec![Unit; c.rounds()]);
                let term = Term { node: operand, coefficient: Unit, functional };
                pull_back_within(&self.graph, vec![term], &mut budget)?;
            }
        }
        Ok(())
    }
}

/// The ring with one element: claims about it only have a shape.
#[derive(Clone, Copy, Debug)]
struct Unit;

impl core::ops::Add for Unit {
    type Output = Self;
    fn add(self, _: Self) -> Self {
        self
    }
}
impl core::ops::Sub for Unit {
    type Output = Self;
    fn sub(self, _: Self) -> Self {
        self
    }
}
impl core::ops::Mul for Unit {
    type Output = Self;
    fn mul(self, _: Self) -> Self {
        self
    }
}
impl Ring for Unit {
    fn from_i128(_: i128) -> Self {
        Self
    }
    fn pow2(_: i32) -> Self {
        Self
    }
}

impl Builder {
    /// Starts a layout; the model's stack comes first and depends on the graph alone, not on the batch.
    fn new(graph: Graph, batch: usize) -> Result<Self, GraphError> {
        let nodes = graph.nodes().len();
        let mut b = Self {
            program: Program {
                graph,
                batch,
                tensors: vec![],
                node_tensor: vec![None; nodes],
                blocks: vec![],
                segments: vec![],
                public: vec![],
                leaf_bits: 0,
                witness_bits: 0,
                model_bits: 0,
            },
            range_blocks: BTreeMap::new(),
            table_blocks: BTreeMap::new(),
            side_blocks: BTreeMap::new(),
            table_values: BTreeMap::new(),
            side_values: BTreeMap::new(),
            next_tag: 1,
        };
        for i in 0..nodes {
            let id = NodeId(i);
            let node = b.program.graph.node(id);
            let shape = node.shape.clone();
            match node.op.clone() {
                Op::Weight(_) => {
                    let t = b.tensor(Content::Node(id), TensorRole::Model, shape);
                    b.program.node_tensor[i] = Some(t);
                }
                Op::Lookup(op) => {
                    let bits = op.table(b.program.graph.tables())?.key_bits();
                    if !b.table_values.contains_key(&op.table.0) {
                        let t = b.tensor(Content::TableValues(op.table), TensorRole::Model, vec![1 << bits]);
                        b.table_values.insert(op.table.0, t);
                    }
                    if let LookupMode::Clamped { high } = lookup_mode(&b.program.graph, id)? {
                        let key = side_key(high)?;
                        if !b.side_values.contains_key(&key) {
                            let content = Content::SideValues { key_min: key.0 };
                            let t = b.tensor(content, TensorRole::Model, vec![1 << key.1]);
                            b.side_values.insert(key, t);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(b)
    }

    fn tensor(&mut self, content: Content, role: TensorRole, shape: Vec<usize>) -> usize {
        self.program.tensors.push(CommittedTensor { content, role, shape, offset: 0 });
        self.program.tensors.len() - 1
    }

    fn block(&mut self, key_min: i64, bits: usize, values: BlockValues) -> usize {
        let block = self.program.blocks.len();
        let multiplicity = self.tensor(Content::Multiplicity { block }, TensorRole::Witness, vec![1 << bits]);
        let tag = self.next_tag;
        self.next_tag += 1;
        self.program.blocks.push(TableBlock { tag, key_min, bits, values, multiplicity, leaf: 0 });
        block
    }

    fn range_block(&mut self, bits: u32) -> usize {
        if let Some(b) = self.range_blocks.get(&bits) {
            return *b;
        }
        let b = self.block(0, bits as usize, BlockValues::Constant(0));
        self.range_blocks.insert(bits, b);
        b
    }

    fn segment(&mut self, segment: Segment) {
        self.program.segments.push(segment);
    }

    /// Every entry of a source node is in its signed range.
    fn range_check(&mut self, id: NodeId, bits: u32) {
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

    fn registration(&mut self) -> Result<(), GraphError> {
        for i in 0..self.program.graph.nodes().len() {
            if let Op::Weight(op) = self.program.graph.node(NodeId(i)).op.clone() {
                self.range_check(NodeId(i), op.bits);
            }
        }
        let tables = self
            .program
            .tensors
            .iter()
            .enumerate()
            .filter(|(_, t)| matches!(t.content, Content::TableValues(_) | Content::SideValues { .. }));
        let range = Interval::new(i128::from(i32::MIN), i128::from(i32::MAX));
        self.program.public =
            tables.map(|(i, t)| PublicTensor { source: Source::Tensor(i), shape: t.shape.clone(), range }).collect();
        Ok(())
    }

    fn inference(&mut self, visibility: Visibility) -> Result<(), GraphError> {
        for i in 0..self.program.graph.nodes().len() {
            let id = NodeId(i);
            match self.program.graph.node(id).op.clone() {
                Op::Input(op) => {
                    let shape = self.program.graph.node(id).shape.clone();
                    let t = self.tensor(Content::Node(id), TensorRole::Witness, shape);
                    self.program.node_tensor[i] = Some(t);
                    self.range_check(id, op.bits);
                }
                Op::Lookup(_) => self.lookup(id)?,
                _ => {}
            }
        }
        let graph = &self.program.graph;
        let mut public = Vec::new();
        if visibility.inputs {
            public.extend(graph.inputs().iter().copied());
        }
        if visibility.outputs {
            public.extend(graph.outputs().iter().copied());
        }
        self.program.public = public
            .into_iter()
            .map(|node| {
                let n = graph.node(node);
                PublicTensor { source: Source::Node(node), shape: n.shape.clone(), range: n.range }
            })
            .collect();
        for o in graph.outputs() {
            let n = graph.node(*o);
            if !visibility.outputs && self.program.node_tensor[o.0].is_none() {
                return Err(GraphError::Parameter(
                    "a private output must be committed: compile the model with a private output".to_owned(),
                )
                .at(&n.name, n.op.name()));
            }
        }
        Ok(())
    }

    fn lookup(&mut self, id: NodeId) -> Result<(), GraphError> {
        let node = self.program.graph.node(id).clone();
        let Op::Lookup(op) = &node.op else { return Ok(()) };
        let table = op.table(self.program.graph.tables())?.clone();
        let source = node.inputs[0];
        let shape = node.shape.clone();
        let value = self.tensor(Content::Node(id), TensorRole::Witness, shape.clone());
        self.program.node_tensor[id.0] = Some(value);
        // t = (in + half - rem) / 2^shift
        let down = -(op.shift as i32);
        let mut key = vec![KeyTerm { source: Source::Node(source), coefficient: 1, exponent: down }];
        let key_constant = if op.shift == 0 { (0, 0) } else { (1, -1) };
        let mut low = 0;
        while low < op.shift {
            let bits = self.program.graph.limb_bits().min(op.shift - low);
            let limb = self.tensor(Content::Remainder { node: id, low, bits }, TensorRole::Witness, shape.clone());
            key.push(KeyTerm { source: Source::Tensor(limb), coefficient: -1, exponent: low as i32 + down });
            let block = self.range_block(bits);
            self.segment(Segment {
                node: id,
                shape: shape.clone(),
                key: vec![KeyTerm { source: Source::Tensor(limb), coefficient: 1, exponent: 0 }],
                key_constant: (0, 0),
                value: None,
                block,
                side: None,
                leaf: 0,
            });
            low += bits;
        }
        let values = self.table_values.get(&op.table.0).copied().unwrap_or(0);
        let (block, side) = match lookup_mode(&self.program.graph, id)? {
            LookupMode::Plain => (self.table_block(op.table, &table, values, false), None),
            LookupMode::Clamped { high } => {
                let k = table.key_bits() as i32;
                let hi = self.tensor(Content::High(id), TensorRole::Witness, shape.clone());
                let side = self.tensor(Content::Side(id), TensorRole::Witness, shape.clone());
                let side_block = self.side_block(high)?;
                self.segment(Segment {
                    node: id,
                    shape: shape.clone(),
                    key: vec![KeyTerm { source: Source::Tensor(hi), coefficient: 1, exponent: 0 }],
                    key_constant: (0, 0),
                    value: Some(side),
                    block: side_block,
                    side: None,
                    leaf: 0,
                });
                key.push(KeyTerm { source: Source::Tensor(hi), coefficient: -1, exponent: k });
                (self.table_block(op.table, &table, values, true), Some(side))
            }
        };
        self.segment(Segment { node: id, shape, key, key_constant, value: Some(value), block, side, leaf: 0 });
        Ok(())
    }

    /// The block of a table; with `sides`, followed by the blocks for keys above and below.
    fn table_block(&mut self, id: TableId, table: &crate::table::Table, values: usize, sides: bool) -> usize {
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

    fn side_block(&mut self, high: Interval) -> Result<usize, GraphError> {
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
    fn finish(mut self) -> Result<Program, GraphError> {
        self.check_size()?;
        let p = &mut self.program;
        for role in [TensorRole::Witness, TensorRole::Model] {
            let mut order: Vec<usize> = (0..p.tensors.len()).filter(|i| p.tensors[*i].role == role).collect();
            order.sort_by_key(|i| std::cmp::Reverse(p.tensors[*i].bits()));
            let mut at = 0usize;
            for i in order {
                p.tensors[i].offset = at;
                at += size(p.tensors[i].bits())?;
            }
            let bits = index_bits(at);
            size(bits)?;
            match role {
                TensorRole::Witness => p.witness_bits = bits,
                TensorRole::Model => p.model_bits = bits,
            }
        }
        let mut order: Vec<(usize, bool, usize)> =
            p.segments.iter().enumerate().map(|(i, s)| (s.bits(), true, i)).collect();
        order.extend(p.blocks.iter().enumerate().map(|(i, b)| (b.bits, false, i)));
        order.sort_by_key(|o| std::cmp::Reverse(o.0));
        let mut at = 0usize;
        for (bits, is_segment, i) in order {
            if is_segment {
                p.segments[i].leaf = at;
            } else {
                p.blocks[i].leaf = at;
            }
            at += size(bits)?;
        }
        p.leaf_bits = index_bits(at).max(1);
        size(p.leaf_bits)?;
        Ok(self.program)
    }
}

impl Builder {
    /// Bounds what a verifier allocates for a layout; graphs may come from anybody.
    fn check_size(&self) -> Result<(), GraphError> {
        let p = &self.program;
        let tables = p.tensors.iter().filter(|t| !matches!(t.content, Content::Node(_)) && t.role == TensorRole::Model);
        let entries: usize = tables.map(|t| 1usize << t.bits()).sum();
        let rows = p.table_rows().max(entries);
        if rows > MAX_TABLE_ROWS {
            return Err(GraphError::Parameter(format!("{rows} table rows; at most {MAX_TABLE_ROWS}")));
        }
        let mut budget = MAX_WEIGHTS;
        for s in &p.segments {
            // One functional per summand of the key, and those of the value and the side.
            let terms = s.key.len() as u64 + 2;
            spend(&mut budget, terms.saturating_mul(s.shape.iter().map(|d| *d as u64).sum()))?;
        }
        for t in &p.public {
            spend(&mut budget, t.shape.iter().map(|d| *d as u64).sum())?;
        }
        Ok(())
    }
}

fn size(bits: usize) -> Result<usize, GraphError> {
    if bits > MAX_STACK_BITS {
        return Err(GraphError::Parameter(format!("2^{bits} values; at most 2^{MAX_STACK_BITS} are supported")));
    }
    Ok(1 << bits)
}

/// Smallest key and index bits of the table from `high` to `side`.
fn side_key(high: Interval) -> Result<(i64, usize), GraphError> {
    let len = usize::try_from(high.hi - high.lo + 1).map_err(|_| GraphError::Parameter("clamp range".to_owned()))?;
    let lo = i64::try_from(high.lo).map_err(|_| GraphError::Parameter("clamp range".to_owned()))?;
    Ok((lo, index_bits(len)))
}

/// The entry of a side table: 0 inside, 1 above, 2 below.
pub fn side_of(high: i64) -> i32 {
    match high {
        0 => 0,
        h if h > 0 => 1,
        _ => 2,
    }
}
