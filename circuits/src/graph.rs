//! The quantized integer graph: the statement of a proof.

use crate::{
    canonical,
    error::GraphError,
    interval::Interval,
    ops::{Concat, Delay, Gather, Input, Linear, Lookup, Op, OpClass, Reshape, Weight, Window, advice::Part},
    ramp::{Ramp, refine},
    schedule::{Step, schedule},
    table::{Table, TableId},
    tensor::{MAX_EXTENT, Tensor, any_outside},
};
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, collections::HashMap};

/// Index of a node within its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub usize);

/// One operator with its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Name for people, taken from the source model.
    pub name: String,
    /// The operator.
    pub op: Op,
    /// Inputs; all come earlier in the graph, but for the state of a delay.
    pub inputs: Vec<NodeId>,
    /// Extents of the output; derived.
    #[serde(skip)]
    pub shape: Vec<usize>,
    /// Worst-case values of the output; derived from the range checks alone.
    #[serde(skip, default = "unknown_range")]
    pub range: Interval,
    /// Whether no input of the model reaches this node; derived.
    #[serde(skip)]
    pub constant: bool,
    /// Whether a bilinear operator lies between this node and the committed tensors; derived.
    #[serde(skip)]
    pub bilinear: bool,
    /// Whether this is a lookup that cuts its input off below zero; derived.
    #[serde(skip)]
    pub ramp: Option<Ramp>,
}

fn unknown_range() -> Interval {
    Interval { lo: 0, hi: 0 }
}

/// A validated graph. Its canonical bytes leave out everything that is derived, and hold no weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// Nodes in topological order, but for the states of delays.
    nodes: Vec<Node>,
    /// Input nodes, in the model's order.
    inputs: Vec<NodeId>,
    /// Output nodes, in the model's order.
    outputs: Vec<NodeId>,
    /// The tables that lookups use.
    tables: Vec<Table>,
    /// Remainders are cut in limbs of at most this many bits, 4 to 16.
    limb_bits: u32,
    /// The order of computation where it is not that of the nodes; derived.
    #[serde(skip)]
    steps: Vec<Step>,
}

/// Most nodes that a graph may have.
pub const MAX_NODES: usize = 1 << 16;
/// Most keys of the tables of all lookups together; it bounds the time to decode a graph.
pub const MAX_KEYS_READ: u64 = 1 << 30;

/// Whether a name can be shown as it is: with control characters whoever chose it could write over what a terminal shows.
pub fn printable(name: &str) -> bool {
    !name.chars().any(char::is_control)
}

impl Graph {
    /// Nodes in topological order, but for the states of delays.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Input nodes.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// Output nodes.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// The tables.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Largest width of a remainder's limb.
    pub fn limb_bits(&self) -> u32 {
        self.limb_bits
    }

    /// The steps that compute all nodes; empty where their own order will do, which is so without delays.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Weight nodes, in order: the order of a model's weight tensors.
    pub fn weights(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().enumerate().filter(|(_, n)| matches!(n.op, Op::Weight(_))).map(|(i, _)| NodeId(i))
    }

    /// Multiply-adds of all contractions: the unit of proven work.
    pub fn multiply_adds(&self) -> u128 {
        self.nodes.iter().map(|n| if let Op::Contraction(c) = &n.op { c.multiply_adds() } else { 0 }).sum()
    }

    /// Number of weight values.
    pub fn parameters(&self) -> usize {
        self.weights().map(|id| self.node(id).shape.iter().product::<usize>()).sum()
    }

    /// Canonical bytes (docs/protocol.md#encoding).
    pub fn to_bytes(&self) -> Result<Vec<u8>, GraphError> {
        canonical::to_bytes(self)
    }

    /// Decodes and validates canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GraphError> {
        let mut g: Self = canonical::from_bytes(bytes)?;
        g.derive()?;
        Ok(g)
    }

    /// Recomputes shapes and ranges and checks every rule of the graph.
    fn derive(&mut self) -> Result<(), GraphError> {
        if self.nodes.len() > MAX_NODES {
            return Err(GraphError::Parameter(format!("{} nodes; at most {MAX_NODES}", self.nodes.len())));
        }
        if !(4..=16).contains(&self.limb_bits) {
            return Err(GraphError::Parameter(format!("limbs of {} bits; 4 to 16 are possible", self.limb_bits)));
        }
        for t in &self.tables {
            t.validate()?;
        }
        if self.inputs.len() > self.nodes.len() || self.outputs.len() > self.nodes.len() {
            return Err(GraphError::Parameter("more inputs or outputs than nodes".to_owned()));
        }
        let mut elements = 0u64;
        let mut keys = 0u64;
        for i in 0..self.nodes.len() {
            let (done, rest) = self.nodes.split_at_mut(i);
            let Some(node) = rest.first_mut() else { break };
            if let Op::Lookup(op) = &node.op {
                // The range of a lookup is read off its table.
                keys += op.table(&self.tables)?.values.len() as u64;
                if keys > MAX_KEYS_READ {
                    return Err(GraphError::Parameter(format!("lookups read more than {MAX_KEYS_READ} table keys")));
                }
            }
            if !printable(&node.name) {
                return Err(GraphError::Parameter(format!("the name of node {i} has control characters")));
            }
            derive_node(node, done, &self.tables).map_err(|e| e.at(&node.name, node.op.name()))?;
            elements += node.shape.iter().product::<usize>() as u64;
            if elements > 1 << 31 {
                return Err(GraphError::Parameter("more than 2^31 values in all".to_owned()));
            }
        }
        let declared: Vec<usize> = self.inputs.iter().map(|i| i.0).collect();
        for (i, n) in self.nodes.iter().enumerate() {
            let listed = declared.iter().filter(|d| **d == i).count();
            if listed != usize::from(matches!(n.op, Op::Input(_))) {
                return Err(GraphError::Parameter(format!("node '{}' and the list of inputs disagree", n.name)));
            }
        }
        if self.outputs.is_empty() || declared.is_empty() {
            return Err(GraphError::Parameter("a graph needs an input and an output".to_owned()));
        }
        if declared.iter().chain(self.outputs.iter().map(|o| &o.0)).any(|i| *i >= self.nodes.len()) {
            return Err(GraphError::Parameter("an input or output that does not exist".to_owned()));
        }
        for node in &self.nodes {
            if let Op::Delay(delay) = &node.op {
                // The range of a state is read off its table, for each delay again.
                if let Some(Op::Lookup(op)) = node.inputs.get(1).and_then(|s| self.nodes.get(s.0)).map(|n| &n.op) {
                    keys += op.table(&self.tables)?.values.len() as u64;
                    if keys > MAX_KEYS_READ {
                        return Err(GraphError::Parameter(format!("delays read more than {MAX_KEYS_READ} table keys")));
                    }
                }
                self.check_state(node, delay).map_err(|e| e.at(&node.name, node.op.name()))?;
            }
        }
        self.steps = schedule(&self.nodes)?;
        Ok(())
    }

    /// Checks the state of a delay, which may come later in the graph than the delay.
    fn check_state(&self, node: &Node, delay: &Delay) -> Result<(), GraphError> {
        let [_, state] = node.inputs.as_slice() else {
            return Err(GraphError::Arity { expected: 2, got: node.inputs.len() });
        };
        let state = self
            .nodes
            .get(state.0)
            .ok_or_else(|| GraphError::Parameter(format!("its state, node {}, does not exist", state.0)))?;
        if state.shape != node.shape {
            return Err(GraphError::Shape { expected: node.shape.clone(), got: state.shape.clone() });
        }
        // The range that is proven of the state by itself: nothing that was derived through the cycle enters.
        let proven = match &state.op {
            Op::Lookup(op) => op.table(&self.tables)?.image(),
            Op::Input(op) => op.range(),
            other => {
                let what = format!("its state '{}' is a {}, which is not committed", state.name, other.name());
                return Err(GraphError::Parameter(what));
            }
        };
        if !delay.declared().contains(proven) {
            return Err(GraphError::Parameter(format!(
                "the declared range [{}, {}] does not hold the values [{}, {}] of its state '{}'",
                delay.lo, delay.hi, proven.lo, proven.hi, state.name
            )));
        }
        Ok(())
    }

    /// The graph for `batch` independent inputs in one proof: every tensor that depends on an input gets one more axis in
    /// front, weights and tables stay as they are.
    pub fn batched(&self, batch: usize) -> Result<Self, GraphError> {
        if batch == 0 || batch > 1 << 16 {
            return Err(GraphError::Parameter(format!("a batch of {batch}; 1 to 65536 are possible")));
        }
        let mut b = GraphBuilder { graph: Self { nodes: vec![], ..self.clone() } };
        let mut map: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        let mut repeated: HashMap<NodeId, NodeId> = HashMap::new();
        for node in &self.nodes {
            let constant: Vec<bool> = node.inputs.iter().map(|i| self.node(*i).constant).collect();
            // The state of a delay is joined to it below, when its place is known.
            let known = if matches!(node.op, Op::Delay(_)) { &node.inputs[..1] } else { &node.inputs[..] };
            let mut inputs: Vec<NodeId> = known.iter().map(|i| map[i.0]).collect();
            let op = if node.constant { node.op.clone() } else { node.op.batched(batch, &constant)? };
            let shared = |g: &Gather| g.leading == 0 && constant.first().copied().unwrap_or(false);
            let spread = match &node.op {
                Op::Linear(_) | Op::Concat(_) | Op::Delay(_) | Op::Divide(_) => true,
                Op::Gather(g) => !shared(g),
                _ => false,
            };
            if !node.constant && spread {
                for (slot, is_constant) in inputs.iter_mut().zip(&constant) {
                    if !*is_constant {
                        continue;
                    }
                    if let Some(known) = repeated.get(slot) {
                        *slot = *known;
                        continue;
                    }
                    let mut shape = vec![1];
                    shape.extend_from_slice(&b.graph.node(*slot).shape);
                    let r = b.push(&node.name, Op::Reshape(Reshape { shape }), &[*slot])?;
                    let wide = b.push(&node.name, Op::Window(Window::broadcast(0, batch)), &[r])?;
                    repeated.insert(*slot, wide);
                    *slot = wide;
                }
            }
            map.push(b.push(&node.name, op, &inputs)?);
        }
        for (node, id) in self.nodes.iter().zip(&map) {
            if let (Op::Delay(_), Some(state)) = (&node.op, node.inputs.get(1)) {
                b.connect(*id, map[state.0])?;
            }
        }
        let remap = |ids: &[NodeId]| ids.iter().map(|i| map[i.0]).collect::<Vec<_>>();
        let (inputs, outputs) = (remap(&self.inputs), remap(&self.outputs));
        b.finish(inputs, outputs)
    }

    /// The graph for `batch` independent inputs, as [`Self::batched`], where each of them has inputs of its own: all inputs of
    /// the first, then all of the second, each with an axis of extent 1 in front. Outputs have the whole batch. A batch of one
    /// is this graph, without the axis.
    ///
    /// # Errors
    /// As [`Self::batched`].
    pub fn batched_apart(&self, batch: usize) -> Result<Self, GraphError> {
        if batch == 1 {
            return Ok(self.clone());
        }
        let wide = self.batched(batch)?;
        let mut b = GraphBuilder { graph: Self { nodes: vec![], ..wide.clone() } };
        let mut map: Vec<NodeId> = Vec::with_capacity(wide.nodes.len());
        let mut apart: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
        for (at, node) in wide.nodes.iter().enumerate() {
            let Op::Input(input) = &node.op else {
                let known = if matches!(node.op, Op::Delay(_)) { &node.inputs[..1] } else { &node.inputs[..] };
                let inputs: Vec<NodeId> = known.iter().map(|i| map[i.0]).collect();
                map.push(b.push(&node.name, node.op.clone(), &inputs)?);
                continue;
            };
            let mut shape = node.shape.clone();
            shape[0] = 1;
            let parts: Vec<NodeId> = (0..batch)
                .map(|i| b.input(&format!("{} {i}", node.name), &shape, input.bits))
                .collect::<Result<_, _>>()?;
            map.push(b.push(&node.name, Op::Concat(Concat { axis: 0 }), &parts)?);
            apart.insert(NodeId(at), parts);
        }
        for (node, id) in wide.nodes.iter().zip(&map) {
            if let (Op::Delay(_), Some(state)) = (&node.op, node.inputs.get(1)) {
                b.connect(*id, map[state.0])?;
            }
        }
        let mut inputs = Vec::with_capacity(batch * wide.inputs.len());
        for i in 0..batch {
            inputs.extend(wide.inputs.iter().filter_map(|id| apart.get(id).and_then(|parts| parts.get(i))));
        }
        let outputs = wide.outputs.iter().map(|i| map[i.0]).collect();
        b.finish(inputs, outputs)
    }
}

fn derive_node(node: &mut Node, done: &[Node], tables: &[Table]) -> Result<(), GraphError> {
    let recurrent = matches!(node.op, Op::Delay(_));
    // What a delay's state is, is checked when all nodes are known.
    let known = if recurrent { node.inputs.get(..1).unwrap_or(&[]) } else { &node.inputs };
    let mut inputs = Vec::with_capacity(known.len());
    for i in known {
        inputs.push(done.get(i.0).ok_or_else(|| GraphError::Parameter(format!("input {} comes later", i.0)))?);
    }
    let shapes: Vec<&[usize]> = inputs.iter().map(|n| n.shape.as_slice()).collect();
    let ranges: Vec<Interval> = inputs.iter().map(|n| n.range).collect();
    node.shape = node.op.infer(&shapes, tables)?;
    if node.shape.len() > 12 {
        return Err(GraphError::Parameter(format!("a tensor of rank {}; at most 12", node.shape.len())));
    }
    if let Some(extent) = node.shape.iter().find(|d| **d > MAX_EXTENT) {
        return Err(GraphError::Parameter(format!("an axis of extent {extent}; at most {MAX_EXTENT}")));
    }
    node.range = node.op.range(&ranges, &shapes, tables)?.checked()?;
    node.ramp = match (&node.op, ranges.first()) {
        (Op::Lookup(op), Some(input)) => Ramp::of(op, *input, tables),
        _ => None,
    };
    if let Op::Linear(op) = &node.op
        && let Some(r) = refine(op, node, done)
    {
        node.range = Interval { lo: node.range.lo.max(r.lo), hi: node.range.hi.min(r.hi) };
    }
    if let (Op::Contraction(c), [a, b]) = (&node.op, node.inputs.as_slice())
        && a == b
        && c.sums_pairs()
    {
        // Every summand is a square.
        node.range.lo = node.range.lo.max(0);
    }
    node.constant = !recurrent
        && if inputs.is_empty() { matches!(node.op, Op::Weight(_)) } else { inputs.iter().all(|n| n.constant) };
    let below = inputs.iter().any(|n| n.bilinear);
    node.bilinear = match node.op.class() {
        OpClass::Committed => false,
        OpClass::Linear => below,
        OpClass::Bilinear => {
            if below {
                return Err(GraphError::Pullback(
                    "an operand is the result of another contraction; a lookup must commit it first".to_owned(),
                ));
            }
            true
        }
    };
    if matches!(node.op, Op::Lookup(_) | Op::Divide(_) | Op::Root(_) | Op::Gather(_)) && node.constant {
        return Err(GraphError::Parameter("a lookup of constants; fold it".to_owned()));
    }
    // Products of committed advice are operands of the bilinear sumcheck.
    for check in node.op.checks(&ranges)?.into_iter().flatten() {
        for m in check.terms.iter().filter(|m| m.times.is_some()) {
            for part in [Some(m.of), m.times].into_iter().flatten() {
                let below = |i: usize| inputs.get(i).is_some_and(|n| n.bilinear);
                if matches!(part, Part::Input(i) if below(i)) {
                    return Err(GraphError::Pullback(
                        "a divisor is the result of a contraction; a lookup must commit it first".to_owned(),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Builds a graph node by node; shapes and ranges are checked as they come.
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty graph whose remainders are cut in limbs of at most `limb_bits` bits.
    pub fn new(limb_bits: u32) -> Self {
        Self {
            graph: Graph { nodes: vec![], inputs: vec![], outputs: vec![], tables: vec![], limb_bits, steps: vec![] },
        }
    }

    /// Goes on from a graph: its nodes and tables keep their numbers, its lists are given anew to [`Self::finish`].
    pub fn from_graph(graph: &Graph) -> Self {
        Self { graph: graph.clone() }
    }

    /// Adds a node.
    pub fn push(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let mut node = Node {
            name: name.replace(char::is_control, "\u{fffd}"),
            op,
            inputs: inputs.to_vec(),
            shape: vec![],
            range: unknown_range(),
            constant: false,
            bilinear: false,
            ramp: None,
        };
        derive_node(&mut node, &self.graph.nodes, &self.graph.tables).map_err(|e| e.at(name, node.op.name()))?;
        self.graph.nodes.push(node);
        Ok(NodeId(self.graph.nodes.len() - 1))
    }

    /// Adds an input.
    pub fn input(&mut self, name: &str, shape: &[usize], bits: u32) -> Result<NodeId, GraphError> {
        self.push(name, Op::Input(Input { shape: shape.to_vec(), bits }), &[])
    }

    /// Adds a weight tensor.
    pub fn weight(&mut self, name: &str, shape: &[usize], bits: u32) -> Result<NodeId, GraphError> {
        self.push(name, Op::Weight(Weight { shape: shape.to_vec(), bits }), &[])
    }

    /// Adds an integer combination.
    pub fn linear(&mut self, name: &str, terms: &[(NodeId, i64)], offset: i64) -> Result<NodeId, GraphError> {
        let inputs: Vec<NodeId> = terms.iter().map(|t| t.0).collect();
        let coefficients = terms.iter().map(|t| t.1).collect();
        self.push(name, Op::Linear(Linear { coefficients, offset }), &inputs)
    }

    /// Adds a lookup, and its table unless an equal one is there.
    pub fn lookup(&mut self, name: &str, input: NodeId, shift: u32, table: Table) -> Result<NodeId, GraphError> {
        let table = self.table(table)?;
        self.push(name, Op::Lookup(Lookup { table, shift }), &[input])
    }

    /// Adds a delay of `len` steps along `axis`, where `init` has extent one; its state, with values in `lo..=hi`, follows by
    /// [`Self::connect`].
    pub fn delay(
        &mut self,
        name: &str,
        init: NodeId,
        axis: usize,
        len: usize,
        (lo, hi): (i64, i64),
    ) -> Result<NodeId, GraphError> {
        self.push(name, Op::Delay(Delay { axis, len, lo, hi }), &[init])
    }

    /// Gives a delay its state: a lookup or an input, which may come later in the graph.
    ///
    /// # Errors
    /// A node that is no delay, or has its state. Whether the state fits is checked by [`Self::finish`].
    pub fn connect(&mut self, delay: NodeId, state: NodeId) -> Result<(), GraphError> {
        match self.graph.nodes.get_mut(delay.0) {
            Some(node) if matches!(node.op, Op::Delay(_)) && node.inputs.len() == 1 => node.inputs.push(state),
            _ => return Err(GraphError::Parameter(format!("node {} is no delay without a state", delay.0))),
        }
        Ok(())
    }

    /// Adds a table unless one with the same keys and values is there.
    pub fn table(&mut self, table: Table) -> Result<TableId, GraphError> {
        table.validate()?;
        let known = self.graph.tables.iter().position(|t| t.key_min == table.key_min && t.values == table.values);
        Ok(TableId(known.unwrap_or_else(|| {
            self.graph.tables.push(table);
            self.graph.tables.len() - 1
        })))
    }

    /// The tables so far.
    pub fn tables(&self) -> &[Table] {
        &self.graph.tables
    }

    /// The node just built, for its shape and range.
    pub fn node(&self, id: NodeId) -> &Node {
        self.graph.node(id)
    }

    /// Number of nodes so far.
    pub fn len(&self) -> usize {
        self.graph.nodes.len()
    }

    /// Whether no node has been added.
    pub fn is_empty(&self) -> bool {
        self.graph.nodes.is_empty()
    }

    /// The finished graph.
    pub fn finish(mut self, inputs: Vec<NodeId>, outputs: Vec<NodeId>) -> Result<Graph, GraphError> {
        self.graph.inputs = inputs;
        self.graph.outputs = outputs;
        self.graph.derive()?;
        Ok(self.graph)
    }
}

/// Checks that weight tensors fit a graph: one per [`Weight`] node, in order, in shape and in range.
pub fn check_weights<T: Borrow<Tensor>>(graph: &Graph, weights: &[T]) -> Result<(), GraphError> {
    check_each(graph, weights, check_tensor)
}

/// As [`check_weights`], but for the ranges.
pub(crate) fn check_shapes(graph: &Graph, weights: &[Tensor]) -> Result<(), GraphError> {
    check_each(graph, weights, check_shape)
}

fn check_each<T: Borrow<Tensor>>(
    graph: &Graph,
    weights: &[T],
    check: impl Fn(&Node, &Tensor) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    let ids: Vec<NodeId> = graph.weights().collect();
    if ids.len() != weights.len() {
        return Err(GraphError::Arity { expected: ids.len(), got: weights.len() });
    }
    for (id, t) in ids.iter().zip(weights) {
        let node = graph.node(*id);
        check(node, t.borrow()).map_err(|e| e.at(&node.name, node.op.name()))?;
    }
    Ok(())
}

fn check_shape(node: &Node, t: &Tensor) -> Result<(), GraphError> {
    if node.shape != t.shape {
        return Err(GraphError::Shape { expected: node.shape.clone(), got: t.shape.clone() });
    }
    let n: usize = t.shape.iter().product();
    if n != t.data.len() {
        return Err(GraphError::Length { expected: n, got: t.data.len() });
    }
    Ok(())
}

/// Checks a tensor against the shape and range of a source node.
pub fn check_tensor(node: &Node, t: &Tensor) -> Result<(), GraphError> {
    check_shape(node, t)?;
    check_range(node, &t.data)
}

/// Checks values against the range of a source node.
pub(crate) fn check_range(node: &Node, values: &[i64]) -> Result<(), GraphError> {
    let narrow = |v: i128| v.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
    let (lo, hi) = (narrow(node.range.lo), narrow(node.range.hi));
    let possible = node.range.lo <= i128::from(i64::MAX) && node.range.hi >= i128::from(i64::MIN);
    if possible && !any_outside(values, lo, hi) {
        return Ok(());
    }
    let outside = |v: &i64| *v < lo || *v > hi;
    match values.iter().find(|v| !possible || outside(v)) {
        Some(value) => Err(GraphError::OutOfRange { value: *value, lo: node.range.lo, hi: node.range.hi }),
        None => Ok(()),
    }
}
