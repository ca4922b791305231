//! Comparisons, logic and choices between tensors.
//!
//! * Statement: `out = a < b` (and the like), `a and b`, `c ? a : b`, entry by entry, with broadcasting.
//! * ONNX: Equal, Less, LessOrEqual, Greater, GreaterOrEqual, And, Or, Xor, Where (tract: `TypedBinOp`, `Iff`); what
//!   depends on one tensor alone is a pointwise function instead.
//! * Shapes: the broadcast of all.
//! * Lowering: a comparison is the tabulated sign of the difference, logic a tabulated sum of both, a choice
//!   `b + c (a - b)` with products for both, and where one of the two is a mask's -1e9 a sum.
//! * Lookups: one a value for a comparison or logic; a choice may commit its operands.
//! * Soundness: booleans are outputs of tables with values 0 and 1; products by bilinear sumcheck.
//! * Reference: docs/protocol.md#lookups, docs/protocol.md#bilinear.

use super::{
    binary::{multiply_constant, product},
    einsum::{floats, quantize_constant},
    mask,
    whole::is_whole,
};
use crate::onnx::{
    error::ImportError,
    expr::{Expr, Form},
    lower::{Lazy, Lowering, Result, Root, Value},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode, tensor0},
    tract_hir::{
        internal::AxisOp,
        tract_core::ops::{
            array::MultiBroadcastTo,
            binary::TypedBinOp,
            logic::{Iff, comp_eq, comp_gte},
            math,
        },
    },
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    if let Some(op) = node.op_as::<TypedBinOp>() {
        let kind = c.model.nodes()[node.inputs[0].node].outputs[node.inputs[0].slot].fact.datum_type;
        return match op.0.name() {
            "Eq" | "NE" | "NotEq" | "LT" | "LTE" | "GT" | "GTE" => {
                compare(c, node, op, kind.is_float()).map(|v| Some(vec![v]))
            }
            "And" | "Or" | "Xor" if kind == tract_onnx::prelude::DatumType::Bool => {
                logic(c, node, op.0.name()).map(|v| Some(vec![v]))
            }
            _ => Ok(None),
        };
    }
    if node.op_is::<Iff>() && node.inputs.len() == 3 {
        return choose(c, node).map(|v| Some(vec![v]));
    }
    Ok(None)
}

/// An input as an integer node of the output's shape.
fn operand(c: &mut Lowering<'_>, node: &TypedNode, i: usize) -> Result<Root> {
    let shape = c.out_shape(node, 0);
    let mut root = match c.input(node, i)? {
        Value::Lazy(l) => c.materialize(&l)?,
        Value::Const(t) => quantize_constant(c, &t, &format!("operand{i}"), c.widths.weight)?,
    };
    root.node = c.broadcast(root.node, &shape)?;
    Ok(root)
}

fn compare(c: &mut Lowering<'_>, node: &TypedNode, op: &TypedBinOp, floats: bool) -> Result<Value> {
    let equality = matches!(op.0.name(), "Eq" | "NE" | "NotEq");
    let whole = || node.inputs.iter().all(|i| is_whole(c.model, *i));
    let peaks = if floats && equality && !whole() {
        Some(peaks(c, node)?.ok_or_else(|| {
            ImportError::unsupported("equality of two tensors of fractions is lost in rounding; compare with < or >")
        })?)
    } else {
        None
    };
    let exact = !floats || peaks.is_some();
    // Of maxima the integers themselves are compared, whatever their unit.
    let counted = peaks.is_some();
    let (a, b) = match peaks {
        Some(both) => both,
        None => (operand(c, node, 0)?, operand(c, node, 1)?),
    };
    let (d, unit) = c.combine(&[(a, 1), (b, -1)])?;
    let scale = if counted { 1.0 } else { unit };
    let range = ((a.range.0 - b.range.1) * scale / unit, (a.range.1 - b.range.0) * scale / unit);
    if exact {
        c.exact.insert(d);
    }
    let zero = Expr::constant(&tensor0(0f32))?;
    // Of whole numbers that were rounded, the difference is the nearest one.
    let difference =
        if !exact && equality { Expr::apply(Box::new(math::round()), vec![Expr::root()]) } else { Expr::root() };
    let expr = Expr::apply(Box::new(TypedBinOp(op.0.clone(), None)), vec![difference, zero]);
    Ok(boolean(node, Root { node: d, scale, range }, expr))
}

/// A tensor and maxima (or minima) of it, of windows or axes, in the integers that these were taken of: equal where an entry is
/// the largest of its window, as peaks of heat maps are found.
fn peaks(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<(Root, Root)>> {
    let shape = c.out_shape(node, 0);
    for (i, other) in [(0, 1), (1, 0)] {
        let Some(extrema) = extrema(c, node.inputs[other]) else { continue };
        let from = c.model.nodes()[extrema.node].inputs[0];
        let (Value::Lazy(top), Some(taken)) = (c.input(node, other)?, c.extrema.get(&extrema).copied()) else {
            continue;
        };
        let mut top = c.materialize(&top)?;
        if from != node.inputs[i] || top.scale != taken.scale {
            continue;
        }
        top.node = c.broadcast(top.node, &shape)?;
        let all = Root { node: c.broadcast(taken.node, &shape)?, ..taken };
        return Ok(Some(if i == 0 { (all, top) } else { (top, all) }));
    }
    Ok(None)
}

/// The maxima or minima that an outlet holds, behind what only moves them.
fn extrema(c: &Lowering<'_>, outlet: OutletId) -> Option<OutletId> {
    let mut at = outlet;
    loop {
        let node = &c.model.nodes()[at.node];
        if c.extrema.contains_key(&at) {
            return Some(at);
        }
        if !(node.op_is::<AxisOp>() || node.op_is::<MultiBroadcastTo>()) {
            return None;
        }
        at = *node.inputs.first()?;
    }
}

fn boolean(node: &TypedNode, root: Root, expr: std::rc::Rc<Expr>) -> Value {
    Value::Lazy(Lazy { root, expr, form: Form::General, range: (0.0, 1.0), outlet: Some(OutletId::new(node.id, 0)) })
}

fn logic(c: &mut Lowering<'_>, node: &TypedNode, name: &str) -> Result<Value> {
    let (a, b) = (operand(c, node, 0)?, operand(c, node, 1)?);
    let (sum, scale) = c.combine(&[(a, 1), (b, 1)])?;
    c.exact.insert(sum);
    let (threshold, test) = match name {
        "And" => (2f32, comp_gte()),
        "Or" => (1f32, comp_gte()),
        _ => (1f32, comp_eq()),
    };
    let threshold = Expr::constant(&tensor0(threshold))?;
    let expr = Expr::apply(Box::new(TypedBinOp(test, None)), vec![Expr::root(), threshold]);
    Ok(boolean(node, Root { node: sum, scale, range: (0.0, 2.0) }, expr))
}

/// `b + c (a - b)`: two products, `c a` and `(1 - c) b`, so that both operands keep their own scale.
fn choose(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
    let shape = c.out_shape(node, 0);
    let outlet = OutletId::new(node.id, 0);
    let (a, b) = (c.input(node, 1)?, c.input(node, 2)?);
    let condition = c.input(node, 0)?;
    if let Some((node, scale)) = mask::chosen(c, &condition, &a, &b, &shape)? {
        return Ok(c.result(outlet, node, scale));
    }
    let (yes, no) = match condition {
        Value::Const(t) => {
            let yes = floats(&t)?;
            let no: Vec<f64> = yes.iter().map(|v| 1.0 - v).collect();
            let mut parts = Vec::new();
            for (value, mask) in [(&a, &yes), (&b, &no)] {
                parts.push(masked(c, value, mask, t.shape(), &shape)?);
            }
            (parts[0], parts[1])
        }
        Value::Lazy(l) => {
            let condition = c.commit(&l)?;
            let flipped = Root { node: c.linear(&[(condition.node, -1)], 1)?, ..condition };
            (chosen(c, condition, &a, &shape)?, chosen(c, flipped, &b, &shape)?)
        }
    };
    let (id, scale) = c.combine(&[(yes, 1), (no, 1)])?;
    Ok(c.result(outlet, id, scale))
}

/// A tensor times a boolean one.
fn chosen(c: &mut Lowering<'_>, condition: Root, value: &Value, shape: &[usize]) -> Result<Root> {
    let (node, scale) = match value {
        Value::Const(t) => {
            let w = quantize_constant(c, t, "choice", c.widths.weight)?;
            product(c, condition, w, shape)?
        }
        Value::Lazy(l) => {
            let x = c.operand(l)?;
            product(c, x, condition, shape)?
        }
    };
    let node = c.broadcast(node, shape)?;
    Ok(Root { node, scale, range: (0.0, 0.0) })
}

/// A tensor times a constant mask of zeros and ones.
fn masked(c: &mut Lowering<'_>, value: &Value, mask: &[f64], mask_shape: &[usize], shape: &[usize]) -> Result<Root> {
    let (node, scale) = match value {
        Value::Lazy(l) => multiply_constant(c, l, mask, mask_shape, shape)?,
        Value::Const(t) => {
            let w = quantize_constant(c, t, "choice", c.widths.weight)?;
            let m = super::einsum::quantize(c, mask, mask_shape, "mask", 2)?;
            product(c, w, m, shape)?
        }
    };
    let node = c.broadcast(node, shape)?;
    Ok(Root { node, scale, range: (0.0, 0.0) })
}
