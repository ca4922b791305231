//! The plain interpreter of the integer graph: the specification of what a proof states.

use crate::{
    error::GraphError,
    graph::{Graph, NodeId, check_tensor, check_weights},
    ops::Op,
    schedule::{Step, eval_cycle},
    tensor::Tensor,
};
use std::collections::BTreeMap;

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

    /// The lookups at which values were clamped. `limits` are those of [`crate::model::QuantReport`]; a lookup without any
    /// clamps at the ends of its table.
    pub fn saturations(&self, graph: &Graph, limits: &[(i64, i64)]) -> Vec<Saturation> {
        let mut out = Vec::new();
        let lookups = graph.nodes().iter().enumerate().filter_map(|(i, n)| match &n.op {
            Op::Lookup(op) => Some((i, n, op)),
            _ => None,
        });
        for (k, (i, node, op)) in lookups.enumerate() {
            let Ok(table) = op.table(graph.tables()) else { continue };
            let first = table.key_min;
            let (lo, hi) = limits.get(k).copied().unwrap_or((first, first + table.values.len() as i64 - 1));
            let input = self.of(node.inputs[0]);
            let count = input.data.iter().filter(|v| !(lo..=hi).contains(&op.key(**v))).count();
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
    let weight_of: BTreeMap<usize, &Tensor> = graph.weights().map(|id| id.0).zip(weights).collect();
    let mut values: Vec<Option<Tensor>> = vec![None; graph.nodes().len()];
    let plain: Vec<Step>;
    let steps = if graph.steps().is_empty() {
        plain = (0..graph.nodes().len()).map(Step::Node).collect();
        &plain
    } else {
        graph.steps()
    };
    for step in steps {
        let i = match step {
            Step::Node(i) => *i,
            Step::Cycle(cycle) => {
                eval_cycle(graph.nodes(), cycle, &mut values, graph.tables())?;
                continue;
            }
        };
        let node = graph.node(NodeId(i));
        let at = |e: GraphError| e.at(&node.name, node.op.name());
        let missing = || GraphError::Parameter("an input that is computed later".to_owned());
        let value = match &node.op {
            Op::Weight(_) => {
                weight_of.get(&i).copied().cloned().ok_or(GraphError::Arity { expected: 1, got: 0 }).map_err(at)?
            }
            Op::Input(_) => {
                let k = graph.inputs().iter().position(|id| id.0 == i);
                let t = k.and_then(|k| inputs.get(k)).ok_or(GraphError::Arity { expected: 1, got: 0 }).map_err(at)?;
                check_tensor(node, t).map_err(at)?;
                t.clone()
            }
            // The state of a delay of one step is not read, and may come later.
            Op::Delay(d) if d.len == 1 => {
                node.inputs.first().and_then(|i| values.get(i.0)).cloned().flatten().ok_or_else(missing).map_err(at)?
            }
            op => {
                let args: Option<Vec<&Tensor>> =
                    node.inputs.iter().map(|id| values.get(id.0).and_then(Option::as_ref)).collect();
                let args = args.ok_or_else(missing).map_err(at)?;
                op.eval(&args, &node.shape, graph.tables()).map_err(at)?
            }
        };
        values[i] = Some(value);
    }
    let all: Option<Vec<Tensor>> = values.into_iter().collect();
    all.map(Values).ok_or_else(|| GraphError::Parameter("a node that no step computes".to_owned()))
}
