//! What `ai.onnx.ml` does to columns before a model: LabelEncoder and OneHotEncoder of integers, Imputer, FeatureVectorizer.

use super::{
    Rule,
    builder::{Builder, Result, int},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("LabelEncoder", label_encoder, true),
            ("OneHotEncoder", one_hot, true),
            ("Imputer", imputer, true),
            ("FeatureVectorizer", vectorizer, true),
        ],
    )
}

/// Most labels or categories: each is a step of one table.
const MAX_LABELS: usize = 1 << 10;

/// The first input, of integers.
fn integers(b: &mut Builder<'_>) -> Result<String> {
    let x = b.need(0)?;
    if b.kind(&x)?.is_float() {
        return Err(ImportError::unsupported(
            "floats as keys: equality is lost in rounding; cast the column to integers",
        ));
    }
    Ok(b.cast(&x, 7))
}

fn whole(b: &mut Builder<'_>, v: i64) -> String {
    let v = b.vector(&[v]);
    b.reshape(&v, &[])
}

/// Integer keys to integers or floats: one table.
fn label_encoder(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let keys =
        match b.ints("keys_int64s") {
            Some(k) => k,
            None => super::whole(&b.numbers("keys_tensor").ok_or_else(|| {
                ImportError::unsupported("keys that are no integers; texts are read before the proof")
            })?),
        };
    let x = integers(b)?;
    let given = |b: &Builder<'_>, name: &str| b.ints(name).map(|v| v.iter().map(|v| *v as f64).collect::<Vec<_>>());
    let (values, float, default) = if let Some(v) = given(b, "values_int64s") {
        (v, false, b.int_or("default_int64", -1) as f64)
    } else if let Some(v) = b.floats("values_floats") {
        (v, true, f64::from(b.float_or("default_float", 0.0)))
    } else if let Some(v) = b.numbers("values_tensor") {
        let default = b.numbers("default_tensor").and_then(|d| d.first().copied());
        let float = b.tensor_type("values_tensor") == Some(1);
        (v, float, default.unwrap_or(if float { 0.0 } else { -1.0 }))
    } else {
        return Err(ImportError::unsupported("values that are no numbers; texts are written after the proof"));
    };
    if keys.len() != values.len() || keys.len() > MAX_LABELS {
        let what = format!("{} keys for {} values; at most {MAX_LABELS} are possible", keys.len(), values.len());
        return Err(ImportError::unsupported(what));
    }
    let number = |b: &mut Builder<'_>, v: f64| if float { b.float(v as f32) } else { whole(b, v as i64) };
    let mut y = number(b, default);
    // The first of equal keys counts.
    for (key, value) in keys.iter().zip(&values).rev() {
        let (key, value) = (whole(b, *key), number(b, *value));
        let hit = b.op("Equal", &[&x, &key], vec![]);
        y = b.op("Where", &[&hit, &value, &y], vec![]);
    }
    Ok(vec![y])
}

/// A one in the place of an integer category; an unknown one has none, also where the standard asks for an error (zeros = 0), which
/// is for the program that writes the inputs to raise.
fn one_hot(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let Some(categories) = b.ints("cats_int64s").filter(|c| !c.is_empty()) else {
        return Err(ImportError::unsupported("categories that are no integers; texts are read before the proof"));
    };
    if categories.len() > MAX_LABELS {
        let what = format!("{} categories; at most {MAX_LABELS} are possible", categories.len());
        return Err(ImportError::unsupported(what));
    }
    let shape = b.shape(&b.need(0)?)?;
    let x = integers(b)?;
    let x = b.unsqueeze(&x, shape.len() as i64);
    let categories = b.vector(&categories);
    let hit = b.op("Equal", &[&x, &categories], vec![]);
    Ok(vec![b.cast(&hit, 1)])
}

/// Integers in place of a marker. A proven float is always finite, so there is nothing to put in place of a NaN or an infinity.
fn imputer(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    if b.kind(&x)?.is_float() {
        if !b.float_or("replaced_value_float", 0.0).is_finite() {
            return Ok(vec![x]);
        }
        return Err(ImportError::unsupported("a float as the marker of missing values: equality is lost in rounding"));
    }
    let shape = b.shape(&x)?;
    let (Some(new), width) = (b.ints("imputed_value_int64s"), shape.last().copied().unwrap_or(1)) else {
        return Err(ImportError::unsupported("it names no integers to put in place of missing ones"));
    };
    if new.len() != 1 && new.len() != width {
        return Err(ImportError::unsupported(format!("{} values for {width} columns", new.len())));
    }
    let marker = b.int_or("replaced_value_int64", 0);
    let marker = whole(b, marker);
    let new = b.vector(&new);
    let hit = b.op("Equal", &[&x, &marker], vec![]);
    Ok(vec![b.op("Where", &[&hit, &new, &x], vec![])])
}

/// Columns of several tensors side by side, as floats.
fn vectorizer(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let widths = b.ints("inputdimensions").unwrap_or_default();
    let mut parts = Vec::new();
    for i in 0..b.node.input.len() {
        let x = b.need(i)?;
        let shape = b.shape(&x)?;
        let (rows, width) = match shape[..] {
            [rows, width] => (rows, width),
            [rows] => (rows, 1),
            _ => return Err(ImportError::unsupported(format!("features of shape {shape:?}"))),
        };
        if widths.get(i).is_some_and(|w| *w != width as i64) {
            return Err(ImportError::unsupported(format!("{width} columns where inputdimensions names {}", widths[i])));
        }
        let x = if b.kind(&x)?.is_float() { x } else { b.cast(&x, 1) };
        parts.push(if shape.len() == 2 { x } else { b.reshape(&x, &[rows, width]) });
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Ok(vec![b.op("Concat", &parts, vec![int("axis", 1)])])
}
