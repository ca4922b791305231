//! The step graph: T steps as one recurrence over the weights.
//!
//! Every weight tensor is a [`crate::ops::Delay`] along time, whose state is the rounded, clamped result of the update. All
//! layers act on `[steps, batch, ..]`. The sampler's walk is an input; the rows that it leads to are gathered from the data.

use super::{
    DATA_WIDTH, Sampler, Spec, TrainError, WEIGHT_BITS, WIDTH, layers,
    loss::squares,
    nodes::{Nodes, Result},
    reference::VELOCITY_SHIFT,
    sampler::{indices, walk_bits},
};
use crate::{
    graph::{Graph, GraphBuilder, NodeId},
    model::{Model, QuantReport, TensorSpec},
    ops::{Gather, Op, Window},
    tensor::Tensor,
};

/// A graph that is a training run.
#[derive(Clone, Debug)]
pub struct Training {
    /// What it trains.
    pub spec: Spec,
    /// Inputs: initial weights, then the walk ([`Sampler::tensor`]). Weights: data, targets, then those that stay as they are. Outputs:
    /// trained weights, then the loss of each step. It is the same for all seeds.
    pub graph: Graph,
}

/// Names of the weights of all layers that are trained: `0.weight`, `0.bias`, ...
pub(super) fn weight_names(spec: &Spec) -> Vec<String> {
    spec.network.names(false)
}

/// Weights of the graph that stay as they are, under their names.
pub(super) fn base_nodes(n: &mut Nodes, spec: &Spec) -> Result<Vec<NodeId>> {
    let all = spec.network.names(true).into_iter().zip(spec.network.base());
    all.map(|(name, shape)| Ok(n.g.weight(&name, &shape, WIDTH)?)).collect()
}

/// A model of a graph whose weights are data and targets, then those that stay as they are.
pub(super) fn data_model(
    graph: &Graph,
    weights: Vec<Tensor>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
) -> Result<Model> {
    for (id, t) in graph.weights().zip(&weights) {
        let node = graph.node(id);
        crate::graph::check_tensor(node, t).map_err(|e| TrainError::Data {
            name: node.name.clone(),
            expected: format!("shape {:?}, values in [{}, {}]", node.shape, node.range.lo, node.range.hi),
            got: e.to_string(),
        })?;
    }
    let report = QuantReport::default();
    let model = Model { graph: graph.clone(), weights: weights.into(), inputs, outputs, report };
    model.validate().map_err(|e| TrainError::Data {
        name: "model".to_owned(),
        expected: "what the graph needs".to_owned(),
        got: e.to_string(),
    })?;
    Ok(model)
}

impl Spec {
    /// The next value of a weight, and of its velocity, which `keep` commits.
    fn update(
        &self,
        n: &mut Nodes,
        name: &str,
        shift: i64,
        (w, v): (NodeId, Option<NodeId>),
        gradient: NodeId,
    ) -> Result<(NodeId, Option<NodeId>)> {
        // A negative shift multiplies the gradient.
        let split = |s: i64| if s >= 0 { (s as u32, 0) } else { (0, (-s) as u32) };
        let (Some(v), Some(m)) = (v, self.momentum_bits) else {
            let (s, up) = split(shift);
            let sum = n.g.linear(name, &[(w, 1 << s), (gradient, -(1 << up))], 0)?;
            return Ok((n.keep(&format!("{name}.next"), sum, s)?, None));
        };
        let (s, up) = split(shift - i64::from(VELOCITY_SHIFT));
        let decayed = ((1i64 << m) - 1) << s;
        let sum = n.g.linear(name, &[(v, decayed), (gradient, 1 << (m + up))], 0)?;
        let v = n.keep(&format!("{name}.velocity.next"), sum, s + m)?;
        let sum = n.g.linear(name, &[(w, 1 << VELOCITY_SHIFT), (v, -1)], 0)?;
        Ok((n.keep(&format!("{name}.next"), sum, VELOCITY_SHIFT)?, Some(v)))
    }

    /// Which rows the seed leads to.
    pub fn sampler(&self) -> Sampler {
        Sampler::new(&self.seed, self.rows as u64)
    }

    /// The step graph.
    ///
    /// # Errors
    /// A specification that is impossible, or one whose worst-case values leave 61 bits.
    pub fn training(&self) -> Result<Training> {
        self.validate()?;
        let parameters: Vec<_> = self.network.parameters().into_iter().filter(|p| !p.frozen).collect();
        let names = weight_names(self);
        let weights = self.network.weights();
        let (steps, batch) = (self.steps, self.batch());
        // Many updates pay for one wide table of remainders.
        let updates = weights.iter().map(|s| s.iter().product::<usize>()).sum::<usize>() * steps;
        let limb_bits = if updates > 1 << 17 { 16 } else { 8 };
        let mut n = Nodes { g: GraphBuilder::new(limb_bits), steps, batch };
        let classes = self.outputs()?;
        let data = n.g.weight("data", &[&[self.rows], &self.network.input[..]].concat(), DATA_WIDTH)?;
        let targets = n.g.weight("targets", &[self.rows, classes], DATA_WIDTH)?;
        let base = base_nodes(&mut n, self)?;
        let walk = n.g.input("walk", &[2], walk_bits(self.rows))?;
        let index = indices(&mut n, walk, self.rows)?;
        let x = n.g.push("rows", Op::Gather(Gather { leading: 0 }), &[data, index])?;
        let y = n.g.push("labels", Op::Gather(Gather { leading: 0 }), &[targets, index])?;
        let limits = (-(1i64 << (WIDTH - 1)), (1i64 << (WIDTH - 1)) - 1);
        let (mut inputs, mut states, mut velocities) = (vec![], vec![], vec![]);
        for (name, shape) in names.iter().zip(&weights) {
            let init = n.g.input(name, shape, WIDTH)?;
            inputs.push(init);
            let init = n.reshape(name, init, [&[1], &shape[..]].concat())?;
            states.push(n.g.delay(name, init, 0, steps, limits)?);
            velocities.push(match self.momentum_bits {
                None => None,
                Some(_) => {
                    let zero = n.g.linear(&format!("{name}.velocity"), &[(init, 0)], 0)?;
                    Some(n.g.delay(&format!("{name}.velocity"), zero, 0, steps, limits)?)
                }
            });
        }
        let layers = &self.network.layers;
        let all = self.network.side_by_side(&states, &base)?;
        let trace = layers::forward(&mut n, layers, "", x, &all, true)?;
        let (error, difference) = self.output_error(&mut n, trace.output(), y)?;
        let (gradients, _) = layers::backward(&mut n, (layers, ""), &trace, &all, error, false)?;
        let mut outputs = vec![];
        for (k, gradient) in gradients.into_iter().enumerate() {
            let shift = self.shift(parameters[k].gradient_bits);
            let (next, velocity) = self.update(&mut n, &names[k], shift, (states[k], velocities[k]), gradient)?;
            n.g.connect(states[k], next)?;
            if let (Some(delay), Some(next)) = (velocities[k], velocity) {
                n.g.connect(delay, next)?;
            }
            let name = format!("{}.trained", names[k]);
            let last = n.g.push(&name, Op::Window(Window::slice(0, steps as i64 - 1, 1, 1)), &[next])?;
            outputs.push(n.reshape(&name, last, weights[k].clone())?);
        }
        outputs.push(n.contract("loss", squares(steps, batch, classes), difference, difference)?);
        inputs.push(walk);
        let graph = n.g.finish(inputs, outputs)?;
        Ok(Training { spec: self.clone(), graph })
    }
}

impl Training {
    /// All inputs of the graph: these weights, and the walk of the specification's seed.
    pub fn inputs(&self, initial: &[Tensor]) -> Vec<Tensor> {
        initial.iter().cloned().chain([self.spec.sampler().tensor()]).collect()
    }

    /// The model whose proofs are proofs of this training, on this data: in the key, or given as a stack ([`Self::stacks`]). Of a
    /// network some of whose weights stay as they are, it is [`Self::model_over`].
    ///
    /// # Errors
    /// Data of the wrong shape, or beyond `DATA_WIDTH` bits.
    pub fn model(&self, data: Tensor, targets: Tensor) -> Result<Model> {
        self.model_over(data, targets, &[])
    }

    /// As [`Self::model`], with the weights that stay as they are.
    ///
    /// # Errors
    /// Data or weights of the wrong shape, or beyond their widths.
    pub fn model_over(&self, data: Tensor, targets: Tensor, base: &[Tensor]) -> Result<Model> {
        let spec = &self.spec;
        let names = weight_names(spec);
        let tensors = |suffix: &str| -> Vec<TensorSpec> {
            let all = names.iter().zip(spec.network.weights());
            all.map(|(n, s)| TensorSpec::uniform(format!("{n}{suffix}"), &s, WEIGHT_BITS as i32)).collect()
        };
        let mut outputs = tensors("");
        let unit = 2 * spec.loss.difference_bits();
        outputs.push(TensorSpec::uniform("loss", &[spec.steps], (unit + spec.batch_bits) as i32));
        let mut inputs = tensors(".initial");
        inputs.push(TensorSpec::uniform("walk", &[2], 0));
        data_model(&self.graph, [&[data, targets], base].concat(), inputs, outputs)
    }
}
