//! A graph cut into segments that are graphs of their own (docs/protocol.md#segments).
//!
//! * Statement: the nodes up to a cut are one segment, those behind it another. Every tensor that a later segment reads is an
//!   output of the segment that computes it, and an input of each that reads it; the outputs of one segment that others read are
//!   its *boundary*. The first segment has all inputs of the whole, the last one all outputs. Weights, and what follows from
//!   weights alone, are copied to each segment that reads them.
//! * Exactness: operators and tables are those of the whole, and the value of an operator does not depend on the ranges of its
//!   inputs, so every segment computes the integers of the whole.
//! * Ranges: a tensor with worst-case values `lo..=hi` is held as `value - shift` in the fewest bits `b` with
//!   `hi - lo < 2^b`, `shift = lo + 2^(b-1)`. The segment that reads it range-checks `b` bits, so what it knows is
//!   `lo..lo + 2^b`: the lower end is the whole's, the upper one may be higher. What the whole knows of two tensors together
//!   (`crate::ramp`) is lost at a cut: lookups behind it may be clamped ones.

mod balance;

pub use balance::balance;

use crate::{
    error::GraphError,
    graph::{Graph, GraphBuilder, NodeId},
    interval::Interval,
    ops::{Lookup, Op},
    stack::{MAX_STACKS, MAX_TENSORS, NamedStack, Role, Schema, SchemaTensor},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most segments of a graph.
pub const MAX_SEGMENTS: usize = 64;
/// Most bits of a value at a boundary.
pub const MAX_BITS: u32 = 20;

/// A tensor of a boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The node of the whole graph whose value it is.
    pub node: NodeId,
    /// What it is called in a stack: the node's number and name.
    pub name: String,
    /// Its extents, without a batch.
    pub shape: Vec<usize>,
    /// Bits that hold its values.
    pub bits: u32,
    /// What is held is the value less this.
    pub shift: i64,
}

/// How a segment hangs together with the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wires {
    /// Of a segment behind the first: for each of its inputs the segment that computes it, and its place at that boundary.
    pub reads: Vec<(usize, usize)>,
    /// What later segments read: its outputs, but for the last segment, whose outputs are the whole's.
    pub boundary: Vec<Held>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// A graph of its own.
    pub graph: Graph,
    /// Its weight tensors, as places in the whole's list.
    pub weights: Vec<usize>,
    /// What it reads and writes.
    pub wires: Wires,
}

/// What the boundary of segment `k`, counted from zero, is called in a key.
pub fn boundary_name(k: usize) -> String {
    format!("boundary {}", k + 1)
}

/// Bits and shift that hold all values of an interval, the lowest value as the lowest integer; none if they are too many.
fn width(range: Interval) -> Option<(u32, i64)> {
    let span = range.hi.checked_sub(range.lo)?;
    let bits = (128 - span.leading_zeros()).max(1);
    let shift = range.lo.checked_add(1i128 << (bits - 1).min(100))?;
    (span >= 0 && bits <= MAX_BITS).then_some((bits, i64::try_from(shift).ok()?))
}

/// A place where a graph can be cut: before node `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of nodes before the cut.
    pub at: usize,
    /// Tensors that cross it.
    pub tensors: usize,
    /// Their values.
    pub values: u64,
}

/// All places where a graph can be cut: where every tensor that crosses has at most [`MAX_BITS`] bits, no recurrence is cut
/// apart, and something is computed on both sides.
pub fn positions(graph: &Graph) -> Vec<Position> {
    let n = graph.nodes().len();
    // Sums over the nodes that cross, as differences: tensors, values, and what forbids a cut.
    let mut change = vec![(0i64, 0i64, 0i64); n + 2];
    let mut add = |from: usize, to: usize, (tensors, values, bad): (i64, i64, i64)| {
        for (at, sign) in [(from, 1), (to, -1)] {
            if let Some(c) = change.get_mut(at) {
                *c = (c.0 + sign * tensors, c.1 + sign * values, c.2 + sign * bad);
            }
        }
    };
    let mut last = vec![0usize; n];
    for (i, node) in graph.nodes().iter().enumerate().filter(|(_, n)| !n.constant) {
        for input in &node.inputs {
            last[input.0] = last[input.0].max(i);
            if input.0 > i {
                // Between a delay and its state.
                add(i + 1, input.0 + 1, (0, 0, 1));
            }
        }
    }
    graph.outputs().iter().for_each(|o| last[o.0] = n);
    for (i, node) in graph.nodes().iter().enumerate().filter(|(_, n)| !n.constant) {
        let first = if matches!(node.op, Op::Input(_)) { 0 } else { i + 1 };
        let values = node.shape.iter().product::<usize>() as i64;
        add(first, (last[i] + 1).max(first), (1, values, i64::from(width(node.range).is_none())));
    }
    let computed: Vec<usize> =
        (0..n).filter(|i| !graph.nodes()[*i].constant && !matches!(graph.nodes()[*i].op, Op::Input(_))).collect();
    let (Some(begin), Some(end)) = (computed.first(), computed.last()) else { return vec![] };
    let mut sum = (0, 0, 0);
    let mut out = Vec::new();
    for (at, c) in change.iter().enumerate().take(n) {
        sum = (sum.0 + c.0, sum.1 + c.1, sum.2 + c.2);
        // Directly behind a node that is computed: cuts further on, among weights, are the same.
        let behind = at > *begin && at <= *end && computed.binary_search(&(at - 1)).is_ok();
        if behind && sum.2 == 0 && sum.0 > 0 && sum.0 <= MAX_TENSORS as i64 {
            out.push(Position { at, tensors: sum.0 as usize, values: sum.1 as u64 });
        }
    }
    out
}

/// The places of the cuts behind the nodes of these names, in order; of nodes that share a name the last counts.
///
/// # Errors
/// A name that no node has, or a node behind which the graph cannot be cut.
pub fn behind(graph: &Graph, names: &[String]) -> Result<Vec<usize>, GraphError> {
    let possible = positions(graph);
    let mut cuts = BTreeSet::new();
    for name in names {
        let node = graph.nodes().iter().rposition(|n| n.name == *name);
        let at = 1 + node.ok_or_else(|| GraphError::Parameter(format!("no node is called '{name}'")))?;
        if !possible.iter().any(|p| p.at == at) {
            let near =
                possible.iter().min_by_key(|p| p.at.abs_diff(at)).map(|p| graph.node(NodeId(p.at - 1)).name.clone());
            return Err(GraphError::Parameter(format!(
                "the graph cannot be cut behind '{name}': a tensor that crosses has more than {MAX_BITS} bits, a recurrence is cut \
                 apart, or nothing is computed on one side{}",
                near.map_or_else(String::new, |n| format!("; the nearest cut is behind '{n}'"))
            )));
        }
        cuts.insert(at);
    }
    Ok(cuts.into_iter().collect())
}

/// Which segment computes what.
struct Homes<'a> {
    whole: &'a Graph,
    cuts: &'a [usize],
}

impl Homes<'_> {
    /// The segment of a node; none for what follows from weights alone.
    fn of(&self, id: NodeId) -> Option<usize> {
        let node = self.whole.node(id);
        match node.op {
            _ if node.constant => None,
            Op::Input(_) => Some(0),
            _ => Some(self.cuts.partition_point(|c| *c <= id.0)),
        }
    }

    /// For each segment the nodes of earlier ones that it reads, with those.
    fn crossings(&self) -> Result<Vec<BTreeSet<(usize, NodeId)>>, GraphError> {
        let last = self.cuts.len();
        let mut reads = vec![BTreeSet::new(); last + 1];
        let users = self.whole.nodes().iter().enumerate().filter_map(|(i, n)| Some((self.of(NodeId(i))?, n)));
        for (home, node) in users {
            for input in &node.inputs {
                match self.of(*input) {
                    Some(from) if from < home => {
                        reads[home].insert((from, *input));
                    }
                    Some(from) if from > home => {
                        let what = "a cut is between a recurrence's delay and its state".to_owned();
                        return Err(GraphError::Parameter(what).at(&node.name, node.op.name()));
                    }
                    _ => {}
                }
            }
        }
        for output in self.whole.outputs() {
            if let Some(from) = self.of(*output).filter(|from| *from < last) {
                reads[last].insert((from, *output));
            }
        }
        Ok(reads)
    }

    /// What follows from weights alone and is read by a segment.
    fn constants(&self, segment: usize) -> Vec<bool> {
        let nodes = self.whole.nodes();
        let mut needed = vec![false; nodes.len()];
        if segment == self.cuts.len() {
            self.whole.outputs().iter().for_each(|o| needed[o.0] = nodes[o.0].constant);
        }
        for (i, node) in nodes.iter().enumerate().rev() {
            if needed[i] || self.of(NodeId(i)) == Some(segment) {
                node.inputs.iter().filter(|i| nodes[i.0].constant).for_each(|i| needed[i.0] = true);
            }
        }
        needed
    }
}

/// Cuts a graph before the nodes of these numbers, which ascend.
///
/// # Errors
/// Cuts that do not ascend or are too many, a tensor at a boundary with more than [`MAX_BITS`] bits, a recurrence cut apart,
/// segments that nothing enters or leaves or that read more boundaries than a proof may be about, and what the rules of graphs
/// refuse of a segment.
pub fn split(whole: &Graph, cuts: &[usize]) -> Result<Vec<Segment>, GraphError> {
    if cuts.is_empty() || cuts.len() >= MAX_SEGMENTS {
        return Err(GraphError::Parameter(format!("{} segments; 2 to {MAX_SEGMENTS} are possible", cuts.len() + 1)));
    }
    if !cuts.windows(2).all(|w| w[0] < w[1]) || cuts.iter().any(|c| *c == 0 || *c >= whole.nodes().len()) {
        return Err(GraphError::Parameter(format!("cuts at {cuts:?} of {} nodes", whole.nodes().len())));
    }
    let homes = Homes { whole, cuts };
    let reads = homes.crossings()?;
    let mut made: Vec<Segment> = Vec::with_capacity(cuts.len() + 1);
    for k in 0..=cuts.len() {
        let held: BTreeSet<NodeId> =
            reads.iter().flatten().filter(|(from, _)| *from == k).map(|(_, node)| *node).collect();
        let segment = build(&homes, k, &reads[k], &held, &made)
            .map_err(|e| GraphError::Parameter(format!("segment {} of {}: {e}", k + 1, cuts.len() + 1)))?;
        made.push(segment);
    }
    Ok(made)
}

fn build(
    homes: &Homes<'_>,
    k: usize,
    reads: &BTreeSet<(usize, NodeId)>,
    held: &BTreeSet<NodeId>,
    before: &[Segment],
) -> Result<Segment, GraphError> {
    let whole = homes.whole;
    let last = k == homes.cuts.len();
    let stacks = reads.iter().map(|r| r.0).collect::<BTreeSet<_>>().len() + usize::from(!last);
    if stacks > MAX_STACKS || held.len() > MAX_TENSORS {
        return Err(GraphError::Parameter(format!(
            "it is about {stacks} boundaries and leaves {} tensors; at most {MAX_STACKS} and {MAX_TENSORS}",
            held.len()
        )));
    }
    let mut b = GraphBuilder::new(whole.limb_bits());
    let mut map: HashMap<NodeId, NodeId> = HashMap::new();
    let mut inputs = Vec::new();
    if k == 0 {
        for id in whole.inputs() {
            let node = whole.node(*id);
            let own = b.push(&node.name, node.op.clone(), &[])?;
            inputs.push(own);
            map.insert(*id, own);
        }
    }
    let mut places = Vec::with_capacity(reads.len());
    for (from, id) in reads {
        let boundary = before.get(*from).map_or(&[][..], |s| &s.wires.boundary);
        let place = boundary.iter().position(|h| h.node == *id);
        let (place, h) = place
            .and_then(|p| Some((p, boundary.get(p)?)))
            .ok_or_else(|| GraphError::Parameter(format!("node {} is at no boundary", id.0)))?;
        let own = b.input(&h.name, &h.shape, h.bits)?;
        inputs.push(own);
        places.push((*from, place));
        map.insert(*id, if h.shift == 0 { own } else { b.linear(&h.name, &[(own, 1)], h.shift)? });
    }
    let constants = homes.constants(k);
    let weight_places: BTreeMap<NodeId, usize> = whole.weights().enumerate().map(|(place, id)| (id, place)).collect();
    let mut weights = Vec::new();
    let mut delays = Vec::new();
    for (i, node) in whole.nodes().iter().enumerate() {
        let id = NodeId(i);
        if map.contains_key(&id) || !(constants[i] || homes.of(id) == Some(k)) {
            continue;
        }
        let op = match &node.op {
            Op::Lookup(op) => {
                let table = b.table(op.table(whole.tables())?.clone())?;
                Op::Lookup(Lookup { table, shift: op.shift })
            }
            other => other.clone(),
        };
        let known = if matches!(op, Op::Delay(_)) { node.inputs.get(..1).unwrap_or(&[]) } else { &node.inputs };
        let own: Vec<NodeId> = known.iter().filter_map(|i| map.get(i).copied()).collect();
        let own = b.push(&node.name, op, &own)?;
        weights.extend(weight_places.get(&id));
        if let (Op::Delay(_), Some(state)) = (&node.op, node.inputs.get(1)) {
            delays.push((own, *state));
        }
        map.insert(id, own);
    }
    let own = |id: &NodeId| {
        map.get(id).copied().ok_or_else(|| GraphError::Parameter(format!("node {} is not computed here", id.0)))
    };
    for (delay, state) in delays {
        b.connect(delay, own(&state)?)?;
    }
    let mut boundary = Vec::with_capacity(held.len());
    let mut outputs = Vec::new();
    if last {
        outputs = whole.outputs().iter().map(own).collect::<Result<_, _>>()?;
    }
    for id in held {
        let node = b.node(own(id)?);
        let (bits, shift) = width(node.range).ok_or_else(|| {
            let (lo, hi) = (node.range.lo, node.range.hi);
            GraphError::Parameter(format!("values from {lo} to {hi} at a boundary; at most {MAX_BITS} bits"))
                .at(&node.name, node.op.name())
        })?;
        let (shape, name) = (node.shape.clone(), stack_name(*id, &node.name));
        let value = own(id)?;
        outputs.push(if shift == 0 { value } else { b.linear(&name, &[(value, 1)], -shift)? });
        boundary.push(Held { node: *id, name, shape, bits, shift });
    }
    Ok(Segment { graph: b.finish(inputs, outputs)?, weights, wires: Wires { reads: places, boundary } })
}

/// Whether the graph of segment `k` hangs together with the others as these wires say: what it reads and writes is called as the boundaries'
/// tensors are, whose names hold their numbers in the whole. Wires that come from elsewhere may connect other tensors.
///
/// # Errors
/// The first thing that differs.
pub fn fits(segments: &[Wires], k: usize, graph: &Graph) -> Result<(), GraphError> {
    let bad = |what: String| Err(GraphError::Parameter(format!("segment {}: {what}", k + 1)));
    let (Some(wires), last) = (segments.get(k), k + 1 == segments.len()) else {
        return bad("there is none".to_owned());
    };
    // The first one has the whole's inputs, the last one the whole's outputs.
    if (k == 0) != wires.reads.is_empty() || (k > 0 && wires.reads.len() != graph.inputs().len()) {
        return bad(format!("{} of its {} inputs come from other segments", wires.reads.len(), graph.inputs().len()));
    }
    for ((from, place), id) in wires.reads.iter().zip(graph.inputs()) {
        let node = graph.node(*id);
        let held = segments.get(*from).filter(|_| *from < k).and_then(|s| s.boundary.get(*place));
        match held {
            Some(h) if (h.name.as_str(), h.shape.as_slice()) == (node.name.as_str(), node.shape.as_slice()) => {}
            Some(h) => {
                return bad(format!(
                    "its input '{}' {:?} would be what segment {} calls '{}' {:?}",
                    node.name,
                    node.shape,
                    from + 1,
                    h.name,
                    h.shape
                ));
            }
            None => return bad(format!("its input '{}' is at no boundary before it", node.name)),
        }
    }
    if last != wires.boundary.is_empty() || (!last && wires.boundary.len() != graph.outputs().len()) {
        return bad(format!(
            "{} tensors are at its boundary, it has {} outputs",
            wires.boundary.len(),
            graph.outputs().len()
        ));
    }
    for (h, id) in wires.boundary.iter().zip(graph.outputs()) {
        let node = graph.node(*id);
        // A shift is a node of its own, which is called like the tensor.
        let name = if h.shift == 0 { stack_name(h.node, &node.name) } else { node.name.clone() };
        let expected = width(node.range).is_some_and(|(bits, _)| bits <= h.bits);
        if (h.name.as_str(), h.shape.as_slice()) != (name.as_str(), node.shape.as_slice()) || !expected {
            return bad(format!("its output '{}' is not the tensor '{}' of its boundary", node.name, h.name));
        }
        if !h.name.starts_with(&format!("{} ", h.node.0)) {
            return bad(format!("the tensor '{}' is not node {}", h.name, h.node.0));
        }
    }
    Ok(())
}

/// A node's number and as much of its name as a stack takes.
fn stack_name(id: NodeId, name: &str) -> String {
    let end = (0..=name.len().min(200)).rev().find(|n| name.is_char_boundary(*n)).unwrap_or(0);
    format!("{} {}", id.0, name.get(..end).unwrap_or_default())
}

/// The boundary's schema for a batch, in rows of `2^row_bits` values.
///
/// # Errors
/// As [`Schema::new`].
pub fn schema(boundary: &[Held], batch: usize, row_bits: u8) -> Result<Schema, GraphError> {
    let tensor =
        |h: &Held| SchemaTensor { name: h.name.clone(), shape: [&[batch], h.shape.as_slice()].concat(), bits: h.bits };
    Schema::new(row_bits, boundary.iter().map(tensor).collect())
}

/// The stacks of a segment's key: the boundaries that it reads, in order, and behind them its own.
///
/// # Errors
/// A segment that is not there, or a boundary that no stack holds.
pub fn named(segments: &[Wires], k: usize, batch: usize, row_bits: u8) -> Result<Vec<NamedStack>, GraphError> {
    let missing = |k: usize| GraphError::Parameter(format!("there is no segment {}", k + 1));
    let segment = segments.get(k).ok_or_else(|| missing(k))?;
    let mut out = Vec::new();
    for from in segment.reads.iter().map(|r| r.0).collect::<BTreeSet<_>>() {
        let boundary = &segments.get(from).ok_or_else(|| missing(from))?.boundary;
        let role = |t| segment.reads.iter().position(|r| *r == (from, t)).map(Role::Input);
        let roles = (0..boundary.len()).map(role).collect();
        out.push(NamedStack { name: boundary_name(from), schema: schema(boundary, batch, row_bits)?, roles });
    }
    if !segment.boundary.is_empty() {
        let roles = (0..segment.boundary.len()).map(|t| Some(Role::Output(t))).collect();
        out.push(NamedStack { name: boundary_name(k), schema: schema(&segment.boundary, batch, row_bits)?, roles });
    }
    Ok(out)
}
