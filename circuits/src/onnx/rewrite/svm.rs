//! SVMRegressor: kernels of the row with every support vector, then their weighted sum.

use super::{
    Rule,
    builder::{Builder, Result},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("SVMRegressor", regressor, true)])
}

fn regressor(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let [_, width] = shape[..] else {
        return Err(ImportError::unsupported(format!("features of shape {shape:?}; rows and columns are needed")));
    };
    let x = if b.kind(&x)?.is_float() { x } else { b.cast(&x, 1) };
    let list = |name: &str| b.floats(name).unwrap_or_default().iter().map(|v| *v as f32).collect::<Vec<f32>>();
    let (coefficients, vectors, rho) = (list("coefficients"), list("support_vectors"), list("rho"));
    let parameters = list("kernel_params");
    let supports = usize::try_from(b.int_or("n_supports", 0)).unwrap_or(0);
    if b.text_or("post_transform", "NONE") != "NONE" {
        return Err(ImportError::unsupported("a post_transform; the plain value is supported"));
    }
    let fits = if supports == 0 {
        coefficients.len() == width
    } else {
        coefficients.len() == supports && vectors.len() == supports * width
    };
    if !fits || rho.len() != 1 {
        return Err(ImportError::unsupported(format!(
            "{} coefficients and {} entries of support vectors for {supports} vectors of {width} features",
            coefficients.len(),
            vectors.len()
        )));
    }
    let features = if supports == 0 { x } else { kernel(b, &x, width, supports, &vectors, &parameters)? };
    let coefficients = b.tensor(&[coefficients.len(), 1], &coefficients);
    let sum = b.op("MatMul", &[&features, &coefficients], vec![]);
    let rho = b.float(rho[0]);
    let y = b.op("Add", &[&sum, &rho], vec![]);
    if b.int_or("one_class", 0) == 0 {
        return Ok(vec![y]);
    }
    let zero = b.float(0.0);
    let inside = b.op("Greater", &[&y, &zero], vec![]);
    let (one, other) = (b.float(1.0), b.float(-1.0));
    Ok(vec![b.op("Where", &[&inside, &one, &other], vec![])])
}

/// The kernel of each row with each support vector, `[rows, supports]`.
fn kernel(
    b: &mut Builder<'_>,
    x: &str,
    width: usize,
    supports: usize,
    vectors: &[f32],
    parameters: &[f32],
) -> Result<String> {
    let parameter = |k: usize, default: f32| parameters.get(k).copied().unwrap_or(default);
    let (gamma, offset, degree) = (parameter(0, 0.0), parameter(1, 0.0), parameter(2, 0.0));
    let kind = b.text_or("kernel_type", "LINEAR");
    let factor = match kind.as_str() {
        "LINEAR" => 1.0,
        "POLY" | "SIGMOID" => gamma,
        "RBF" => 2.0 * gamma,
        other => return Err(ImportError::unsupported(format!("kernel '{other}'"))),
    };
    let turned: Vec<f32> =
        (0..width * supports).map(|i| factor * vectors[i % supports * width + i / supports]).collect();
    let turned = b.tensor(&[width, supports], &turned);
    let product = b.op("MatMul", &[x, &turned], vec![]);
    let shifted = |b: &mut Builder<'_>, x: &str, v: f32| {
        let v = b.float(v);
        b.op("Add", &[x, &v], vec![])
    };
    Ok(match kind.as_str() {
        "LINEAR" => product,
        "POLY" => {
            let sum = shifted(b, &product, offset);
            let degree = b.float(degree);
            b.op("Pow", &[&sum, &degree], vec![])
        }
        "SIGMOID" => {
            let sum = shifted(b, &product, offset);
            b.op("Tanh", &[&sum], vec![])
        }
        _ => {
            // -gamma |x - v|^2
            let squares = b.op("Mul", &[x, x], vec![]);
            let squares = b.reduce("ReduceSum", &squares, &[1]);
            let scale = b.float(-gamma);
            let squares = b.op("Mul", &[&squares, &scale], vec![]);
            let own = |v: &[f32]| -gamma * v.iter().map(|v| v * v).sum::<f32>();
            let own: Vec<f32> = vectors.chunks(width).map(own).collect();
            let own = b.tensor(&[1, supports], &own);
            let sum = b.op("Add", &[&product, &own], vec![]);
            let sum = b.op("Add", &[&sum, &squares], vec![]);
            b.op("Exp", &[&sum], vec![])
        }
    })
}
