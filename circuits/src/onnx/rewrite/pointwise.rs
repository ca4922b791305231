//! Pointwise operators: Celu, Swish, Dropout at inference, Pow of two tensors, PRelu with a computed slope.

use super::{
    Rule,
    builder::{Builder, Result},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto, _opset: i64) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("Celu", celu, false),
            ("Swish", swish, false),
            ("Dropout", dropout, true),
            ("Pow", pow, true),
            ("PRelu", prelu, true),
        ],
    )
    .filter(|_| !node.name.ends_with(".kept"))
}

/// `max(x, 0) + min(a (e^(x/a) - 1), 0)`.
fn celu(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let alpha = b.float_or("alpha", 1.0);
    let (zero, one, alpha) = (b.float(0.0), b.float(1.0), b.float(alpha));
    let up = b.op("Max", &[&x, &zero], vec![]);
    let e = b.op("Div", &[&x, &alpha], vec![]);
    // Kept at most zero: the other branch must not overflow.
    let e = b.op("Min", &[&e, &zero], vec![]);
    let e = b.op("Exp", &[&e], vec![]);
    let e = b.op("Sub", &[&e, &one], vec![]);
    let e = b.op("Mul", &[&e, &alpha], vec![]);
    Ok(vec![b.op("Add", &[&up, &e], vec![])])
}

/// `x sigmoid(alpha x)`.
fn swish(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let alpha = b.float_or("alpha", 1.0);
    let alpha = b.float(alpha);
    let e = b.op("Mul", &[&x, &alpha], vec![]);
    let e = b.op("Sigmoid", &[&e], vec![]);
    Ok(vec![b.op("Mul", &[&x, &e], vec![])])
}

/// The identity: at inference nothing is dropped.
fn dropout(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let training = match b.input(2) {
        Some(t) => b.values(&t).is_none_or(|v| v.iter().any(|v| *v != 0.0)),
        None => false,
    };
    let ratio = match b.input(1) {
        Some(r) => b.values(&r).is_none_or(|v| v.iter().any(|v| *v != 0.0)),
        None => b.float_or("ratio", 0.5) != 0.0,
    };
    if training && ratio {
        return Err(ImportError::unsupported("dropout in training mode is random; export the model with model.eval()"));
    }
    Ok(vec![x])
}

/// Whole exponents up to this one are products: powers of negative numbers are then what they should be everywhere.
const PRODUCTS: i64 = 8;

/// `x^y`: products for small whole exponents of one value, tract's own for other such and for squares of floats, `e^(y log x)`
/// otherwise, for positive bases.
fn pow(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, y) = (b.need(0)?, b.need(1)?);
    let exponents = b.values(&y);
    let uniform = exponents.as_ref().is_some_and(|v| v.windows(2).all(|w| w[0] == w[1]));
    let whole = exponents.as_ref().and_then(|v| v.first()).filter(|v| uniform && v.fract() == 0.0).map(|v| *v as i64);
    // An exponent of several axes may have a shape that the base has not.
    let scalar = exponents.is_some_and(|v| v.len() == 1) && b.shape(&x)?.len() >= b.shape(&y)?.len();
    // Squares of floats are tract's own, which knows no squares of integers.
    let least = match b.known.floats.get(&x) {
        Some(true) => 3,
        Some(false) => 2,
        None => PRODUCTS + 1,
    };
    if let Some(n) = whole.filter(|n| (least..=PRODUCTS).contains(n) && scalar && b.values(&x).is_none()) {
        let mut power = if least == 2 {
            // `-(x (-x))`: tract makes its square of a product of equal factors.
            let negative = b.op("Neg", &[&x], vec![]);
            let product = b.op("Mul", &[&x, &negative], vec![]);
            b.op("Neg", &[&product], vec![])
        } else {
            b.op("Mul", &[&x, &x], vec![])
        };
        for _ in 2..n {
            power = b.op("Mul", &[&power, &x], vec![]);
        }
        return Ok(vec![power]);
    }
    if uniform || b.values(&x).is_some() {
        let out = b.op("Pow", &[&x, &y], vec![]);
        if let Some(last) = b.nodes.last_mut() {
            last.name.push_str(".kept");
        }
        return Ok(vec![out]);
    }
    if b.known.floats.get(&x) != Some(&true) {
        return Err(ImportError::unsupported("a power of integers with an exponent that is no constant"));
    }
    let log = b.op("Log", &[&x], vec![]);
    let y =
        if b.known.floats.get(&y) == Some(&true) { y } else { b.op("Cast", &[&y], vec![super::builder::int("to", 1)]) };
    let e = b.op("Mul", &[&log, &y], vec![]);
    Ok(vec![b.op("Exp", &[&e], vec![])])
}

/// tract's own for a constant slope, `max(x, 0) - slope max(-x, 0)` otherwise.
fn prelu(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, slope) = (b.need(0)?, b.need(1)?);
    if b.values(&slope).is_some() {
        let out = b.op("PRelu", &[&x, &slope], vec![]);
        if let Some(last) = b.nodes.last_mut() {
            last.name.push_str(".kept");
        }
        return Ok(vec![out]);
    }
    let up = b.op("Relu", &[&x], vec![]);
    let down = b.op("Neg", &[&x], vec![]);
    let down = b.op("Relu", &[&down], vec![]);
    let down = b.op("Mul", &[&down, &slope], vec![]);
    Ok(vec![b.op("Sub", &[&up, &down], vec![])])
}
