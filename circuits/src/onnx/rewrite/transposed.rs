//! ConvTranspose: a convolution of the tensor with zeros between its entries, by the kernel backwards.

use super::{
    Rule,
    builder::{Builder, Result, int, ints},
    table,
};
use crate::onnx::error::ImportError;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("ConvTranspose", conv_transpose, true)])
}

fn conv_transpose(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, w) = (b.need(0)?, b.need(1)?);
    let (mut shape, kernel) = (b.shape(&x)?, b.shape(&w)?);
    let d = kernel.len().saturating_sub(2);
    let groups = usize::try_from(b.int_or("group", 1)).unwrap_or(0);
    if d == 0 || shape.len() != d + 2 || groups == 0 || shape[1] != kernel[0] || !kernel[0].is_multiple_of(groups) {
        return Err(ImportError::unsupported(format!("a kernel of shape {kernel:?} on shape {shape:?}")));
    }
    let list = |name: &str, default: i64, n: usize| b.ints(name).unwrap_or_else(|| vec![default; n]);
    let (strides, dilations) = (list("strides", 1, d), list("dilations", 1, d));
    let (extra, mut pads) = (list("output_padding", 0, d), list("pads", 0, 2 * d));
    let auto = b.text_or("auto_pad", "NOTSET");
    let mut wanted = b.ints("output_shape").map(|s| s[s.len().saturating_sub(d)..].to_vec());
    if auto.starts_with("SAME") && wanted.is_none() {
        wanted = Some((0..d).map(|k| shape[k + 2] as i64 * strides.get(k).copied().unwrap_or(1)).collect());
    }
    if auto == "VALID" {
        pads = vec![0; 2 * d];
    }
    let sizes =
        [strides.len(), dilations.len(), extra.len(), wanted.as_ref().map_or(d, Vec::len)].iter().all(|n| *n == d);
    if !sizes || pads.len() != 2 * d || strides.iter().chain(&dilations).any(|s| !(1..=1 << 16).contains(s)) {
        return Err(ImportError::unsupported(format!("attributes that do not fit {d} spatial axes")));
    }
    let mut y = x;
    for k in 0..d {
        let (n, taps) = (shape[k + 2] as i64, kernel[k + 2] as i64);
        let reach = (taps - 1) * dilations[k] + 1;
        let whole = strides[k] * (n - 1) + extra[k] + reach;
        if let Some(len) = wanted.as_ref().map(|w| w[k]) {
            let total = whole - len;
            if total < -1 || (total < 0 && auto.starts_with("SAME")) {
                return Err(ImportError::unsupported(format!(
                    "{len} entries along axis {} are more than it makes; where the rest goes is not agreed on: use output_padding",
                    k + 2
                )));
            }
            let small = total.div_euclid(2);
            (pads[k], pads[k + d]) = if auto == "SAME_UPPER" { (small, total - small) } else { (total - small, small) };
        }
        let len = whole - pads[k] - pads[k + d];
        if !(1..=1 << 24).contains(&len) {
            return Err(ImportError::unsupported(format!("a result of {len} entries along axis {}", k + 2)));
        }
        let before = reach - 1 - pads[k];
        let positions = (0..len + reach - 1).map(|p| {
            let at = p - before;
            (at.rem_euclid(strides[k]) == 0 && (0..n).contains(&at.div_euclid(strides[k])))
                .then(|| at.div_euclid(strides[k]) as usize)
        });
        let positions = positions.collect();
        y = super::border::select(b, y, &mut shape, k + 2, positions)?;
    }
    // [C, M/g, k..] to [M, C/g, k..], backwards along each spatial axis.
    let (per_in, per_out) = (kernel[0] / groups, kernel[1]);
    let space = kernel[2..].to_vec();
    let joined = |a: &[usize]| a.iter().chain(&space).copied().collect::<Vec<_>>();
    let mut w = b.reshape(&w, &joined(&[groups, per_in, per_out]));
    let mut perm = vec![0, 2, 1];
    perm.extend(3..3 + d);
    w = b.transpose(&w, &perm);
    let mut turned = joined(&[groups * per_out, per_in]);
    w = b.reshape(&w, &turned.clone());
    for (k, taps) in space.iter().enumerate() {
        let backwards = (0..*taps).rev().map(Some).collect();
        w = super::border::select(b, w, &mut turned, k + 2, backwards)?;
    }
    let mut inputs = vec![y, w];
    inputs.extend(b.input(2));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = vec![ints("dilations", &dilations), int("group", groups as i64)];
    Ok(vec![b.op("Conv", &inputs, attributes)])
}
