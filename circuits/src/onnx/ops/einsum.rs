//! Matrix products and einsums.
//!
//! * Statement: `out[o] = sum a[i] * b[j]` over named indices.
//! * ONNX: MatMul, Gemm, Einsum of two tensors, 1x1 Conv (tract: `EinSum`).
//! * Shapes: as tract computes them; extents of one broadcast.
//! * Lowering: `Contraction`. A constant operand becomes a weight, and a following multiplication or addition of
//!   constants along its output index is folded into the weight and a bias.
//! * Lookups: none, or one a value where an operand must be committed first.
//! * Soundness: bilinear sumcheck.
//! * Reference: docs/protocol.md#bilinear.

use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{BIAS_BITS, Lowering, MAX_OFFSET, Result, Root, Value, to_int},
        rounded::{self, Factors, fit, largest},
    },
    ops::{AxisExpr, Contraction, Op, lookup::MAX_SHIFT},
    parallel::all_parts,
};
use std::borrow::Cow;
use tract_onnx::{
    prelude::{Arc, OutletId, Tensor, TypedNode},
    tract_hir::tract_core::ops::{binary::TypedBinOp, einsum::EinSum},
};

pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<EinSum>() else { return Ok(None) };
    if op.q_params.is_some() {
        return Err(ImportError::unsupported("export the float model; the compiler quantizes it itself"));
    }
    if node.inputs.len() != 2 {
        return Err(ImportError::unsupported("an einsum of two tensors is supported; split it into several"));
    }
    let shapes = [0, 1].map(|i| fact_shape(c, node.inputs[i]));
    let out_shape = c.out_shape(node, 0);
    let mut contraction = Contraction {
        extents: vec![],
        lhs: vec![AxisExpr::unit(); shapes[0].len()],
        rhs: vec![AxisExpr::unit(); shapes[1].len()],
        out: vec![AxisExpr::unit(); out_shape.len()],
    };
    // Output axes that only the first or only the second operand has.
    let mut own: [Vec<usize>; 2] = [vec![], vec![]];
    for axis in op.axes.iter_all_axes() {
        let (a, b, o) = (&axis.inputs[0], &axis.inputs[1], &axis.outputs[0]);
        if a.len() > 1 || b.len() > 1 || o.len() > 1 {
            return Err(ImportError::unsupported("an index that occurs twice in one tensor (a diagonal)"));
        }
        let dims = [a.first().map(|p| shapes[0][*p]), b.first().map(|p| shapes[1][*p])];
        let extent = dims.iter().flatten().copied().max().unwrap_or(1);
        if extent == 1 {
            continue;
        }
        let index = contraction.extents.len();
        contraction.extents.push(extent);
        let here = dims.map(|d| d == Some(extent));
        if let (true, Some(p)) = (here[0], a.first()) {
            contraction.lhs[*p] = AxisExpr::index(index);
        }
        if let (true, Some(p)) = (here[1], b.first()) {
            contraction.rhs[*p] = AxisExpr::index(index);
        }
        if let Some(p) = o.first() {
            contraction.out[*p] = AxisExpr::index(index);
            for side in 0..2 {
                if here[side] && !here[1 - side] {
                    own[side].push(*p);
                }
            }
        }
    }
    let outlet = OutletId::new(node.id, 0);
    match (c.input(node, 0)?, c.input(node, 1)?) {
        (Value::Lazy(a), Value::Lazy(b)) => {
            let (a, b) = (c.operand(&a)?, c.operand(&b)?);
            let id = c.push(Op::Contraction(contraction), &[a.node, b.node])?;
            Ok(Some(vec![c.result(outlet, id, a.scale * b.scale)]))
        }
        (Value::Const(w), Value::Lazy(x)) => {
            let x = c.operand(&x)?;
            let swapped = Contraction { lhs: contraction.rhs, rhs: contraction.lhs, ..contraction };
            with_weight(c, outlet, x, &w, swapped, &own[0]).map(Some)
        }
        (Value::Lazy(x), Value::Const(w)) => {
            let x = c.operand(&x)?;
            with_weight(c, outlet, x, &w, contraction, &own[1]).map(Some)
        }
        _ => Err(ImportError::unsupported("an einsum of constants")),
    }
}

fn fact_shape(c: &Lowering<'_>, outlet: OutletId) -> Vec<usize> {
    let fact = &c.model.nodes()[outlet.node].outputs[outlet.slot].fact;
    fact.shape.as_concrete().map(<[usize]>::to_vec).unwrap_or_default()
}

/// A contraction whose second operand is a constant with the output axes `own`.
fn with_weight(
    c: &mut Lowering<'_>,
    outlet: OutletId,
    x: Root,
    w: &Arc<Tensor>,
    contraction: Contraction,
    own: &[usize],
) -> Result<Vec<Value>> {
    let channel = match own {
        [axis] => Some(*axis),
        _ => None,
    };
    let affine = follow(c, outlet, channel);
    // Multiply along the weight's axis of the channel's index.
    let index = channel.and_then(|a| contraction.out[a].terms.first().map(|t| t.0));
    let axis = contraction.rhs.iter().position(|e| index.is_some_and(|i| e.terms.iter().any(|t| t.0 == i)));
    let (len, inner) =
        axis.map_or((1, w.len()), |a| (w.shape()[a], w.shape()[a + 1..].iter().product::<usize>().max(1)));
    let factors = Factors { mul: affine.mul.clone(), len, inner };
    let weight = rounded::weight(c, w, w.shape(), factors, c.widths.weight, |w| Ok(Cow::Borrowed(w)))?;
    let id = c.push(Op::Contraction(contraction), &[x.node, weight.node])?;
    finish(c, id, x.scale * weight.scale, &affine, channel)
}

/// Adds the folded bias and registers the result.
pub(crate) fn finish(
    c: &mut Lowering<'_>,
    id: NodeId,
    scale: f64,
    affine: &Affine,
    channel: Option<usize>,
) -> Result<Vec<Value>> {
    let rank = c.shape(id).len();
    let mut shape = vec![1; rank];
    if let Some(a) = channel {
        shape[a] = affine.add.len();
    }
    let (id, scale) = add_constant(c, id, scale, &affine.add, &shape)?;
    let value = c.result(affine.outlet, id, scale);
    let own_outlet = affine.outlet;
    if let Value::Lazy(_) = &value {
        c.values.insert(own_outlet, value.clone());
    }
    Ok(vec![value])
}

/// Constants that follow a contraction: `out = mul * contraction + add`, one or as many factors as channels.
pub(crate) struct Affine {
    pub(crate) mul: Vec<f64>,
    pub(crate) add: Vec<f64>,
    /// The outlet that has the result.
    pub(crate) outlet: OutletId,
}

/// Collects the chain of additions and multiplications of constants behind `outlet`, each depending on the channel axis
/// alone, and marks its nodes as done.
pub(crate) fn follow(c: &mut Lowering<'_>, outlet: OutletId, channel: Option<usize>) -> Affine {
    let channels = channel.map_or(1, |a| fact_shape(c, outlet)[a]);
    let mut out = Affine { mul: vec![1.0; channels], add: vec![0.0; channels], outlet };
    loop {
        let successors = c.model.outlet_successors(out.outlet);
        let [next] = successors else { return out };
        if c.model.outputs.contains(&out.outlet) {
            return out;
        }
        let node = &c.model.nodes()[next.node];
        let Some(op) = node.op_as::<TypedBinOp>() else { return out };
        let Some(Value::Const(t)) = c.values.get(&node.inputs[1 - next.slot]) else { return out };
        if fact_shape(c, OutletId::new(node.id, 0)) != fact_shape(c, out.outlet) {
            return out;
        }
        let per_channel = t.shape().iter().enumerate().all(|(a, d)| *d == 1 || Some(a) == channel);
        let Ok(values) = floats(t) else { return out };
        if !per_channel || (values.len() != 1 && values.len() != channels) {
            return out;
        }
        let at = |i: usize| values[i % values.len()];
        let reversed = next.slot == 1;
        for i in 0..channels {
            let (m, a) = (&mut out.mul[i], &mut out.add[i]);
            match (op.0.name(), reversed) {
                ("Add", _) => *a += at(i),
                ("Sub", false) => *a -= at(i),
                ("Sub", true) => (*m, *a) = (-*m, at(i) - *a),
                ("Mul", _) => (*m, *a) = (*m * at(i), *a * at(i)),
                ("Div", false) if values.iter().all(|v| *v != 0.0) => (*m, *a) = (*m / at(i), *a / at(i)),
                _ => return out,
            }
        }
        out.outlet = OutletId::new(node.id, 0);
        c.skip.insert(node.id);
    }
}

/// What is said of a constant that cannot be rounded.
pub(crate) const NOT_FINITE: &str = "a constant holds a NaN or an infinity";

/// What `f` makes of the entries of a tensor as float32, finite or not.
pub(crate) fn with_all_floats<R>(t: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let fail = |e: tract_onnx::prelude::TractError| ImportError::engine("reading a constant", &e);
    let t = t.cast_to::<f32>().map_err(fail)?;
    let plain = t.try_as_plain_ram().map_err(fail)?;
    Ok(f(plain.as_slice::<f32>().map_err(fail)?))
}

/// What `f` makes of the entries of a tensor as float32, all of them finite.
pub(crate) fn with_floats<R>(t: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    with_all_floats(t, |values| {
        let finite = all_parts(values, |part| largest(part).is_finite());
        if finite { Ok(f(values)) } else { Err(ImportError::unsupported(NOT_FINITE)) }
    })?
}

/// The entries of a float tensor.
pub(crate) fn floats(t: &Tensor) -> Result<Vec<f64>> {
    with_floats(t, |values| values.iter().map(|v| f64::from(*v)).collect())
}

/// A constant as a weight of the given width and a power-of-two scale.
pub(crate) fn quantize(c: &mut Lowering<'_>, values: &[f64], shape: &[usize], suffix: &str, bits: u32) -> Result<Root> {
    quantize_up_to(c, values, shape, suffix, bits, f64::INFINITY)
}

/// [`quantize`] in units of at least one part in `finest`.
fn quantize_up_to(
    c: &mut Lowering<'_>,
    values: &[f64],
    shape: &[usize],
    suffix: &str,
    bits: u32,
    finest: f64,
) -> Result<Root> {
    let max = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let (bits, limit, scale) = fit(max, bits, || values.iter().all(|v| v.fract() == 0.0));
    let scale = scale.min(finest);
    let data = values.iter().map(|v| (v * scale).round().clamp(-limit, limit) as i64).collect();
    let node = c.weight(suffix, shape, bits, data)?;
    Ok(Root { node, scale: 1.0 / scale, range: (-max, max) })
}

/// [`quantize`] of a tract tensor. What is put beside integers, or chosen in their place, has a unit of one as they do.
pub(crate) fn quantize_constant(c: &mut Lowering<'_>, t: &Tensor, suffix: &str, bits: u32) -> Result<Root> {
    let finest = if t.datum_type().is_float() { f64::INFINITY } else { 1.0 };
    let values = floats(t)?;
    let root = quantize_up_to(c, &values, t.shape(), suffix, bits, finest)?;
    if let Some(v) = values.iter().find(|v| finest == 1.0 && (**v / root.scale).fract() != 0.0) {
        return Err(ImportError::unsupported(format!("a constant that holds the integer {v} beside small ones")));
    }
    Ok(root)
}

/// Least magnitude of what is taken for a mask.
pub(crate) const MASK: f64 = 1e8;

/// Entries like -1e9, which exist to drown what they are added to, brought near enough to be tabulated: they still exceed
/// everything else a thousandfold. (The sum is then a value that only a saturating function should see; the report shows
/// the error where it is not.)
fn without_masks(c: &Lowering<'_>, id: NodeId, scale: f64, values: &[f64]) -> Vec<f64> {
    let range = c.g.node(id).range;
    let reach = range.hi.max(-range.lo) as f64 * scale;
    let rest = values.iter().filter(|v| v.abs() < MASK).fold(reach, |m, v| m.max(v.abs()));
    let far = |v: f64| v.abs() >= MASK && v.abs() > rest * f64::from(1 << 16);
    values.iter().map(|v| if far(*v) { v.signum() * rest * f64::from(1 << 12) } else { *v }).collect()
}

/// Most bits of what is rounded because it is small beside a constant.
const SMALL_BITS: u32 = 18;
/// Units that such a constant has then.
const CONSTANT_BITS: f64 = 40.0;

/// A node in coarser units, where a constant of magnitude `most` that is added to it has so many of its own that arithmetic
/// would no longer be exact: what is rounded away is nothing beside the constant.
fn coarser(c: &mut Lowering<'_>, id: NodeId, scale: f64, most: f64) -> Result<(NodeId, f64)> {
    if most / scale < MAX_OFFSET / 8.0 {
        return Ok((id, scale));
    }
    let shift = ((most / scale).log2() - CONSTANT_BITS).ceil().clamp(0.0, f64::from(MAX_SHIFT)) as u32;
    let range = c.g.node(id).range.round_shift(shift);
    let narrow = (i64::try_from(range.lo), i64::try_from(range.hi));
    let (Ok(lo), Ok(hi), true) = (narrow.0, narrow.1, (range.hi - range.lo) >> SMALL_BITS == 0) else {
        return Ok((id, scale));
    };
    let id = c.clamp(id, shift, (lo.min(0), hi.max(1)))?;
    Ok((id, scale * f64::from(shift).exp2()))
}

/// Adds a constant tensor, which broadcasts to the node's shape, to an integer node; the result's node and scale. A
/// coarse node (no accumulator) is refined first so that the constant is not rounded to its unit.
pub(crate) fn add_constant(
    c: &mut Lowering<'_>,
    id: NodeId,
    scale: f64,
    values: &[f64],
    shape: &[usize],
) -> Result<(NodeId, f64)> {
    let values = &without_masks(c, id, scale, values);
    let first = values.first().copied().unwrap_or(0.0);
    let uniform = values.iter().all(|v| *v == first);
    if uniform && first == 0.0 {
        return Ok((id, scale));
    }
    let max = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let (id, scale) = coarser(c, id, scale, max)?;
    // Integers and what is added to them stay integers: they may be indices.
    let whole = scale == 1.0 && values.iter().all(|v| v.fract() == 0.0);
    let up = if whole || c.g.node(id).bilinear { 0 } else { 3 };
    let scale = scale / f64::from(1 << up);
    if uniform {
        return Ok((c.linear(&[(id, 1 << up)], to_int(first / scale)?)?, scale));
    }
    let limit = f64::from((1u32 << (BIAS_BITS - 1)) - 1);
    let down = (max / scale / limit).log2().ceil().clamp(0.0, 40.0);
    let unit = scale * down.exp2();
    let coarse: Vec<f64> = values.iter().map(|v| (v / unit).round().clamp(-limit, limit)).collect();
    let target = c.shape(id);
    // Values far below the largest one (beside a mask of -1e9, say) would round to nothing: the rest is a second constant.
    let rest: Vec<f64> = values.iter().zip(&coarse).map(|(v, q)| ((v - q * unit) / scale).round()).collect();
    let lost = values.iter().zip(&rest).any(|(v, r)| r.abs() * scale > 1e-2 * v.abs());
    let bias = c.weight("bias", shape, BIAS_BITS, coarse.iter().map(|v| *v as i64).collect())?;
    let bias = c.broadcast(bias, &target)?;
    let mut terms = vec![(id, 1 << up), (bias, down.exp2() as i64)];
    if down > 0.0 && lost {
        let small = (rest.iter().fold(0.0f64, |m, v| m.max(v.abs())) / limit).log2().ceil().clamp(0.0, 40.0).exp2();
        let fine = rest.iter().map(|v| (v / small).round().clamp(-limit, limit) as i64).collect();
        let fine = c.weight("bias_rest", shape, BIAS_BITS, fine)?;
        terms.push((c.broadcast(fine, &target)?, small as i64));
    }
    Ok((c.linear(&terms, 0)?, scale))
}
