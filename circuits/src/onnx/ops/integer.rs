//! Integer division, remainders, shifts and bitwise logic of two tensors.
//!
//! * Statement: `out = a / b` rounded towards zero, `a - b (a / b)`, `a 2^b`, `floor(a / 2^b)`, or a bitwise function of the
//!   two's complements, entry by entry, with broadcasting. A divisor of zero counts as one.
//! * ONNX: Div and Mod of integers, BitShift, BitwiseAnd, BitwiseOr, BitwiseXor.
//! * Shapes: the broadcast of both.
//! * Lowering: [`Divide`] by the divisor's magnitude, with what is needed for signs; shifts by a tabulated power of two; bitwise
//!   functions by a table of pairs of bytes.
//! * Lookups: a quotient costs its range checks, and one lookup for each sign that is not known; a byte of a bitwise function one, and
//!   two to split it off.
//! * Soundness: [`Divide`], lookups, bilinear sumcheck.
//! * Reference: docs/protocol.md#advice.

use super::binary::limits;
use crate::{
    graph::NodeId,
    interval::Interval,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Root, Value},
        own::{at_least_zero, integers, small_operand},
        tables::Function,
    },
    ops::{Divide, Op},
};
use tract_onnx::prelude::{DatumType, OutletId, TypedNode};

/// Bits of a digit of a bitwise function.
const DIGIT: u32 = 8;
/// Most digits.
const MAX_DIGITS: usize = 4;
/// Largest shift that is told apart: no operand has more bits.
const MAX_SHIFT: i64 = 24;

/// The value of a binary operator on integers; `None` where another family knows it.
pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode, name: &str, kind: DatumType) -> Result<Option<Value>> {
    if !matches!(name, "Div" | "Rem" | "ShiftLeft" | "ShiftRight" | "BitAnd" | "BitOr" | "BitXor") {
        return Ok(None);
    }
    let shape = c.out_shape(node, 0);
    let mut ids = [None; 2];
    for (i, slot) in ids.iter_mut().enumerate() {
        if matches!(c.input(node, i)?, Value::Lazy(_)) {
            let mut id = small_operand(c, node, i)?;
            let r = range(c, id);
            if r.lo < 0 && c.integer(node.inputs[i]).is_some_and(|k| k.is_unsigned()) {
                id = c.clamp(id, 0, (0, whole(r).1))?;
            }
            *slot = Some(c.broadcast(id, &shape)?);
        }
    }
    for i in 0..2 {
        let (Value::Const(t), Some(other)) = (c.input(node, i)?, ids[1 - i]) else { continue };
        let values = integers(&t)?;
        if matches!(name, "Div" | "Rem") && i == 1 && values.contains(&0) {
            return Err(ImportError::unsupported("it divides by zero"));
        }
        ids[i] = Some(beside(c, other, &format!("operand{i}"), t.shape(), &values, &shape)?);
    }
    let [Some(a), Some(b)] = ids else { return Err(ImportError::unsupported("both operands are constants")) };
    let id = match name {
        "Div" => {
            let q = quotient(c, a, b, &shape)?;
            wrapped(c, q, kind)?
        }
        "Rem" => {
            let q = quotient(c, a, b, &shape)?;
            let whole = times(c, q, b, &shape)?;
            c.linear(&[(a, 1), (whole, -1)], 0)?
        }
        "ShiftLeft" => shift_left(c, a, b, kind, &shape)?,
        "ShiftRight" => {
            let p = power(c, b, MAX_SHIFT, 1 << MAX_SHIFT)?;
            c.push(Op::Divide(Divide {}), &[a, p])?
        }
        _ => bitwise(c, a, b, name)?,
    };
    c.exact.insert(id);
    Ok(Some(c.result(OutletId::new(node.id, 0), id, 1.0)))
}

fn range(c: &Lowering<'_>, id: NodeId) -> Interval {
    c.g.node(id).range
}

/// Constants as a tensor that is in the graph for each row of `other`, so that lookups may read it. Its range begins at the least of
/// them: repeated weights may be zero as far as ranges go, and what is added to them moves that as well.
fn beside(
    c: &mut Lowering<'_>,
    other: NodeId,
    suffix: &str,
    constant_shape: &[usize],
    values: &[i64],
    shape: &[usize],
) -> Result<NodeId> {
    let (lo, hi) = (values.iter().copied().min().unwrap_or(0), values.iter().copied().max().unwrap_or(0));
    let span = hi.checked_sub(lo).filter(|s| *s < 1 << 19);
    let span = span.ok_or_else(|| ImportError::unsupported(format!("constants from {lo} to {hi}")))?;
    let bits = (64 - span.leading_zeros()).max(2);
    let middle = lo + (1 << (bits - 1));
    let id = c.weight(suffix, constant_shape, bits, values.iter().map(|v| v - middle).collect())?;
    let id = c.broadcast(id, shape)?;
    c.linear(&[(id, 1), (other, 0)], middle)
}

fn times(c: &mut Lowering<'_>, a: NodeId, b: NodeId, shape: &[usize]) -> Result<NodeId> {
    let root = |node| Root { node, scale: 1.0, range: (0.0, 0.0) };
    Ok(super::binary::product(c, root(a), root(b), shape)?.0)
}

/// A function of one small integer.
fn table(
    c: &mut Lowering<'_>,
    x: NodeId,
    name: &str,
    digest: u64,
    (lo, hi): (i64, i64),
    f: impl Fn(i64) -> i64,
) -> Result<NodeId> {
    let values = |keys: &[i64]| Ok(keys.iter().map(|k| f((*k).clamp(lo, hi)) as i32).collect());
    let f = Function { name: format!("{name} of {lo} to {hi}"), digest, base: (lo, hi), values: Box::new(values) };
    c.lookup(x, 0, &f)
}

fn whole(i: Interval) -> (i64, i64) {
    (
        i.lo.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64,
        i.hi.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64,
    )
}

/// `a / b`, rounded towards zero.
fn quotient(c: &mut Lowering<'_>, a: NodeId, b: NodeId, shape: &[usize]) -> Result<NodeId> {
    let (mut a, mut b) = (a, b);
    let rb = range(c, b);
    if rb.hi < 0 {
        (a, b) = (c.linear(&[(a, -1)], 0)?, c.linear(&[(b, -1)], 0)?);
    } else if rb.lo < 0 {
        // Both change their signs where the divisor is negative.
        let kept = at_least_zero(c, b)?;
        let sign = c.linear(&[(kept, 2)], -1)?;
        a = times(c, a, sign, shape)?;
        b = table(c, b, "magnitude, at least one,", 0, whole(rb), |v| v.abs().max(1))?;
    } else if rb.lo < 1 {
        b = table(c, b, "magnitude, at least one,", 0, whole(rb), |v| v.abs().max(1))?;
    }
    if range(c, a).lo < 0 {
        // A negative dividend is rounded up.
        let kept = at_least_zero(c, a)?;
        let negative = c.linear(&[(kept, -1)], 1)?;
        let less = c.linear(&[(b, 1)], -1)?;
        let up = times(c, negative, less, shape)?;
        a = c.linear(&[(a, 1), (up, 1)], 0)?;
    }
    c.push(Op::Divide(Divide {}), &[a, b])
}

/// The least integer of a narrow type divided by minus one is itself again.
fn wrapped(c: &mut Lowering<'_>, q: NodeId, kind: DatumType) -> Result<NodeId> {
    let (_, top) = limits(kind);
    let top = top as i64;
    if range(c, q).hi <= i128::from(top) || top >= 1 << 24 {
        return Ok(q);
    }
    let over = c.linear(&[(q, 1)], -top - 1)?;
    let over = at_least_zero(c, over)?;
    c.linear(&[(q, 1), (over, -2 * (top + 1))], 0)
}

/// `2^b` for `b` up to `most`, `beyond` above.
fn power(c: &mut Lowering<'_>, b: NodeId, most: i64, beyond: i64) -> Result<NodeId> {
    let r = range(c, b);
    if r.lo < 0 {
        return Err(ImportError::unsupported(format!("shifts by {} to {}", r.lo, r.hi)));
    }
    let name = format!("power of two, {beyond} beyond {most},");
    table(c, b, &name, 0, whole(r), |v| if v <= most { 1 << v } else { beyond })
}

/// `a 2^b` in an unsigned type.
fn shift_left(c: &mut Lowering<'_>, a: NodeId, b: NodeId, kind: DatumType, shape: &[usize]) -> Result<NodeId> {
    let (_, top) = limits(kind);
    let (narrow, width) = match kind {
        DatumType::U8 => (true, 8),
        DatumType::U16 => (true, 16),
        _ => (false, 32),
    };
    let p = power(c, b, if narrow { width - 1 } else { MAX_SHIFT }, if narrow { 0 } else { 1 << MAX_SHIFT })?;
    let v = times(c, a, p, shape)?;
    let r = range(c, v);
    if r.hi <= i128::from(top as i64) {
        return Ok(v);
    }
    if !narrow {
        return Err(ImportError::unsupported(format!(
            "shifted integers of up to {} may wrap around in their type",
            r.hi
        )));
    }
    // What leaves the type at its upper end is cut off.
    let down = c.linear(&[(v, 1)], -(1 << (width - 1)))?;
    let over = c.clamp(down, width as u32, (0, (r.hi >> width) as i64))?;
    c.linear(&[(v, 1), (over, -(1 << width))], 0)
}

/// The lowest byte, and what is above it.
fn split(c: &mut Lowering<'_>, x: NodeId) -> Result<(NodeId, NodeId)> {
    let (lo, hi) = whole(range(c, x));
    let down = c.linear(&[(x, 1)], -(1 << (DIGIT - 1)))?;
    let above = c.clamp(down, DIGIT, (lo >> DIGIT, hi >> DIGIT))?;
    let rest = c.linear(&[(x, 1), (above, -(1 << DIGIT))], 0)?;
    Ok((c.clamp(rest, 0, (0, (1 << DIGIT) - 1))?, above))
}

fn bitwise(c: &mut Lowering<'_>, a: NodeId, b: NodeId, name: &str) -> Result<NodeId> {
    let f = |a: i64, b: i64| match name {
        "BitAnd" => a & b,
        "BitOr" => a | b,
        _ => a ^ b,
    };
    let (mut a, mut b) = (a, b);
    let mut terms = Vec::new();
    for digit in 0..MAX_DIGITS {
        let (ra, rb) = (range(c, a), range(c, b));
        let (n, m) = (ra.hi - ra.lo + 1, rb.hi - rb.lo + 1);
        let last = n * m <= 1 << (2 * DIGIT);
        let (low_a, low_b) = if last {
            (a, b)
        } else {
            let ((low_a, high_a), (low_b, high_b)) = (split(c, a)?, split(c, b)?);
            (a, b) = (high_a, high_b);
            (low_a, low_b)
        };
        terms.push((pair(c, name, low_a, low_b, &f)?, 1i64 << (DIGIT * digit as u32)));
        if last {
            return c.linear(&terms, 0);
        }
    }
    Err(ImportError::unsupported("a bitwise function of integers of more than 32 bits"))
}

/// One lookup with a key for each pair.
fn pair(c: &mut Lowering<'_>, name: &str, a: NodeId, b: NodeId, f: &dyn Fn(i64, i64) -> i64) -> Result<NodeId> {
    let ((a_lo, a_hi), (b_lo, b_hi)) = (whole(range(c, a)), whole(range(c, b)));
    let n = a_hi - a_lo + 1;
    let key = c.linear(&[(a, 1), (b, n)], -a_lo - n * b_lo)?;
    let last = n * (b_hi - b_lo + 1) - 1;
    let at = |k: i64| f(a_lo + k.rem_euclid(n), b_lo + k.div_euclid(n)) as i32;
    let f = Function {
        name: format!("{name} of {a_lo} to {a_hi} and {b_lo} to {b_hi}"),
        digest: 0,
        base: (0, last),
        values: Box::new(|keys| Ok(keys.iter().map(|k| at((*k).clamp(0, last))).collect())),
    };
    c.lookup(key, 0, &f)
}
