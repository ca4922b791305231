//! Operators that onnxruntime's optimizer makes of several: taken apart again.
//!
//! What each computes is onnxruntime's own definition of its operators of `com.microsoft` (docs/ContribOperators.md there).

use super::{
    Rule,
    builder::{Builder, Result, float, int},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::{AttributeProto, NodeProto};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("FusedConv", conv, false),
            ("FusedGemm", gemm, false),
            ("FusedMatMul", matmul, true),
            ("BiasGelu", bias_gelu, false),
            ("FastGelu", fast_gelu, false),
            ("SkipLayerNormalization", skip_layer_norm, true),
            ("SkipSimplifiedLayerNormalization", skip_rms_norm, true),
        ],
    )
}

/// The operator of two operands and a bias in front of the activation.
fn plain(b: &mut Builder<'_>, op: &str) -> Result<String> {
    let mut inputs = vec![b.need(0)?, b.need(1)?];
    inputs.extend(b.input(2));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let of_operator = |a: &&AttributeProto| !a.name.starts_with("activation");
    let attributes = b.node.attribute.iter().filter(of_operator).cloned().collect();
    Ok(b.op(op, &inputs, attributes))
}

/// `y` through the activation that the attributes name.
fn activated(b: &mut Builder<'_>, y: String, parameters: &[f64]) -> Result<Vec<String>> {
    let name = b.text_or("activation", "");
    let parameter = |k: usize, default: f32| parameters.get(k).map_or(default, |v| *v as f32);
    Ok(vec![match name.as_str() {
        "" => y,
        "Relu" | "Sigmoid" | "Tanh" => b.op(&name, &[&y], vec![]),
        "LeakyRelu" => b.op(&name, &[&y], vec![float("alpha", parameter(0, 0.01))]),
        "HardSigmoid" => b.op(&name, &[&y], vec![float("alpha", parameter(0, 0.2)), float("beta", parameter(1, 0.5))]),
        "Clip" => {
            let (low, high) = (b.float(parameter(0, f32::MIN)), b.float(parameter(1, f32::MAX)));
            let y = b.op("Max", &[&y, &low], vec![]);
            b.op("Min", &[&y, &high], vec![])
        }
        other => return Err(ImportError::unsupported(format!("the activation '{other}'"))),
    }])
}

/// A convolution, a tensor added to it, an activation.
fn conv(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let mut y = plain(b, "Conv")?;
    if let Some(z) = b.input(3) {
        y = b.op("Add", &[&y, &z], vec![]);
    }
    let parameters = b.floats("activation_params").unwrap_or_default();
    activated(b, y, &parameters)
}

fn gemm(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let y = plain(b, "Gemm")?;
    let first = b.node.attribute.iter().find(|a| a.name == "activation_alpha").map(|a| f64::from(a.f));
    activated(b, y, &first.into_iter().collect::<Vec<_>>())
}

/// `alpha A B`; of either operand the first axis may come behind the other batch axes, and the last two axes change places.
fn matmul(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let mut operands = Vec::new();
    for (i, exchanged, first) in [(0, "transA", "transBatchA"), (1, "transB", "transBatchB")] {
        let x = b.need(i)?;
        let rank = b.shape(&x)?.len();
        let mut perm: Vec<usize> = (0..rank).collect();
        if rank > 2 && b.int_or(first, 0) != 0 {
            perm[..rank - 1].rotate_left(1);
        }
        if rank > 1 && b.int_or(exchanged, 0) != 0 {
            perm.swap(rank - 2, rank - 1);
        }
        operands.push(if perm.is_sorted() { x } else { b.transpose(&x, &perm) });
    }
    let y = b.op("MatMul", &[&operands[0], &operands[1]], vec![]);
    let alpha = b.float_or("alpha", 1.0);
    if alpha == 1.0 {
        return Ok(vec![y]);
    }
    let alpha = b.float(alpha);
    Ok(vec![b.op("Mul", &[&y, &alpha], vec![])])
}

/// `x / 2 (1 + erf(x / sqrt 2))`.
fn gelu(b: &mut Builder<'_>, x: &str) -> String {
    let (root, one, half) = (b.float(std::f32::consts::FRAC_1_SQRT_2), b.float(1.0), b.float(0.5));
    let e = b.op("Mul", &[x, &root], vec![]);
    let e = b.op("Erf", &[&e], vec![]);
    let e = b.op("Add", &[&e, &one], vec![]);
    let e = b.op("Mul", &[&e, &half], vec![]);
    b.op("Mul", &[x, &e], vec![])
}

fn bias_gelu(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, bias) = (b.need(0)?, b.need(1)?);
    let x = b.op("Add", &[&x, &bias], vec![]);
    Ok(vec![gelu(b, &x)])
}

/// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, with a bias added to `x` first.
fn fast_gelu(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let mut x = b.need(0)?;
    if let Some(bias) = b.input(1) {
        x = b.op("Add", &[&x, &bias], vec![]);
    }
    let (cubic, root) = (b.float(0.044715), b.float((2.0 / std::f32::consts::PI).sqrt()));
    let (one, half) = (b.float(1.0), b.float(0.5));
    let square = b.op("Mul", &[&x, &x], vec![]);
    let inner = b.op("Mul", &[&square, &cubic], vec![]);
    let inner = b.op("Add", &[&inner, &one], vec![]);
    let inner = b.op("Mul", &[&inner, &root], vec![]);
    let inner = b.op("Mul", &[&inner, &x], vec![]);
    let e = b.op("Tanh", &[&inner], vec![]);
    let e = b.op("Add", &[&e, &one], vec![]);
    let e = b.op("Mul", &[&e, &half], vec![]);
    Ok(vec![b.op("Mul", &[&x, &e], vec![])])
}

/// A sum of two or three tensors, normalized over its last axis: the result, and the sum as the fourth output.
fn skip_norm(b: &mut Builder<'_>, op: &str, parameters: &[usize], bias: usize) -> Result<Vec<String>> {
    let (x, skip) = (b.need(0)?, b.need(1)?);
    let rank = b.shape(&x)?.len() as i64;
    let mut sum = b.op("Add", &[&x, &skip], vec![]);
    if let Some(bias) = b.input(bias) {
        sum = b.op("Add", &[&sum, &bias], vec![]);
    }
    let mut inputs = vec![sum.clone()];
    for i in parameters {
        inputs.extend(b.input(*i));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let epsilon = b.float_or("epsilon", 1e-12);
    let y = b.op(op, &inputs, vec![float("epsilon", epsilon), int("axis", rank - 1)]);
    if b.node.output.iter().skip(1).take(2).any(|o| !o.is_empty()) {
        return Err(ImportError::unsupported("its mean and deviation as outputs; export the model without them"));
    }
    Ok(vec![y.clone(), y.clone(), y, sum])
}

fn skip_layer_norm(b: &mut Builder<'_>) -> Result<Vec<String>> {
    skip_norm(b, "LayerNormalization", &[2, 3], 4)
}

fn skip_rms_norm(b: &mut Builder<'_>) -> Result<Vec<String>> {
    skip_norm(b, "SimplifiedLayerNormalization", &[2], 3)
}
