//! Normalization by the root of the mean square.
//!
//! * Statement: `out = x / sqrt(mean(x^2) + eps)` along one axis.
//! * ONNX: LayerNormalization and its spelling in primitives, which tract fuses (`RmsNorm`).
//! * Shapes: unchanged.
//! * Lowering: taken apart again before calibration, so that every step has a calibrated range: a contraction of the tensor with
//!   itself, a tabulated reciprocal root, a product.
//! * Lookups: one a value where the tensor is not committed yet, one a row for the root.
//! * Soundness: lookups, bilinear sumcheck.
//! * Reference: docs/protocol.md#lookups.

use tract_onnx::{
    prelude::{TractResult, TypedModel},
    tract_hir::{
        internal::{IntoArcTensor, TypedModelPatch, tvec},
        tract_core::ops::{
            konst::Const,
            math,
            nn::{Reduce, Reducer, RmsNorm},
        },
    },
};

/// Replaces every fused normalization by its steps.
pub(crate) fn expand(model: &mut TypedModel) -> TractResult<()> {
    let fused: Vec<usize> = model.nodes().iter().filter(|n| n.op_is::<RmsNorm>()).map(|n| n.id).collect();
    for id in fused {
        let node = model.nodes()[id].clone();
        let Some(op) = node.op_as::<RmsNorm>() else { continue };
        let name = &node.name;
        let rank = node.outputs[0].fact.rank();
        let mut eps = op.eps.cast_to_dt(node.outputs[0].fact.datum_type)?.into_owned();
        while eps.rank() < rank {
            eps.insert_axis(0)?;
        }
        let mut patch = TypedModelPatch::default();
        let x = patch.tap_model(model, node.inputs[0])?;
        let eps = patch.wire_node(format!("{name}.eps"), Const::new(eps.into_arc_tensor())?, &[])?[0];
        let reduce = Reduce { axes: tvec!(op.axis), reducer: Reducer::MeanOfSquares };
        let squares = patch.wire_node(format!("{name}.squares"), reduce, &[x])?[0];
        let sum = patch.wire_node(format!("{name}.sum"), math::add(), &[squares, eps])?[0];
        let root = patch.wire_node(format!("{name}.root"), math::rsqrt(), &[sum])?[0];
        let out = patch.wire_node(format!("{name}.product"), math::mul(), &[x, root])?[0];
        patch.shunt_outside(model, id.into(), out)?;
        patch.apply(model)?;
    }
    model.compact()
}
