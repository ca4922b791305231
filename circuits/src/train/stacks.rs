//! The named stacks of training and evaluation: what they are called, what they hold, what they are to the graphs.
//!
//! The id of a stack covers its schema, so weights at the start, at the end, and of any later use have one: a network's. The same
//! goes for data sets of one network and number of rows, whether they are trained on or held out.

use super::{DATA_WIDTH, Evaluation, Spec, TrainError, Training, WIDTH, step::weight_names};
use crate::{
    graph::Graph,
    model::Model,
    stack::{NamedStack, Role, Schema, SchemaTensor},
    tensor::Tensor,
};

/// The stack of weights that training starts from.
pub const WEIGHTS: &str = "weights";
/// The stack of weights that it ends with.
pub const TRAINED: &str = "trained";
/// The stack of rows and targets.
pub const DATASET: &str = "dataset";
/// The stack of held-out rows and targets.
pub const HOLDOUT: &str = "holdout";

/// The stack of weights that stay as they are.
pub const BASE: &str = "base";

/// What a stack of the weights of this network that stay as they are holds; `None` where all are trained.
///
/// # Errors
/// Row lengths that no stack may have, and networks with too many weights.
pub fn base_schema(spec: &Spec, row_bits: u8) -> Result<Option<Schema>, TrainError> {
    let all = spec.network.names(true).into_iter().zip(spec.network.base());
    let tensors: Vec<_> = all.map(|(name, shape)| SchemaTensor { name, shape, bits: WIDTH }).collect();
    if tensors.is_empty() { Ok(None) } else { Ok(Some(Schema::new(row_bits, tensors)?)) }
}

/// What a stack of this network's weights that are trained holds: `0.weight`, `0.bias`, .. in 16 bits.
///
/// # Errors
/// Row lengths that no stack may have, and networks with too many weights.
pub fn weights_schema(spec: &Spec, row_bits: u8) -> Result<Schema, TrainError> {
    let all = weight_names(spec).into_iter().zip(spec.network.weights());
    let tensors = all.map(|(name, shape)| SchemaTensor { name, shape, bits: WIDTH }).collect();
    Ok(Schema::new(row_bits, tensors)?)
}

/// What a stack of so many rows with their targets holds: `data`, then `targets`.
///
/// # Errors
/// Row lengths that no stack may have, a network that is impossible, and too much data.
pub fn data_schema(spec: &Spec, rows: usize, row_bits: u8) -> Result<Schema, TrainError> {
    let tensor = |name: &str, shape: Vec<usize>| SchemaTensor { name: name.to_owned(), shape, bits: DATA_WIDTH };
    let data = tensor("data", [&[rows], &spec.network.input[..]].concat());
    let targets = tensor("targets", vec![rows, spec.outputs()?]);
    Ok(Schema::new(row_bits, vec![data, targets])?)
}

fn named(name: &str, schema: Schema, roles: impl Fn(usize) -> Role) -> NamedStack {
    let roles = (0..schema.tensors.len()).map(|k| Some(roles(k))).collect();
    NamedStack { name: name.to_owned(), schema, roles }
}

/// The stack of what stays, whose tensors are weights of the graph behind data and targets.
fn base(spec: &Spec, row_bits: u8) -> Result<Option<NamedStack>, TrainError> {
    Ok(base_schema(spec, row_bits)?.map(|schema| named(BASE, schema, |k| Role::Weight(2 + k))))
}

/// Zeros in the place of data, targets and what stays, which stacks give.
fn zeros(graph: &Graph) -> (Tensor, Tensor, Vec<Tensor>) {
    let mut all = graph.weights().map(|id| Tensor::zeros(&graph.node(id).shape));
    // Graphs of training have at least these two.
    let mut one = || all.next().unwrap_or_else(|| Tensor::zeros(&[0]));
    let (data, targets) = (one(), one());
    (data, targets, all.collect())
}

impl Training {
    /// The model of keys over [`Self::stacks`], which say nothing about data.
    ///
    /// # Errors
    /// None for a graph that [`Spec::training`] made.
    pub fn blank(&self) -> Result<Model, TrainError> {
        let (data, targets, base) = zeros(&self.graph);
        self.model_over(data, targets, &base)
    }

    /// [`WEIGHTS`], [`TRAINED`] and [`DATASET`], and [`BASE`] where weights stay as they are, in the order in which proofs show their ids. With them the only public input is the
    /// walk, the only public output the losses.
    ///
    /// # Errors
    /// Row lengths that no stack may have, and stacks that would be too large.
    pub fn stacks(&self, row_bits: u8) -> Result<Vec<NamedStack>, TrainError> {
        let weights = weights_schema(&self.spec, row_bits)?;
        let data = data_schema(&self.spec, self.spec.rows, row_bits)?;
        let mut all = vec![
            named(WEIGHTS, weights.clone(), Role::Input),
            named(TRAINED, weights, Role::Output),
            named(DATASET, data, Role::Weight),
        ];
        all.extend(base(&self.spec, row_bits)?);
        Ok(all)
    }
}

impl Evaluation {
    /// The model of keys over [`Self::stacks`], which say nothing about data.
    ///
    /// # Errors
    /// None for a graph that [`Spec::evaluation`] made.
    pub fn blank(&self) -> Result<Model, TrainError> {
        let (data, targets, base) = zeros(&self.graph);
        self.model_over(data, targets, &base)
    }

    /// [`WEIGHTS`], [`TRAINED`] and [`HOLDOUT`], and [`BASE`] where weights stay as they are, in the order in which proofs show their ids. With them nothing is public but the
    /// losses.
    ///
    /// # Errors
    /// Row lengths that no stack may have, and stacks that would be too large.
    pub fn stacks(&self, row_bits: u8) -> Result<Vec<NamedStack>, TrainError> {
        let weights = weights_schema(&self.spec, row_bits)?;
        let count = weights.tensors.len();
        let data = data_schema(&self.spec, self.rows, row_bits)?;
        let mut all = vec![
            named(WEIGHTS, weights.clone(), Role::Input),
            named(TRAINED, weights, |k| Role::Input(count + k)),
            named(HOLDOUT, data, Role::Weight),
        ];
        all.extend(base(&self.spec, row_bits)?);
        Ok(all)
    }
}
