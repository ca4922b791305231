//! The other operators of `ai.onnx.ml`: linear models and what goes around them.

use super::{
    Rule,
    builder::{Builder, Result, int},
    table,
    trees::{beside, labels, post},
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Label, Type},
};
use tract_onnx::{pb::NodeProto, prelude::DatumType};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("ZipMap", zip_map, false),
            ("Scaler", scaler, true),
            ("Normalizer", normalizer, true),
            ("Binarizer", binarizer, true),
            ("ArrayFeatureExtractor", extract, true),
            ("LinearRegressor", linear_regressor, true),
            ("LinearClassifier", linear_classifier, true),
        ],
    )
}

/// The tensor of which a ZipMap makes a list of dictionaries: the same numbers.
fn zip_map(b: &mut Builder<'_>) -> Result<Vec<String>> {
    Ok(vec![b.need(0)?])
}

/// The input as floats, with its extents.
fn real(b: &mut Builder<'_>) -> Result<(String, Vec<usize>)> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let x = if b.kind(&x)?.is_float() { x } else { b.cast(&x, 1) };
    Ok((x, shape))
}

fn list(b: &Builder<'_>, name: &str) -> Vec<f32> {
    b.floats(name).unwrap_or_default().iter().map(|v| *v as f32).collect()
}

/// `(x - offset) scale` for each column.
fn scaler(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (mut y, shape) = real(b)?;
    let width = shape.last().copied().unwrap_or(1);
    for (name, op) in [("offset", "Sub"), ("scale", "Mul")] {
        let values = list(b, name);
        if values.len() != width && values.len() > 1 {
            return Err(ImportError::unsupported(format!("{} values of {name} for {width} columns", values.len())));
        }
        if values.iter().any(|v| *v != if op == "Sub" { 0.0 } else { 1.0 }) {
            let mut along = vec![1; shape.len()];
            if let Some(last) = along.last_mut() {
                *last = values.len();
            }
            let values = b.tensor(&along, &values);
            y = b.op(op, &[&y, &values], vec![]);
        }
    }
    Ok(vec![y])
}

fn normalizer(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, shape) = real(b)?;
    let axis = [shape.len() as i64 - 1];
    let norm = match b.text_or("norm", "MAX").as_str() {
        "L1" => b.reduce("ReduceL1", &x, &axis),
        "L2" => b.reduce("ReduceL2", &x, &axis),
        other => return Err(ImportError::unsupported(format!("norm '{other}'; L1 and L2 are supported"))),
    };
    Ok(vec![b.op("Div", &[&x, &norm], vec![])])
}

fn binarizer(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, _) = real(b)?;
    let threshold = b.float_or("threshold", 0.0);
    let threshold = b.float(threshold);
    let above = b.op("Greater", &[&x, &threshold], vec![]);
    Ok(vec![b.cast(&above, 1)])
}

/// Columns by their positions. Of a table of texts, the position is what a proof can show.
fn extract(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, at) = (b.need(0)?, b.need(1)?);
    let shape = b.shape(&x)?;
    let count: usize = b.shape(&at)?.iter().product();
    let at = match b.values(&at) {
        Some(places) => b.vector(&super::whole(&places)),
        None => {
            let places = b.cast(&at, 7);
            b.reshape(&places, &[count])
        }
    };
    let rows: usize = shape.iter().rev().skip(1).product();
    let y = if b.kind(&x)? == DatumType::String {
        if rows != 1 {
            return Err(ImportError::unsupported(format!("texts of shape {shape:?}; one row is supported")));
        }
        at
    } else {
        b.op("Gather", &[&x, &at], vec![int("axis", shape.len() as i64 - 1)])
    };
    let mut out = shape;
    if out.len() < 2 {
        out = vec![1, count];
    } else if let Some(last) = out.last_mut() {
        *last = count;
    }
    Ok(vec![b.reshape(&y, &out)])
}

/// `x coefficients^T + intercepts`, and the number of rows and columns.
fn linear(b: &mut Builder<'_>, columns: Option<usize>) -> Result<(String, usize, usize)> {
    let (x, shape) = real(b)?;
    let (n, width) = match shape[..] {
        [n, width] => (n, width),
        [width] => (1, width),
        _ => return Err(ImportError::unsupported(format!("features of shape {shape:?}"))),
    };
    let x = if shape.len() == 2 { x } else { b.reshape(&x, &[n, width]) };
    let coefficients = list(b, "coefficients");
    let m = columns.unwrap_or(coefficients.len() / width.max(1));
    if m == 0 || coefficients.len() != m * width {
        return Err(ImportError::unsupported(format!("{} coefficients for {width} features", coefficients.len())));
    }
    let turned: Vec<f32> = (0..width * m).map(|i| coefficients[i % m * width + i / m]).collect();
    let w = b.tensor(&[width, m], &turned);
    let mut y = b.op("MatMul", &[&x, &w], vec![]);
    let intercepts = list(b, "intercepts");
    if intercepts.iter().any(|v| *v != 0.0) {
        if intercepts.len() != m {
            return Err(ImportError::unsupported(format!("{} intercepts for {m} columns", intercepts.len())));
        }
        let intercepts = b.tensor(&[1, m], &intercepts);
        y = b.op("Add", &[&y, &intercepts], vec![]);
    }
    Ok((y, n, m))
}

fn linear_regressor(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let targets = usize::try_from(b.int_or("targets", 1)).ok();
    let (y, _, _) = linear(b, targets)?;
    Ok(vec![post(b, y)?])
}

fn linear_classifier(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let labels = labels(b, "classlabels_ints");
    let (y, n, m) = linear(b, None)?;
    if m == labels.len() && m > 1 {
        let label = b.own(Kind::Label(Label::Largest(labels)), &[&y], &[n], Type::Integer)?;
        return Ok(vec![label, post(b, y)?]);
    }
    if m != 1 || labels.len() != 2 {
        return Err(ImportError::unsupported(format!("{m} columns of coefficients for {} classes", labels.len())));
    }
    let kind = Kind::Label(Label::Above { column: 0, threshold: 0.0, labels: [labels[0], labels[1]] });
    let label = b.own(kind, &[&y], &[n], Type::Integer)?;
    let other = b.op("Neg", &[&y], vec![]);
    let both = beside(b, &[&other, &y]);
    Ok(vec![label, post(b, both)?])
}
