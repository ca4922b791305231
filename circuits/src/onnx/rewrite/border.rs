//! What moves entries along an axis by fixed rules: Pad in its other modes, CenterCropPad, Compress, ReverseSequence,
//! Col2Im, and the affine grid.

use super::{
    Rule, axis,
    builder::{Builder, Result},
    table, whole,
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Remap, Type},
};
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(
        node,
        &[
            ("Pad", pad, true),
            ("CenterCropPad", center, true),
            ("Compress", compress, true),
            ("ReverseSequence", reverse, true),
            ("Col2Im", col2im, true),
            ("AffineGrid", affine_grid, true),
        ],
    )
    .filter(|_| !node.name.ends_with(".kept"))
}

/// Chosen entries of one axis after the other; `None` is a zero.
pub(super) fn select(
    b: &mut Builder<'_>,
    x: String,
    shape: &mut [usize],
    axis: usize,
    positions: Vec<Option<usize>>,
) -> Result<String> {
    if positions.is_empty() {
        return Err(ImportError::unsupported("its result is empty"));
    }
    let remap = Remap::select(axis, positions);
    if remap.is_identity(shape[axis]) {
        return Ok(x);
    }
    shape[axis] = remap.rows.len();
    b.own(Kind::Remap(remap), &[&x], shape, Type::Same)
}

/// tract's own where zeros or another constant go around the tensor, a choice of entries otherwise.
fn pad(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let mut shape = b.shape(&x)?;
    let rank = shape.len();
    let pads = match b.ints("pads") {
        Some(p) => p,
        None => whole(&b.optional(1)?.ok_or_else(|| ImportError::unsupported("it has no pads"))?),
    };
    let value = match b.optional(2)? {
        Some(v) => v.first().copied().unwrap_or(0.0),
        None => f64::from(b.float_or("value", 0.0)),
    };
    let axes = match b.optional(3)? {
        Some(a) => whole(&a).iter().map(|a| axis(*a, rank)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(ImportError::unsupported(format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    let mode = b.text_or("mode", "constant");
    if axes.len() == rank && mode == "constant" && pads.iter().all(|p| *p >= 0) {
        let inputs: Vec<String> = b.node.input.iter().take(3).cloned().collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = b.node.attribute.clone();
        let out = b.op("Pad", &inputs, attributes);
        if let Some(last) = b.nodes.last_mut() {
            last.name.push_str(".kept");
        }
        return Ok(vec![out]);
    }
    let filled = mode == "constant" && value != 0.0;
    if filled && !b.kind(&x)?.is_float() {
        return Err(ImportError::unsupported("padding integers with a constant on some axes, or with negative pads"));
    }
    let mut y = x;
    let mut outside: Vec<(usize, Vec<bool>)> = Vec::new();
    for (k, a) in axes.iter().enumerate() {
        let n = shape[*a] as i64;
        let (before, after) = (pads[k], pads[k + axes.len()]);
        let fits = |p: i64| (-(1 << 24)..=1 << 24).contains(&p);
        if !fits(before) || !fits(after) || n == 0 {
            return Err(ImportError::unsupported(format!("pads of {before} and {after}")));
        }
        // A negative pad cuts; what is left is what the other side mirrors or repeats.
        let (first, left) = ((-before).max(0), n - (-before).max(0) - (-after).max(0));
        if left < 1 {
            return Err(ImportError::unsupported(format!("pads of {before} and {after} on {n} entries")));
        }
        let at = |p: i64| -> Result<Option<i64>> {
            let q = p - first;
            let q = match mode.as_str() {
                "constant" => Some(q).filter(|q| (0..left).contains(q)),
                "edge" => Some(q.clamp(0, left - 1)),
                "wrap" => Some(q.rem_euclid(left)),
                "reflect" if left == 1 => Some(0),
                "reflect" => {
                    let q = q.rem_euclid(2 * (left - 1));
                    Some(q.min(2 * (left - 1) - q))
                }
                other => return Err(ImportError::unsupported(format!("mode '{other}'"))),
            };
            Ok(q.map(|q| q + first))
        };
        let positions = (-before..n + after).map(|p| Ok(at(p)?.map(|p| p as usize))).collect::<Result<Vec<_>>>()?;
        outside.push((*a, positions.iter().map(Option::is_none).collect()));
        y = select(b, y, &mut shape, *a, positions)?;
    }
    if filled {
        let fill = fill(&shape, &outside, value as f32);
        let fill = b.tensor(&shape, &fill);
        y = b.op("Add", &[&y, &fill], vec![]);
    }
    Ok(vec![y])
}

/// A value wherever an index is marked along any of the axes, zero elsewhere.
pub(super) fn fill(shape: &[usize], outside: &[(usize, Vec<bool>)], value: f32) -> Vec<f32> {
    let n: usize = shape.iter().product();
    let entry = |i: usize| {
        let at = |a: usize| i / shape[a + 1..].iter().product::<usize>() % shape[a];
        if outside.iter().any(|(a, mask)| mask[at(*a)]) { value } else { 0.0 }
    };
    (0..n).map(entry).collect()
}

/// The middle of a tensor, or the tensor in the middle of zeros.
fn center(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let mut shape = b.shape(&x)?;
    let rank = shape.len();
    let target = whole(&b.optional(1)?.unwrap_or_default());
    let axes = match b.ints("axes") {
        Some(list) => list.iter().map(|a| axis(*a, rank)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    if axes.len() != target.len() {
        return Err(ImportError::unsupported(format!("{} extents for {} axes", target.len(), axes.len())));
    }
    let mut y = x;
    for (a, len) in axes.iter().zip(&target) {
        let (n, len) = (shape[*a] as i64, *len);
        if !(1..=1 << 24).contains(&len) {
            return Err(ImportError::unsupported(format!("an extent of {len}")));
        }
        let start = if len <= n { (n - len) / 2 } else { -((len - n) / 2) };
        let positions = (start..start + len).map(|p| (0..n).contains(&p).then_some(p as usize)).collect();
        y = select(b, y, &mut shape, *a, positions)?;
    }
    Ok(vec![y])
}

/// The entries for which a constant says yes.
fn compress(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let mut shape = b.shape(&x)?;
    let Some(name) = b.input(1) else { return Err(ImportError::unsupported("it has no condition")) };
    let Some(condition) = b.values(&name) else {
        return Err(ImportError::unsupported(
            "which entries are kept depends on data; leave it to the program that reads the output",
        ));
    };
    let (y, at) = match b.ints_or_int("axis") {
        Some(a) => (x, axis(a, shape.len())?),
        None => {
            shape = vec![shape.iter().product()];
            (b.reshape(&x, &shape.clone()), 0)
        }
    };
    let kept = condition.iter().enumerate().filter(|(i, v)| **v != 0.0 && *i < shape[at]).map(|(i, _)| Some(i));
    let kept = kept.collect();
    Ok(vec![select(b, y, &mut shape, at, kept)?])
}

/// The first entries of each sequence backwards; the lengths are constants.
fn reverse(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let lens = whole(&b.constant(&b.need(1)?)?);
    let (batch, time) = (axis(b.int_or("batch_axis", 1), shape.len())?, axis(b.int_or("time_axis", 0), shape.len())?);
    if batch == time || lens.len() != shape[batch] {
        return Err(ImportError::unsupported(format!("{} lengths for shape {shape:?}", lens.len())));
    }
    // Batch and time in front, as one axis.
    let mut perm = vec![batch, time];
    perm.extend((0..shape.len()).filter(|a| *a != batch && *a != time));
    let moved: Vec<usize> = perm.iter().map(|a| shape[*a]).collect();
    let mut flat = vec![shape[batch] * shape[time]];
    flat.extend(&moved[2..]);
    let steps = shape[time];
    let positions = (0..flat[0]).map(|i| {
        let (row, t) = (i / steps, i % steps);
        let n = usize::try_from(lens[row]).unwrap_or(0).min(steps);
        Some(row * steps + if t < n { n - 1 - t } else { t })
    });
    let positions = positions.collect();
    let y = b.transpose(&x, &perm);
    let y = b.reshape(&y, &flat.clone());
    let y = select(b, y, &mut flat, 0, positions)?;
    let y = b.reshape(&y, &moved);
    let mut back = vec![0; perm.len()];
    perm.iter().enumerate().for_each(|(i, a)| back[*a] = i);
    Ok(vec![b.transpose(&y, &back)])
}

/// Columns back to an image: entries that overlap are added.
fn col2im(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let image: Vec<usize> = b.constant(&b.need(1)?)?.iter().map(|v| *v as usize).collect();
    let block: Vec<usize> = b.constant(&b.need(2)?)?.iter().map(|v| *v as usize).collect();
    let d = image.len();
    let list = |name: &str, default: i64, n: usize| b.ints(name).unwrap_or_else(|| vec![default; n]);
    let (strides, dilations, pads) = (list("strides", 1, d), list("dilations", 1, d), list("pads", 0, 2 * d));
    let patch: usize = block.iter().product();
    let [n, columns, positions] = shape[..] else {
        return Err(ImportError::unsupported(format!("shape {shape:?}; three axes are needed")));
    };
    let sizes = [block.len(), strides.len(), dilations.len()].iter().all(|l| *l == d) && pads.len() == 2 * d;
    let area: usize = image.iter().product();
    if !sizes || patch == 0 || d == 0 || columns % patch != 0 || area == 0 || area > 1 << 24 || strides.contains(&0) {
        return Err(ImportError::unsupported(format!("blocks of {block:?} on shape {shape:?}")));
    }
    let mut counts = Vec::new();
    for k in 0..d {
        let reach = dilations[k] * (block[k] as i64 - 1) + 1;
        let room = image[k] as i64 + pads[k] + pads[k + d] - reach;
        counts.push((room / strides[k] + 1).max(0) as usize);
    }
    if counts.iter().product::<usize>() != positions {
        return Err(ImportError::unsupported(format!("{positions} columns, expected {counts:?}")));
    }
    let mut rows: Vec<Vec<(u32, f64)>> = vec![vec![]; area];
    for p in 0..patch {
        for l in 0..positions {
            let (mut rest_p, mut rest_l, mut target, mut unit) = (p, l, Some(0usize), 1);
            for k in (0..d).rev() {
                let (i, o) = (rest_p % block[k], rest_l % counts[k]);
                (rest_p, rest_l) = (rest_p / block[k], rest_l / counts[k]);
                let at = o as i64 * strides[k] + i as i64 * dilations[k] - pads[k];
                let inside = usize::try_from(at).ok().filter(|a| *a < image[k]);
                target = target.zip(inside).map(|(t, a)| t + a * unit);
                unit *= image[k];
            }
            if let Some(t) = target {
                rows[t].push(((p * positions + l) as u32, 1.0));
            }
        }
    }
    let channels = columns / patch;
    let y = b.reshape(&x, &[n, channels, patch * positions]);
    let y = b.own(Kind::Remap(Remap { axis: 2, rows }), &[&y], &[n, channels, area], Type::Same)?;
    let mut out = vec![n, channels];
    out.extend(&image);
    Ok(vec![b.reshape(&y, &out)])
}

/// Fixed positions times a transformation that is data.
fn affine_grid(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let theta = b.need(0)?;
    let size: Vec<usize> = b.constant(&b.need(1)?)?.iter().map(|v| *v as usize).collect();
    let corners = b.int_or("align_corners", 0) != 0;
    let (n, space) = match size.as_slice() {
        [n, _, rest @ ..] if matches!(rest.len(), 2 | 3) => (*n, rest),
        _ => return Err(ImportError::unsupported(format!("a grid of shape {size:?}"))),
    };
    let d = space.len();
    let area: usize = space.iter().product();
    if area == 0 || area > 1 << 24 {
        return Err(ImportError::unsupported(format!("a grid of shape {size:?}")));
    }
    let mut base = Vec::with_capacity(area * (d + 1));
    for i in 0..area {
        let mut point = Vec::new();
        let mut rest = i;
        for extent in space.iter().rev() {
            let (k, m) = ((rest % extent) as f32, *extent as f32);
            rest /= extent;
            point.push(if !corners {
                (2.0 * k + 1.0) / m - 1.0
            } else if *extent == 1 {
                -1.0
            } else {
                2.0 * k / (m - 1.0) - 1.0
            });
        }
        // The last axis comes first: x, y, z, then one.
        base.extend(point);
        base.push(1.0);
    }
    let base = b.tensor(&[1, area, d + 1], &base);
    let across = b.transpose(&theta, &[0, 2, 1]);
    let grid = b.op("MatMul", &[&base, &across], vec![]);
    let mut out = vec![n];
    out.extend(space);
    out.push(d);
    Ok(vec![b.reshape(&grid, &out)])
}
