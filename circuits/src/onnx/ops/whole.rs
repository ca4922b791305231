//! Tensors of floats that hold whole numbers whatever the input: counts of comparisons, sums of them with whole weights.
//!
//! Two of them are equal if and only if they are less than a half apart, which rounding does not change.

use super::einsum::floats;
use std::collections::HashMap;
use tract_onnx::{
    prelude::{OutletId, TypedModel, TypedNode},
    tract_hir::{
        internal::AxisOp,
        tract_core::ops::{
            array::{Gather, MultiBroadcastTo, Slice, TypedConcat},
            binary::TypedBinOp,
            cast::Cast,
            einsum::EinSum,
            element_wise::ElementWiseOp,
            konst::Const,
            logic::Iff,
            nn::{Reduce, Reducer},
        },
    },
};

/// Most nodes that are looked at; beyond, nothing is said to be whole.
const MAX_NODES: usize = 1 << 10;

/// Whether every entry of an outlet is a whole number.
pub(crate) fn is_whole(model: &TypedModel, outlet: OutletId) -> bool {
    // Nodes are told apart once, their inputs first: depth is no matter.
    let (mut known, mut open): (HashMap<usize, bool>, Vec<(usize, bool)>) =
        (HashMap::new(), vec![(outlet.node, false)]);
    while let Some((id, ready)) = open.pop() {
        if known.contains_key(&id) {
            continue;
        }
        if known.len() + open.len() > MAX_NODES {
            return false;
        }
        let node = &model.nodes()[id];
        if let Some(answer) = at_once(node) {
            known.insert(id, answer);
        } else if ready {
            let from = usize::from(node.op_is::<Iff>());
            let until = if node.op_is::<Gather>() { 1 } else { node.inputs.len() };
            let all = node.inputs[from..until].iter().all(|i| known.get(&i.node).copied().unwrap_or(false));
            known.insert(id, all);
        } else {
            open.push((id, true));
            open.extend(node.inputs.iter().map(|i| (i.node, false)));
        }
    }
    known.get(&outlet.node).copied().unwrap_or(false)
}

/// The answer where it does not depend on the node's inputs; `None` where the result is whole if they are.
fn at_once(node: &TypedNode) -> Option<bool> {
    if node.outputs.iter().all(|o| !o.fact.datum_type.is_float()) {
        return Some(true);
    }
    if let Some(c) = node.op_as::<Const>() {
        return Some(floats(c.val()).is_ok_and(|v| v.iter().all(|v| v.fract() == 0.0)));
    }
    if let Some(op) = node.op_as::<ElementWiseOp>() {
        return match op.0.name().as_str() {
            "Ceil" | "Floor" | "Round" | "RoundHalfToEven" | "Sign" => Some(true),
            "Abs" | "Neg" => None,
            _ => Some(false),
        };
    }
    if let Some(op) = node.op_as::<TypedBinOp>() {
        return if matches!(op.0.name(), "Add" | "Sub" | "Mul" | "Max" | "Min") { None } else { Some(false) };
    }
    if let Some(op) = node.op_as::<Reduce>() {
        return if matches!(op.reducer, Reducer::Sum | Reducer::Max | Reducer::Min) { None } else { Some(false) };
    }
    let view = node.op_is::<AxisOp>() || node.op_is::<Slice>() || node.op_is::<TypedConcat>();
    let keeps = view || node.op_is::<MultiBroadcastTo>() || node.op_is::<Gather>() || node.op_is::<Iff>();
    let keeps = keeps || node.op_is::<Cast>() || node.op_is::<EinSum>();
    if keeps { None } else { Some(false) }
}
