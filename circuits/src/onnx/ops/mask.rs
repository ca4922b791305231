//! Masks: values like -1e9 that drown what they are added to, or what they are chosen instead of.
//!
//! * Statement: `out = x + m`, or `c ? x : k`, where every entry of the mask is zero or beyond everything that `x` can be.
//! * ONNX: Add and Sub of a mask that depends on the inputs, Where with one value of at least 1e8.
//! * Shapes: the broadcast of all.
//! * Lowering: `Linear`, with the mask brought near enough to stay a small integer. The sum is something that only a saturating
//!   function should see (a softmax takes both to zero); the report shows the error where it is not.
//! * Lookups: none beyond those of the mask itself.
//! * Soundness: linear views.
//! * Reference: docs/protocol.md#linear.

use super::{
    einsum::{MASK, add_constant, floats},
    pointwise::scalar,
};
use crate::{
    graph::NodeId,
    onnx::lower::{Lazy, Lowering, Result, Root, Value, to_int},
    ops::Op,
};

/// How far beyond everything that a tensor can be a mask is put, as a power of two.
const DROWNING: u32 = 12;
/// How much larger than all calibrated values a mask is, as a power of two.
const BEYOND: u32 = 16;

/// Units of a node, whose float is the tensor, that exceed everything that it can be. `None` where it is not clear that values of
/// at least [`MASK`] are there to mask it. What is masked already is not put further away.
fn far(c: &Lowering<'_>, x: &Lazy, node: NodeId) -> Result<Option<i64>> {
    let reach = x.range.1.max(-x.range.0);
    let masked = reach >= MASK;
    if c.is_integer(x) || (!masked && reach * f64::from(1 << BEYOND) > MASK) {
        return Ok(None);
    }
    let range = c.g.node(node).range;
    let beyond = range.hi.max(-range.lo).max(1) << if masked { 0 } else { DROWNING };
    to_int(beyond as f64).map(Some)
}

/// A choice between a tensor and one value that masks.
pub(super) fn chosen(
    c: &mut Lowering<'_>,
    condition: &Value,
    yes: &Value,
    no: &Value,
    shape: &[usize],
) -> Result<Option<(NodeId, f64)>> {
    let (x, k, when) = match (yes, no) {
        (Value::Lazy(x), Value::Const(k)) => (x, k, false),
        (Value::Const(k), Value::Lazy(x)) => (x, k, true),
        _ => return Ok(None),
    };
    let Some(k) = scalar(k).filter(|k| k.abs() >= MASK) else { return Ok(None) };
    if far(c, x, x.root.node)?.is_none() {
        return Ok(None);
    }
    let mut root = c.materialize(x)?;
    root.node = c.broadcast(root.node, shape)?;
    let Some(far) = far(c, x, root.node)? else { return Ok(None) };
    let far = if k < 0.0 { -far } else { far };
    match condition {
        Value::Const(t) => {
            let k = far as f64 * root.scale;
            let chosen: Vec<f64> = floats(t)?.iter().map(|v| if (*v != 0.0) == when { k } else { 0.0 }).collect();
            Ok(Some(add_constant(c, root.node, root.scale, &chosen, t.shape())?))
        }
        Value::Lazy(l) => {
            let condition = c.commit(l)?;
            let condition = c.broadcast(condition.node, shape)?;
            let (factor, offset) = if when { (far, 0) } else { (-far, far) };
            let sum = c.linear(&[(root.node, 1), (condition, factor)], offset)?;
            c.masked.insert(sum);
            Ok(Some((sum, root.scale)))
        }
    }
}

/// The least magnitude of an entry that is not zero, in units, where every such entry is a mask's.
fn least(c: &Lowering<'_>, root: Root) -> Option<f64> {
    if root.scale >= MASK {
        return Some(1.0);
    }
    let mut node = c.g.node(root.node);
    loop {
        node = match &node.op {
            Op::Transpose(_) | Op::Reshape(_) => c.g.node(node.inputs[0]),
            Op::Window(w) if w.kernel == 1 => c.g.node(node.inputs[0]),
            Op::Lookup(l) => {
                let values = &c.g.tables().get(l.table.0)?.values;
                let sizes = || values.iter().filter(|v| **v != 0).map(|v| f64::from(v.unsigned_abs()));
                // Most tables have an entry that masks nothing, among the first.
                return sizes().all(|v| v * root.scale >= MASK).then(sizes)?.reduce(f64::min);
            }
            _ => return None,
        };
    }
}

/// A tensor and a mask that is added to it or subtracted.
pub(super) fn added(
    c: &mut Lowering<'_>,
    (x, a): (&Lazy, Root),
    (mask, b): (&Lazy, Root),
    sign: i64,
    shape: &[usize],
) -> Result<Option<(NodeId, f64)>> {
    let Some(least) = least(c, b).filter(|_| !c.is_integer(mask)) else { return Ok(None) };
    let Some(far) = far(c, x, a.node)? else { return Ok(None) };
    let mut mask = b.node;
    let range = c.g.node(mask).range;
    if b.scale >= MASK && (range.lo < -1 || range.hi > 1) {
        // Once or a thousand times the mask is the same.
        mask = c.clamp(mask, 0, (-1, 1))?;
    }
    let (node, mask) = (c.broadcast(a.node, shape)?, c.broadcast(mask, shape)?);
    let factor = to_int((far as f64 / least).ceil())?;
    let sum = c.linear(&[(node, 1), (mask, sign * factor)], 0)?;
    c.masked.insert(sum);
    Ok(Some((sum, a.scale)))
}

/// Whether a node is masked by the inputs, or moves what is: calibration data need not show it.
pub(crate) fn is_masked(c: &Lowering<'_>, mut id: NodeId) -> bool {
    loop {
        if c.masked.contains(&id) {
            return true;
        }
        let node = c.g.node(id);
        id = match (&node.op, node.inputs.as_slice()) {
            (Op::Transpose(_) | Op::Reshape(_) | Op::Linear(_), [input]) => *input,
            (Op::Window(w), [input]) if w.kernel == 1 => *input,
            _ => return false,
        };
    }
}
