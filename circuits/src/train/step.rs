//! The step graph: T steps as one recurrence over the weights.
//!
//! Every weight tensor is a [`crate::ops::Delay`] along time, whose state is the rounded, clamped result of the update. All
//! layers act on `[steps, batch, ..]`. The rows that the sampler chooses are a public sparse matrix applied to the data, which
//! is committed with the key.

use super::{
    ACTIVATION_BITS, DATA_WIDTH, ERROR_BITS, EXPONENTIAL_KEYS, LOGIT_WIDTH, Layer, Loss, PROBABILITY_BITS, RELU_KEYS,
    Sampler, Spec, TrainError, WEIGHT_BITS, WIDTH,
    backward::{self, Saved},
    reference::{FARTHEST, VELOCITY_SHIFT, exponential},
};
use crate::{
    graph::{Graph, GraphBuilder, NodeId},
    model::{Model, QuantReport, TensorSpec},
    ops::{AxisExpr, Contraction, Divide, Op, Remap, Reshape, Window},
    table::Table,
    tensor::Tensor,
};

/// A graph that is a training run.
#[derive(Clone, Debug)]
pub struct Training {
    /// What it trains.
    pub spec: Spec,
    /// Inputs: initial weights. Weights: data, targets. Outputs: trained weights, then the loss of each step.
    pub graph: Graph,
}

/// Graph nodes while they are made.
pub(super) struct Nodes {
    pub(super) g: GraphBuilder,
    pub(super) steps: usize,
    pub(super) batch: usize,
}

type Result<T> = std::result::Result<T, TrainError>;

impl Nodes {
    pub(super) fn shape(&self, id: NodeId) -> Vec<usize> {
        self.g.node(id).shape.clone()
    }

    pub(super) fn reshape(&mut self, name: &str, id: NodeId, shape: Vec<usize>) -> Result<NodeId> {
        if self.shape(id) == shape {
            return Ok(id);
        }
        Ok(self.g.push(name, Op::Reshape(Reshape { shape }), &[id])?)
    }

    /// `clamp(round(x / 2^shift))`.
    pub(super) fn keep(&mut self, name: &str, id: NodeId, shift: u32) -> Result<NodeId> {
        let low = -(1i64 << (WIDTH - 1));
        Ok(self.g.lookup(name, id, shift, Table::tabulate("keep", low, WIDTH as usize, |t| t as i32))?)
    }

    pub(super) fn contract(&mut self, name: &str, c: Contraction, l: NodeId, r: NodeId) -> Result<NodeId> {
        Ok(self.g.push(name, Op::Contraction(c), &[l, r])?)
    }

    /// The sum over an axis, which is dropped.
    pub(super) fn sum(&mut self, name: &str, id: NodeId, axis: usize) -> Result<NodeId> {
        let mut shape = self.shape(id);
        let sum = self.g.push(name, Op::Window(Window::reduce(axis, shape[axis])), &[id])?;
        shape.remove(axis);
        self.reshape(name, sum, shape)
    }

    /// An axis of this extent, along which everything is repeated, in front of `axis`.
    pub(super) fn repeat(&mut self, name: &str, id: NodeId, axis: usize, len: usize) -> Result<NodeId> {
        let mut shape = self.shape(id);
        shape.insert(axis, 1);
        let flat = self.reshape(name, id, shape)?;
        if len == 1 {
            return Ok(flat);
        }
        Ok(self.g.push(name, Op::Window(Window::broadcast(axis, len)), &[flat])?)
    }

    /// The largest of the logits along axis 2, which keeps extent one: `max(a, b) = b + relu(a - b)` on halves, which share the
    /// middle one where their number is odd.
    fn largest(&mut self, name: &str, logits: NodeId) -> Result<NodeId> {
        let mut all = logits;
        loop {
            let count = self.shape(all)[2];
            if count == 1 {
                return Ok(all);
            }
            let half = count.div_ceil(2);
            let a = self.g.push(name, Op::Window(Window::slice(2, 0, 1, half)), &[all])?;
            let b = self.g.push(name, Op::Window(Window::slice(2, (count - half) as i64, 1, half)), &[all])?;
            let difference = self.g.linear(name, &[(a, 1), (b, -1)], 0)?;
            // Differences of logits fit the keys, whatever the worst case of sums of them is.
            let table = Table::relu(-(1i64 << LOGIT_WIDTH), LOGIT_WIDTH as usize + 1, i32::MAX);
            let more = self.g.lookup(name, difference, 0, table)?;
            all = self.g.linear(name, &[(b, 1), (more, 1)], 0)?;
        }
    }
}

/// Names of the weights of all layers: `0.weight`, `0.bias`, ...
pub(super) fn weight_names(spec: &Spec) -> Vec<String> {
    let layers = spec.network.layers.iter().enumerate().filter(|(_, l)| l.weights().is_some());
    layers.flat_map(|(i, _)| [format!("{i}.weight"), format!("{i}.bias")]).collect()
}

/// Indices of an image's contraction: steps, batch, output channel, input channel, y, x, kernel y, kernel x.
fn conv(n: &Nodes, layer: &Layer, shape: &[usize]) -> Option<Contraction> {
    let Layer::Conv { inputs, outputs, kernel: [kh, kw], pads: [top, left, bottom, right] } = layer else {
        return None;
    };
    let (h, w) = (shape[1] + top + bottom + 1 - kh, shape[2] + left + right + 1 - kw);
    let along = |i, k, pad: usize| AxisExpr { terms: vec![(i, 1), (k, 1)], offset: -(pad as i64) };
    let mut lhs = AxisExpr::indices(&[0, 1, 3]);
    lhs.extend([along(4, 6, *top), along(5, 7, *left)]);
    Some(Contraction {
        extents: vec![n.steps, n.batch, *outputs, *inputs, h, w, *kh, *kw],
        lhs,
        rhs: AxisExpr::indices(&[0, 2, 3, 6, 7]),
        out: AxisExpr::indices(&[0, 1, 2, 4, 5]),
    })
}

/// What a layer with weights computes from its input, as a contraction of input and weights.
pub(super) fn product(n: &Nodes, layer: &Layer, shape: &[usize]) -> Option<Contraction> {
    match layer {
        Layer::Dense { inputs, outputs } => Some(Contraction::matmul(&[n.steps], n.batch, *inputs, *outputs)),
        _ => conv(n, layer, shape),
    }
}

/// Sums of the products of two tensors `[steps, batch, classes]`, one a step.
pub(super) fn squares(steps: usize, batch: usize, classes: usize) -> Contraction {
    Contraction {
        extents: vec![steps, batch, classes],
        lhs: AxisExpr::indices(&[0, 1, 2]),
        rhs: AxisExpr::indices(&[0, 1, 2]),
        out: AxisExpr::indices(&[0]),
    }
}

/// A model of a graph whose weights are data and targets.
pub(super) fn data_model(
    graph: &Graph,
    weights: [Tensor; 2],
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
    let model = Model { graph: graph.clone(), weights: weights.to_vec(), inputs, outputs, report };
    model.validate().map_err(|e| TrainError::Data {
        name: "model".to_owned(),
        expected: "what the graph needs".to_owned(),
        got: e.to_string(),
    })?;
    Ok(model)
}

impl Spec {
    /// Forward through all layers, with the derivatives of ReLU where they are asked for.
    pub(super) fn forward(
        &self,
        n: &mut Nodes,
        shapes: &[Vec<usize>],
        x: NodeId,
        weights: &[NodeId],
        derivatives: bool,
    ) -> Result<Vec<Saved>> {
        let mut out = vec![Saved { value: x, derivative: None }];
        let mut sums = false;
        let mut k = 0;
        for (i, layer) in self.network.layers.iter().enumerate() {
            let input = out[i].value;
            let name = format!("{i}.{}", layer.name());
            let mut derivative = None;
            let value = match layer {
                Layer::Dense { .. } | Layer::Conv { .. } => {
                    let Some(c) = product(n, layer, &shapes[i]) else { continue };
                    let sum = n.contract(&name, c, input, weights[k])?;
                    // The bias, once for each row and place.
                    let mut bias = n.repeat(&name, weights[k + 1], 1, n.batch)?;
                    for (axis, extent) in shapes[i + 1].iter().enumerate().skip(1) {
                        bias = n.repeat(&name, bias, axis + 2, *extent)?;
                    }
                    k += 2;
                    let sum = n.g.linear(&name, &[(sum, 1), (bias, 1 << ACTIVATION_BITS)], 0)?;
                    sums = matches!(self.network.layers.get(i + 1), Some(Layer::Relu));
                    if sums { sum } else { n.keep(&name, sum, WEIGHT_BITS)? }
                }
                Layer::Relu => {
                    let shift = if std::mem::take(&mut sums) { WEIGHT_BITS } else { 0 };
                    let (low, cap) = (-(1i64 << (RELU_KEYS - 1)), (1i32 << (RELU_KEYS - 1)) - 1);
                    let a = n.g.lookup(&name, input, shift, Table::relu(low, RELU_KEYS, cap))?;
                    if derivatives {
                        let positive = Table::tabulate("positive", 0, 1, |t| t as i32);
                        derivative = Some(n.g.lookup(&format!("{name}.derivative"), a, 0, positive)?);
                    }
                    a
                }
                Layer::AveragePool { size } => {
                    let [_, h, w] = [shapes[i][0], shapes[i][1], shapes[i][2]];
                    let squares = |axis, extent: usize| Window {
                        axis,
                        len: extent / size,
                        stride: *size as i64,
                        kernel: *size,
                        dilation: 1,
                        offset: 0,
                    };
                    let rows = n.g.push(&name, Op::Window(squares(3, h)), &[input])?;
                    let sum = n.g.push(&name, Op::Window(squares(4, w)), &[rows])?;
                    n.keep(&name, sum, 2 * size.trailing_zeros())?
                }
                Layer::Flatten => n.reshape(&name, input, vec![n.steps, n.batch, shapes[i + 1][0]])?,
            };
            out.push(Saved { value, derivative });
        }
        Ok(out)
    }

    /// The error at the output, and the difference whose squares are the published loss.
    pub(super) fn output_error(&self, n: &mut Nodes, output: NodeId, target: NodeId) -> Result<(NodeId, NodeId)> {
        let classes = n.shape(output)[2];
        let difference = match self.loss {
            Loss::SquaredError => n.g.linear("difference", &[(output, 1), (target, -1)], 0)?,
            Loss::CrossEntropy => {
                let half = 1i64 << (LOGIT_WIDTH - 1);
                let table = Table::tabulate("logit", -half, LOGIT_WIDTH as usize, |t| t as i32);
                let logits = n.g.lookup("logits", output, 0, table)?;
                let largest = n.largest("largest", logits)?;
                let largest = n.g.push("largest", Op::Window(Window::broadcast(2, classes)), &[largest])?;
                let below = n.g.linear("below", &[(logits, 1), (largest, -1)], 0)?;
                let table = Table::tabulate("exponential", FARTHEST, EXPONENTIAL_KEYS, |t| exponential(t) as i32);
                let powers = n.g.lookup("powers", below, 0, table)?;
                let sum = n.g.push("sum", Op::Window(Window::reduce(2, classes)), &[powers])?;
                let sum = n.g.push("sum", Op::Window(Window::broadcast(2, classes)), &[sum])?;
                // Half of the divisor rounds the quotient; the one more makes a divisor that cannot be zero whatever is proven
                // of the sum.
                let divisor = n.g.linear("divisor", &[(sum, 2)], 1)?;
                let scaled = n.g.linear("scaled", &[(powers, 1 << (PROBABILITY_BITS + 1)), (sum, 1)], 0)?;
                let p = n.g.push("quotients", Op::Divide(Divide {}), &[scaled, divisor])?;
                // Never above one, which nothing has proven yet: the range of what follows is read off this table.
                let share = Table::tabulate("share", 0, PROBABILITY_BITS as usize + 1, |t| t as i32);
                let p = n.g.lookup("probabilities", p, 0, share)?;
                let up = 1 << (PROBABILITY_BITS - ACTIVATION_BITS);
                n.g.linear("difference", &[(p, 1), (target, -up)], 0)?
            }
        };
        let unit = ERROR_BITS - self.loss.difference_bits();
        let error = n.g.linear("error", &[(difference, 1 << unit)], 0)?;
        Ok((error, difference))
    }

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

    /// Rows of a committed tensor `[rows, ..]` that the sampler chooses, as `[steps, batch, ..]`.
    fn chosen(&self, n: &mut Nodes, name: &str, id: NodeId) -> Result<NodeId> {
        let sampler = Sampler::new(&self.seed, self.rows as u64);
        let draws = (n.steps * n.batch) as u64;
        let rows = Remap::select(0, (0..draws).map(|j| u32::try_from(sampler.index(j)).ok()));
        let mut shape = vec![n.steps, n.batch];
        shape.extend_from_slice(&n.shape(id)[1..]);
        let flat = n.g.push(name, Op::Remap(rows), &[id])?;
        n.reshape(name, flat, shape)
    }

    /// The step graph.
    ///
    /// # Errors
    /// A specification that is impossible, or one whose worst-case values leave 61 bits.
    pub fn training(&self) -> Result<Training> {
        self.validate()?;
        let shapes = self.network.shapes()?;
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
        let x = self.chosen(&mut n, "rows", data)?;
        let y = self.chosen(&mut n, "labels", targets)?;
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
        let saved = self.forward(&mut n, &shapes, x, &states, true)?;
        let Some(output) = saved.last().map(|s| s.value) else { return Err(self.empty()) };
        let (error, difference) = self.output_error(&mut n, output, y)?;
        let gradients = backward::gradients(self, &mut n, &shapes, &saved, &states, error)?;
        let mut outputs = vec![];
        for (k, gradient) in gradients.into_iter().enumerate() {
            let shift = if k % 2 == 0 { self.weight_shift() } else { self.bias_shift() };
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
        let graph = n.g.finish(inputs, outputs)?;
        Ok(Training { spec: self.clone(), graph })
    }

    pub(super) fn empty(&self) -> TrainError {
        TrainError::Spec { what: "layers".to_owned(), got: "none".to_owned(), allowed: "one or more".to_owned() }
    }
}

impl Training {
    /// The model whose proofs are proofs of this training, with the data that is committed in its key.
    ///
    /// # Errors
    /// Data of the wrong shape, or beyond `DATA_WIDTH` bits.
    pub fn model(&self, data: Tensor, targets: Tensor) -> Result<Model> {
        let spec = &self.spec;
        let names = weight_names(spec);
        let tensors = |suffix: &str| -> Vec<TensorSpec> {
            let all = names.iter().zip(spec.network.weights());
            all.map(|(n, s)| TensorSpec::uniform(format!("{n}{suffix}"), &s, WEIGHT_BITS as i32)).collect()
        };
        let mut outputs = tensors("");
        let unit = 2 * spec.loss.difference_bits();
        outputs.push(TensorSpec::uniform("loss", &[spec.steps], (unit + spec.batch_bits) as i32));
        data_model(&self.graph, [data, targets], tensors(".initial"), outputs)
    }
}
