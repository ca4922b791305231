//! Weights of a few bits with a scale for each block, read as the floats that they stand for.
//!
//! DequantizeLinear of a constant that is narrower than a byte, or has a scale for each block, becomes a constant of floats, and
//! MatMulNBits of onnxruntime a MatMul with one. These floats are then quantized like those of any other model.

use super::{
    check::{narrow_bits, type_name, volume},
    error::ImportError,
    prune,
};
use crate::tensor::around;
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

type Result<T> = std::result::Result<T, ImportError>;

/// Replaces all such weights of a graph whose floats are float32 already: how many there were.
///
/// # Errors
/// By node: weights that are no constants, or sizes that do not fit; by name: a narrow constant that is used for anything else.
pub(crate) fn read(graph: &mut GraphProto) -> Result<usize> {
    let mut made = Vec::new();
    let mut nodes = Vec::with_capacity(graph.node.len());
    {
        let constants = constants(graph);
        for (i, node) in graph.node.iter().enumerate() {
            let new = match (node.domain.as_str(), node.op_type.as_str()) {
                ("" | "ai.onnx", "DequantizeLinear") => dequantized(node, &constants),
                ("com.microsoft", "MatMulNBits") => product(node, &constants).map(Some),
                _ => Ok(None),
            };
            let name = std::iter::once(&node.name).chain(&node.output).find(|n| !n.is_empty());
            let name = || name.cloned().unwrap_or_else(|| format!("node {i}"));
            match new.map_err(|e| e.at(&name(), &node.op_type))? {
                Some((weights, new)) => {
                    made.push(weights);
                    nodes.extend(new);
                }
                None => nodes.push(node.clone()),
            }
        }
    }
    let count = made.len();
    if count > 0 {
        graph.node = nodes;
        graph.initializer.append(&mut made);
        prune::unused(graph);
    }
    let held = graph.node.iter().flat_map(|n| &n.attribute).filter_map(|a| a.t.as_ref());
    if let Some(t) = graph.initializer.iter().chain(held).find(|t| narrow_bits(t.data_type).is_some()) {
        let reason = format!("{} is not supported; use float32", type_name(t.data_type));
        return Err(ImportError::Tensor { tensor: t.name.clone(), reason });
    }
    Ok(count)
}

type Constants<'g> = HashMap<&'g str, &'g TensorProto>;
/// A constant, and the nodes that read it.
type Made = (TensorProto, Vec<NodeProto>);

fn constants(graph: &GraphProto) -> Constants<'_> {
    let held = graph.initializer.iter().map(|t| (t.name.as_str(), t));
    let nodes = graph.node.iter().filter(|n| n.op_type == "Constant");
    let values = nodes.filter_map(|n| {
        let value = n.attribute.iter().find(|a| a.name == "value")?;
        Some((n.output.first()?.as_str(), value.t.as_ref()?))
    });
    held.chain(values).collect()
}

/// Input `i` of a node, which must be a constant; `None` where it is left out.
fn input<'g>(node: &NodeProto, i: usize, constants: &Constants<'g>) -> Result<Option<&'g TensorProto>> {
    match node.input.get(i).filter(|name| !name.is_empty()) {
        None => Ok(None),
        Some(name) => constants.get(name.as_str()).copied().map(Some).ok_or_else(|| {
            ImportError::unsupported(format!(
                "'{name}' must be a constant: weights of few bits are read before the proof"
            ))
        }),
    }
}

fn number(node: &NodeProto, name: &str, default: i64) -> i64 {
    node.attribute.iter().find(|a| a.name == name).map_or(default, |a| a.i)
}

/// Fields of that many bits, the lowest first.
fn unpack(bytes: &[u8], bits: usize, n: usize) -> impl Iterator<Item = u8> + '_ {
    let mask = ((1u16 << bits) - 1) as u8;
    (0..n).map(move |k| (bytes[k * bits / 8] >> (k * bits % 8)) & mask)
}

fn bytes(t: &TensorProto) -> Vec<u8> {
    if t.raw_data.is_empty() { t.int32_data.iter().map(|v| *v as u8).collect() } else { t.raw_data.clone() }
}

/// The values of a constant of small integers; `None` for other types.
fn integers(t: &TensorProto) -> Result<Option<Vec<f32>>> {
    let (bits, signed) = match (t.data_type, narrow_bits(t.data_type)) {
        (_, Some(narrow)) => narrow,
        (2, _) => (8, false),
        (3, _) => (8, true),
        _ => return Ok(None),
    };
    let n = volume(t.dims.iter().copied()).map_err(ImportError::unsupported)? as usize;
    let bytes = bytes(t);
    if bytes.len() != (n * bits).div_ceil(8) {
        return Err(ImportError::unsupported(format!("{} bytes for {n} integers of {bits} bits", bytes.len())));
    }
    let half = 1 << (bits - 1);
    let value = |v: u8| {
        let v = i32::from(v);
        (if signed && v >= half { v - 2 * half } else { v }) as f32
    };
    Ok(Some(unpack(&bytes, bits, n).map(value).collect()))
}

fn floats(t: &TensorProto) -> Result<Vec<f32>> {
    if t.data_type != 1 {
        return Err(ImportError::unsupported(format!("scales of type {}", type_name(t.data_type))));
    }
    Ok(t.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn tensor(name: String, dims: Vec<i64>, values: &[f32]) -> TensorProto {
    let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto { name, dims, data_type: 1, raw_data, ..TensorProto::default() }
}

/// The constant that a DequantizeLinear gives, where it is one of those.
fn dequantized(node: &NodeProto, constants: &Constants<'_>) -> Result<Option<Made>> {
    let block = number(node, "block_size", 0);
    let x = node.input.first().and_then(|name| constants.get(name.as_str()));
    let narrow = x.is_some_and(|t| narrow_bits(t.data_type).is_some());
    let (Some(x), true) = (x, narrow || block != 0) else { return Ok(None) };
    let Some(values) = integers(x)? else { return Ok(None) };
    let Some(scale) = input(node, 1, constants)? else { return Err(ImportError::unsupported("it has no scale")) };
    let scales = floats(scale)?;
    let zeros = match input(node, 2, constants)? {
        Some(t) => integers(t)?.ok_or_else(|| ImportError::unsupported("zero points that are no small integers"))?,
        None => vec![0.0; scales.len()],
    };
    let shape: Vec<usize> = x.dims.iter().map(|d| *d as usize).collect();
    let whole = scales.len() == 1 && block == 0;
    let axis = if whole && shape.is_empty() {
        None
    } else {
        let axis = number(node, "axis", 1);
        let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
        usize::try_from(axis).ok().filter(|a| *a < shape.len())
    };
    let (outer, len, inner) = match axis {
        Some(a) => around(&shape, a),
        None if whole => (1, 1, values.len()),
        None => return Err(ImportError::unsupported("an axis that its input has not")),
    };
    let size = usize::try_from(block).map_err(|_| ImportError::unsupported("a negative block_size"))?;
    let blocks = if size == 0 { 0 } else { len.div_ceil(size) };
    let wanted = match (whole, size) {
        (true, _) => 1,
        (false, 0) => len,
        _ => outer * blocks * inner,
    };
    if scales.len() != wanted || zeros.len() != wanted {
        let what = format!("{} scales and {} zero points where {wanted} are needed", scales.len(), zeros.len());
        return Err(ImportError::unsupported(what));
    }
    let at = |k: usize| match (whole, size) {
        (true, _) => 0,
        (false, 0) => k / inner % len,
        _ => (k / inner / len * blocks + k / inner % len / size) * inner + k % inner,
    };
    let values: Vec<f32> = values.iter().enumerate().map(|(k, v)| (v - zeros[at(k)]) * scales[at(k)]).collect();
    let output = node.output.first().cloned().unwrap_or_default();
    Ok(Some((tensor(output, x.dims.clone(), &values), vec![])))
}

/// A MatMul for a MatMulNBits, and its weights `[K, N]`.
fn product(node: &NodeProto, constants: &Constants<'_>) -> Result<Made> {
    let refuse = |what: String| Err(ImportError::unsupported(what));
    let size = |name: &str, default: i64| usize::try_from(number(node, name, default)).unwrap_or(0);
    let (depth, columns, bits, block) = (size("K", 0), size("N", 0), size("bits", 4), size("block_size", 0));
    let whole = block.is_multiple_of(8) && (8..=1 << 16).contains(&block);
    if !matches!(bits, 2 | 4 | 8) || !whole || depth == 0 || columns == 0 {
        return refuse(format!("{depth} by {columns} weights of {bits} bits in blocks of {block}"));
    }
    volume([depth as i64, columns as i64].into_iter()).map_err(ImportError::unsupported)?;
    if node.input.get(4).is_some_and(|name| !name.is_empty()) {
        return refuse("an order of its rows (g_idx); quantize without act-order".to_owned());
    }
    let (Some(x), Some(b), Some(scale)) = (node.input.first(), input(node, 1, constants)?, input(node, 2, constants)?)
    else {
        return refuse("it has too few inputs".to_owned());
    };
    let blocks = depth.div_ceil(block);
    let (packed, scales) = (bytes(b), floats(scale)?);
    let (row, zero_row) = (blocks * block * bits / 8, (blocks * bits).div_ceil(8));
    let zeros = input(node, 3, constants)?;
    if let Some(t) = zeros.filter(|t| t.data_type != 2) {
        return refuse(format!("zero points of type {}", type_name(t.data_type)));
    }
    let zeros = zeros.map(bytes);
    let fits = b.data_type == 2 && packed.len() == columns * row && scales.len() == columns * blocks;
    if !fits || zeros.as_ref().is_some_and(|z| z.len() != columns * zero_row) {
        return refuse(format!("weights, scales or zero points that are not those of {depth} by {columns}"));
    }
    let mut weights = vec![0f32; depth * columns];
    for n in 0..columns {
        let zero: Vec<u8> = match &zeros {
            Some(z) => unpack(&z[n * zero_row..(n + 1) * zero_row], bits, blocks).collect(),
            None => vec![1 << (bits - 1); blocks],
        };
        for (k, q) in unpack(&packed[n * row..(n + 1) * row], bits, depth).enumerate() {
            let at = k / block;
            weights[k * columns + n] = (f32::from(q) - f32::from(zero[at])) * scales[n * blocks + at];
        }
    }
    let output = node.output.first().cloned().unwrap_or_default();
    let name = format!("{output}.weights");
    let bias = node.input.get(5).filter(|name| !name.is_empty());
    let new = |op: &str, inputs: [&str; 2], output: String| NodeProto {
        name: output.clone(),
        op_type: op.to_owned(),
        input: inputs.map(str::to_owned).to_vec(),
        output: vec![output],
        ..NodeProto::default()
    };
    let nodes = match bias {
        None => vec![new("MatMul", [x.as_str(), name.as_str()], output)],
        Some(bias) => {
            let inner = format!("{output}.product");
            let sum = new("Add", [inner.as_str(), bias.as_str()], output);
            vec![new("MatMul", [x.as_str(), name.as_str()], inner.clone()), sum]
        }
    };
    Ok((tensor(name, vec![depth as i64, columns as i64], &weights), nodes))
}
