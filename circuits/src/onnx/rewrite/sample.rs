//! GridSample: of a constant grid one sparse matrix over all places of a picture, of a computed one the weights as tents.
//!
//! A linear sample at `p` is the sum over places `i` of `max(1 - |p - i|, 0) x[i]`, axis by axis. That is continuous in `p`, so rounding
//! moves a sample but never takes it from elsewhere; nearest and cubic samples of a computed grid are refused.
//!
//! Where a point of the grid lies, what stands in for places outside, and the weights of its neighbours are the ONNX standard's
//! (operator GridSample, versions 16 to 22), computed in float32 as onnxruntime does.

use super::{
    Rule,
    builder::{Builder, Result},
    table,
};
use crate::onnx::{
    error::ImportError,
    own::{Kind, Remap, Type},
};
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("GridSample", sample, true)])
}

/// Most pictures; each gets nodes of its own.
const MAX_PICTURES: usize = 64;
/// Most places of a result.
const MAX_PLACES: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Clone, Copy, PartialEq)]
enum Outside {
    Zeros,
    Border,
    Reflection,
}

/// One axis of the picture.
#[derive(Clone, Copy)]
struct Along {
    extent: usize,
    corners: bool,
    mode: Mode,
    outside: Outside,
}

impl Along {
    /// Smallest and largest coordinate inside.
    fn bounds(&self) -> (f32, f32) {
        let last = self.extent as f32 - 1.0;
        if self.corners { (0.0, last) } else { (-0.5, last + 0.5) }
    }

    /// A coordinate mirrored at the bounds until it is inside.
    fn mirrored(&self, x: f32) -> f32 {
        let (lo, hi) = self.bounds();
        let range = hi - lo;
        if range <= 0.0 {
            return 0.0;
        }
        let (past, below) = if x < lo { (lo - x, true) } else { (x - hi, false) };
        if past <= 0.0 {
            return x;
        }
        let times = (past / range).floor();
        let rest = past - times * range;
        if (times as i64 % 2 == 0) == below { lo + rest } else { hi - rest }
    }

    /// The entry that stands for place `i`; none for a zero.
    fn entry(&self, i: f32) -> Option<usize> {
        let last = self.extent as f32 - 1.0;
        match self.outside {
            Outside::Zeros => (0.0..=last).contains(&i).then_some(i as usize),
            Outside::Border => Some(i.clamp(0.0, last) as usize),
            Outside::Reflection => Some(self.mirrored(i).clamp(0.0, last) as usize),
        }
    }

    /// Entries with their weights for a coordinate of the grid, from -1 to 1.
    fn weights(&self, at: f32) -> Vec<(usize, f64)> {
        let n = self.extent as f32;
        let mut x = if self.corners { (at + 1.0) / 2.0 * (n - 1.0) } else { ((at + 1.0) * n - 1.0) / 2.0 };
        if self.mode == Mode::Nearest {
            x = x.round_ties_even();
        }
        let (lo, hi) = self.bounds();
        if !(lo..=hi).contains(&x) {
            x = match self.outside {
                Outside::Zeros => x,
                Outside::Border => x.clamp(0.0, n - 1.0),
                Outside::Reflection => self.mirrored(x),
            };
        }
        let (floor, ratio) = (x.floor(), f64::from(x - x.floor()));
        let taps: Vec<(f32, f64)> = match self.mode {
            Mode::Nearest => vec![(x.round_ties_even(), 1.0)],
            Mode::Linear => vec![(floor, 1.0 - ratio), (floor + 1.0, ratio)],
            Mode::Cubic => {
                let a = -0.75;
                let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
                let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
                let factors = [far(1.0 + ratio), near(ratio), near(1.0 - ratio), far(2.0 - ratio)];
                factors.into_iter().enumerate().map(|(k, w)| (floor + k as f32 - 1.0, w)).collect()
            }
        };
        taps.into_iter().filter(|(_, w)| *w != 0.0).filter_map(|(i, w)| Some((self.entry(i)?, w))).collect()
    }
}

fn sample(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let (x, grid) = (b.need(0)?, b.need(1)?);
    let (shape, at) = (b.shape(&x)?, b.shape(&grid)?);
    let d = shape.len().saturating_sub(2);
    if d == 0 || d > 3 || at.len() != d + 2 || at[0] != shape[0] || at[d + 1] != d || shape[0] > MAX_PICTURES {
        return Err(ImportError::unsupported(format!("a grid of shape {at:?} on shape {shape:?}")));
    }
    let corners = b.int_or("align_corners", 0) != 0;
    let mode = match b.text_or("mode", "linear").as_str() {
        "nearest" => Mode::Nearest,
        "linear" | "bilinear" => Mode::Linear,
        "cubic" | "bicubic" => Mode::Cubic,
        other => return Err(ImportError::unsupported(format!("mode '{other}'"))),
    };
    let outside = match b.text_or("padding_mode", "zeros").as_str() {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => return Err(ImportError::unsupported(format!("padding_mode '{other}'"))),
    };
    if mode == Mode::Cubic && outside == Outside::Border {
        return Err(ImportError::unsupported("cubic samples beyond a border, of which runtimes make different things"));
    }
    let Some(points) = b.values(&grid) else {
        if mode != Mode::Linear || outside == Outside::Reflection {
            return Err(ImportError::unsupported(
                "its grid depends on data, or has more than 65536 values: then its mode must be linear, its padding zeros or border",
            ));
        }
        return computed(b, (&x, &shape), (&grid, &at), corners, outside);
    };
    let (space, out) = (&shape[2..], &at[1..=d]);
    let (from, to): (usize, usize) = (space.iter().product(), out.iter().product());
    if from == 0 || to == 0 || to > MAX_PLACES || from > MAX_PLACES {
        return Err(ImportError::unsupported(format!("{to} places from {from}; at most {MAX_PLACES} are possible")));
    }
    // Coordinates are out of the standard's range by far before they are lost in float32.
    if points.iter().any(|p| !(p.is_finite() && p.abs() <= 1e4)) {
        return Err(ImportError::unsupported("a grid with a coordinate that is no number from -10000 to 10000"));
    }
    let mut parts = Vec::new();
    for (n, points) in points.chunks(to * d).enumerate() {
        let part = if shape[0] == 1 { x.clone() } else { b.slice(&x, 0, n, n + 1) };
        let flat = b.reshape(&part, &[1, shape[1], from]);
        let rows = points.chunks(d).map(|p| {
            let mut row = vec![(0usize, 1.0f64)];
            for (k, extent) in space.iter().enumerate() {
                // The first number of a point belongs to the last axis.
                let along = Along { extent: *extent, corners, mode, outside }.weights(p[d - 1 - k] as f32);
                row = row.iter().flat_map(|(i, w)| along.iter().map(move |(j, v)| (i * extent + j, w * v))).collect();
            }
            summed(row)
        });
        let remap = Remap { axis: 2, rows: rows.collect() };
        let y = b.own(Kind::Remap(remap), &[&flat], &[1, shape[1], to], Type::Same)?;
        parts.push(b.reshape(&y, &[&[1, shape[1]][..], out].concat()));
    }
    Ok(vec![b.concat(&parts, 0)])
}

/// Most weights of a computed grid along one axis.
const MAX_TENTS: usize = 1 << 22;

/// Linear samples at computed places.
fn computed(
    b: &mut Builder<'_>,
    (x, shape): (&str, &[usize]),
    (grid, at): (&str, &[usize]),
    corners: bool,
    outside: Outside,
) -> Result<Vec<String>> {
    let d = shape.len() - 2;
    let (space, out, channels) = (&shape[2..], &at[1..=d], shape[1]);
    let to: usize = out.iter().product();
    if to == 0 || space.iter().any(|l| *l == 0 || l.checked_mul(to).is_none_or(|n| n > MAX_TENTS)) {
        return Err(ImportError::unsupported(format!(
            "{to} computed places on shape {shape:?}; at most {MAX_TENTS} weights an axis"
        )));
    }
    let mut parts = Vec::new();
    for n in 0..shape[0] {
        let (mut y, mut points) = (x.to_owned(), grid.to_owned());
        if shape[0] > 1 {
            (y, points) = (b.slice(x, 0, n, n + 1), b.slice(grid, 0, n, n + 1));
        }
        let points = b.reshape(&points, &[to, d]);
        for k in (0..d).rev() {
            let weights = tents(b, &points, (to, d - 1 - k), space[k], corners, outside);
            // [channels, axes before, this axis] or, once there are places, [.., this axis, places].
            let before: usize = channels * space[..k].iter().product::<usize>();
            y = if k == d - 1 {
                let flat = b.reshape(&y, &[before, space[k]]);
                b.op("MatMul", &[&flat, &weights], vec![])
            } else {
                let wide = b.reshape(&y, &[before, space[k], to]);
                let terms = b.op("Mul", &[&wide, &weights], vec![]);
                let sum = b.reduce("ReduceSum", &terms, &[1]);
                b.reshape(&sum, &[before, to])
            };
        }
        parts.push(b.reshape(&y, &[&[1, channels][..], out].concat()));
    }
    Ok(vec![b.concat(&parts, 0)])
}

/// `[extent, places]`: the weight of each entry of an axis at each place, whose coordinate is `component` of a point.
fn tents(
    b: &mut Builder<'_>,
    points: &str,
    (to, component): (usize, usize),
    extent: usize,
    corners: bool,
    outside: Outside,
) -> String {
    let last = extent as f32 - 1.0;
    let half = if corners { last / 2.0 } else { extent as f32 / 2.0 };
    let (half, middle, one, zero) = (b.float(half), b.float(last / 2.0), b.float(1.0), b.float(0.0));
    let p = b.slice(points, 1, component, component + 1);
    let p = b.reshape(&p, &[1, to]);
    let p = b.op("Mul", &[&p, &half], vec![]);
    let mut p = b.op("Add", &[&p, &middle], vec![]);
    // Beyond one place outside of it, a picture of zeros is nothing as well.
    let (low, high) = if outside == Outside::Border { (0.0, last) } else { (-1.0, last + 1.0) };
    let (low, high) = (b.float(low), b.float(high));
    p = b.op("Max", &[&p, &low], vec![]);
    p = b.op("Min", &[&p, &high], vec![]);
    let places: Vec<f32> = (0..extent).map(|i| i as f32).collect();
    let places = b.tensor(&[extent, 1], &places);
    let away = b.op("Sub", &[&p, &places], vec![]);
    let away = b.op("Abs", &[&away], vec![]);
    let near = b.op("Sub", &[&one, &away], vec![]);
    b.op("Max", &[&near, &zero], vec![])
}

/// A row with each entry once.
fn summed(mut row: Vec<(usize, f64)>) -> Vec<(u32, f64)> {
    row.sort_by_key(|(i, _)| *i);
    let mut out: Vec<(u32, f64)> = Vec::with_capacity(row.len());
    for (i, w) in row {
        match out.last_mut() {
            Some((j, v)) if *j == i as u32 => *v += w,
            _ => out.push((i as u32, w)),
        }
    }
    out.retain(|(_, w)| *w != 0.0);
    out
}
