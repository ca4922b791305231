//! The losses of two sets of weights on the same rows, in one graph: what a training run gained.
//!
//! Rows, with their targets, are weights of the graph; both sets of weights are inputs. The sets lie along the axis that is time in the step
//! graph, with the rows as one batch, so the layers are those of training.

use super::{
    DATA_WIDTH, MAX_ROWS, Spec, TrainError, WEIGHT_BITS, WIDTH, layers,
    loss::squares,
    nodes::Nodes,
    step::{base_nodes, data_model, weight_names},
};
use crate::{
    graph::{Graph, GraphBuilder, NodeId},
    model::{Model, TensorSpec},
    ops::{Concat, Op, Reshape, Window},
    tensor::Tensor,
};

/// A graph that compares two sets of weights.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Whose network and loss it is; nothing else of it matters.
    pub spec: Spec,
    /// Number of rows.
    pub rows: usize,
    /// Inputs: the weights before, then those after. Weights: data, targets, then
    /// those that stay as they are. Output: the two losses, as sums over all rows in the
    /// unit of [`super::reference::State::losses`].
    pub graph: Graph,
}

impl Spec {
    /// The graph that compares two sets of this network's weights on `rows` rows.
    ///
    /// # Errors
    /// A specification that is impossible, or too many rows.
    pub fn evaluation(&self, rows: usize) -> Result<Evaluation, TrainError> {
        self.validate()?;
        if rows == 0 || rows > MAX_ROWS {
            return Err(TrainError::Spec {
                what: "rows of the holdout".to_owned(),
                got: rows.to_string(),
                allowed: format!("1 to {MAX_ROWS} are possible"),
            });
        }
        let mut n = Nodes { g: GraphBuilder::new(8), steps: 2, batch: rows };
        let data = n.g.weight("data", &[&[rows], &self.network.input[..]].concat(), DATA_WIDTH)?;
        let targets = n.g.weight("targets", &[rows, self.outputs()?], DATA_WIDTH)?;
        let base = base_nodes(&mut n, self)?;
        let x = n.repeat("rows", data, 0, 2)?;
        let y = n.repeat("labels", targets, 0, 2)?;
        let mut sets = [vec![], vec![]];
        for (set, when) in sets.iter_mut().zip(["before", "after"]) {
            for (name, shape) in weight_names(self).iter().zip(self.network.weights()) {
                set.push(n.g.input(&format!("{name}.{when}"), &shape, WIDTH)?);
            }
        }
        // Layers that stay as they are would be constants in front of the first one that is trained.
        let x = match sets[0].first() {
            Some(some) if !base.is_empty() => beside(&mut n, x, *some)?,
            _ => x,
        };
        let mut weights = vec![];
        for ((name, shape), ids) in
            weight_names(self).iter().zip(self.network.weights()).zip(sets[0].iter().zip(&sets[1]))
        {
            let one = Op::Reshape(Reshape { shape: [&[1], &shape[..]].concat() });
            let before = n.g.push(name, one.clone(), &[*ids.0])?;
            let after = n.g.push(name, one, &[*ids.1])?;
            weights.push(n.g.push(name, Op::Concat(Concat { axis: 0 }), &[before, after])?);
        }
        let all = self.network.side_by_side(&weights, &base)?;
        let trace = layers::forward(&mut n, &self.network.layers, "", x, &all, false)?;
        let (_, difference) = self.output_error(&mut n, trace.output(), y)?;
        let loss = n.contract("loss", squares(2, rows, self.outputs()?), difference, difference)?;
        let graph = n.g.finish(sets.concat(), vec![loss])?;
        Ok(Evaluation { spec: self.clone(), rows, graph })
    }
}

/// The same values, which the graph does not take for constants: plus zero times an input.
fn beside(n: &mut Nodes, x: NodeId, input: NodeId) -> Result<NodeId, TrainError> {
    let (shape, len) = (n.shape(x), n.shape(input).iter().product());
    let flat = n.reshape("rows", input, vec![len])?;
    let one = n.g.push("rows", Op::Window(Window::slice(0, 0, 1, 1)), &[flat])?;
    let some = n.repeat("rows", one, 0, shape[0])?;
    let some = n.join("rows", some, 0)?;
    let some = n.spread("rows", some, &shape)?;
    Ok(n.g.linear("rows", &[(x, 1), (some, 0)], 0)?)
}

impl Evaluation {
    /// The model whose proofs are proofs of these losses, on these rows: in the key, or given as a stack ([`Self::stacks`]).
    ///
    /// # Errors
    /// Rows of the wrong shape, or beyond `DATA_WIDTH` bits.
    pub fn model(&self, data: Tensor, targets: Tensor) -> Result<Model, TrainError> {
        self.model_over(data, targets, &[])
    }

    /// As [`Self::model`], with the weights that stay as they are.
    ///
    /// # Errors
    /// Rows or weights of the wrong shape, or beyond their widths.
    pub fn model_over(&self, data: Tensor, targets: Tensor, base: &[Tensor]) -> Result<Model, TrainError> {
        let names = weight_names(&self.spec);
        let inputs = ["before", "after"].iter().flat_map(|when| {
            let all = names.iter().zip(self.spec.network.weights());
            all.map(move |(n, s)| TensorSpec::uniform(format!("{n}.{when}"), &s, WEIGHT_BITS as i32))
        });
        let unit = 2 * self.spec.loss.difference_bits();
        let outputs = vec![TensorSpec::uniform("loss", &[2], unit as i32)];
        data_model(&self.graph, [&[data, targets], base].concat(), inputs.collect(), outputs)
    }
}
