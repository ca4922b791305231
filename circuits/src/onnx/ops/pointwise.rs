//! Pointwise functions of one tensor.
//!
//! * Statement: `out = f(x)`, entry by entry.
//! * ONNX: every elementwise function that tract can evaluate (Sigmoid, Tanh, Erf, Gelu, HardSwish, Exp, Sqrt, LeakyRelu,
//!   Where, Cast, ..), and binary operators with a constant or with another function of the same tensor.
//! * Shapes: unchanged.
//! * Lowering: nothing happens here. The function is composed, and tabulated when an operator needs the result.
//! * Lookups: one a value for a whole chain, together with the rounding of the contraction before it.
//! * Soundness: the table is part of the graph.
//! * Reference: docs/protocol.md#lookups.

use super::einsum::floats;
use crate::onnx::{
    error::ImportError,
    expr::{Expr, Form},
    lower::{Lazy, Lowering, Result, Root, Value},
};
use tract_onnx::{
    prelude::{DatumType, OutletId, Tensor, TypedNode},
    tract_hir::{
        internal::TypedOp,
        tract_core::ops::{binary::TypedBinOp, cast::Cast, element_wise::ElementWiseOp, logic::Iff, math},
    },
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    if let Some(cast) = node.op_as::<Cast>() {
        let from = c.model.nodes()[node.inputs[0].node].outputs[node.inputs[0].slot].fact.datum_type;
        if cast.to.is_float() && from.is_float() {
            return Ok(Some(vec![c.input(node, 0)?]));
        }
    }
    if !(node.op_is::<ElementWiseOp>() || node.op_is::<Cast>() || node.op_is::<Iff>()) {
        return Ok(None);
    }
    match compose(c, node)? {
        Some(v) => Ok(Some(vec![v])),
        None if node.op_is::<Iff>() => Ok(None),
        None => Err(ImportError::unsupported(
            "it combines different tensors; only functions of one tensor and constants of one value can be tabulated",
        )),
    }
}

/// The one finite value of a constant whose entries are all equal.
pub(crate) fn scalar(t: &Tensor) -> Option<f64> {
    let v = floats(t).ok()?;
    let first = *v.first()?;
    v.iter().all(|x| *x == first).then_some(first)
}

/// The node as a function of one tensor, if its inputs are functions of one tensor and uniform constants.
pub(crate) fn compose(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Value>> {
    let mut root: Option<Lazy> = None;
    let mut args = Vec::with_capacity(node.inputs.len());
    let mut forms = Vec::with_capacity(node.inputs.len());
    for i in 0..node.inputs.len() {
        match c.input(node, i)? {
            Value::Const(t) => {
                let Some(v) = scalar(&t) else { return Ok(None) };
                let t = if t.datum_type().is_float() { t.cast_to::<f32>() } else { t.cast_to_dt(t.datum_type()) };
                let t = t.map_err(|e| ImportError::engine("reading a constant", &e))?;
                args.push(Expr::constant(&t)?);
                forms.push(Err(v));
            }
            Value::Lazy(l) => {
                if root.as_ref().is_some_and(|r| r.root.node != l.root.node || r.root.scale != l.root.scale) {
                    return Ok(None);
                }
                args.push(l.expr.clone());
                forms.push(Ok(l.form));
                root.get_or_insert(l);
            }
        }
    }
    let Some(l) = root else { return Ok(None) };
    if c.shape(l.root.node) != c.out_shape(node, 0) {
        return Ok(None);
    }
    let form = match (node.op_as::<Cast>(), forms.as_slice()) {
        (Some(cast), [Ok(form)]) if keeps(c, node, cast.to, *form, l.root) => *form,
        _ => form_of(node, &forms),
    };
    let outlet = OutletId::new(node.id, 0);
    let range = c.range_of(outlet);
    let expr = Expr::apply(node.op.clone(), args);
    Ok(Some(Value::Lazy(Lazy { root: l.root, expr, form, range, outlet: Some(outlet) })))
}

/// Whether a cast changes no value: of integers to floats, or to a type that holds all that they can be.
fn keeps(c: &Lowering<'_>, node: &TypedNode, to: DatumType, form: Form, root: Root) -> bool {
    let from = c.model.nodes()[node.inputs[0].node].outputs[node.inputs[0].slot].fact.datum_type;
    if from.is_float() || to == DatumType::Bool || from == DatumType::Bool {
        return false;
    }
    if to.is_float() {
        return true;
    }
    let Some((a, b)) = form.affine() else { return false };
    let range = c.g.node(root.node).range;
    let ends = [range.lo as f64, range.hi as f64].map(|v| a * v * root.scale + b);
    let (lo, hi) = super::binary::limits(to);
    ends.iter().all(|v| lo <= *v && *v <= hi)
}

/// Recognizes affine functions and clamps; `Err` stands for a constant.
fn form_of(node: &TypedNode, args: &[std::result::Result<Form, f64>]) -> Form {
    let kind = node.outputs[0].fact.datum_type;
    if kind == DatumType::Bool {
        return Form::General;
    }
    if !kind.is_float() {
        // Sums and products of integers are exact; all else is tabulated.
        return match (node.op_as::<TypedBinOp>().map(|op| op.0.name()), args) {
            (Some("Add"), [Ok(f), Err(v)] | [Err(v), Ok(f)]) => f.shift(*v),
            (Some("Sub"), [Ok(f), Err(v)]) => f.shift(-v),
            (Some("Sub"), [Err(v), Ok(f)]) => f.scale(-1.0).shift(*v),
            (Some("Mul"), [Ok(f), Err(v)] | [Err(v), Ok(f)]) => f.scale(*v),
            _ => Form::General,
        };
    }
    if let Some(op) = node.op_as::<TypedBinOp>() {
        return match (op.0.name(), args) {
            ("Add", [Ok(f), Err(v)] | [Err(v), Ok(f)]) => f.shift(*v),
            ("Sub", [Ok(f), Err(v)]) => f.shift(-v),
            ("Sub", [Err(v), Ok(f)]) => f.scale(-1.0).shift(*v),
            ("Mul", [Ok(f), Err(v)] | [Err(v), Ok(f)]) => f.scale(*v),
            ("Div", [Ok(f), Err(v)]) => f.scale(1.0 / v),
            ("Max", [Ok(f), Err(v)] | [Err(v), Ok(f)]) => f.at_least(*v),
            ("Min", [Ok(f), Err(v)] | [Err(v), Ok(f)]) => f.at_most(*v),
            ("Add", [Ok(f), Ok(g)]) => f.sum(*g, 1.0),
            ("Sub", [Ok(f), Ok(g)]) => f.sum(*g, -1.0),
            _ => Form::General,
        };
    }
    match (node.op_as::<ElementWiseOp>().map(|op| op.0.name()), args) {
        (Some(name), [Ok(f)]) if name == "Neg" => f.scale(-1.0),
        _ => Form::General,
    }
}

/// The reciprocal of a tensor.
pub(crate) fn reciprocal(l: &Lazy) -> Result<Lazy> {
    if l.range.0 <= 0.0 && l.range.1 >= 0.0 {
        return Err(ImportError::unsupported("the divisor comes close to zero on the calibration data"));
    }
    let (a, b) = (1.0 / l.range.0, 1.0 / l.range.1);
    derived(l, Box::new(math::recip()), (a.min(b), a.max(b)))
}

fn derived(l: &Lazy, op: Box<dyn TypedOp>, range: (f64, f64)) -> Result<Lazy> {
    let expr = Expr::apply(op, vec![l.expr.clone()]);
    Ok(Lazy { root: l.root, expr, form: Form::General, range, outlet: None })
}
