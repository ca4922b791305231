//! Float types other than float32, and infinities, brought to what the engine and the quantizer can take.
//!
//! Every float tensor is computed as float32: float16, bfloat16 and float64 constants are converted, casts between them
//! vanish. An infinite constant (an attention mask) becomes plus or minus [`STAND_IN`], which every saturating function
//! takes to the same limit; where it could show in a result, the model is refused.

use super::error::ImportError;
use crate::parallel::all_parts;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, type_proto};

/// Stands in for an infinity.
pub(crate) const STAND_IN: f32 = 1_073_741_824.0;

/// Operators that an infinite constant may enter: what they make of it is a mask or a bound.
const TAKES_INFINITIES: [&str; 15] = [
    "Add",
    "Sub",
    "Where",
    "Max",
    "Min",
    "Clip",
    "Cast",
    "Expand",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Concat",
    "Identity",
    "Attention",
];

/// What was converted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Converted {
    /// Some tensor had another float type.
    pub(crate) floats: bool,
    /// Some constant was infinite, or as large as a float can be.
    pub(crate) infinities: bool,
    /// Some constant was infinite.
    endless: bool,
}

/// Converts a graph and its subgraphs.
///
/// # Errors
/// A constant that holds a NaN, by its name and that of the node that reads it.
pub(crate) fn convert(graph: &mut GraphProto, done: &mut Converted) -> Result<(), ImportError> {
    for v in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        if let Some(type_proto::Value::TensorType(t)) = v.r#type.as_mut().and_then(|t| t.value.as_mut())
            && matches!(t.elem_type, 10 | 11 | 16)
        {
            t.elem_type = 1;
            done.floats = true;
        }
    }
    let mut bad = None;
    let mut infinite: Vec<(String, bool)> = Vec::new();
    for t in &mut graph.initializer {
        let before = std::mem::take(&mut done.infinities);
        done.endless = false;
        if tensor(t, done).is_err() {
            bad.get_or_insert(t.name.clone());
        }
        if done.infinities {
            infinite.push((t.name.clone(), done.endless));
        }
        done.infinities |= before;
    }
    // Zero times the largest float is zero, zero times infinity is not.
    let takes = |n: &NodeProto, endless: bool| {
        TAKES_INFINITIES.contains(&n.op_type.as_str()) || (n.op_type == "Mul" && !endless)
    };
    for n in &graph.node {
        let read = infinite.iter().find(|(name, endless)| n.input.contains(name) && !takes(n, *endless));
        if let Some((tensor, _)) = read {
            let reason = format!("it holds an infinity; node '{}' ({}) reads it", n.name, n.op_type);
            return Err(ImportError::Tensor { tensor: tensor.clone(), reason });
        }
    }
    if let Some(name) = bad {
        let reader = graph.node.iter().find(|n| n.input.contains(&name));
        let reader = reader.map_or(String::new(), |n| {
            let label = if n.name.is_empty() { n.output.first() } else { Some(&n.name) };
            format!("; node '{}' ({}) reads it", label.cloned().unwrap_or_default(), n.op_type)
        });
        return Err(ImportError::Tensor { tensor: name, reason: format!("it holds a NaN{reader}") });
    }
    for node in &mut graph.node {
        let label =
            if node.name.is_empty() { node.output.first().cloned().unwrap_or_default() } else { node.name.clone() };
        for a in &mut node.attribute {
            if matches!(a.name.as_str(), "to" | "dtype" | "output_datatype") && matches!(a.i, 10 | 11 | 16) {
                a.i = 1;
                done.floats = true;
            }
            for t in a.t.iter_mut().chain(&mut a.tensors) {
                tensor(t, done).map_err(|()| ImportError::Tensor {
                    tensor: label.clone(),
                    reason: format!("it holds a NaN in its attribute '{}'", a.name),
                })?;
            }
            // What stands for a missing value is compared with, never computed with.
            let marker = node.op_type == "Imputer" && a.name == "replaced_value_float";
            if marker {
                continue;
            }
            if !a.f.is_finite() || a.floats.iter().any(|v| !v.is_finite()) {
                if a.f.is_nan() || a.floats.iter().any(|v| v.is_nan()) {
                    let reason = format!("its attribute '{}' is a NaN", a.name);
                    return Err(ImportError::Tensor { tensor: label, reason });
                }
                done.infinities = true;
                a.f = a.f.clamp(-STAND_IN, STAND_IN);
                a.floats.iter_mut().for_each(|v| *v = v.clamp(-STAND_IN, STAND_IN));
            }
            for g in a.g.iter_mut().chain(&mut a.graphs) {
                convert(g, done)?;
            }
        }
    }
    Ok(())
}

/// Brings a tensor to finite float32, if it is one of floats.
fn tensor(t: &mut TensorProto, done: &mut Converted) -> Result<(), ()> {
    if t.data_type == 1 && is_plain(&t.raw_data) {
        return Ok(());
    }
    let raw = std::mem::take(&mut t.raw_data);
    let values: Vec<f32> = match (t.data_type, raw.is_empty()) {
        (1, false) => raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        (1, true) => std::mem::take(&mut t.float_data),
        (10, false) => raw.chunks_exact(2).map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect(),
        (10, true) => t.int32_data.drain(..).map(|v| half(v as u16)).collect(),
        (16, false) => raw.chunks_exact(2).map(|b| bfloat(u16::from_le_bytes([b[0], b[1]]))).collect(),
        (16, true) => t.int32_data.drain(..).map(|v| bfloat(v as u16)).collect(),
        (11, false) => raw
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        (11, true) => t.double_data.drain(..).map(|v| v as f32).collect(),
        _ => {
            t.raw_data = raw;
            return Ok(());
        }
    };
    done.floats |= t.data_type != 1;
    if values.iter().any(|v| v.is_nan()) {
        return Err(());
    }
    done.endless |= values.iter().any(|v| v.is_infinite());
    done.infinities |= done.endless;
    t.data_type = 1;
    t.raw_data = values.iter().flat_map(|v| v.clamp(-f32::MAX, f32::MAX).to_le_bytes()).collect();
    if values.iter().any(|v| v.is_infinite() || *v <= -f32::MAX || *v >= f32::MAX) {
        // The smallest float is how frameworks write a mask in a type without infinities.
        done.infinities = true;
        t.raw_data = values.iter().flat_map(|v| v.clamp(-STAND_IN, STAND_IN).to_le_bytes()).collect();
    }
    Ok(())
}

/// Whether these are floats of four bytes, one or more, and all of them finite and less than the largest one in magnitude.
fn is_plain(raw: &[u8]) -> bool {
    let (floats, rest) = raw.as_chunks::<4>();
    // Without the sign, floats are in the order of their bits.
    let large = |v: &[u8; 4]| (i32::from_le_bytes(*v) & i32::MAX) >= f32::MAX.to_bits() as i32;
    let plain = |part: &[[u8; 4]]| !part.iter().fold(false, |any, v| any | large(v));
    rest.is_empty() && !floats.is_empty() && all_parts(floats, plain)
}

/// The value of an IEEE half-precision number.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * (-24f32).exp2(),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1024.0 + fraction) * ((e - 25) as f32).exp2(),
    }
}

fn bfloat(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The result, the bytes and what was noted.
    type Made = (Result<(), ()>, Vec<u8>, [bool; 3]);

    /// What [`tensor`] makes of float32 numbers as bytes, and of the same in their own field.
    fn both(values: &[f32]) -> [Made; 2] {
        let raw = TensorProto {
            data_type: 1,
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        };
        let field = TensorProto { data_type: 1, float_data: values.to_vec(), ..TensorProto::default() };
        [raw, field].map(|mut t| {
            let mut done = Converted::default();
            let result = tensor(&mut t, &mut done);
            let made = if result.is_ok() { t.raw_data } else { vec![] };
            (result, made, [done.floats, done.infinities, done.endless])
        })
    }

    proptest! {
        #[test]
        fn floats_are_the_same_as_bytes_and_in_their_field(
            bits in prop::collection::vec(any::<u32>(), 1..40),
            special in prop::collection::vec((0usize..40, 0usize..8), 0..3),
        ) {
            let mut values: Vec<f32> = bits.iter().map(|b| f32::from_bits(b & !(1 << 30))).collect();
            let kinds =
                [f32::MAX, -f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0, f32::MAX.next_down(), f32::MIN_POSITIVE / 2.0];
            for (at, kind) in special {
                let n = values.len();
                values[at % n] = kinds[kind];
            }
            let [raw, field] = both(&values);
            prop_assert_eq!(raw, field);
        }
    }
}
