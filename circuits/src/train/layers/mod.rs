//! Layers as graph nodes: values forward, errors backward.
//!
//! All tensors are `[steps, batch, ..]`. Linear layers send the error through their transpose, layers with weights through two
//! contractions, others through a product with what they kept. What one contraction computes is committed before another reads it.

mod adapter;
mod attention;
mod linear;
mod norm;
mod pool;

use super::{
    LOGIT_WIDTH, Layer, SLOPE_BITS,
    layer::{parameters, rounds, rounds_before},
    nodes::{Nodes, Result},
};
use crate::{graph::NodeId, table::Table};
use adapter::Adapter;

/// What a layer computed, and what its gradient needs.
struct Step {
    value: NodeId,
    memory: Memory,
}

enum Memory {
    Nothing,
    /// The derivative of each value, or where the largest of each square is.
    Derivative(NodeId),
    Normal(norm::Normal),
    Attended(attention::Attended),
    /// What an adapter made of the input.
    Low(NodeId),
    /// Body and shortcut.
    Branches(Box<[Trace; 2]>),
}

/// Values of layers in a row.
pub(super) struct Trace {
    input: NodeId,
    steps: Vec<Step>,
}

impl Trace {
    /// What the last layer gives.
    pub(super) fn output(&self) -> NodeId {
        self.before(self.steps.len())
    }

    /// What layer `i` reads.
    fn before(&self, i: usize) -> NodeId {
        i.checked_sub(1).and_then(|i| self.steps.get(i)).map_or(self.input, |s| s.value)
    }
}

/// 1 where a whole number is above zero.
fn positive() -> Table {
    Table::tabulate("positive", 0, 1, |t| t as i32)
}

/// Values of layers in a row; what gradients need where `learns`.
pub(super) fn forward(
    n: &mut Nodes,
    layers: &[Layer],
    prefix: &str,
    input: NodeId,
    mut weights: &[NodeId],
    learns: bool,
) -> Result<Trace> {
    let mut trace = Trace { input, steps: vec![] };
    for (i, layer) in layers.iter().enumerate() {
        let (own, rest) = weights.split_at(layer.parameters().len());
        weights = rest;
        let name = format!("{prefix}{i}.{}", layer.name());
        let x = trace.before(i);
        let shift = rounds_before(layers, i);
        let (layer, frozen) = layer.thawed();
        let (value, memory) = match layer {
            Layer::Dense { .. } | Layer::Conv { .. } => {
                (linear::forward(n, (layer, frozen), &name, x, own)?, Memory::Nothing)
            }
            Layer::Adapted { inputs, outputs, rank, scale_bits } => {
                let a = Adapter { inputs: *inputs, outputs: *outputs, rank: *rank, scale_bits: *scale_bits };
                let (value, low) = adapter::forward(n, a, &name, x, own)?;
                (value, Memory::Low(low))
            }
            Layer::Attention { heads, width, causal } => {
                let (value, attended) = attention::forward(n, &name, x, (*heads, *width, *causal))?;
                (value, Memory::Attended(attended))
            }
            // An axis in front of it counts groups, as each token is one.
            Layer::TokenNorm { epsilon, .. } => {
                let shape = n.shape(x);
                let last = shape.len() - 1;
                let groups = shape[2..last].iter().product();
                let (value, normal) = norm::forward(n, &name, x, (own, frozen), (groups, *epsilon, last))?;
                (value, Memory::Normal(normal))
            }
            // Taken out above, and refused where it is in itself.
            Layer::Fixed { .. } => (x, Memory::Nothing),
            Layer::Relu => {
                let a = n.relu(&name, x, shift)?;
                if learns {
                    (a, Memory::Derivative(n.g.lookup(&format!("{name}.derivative"), a, 0, positive())?))
                } else {
                    (a, Memory::Nothing)
                }
            }
            Layer::Smooth(a) => {
                let half = 1i64 << (LOGIT_WIDTH - 1);
                let of = |name: &str, f: &dyn Fn(i64) -> i64| {
                    Table::tabulate(name, -half, LOGIT_WIDTH as usize, |t| f(t) as i32)
                };
                let value = n.g.lookup(&name, x, shift, of(a.name(), &|t| a.value(t)))?;
                if learns {
                    let slopes = of(&format!("slope of {}", a.name()), &|t| a.slope(t));
                    (value, Memory::Derivative(n.g.lookup(&format!("{name}.derivative"), x, shift, slopes)?))
                } else {
                    (value, Memory::Nothing)
                }
            }
            Layer::AveragePool { size } => (pool::average(n, &name, x, *size)?, Memory::Nothing),
            Layer::MaxPool { size } => {
                let (largest, first) = pool::largest(n, &name, x, *size, learns)?;
                (largest, first.map_or(Memory::Nothing, Memory::Derivative))
            }
            Layer::Norm { groups, epsilon, .. } => {
                let (value, normal) = norm::forward(n, &name, x, (own, frozen), (*groups, *epsilon, 2))?;
                (value, Memory::Normal(normal))
            }
            Layer::Residual { body, shortcut } => {
                let (to_body, to_shortcut) = own.split_at(parameters(body, "").len());
                let inside = |branch: &str| format!("{prefix}{i}.{branch}.");
                let body = forward(n, body, &inside("body"), x, to_body, learns)?;
                let shortcut = forward(n, shortcut, &inside("shortcut"), x, to_shortcut, learns)?;
                let sum = n.g.linear(&name, &[(body.output(), 1), (shortcut.output(), 1)], 0)?;
                (sum, Memory::Branches(Box::new([body, shortcut])))
            }
            Layer::Flatten => {
                let shape = n.shape(x);
                let flat = vec![shape[0], shape[1], shape[2..].iter().product()];
                (n.reshape(&name, x, flat)?, Memory::Nothing)
            }
        };
        let value = match rounds(layers, i) {
            Some(bits) => n.keep(&name, value, bits)?,
            None => value,
        };
        trace.steps.push(Step { value, memory });
    }
    Ok(trace)
}

/// Gradients of the weights that are trained of layers in a row, in their order, and the error of their input. The latter only where it is
/// `needed`: below the first layer with weights there is nothing to learn.
pub(super) fn backward(
    n: &mut Nodes,
    (layers, prefix): (&[Layer], &str),
    trace: &Trace,
    weights: &[NodeId],
    error: NodeId,
    needed: bool,
) -> Result<(Vec<NodeId>, Option<NodeId>)> {
    let mut gradients = vec![];
    let mut error = error;
    let mut end = weights.len();
    for (i, layer) in layers.iter().enumerate().rev() {
        let start = end - layer.parameters().len();
        let own = &weights[start..end];
        end = start;
        let needed = needed || layers[..i].iter().any(Layer::trains);
        if !layer.trains() && !needed {
            return Ok((gradients.into_iter().rev().flatten().collect(), None));
        }
        let (name, x) = (format!("{prefix}{i}"), trace.before(i));
        let back = format!("{name}.{}.back", layer.name());
        let (layer, frozen) = layer.thawed();
        let (of_weights, before) = match (layer, &trace.steps[i].memory) {
            (Layer::Dense { .. } | Layer::Conv { .. }, _) => {
                linear::backward(n, (layer, frozen), &name, (x, error), own, needed)?
            }
            (Layer::Adapted { inputs, outputs, rank, scale_bits }, Memory::Low(low)) => {
                let a = Adapter { inputs: *inputs, outputs: *outputs, rank: *rank, scale_bits: *scale_bits };
                adapter::backward(n, a, &name, (x, *low, error), own, needed)?
            }
            (Layer::Attention { .. }, Memory::Attended(attended)) => {
                (vec![], Some(attention::backward(n, &back, attended, error)?))
            }
            (_, Memory::Normal(normal)) => norm::backward(n, &name, normal, frozen, error, needed)?,
            (Layer::Smooth(_), Memory::Derivative(slope)) => {
                let product = n.product(&back, error, *slope)?;
                (vec![], Some(n.keep(&back, product, SLOPE_BITS)?))
            }
            (Layer::AveragePool { size }, _) => (vec![], Some(pool::average_back(n, &back, (x, error), *size)?)),
            (Layer::MaxPool { size }, Memory::Derivative(first)) => {
                (vec![], Some(pool::largest_back(n, &back, (x, error), *first, *size)?))
            }
            (Layer::Residual { body, shortcut }, Memory::Branches(traces)) => {
                let (to_body, to_shortcut) = own.split_at(parameters(body, "").len());
                let inside = |branch: &str| format!("{name}.{branch}.");
                let (mut all, a) = backward(n, (body, &inside("body")), &traces[0], to_body, error, needed)?;
                let (more, b) = backward(n, (shortcut, &inside("shortcut")), &traces[1], to_shortcut, error, needed)?;
                all.extend(more);
                let sum = match (a, b) {
                    (Some(a), Some(b)) => {
                        let sum = n.g.linear(&back, &[(a, 1), (b, 1)], 0)?;
                        Some(n.keep(&back, sum, 0)?)
                    }
                    _ => None,
                };
                (all, sum)
            }
            (_, Memory::Derivative(derivative)) => {
                let product = n.product(&back, error, *derivative)?;
                (vec![], Some(n.keep(&back, product, 0)?))
            }
            _ => {
                let shape = n.shape(x);
                (vec![], Some(n.reshape(&back, error, shape)?))
            }
        };
        gradients.push(of_weights);
        match before {
            Some(e) => error = e,
            None => return Ok((gradients.into_iter().rev().flatten().collect(), None)),
        }
    }
    Ok((gradients.into_iter().rev().flatten().collect(), Some(error)))
}
