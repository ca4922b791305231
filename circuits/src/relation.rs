//! The relation that a proof is about, checked directly: every lookup is searched in its table, every multiplicity is
//! counted, every public value is compared (docs/protocol.md#statement).
//!
//! It is slow and naive on purpose. The soundness tests compare it with the verifier: a proof about given contents of the
//! committed tensors must be accepted exactly when [`check`] accepts them. Arithmetic is exact: keys are rationals with a
//! power of two below, held in `i128` over a common denominator.

use crate::{
    error::GraphError,
    graph::{Node, NodeId},
    ops::{Delay, Op, OpClass},
    program::{BlockValues, Content, KeyTerm, MODEL, Program, Segment, Source, TableBlock, VectorLookup},
    tensor::Tensor,
};
use std::collections::BTreeMap;

/// Which part of the relation does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// A list of contents of the wrong length.
    #[error("{what}: expected {expected} entries, got {got}")]
    Length {
        /// What is counted.
        what: String,
        /// Entries asked for.
        expected: usize,
        /// Entries present.
        got: usize,
    },
    /// A lookup whose (key, value) has no row in its block.
    #[error("node '{node}', lookup {segment}, entry {entry}: no row ({key}, {value}) under tag {tag}")]
    Lookup {
        /// The node that asks for the lookup.
        node: String,
        /// Index into [`Program::segments`].
        segment: usize,
        /// Row-major index of the entry.
        entry: usize,
        /// The key, as a fraction where it is no integer.
        key: String,
        /// The value looked up.
        value: i64,
        /// The tag, with the side added.
        tag: i128,
    },
    /// A multiplicity that is not the number of lookups of its row.
    #[error("block {block}, row {row}: looked up {expected} times, committed multiplicity {got}")]
    Multiplicity {
        /// Index into [`Program::blocks`].
        block: usize,
        /// Row of the block.
        row: usize,
        /// How often it is looked up.
        expected: i64,
        /// What is committed.
        got: i64,
    },
    /// A gathered row that is not the table's row of its index, or an index that names no row.
    #[error("node '{node}', entry {entry} of its index: not the row {index} of the table")]
    Row {
        /// The gather.
        node: String,
        /// Row-major index of the entry.
        entry: usize,
        /// The row that is named.
        index: i64,
    },
    /// A committed count that is not how often a row of a gather's table is read.
    #[error("node '{node}', row {row} of its table: read {expected} times, committed count {got}")]
    RowCount {
        /// The gather.
        node: String,
        /// The row, counted through all common axes.
        row: usize,
        /// How often it is read.
        expected: i64,
        /// What is committed.
        got: i64,
    },
    /// A public value that is not the value of its node or tensor.
    #[error("public tensor {tensor}, entry {entry}: the statement says {expected}, the witness gives {got}")]
    Public {
        /// Index into [`Program::public`].
        tensor: usize,
        /// Row-major index of the entry.
        entry: usize,
        /// The public value.
        expected: i64,
        /// The value of the node.
        got: i64,
    },
    /// A named stack that does not hold the output that it is said to hold.
    #[error("node '{node}', entry {entry}: the stack holds {got}, the output is {expected}")]
    Link {
        /// The output.
        node: String,
        /// Row-major index of the entry.
        entry: usize,
        /// The value of the output.
        expected: i64,
        /// What the stack holds.
        got: i64,
    },
    /// A committed weight outside its range, or a committed table that is not the graph's: what registration excludes.
    #[error("{what}, entry {entry}: {got} is not what registration proves")]
    Registered {
        /// The weight or table.
        what: String,
        /// Row-major index of the entry.
        entry: usize,
        /// The committed value.
        got: i64,
    },
    /// A committed state of a recurrence that no lookup can have let through.
    #[error("node '{node}', entry {entry} of its state: {got} is outside the declared range")]
    State {
        /// The delay.
        node: String,
        /// Row-major index of the entry.
        entry: usize,
        /// The committed value.
        got: i64,
    },
    /// The layout refers to something that does not exist, or an operator cannot be evaluated.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Checks the relation of a layout.
///
/// `tensors[i]` holds the real entries of `program.tensors[i]`, row-major and without padding; `public[i]` the values of
/// `program.public[i]`. In the layout of a registration only weights and tables have values.
///
/// # Errors
/// The first part of the relation that does not hold, nodes in the order of the graph, then multiplicities, then public
/// values.
pub fn check(program: &Program, tensors: &[Vec<i64>], public: &[Vec<i64>]) -> Result<(), RelationError> {
    length("committed tensors", program.tensors.len(), tensors.len())?;
    for (i, (t, entries)) in program.tensors.iter().zip(tensors).enumerate() {
        length(&format!("committed tensor {i}"), t.shape.iter().product(), entries.len())?;
    }
    let mut state = Checker {
        program,
        tensors,
        values: vec![None; program.graph.nodes().len()],
        counts: program.blocks.iter().map(|b| vec![0; 1 << b.bits]).collect(),
        blocks: program.blocks.iter().enumerate().map(|(i, b)| (i128::from(b.tag), i)).collect(),
    };
    state.registered()?;
    for node in 0..program.graph.nodes().len() {
        state.node(node)?;
    }
    for (block, (b, counts)) in program.blocks.iter().zip(&state.counts).enumerate() {
        let committed = state.tensor(b.multiplicity)?;
        for (row, (expected, got)) in counts.iter().zip(committed).enumerate() {
            if expected != got {
                return Err(RelationError::Multiplicity { block, row, expected: *expected, got: *got });
            }
        }
    }
    state.links()?;
    state.public(public)
}

struct Checker<'a> {
    program: &'a Program,
    tensors: &'a [Vec<i64>],
    /// Values of the nodes, as far as the layout has them.
    values: Vec<Option<Tensor>>,
    /// How often each row of each block is looked up.
    counts: Vec<Vec<i64>>,
    /// Blocks by tag.
    blocks: BTreeMap<i128, usize>,
}

impl<'a> Checker<'a> {
    fn tensor(&self, index: usize) -> Result<&'a Vec<i64>, RelationError> {
        self.tensors.get(index).ok_or_else(|| missing("committed tensor", index))
    }

    /// What registration proves of the model's tensors; a layout of inferences relies on it.
    fn registered(&self) -> Result<(), RelationError> {
        for (t, entries) in self.program.tensors.iter().zip(self.tensors) {
            let wrong = |what: String, entry: usize| {
                Err(RelationError::Registered { what, entry, got: entries.get(entry).copied().unwrap_or(0) })
            };
            if let Some(expected) = self.program.table_contents(t)
                && let Some(entry) = expected.iter().zip(entries).position(|(a, b)| a != b)
            {
                return wrong(format!("table {:?}", t.content), entry);
            }
            if let (Content::Node(id), MODEL) = (&t.content, t.stack) {
                let node = self.program.graph.node(*id);
                let outside = |v: &i64| i128::from(*v) < node.range.lo || i128::from(*v) > node.range.hi;
                if let (Op::Weight(_), Some(entry)) = (&node.op, entries.iter().position(outside)) {
                    return wrong(format!("weight '{}'", node.name), entry);
                }
            }
        }
        Ok(())
    }

    /// Finds the value of a node, then checks the lookups that it asks for.
    ///
    /// An operator is evaluated only on values whose lookups hold, so they are within the worst case that was computed for
    /// them and nothing overflows.
    fn node(&mut self, index: usize) -> Result<(), RelationError> {
        let node = self.program.graph.node(NodeId(index));
        let committed = self.program.node_tensor.get(index).copied().flatten();
        let value = match committed {
            Some(t) => Some(Tensor::new(node.shape.clone(), self.tensor(t)?.clone())?),
            None if node.op.class() == OpClass::Committed => None,
            None => {
                if let Op::Delay(delay) = &node.op {
                    self.state(node, delay)?;
                }
                let inputs: Option<Vec<&Tensor>> =
                    node.inputs.iter().map(|i| self.values.get(i.0).and_then(Option::as_ref)).collect();
                match inputs {
                    Some(inputs) => Some(node.op.eval(&inputs, &node.shape, self.program.graph.tables())?),
                    None => None,
                }
            }
        };
        if let Some(slot) = self.values.get_mut(index) {
            *slot = value;
        }
        for (i, s) in self.program.segments.iter().enumerate().filter(|(_, s)| s.node.0 == index) {
            self.segment(i, s)?;
        }
        if let Some(v) = self.program.vectors.iter().find(|v| v.node.0 == index) {
            self.rows(v)?;
        }
        Ok(())
    }

    /// Compares every gathered row with the row that its index names, and the committed counts with how often each is read.
    fn rows(&self, v: &VectorLookup) -> Result<(), RelationError> {
        let node = self.program.graph.node(v.node).name.clone();
        let of = |id: NodeId| self.values.get(id.0).and_then(Option::as_ref).ok_or_else(|| missing("node", id.0));
        let (table, index, out) = (of(v.table)?, of(v.index)?, of(v.node)?);
        let inner: usize = v.index_shape.iter().skip(v.leading).product();
        let n = v.rows_shape.last().copied().unwrap_or(0);
        let width = v.width();
        let mut counts = vec![0i64; v.rows_shape.iter().product()];
        for (entry, key) in index.data.iter().enumerate() {
            let wrong = || RelationError::Row { node: node.clone(), entry, index: *key };
            let row = usize::try_from(*key).ok().filter(|k| *k < n).ok_or_else(wrong)?;
            let place = entry / inner.max(1) * n + row;
            let span = |data: &'_ [i64], at: usize| data.get(at * width..(at + 1) * width).map(<[i64]>::to_vec);
            if span(&table.data, place).ok_or_else(wrong)? != span(&out.data, entry).ok_or_else(wrong)? {
                return Err(wrong());
            }
            *counts.get_mut(place).ok_or_else(wrong)? += 1;
        }
        for (row, (expected, got)) in counts.iter().zip(self.tensor(v.counts)?).enumerate() {
            if expected != got {
                return Err(RelationError::RowCount { node, row, expected: *expected, got: *got });
            }
        }
        Ok(())
    }

    /// Takes the state of a delay from what is committed: it may come later in the graph. Its own lookups are checked there; that
    /// it has the values that they allow is needed before anything is computed from it.
    fn state(&mut self, node: &Node, delay: &Delay) -> Result<(), RelationError> {
        let Some(NodeId(state)) = node.inputs.get(1).copied() else { return Ok(()) };
        let Some(t) = self.program.node_tensor.get(state).copied().flatten() else { return Ok(()) };
        let entries = self.tensor(t)?;
        let declared = delay.declared();
        let outside = |v: &i64| i128::from(*v) < declared.lo || i128::from(*v) > declared.hi;
        if let Some(entry) = entries.iter().position(outside) {
            let got = entries.get(entry).copied().unwrap_or(0);
            return Err(RelationError::State { node: node.name.clone(), entry, got });
        }
        let shape = self.program.graph.node(NodeId(state)).shape.clone();
        if let Some(slot) = self.values.get_mut(state) {
            *slot = Some(Tensor::new(shape, entries.clone())?);
        }
        Ok(())
    }

    fn source(&self, source: Source) -> Result<&[i64], RelationError> {
        match source {
            Source::Tensor(t) => Ok(self.tensor(t)?),
            // Products have no list of their own; see `entry`.
            Source::Product(a, _) => self.source(Source::Node(a)),
            Source::Node(id) => {
                let value = self.values.get(id.0).and_then(Option::as_ref);
                value.map(|t| t.data.as_slice()).ok_or_else(|| missing("value of node", id.0))
            }
        }
    }

    fn segment(&mut self, index: usize, s: &Segment) -> Result<(), RelationError> {
        let first = self.program.blocks.get(s.block).ok_or_else(|| missing("block", s.block))?;
        for entry in 0..s.shape.iter().product() {
            let at = |t: Option<usize>| match t {
                Some(t) => self.entry(Source::Tensor(t), entry),
                None => Ok(0),
            };
            let (value, side) = (at(s.value)?, at(s.side)?);
            let key = self.key(s, entry)?;
            let tag = i128::from(first.tag) + i128::from(side);
            let row = match self.blocks.get(&tag).and_then(|b| Some((*b, self.program.blocks.get(*b)?))) {
                Some((b, block)) => self.row(block, key, value)?.map(|row| (b, row)),
                None => None,
            };
            let slot = row.and_then(|(b, row)| self.counts.get_mut(b).and_then(|c| c.get_mut(row)));
            let Some(count) = slot else {
                let node = self.program.graph.node(s.node).name.clone();
                return Err(RelationError::Lookup { node, segment: index, entry, key: key.show(), value, tag });
            };
            *count += 1;
        }
        Ok(())
    }

    fn entry(&self, source: Source, entry: usize) -> Result<i64, RelationError> {
        if let Source::Product(a, b) = source {
            let (a, b) = (self.entry(Source::Node(a), entry)?, self.entry(Source::Node(b), entry)?);
            return a.checked_mul(b).ok_or_else(|| GraphError::Parameter("a product beyond 64 bits".to_owned()).into());
        }
        self.source(source)?.get(entry).copied().ok_or_else(|| missing("entry", entry))
    }

    /// The key of one entry of a segment.
    fn key(&self, s: &Segment, entry: usize) -> Result<Rational, RelationError> {
        let (c, exponent) = s.key_constant;
        let lowest = s.key.iter().map(|k| k.exponent).chain([exponent, 0]).min().unwrap_or(0);
        let mut key = Rational { numerator: 0, bits: lowest.unsigned_abs() };
        key.add(c, exponent, 1)?;
        for KeyTerm { source, coefficient, exponent } in &s.key {
            key.add(*coefficient, *exponent, self.entry(*source, entry)?)?;
        }
        Ok(key)
    }

    /// The row of a block that holds a key and a value.
    fn row(&self, block: &TableBlock, key: Rational, value: i64) -> Result<Option<usize>, RelationError> {
        let Some(row) = key.integer().and_then(|k| usize::try_from(k - i128::from(block.key_min)).ok()) else {
            return Ok(None);
        };
        let found = match block.values {
            BlockValues::Constant(v) => (row < 1 << block.bits).then_some(i64::from(v)),
            BlockValues::Committed(t) => self.tensor(t)?.get(row).copied(),
        };
        Ok((found == Some(value)).then_some(row))
    }

    fn links(&self) -> Result<(), RelationError> {
        for l in &self.program.links {
            let (value, held) = (self.source(Source::Node(l.node))?, self.tensor(l.tensor)?);
            length("entries of a linked tensor", value.len(), held.len())?;
            if let Some((entry, (v, h))) = value.iter().zip(held).enumerate().find(|(_, (v, h))| v != h) {
                let node = self.program.graph.node(l.node).name.clone();
                return Err(RelationError::Link { node, entry, expected: *v, got: *h });
            }
        }
        Ok(())
    }

    fn public(&self, public: &[Vec<i64>]) -> Result<(), RelationError> {
        length("public tensors", self.program.public.len(), public.len())?;
        for (tensor, (p, expected)) in self.program.public.iter().zip(public).enumerate() {
            let got = self.source(p.source)?;
            length(&format!("public tensor {tensor}"), got.len(), expected.len())?;
            if let Some(entry) = expected.iter().zip(got).position(|(a, b)| a != b) {
                let at = |v: &[i64]| v.get(entry).copied().unwrap_or(0);
                return Err(RelationError::Public { tensor, entry, expected: at(expected), got: at(got) });
            }
        }
        Ok(())
    }
}

/// `numerator / 2^bits`.
#[derive(Clone, Copy, Debug)]
struct Rational {
    numerator: i128,
    bits: u32,
}

impl Rational {
    /// Adds `coefficient * 2^exponent * value`, where `exponent >= -bits`.
    fn add(&mut self, coefficient: i64, exponent: i32, value: i64) -> Result<(), RelationError> {
        let shift = u32::try_from(i64::from(exponent) + i64::from(self.bits)).ok();
        let product = i128::from(coefficient) * i128::from(value);
        let term = shift.and_then(|s| 1i128.checked_shl(s)).and_then(|power| product.checked_mul(power));
        let sum = term.and_then(|t| self.numerator.checked_add(t));
        self.numerator = sum.ok_or_else(|| GraphError::Parameter("a key beyond 127 bits".to_owned()))?;
        Ok(())
    }

    fn integer(self) -> Option<i128> {
        let whole = self.numerator >> self.bits;
        (whole << self.bits == self.numerator).then_some(whole)
    }

    fn show(self) -> String {
        self.integer().map_or_else(|| format!("{}/2^{}", self.numerator, self.bits), |k| k.to_string())
    }
}

fn length(what: &str, expected: usize, got: usize) -> Result<(), RelationError> {
    if expected == got { Ok(()) } else { Err(RelationError::Length { what: what.to_owned(), expected, got }) }
}

fn missing(what: &str, index: usize) -> RelationError {
    GraphError::Parameter(format!("{what} {index} does not exist")).into()
}
