//! The plain interpreter of the integer graph: the specification of what a proof states.

use crate::{
    error::GraphError,
    graph::{Graph, NodeId, check_shapes, check_tensor, check_weights},
    ops::{Op, contraction::Rows},
    parallel::on_all_threads,
    schedule::{Step, eval_cycle},
    tensor::Tensor,
};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

/// The values of all nodes, by node; those of weights are borrowed.
#[derive(Clone, Debug)]
pub struct Values<'w>(pub Vec<Cow<'w, Tensor>>);

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

impl<'w> Values<'w> {
    /// Values of weights alone, in the order of [`Graph::weights`]; those of other nodes are a zero.
    pub fn of_weights(graph: &Graph, weights: &'w [Tensor]) -> Self {
        let mut values = vec![Cow::Owned(Tensor::zeros(&[])); graph.nodes().len()];
        for (id, value) in graph.weights().zip(weights) {
            values[id.0] = Cow::Borrowed(value);
        }
        Self(values)
    }

    /// The value of a node.
    pub fn of(&self, id: NodeId) -> &Tensor {
        &self.0[id.0]
    }

    /// The same, with weights of their own.
    pub fn into_owned(self) -> Values<'static> {
        Values(self.0.into_iter().map(|t| Cow::Owned(t.into_owned())).collect())
    }

    /// Gives up the values of all nodes but these; what is left of the others is a zero.
    pub fn retain(&mut self, nodes: &BTreeSet<NodeId>) {
        for (i, value) in self.0.iter_mut().enumerate() {
            if !nodes.contains(&NodeId(i)) {
                *value = Cow::Owned(Tensor::zeros(&[]));
            }
        }
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
pub fn eval<'w>(graph: &Graph, weights: &'w [Tensor], inputs: &[Tensor]) -> Result<Values<'w>, GraphError> {
    eval_given(graph, weights.iter().map(Cow::Borrowed).collect(), inputs.to_vec())
}

/// As [`eval`], of weights and inputs some of which are kept as they are.
pub fn eval_given<'w>(
    graph: &Graph,
    weights: Vec<Cow<'w, Tensor>>,
    inputs: Vec<Tensor>,
) -> Result<Values<'w>, GraphError> {
    check_weights(graph, &weights)?;
    if inputs.len() != graph.inputs().len() {
        return Err(GraphError::Arity { expected: graph.inputs().len(), got: inputs.len() });
    }
    let mut values: Vec<Option<Cow<'w, Tensor>>> = vec![None; graph.nodes().len()];
    for (id, value) in graph.weights().zip(weights) {
        values[id.0] = Some(value);
    }
    for (id, value) in graph.inputs().iter().zip(inputs) {
        let node = graph.node(*id);
        check_tensor(node, &value).map_err(|e| e.at(&node.name, node.op.name()))?;
        values[id.0] = Some(Cow::Owned(value));
    }
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
            Op::Weight(_) | Op::Input(_) => continue,
            // The state of a delay of one step is not read, and may come later.
            Op::Delay(d) if d.len == 1 => {
                node.inputs.first().and_then(|i| values.get(i.0)).cloned().flatten().ok_or_else(missing).map_err(at)?
            }
            op => {
                let args: Option<Vec<&Tensor>> =
                    node.inputs.iter().map(|id| values.get(id.0).and_then(Option::as_deref)).collect();
                let args = args.ok_or_else(missing).map_err(at)?;
                Cow::Owned(op.eval(&args, &node.shape, graph.tables()).map_err(at)?)
            }
        };
        values[i] = Some(value);
    }
    let all: Option<Vec<Cow<'w, Tensor>>> = values.into_iter().collect();
    all.map(Values).ok_or_else(|| GraphError::Parameter("a node that no step computes".to_owned()))
}

/// What [`Evaluator::run`] calls for each value: the node, the sample, the value.
pub type Visit<'v> = &'v mut dyn FnMut(NodeId, usize, &Tensor);

/// Runs a graph on several samples at a time, once or more often: what depends on weights alone is done once.
pub struct Evaluator<'g> {
    graph: &'g Graph,
    weights: &'g [Tensor],
    /// Weights as contractions read them, by node: those that another run will need again.
    prepared: HashMap<usize, Rows>,
}

impl<'g> Evaluator<'g> {
    /// For a graph and its weights, in the order of [`Graph::weights`]. Whether each entry is in its range is left to
    /// [`check_weights`].
    ///
    /// # Errors
    /// Weights of other shapes than the graph's.
    pub fn new(graph: &'g Graph, weights: &'g [Tensor]) -> Result<Self, GraphError> {
        check_shapes(graph, weights)?;
        Ok(Self { graph, weights, prepared: HashMap::new() })
    }

    /// Runs the graph, node by node and all samples at a time; `visit` sees every value. Equal to [`eval`] of each sample; a
    /// value is dropped after its last use. `last` tells that no other run follows.
    ///
    /// # Errors
    /// Those of [`eval`].
    pub fn run(&mut self, samples: &[Vec<Tensor>], last: bool, visit: Visit<'_>) -> Result<(), GraphError> {
        let Self { graph, weights, prepared } = self;
        let (graph, weights) = (*graph, *weights);
        if !graph.steps().is_empty() {
            // The nodes of a recurrence are not computed one after the other.
            for (k, sample) in samples.iter().enumerate() {
                let values = eval(graph, weights, sample)?;
                for (i, node) in graph.nodes().iter().enumerate() {
                    if !matches!(node.op, Op::Weight(_)) {
                        visit(NodeId(i), k, values.of(NodeId(i)));
                    }
                }
            }
            return Ok(());
        }
        let nodes = graph.nodes();
        let mut uses = vec![0usize; nodes.len()];
        nodes.iter().flat_map(|n| &n.inputs).for_each(|id| uses[id.0] += 1);
        let mut weight_of = vec![None; nodes.len()];
        graph.weights().zip(weights).for_each(|(id, w)| weight_of[id.0] = Some(w));
        let each: Vec<usize> = (0..samples.len()).collect();
        let mut values: Vec<Vec<Tensor>> = vec![vec![]; nodes.len()];
        for (i, node) in nodes.iter().enumerate() {
            let at = |e: GraphError| e.at(&node.name, node.op.name());
            let made: Vec<Tensor> = match &node.op {
                Op::Weight(_) => continue,
                Op::Input(_) => {
                    let k = graph.inputs().iter().position(|id| id.0 == i);
                    let one = |s: &Vec<Tensor>| {
                        let t = k
                            .and_then(|k| s.get(k))
                            .ok_or(GraphError::Arity { expected: graph.inputs().len(), got: s.len() })?;
                        check_tensor(node, t).map(|()| t.clone())
                    };
                    samples.iter().map(one).collect::<Result<_, _>>().map_err(at)?
                }
                Op::Contraction(c) if node.inputs.get(1).is_some_and(|r| weight_of[r.0].is_some()) => {
                    let (l, r) = (node.inputs[0], node.inputs[1]);
                    let Some(w) = weight_of[r.0] else { continue };
                    let right = prepared.remove(&i).unwrap_or_else(|| c.prepare(w));
                    let made = match weight_of[l.0] {
                        Some(l) => vec![c.apply(l, &right, &node.shape); samples.len()],
                        None => on_all_threads(&values[l.0], |l| c.apply(l, &right, &node.shape)),
                    };
                    if !last {
                        prepared.insert(i, right);
                    }
                    made
                }
                op => {
                    let arg = |id: &NodeId, k: usize| weight_of[id.0].or_else(|| values[id.0].get(k));
                    let one = |k: &usize| {
                        let k = *k;
                        let args: Option<Vec<&Tensor>> = node.inputs.iter().map(|id| arg(id, k)).collect();
                        let args = args.ok_or(GraphError::Arity { expected: node.inputs.len(), got: 0 })?;
                        op.eval(&args, &node.shape, graph.tables())
                    };
                    on_all_threads(&each, one).into_iter().collect::<Result<_, _>>().map_err(at)?
                }
            };
            made.iter().enumerate().for_each(|(k, t)| visit(NodeId(i), k, t));
            if uses[i] > 0 {
                values[i] = made;
            }
            for id in &node.inputs {
                uses[id.0] -= 1;
                if uses[id.0] == 0 {
                    values[id.0] = vec![];
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::GraphBuilder,
        ops::{AxisExpr, Contraction},
        table::Table,
    };

    #[test]
    fn many_samples_are_as_one_by_one() {
        let mut b = GraphBuilder::new(4);
        let x = b.input("x", &[1, 2, 5], 8).unwrap();
        let w = b.weight("w", &[3, 2, 3], 8).unwrap();
        let v = b.weight("v", &[3, 4], 16).unwrap();
        let conv = Contraction {
            extents: vec![3, 2, 5, 3],
            lhs: vec![AxisExpr::unit(), AxisExpr::index(1), AxisExpr { terms: vec![(2, 1), (3, 1)], offset: -1 }],
            rhs: vec![AxisExpr::index(0), AxisExpr::index(1), AxisExpr::index(3)],
            out: vec![AxisExpr::unit(), AxisExpr::index(0), AxisExpr::index(2)],
        };
        let acc = b.push("conv", Op::Contraction(conv), &[x, w]).unwrap();
        let r = b.lookup("relu", acc, 6, Table::relu(0, 10, 255)).unwrap();
        let s = b.linear("sum", &[(r, 3), (acc, 1)], 7).unwrap();
        let heads = Contraction {
            extents: vec![3, 5, 4],
            lhs: vec![AxisExpr::unit(), AxisExpr::index(0), AxisExpr::index(1)],
            rhs: vec![AxisExpr::index(0), AxisExpr::index(2)],
            out: vec![AxisExpr::index(1), AxisExpr::index(2)],
        };
        let y = b.push("heads", Op::Contraction(heads), &[r, v]).unwrap();
        let graph = b.finish(vec![x], vec![y, s]).unwrap();
        let mut state = 7u64;
        let mut random = |shape: &[usize], bits: u32| {
            let n = shape.iter().product();
            let data = (0..n).map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as i64 % (1 << (bits - 1))
            });
            Tensor::new(shape.to_vec(), data.collect()).unwrap()
        };
        let weights = vec![random(&[3, 2, 3], 8), random(&[3, 4], 16)];
        let samples: Vec<Vec<Tensor>> = (0..3).map(|_| vec![random(&[1, 2, 5], 8)]).collect();
        let mut seen = 0;
        let each: Vec<Values> = samples.iter().map(|s| eval(&graph, &weights, s).unwrap()).collect();
        let mut evaluator = Evaluator::new(&graph, &weights).unwrap();
        for last in [false, false, true] {
            let mut see = |id: NodeId, k: usize, t: &Tensor| {
                assert_eq!(t, each[k].of(id));
                seen += 1;
            };
            evaluator.run(&samples, last, &mut see).unwrap();
        }
        assert_eq!(seen, 3 * 3 * (graph.nodes().len() - 2));
    }
}
