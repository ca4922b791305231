//! Losses for classes: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
//!
//! A class chooses its entry by a comparison with all classes; what is ignored chooses none.

use super::{
    Rule,
    builder::{Builder, Result},
    softmax, table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("NegativeLogLikelihoodLoss", likelihood, true), ("SoftmaxCrossEntropyLoss", entropy, true)])
}

fn likelihood(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    Ok(vec![chosen(b, &x, &shape)?])
}

fn entropy(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    if shape.len() < 2 {
        return Err(ImportError::unsupported(format!("scores of shape {shape:?}")));
    }
    let logs = softmax::log_normalize(b, &x, &[1]);
    Ok(vec![chosen(b, &logs, &shape)?, logs])
}

/// `-w[c] x[n, c, ..]` for the classes `c` of input 1, reduced. Input 2 has a weight for each class.
fn chosen(b: &mut Builder<'_>, x: &str, shape: &[usize]) -> Result<String> {
    let &[n, classes, ref rest @ ..] = shape else {
        return Err(ImportError::unsupported(format!("scores of shape {shape:?}")));
    };
    let target = b.need(1)?;
    let target = b.cast(&target, 7);
    let with_axis: Vec<usize> = [&[n, 1], rest].concat();
    let target = b.reshape(&target, &with_axis);
    let mut along = vec![1; shape.len()];
    along[1] = classes;
    let numbers = b.vector(&(0..classes as i64).collect::<Vec<_>>());
    let numbers = b.reshape(&numbers, &along);
    let hit = b.op("Equal", &[&target, &numbers], vec![]);
    let mut hit = b.cast(&hit, 1);
    let ignored = b.ints_or_int("ignore_index");
    let mut even = true;
    if let Some(weights) = b.input(2) {
        let weights = b.reshape(&weights, &along);
        hit = b.op("Mul", &[&hit, &weights], vec![]);
        even = false;
    }
    if let Some(c) = ignored.and_then(|i| usize::try_from(i).ok()).filter(|c| *c < classes) {
        let kept: Vec<f32> = (0..classes).map(|k| if k == c { 0.0 } else { 1.0 }).collect();
        let kept = b.tensor(&along, &kept);
        hit = b.op("Mul", &[&hit, &kept], vec![]);
    }
    even &= ignored.is_none();
    let terms = b.op("Mul", &[&hit, x], vec![]);
    let sum = b.reduce("ReduceSum", &terms, &[1]);
    let sum = b.op("Neg", &[&sum], vec![]);
    let mut out_shape = vec![n];
    out_shape.extend(rest);
    let each = b.reshape(&sum, &out_shape);
    let all: Vec<i64> = (0..out_shape.len() as i64).collect();
    let total = |b: &mut Builder<'_>, x: &str| {
        let sum = b.reduce("ReduceSum", x, &all);
        b.reshape(&sum, &[])
    };
    match b.text_or("reduction", "mean").as_str() {
        "none" => Ok(each),
        "sum" => Ok(total(b, &each)),
        "mean" => {
            let sum = total(b, &each);
            let count = if even {
                b.float(out_shape.iter().product::<usize>() as f32)
            } else {
                let of_all: Vec<i64> = (0..shape.len() as i64).collect();
                let weights = b.reduce("ReduceSum", &hit, &of_all);
                b.reshape(&weights, &[])
            };
            Ok(b.op("Div", &[&sum, &count], vec![]))
        }
        other => Err(ImportError::unsupported(format!("reduction '{other}'"))),
    }
}
