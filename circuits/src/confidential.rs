//! Models whose input is committed and whose output is masked: what a confidential job proves
//! (docs/protocol.md#confidential-jobs).
//!
//! The model of one job has the inputs of the plain model and behind them the parts of a pad for each output; its outputs are
//! masked ([`crate::mask`]). Input and pad of a job lie in one named stack, whose schema names the plain model: an opening that
//! was made for one model is none for another, so one pad never masks the outputs of two models.

use crate::{
    error::GraphError,
    graph::{Graph, NodeId},
    mask::{MaskedOutput, masked},
    model::{Model, ModelError, TensorSpec},
    ops::Op,
    ring::index_bits,
    stack::{MAX_STACKS, NamedStack, ROW_BITS, Role, Schema, SchemaTensor},
    tensor::Tensor,
};

/// Most bytes of a tensor's name in a schema, without what is put behind it.
const MAX_NAME: usize = 100;

/// A model with masked outputs, and how to undo it.
#[derive(Clone, Debug, PartialEq)]
pub struct Confidential {
    /// What is proven of one job. The weights and the outputs' order are the plain model's.
    pub model: Model,
    /// How each output is masked.
    pub masks: Vec<MaskedOutput>,
    /// The plain model's outputs.
    outputs: Vec<TensorSpec>,
    /// Identity of the plain model.
    plain: [u8; 32],
}

impl Confidential {
    /// The confidential version of a model. It follows from the model alone, so whoever has that recomputes its identity.
    ///
    /// # Errors
    /// Outputs that cannot be masked, and models that are not valid.
    pub fn new(model: &Model) -> Result<Self, ModelError> {
        model.validate()?;
        let plain = model.model_id()?;
        let (graph, masks) = masked(&model.graph)?;
        let pads = graph.inputs().iter().skip(model.inputs.len()).map(|id| {
            let node = graph.node(*id);
            TensorSpec::uniform(&node.name, &node.shape, 0)
        });
        let inputs = model.inputs.iter().cloned().chain(pads).collect();
        let shown = |s: &TensorSpec| TensorSpec::uniform(format!("masked {}", s.name), &s.shape, 0);
        let outputs = model.outputs.iter().map(shown).collect();
        let (weights, report) = (model.weights.clone(), model.report.clone());
        let all = Model { graph, weights, inputs, outputs, report };
        all.validate()?;
        Ok(Self { model: all, masks, outputs: model.outputs.clone(), plain })
    }

    /// What is proven of several jobs at once: all inputs of the first, then all of the second. Outputs have the batch in front.
    ///
    /// # Errors
    /// More jobs than a proof has stacks, and what [`Graph::batched_apart`] refuses.
    pub fn for_jobs(&self, jobs: usize) -> Result<Model, ModelError> {
        if jobs == 0 || jobs > MAX_STACKS {
            let what = format!("{jobs} confidential jobs in one proof; 1 to {MAX_STACKS} are possible");
            return Err(GraphError::Parameter(what).into());
        }
        if jobs == 1 {
            return Ok(self.model.clone());
        }
        let graph: Graph = self.model.graph.batched_apart(jobs)?;
        let spec = |(id, name): (&NodeId, String)| TensorSpec::uniform(name, &graph.node(*id).shape, 0);
        let inputs = graph.inputs().iter().map(|id| (id, graph.node(*id).name.clone())).map(spec).collect();
        let names = self.model.outputs.iter().map(|s| s.name.clone());
        let outputs = graph.outputs().iter().zip(names).map(spec).collect();
        let (weights, report) = (self.model.weights.clone(), self.model.report.clone());
        let all = Model { graph, weights, inputs, outputs, report };
        all.validate()?;
        Ok(all)
    }

    /// What the stack of a job holds: its input and its pad.
    ///
    /// # Errors
    /// A row length that is not offered, or tensors too large for a stack.
    pub fn schema(&self, row_bits: u8) -> Result<Schema, GraphError> {
        let id: String = self.plain.iter().map(|b| format!("{b:02x}")).collect();
        let mut tensors = Vec::with_capacity(self.model.inputs.len());
        for (k, (spec, node)) in self.model.inputs.iter().zip(self.model.graph.inputs()).enumerate() {
            let node = self.model.graph.node(*node);
            let Op::Input(input) = &node.op else { continue };
            let cut = (0..=spec.name.len().min(MAX_NAME)).rev().find(|n| spec.name.is_char_boundary(*n));
            let name = format!("{k} {} of {id}", spec.name.get(..cut.unwrap_or(0)).unwrap_or_default());
            tensors.push(SchemaTensor { name, shape: [&[1], node.shape.as_slice()].concat(), bits: input.bits });
        }
        Schema::new(row_bits, tensors)
    }

    /// The stacks of a key for so many jobs, one each, in the order of [`Self::for_jobs`].
    ///
    /// # Errors
    /// As [`Self::schema`].
    pub fn stacks(&self, row_bits: u8, jobs: usize) -> Result<Vec<NamedStack>, GraphError> {
        let schema = self.schema(row_bits)?;
        let n = schema.tensors.len();
        let one = |job: usize| NamedStack {
            name: format!("job {job}"),
            schema: schema.clone(),
            roles: (0..n).map(|k| Some(Role::Input(job * n + k))).collect(),
        };
        Ok((0..jobs).map(one).collect())
    }

    /// The shortest row length that is offered, at least `least`, with which a job's stack has at most four rows.
    pub fn row_bits(&self, least: usize) -> u8 {
        let sizes = self.model.inputs.iter().map(|s| s.shape.iter().map(|d| index_bits(*d)).sum::<usize>());
        let padded: usize = sizes.map(|bits| 1usize << bits.min(40)).sum();
        let least = least.max(index_bits(padded).saturating_sub(2));
        ROW_BITS.into_iter().find(|m| usize::from(*m) >= least).unwrap_or(ROW_BITS[ROW_BITS.len() - 1])
    }

    /// What a job's stack is to hold, for inputs of the plain model. `draw` as in [`MaskedOutput::pad`]: the pad is drawn here,
    /// for this job alone.
    pub fn values(&self, inputs: &[Tensor], mut draw: impl FnMut(u32) -> u32) -> Vec<Tensor> {
        let pads = self.masks.iter().flat_map(|m| m.pad(&mut draw));
        let front = |t: Tensor| Tensor { shape: [&[1], t.shape.as_slice()].concat(), data: t.data };
        inputs.iter().cloned().chain(pads.collect::<Vec<_>>()).map(front).collect()
    }

    /// The inputs of one job as the model takes them, from the values of its stack.
    ///
    /// # Errors
    /// Values of another number or shape.
    pub fn inputs(&self, values: &[Tensor]) -> Result<Vec<Tensor>, GraphError> {
        if values.len() != self.model.inputs.len() {
            return Err(GraphError::Arity { expected: self.model.inputs.len(), got: values.len() });
        }
        let pairs = self.model.inputs.iter().zip(values);
        pairs.map(|(spec, t)| Tensor::new(spec.shape.clone(), t.data.clone())).collect()
    }

    /// The plain model's outputs, as integers, from the masked ones and the values of a job's stack.
    ///
    /// # Errors
    /// What [`MaskedOutput::unmask`] refuses: then the values are not those of the proof.
    pub fn unmask(&self, shown: &[Tensor], values: &[Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let inputs = self.inputs(values)?;
        if shown.len() != self.masks.len() {
            return Err(GraphError::Arity { expected: self.masks.len(), got: shown.len() });
        }
        let one = |(m, z): (&MaskedOutput, &Tensor)| {
            let end = m.first_input + m.widths.len();
            m.unmask(z, inputs.get(m.first_input..end).unwrap_or_default())
        };
        self.masks.iter().zip(shown).map(one).collect()
    }

    /// The plain model's outputs.
    pub fn plain_outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }
}

#[cfg(test)]
mod tests;
