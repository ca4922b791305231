//! The trained network as a model like any other: one row in, the network's outputs out, in the integers of training.
//!
//! Its weights are called what the stacks of weights call them, in the shapes and the width that they have there, so that one stack is
//! what training ended with and what inference is proven with.

use super::{
    ACTIVATION_BITS, DATA_WIDTH, Spec, TrainError, WIDTH, layers,
    nodes::{Nodes, Result},
    step::{base_nodes, weight_names},
};
use crate::{
    graph::{Graph, GraphBuilder},
    model::{Features, Model, QuantReport, TensorSpec},
    tensor::Tensor,
};

impl Spec {
    /// The graph that computes the network's outputs for a row, as training does. Input: the row, `[1, ..input]`. Weights: those of
    /// [`super::Network::weights`], then those of [`super::Network::base`]. Output: `[1, outputs]`, in units of `2^-ACTIVATION_BITS`.
    ///
    /// # Errors
    /// A specification that is impossible.
    pub fn inference(&self) -> Result<Graph> {
        self.validate()?;
        let mut n = Nodes { g: GraphBuilder::new(8), steps: 1, batch: 1 };
        let row = n.g.input("row", &[&[1], &self.network.input[..]].concat(), DATA_WIDTH)?;
        let mut weights = vec![];
        for (name, shape) in weight_names(self).iter().zip(self.network.weights()) {
            let weight = n.g.weight(name, &shape, WIDTH)?;
            weights.push(n.reshape(name, weight, [&[1], &shape[..]].concat())?);
        }
        let base = base_nodes(&mut n, self)?;
        let weights = self.network.side_by_side(&weights, &base)?;
        let x = n.reshape("row", row, [&[1, 1], &self.network.input[..]].concat())?;
        let trace = layers::forward(&mut n, &self.network.layers, "", x, &weights, false)?;
        let outputs = n.reshape("outputs", trace.output(), vec![1, self.outputs()?])?;
        Ok(n.g.finish(vec![row], vec![outputs])?)
    }

    /// The network with these weights, trained ones and then those that stay as they are, for inputs as they were before `mean` was taken off each feature and it was divided by
    /// `scale`; both are empty where the data was trained on as it is.
    ///
    /// # Errors
    /// A specification that is impossible; weights or moments that do not fit it.
    pub fn inference_model(&self, weights: &[Tensor], mean: &[f32], scale: &[f32]) -> Result<Model> {
        let wrong =
            |name: &str, expected: String, got: String| Err(TrainError::Data { name: name.to_owned(), expected, got });
        let graph = self.inference()?;
        if graph.weights().count() != weights.len() {
            return wrong("weights", graph.weights().count().to_string(), weights.len().to_string());
        }
        for (id, t) in graph.weights().zip(weights) {
            let node = graph.node(id);
            if let Err(e) = crate::graph::check_tensor(node, t) {
                return wrong(&node.name, format!("shape {:?}, values of {WIDTH} bits", node.shape), e.to_string());
            }
        }
        let mut input = TensorSpec::uniform("input", &[&[1], &self.network.input[..]].concat(), ACTIVATION_BITS as i32);
        if !mean.is_empty() {
            // Moments are those of the features of one axis.
            let [features] = self.network.input[..] else {
                return wrong("moments", "inputs of one axis".to_owned(), format!("{:?}", self.network.input));
            };
            if mean.len() != features || scale.len() != features {
                return wrong("moments", features.to_string(), format!("{} and {}", mean.len(), scale.len()));
            }
            let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect();
            input.features = Some(Features { axis: 1, scale: wide(scale), offset: wide(mean) });
        }
        let outputs = vec![TensorSpec::uniform("output", &[1, self.outputs()?], ACTIVATION_BITS as i32)];
        let report = QuantReport {
            weight_bits: WIDTH,
            activation_bits: WIDTH,
            notes: vec!["its integers are those of training; nothing was quantized anew".to_owned()],
            ..QuantReport::default()
        };
        let model = Model { graph, weights: weights.to_vec().into(), inputs: vec![input], outputs, report };
        match model.validate() {
            Ok(()) => Ok(model),
            Err(e) => wrong("model", "what the graph needs".to_owned(), e.to_string()),
        }
    }
}
