//! Checks of what tract would take on trust: sizes of tensors, references outside the file, nesting.

use super::error::ImportError;
use tract_onnx::pb::{GraphProto, TensorProto};

const MAX_ELEMENTS: u64 = 1 << 28;
const MAX_NODES: usize = 1 << 16;

fn malformed(reason: &str) -> ImportError {
    ImportError::Malformed { reason: reason.to_owned() }
}

fn tensor(name: &str, reason: String) -> ImportError {
    ImportError::Tensor { tensor: name.to_owned(), reason }
}

/// Name of an ONNX data type.
pub(crate) fn type_name(number: i32) -> String {
    let names = [
        "no type",
        "float32",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "text",
        "bool",
        "float16",
        "float64",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
        "float8e4m3fn",
        "float8e4m3fnuz",
        "float8e5m2",
        "float8e5m2fnuz",
        "uint4",
        "int4",
        "float4e2m1",
        "float8e8m0",
        "uint2",
        "int2",
    ];
    let known = usize::try_from(number).ok().and_then(|i| names.get(i));
    known.map_or_else(|| format!("ONNX data type {number}"), |n| (*n).to_owned())
}

/// Bits of a type of integers that are narrower than a byte, and whether they have a sign.
pub(crate) fn narrow_bits(data_type: i32) -> Option<(usize, bool)> {
    match data_type {
        21 => Some((4, false)),
        22 => Some((4, true)),
        25 => Some((2, false)),
        26 => Some((2, true)),
        _ => None,
    }
}

/// Number of values of a shape.
pub(crate) fn volume(dims: impl Iterator<Item = i64>) -> Result<u64, String> {
    let mut n = 1u64;
    for d in dims {
        let d = u64::try_from(d).map_err(|_| format!("a negative extent {d}"))?;
        n = n.checked_mul(d).filter(|n| *n <= MAX_ELEMENTS).ok_or(format!("more than {MAX_ELEMENTS} values"))?;
    }
    Ok(n)
}

/// Checks a graph and its subgraphs.
pub(crate) fn check_graph(graph: &GraphProto, depth: usize) -> Result<(), ImportError> {
    if depth > 8 {
        return Err(malformed("subgraphs are nested more than 8 deep"));
    }
    if graph.node.len() > MAX_NODES {
        return Err(malformed(&format!("{} nodes; at most {MAX_NODES}", graph.node.len())));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(malformed("sparse initializers; store them densely"));
    }
    for t in &graph.initializer {
        check_tensor(t)?;
    }
    for node in &graph.node {
        if node.op_type == super::own::NAME {
            return Err(malformed(&format!("'{}' is no operator of a file", node.op_type)));
        }
        for a in &node.attribute {
            for t in a.t.iter().chain(&a.tensors) {
                check_tensor(t)?;
            }
            for g in a.g.iter().chain(&a.graphs) {
                check_graph(g, depth + 1)?;
            }
        }
    }
    Ok(())
}

fn check_tensor(t: &TensorProto) -> Result<(), ImportError> {
    let err = |reason: String| Err(tensor(&t.name, reason));
    if t.data_location == Some(1) || !t.external_data.is_empty() {
        return err("its data is in another file; pass the model as a file beside its data".to_owned());
    }
    if t.dims.len() > 12 {
        return err(format!("{} axes; at most 12", t.dims.len()));
    }
    let n = volume(t.dims.iter().copied()).or_else(err_of(&t.name))?;
    if narrow_bits(t.data_type).is_some() {
        // Checked where they are read.
        return Ok(());
    }
    // Element sizes by ONNX data type number.
    let size = match t.data_type {
        2 | 3 | 9 => 1,
        4 | 5 | 10 | 16 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        8 => return if t.string_data.len() as u64 == n { Ok(()) } else { err("its data is cut short".to_owned()) },
        other => return err(format!("{} is not supported; use float32", type_name(other))),
    };
    let (present, wanted) = if t.raw_data.is_empty() {
        let lists =
            [t.float_data.len(), t.int32_data.len(), t.int64_data.len(), t.double_data.len(), t.uint64_data.len()];
        (lists.into_iter().max().unwrap_or(0) as u64, n)
    } else {
        (t.raw_data.len() as u64, n * size)
    };
    if present != wanted {
        return err(format!("expected {wanted} bytes or values for shape {:?}, got {present}", t.dims));
    }
    Ok(())
}

fn err_of<T>(name: &str) -> impl Fn(String) -> Result<T, ImportError> + '_ {
    move |reason| Err(tensor(name, reason))
}
