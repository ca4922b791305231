//! Values of ONNX tensors as floats.

use tract_onnx::pb::TensorProto;

/// A tensor's shape, values, and whether its type is exact (integers and booleans).
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f64>,
    pub(crate) exact: bool,
}

/// Reads a tensor; `None` for text and other types without a value as a number.
pub(crate) fn read(t: &TensorProto) -> Option<Values> {
    let shape: Vec<usize> = t.dims.iter().map(|d| *d as usize).collect();
    let exact = matches!(t.data_type, 2..=7 | 9 | 12 | 13);
    let raw = &t.raw_data;
    fn each<const N: usize>(raw: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        raw.chunks_exact(N).map(|b| f(b.try_into().expect("a chunk of its size"))).collect()
    }
    let data: Vec<f64> = match (t.data_type, raw.is_empty()) {
        (1, false) => each(raw, |b| f64::from(f32::from_le_bytes(b))),
        (1, true) => t.float_data.iter().map(|v| f64::from(*v)).collect(),
        (2 | 9, false) => raw.iter().map(|b| f64::from(*b)).collect(),
        (3, false) => raw.iter().map(|b| f64::from(*b as i8)).collect(),
        (4, false) => each(raw, |b| f64::from(u16::from_le_bytes(b))),
        (5, false) => each(raw, |b| f64::from(i16::from_le_bytes(b))),
        (6, false) => each(raw, |b| f64::from(i32::from_le_bytes(b))),
        (7, false) => each(raw, |b| i64::from_le_bytes(b) as f64),
        (7, true) => t.int64_data.iter().map(|v| *v as f64).collect(),
        (10, false) => each(raw, |b| half(u16::from_le_bytes(b))),
        (10, true) => t.int32_data.iter().map(|v| half(*v as u16)).collect(),
        (2..=6 | 9, true) => t.int32_data.iter().map(|v| f64::from(*v)).collect(),
        (11, false) => each(raw, f64::from_le_bytes),
        (11, true) => t.double_data.clone(),
        (12, false) => each(raw, |b| f64::from(u32::from_le_bytes(b))),
        (13, false) => each(raw, |b| u64::from_le_bytes(b) as f64),
        (12 | 13, true) => t.uint64_data.iter().map(|v| *v as f64).collect(),
        (16, false) => each(raw, |b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
        _ => return None,
    };
    (data.len() == shape.iter().product::<usize>()).then_some(Values { shape, data, exact })
}

/// The value of an IEEE half-precision number.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * (-24f64).exp2(),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + fraction) * f64::from(e - 25).exp2(),
    }
}
