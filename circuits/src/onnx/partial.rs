//! What can still be told of a model that cannot be compiled.

use super::{error::ImportError, fold, guard::guarded};
use std::collections::HashMap;
use tract_onnx::{
    pb::ModelProto,
    prelude::*,
    tract_hir::infer::{InferenceFact, InferenceOp},
};

/// Shapes that follow from the inputs' in a model that has no types as a whole; for people, and for nothing else.
pub(crate) fn known_shapes(proto: &ModelProto) -> HashMap<String, Vec<usize>> {
    let partial = guarded("analysing the model", || {
        let fail = |e: TractError| ImportError::engine("analysing the model", &e);
        let mut model = tract_onnx::onnx().with_ignore_value_info(true).model_for_proto_model(proto).map_err(fail)?;
        fold::analyse(&mut model)?;
        // It stops where nothing follows any more, which is no reason to forget what did.
        let _ = model.analyse(true);
        let shape = |n: &Node<InferenceFact, Box<dyn InferenceOp>>| {
            let dims = n.outputs.first()?.fact.shape.as_concrete_finite().ok()??;
            Some((n.name.clone(), dims.to_vec()))
        };
        Ok(model.nodes().iter().filter_map(shape).collect())
    });
    partial.unwrap_or_default()
}
