//! Tensors of named stacks, and what they are to the graph (docs/protocol.md#named-stacks).

use super::{Content, Link, NAMED, Stack, builder::Builder};
use crate::{
    error::GraphError,
    graph::NodeId,
    ops::Op,
    stack::{MAX_STACKS, NamedStack, Role, SchemaTensor},
};
use std::collections::BTreeSet;

impl Builder {
    /// Adds the named stacks. All tensors of a schema come in its order, so the places that they get are the schema's own.
    pub(super) fn named(&mut self, stacks: &[NamedStack]) -> Result<(), GraphError> {
        if stacks.len() > MAX_STACKS {
            return Err(GraphError::Parameter(format!("{} named stacks; at most {MAX_STACKS}", stacks.len())));
        }
        let mut seen = BTreeSet::new();
        for (k, stack) in stacks.iter().enumerate() {
            stack.schema.validate()?;
            if stack.roles.len() != stack.schema.tensors.len() {
                return Err(GraphError::Arity { expected: stack.schema.tensors.len(), got: stack.roles.len() });
            }
            if stack.schema.row_bits != stacks[0].schema.row_bits {
                return Err(GraphError::Parameter(format!(
                    "stack '{}' has rows of 2^{} values and stack '{}' of 2^{}; stacks of one proof have one row length",
                    stack.name, stack.schema.row_bits, stacks[0].name, stacks[0].schema.row_bits
                )));
            }
            self.program.stacks.push(Stack { bits: 0, label: "c(x)" });
            for (i, (t, role)) in stack.schema.tensors.iter().zip(&stack.roles).enumerate() {
                let named = Content::Named { stack: k, tensor: i };
                let Some(role) = role else {
                    self.tensor(named, NAMED + k, t.shape.clone());
                    continue;
                };
                if !seen.insert(*role) {
                    return Err(GraphError::Parameter(format!("{role:?} is in two places of the named stacks")));
                }
                let id = self.node_of(*role)?;
                self.fits(id, *role, t).map_err(|e| {
                    let node = self.program.graph.node(id);
                    e.at(&node.name, node.op.name())
                })?;
                let shape = self.program.graph.node(id).shape.clone();
                if let Role::Output(_) = role {
                    let tensor = self.tensor(named, NAMED + k, shape.clone());
                    self.program.links.push(Link { node: id, tensor, shape });
                } else {
                    self.program.node_tensor[id.0] = Some(self.program.tensors.len());
                    self.tensor(Content::Node(id), NAMED + k, shape);
                }
            }
        }
        Ok(())
    }

    fn node_of(&self, role: Role) -> Result<NodeId, GraphError> {
        let graph = &self.program.graph;
        let id = match role {
            Role::Input(i) => graph.inputs().get(i).copied(),
            Role::Output(i) => graph.outputs().get(i).copied(),
            Role::Weight(i) => graph.weights().nth(i),
        };
        id.ok_or_else(|| GraphError::Parameter(format!("{role:?} does not exist in this graph")))
    }

    /// Whether a tensor of a schema can be the value of a node of the batched graph.
    fn fits(&self, id: NodeId, role: Role, t: &SchemaTensor) -> Result<(), GraphError> {
        let node = self.program.graph.node(id);
        // An axis of one entry takes no place, so the batch's axis may be left out where the batch is one.
        let alone = self.program.batch == 1 && !matches!(role, Role::Weight(_));
        let bare = if alone { node.shape.get(1..) } else { None };
        if node.shape != t.shape && bare != Some(t.shape.as_slice()) {
            return Err(GraphError::Shape { expected: node.shape.clone(), got: t.shape.clone() });
        }
        let width = |bits: u32| {
            if bits == t.bits {
                return Ok(());
            }
            Err(GraphError::Parameter(format!(
                "the stack declares '{}' with {} bits, the graph with {bits}",
                t.name, t.bits
            )))
        };
        match &node.op {
            Op::Input(op) if !matches!(role, Role::Output(_)) => width(op.bits),
            Op::Weight(op) => width(op.bits),
            _ if t.range().contains(node.range) => Ok(()),
            _ => Err(GraphError::Parameter(format!(
                "its values lie in [{}, {}], which the {} bits of the stack's '{}' do not hold",
                node.range.lo, node.range.hi, t.bits, t.name
            ))),
        }
    }
}
