//! Sums, differences, products, quotients, maxima and minima of two tensors.
//!
//! * Statement: entry by entry, with broadcasting.
//! * ONNX: Add, Sub, Mul, Div, Max, Min, and the comparison operators inside a pointwise function.
//! * Shapes: the broadcast of both.
//! * Lowering: with a constant of one value, or another function of the same tensor, it stays part of a pointwise function.
//!   Otherwise sums are `Linear` at a common scale (constants become weights), products are `Contraction`s, a quotient is a
//!   product with a tabulated reciprocal, and `max(a, b) = a + relu(b - a)`.
//! * Lookups: none for sums; products may commit their operands; one a value for maxima and reciprocals.
//! * Soundness: linear views, bilinear sumcheck, lookups.
//! * Reference: docs/protocol.md#linear, docs/protocol.md#bilinear.

use super::{
    einsum::{MASK, add_constant, floats, quantize},
    mask,
    pointwise::{compose, reciprocal},
};
use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        expr::{Expr, Form},
        lower::{Lazy, Lowering, Result, Root, Value},
        own::Own,
        quotients,
    },
    ops::{AxisExpr, Contraction, Indices, Op},
};
use tract_onnx::{
    prelude::{DatumType, OutletId, Tensor, TypedNode},
    tract_hir::tract_core::ops::binary::TypedBinOp,
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<TypedBinOp>() else { return Ok(None) };
    if let Some(v) = compose(c, node)? {
        return Ok(Some(vec![v]));
    }
    let shape = c.out_shape(node, 0);
    let outlet = OutletId::new(node.id, 0);
    let name = op.0.name();
    if matches!(name, "Eq" | "NE" | "NotEq" | "LT" | "LTE" | "GT" | "GTE" | "And" | "Or" | "Xor") {
        return Ok(None);
    }
    if let Some(kind) = c.integer(outlet) {
        if let Some(v) = super::integer::lower(c, node, name, kind)? {
            return Ok(Some(vec![v]));
        }
        no_wrap(c, node, name, kind)?;
    }
    let value = match (c.input(node, 0)?, c.input(node, 1)?) {
        (Value::Lazy(x), Value::Const(t)) => with_constant(c, name, &x, &t, false, &shape, outlet)?,
        (Value::Const(t), Value::Lazy(x)) => with_constant(c, name, &x, &t, true, &shape, outlet)?,
        (Value::Lazy(x), Value::Lazy(y)) => two(c, name, &x, &y, &shape, outlet)?,
        _ => return Err(ImportError::unsupported("both inputs are constants")),
    };
    Ok(Some(vec![value]))
}

/// Refuses integer arithmetic that leaves its type on the calibration data, and division, which rounds.
fn no_wrap(c: &Lowering<'_>, node: &TypedNode, name: &str, kind: DatumType) -> Result<()> {
    let range = |i: usize| -> Result<(f64, f64)> {
        Ok(match c.input(node, i)? {
            Value::Lazy(l) => l.range,
            Value::Const(t) => {
                let v = floats(&t)?;
                (v.iter().copied().fold(f64::INFINITY, f64::min), v.iter().copied().fold(f64::NEG_INFINITY, f64::max))
            }
        })
    };
    let (a, b) = (range(0)?, range(1)?);
    let ends = match name {
        "Add" => vec![a.0 + b.0, a.1 + b.1],
        "Sub" => vec![a.0 - b.1, a.1 - b.0],
        "Mul" => vec![a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1],
        "Max" | "Min" => return Ok(()),
        _ => return Err(ImportError::unsupported("this operator on two integer tensors")),
    };
    let limits = limits(kind);
    match ends.iter().find(|v| **v < limits.0 || **v > limits.1) {
        Some(v) => Err(ImportError::unsupported(format!("integers of up to {v} may wrap around in their type"))),
        None => Ok(()),
    }
}

/// The least and the largest integer of a type, as far as arithmetic here goes.
pub(crate) fn limits(kind: DatumType) -> (f64, f64) {
    match kind {
        DatumType::U8 => (0.0, 255.0),
        DatumType::I8 => (-128.0, 127.0),
        DatumType::U16 => (0.0, 65535.0),
        DatumType::I16 => (-32768.0, 32767.0),
        DatumType::U32 | DatumType::U64 => (0.0, f64::from(1 << 30)),
        _ => (-f64::from(1 << 30), f64::from(1 << 30)),
    }
}

fn with_constant(
    c: &mut Lowering<'_>,
    name: &str,
    x: &Lazy,
    t: &Tensor,
    reversed: bool,
    shape: &[usize],
    outlet: OutletId,
) -> Result<Value> {
    let values = floats(t)?;
    let negative: Vec<f64> = values.iter().map(|v| -v).collect();
    match (name, reversed) {
        ("Add", _) | ("Sub", _) => {
            let mut root = c.materialize(x)?;
            root.node = c.broadcast(root.node, shape)?;
            if reversed && name == "Sub" {
                root.node = c.linear(&[(root.node, -1)], 0)?;
            }
            let constant = if name == "Sub" && !reversed { &negative } else { &values };
            let (id, scale) = add_constant(c, root.node, root.scale, constant, t.shape())?;
            Ok(c.result(outlet, id, scale))
        }
        ("Mul", _) => {
            let (id, scale) = multiply_constant(c, x, &values, t.shape(), shape)?;
            Ok(c.result(outlet, id, scale))
        }
        ("Div", false) => {
            if values.contains(&0.0) {
                return Err(ImportError::unsupported("it divides by zero"));
            }
            let inverse: Vec<f64> = values.iter().map(|v| 1.0 / v).collect();
            let (id, scale) = multiply_constant(c, x, &inverse, t.shape(), shape)?;
            Ok(c.result(outlet, id, scale))
        }
        ("Div", true) => {
            let y = reciprocal(x)?;
            let (id, scale) = multiply_constant(c, &y, &values, t.shape(), shape)?;
            Ok(c.result(outlet, id, scale))
        }
        ("Max" | "Min", _) => {
            // max(x, k) = x + relu(k - x), min(x, k) = x - relu(x - k).
            let sign = if name == "Max" { 1 } else { -1 };
            let mut root = c.materialize(x)?;
            root.node = c.broadcast(root.node, shape)?;
            let flipped = c.linear(&[(root.node, -sign)], 0)?;
            let constant = if sign == 1 { &values } else { &negative };
            let (d, scale) = add_constant(c, flipped, root.scale, constant, t.shape())?;
            let bound = values.iter().fold(0.0f64, |m, v| m.max(v.abs())) + x.range.0.abs().max(x.range.1.abs());
            let relu = relu_of(Root { node: d, scale, range: (-bound, bound) }, bound)?;
            let relu = c.commit(&relu)?;
            let (id, scale) = c.combine(&[(root, 1), (relu, sign)])?;
            Ok(c.result(outlet, id, scale))
        }
        _ => Err(ImportError::unsupported("this combination of a tensor and a constant tensor")),
    }
}

/// `max(x, 0)` of an integer node.
fn relu_of(root: Root, bound: f64) -> Result<Lazy> {
    let form = Form::identity().at_least(0.0);
    Ok(Lazy { root, expr: Expr::relu(Expr::root())?, form, range: (0.0, bound), outlet: None })
}

/// Elementwise product with a constant that broadcasts.
pub(crate) fn multiply_constant(
    c: &mut Lowering<'_>,
    x: &Lazy,
    values: &[f64],
    constant_shape: &[usize],
    shape: &[usize],
) -> Result<(NodeId, f64)> {
    let x = c.operand(x)?;
    let w = quantize(c, values, constant_shape, "weight", c.widths.weight)?;
    product(c, x, w, shape)
}

/// Elementwise product with broadcasting.
pub(crate) fn product(c: &mut Lowering<'_>, x: Root, y: Root, shape: &[usize]) -> Result<(NodeId, f64)> {
    let mut indices = Indices::default();
    let (xs, ys) = (c.shape(x.node), c.shape(y.node));
    if xs.len() != shape.len() || ys.len() != shape.len() {
        return Err(ImportError::unsupported(format!("shapes {xs:?} and {ys:?} have different ranks")));
    }
    let mut axes = [vec![], vec![], vec![]];
    for (a, extent) in shape.iter().enumerate() {
        let expr = indices.axis(*extent);
        let of = |d: usize| if d == *extent { expr.clone() } else { AxisExpr::unit() };
        axes[0].push(of(xs[a]));
        axes[1].push(of(ys[a]));
        axes[2].push(expr.clone());
    }
    let [lhs, rhs, out] = axes;
    let id = c.push(Op::Contraction(Contraction { extents: indices.0, lhs, rhs, out }), &[x.node, y.node])?;
    Ok((id, x.scale * y.scale))
}

/// How many times fewer entries a factor has that gets [`SHARED_BITS`].
const SHARED: usize = 8;
/// Width of a factor that many entries share (the reciprocal root of a row's variance, the reciprocal of a softmax's sum): it
/// costs little, and its error would be that of all of them.
const SHARED_BITS: u32 = 16;

/// Both operands of a product.
fn factors(c: &mut Lowering<'_>, x: &Lazy, y: &Lazy) -> Result<(Root, Root)> {
    let count = |c: &Lowering<'_>, l: &Lazy| c.shape(l.root.node).iter().product::<usize>();
    let (n, m) = (count(c, x), count(c, y));
    let of = |c: &mut Lowering<'_>, l: &Lazy, own: usize, other: usize| {
        // By rows of zeros a table would go up to what these are divided by.
        let zeros = c.least_squares.get(&l.root.node).is_some_and(|least| l.root.range.0 < least / 2.0);
        if own * SHARED > other && !zeros {
            return c.operand(l);
        }
        let bits = SHARED_BITS.max(c.widths.activation);
        match quotients::commit(c, l)? {
            Some(root) => Ok(root),
            None => c.operand_within(l, bits),
        }
    };
    Ok((of(c, x, n, m)?, of(c, y, m, n)?))
}

/// A sum that is read more than once, committed where contractions are below it: otherwise every reader's claim goes on to all of
/// them, and along a residual stream to those of all layers before.
fn shared_sum(c: &mut Lowering<'_>, outlet: OutletId, sum: Value) -> Result<Value> {
    let Value::Lazy(l) = &sum else { return Ok(sum) };
    let readers = c.model.outlet_successors(outlet);
    let softmax = readers.iter().any(|r| c.model.nodes()[r.node].op_is::<Own>());
    let masked = l.range.1.max(-l.range.0) >= MASK;
    if readers.len() < 2 || softmax || masked || c.is_integer(l) || !c.g.node(l.root.node).bilinear {
        return Ok(sum);
    }
    let root = c.commit_within(l, c.widths.fine())?;
    Ok(Value::Lazy(Lazy { outlet: Some(outlet), ..Lazy::of(root) }))
}

fn two(c: &mut Lowering<'_>, name: &str, x: &Lazy, y: &Lazy, shape: &[usize], outlet: OutletId) -> Result<Value> {
    match name {
        "Add" | "Sub" => {
            let (mut a, mut b) = (c.materialize(x)?, c.materialize(y)?);
            let sign = if name == "Add" { 1 } else { -1 };
            let mut masked = mask::added(c, (x, a), (y, b), sign, shape)?;
            if masked.is_none() && sign > 0 {
                masked = mask::added(c, (y, b), (x, a), sign, shape)?;
            }
            let (id, scale) = match masked {
                Some(sum) => sum,
                None => {
                    a.node = c.broadcast(a.node, shape)?;
                    b.node = c.broadcast(b.node, shape)?;
                    c.combine(&[(a, 1), (b, sign)])?
                }
            };
            let sum = c.result(outlet, id, scale);
            shared_sum(c, outlet, sum)
        }
        "Mul" => {
            let (a, b) = factors(c, x, y)?;
            let (id, scale) = product(c, a, b, shape)?;
            Ok(c.result(outlet, id, scale))
        }
        "Div" => {
            let inverse = reciprocal(y)?;
            let (a, b) = factors(c, x, &inverse)?;
            let (id, scale) = product(c, a, b, shape)?;
            Ok(c.result(outlet, id, scale))
        }
        "Max" | "Min" => {
            let sign = if name == "Max" { 1 } else { -1 };
            let (mut a, mut b) = (c.materialize(x)?, c.materialize(y)?);
            a.node = c.broadcast(a.node, shape)?;
            b.node = c.broadcast(b.node, shape)?;
            let (d, scale) = c.combine(&[(b, sign), (a, -sign)])?;
            let bound = (x.range.1 - y.range.0).max(y.range.1 - x.range.0).max(0.0);
            let relu = c.commit(&relu_of(Root { node: d, scale, range: (-bound, bound) }, bound)?)?;
            let (id, scale) = c.combine(&[(a, 1), (relu, sign)])?;
            Ok(c.result(outlet, id, scale))
        }
        _ => Err(ImportError::unsupported(
            "only sums, differences, products, quotients, maxima and minima of two tensors are supported",
        )),
    }
}
