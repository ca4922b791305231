//! Resize and Upsample: one sparse matrix an axis.
//!
//! Where a target sample lies between the source's, how many neighbours it weighs and what stands in for those outside is the
//! ONNX standard's own definition (operator Resize, version 19); all of it depends on extents alone.

use super::{
    Rule, axis,
    builder::{Builder, Result},
    table,
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Remap, Type},
};
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("Resize", resize, true), ("Upsample", upsample, true)])
}

/// How an axis is resized.
struct Plan<'p> {
    mode: &'p str,
    nearest: &'p str,
    coordinates: &'p str,
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
    extent: usize,
    len: usize,
    scale: f64,
    /// Start and end of the region of interest.
    region: (f64, f64),
}

/// The older name, with asymmetric coordinates and rounding down.
fn upsample(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let scales = match b.optional(1)? {
        Some(s) => s,
        None => b.floats("scales").ok_or_else(|| ImportError::unsupported("it has no scales"))?,
    };
    let mode = b.text_or("mode", "nearest");
    let mode = if matches!(mode.as_str(), "bilinear" | "trilinear") { "linear".to_owned() } else { mode };
    let mut y = x;
    let mut now = shape.clone();
    for (a, scale) in scales.iter().enumerate().filter(|(a, _)| *a < shape.len()) {
        let len = (shape[a] as f64 * scale).floor() as usize;
        let plan = Plan {
            mode: &mode,
            nearest: "floor",
            coordinates: "asymmetric",
            cubic: -0.75,
            exclude_outside: false,
            antialias: false,
            extent: shape[a],
            len,
            scale: *scale,
            region: (0.0, 1.0),
        };
        y = along(b, y, &mut now, a, &plan)?.0;
    }
    Ok(vec![y])
}

fn resize(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let rank = shape.len();
    let axes = match b.ints("axes") {
        Some(list) => list.iter().map(|a| axis(*a, rank)).collect::<Result<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    let first = b.opset < 11;
    let filled = |v: Option<Vec<f64>>| v.filter(|v| !v.is_empty());
    let (roi, scales, sizes) = if first {
        (None, filled(b.optional(1)?), None)
    } else {
        (filled(b.optional(1)?), filled(b.optional(2)?), filled(b.optional(3)?))
    };
    let wrong = |what: &str| ImportError::unsupported(format!("its {what} do not fit {} axes", axes.len()));
    if scales.as_ref().or(sizes.as_ref()).is_none_or(|v| v.len() != axes.len()) {
        return Err(wrong("scales or sizes"));
    }
    let extents: Vec<f64> = axes.iter().map(|a| shape[*a] as f64).collect();
    let (scales, lens): (Vec<f64>, Vec<f64>) = match (scales, sizes) {
        (Some(s), _) => (s.clone(), s.iter().zip(&extents).map(|(s, n)| (s * n).floor()).collect()),
        (None, sizes) => {
            let sizes = sizes.unwrap_or_default();
            let each: Vec<f64> = sizes.iter().zip(&extents).map(|(s, n)| s / n).collect();
            let one = match b.text_or("keep_aspect_ratio_policy", "stretch").as_str() {
                "stretch" => None,
                "not_larger" => Some(each.iter().copied().fold(f64::INFINITY, f64::min)),
                "not_smaller" => Some(each.iter().copied().fold(0.0, f64::max)),
                other => return Err(ImportError::unsupported(format!("keep_aspect_ratio_policy '{other}'"))),
            };
            match one {
                Some(s) => (vec![s; each.len()], extents.iter().map(|n| (s * n + 0.5).floor()).collect()),
                None => (each, sizes),
            }
        }
    };
    let coordinates = b.text_or("coordinate_transformation_mode", if first { "asymmetric" } else { "half_pixel" });
    let (mode, nearest) =
        (b.text_or("mode", "nearest"), b.text_or("nearest_mode", if first { "floor" } else { "round_prefer_floor" }));
    if coordinates == "tf_crop_and_resize" && roi.as_ref().is_none_or(|r| r.len() != 2 * axes.len()) {
        return Err(wrong("regions of interest"));
    }
    let mut y = x;
    let mut now = shape.clone();
    // For each axis, the entries that lie outside of the region.
    let mut outside: Vec<(usize, Vec<bool>)> = Vec::new();
    for (k, a) in axes.iter().enumerate() {
        let region = match &roi {
            Some(r) if coordinates == "tf_crop_and_resize" => (r[k], r[k + axes.len()]),
            _ => (0.0, 1.0),
        };
        let usable = lens[k] >= 1.0 && lens[k] <= f64::from(1 << 24) && scales[k] > 0.0;
        if !usable {
            return Err(ImportError::unsupported(format!("a result of {} entries along axis {a}", lens[k])));
        }
        let plan = Plan {
            mode: &mode,
            nearest: &nearest,
            coordinates: &coordinates,
            cubic: f64::from(b.float_or("cubic_coeff_a", -0.75)),
            exclude_outside: b.int_or("exclude_outside", 0) != 0,
            antialias: b.int_or("antialias", 0) != 0,
            extent: shape[*a],
            len: lens[k] as usize,
            scale: scales[k],
            region,
        };
        let (next, mask) = along(b, y, &mut now, *a, &plan)?;
        y = next;
        if mask.contains(&true) {
            outside.push((*a, mask));
        }
    }
    let extra = b.float_or("extrapolation_value", 0.0);
    if extra != 0.0 && !outside.is_empty() {
        let fill = super::border::fill(&now, &outside, extra);
        let fill = b.tensor(&now, &fill);
        y = b.op("Add", &[&y, &fill], vec![]);
    }
    Ok(vec![y])
}

/// Resizes one axis; also which entries lie outside of the region of interest.
fn along(
    b: &mut Builder<'_>,
    x: String,
    now: &mut [usize],
    axis: usize,
    plan: &Plan<'_>,
) -> Result<(String, Vec<bool>)> {
    if plan.len == plan.extent && (plan.scale - 1.0).abs() < 1e-12 && plan.region == (0.0, 1.0) {
        return Ok((x, vec![]));
    }
    if !(1..=1 << 24).contains(&plan.len) {
        return Err(ImportError::unsupported(format!("a result of {} entries along axis {axis}", plan.len)));
    }
    let mut rows = Vec::with_capacity(plan.len);
    let mut mask = Vec::with_capacity(plan.len);
    for i in 0..plan.len {
        let at = plan.position(i)?;
        let out = plan.coordinates == "tf_crop_and_resize" && !(0.0..=(plan.extent - 1) as f64).contains(&at);
        mask.push(out);
        rows.push(if out { vec![] } else { plan.weights(at)? });
    }
    now[axis] = plan.len;
    let remap = Remap { axis, rows };
    if remap.is_identity(plan.extent) {
        return Ok((x, mask));
    }
    Ok((b.own(Kind::Remap(remap), &[&x], now, Type::Same)?, mask))
}

impl Plan<'_> {
    /// Where target sample `i` lies among the source's.
    fn position(&self, i: usize) -> Result<f64> {
        let (x, n) = (i as f64, self.extent as f64);
        let resized = self.scale * n;
        let len = self.len as f64;
        Ok(match self.coordinates {
            "half_pixel" => (x + 0.5) / self.scale - 0.5,
            "half_pixel_symmetric" => n / 2.0 * (1.0 - len / resized) + (x + 0.5) / self.scale - 0.5,
            "pytorch_half_pixel" if self.len == 1 => 0.0,
            "pytorch_half_pixel" => (x + 0.5) / self.scale - 0.5,
            "tf_half_pixel_for_nn" => (x + 0.5) / self.scale,
            "align_corners" if self.len == 1 => 0.0,
            "align_corners" => x * (n - 1.0) / (resized - 1.0),
            "asymmetric" => x / self.scale,
            "tf_crop_and_resize" => {
                let (start, end) = self.region;
                if self.len == 1 {
                    (start + end) * (n - 1.0) / 2.0
                } else {
                    start * (n - 1.0) + x * (end - start) * (n - 1.0) / (len - 1.0)
                }
            }
            other => return Err(ImportError::unsupported(format!("coordinate_transformation_mode '{other}'"))),
        })
    }

    /// The source samples that make one at a position, with their factors.
    fn weights(&self, at: f64) -> Result<Vec<(u32, f64)>> {
        // The extents are exact; what is off an integer by rounding alone is that integer.
        let at = if (at - at.round()).abs() < 1e-9 { at.round() } else { at };
        let (floor, ratio) = (at.floor(), at - at.floor());
        let shrink = if self.antialias { self.scale.min(1.0) } else { 1.0 };
        let a = self.cubic;
        let tent = |d: f64| (1.0 - d.abs()).max(0.0);
        let cubic = |d: f64| {
            let d = d.abs();
            if d <= 1.0 {
                ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
            } else if d < 2.0 {
                ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
            } else {
                0.0
            }
        };
        let (reach, kernel): (f64, &dyn Fn(f64) -> f64) = match self.mode {
            "nearest" => {
                let up = match self.nearest {
                    "round_prefer_floor" => ratio > 0.5,
                    "round_prefer_ceil" => ratio >= 0.5,
                    "floor" => false,
                    "ceil" => ratio > 0.0,
                    other => return Err(ImportError::unsupported(format!("nearest_mode '{other}'"))),
                };
                let p = floor + f64::from(u8::from(up));
                return Ok(vec![(p.clamp(0.0, (self.extent - 1) as f64) as u32, 1.0)]);
            }
            "linear" => (1.0, &tent),
            "cubic" => (2.0, &cubic),
            other => return Err(ImportError::unsupported(format!("mode '{other}'"))),
        };
        let start = (-reach / shrink).floor() as i64 + 1;
        let mut sum = 0.0;
        let mut out: Vec<(u32, f64)> = Vec::new();
        for k in start..=1 - start {
            let weight = kernel((k as f64 - ratio) * shrink);
            let p = floor as i64 + k;
            let inside = (0..self.extent as i64).contains(&p);
            if weight == 0.0 || (self.exclude_outside && !inside) {
                continue;
            }
            sum += weight;
            let p = p.clamp(0, self.extent as i64 - 1) as u32;
            match out.iter_mut().find(|(q, _)| *q == p) {
                Some((_, w)) => *w += weight,
                None => out.push((p, weight)),
            }
        }
        if (self.antialias || self.exclude_outside) && sum != 0.0 {
            out.iter_mut().for_each(|(_, w)| *w /= sum);
        }
        Ok(out)
    }
}
