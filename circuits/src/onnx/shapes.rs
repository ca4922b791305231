//! The model's inputs with fixed shapes.
//!
//! A symbolic extent is a number that the user gives (`height=320`), or the batch, which is fixed to one: the compiled
//! model is then proven for any batch. What counts as a batch is the leading axis whose symbol says so (or has no name);
//! any other symbol is asked for, because taking a sequence for a batch would prove something else.

use super::error::ImportError;
use std::collections::HashSet;
use tract_onnx::pb::{GraphProto, TensorProto, tensor_shape_proto::dimension::Value as Dim, type_proto};

/// What a file leaves open, and what is done to it while it is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Extents of symbolic axes: by the symbol (`height`), or by input and axis (`x:2`) where there is no name.
    pub dims: Vec<(String, usize)>,
    /// Symbols that count independent samples, besides those that say so themselves (`N`, `batch`, `batch_size`, ..).
    pub batch: Vec<String>,
    /// Inputs that are a constant of the model from now on, all entries the given number (a sampling rate, a switch).
    pub values: Vec<(String, f64)>,
    /// Leave out a Softmax or LogSoftmax that is the last operator: the output is then its input, and a note says so.
    pub drop_softmax: bool,
}

/// Element types of inputs that are read: floats, integers and booleans, by ONNX data type number.
const INPUT_TYPES: [i32; 12] = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13];

fn says_batch(symbol: &str) -> bool {
    let s = symbol.to_ascii_lowercase();
    matches!(s.as_str(), "n" | "b" | "bs" | "bsz" | "none" | "?" | "-1")
        || s.contains("batch")
        || s.starts_with("unk__")
}

/// Fixes all symbolic extents, and returns the inputs' names and shapes.
///
/// # Errors
/// An input that is no tensor of numbers, an extent that is open, an option that fits nothing.
pub(crate) fn fix(
    graph: &mut GraphProto,
    options: &LoadOptions,
    notes: &mut Vec<String>,
) -> Result<Vec<(String, Vec<usize>)>, ImportError> {
    let initialized: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let mut used: HashSet<&str> = HashSet::new();
    let mut symbols: Vec<String> = Vec::new();
    let mut out: Vec<(String, Vec<usize>)> = Vec::new();
    // A symbol that is somebody's batch is the batch everywhere.
    let mut batch: HashSet<String> = options.batch.iter().cloned().collect();
    for input in graph.input.iter().filter(|i| !initialized.contains(&i.name)) {
        if let Some(type_proto::Value::TensorType(t)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
            && let Some(Dim::DimParam(p)) = t.shape.as_ref().and_then(|s| s.dim.first()).and_then(|d| d.value.as_ref())
            && says_batch(p)
        {
            batch.insert(p.clone());
        }
    }
    for input in graph.input.iter_mut().filter(|i| !initialized.contains(&i.name)) {
        let name = input.name.clone();
        let err = |reason: String| ImportError::Tensor { tensor: name.clone(), reason };
        let Some(type_proto::Value::TensorType(t)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            return Err(err("an input must be a tensor".to_owned()));
        };
        if !INPUT_TYPES.contains(&t.elem_type) {
            let kind = super::check::type_name(t.elem_type);
            return Err(err(format!("an input must hold floats, integers or booleans, not {kind}")));
        }
        let shape = t.shape.as_mut().ok_or_else(|| err("an input must have a shape".to_owned()))?;
        let mut dims = Vec::with_capacity(shape.dim.len());
        for (axis, d) in shape.dim.iter_mut().enumerate() {
            let place = format!("{name}:{axis}");
            let symbol = match &d.value {
                Some(Dim::DimParam(p)) if !p.is_empty() => Some(p.clone()),
                _ => None,
            };
            symbols.extend(symbol.clone());
            let key = symbol.as_deref().unwrap_or(&place);
            let given = options.dims.iter().find(|(k, _)| k == key || *k == place);
            let fixed = match (&d.value, given) {
                (Some(Dim::DimValue(v)), _) if *v > 0 => *v,
                (_, Some((k, v))) if *v > 0 => {
                    used.insert(k);
                    i64::try_from(*v).map_err(|e| err(e.to_string()))?
                }
                _ if symbol.as_ref().is_some_and(|p| batch.contains(p)) => 1,
                (Some(Dim::DimValue(v)), _) if *v == 0 && axis > 0 => {
                    return Err(err(format!("axis {axis} has extent 0; an empty tensor cannot be proven")));
                }
                // Without a name, the leading axis is the batch by custom.
                _ if axis == 0 && symbol.is_none() => 1,
                _ => {
                    let what = symbol.as_ref().map_or("no extent".to_owned(), |p| format!("the symbolic extent '{p}'"));
                    let batch = if axis == 0 && symbol.is_some() {
                        format!(", or say --batch-axis {key} if it counts independent samples")
                    } else {
                        String::new()
                    };
                    return Err(err(format!("axis {axis} has {what}; give it with --dim {key}=NUMBER{batch}")));
                }
            };
            if !matches!(&d.value, Some(Dim::DimValue(v)) if *v == fixed) {
                let of = symbol.map_or(String::new(), |p| format!(" ('{p}')"));
                notes.push(format!("input '{name}': axis {axis}{of} fixed to {fixed}"));
            }
            d.value = Some(Dim::DimValue(fixed));
            dims.push(fixed);
        }
        if dims.len() > 8 {
            return Err(err(format!("{} axes; at most 8", dims.len())));
        }
        super::check::volume(dims.iter().copied()).map_err(err)?;
        out.push((name.clone(), dims.into_iter().map(|d| d as usize).collect()));
    }
    let unknown = options.dims.iter().map(|(k, _)| k.as_str()).filter(|k| !used.contains(k)).collect::<Vec<_>>();
    let unknown =
        unknown.into_iter().chain(options.batch.iter().map(String::as_str).filter(|b| !symbols.iter().any(|s| s == b)));
    if let Some(name) = unknown.into_iter().next() {
        symbols.sort();
        symbols.dedup();
        return Err(ImportError::Option {
            name: "dim",
            got: name.to_owned(),
            allowed: format!(
                "a symbol of the model's inputs ({})",
                if symbols.is_empty() { "it has none".to_owned() } else { symbols.join(", ") }
            ),
        });
    }
    for (name, value) in &options.values {
        let Some(k) = out.iter().position(|(n, _)| n == name) else {
            let names: Vec<&str> = out.iter().map(|(n, _)| n.as_str()).collect();
            let allowed = format!("an input of the model ({})", names.join(", "));
            return Err(ImportError::Option { name: "set", got: name.clone(), allowed });
        };
        let (_, shape) = out.remove(k);
        let kind = element_type(graph, name).unwrap_or(0);
        let constant = filled(name, kind, &shape, *value)
            .map_err(|reason| ImportError::Tensor { tensor: name.clone(), reason })?;
        graph.input.retain(|i| i.name != *name);
        graph.initializer.push(constant);
        notes.push(format!("input '{name}' is the constant {value}"));
    }
    Ok(out)
}

/// Most entries of an input that becomes a constant.
const MAX_SET: usize = 1 << 16;

/// A constant of the type, all entries one number.
fn filled(name: &str, kind: i32, shape: &[usize], value: f64) -> Result<TensorProto, String> {
    let count: usize = shape.iter().product();
    if count > MAX_SET {
        return Err(format!("it has {count} entries; at most {MAX_SET} can be set to a number"));
    }
    let (lo, hi) = match kind {
        1 => (f64::from(f32::MIN), f64::from(f32::MAX)),
        2 => (0.0, 255.0),
        3 => (-128.0, 127.0),
        4 => (0.0, 65535.0),
        5 => (-32768.0, 32767.0),
        6 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        // Beyond 2^53 a number is not what was written.
        7 => (-(1i64 << 53) as f64, (1i64 << 53) as f64),
        9 => (0.0, 1.0),
        12 => (0.0, f64::from(u32::MAX)),
        13 => (0.0, (1i64 << 53) as f64),
        _ => return Err(format!("an input of type {} cannot be set to a number", super::check::type_name(kind))),
    };
    if !(lo..=hi).contains(&value) || (kind != 1 && value.fract() != 0.0) {
        let what = super::check::type_name(kind);
        return Err(format!("{value} is no number of type {what}"));
    }
    let whole = value as i64;
    let entry = match kind {
        1 => (value as f32).to_le_bytes().to_vec(),
        2 | 3 | 9 => whole.to_le_bytes()[..1].to_vec(),
        4 | 5 => whole.to_le_bytes()[..2].to_vec(),
        6 | 12 => whole.to_le_bytes()[..4].to_vec(),
        _ => whole.to_le_bytes().to_vec(),
    };
    Ok(TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|d| *d as i64).collect(),
        data_type: kind,
        raw_data: entry.repeat(count),
        ..TensorProto::default()
    })
}

/// The ONNX number of an input's type.
fn element_type(graph: &GraphProto, name: &str) -> Option<i32> {
    let input = graph.input.iter().find(|i| i.name == name)?;
    let type_proto::Value::TensorType(t) = input.r#type.as_ref()?.value.as_ref()?;
    Some(t.elem_type)
}

/// Whether an input holds integers or booleans.
pub(crate) fn is_integral(graph: &GraphProto, name: &str) -> bool {
    matches!(element_type(graph, name), Some(2..=7 | 9 | 12 | 13))
}
