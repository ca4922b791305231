//! The order in which the nodes of a graph are computed, and what makes a recurrence meaningful (docs/protocol.md#time).
//!
//! A [`Delay`](crate::ops::Delay) may name a state that comes later in the graph. Nodes that reach each other form a *cycle*;
//! it is computed slice by slice along an axis of time, everything else node by node. A cycle is accepted only if each of its
//! operators acts on each slice by itself: then slice `t` follows from slice `t - 1`, so its values exist and are unique.

use crate::{
    error::GraphError,
    graph::{Node, NodeId},
    ops::{AxisExpr, Contraction, Op},
    tensor::Tensor,
};
use std::borrow::Cow;

/// One step of a computation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A node, from whole tensors.
    Node(usize),
    /// Nodes that depend on each other, slice by slice.
    Cycle(Cycle),
}

/// Nodes that reach each other, in an order in which each slice can be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Number of slices.
    pub len: usize,
    /// The nodes, in the order of the graph, with their axis of time.
    pub nodes: Vec<(usize, usize)>,
}

impl Cycle {
    /// The axis of time of a node of this cycle.
    fn axis(&self, node: usize) -> Option<usize> {
        self.nodes.binary_search_by_key(&node, |(n, _)| *n).ok().and_then(|k| self.nodes.get(k)).map(|(_, a)| *a)
    }
}

/// The steps of a graph, sources and operators alike; empty where the order of the nodes will do.
///
/// # Errors
/// A recurrence that mixes slices, or whose initial state depends on itself.
pub(crate) fn schedule(nodes: &[Node]) -> Result<Vec<Step>, GraphError> {
    if !nodes.iter().any(|n| matches!(n.op, Op::Delay(_))) {
        return Ok(vec![]);
    }
    let mut steps = Vec::with_capacity(nodes.len());
    for mut component in components(nodes) {
        component.sort_unstable();
        match component.as_slice() {
            [one] => steps.push(Step::Node(*one)),
            many => steps.push(Step::Cycle(cycle(nodes, many)?)),
        }
    }
    Ok(steps)
}

/// Strongly connected components, each after those that it reads (Tarjan, SIAM J. Comput. 1972, without recursion).
fn components(nodes: &[Node]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let n = nodes.len();
    let (mut index, mut low, mut on_stack) = (vec![UNSEEN; n], vec![0usize; n], vec![false; n]);
    let (mut stack, mut out, mut next) = (Vec::new(), Vec::new(), 0);
    for root in 0..n {
        if index[root] != UNSEEN {
            continue;
        }
        // Node and how many of its inputs are done.
        let mut path = vec![(root, 0usize)];
        while let Some((v, done)) = path.last_mut() {
            let v = *v;
            if *done == 0 {
                index[v] = next;
                low[v] = next;
                next += 1;
                stack.push(v);
                on_stack[v] = true;
            }
            // A delay of one step does not read its state.
            let read = if matches!(&nodes[v].op, Op::Delay(d) if d.len == 1) { 1 } else { usize::MAX };
            if let Some(w) = nodes[v].inputs.get(*done).filter(|_| *done < read) {
                *done += 1;
                let w = w.0;
                if index[w] == UNSEEN {
                    path.push((w, 0));
                } else if on_stack[w] {
                    low[v] = low[v].min(index[w]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                low[*parent] = low[*parent].min(low[v]);
            }
            if low[v] == index[v] {
                let mut component = Vec::new();
                while let Some(w) = stack.pop() {
                    on_stack[w] = false;
                    component.push(w);
                    if w == v {
                        break;
                    }
                }
                out.push(component);
            }
        }
    }
    out
}

/// Finds the axis of time of every node of a cycle, given in the order of the graph.
fn cycle(nodes: &[Node], members: &[usize]) -> Result<Cycle, GraphError> {
    let mut out = Cycle { len: 0, nodes: Vec::with_capacity(members.len()) };
    for id in members {
        let node = &nodes[*id];
        let at = |e: GraphError| e.at(&node.name, node.op.name());
        let axis = match &node.op {
            Op::Delay(d) => {
                if members.binary_search(&node.inputs[0].0).is_ok() {
                    return Err(at(recurrence("its initial state depends on its own later state")));
                }
                if out.len != 0 && out.len != d.len {
                    let what = format!("{} steps in a recurrence of {}", d.len, out.len);
                    return Err(at(GraphError::Parameter(what)));
                }
                out.len = d.len;
                d.axis
            }
            op => {
                let inside: Vec<Option<usize>> = node.inputs.iter().map(|i| out.axis(i.0)).collect();
                time_axis(op, nodes, node, &inside, out.len).map_err(at)?
            }
        };
        out.nodes.push((*id, axis));
    }
    for id in members {
        let node = &nodes[*id];
        if let (Op::Delay(d), Some(state)) = (&node.op, node.inputs.get(1))
            && out.axis(state.0) != Some(d.axis)
        {
            return Err(recurrence("time is another axis in its state").at(&node.name, node.op.name()));
        }
    }
    Ok(out)
}

fn recurrence(what: &str) -> GraphError {
    GraphError::Parameter(format!("a recurrence must act on each step by itself: {what}"))
}

/// The axis of time of an operator's output, from those of its inputs (`None`: the input lies outside the cycle).
fn time_axis(op: &Op, nodes: &[Node], node: &Node, inside: &[Option<usize>], len: usize) -> Result<usize, GraphError> {
    let mut known = inside.iter().flatten().copied();
    let first = known.next().ok_or_else(|| recurrence("no input"))?;
    let same = known.all(|a| a == first);
    let shape = |i: usize| node.inputs.get(i).and_then(|n| nodes.get(n.0)).map_or(&[][..], |n| &n.shape);
    match op {
        Op::Lookup(_) | Op::Root(_) => Ok(first),
        Op::Linear(_) | Op::Divide(_) if same => Ok(first),
        Op::Linear(_) | Op::Divide(_) => Err(recurrence("tensors with different axes of time are combined")),
        Op::Concat(c) if same && c.axis != first => Ok(first),
        Op::Concat(_) => Err(recurrence("steps are concatenated")),
        Op::Window(w) if w.axis != first => Ok(first),
        Op::Window(_) => Err(recurrence("a window over steps")),
        Op::Remap(r) if r.axis != first => Ok(first),
        Op::Remap(_) => Err(recurrence("steps are rearranged")),
        Op::AxisScale(s) if s.axis != first => Ok(first),
        Op::AxisScale(_) => Err(recurrence("steps are scaled by different factors")),
        Op::Gather(g) => {
            let (table, index) = (inside.first().copied().flatten(), inside.get(1).copied().flatten());
            match (table, index) {
                (None, Some(axis)) => Ok(axis),
                // Both at the same step of a common axis.
                (Some(axis), other) if axis < g.leading && other.is_none_or(|o| o == axis) => Ok(axis),
                _ => Err(recurrence("rows of other steps are gathered")),
            }
        }
        Op::Transpose(t) => {
            t.permutation.iter().position(|p| *p == first).ok_or_else(|| recurrence("time is no axis of the result"))
        }
        Op::Reshape(r) => {
            let before: usize = shape(0).iter().take(first).product();
            let mut outer = 1usize;
            for (axis, extent) in r.shape.iter().enumerate() {
                if outer == before && *extent == len {
                    return Ok(axis);
                }
                outer *= extent;
            }
            Err(recurrence("a reshape merges or splits the axis of time"))
        }
        Op::Contraction(c) => {
            let index = time_index(c, inside)?;
            let exact = |axis: &AxisExpr| *axis == AxisExpr::index(index);
            for (side, axes) in [(0, &c.lhs), (1, &c.rhs)] {
                let holder = axes.iter().position(|a| a.terms.iter().any(|(i, _)| *i == index));
                match (inside.get(side).copied().flatten(), holder) {
                    (Some(axis), Some(h)) if axis != h => return Err(recurrence("operands at different steps")),
                    (Some(_), None) => return Err(recurrence("operands at different steps")),
                    (_, Some(h)) if !axes.get(h).is_some_and(exact) || shape(side).get(h) != Some(&len) => {
                        return Err(recurrence("an operand is read at other steps"));
                    }
                    _ => {}
                }
            }
            let out = c.out.iter().position(|a| a.terms.iter().any(|(i, _)| *i == index));
            let out = out.ok_or_else(|| recurrence("a sum over steps"))?;
            if c.extents.get(index) != Some(&len) || !c.out.get(out).is_some_and(exact) {
                return Err(recurrence("the result's steps are not those of its operands"));
            }
            Ok(out)
        }
        Op::Input(_) | Op::Weight(_) | Op::Delay(_) => Err(recurrence("a source")),
    }
}

/// The index of a contraction that is time.
fn time_index(c: &Contraction, inside: &[Option<usize>]) -> Result<usize, GraphError> {
    for (side, axes) in [(0, &c.lhs), (1, &c.rhs)] {
        if let Some(axis) = inside.get(side).copied().flatten() {
            return match axes.get(axis).map(|a| (a.terms.as_slice(), a.offset)) {
                Some(([(index, 1)], 0)) => Ok(*index),
                _ => Err(recurrence("an operand is read at other steps")),
            };
        }
    }
    Err(recurrence("no input"))
}

/// What one node of a cycle needs for a slice.
struct Sliced {
    node: usize,
    axis: usize,
    op: Op,
    /// The shape of a slice of its output.
    shape: Vec<usize>,
    /// For each input: the axis to slice, or `None` for the whole tensor.
    inputs: Vec<(NodeId, Option<usize>)>,
}

impl Sliced {
    fn new(nodes: &[Node], cycle: &Cycle, id: usize, axis: usize) -> Result<Self, GraphError> {
        let node = nodes.get(id).ok_or_else(|| GraphError::Parameter(format!("node {id} does not exist")))?;
        let mut op = node.op.clone();
        let mut shape = node.shape.clone();
        shape[axis] = 1;
        let mut axes: Vec<Option<usize>> = node.inputs.iter().map(|i| cycle.axis(i.0)).collect();
        match &mut op {
            Op::Linear(_) | Op::Concat(_) | Op::Divide(_) => axes.iter_mut().for_each(|a| *a = Some(axis)),
            Op::Reshape(r) => r.shape.clone_from(&shape),
            // The index is read at this step; so is the table where the axis is common to both.
            Op::Gather(g) => {
                let common = (axis < g.leading).then_some(axis);
                axes.iter_mut().zip([common, Some(axis)]).for_each(|(slot, a)| *slot = a);
            }
            Op::Contraction(c) => {
                let index = time_index(c, &axes)?;
                for (slot, side) in axes.iter_mut().zip([&c.lhs, &c.rhs]) {
                    *slot = side.iter().position(|a| *a == AxisExpr::index(index));
                }
                c.extents[index] = 1;
            }
            _ => {}
        }
        Ok(Self { node: id, axis, op, shape, inputs: node.inputs.iter().copied().zip(axes).collect() })
    }
}

/// Computes the values of a cycle; `values` holds those of all nodes outside that it reads.
pub(crate) fn eval_cycle(
    nodes: &[Node],
    cycle: &Cycle,
    values: &mut [Option<Cow<'_, Tensor>>],
    tables: &[crate::table::Table],
) -> Result<(), GraphError> {
    let sliced: Vec<Sliced> =
        cycle.nodes.iter().map(|(id, axis)| Sliced::new(nodes, cycle, *id, *axis)).collect::<Result<_, _>>()?;
    for s in &sliced {
        values[s.node] = Some(Cow::Owned(Tensor::zeros(&nodes[s.node].shape)));
    }
    let missing = || GraphError::Parameter("a value that is computed later".to_owned());
    for t in 0..cycle.len {
        for s in &sliced {
            let mut args = Vec::with_capacity(s.inputs.len());
            for (id, axis) in &s.inputs {
                let whole = values.get(id.0).and_then(Option::as_deref).ok_or_else(missing)?;
                args.push(match (axis, &s.op) {
                    // The state of the step before; at the first step it is not read.
                    (Some(axis), Op::Delay(_)) => Cow::Owned(slice(whole, *axis, t.saturating_sub(1))),
                    (Some(axis), _) => Cow::Owned(slice(whole, *axis, t)),
                    (None, _) => Cow::Borrowed(whole),
                });
            }
            let value = match &s.op {
                Op::Delay(_) => args.swap_remove(usize::from(t > 0)).into_owned(),
                op => {
                    let refs: Vec<&Tensor> = args.iter().map(AsRef::as_ref).collect();
                    op.eval(&refs, &s.shape, tables).map_err(|e| e.at(&nodes[s.node].name, op.name()))?
                }
            };
            let whole = values.get_mut(s.node).and_then(Option::as_mut).ok_or_else(missing)?.to_mut();
            let (outer, len, inner) = whole.around(s.axis);
            for a in 0..outer {
                whole.data[(a * len + t) * inner..][..inner].copy_from_slice(&value.data[a * inner..][..inner]);
            }
        }
    }
    Ok(())
}

/// Slice `t` along an axis, which keeps extent one.
fn slice(whole: &Tensor, axis: usize, t: usize) -> Tensor {
    let (outer, len, inner) = whole.around(axis);
    let mut shape = whole.shape.clone();
    shape[axis] = 1;
    let mut data = Vec::with_capacity(outer * inner);
    for a in 0..outer {
        data.extend_from_slice(&whole.data[(a * len + t) * inner..][..inner]);
    }
    Tensor { shape, data }
}
