//! Pooling by a power mean: LpPool and GlobalLpPool; local response normalization.

use super::{
    Rule,
    builder::{Builder, Result, int, ints},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("LpPool", lp_pool, true), ("GlobalLpPool", global_lp_pool, true), ("LRN", lrn, true)])
}

/// `|x|^p`.
fn power(b: &mut Builder<'_>, x: &str, p: f32) -> String {
    let a = b.op("Abs", &[x], vec![]);
    if p == 1.0 {
        return a;
    }
    let p = b.float(p);
    b.op("Pow", &[&a, &p], vec![])
}

/// `s^(1/p)` of a sum of powers.
fn root(b: &mut Builder<'_>, s: &str, p: f32) -> String {
    if p == 1.0 {
        return s.to_owned();
    }
    if p == 2.0 {
        return b.op("Sqrt", &[s], vec![]);
    }
    let q = b.float(1.0 / p);
    b.op("Pow", &[s, &q], vec![])
}

fn global_lp_pool(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let rank = b.shape(&x)?.len() as i64;
    let p = b.int_or("p", 2) as f32;
    let powers = power(b, &x, p);
    let sum = b.reduce("ReduceSum", &powers, &(2..rank).collect::<Vec<_>>());
    Ok(vec![root(b, &sum, p)])
}

/// The sum of powers is the mean, padding included, times the size of the window.
fn lp_pool(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let kernel = b.ints("kernel_shape").ok_or_else(|| ImportError::unsupported("it has no kernel_shape"))?;
    let spatial = kernel.len();
    if shape.len() != spatial + 2 {
        return Err(ImportError::unsupported(format!("a window of {spatial} axes on shape {shape:?}")));
    }
    let strides = b.ints("strides").unwrap_or_else(|| vec![1; spatial]);
    let dilations = b.ints("dilations").unwrap_or_else(|| vec![1; spatial]);
    let mut pads = b.ints("pads").unwrap_or_else(|| vec![0; 2 * spatial]);
    let auto = b.text_or("auto_pad", "NOTSET");
    if auto.starts_with("SAME") {
        for d in 0..spatial {
            let extent = shape[d + 2] as i64;
            let reach = (kernel[d] - 1) * dilations[d] + 1;
            let total = (((extent + strides[d] - 1) / strides[d] - 1) * strides[d] + reach - extent).max(0);
            let small = total / 2;
            (pads[d], pads[d + spatial]) =
                if auto == "SAME_UPPER" { (small, total - small) } else { (total - small, small) };
        }
    }
    if b.int_or("ceil_mode", 0) != 0 {
        return Err(ImportError::unsupported("ceil_mode of a power mean is not supported; pad the tensor instead"));
    }
    let p = b.int_or("p", 2) as f32;
    let powers = power(b, &x, p);
    let mean = b.op(
        "AveragePool",
        &[&powers],
        vec![
            ints("kernel_shape", &kernel),
            ints("strides", &strides),
            ints("dilations", &dilations),
            ints("pads", &pads),
            int("count_include_pad", 1),
        ],
    );
    let size = b.float(kernel.iter().product::<i64>() as f32);
    let sum = b.op("Mul", &[&mean, &size], vec![]);
    Ok(vec![root(b, &sum, p)])
}

/// `x / (bias + alpha/size sum(x^2))^beta`, the sum over neighbouring channels.
fn lrn(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    if shape.len() < 3 {
        return Err(ImportError::unsupported(format!("shape {shape:?}; at least three axes are needed")));
    }
    let size = b.int_or("size", 1);
    let (alpha, beta, bias) = (b.float_or("alpha", 1e-4), b.float_or("beta", 0.75), b.float_or("bias", 1.0));
    let square = b.op("Mul", &[&x, &x], vec![]);
    let rest: usize = shape[2..].iter().product();
    let flat = b.reshape(&square, &[shape[0], 1, shape[1], rest]);
    let before = (size - 1) / 2;
    let mean = b.op(
        "AveragePool",
        &[&flat],
        vec![
            ints("kernel_shape", &[size, 1]),
            ints("pads", &[before, 0, size - 1 - before, 0]),
            ints("strides", &[1, 1]),
            int("count_include_pad", 1),
        ],
    );
    let mean = b.reshape(&mean, &shape);
    let (alpha, bias, beta) = (b.float(alpha), b.float(bias), b.float(-beta));
    let e = b.op("Mul", &[&mean, &alpha], vec![]);
    let e = b.op("Add", &[&e, &bias], vec![]);
    let e = b.op("Pow", &[&e, &beta], vec![]);
    Ok(vec![b.op("Mul", &[&x, &e], vec![])])
}
