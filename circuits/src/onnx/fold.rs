//! Shape analysis with a bound on what constant folding may allocate.
//!
//! tract evaluates a node as soon as all its inputs are known, and looks at the size of the result afterwards. A file of
//! a hundred bytes can ask for terabytes that way (ConstantOfShape, Expand, Tile, Range, Pad, an outer product). Here the
//! shape of every result is inferred and checked before the node is evaluated.

use super::error::ImportError;
use tract_onnx::{
    prelude::{Arc, InferenceModel, OutletId, TVec, Tensor, TractError},
    tract_hir::infer::{Factoid, InferenceFact},
};

/// Most values that all constants folded in one model may have together.
const FOLD_BUDGET: u64 = 1 << 28;
/// Most values of a tensor.
const MAX_ELEMENTS: u64 = 1 << 28;

/// The value of a constant.
pub(crate) fn constant(fact: &InferenceFact) -> Option<Arc<Tensor>> {
    fact.value.concretize()
}

/// Infers types and shapes of a model, node by node.
///
/// # Errors
/// A tensor or all folded constants together pass the limits; whatever tract reports.
pub(crate) fn analyse(model: &mut InferenceModel) -> Result<(), ImportError> {
    let stage = "inferring types and shapes";
    let fail = |e: TractError| ImportError::engine(stage, &e);
    let order = model.eval_order().map_err(fail)?;
    let mut folded = 0u64;
    for id in order {
        let (inputs, outputs) = model.node_facts(id).map_err(fail)?;
        let inputs: TVec<InferenceFact> = inputs.into_iter().cloned().collect();
        let outputs: TVec<InferenceFact> = outputs.into_iter().cloned().collect();
        let constant = !inputs.is_empty() && inputs.iter().all(|f| f.value.concretize().is_some());
        let node = model.node(id);
        let observed = node.op.observe_outlets(model, node).map_err(fail)?;
        let observed: TVec<InferenceFact> =
            observed.iter().filter_map(|o| model.outlet_fact(*o).ok().cloned()).collect();
        let mut op = node.op.clone();
        let inferred = op.infer_facts(inputs.iter().collect(), outputs.iter().collect(), observed.iter().collect());
        // An operator that fails here fails again below, with tract's own words.
        for fact in inferred.iter().flat_map(|(_, o, _)| o.iter()) {
            let Some(shape) = fact.shape.as_concrete_finite().ok().flatten() else { continue };
            let volume = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64).filter(|n| *n <= MAX_ELEMENTS));
            let too_large = |n: String| ImportError::Tensor {
                tensor: node.name.clone(),
                reason: format!("its shape {shape:?} makes {n}; at most {FOLD_BUDGET} are possible"),
            };
            let volume = volume.ok_or_else(|| too_large("too many values".to_owned()))?;
            if constant {
                folded += volume;
                if folded > FOLD_BUDGET {
                    return Err(too_large(format!("{folded} values of folded constants")));
                }
            }
        }
        // What one pass forwards finds is unified here; tract's own analysis, which goes on until nothing changes, then has
        // the large constants before it.
        let Ok((_, found, _)) =
            model.node_mut(id).op.infer(inputs.iter().collect(), outputs.iter().collect(), observed.iter().collect())
        else {
            continue;
        };
        for (slot, fact) in found.iter().enumerate() {
            let outlet = OutletId::new(id, slot);
            if let Ok(known) = model.outlet_fact(outlet)
                && let Ok(unified) = known.unify(fact)
            {
                model.set_outlet_fact(outlet, unified).map_err(fail)?;
            }
        }
    }
    Ok(())
}
