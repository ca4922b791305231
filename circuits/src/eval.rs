//! The plain interpreter of the integer graph: the specification of what a proof states.

use crate::{
    error::GraphError,
    graph::{Graph, NodeId, check_tensor, check_weights},
    ops::Op,
    tensor::Tensor,
};

/// The values of all nodes, by node.
#[derive(Clone, Debug)]
pub struct Values(pub Vec<Tensor>);

/// A lookup whose input left the table's keys, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saturation {
    /// The lookup node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Number of values clamped.
    pub count: usize,
}

impl Values {
    /// The value of a node.
    pub fn of(&self, id: NodeId) -> &Tensor {
        &self.0[id.0]
    }

    /// The outputs, in the model's order.
    pub fn outputs(&self, graph: &Graph) -> Vec<Tensor> {
        graph.outputs().iter().map(|id| self.of(*id).clone()).collect()
    }

    /// The lookups at which values were clamped.
    pub fn saturations(&self, graph: &Graph) -> Vec<Saturation> {
        let mut out = Vec::new();
        for (i, node) in graph.nodes().iter().enumerate() {
            let Op::Lookup(op) = &node.op else { continue };
            let Ok(table) = op.table(graph.tables()) else { continue };
            let d = table.domain();
            let input = self.of(node.inputs[0]);
            let outside = |v: &&i64| {
                let key = op.key(**v);
                // Only a clamp that changes the result counts: a ReLU's negative side is flat.
                let inner = if i128::from(key) < d.lo { table.key_min + 1 } else { table.key_min + table.values.len() as i64 - 2 };
                (i128::from(key) < d.lo || i128::from(key) > d.hi) && table.get(inner) != table.get(key)
            };
            let count = input.data.iter().filter(outside).count();
            if count > 0 {
                out.push(Saturation { node: NodeId(i), name: node.name.clone(), count });
            }
        }
        out
    }
}

/// Runs the graph. `weights` in the order of [`Graph::weights`], `inputs` in the order of [`Graph::inputs`].
pub fn eval(graph: &Graph, weights: &[Tensor], inputs: &[Tensor]) -> Result<Values, GraphError> {
    check_weights(graph, weights)?;
    if inputs.len() != graph.inputs().len() {
        return Err(GraphError::Arity { expected: graph.inputs().len(), got: inputs.len() });
    }
    let mut values: Vec<Tensor> = Vec::with_capacity(graph.nodes().len());
    let mut next_weight = weights.iter();
    for (i, node) in graph.nodes().iter().enumerate() {
        let at = |e: GraphError| e.at(&node.name, node.op.name());
        let value = match &node.op {
            Op::Weight(_) => {
                next_weight.next().cloned().ok_or(GraphError::Arity { expected: 1, got: 0 }).map_err(at)?
            }
            Op::Input(_) => {
                let k = graph.inputs().iter().position(|id| id.0 == i);
                let t = k.and_then(|k| inputs.get(k)).ok_or(GraphError::Arity { expected: 1, got: 0 }).map_err(at)?;
                check_tensor(node, t).map_err(at)?;
                t.clone()
            }
            op => {
                let args: Vec<&Tensor> = node.inputs.iter().map(|id| &values[id.0]).collect();
                op.eval(&args, &node.shape, graph.tables()).map_err(at)?
            }
        };
        values.push(value);
    }
    Ok(Values(values))
}
