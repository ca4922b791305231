//! Reciprocals and reciprocal roots without a table: `1 / (a v + b)` as a quotient, `1 / sqrt(a v + b)` as a root and a quotient.
//!
//! A table with equal steps is coarse where the value is small, which is where these functions change most; and every layer would
//! need one of its own. [`crate::ops::Divide`] and [`crate::ops::Root`] are exact for all values and only check ranges.

use super::{
    expr::Expr,
    lower::{Lazy, Lowering, Result, Root, fit_exponent},
};
use crate::{
    graph::NodeId,
    ops::{self, Op},
};
use std::rc::Rc;

/// Points at which a function is compared with a reciprocal.
const POINTS: usize = 8;
/// Largest difference, relative.
const SAME: f64 = 1e-4;
/// Bits of the largest calibrated quotient.
const QUOTIENT_BITS: i32 = 16;
/// Fewest bits of it that are of use.
const LEAST_BITS: f64 = 10.0;
/// Bits of the smallest calibrated root and divisor.
const DIVISOR_BITS: f64 = 15.0;
/// Bits of the largest dividend, radicand and quotient that are possible.
const DIVIDEND_BITS: f64 = 56.0;
const RANGE_BITS: f64 = 30.0;

/// A function `(a v + b)^(-1)` or `(a v + b)^(-1/2)`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Inverse {
    root: bool,
    a: f64,
    b: f64,
}

impl Inverse {
    /// Recognizes such a function of floats between `lo` and `hi`, both positive, by its values.
    fn of(expr: &Rc<Expr>, lo: f64, hi: f64) -> Result<Option<Self>> {
        let hi = hi.max(2.0 * lo);
        let at = |i: usize| lo + (hi - lo) * i as f64 / POINTS as f64;
        let points: Vec<f32> = std::iter::once(0.0).chain((0..=POINTS).map(|i| at(i) as f32)).collect();
        let values: Vec<f64> = expr.eval(&points)?.into_iter().map(f64::from).collect();
        if values[1..].iter().any(|v| !v.is_finite() || *v <= 0.0) {
            return Ok(None);
        }
        for (root, power) in [(false, -1.0), (true, -2.0)] {
            let g: Vec<f64> = values.iter().map(|v| v.powf(power)).collect();
            // At zero the function is infinite, or all that is left is `b`.
            let b = if values[0].is_finite() && values[0] > 0.0 { g[0] } else { 0.0 };
            let a = (g[POINTS + 1] - b) / f64::from(points[POINTS + 1]);
            let fits = |(p, g): (&f32, &f64)| (a * f64::from(*p) + b - g).abs() <= SAME * g;
            if a > 0.0 && a.is_finite() && points[1..].iter().zip(&g[1..]).all(fits) {
                return Ok(Some(Self { root, a, b }));
            }
        }
        Ok(None)
    }
}

/// Commits a reciprocal or a reciprocal root of a positive tensor. `None` where the function is no such one, or the ranges do not
/// allow it.
pub(crate) fn commit(c: &mut Lowering<'_>, l: &Lazy) -> Result<Option<Root>> {
    let (lo, hi) = l.root.range;
    // What constant rows are divided by does not matter: they are zero.
    let lo = c.least_squares.get(&l.root.node).map_or(lo, |v| v.max(lo));
    if lo < 0.0 || l.form.affine().is_some() || c.is_integer(l) {
        return Ok(None);
    }
    // Of zeros alone the worst case is all there is to go by.
    let hi = if hi > 0.0 { hi } else { c.g.node(l.root.node).range.hi as f64 * l.root.scale };
    let Some(f) = Inverse::of(&l.expr, lo, hi)? else { return Ok(None) };
    let unit = f.a * l.root.scale;
    let b = f.b / unit;
    // The smallest calibrated argument, and the largest possible, in units.
    let (least, most) = (lo / l.root.scale + b, c.g.node(l.root.node).range.hi as f64 + b);
    let refined = |power: f64| {
        let wanted = (DIVISOR_BITS * power - least.log2()).max(0.0);
        wanted.min(DIVIDEND_BITS - most.max(1.0).log2())
    };
    let (divisor, dividend, smallest) = if f.root {
        let t = (refined(2.0) / 2.0).floor();
        if t < 0.0 || (least.log2() / 2.0 + t) < LEAST_BITS {
            return Ok(None);
        }
        let factor = 1i64 << (2.0 * t) as u32;
        let v = c.linear(&[(l.root.node, factor)], (b * factor as f64).round() as i64)?;
        if c.g.node(v).range.lo < 0 {
            return Ok(None);
        }
        let Ok(root) = c.push(Op::Root(ops::Root {}), &[v]) else { return Ok(None) };
        (root, t.exp2() / unit.sqrt(), (least.log2() / 2.0 + t).exp2())
    } else {
        let t = refined(1.0).floor();
        if t < 0.0 || c.g.node(l.root.node).bilinear {
            return Ok(None);
        }
        let v = c.linear(&[(l.root.node, 1i64 << t as u32)], (b * t.exp2()).round() as i64)?;
        (v, t.exp2() / unit, least * t.exp2())
    };
    // What may be zero in the worst case is one more.
    let short = 1 - c.g.node(divisor).range.lo;
    if short > 1 || smallest < LEAST_BITS.exp2() {
        return Ok(None);
    }
    let divisor = if short > 0 { c.linear(&[(divisor, 1)], 1)? } else { divisor };
    quotient(c, divisor, dividend, l)
}

/// The constant over a node, in the width that the calibrated range asks for, rounded to the nearest integer.
fn quotient(c: &mut Lowering<'_>, divisor: NodeId, dividend: f64, l: &Lazy) -> Result<Option<Root>> {
    let least = c.g.node(divisor).range.lo.max(1) as f64;
    let wanted = fit_exponent(l.range.1, f64::from(1 << QUOTIENT_BITS)).max(fit_exponent(l.range.0, LEAST_BITS.exp2()));
    let possible = (RANGE_BITS + least.log2() - dividend.log2()).min(DIVIDEND_BITS - dividend.log2()).floor();
    let e = f64::from(wanted).min(possible);
    if e + l.range.1.log2() < LEAST_BITS {
        return Ok(None);
    }
    let numerator = (dividend * e.exp2()).round();
    let twice = c.linear(&[(divisor, 2)], 0)?;
    let above = c.linear(&[(divisor, 1)], 2 * numerator as i64)?;
    // Products of what is possible may leave the range in which arithmetic is exact.
    let Ok(node) = c.push(Op::Divide(ops::Divide {}), &[above, twice]) else { return Ok(None) };
    Ok(Some(Root { node, scale: (-e).exp2(), range: l.range }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::{
        prelude::tensor0,
        tract_hir::tract_core::ops::{binary::TypedBinOp, math},
    };

    fn binary(op: Box<dyn tract_onnx::tract_hir::tract_core::ops::binary::BinMiniOp>, a: Rc<Expr>, b: f32) -> Rc<Expr> {
        let b = Expr::constant(&tensor0(b)).expect("a constant");
        Expr::apply(Box::new(TypedBinOp(op, None)), vec![a, b])
    }

    #[test]
    fn reciprocals_are_recognized_by_their_values() {
        let x = Expr::root();
        let sum = binary(Box::new(math::Add), x.clone(), 0.01);
        let near = |f: Option<Inverse>, root: bool, a: f64, b: f64| {
            let f = f.expect("recognized");
            assert!(f.root == root && (f.a / a - 1.0).abs() < 1e-3 && (f.b - b).abs() <= 1e-3 * b, "{f:?}");
        };
        let recip = |x: &Rc<Expr>| Expr::apply(Box::new(math::recip()), vec![x.clone()]);
        let rsqrt = |x: &Rc<Expr>| Expr::apply(Box::new(math::rsqrt()), vec![x.clone()]);
        near(Inverse::of(&recip(&x), 0.5, 9.0).expect("runs"), false, 1.0, 0.0);
        near(Inverse::of(&recip(&sum), 0.5, 9.0).expect("runs"), false, 1.0, 0.01);
        near(Inverse::of(&rsqrt(&sum), 1e-3, 50.0).expect("runs"), true, 1.0, 0.01);
        near(
            Inverse::of(&rsqrt(&binary(Box::new(math::Mul), x.clone(), 4.0)), 3.0, 3.0).expect("runs"),
            true,
            4.0,
            0.0,
        );
        let exp = Expr::apply(Box::new(math::exp()), vec![x.clone()]);
        for other in [exp, x.clone(), sum] {
            assert_eq!(Inverse::of(&other, 0.5, 9.0).expect("runs"), None);
        }
    }
}
