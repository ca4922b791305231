//! PRelu with one slope per channel.
//!
//! * Statement: `out = x` where `x > 0`, else `slope * x`.
//! * ONNX: PRelu (tract: `Iff(0 > x, x * slope, x)`); one slope for all is an ordinary pointwise function.
//! * Shapes: the slope broadcasts.
//! * Lowering: `x + (1 - slope) * relu(-x)`.
//! * Lookups: one a value.
//! * Soundness: lookup, bilinear sumcheck with the slope as a weight.
//! * Reference: docs/protocol.md#lookups.

use super::{
    einsum::floats,
    pointwise::{compose, scalar},
};
use crate::onnx::{
    expr::{Expr, Form},
    lower::{Lazy, Lowering, Result, Root, Value},
};
use tract_onnx::{
    prelude::{OutletId, TypedNode},
    tract_hir::tract_core::ops::{binary::TypedBinOp, logic::Iff, math},
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    if !node.op_is::<Iff>() || node.inputs.len() != 3 {
        return Ok(None);
    }
    if compose_possible(c, node) {
        return Ok(compose(c, node)?.map(|v| vec![v]));
    }
    let Some((slope, shape)) = slope_of(c, node) else { return Ok(None) };
    let Value::Lazy(x) = c.input(node, 2)? else { return Ok(None) };
    let below = Lazy {
        root: x.root,
        expr: Expr::relu(Expr::apply(Box::new(math::neg()), vec![x.expr.clone()]))?,
        form: x.form.scale(-1.0).at_least(0.0),
        range: (0.0, (-x.range.0).max(0.0)),
        outlet: None,
    };
    if below.form == Form::General {
        return Ok(None);
    }
    let outlet = OutletId::new(node.id, 0);
    let factors: Vec<f64> = slope.iter().map(|s| 1.0 - s).collect();
    let out_shape = c.out_shape(node, 0);
    let (node, scale) = super::binary::multiply_constant(c, &below, &factors, &shape, &out_shape)?;
    let a = c.materialize(&x)?;
    let b = Root { node, scale, range: x.range };
    let (id, scale) = c.combine(&[(a, 1), (b, 1)])?;
    Ok(Some(vec![c.result(outlet, id, scale)]))
}

fn compose_possible(c: &Lowering<'_>, node: &TypedNode) -> bool {
    let root = |i: usize| match c.values.get(&node.inputs[i]) {
        Some(Value::Lazy(l)) => Some(l.root.node),
        _ => None,
    };
    root(0).is_some() && root(0) == root(1) && root(1) == root(2)
}

/// The slopes, where the node is `Iff(0 > x, x * slope, x)`.
fn slope_of(c: &Lowering<'_>, node: &TypedNode) -> Option<(Vec<f64>, Vec<usize>)> {
    let producer = |i: usize| &c.model.nodes()[node.inputs[i].node];
    let (test, product) = (producer(0), producer(1));
    let constant = |outlet: OutletId| match c.values.get(&outlet) {
        Some(Value::Const(t)) => Some(t.clone()),
        _ => None,
    };
    let x = node.inputs[2];
    let compare = test.op_as::<TypedBinOp>()?.0.name();
    let zero = match (compare, test.inputs[0] == x, test.inputs[1] == x) {
        ("GT" | "GTE", false, true) => test.inputs[0],
        ("LT" | "LTE", true, false) => test.inputs[1],
        _ => return None,
    };
    let is_zero = scalar(&*constant(zero)?)? == 0.0;
    if !is_zero || product.op_as::<TypedBinOp>()?.0.name() != "Mul" {
        return None;
    }
    let other = if product.inputs[0] == x { product.inputs[1] } else { product.inputs[0] };
    let t = constant(other)?;
    Some((floats(&t).ok()?, t.shape().to_vec()))
}
