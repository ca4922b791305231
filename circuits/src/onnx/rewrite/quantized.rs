//! Operators of quantized models, on the model's own integers.
//!
//! Accumulators are integers; what follows them is onnxruntime's: the product of the scales as one float32, the product with it
//! rounded to float32, then to the nearest integer with ties to the even one, then the zero point and the clamp. [`super::qdq`]
//! turns Conv, MatMul, Gemm, Add, Mul between DequantizeLinear and QuantizeLinear into these operators, as that runtime does.

use super::{
    Rule, axis,
    builder::{Builder, Result, int},
    table,
};
use crate::{
    onnx::{
        error::ImportError,
        own::{Act, Contract, Kind, Pair, Quantize, Rescale, Type},
    },
    ops::{AxisExpr, Contraction, Indices},
};
use tract_onnx::{pb::NodeProto, prelude::DatumType};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    let standard: &[(&str, Rule, bool)] = &[
        ("QuantizeLinear", quantize, true),
        ("DequantizeLinear", dequantize, true),
        ("QLinearConv", conv, true),
        ("QLinearMatMul", matmul, true),
        ("ConvInteger", conv_integer, true),
        ("MatMulInteger", matmul_integer, true),
    ];
    let vendor: &[(&str, Rule, bool)] = &[
        ("QGemm", gemm, true),
        ("QLinearAdd", add, true),
        ("QLinearMul", mul, true),
        ("QLinearGlobalAveragePool", global_average_pool, true),
        ("QLinearConcat", concat, true),
        ("QLinearSigmoid", sigmoid, true),
        ("QLinearLeakyRelu", leaky_relu, true),
        ("QLinearSoftmax", softmax, true),
    ];
    table(node, standard).or_else(|| if node.domain == VENDOR { table(node, vendor) } else { None })
}

/// The domain of onnxruntime's own operators.
pub(super) const VENDOR: &str = "com.microsoft";
/// Attributes that [`super::qdq`] gives to an operator whose result goes through a Relu or Clip before it is quantized.
pub(super) const LOW: &str = "clip_low";
pub(super) const HIGH: &str = "clip_high";

/// A type of quantized values: bounds and ONNX number.
#[derive(Clone, Copy)]
struct Range {
    lo: i64,
    hi: i64,
    number: i64,
}

fn range(kind: DatumType) -> Result<Range> {
    Ok(match kind {
        DatumType::U8 => Range { lo: 0, hi: 255, number: 2 },
        DatumType::I8 => Range { lo: -128, hi: 127, number: 3 },
        DatumType::U16 => Range { lo: 0, hi: 65535, number: 4 },
        DatumType::I16 => Range { lo: -32768, hi: 32767, number: 5 },
        other => {
            return Err(ImportError::unsupported(format!(
                "quantized values of type {other:?}; 8 or 16 bits are supported"
            )));
        }
    })
}

/// Scales, all positive and finite.
fn scales(b: &Builder<'_>, i: usize) -> Result<Vec<f32>> {
    let values: Vec<f32> = b.constant(&b.need(i)?)?.iter().map(|v| *v as f32).collect();
    match values.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
        None if !values.is_empty() => Ok(values),
        _ => Err(ImportError::unsupported(format!("input {i} is no scale: it must be positive"))),
    }
}

fn scale(b: &Builder<'_>, i: usize) -> Result<f32> {
    match scales(b, i)?[..] {
        [one] => Ok(one),
        _ => Err(ImportError::unsupported(format!("input {i} must be one scale for the whole tensor"))),
    }
}

/// The zero point of input `i` of one value; zero where it is left out.
fn zero(b: &Builder<'_>, i: usize) -> Result<i64> {
    match b.optional(i)?.as_deref() {
        None => Ok(0),
        Some([z]) => Ok(*z as i64),
        Some(_) => Err(ImportError::unsupported(format!("input {i} must be one zero point for the whole tensor"))),
    }
}

/// The type of the zero point at input `i`; 8 bits without a sign where it is left out.
fn type_of(b: &Builder<'_>, i: usize) -> Result<Range> {
    range(b.input(i).map_or(Ok(DatumType::U8), |z| b.kind(&z))?)
}

/// Integers less their zero points, one or as many as the axis has entries.
fn centred(b: &mut Builder<'_>, x: &str, zeros: Option<String>, axis: usize) -> Result<String> {
    let rank = b.shape(x)?.len();
    let wide = b.cast(x, 7);
    let Some(zeros) = zeros else { return Ok(wide) };
    if b.values(&zeros).is_some_and(|v| v.iter().all(|v| *v == 0.0)) {
        return Ok(wide);
    }
    let n: usize = b.shape(&zeros)?.iter().product();
    let mut along = vec![1; rank];
    if n > 1 {
        along[axis] = n;
    }
    let zeros = b.cast(&zeros, 7);
    let zeros = b.reshape(&zeros, &along);
    Ok(b.op("Sub", &[&wide, &zeros], vec![]))
}

/// Bounds of the result: the type's, and those of a Relu or Clip in between.
fn bounds(b: &Builder<'_>, range: Range, scale: f32, zero: i64) -> (i64, i64) {
    let q = |v: f32| Quantize { scale, zero, lo: range.lo, hi: range.hi }.at(v);
    (q(b.float_or(LOW, f32::NEG_INFINITY)), q(b.float_or(HIGH, f32::INFINITY)))
}

/// Accumulators to quantized values of the type of the zero point at input `zero_at`, or to floats where there is no scale.
fn finish(
    b: &mut Builder<'_>,
    acc: &str,
    shape: &[usize],
    factors: Vec<f32>,
    axis: usize,
    (scale_at, zero_at): (usize, usize),
) -> Result<String> {
    let per = (factors.len() > 1).then_some(axis);
    if per.is_some_and(|a| shape[a] != factors.len()) {
        return Err(ImportError::unsupported(format!("{} scales for shape {shape:?}", factors.len())));
    }
    if b.input(scale_at).is_none() {
        let mut along = vec![1; shape.len()];
        if let Some(a) = per {
            along[a] = factors.len();
        }
        let x = b.cast(acc, 1);
        let factors = b.tensor(&along, &factors);
        return Ok(b.op("Mul", &[&x, &factors], vec![]));
    }
    let (range, y, zero) = (type_of(b, zero_at)?, scale(b, scale_at)?, zero(b, zero_at)?);
    let (lo, hi) = bounds(b, range, y, zero);
    let scales: Vec<f32> = factors.iter().map(|f| f / y).collect();
    if scales.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
        return Err(ImportError::unsupported("scales whose quotient is no positive float32"));
    }
    let kind = Kind::Rescale(Rescale { axis: per, scales, zero, lo, hi });
    let y = b.own(kind, &[acc], shape, Type::Integer)?;
    Ok(b.cast(&y, range.number))
}

fn quantize(b: &mut Builder<'_>) -> Result<Vec<String>> {
    if b.int_or("block_size", 0) != 0 {
        return Err(ImportError::unsupported("scales for blocks; one for a tensor or an axis is supported"));
    }
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let number = b.int_or("output_dtype", 0);
    let range = if b.input(2).is_none() && number != 0 {
        let kind = match number {
            2 => DatumType::U8,
            3 => DatumType::I8,
            4 => DatumType::U16,
            5 => DatumType::I16,
            other => return Err(ImportError::unsupported(format!("quantized values of ONNX type {other}"))),
        };
        range(kind)?
    } else {
        type_of(b, 2)?
    };
    if !b.kind(&x)?.is_float() {
        return Err(ImportError::unsupported("quantization of integers"));
    }
    let all = scales(b, 1)?;
    if let [scale] = all[..] {
        let kind = Kind::Quantize(Quantize { scale, zero: zero(b, 2)?, lo: range.lo, hi: range.hi });
        let y = b.own(kind, &[&x], &shape, Type::Integer)?;
        return Ok(vec![b.cast(&y, range.number)]);
    }
    let a = axis(b.int_or("axis", 1), shape.len())?;
    if shape[a] != all.len() {
        return Err(ImportError::unsupported(format!("{} scales for axis {a} of shape {shape:?}", all.len())));
    }
    let mut along = vec![1; shape.len()];
    along[a] = all.len();
    let zeros: Vec<f32> = b.optional(2)?.unwrap_or_default().iter().map(|v| *v as f32).collect();
    let all = b.tensor(&along, &all);
    let mut y = b.op("Div", &[&x, &all], vec![]);
    y = b.op("Round", &[&y], vec![]);
    if zeros.iter().any(|z| *z != 0.0) {
        let zeros = b.tensor(&along, &zeros);
        y = b.op("Add", &[&y, &zeros], vec![]);
    }
    let (lo, hi) = (b.float(range.lo as f32), b.float(range.hi as f32));
    y = b.op("Max", &[&y, &lo], vec![]);
    y = b.op("Min", &[&y, &hi], vec![]);
    Ok(vec![b.cast(&y, range.number)])
}

fn dequantize(b: &mut Builder<'_>) -> Result<Vec<String>> {
    if b.int_or("block_size", 0) != 0 {
        return Err(ImportError::unsupported("scales for blocks; one for a tensor or an axis is supported"));
    }
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let all = scales(b, 1)?;
    let mut along = vec![1; shape.len()];
    if all.len() > 1 {
        let a = axis(b.int_or("axis", 1), shape.len())?;
        if shape[a] != all.len() {
            return Err(ImportError::unsupported(format!("{} scales for axis {a} of shape {shape:?}", all.len())));
        }
        along[a] = all.len();
    }
    let zeros: Vec<f32> = b.optional(2)?.unwrap_or_default().iter().map(|v| *v as f32).collect();
    let mut y = b.cast(&x, 1);
    if zeros.iter().any(|z| *z != 0.0) {
        let along = if zeros.len() > 1 { along.clone() } else { vec![1; shape.len()] };
        let zeros = b.tensor(&along, &zeros);
        y = b.op("Sub", &[&y, &zeros], vec![]);
    }
    let all = b.tensor(&along, &all);
    Ok(vec![b.op("Mul", &[&y, &all], vec![])])
}

/// The accumulators of a convolution, and their shape.
fn accumulate(
    b: &mut Builder<'_>,
    [x, w]: [usize; 2],
    [x_zero, w_zero]: [usize; 2],
    bias: Option<String>,
) -> Result<(String, Vec<usize>)> {
    let (x, w) = (b.need(x)?, b.need(w)?);
    let (contraction, shape) = convolution(b, &b.shape(&x)?, &b.shape(&w)?)?;
    let (x_zero, w_zero) = (b.input(x_zero), b.input(w_zero));
    let (x, w) = (centred(b, &x, x_zero, 1)?, centred(b, &w, w_zero, 0)?);
    let kind = Kind::Contract(Contract { contraction, bias: bias.as_ref().map(|_| 1) });
    let mut inputs = vec![x, w];
    inputs.extend(bias);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let acc = b.own(kind, &inputs, &shape, Type::Integer)?;
    Ok((acc, shape))
}

/// A convolution in groups as a contraction of `[N, C, space..]` with `[M, C/groups, space..]`.
fn convolution(b: &Builder<'_>, x: &[usize], w: &[usize]) -> Result<(Contraction, Vec<usize>)> {
    let d = w.len().saturating_sub(2);
    let groups = usize::try_from(b.int_or("group", 1)).unwrap_or(0);
    let fits = d > 0 && x.len() == w.len() && groups > 0 && w[0].is_multiple_of(groups) && x[1] == w[1] * groups;
    if !fits {
        return Err(ImportError::unsupported(format!("a kernel of shape {w:?} on shape {x:?}")));
    }
    let list = |name: &str, default: i64, n: usize| b.ints(name).unwrap_or_else(|| vec![default; n]);
    let (strides, dilations, mut pads) = (list("strides", 1, d), list("dilations", 1, d), list("pads", 0, 2 * d));
    let auto = b.text_or("auto_pad", "NOTSET");
    if strides.len() != d || dilations.len() != d || pads.len() != 2 * d || strides.iter().any(|s| *s < 1) {
        return Err(ImportError::unsupported(format!("attributes that do not fit {d} spatial axes")));
    }
    let (per_in, per_out) = (w[1], w[0] / groups);
    let mut shape = vec![x[0], w[0]];
    let (mut indices, expr) = (Indices::default(), AxisExpr::sum);
    let n = indices.add(x[0]);
    let (g, o, i) = (indices.add(groups), indices.add(per_out), indices.add(per_in));
    let mut lhs = vec![expr(&[(n, 1)], 0), expr(&[(g, per_in as i64), (i, 1)], 0)];
    let channel = expr(&[(g, per_out as i64), (o, 1)], 0);
    let mut rhs = vec![channel.clone(), expr(&[(i, 1)], 0)];
    let mut out = vec![expr(&[(n, 1)], 0), channel];
    for k in 0..d {
        let (extent, taps) = (x[k + 2] as i64, w[k + 2] as i64);
        let reach = (taps - 1) * dilations[k] + 1;
        if auto.starts_with("SAME") {
            let total = (((extent + strides[k] - 1) / strides[k] - 1) * strides[k] + reach - extent).max(0);
            let small = total / 2;
            (pads[k], pads[k + d]) = if auto == "SAME_UPPER" { (small, total - small) } else { (total - small, small) };
        }
        let room = extent + pads[k] + pads[k + d] - reach;
        if room < 0 || pads[k] < 0 || pads[k + d] < 0 {
            return Err(ImportError::unsupported(format!("a window of {reach} on {extent} entries")));
        }
        let len = (room / strides[k] + 1) as usize;
        let (y, t) = (indices.add(len), indices.add(w[k + 2]));
        lhs.push(expr(&[(y, strides[k]), (t, dilations[k])], -pads[k]));
        rhs.push(expr(&[(t, 1)], 0));
        out.push(expr(&[(y, 1)], 0));
        shape.push(len);
    }
    Ok((Contraction { extents: indices.0, lhs, rhs, out }, shape))
}

/// A matrix product with broadcast batch axes as a contraction; both operands have two axes or more.
fn product(x: &[usize], w: &[usize], transposed: (bool, bool)) -> Result<(Contraction, Vec<usize>)> {
    let wrong = || ImportError::unsupported(format!("a matrix product of shapes {x:?} and {w:?}"));
    if x.len() < 2 || w.len() < 2 {
        return Err(wrong());
    }
    let rank = x.len().max(w.len());
    let ends = |s: &[usize], t: bool| {
        let (a, z) = (s[s.len() - 2], s[s.len() - 1]);
        if t { (z, a) } else { (a, z) }
    };
    let ((m, k), (k2, n)) = (ends(x, transposed.0), ends(w, transposed.1));
    if k != k2 {
        return Err(wrong());
    }
    let mut indices = Indices::default();
    let (mut lhs, mut rhs, mut out, mut shape) = (vec![], vec![], vec![], vec![]);
    for a in 0..rank - 2 {
        let of = |s: &[usize]| (a + s.len()).checked_sub(rank).map(|i| s[i]);
        let (p, q) = (of(x), of(w));
        let extent = p.unwrap_or(1).max(q.unwrap_or(1));
        let e = indices.axis(extent);
        for (side, have) in [(&mut lhs, p), (&mut rhs, q)] {
            match have {
                Some(d) if d == extent => side.push(e.clone()),
                Some(1) => side.push(AxisExpr::unit()),
                Some(_) => return Err(wrong()),
                None => {}
            }
        }
        out.push(e);
        shape.push(extent);
    }
    let (row, inner, column) = (indices.axis(m), indices.axis(k), indices.axis(n));
    let place = |a: &AxisExpr, z: &AxisExpr, t: bool| if t { [z.clone(), a.clone()] } else { [a.clone(), z.clone()] };
    lhs.extend(place(&row, &inner, transposed.0));
    rhs.extend(place(&inner, &column, transposed.1));
    out.extend([row, column]);
    shape.extend([m, n]);
    Ok((Contraction { extents: indices.0, lhs, rhs, out }, shape))
}

fn conv(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let bias = b.input(8);
    let (acc, shape) = accumulate(b, [0, 3], [2, 5], bias)?;
    let x_scale = scale(b, 1)?;
    let factors = scales(b, 4)?.iter().map(|s| x_scale * s).collect();
    Ok(vec![finish(b, &acc, &shape, factors, 1, (6, 7))?])
}

fn conv_integer(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (acc, _) = accumulate(b, [0, 1], [2, 3], None)?;
    Ok(vec![b.cast(&acc, 6)])
}

/// The accumulators of a matrix product, and their shape.
fn multiply(b: &mut Builder<'_>, [x, w]: [usize; 2], [x_zero, w_zero]: [usize; 2]) -> Result<(String, Vec<usize>)> {
    let (x, w) = (b.need(x)?, b.need(w)?);
    let (x_shape, w_shape) = (b.shape(&x)?, b.shape(&w)?);
    let (contraction, shape) = product(&x_shape, &w_shape, (false, false))?;
    let (x_zero, w_zero) = (b.input(x_zero), b.input(w_zero));
    let x = centred(b, &x, x_zero, x_shape.len() - 2)?;
    let w = centred(b, &w, w_zero, w_shape.len() - 1)?;
    let kind = Kind::Contract(Contract { contraction, bias: None });
    let acc = b.own(kind, &[&x, &w], &shape, Type::Integer)?;
    Ok((acc, shape))
}

fn matmul(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (acc, shape) = multiply(b, [0, 3], [2, 5])?;
    let a_scale = scale(b, 1)?;
    let factors = scales(b, 4)?.iter().map(|s| a_scale * s).collect();
    Ok(vec![finish(b, &acc, &shape, factors, shape.len() - 1, (6, 7))?])
}

fn matmul_integer(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (acc, _) = multiply(b, [0, 1], [2, 3])?;
    Ok(vec![b.cast(&acc, 6)])
}

fn gemm(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (a, w) = (b.need(0)?, b.need(3)?);
    let transposed = (b.int_or("transA", 0) != 0, b.int_or("transB", 0) != 0);
    if b.float_or("alpha", 1.0) != 1.0 {
        return Err(ImportError::unsupported("an alpha other than 1"));
    }
    let (contraction, shape) = product(&b.shape(&a)?, &b.shape(&w)?, transposed)?;
    let (za, zw) = (b.input(2), b.input(5));
    let a = centred(b, &a, za, 0)?;
    let w = centred(b, &w, zw, usize::from(!transposed.1))?;
    let bias = b.input(6);
    let kind = Kind::Contract(Contract { contraction, bias: bias.as_ref().map(|_| 1) });
    let mut inputs = vec![a, w];
    if let Some(bias) = bias {
        let n: usize = b.shape(&bias)?.iter().product();
        if n != 1 && n != shape[1] {
            return Err(ImportError::unsupported(format!("a bias of {n} values for {} columns", shape[1])));
        }
        inputs.push(b.reshape(&bias, &[n]));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let acc = b.own(kind, &inputs, &shape, Type::Integer)?;
    let a_scale = scale(b, 1)?;
    let factors = scales(b, 4)?.iter().map(|s| a_scale * s).collect();
    Ok(vec![finish(b, &acc, &shape, factors, 1, (7, 8))?])
}

fn pair(b: &mut Builder<'_>, act: Act) -> Result<Vec<String>> {
    let (x, y) = (b.need(0)?, b.need(3)?);
    let (p, q) = (b.shape(&x)?, b.shape(&y)?);
    let rank = p.len().max(q.len());
    let of = |s: &[usize], a: usize| (a + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    let shape: Vec<usize> = (0..rank).map(|a| of(&p, a).max(of(&q, a))).collect();
    let range = type_of(b, 7)?;
    let scales = [scale(b, 1)?, scale(b, 4)?, scale(b, 6)?];
    let zeros = [zero(b, 2)?, zero(b, 5)?, zero(b, 7)?];
    let (lo, hi) = bounds(b, range, scales[2], zeros[2]);
    let padded = |b: &mut Builder<'_>, x: &str, s: &[usize]| {
        let mut full = vec![1; rank - s.len()];
        full.extend(s);
        if full.len() == s.len() { x.to_owned() } else { b.reshape(x, &full) }
    };
    let (x, y) = (padded(b, &x, &p), padded(b, &y, &q));
    let out = b.own(Kind::Pair(Pair { act, scales, zeros, lo, hi }), &[&x, &y], &shape, Type::Integer)?;
    Ok(vec![b.cast(&out, range.number)])
}

fn add(b: &mut Builder<'_>) -> Result<Vec<String>> {
    pair(b, Act::Add)
}

fn mul(b: &mut Builder<'_>) -> Result<Vec<String>> {
    pair(b, Act::Mul)
}

/// The mean over space, rounded once.
fn global_average_pool(b: &mut Builder<'_>) -> Result<Vec<String>> {
    if b.int_or("channels_last", 0) != 0 {
        return Err(ImportError::unsupported("channels as the last axis"));
    }
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let count: usize = shape[2.min(shape.len())..].iter().product();
    let zx = b.input(2);
    let wide = centred(b, &x, zx, 1)?;
    let axes: Vec<i64> = (2..shape.len() as i64).collect();
    let sum = b.reduce("ReduceSum", &wide, &axes);
    let mut out = shape[..2.min(shape.len())].to_vec();
    out.resize(shape.len(), 1);
    // The runtime divides by the product of the other two.
    let (x_scale, y_scale) = (scale(b, 1)?, scale(b, 3)?);
    let (range, zero) = (type_of(b, 4)?, zero(b, 4)?);
    let (lo, hi) = bounds(b, range, y_scale, zero);
    let kind = Rescale { axis: None, scales: vec![x_scale / (y_scale * count as f32)], zero, lo, hi };
    let y = b.own(Kind::Rescale(kind), &[&sum], &out, Type::Integer)?;
    Ok(vec![b.cast(&y, range.number)])
}

/// Each part requantized to the result's scale.
fn concat(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (y_scale, y_zero) = (b.need(0)?, b.need(1)?);
    let mut parts = Vec::new();
    for i in (2..b.node.input.len()).step_by(3) {
        let (x, s, z) = (b.need(i)?, b.need(i + 1)?, b.need(i + 2)?);
        let real = b.op("DequantizeLinear", &[&x, &s, &z], vec![]);
        parts.push(b.op("QuantizeLinear", &[&real, &y_scale, &y_zero], vec![]));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let axis = b.int_or("axis", 0);
    Ok(vec![b.op("Concat", &parts, vec![int("axis", axis)])])
}

/// A function between dequantization and quantization.
fn around(b: &mut Builder<'_>, op: &str) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let attributes = b.node.attribute.iter().filter(|a| a.name != "opset").cloned().collect();
    let empty = String::new();
    let name = |b: &Builder<'_>, i: usize| b.input(i).unwrap_or_else(|| empty.clone());
    let (xs, xz, ys, yz) = (b.need(1)?, name(b, 2), b.need(3)?, name(b, 4));
    let real = b.op("DequantizeLinear", &[&x, &xs, &xz], vec![]);
    let made = b.op(op, &[&real], attributes);
    Ok(vec![b.op("QuantizeLinear", &[&made, &ys, &yz], vec![])])
}

fn sigmoid(b: &mut Builder<'_>) -> Result<Vec<String>> {
    around(b, "Sigmoid")
}

fn leaky_relu(b: &mut Builder<'_>) -> Result<Vec<String>> {
    around(b, "LeakyRelu")
}

fn softmax(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let rank = b.shape(&x)?.len();
    let at = axis(b.int_or("axis", -1), rank)?;
    // Before operator set 13 a softmax goes over all axes from the given one on.
    if b.int_or("opset", 13) < 13 && at + 1 != rank {
        return Err(ImportError::unsupported("a softmax over several axes"));
    }
    around(b, "Softmax")
}
