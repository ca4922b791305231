//! Rounding of a product with a float, as quantized runtimes do it.
//!
//! * Statement: `out = clamp(rint(f32(acc) * scale), lo - zero, hi - zero) + zero`, the product rounded to float32 and `rint` to the
//!   nearest integer with ties to the even one; one scale, or one for each index of an axis.
//! * ONNX: what follows the accumulators of QLinearConv and QLinearMatMul, and of Conv, MatMul, Gemm between DequantizeLinear
//!   and QuantizeLinear.
//! * Shapes: unchanged.
//! * Lowering: the function rises with `acc`, in at most `hi - lo` steps. Integers `m`, `b` and a shift are searched for which
//!   `floor((m acc + b) / 2^shift)` has its steps at the very same places: then it is one lookup. Where there are none (a scale
//!   like 1/4, whose ties alternate), the quotient that is never too small is corrected: it is one too large exactly where
//!   `acc` is below the first accumulator of that quotient, which is a table.
//!   Results of 16 bits, which no runtime computes with integers, are those of the nearest line.
//! * Lookups: the remainder's limbs and one a value; with the correction two more, one of them over wide keys.
//! * Soundness: lookups. The steps are computed with float32 arithmetic, so the statement is the runtime's, not an approximation.
//! * Reference: docs/protocol.md#lookups; docs/quantization.md.

use super::contract::{constant, unscaled};
use crate::{
    graph::NodeId,
    interval::Interval,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result, Value},
        tables::Function,
    },
    ops::{AxisScale, Op, lookup::MAX_SHIFT},
};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

/// The multipliers, the axis that they belong to (unless there is one for all), and the result's type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rescale {
    pub(crate) axis: Option<usize>,
    pub(crate) scales: Vec<f32>,
    pub(crate) zero: i64,
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

/// Largest magnitude of `m acc + b`, in bits.
const PRODUCT_BITS: u32 = 59;
/// Shifts tried beyond the first one that may do.
const TRIED: u32 = 14;

/// Integers for which `floor((m acc + b) / 2^shift)` is the quotient, counted from the lowest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) m: i128,
    pub(super) b: i128,
}

impl Line {
    /// What accumulators are multiplied by.
    pub(super) fn factor(&self) -> Result<i64> {
        narrow(self.m)
    }

    /// What is added to products that a lookup rounds by `shift` bits: rounding adds a half by itself.
    pub(super) fn offset(&self, shift: u32) -> Result<i64> {
        narrow(self.b - ((1i128 << shift) >> 1))
    }
}

fn narrow(v: i128) -> Result<i64> {
    i64::try_from(v).map_err(|_| ImportError::unsupported("a multiplier of more than 64 bits"))
}

impl Rescale {
    /// The result for one accumulator.
    fn at(&self, acc: i64, scale: f32) -> i64 {
        let (lo, hi) = ((self.lo - self.zero) as f32, (self.hi - self.zero) as f32);
        let v = (acc as f32 * scale).max(lo).min(hi);
        v.round_ties_even() as i64 + self.zero
    }

    fn scale(&self, index: usize) -> f32 {
        self.scales.get(index).or_else(|| self.scales.first()).copied().unwrap_or(1.0)
    }

    pub(super) fn eval(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let t = inputs.first().ok_or_else(|| TractError::msg("no input"))?;
        let values = super::whole(t)?;
        let (len, inner) = match self.axis {
            Some(a) => (t.shape()[a], t.shape()[a + 1..].iter().product::<usize>()),
            None => (1, values.len().max(1)),
        };
        let out: Vec<i64> =
            values.iter().enumerate().map(|(i, v)| self.at(*v, self.scale(i / inner.max(1) % len))).collect();
        Tensor::from_shape(t.shape(), &out)
    }

    /// For each result above the lowest one that the accumulators allow: the first accumulator that has it. Also the lowest.
    fn steps(&self, scale: f32, range: Interval) -> Result<(i64, Vec<i64>)> {
        let narrow = |v: i128| {
            i64::try_from(v)
                .map_err(|_| ImportError::unsupported("accumulators of more than 64 bits in the worst case"))
        };
        let (first, last) = (narrow(range.lo)?, narrow(range.hi)?);
        let (least, most) = (self.at(first, scale), self.at(last, scale));
        let mut from = first;
        let steps = (least + 1..=most).map(|q| {
            // The first accumulator with at least this result; results rise.
            let (mut below, mut above) = (from, last);
            while above - below > 1 {
                let middle = below + (above - below) / 2;
                if self.at(middle, scale) >= q { above = middle } else { below = middle }
            }
            from = below;
            above
        });
        Ok((least, steps.collect()))
    }

    pub(super) fn lower(&self, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Value> {
        let l = c.lazy(node, 0)?;
        let root = c.materialize(&l)?;
        let acc = unscaled(c, root.node, root.scale)?;
        let range = c.g.node(acc).range;
        if self.hi - self.lo > NARROW {
            let scales: Vec<f64> = self.scales.iter().map(|s| f64::from(*s)).collect();
            let (shift, lines) = nearest(&scales, range, (self.zero - self.lo, self.hi - self.lo))?;
            let key = self.line(c, acc, &lines, shift)?;
            let id = c.clamp(key, shift, (0, self.hi - self.lo))?;
            let id = c.linear(&[(id, 1)], self.lo)?;
            return Ok(c.result(OutletId::new(node.id, 0), id, 1.0));
        }
        let mut channels = Vec::new();
        for s in &self.scales {
            channels.push(self.steps(*s, range)?);
        }
        let lowest = channels.iter().map(|(l, _)| *l).min().unwrap_or(self.lo);
        let id = match fit(&self.scales, &channels, lowest, range) {
            Some((shift, lines)) => {
                let key = self.line(c, acc, &lines, shift)?;
                c.clamp(key, shift, (self.lo - lowest, self.hi - lowest))?
            }
            None => self.corrected(c, acc, &channels, lowest, range)?,
        };
        let id = c.linear(&[(id, 1)], lowest)?;
        Ok(c.result(OutletId::new(node.id, 0), id, 1.0))
    }

    /// `m acc + b - 2^(shift - 1)`, which a lookup of this shift rounds down to the quotient.
    fn line(&self, c: &mut Lowering<'_>, acc: NodeId, lines: &[Line], shift: u32) -> Result<NodeId> {
        let m = lines.iter().map(|l| l.factor()).collect::<Result<Vec<_>>>()?;
        let b = lines.iter().map(|l| l.offset(shift)).collect::<Result<Vec<_>>>()?;
        let Some(axis) = self.axis.filter(|_| lines.len() > 1) else {
            return c.linear(&[(acc, m[0])], b[0]);
        };
        let shape = c.shape(acc);
        let scaled = c.push(Op::AxisScale(AxisScale { axis, factors: m }), &[acc])?;
        let mut along = vec![1; shape.len()];
        along[axis] = b.len();
        let offset = constant(c, "rounding", &along, &b)?;
        let offset = c.broadcast(offset, &shape)?;
        c.linear(&[(scaled, 1), (offset, 1)], 0)
    }

    /// The quotient by a line that is never too small, less one where the accumulator is below the quotient's first one.
    fn corrected(
        &self,
        c: &mut Lowering<'_>,
        acc: NodeId,
        channels: &[(i64, Vec<i64>)],
        lowest: i64,
        range: Interval,
    ) -> Result<NodeId> {
        let failed = || ImportError::unsupported("a multiplier whose rounding cannot be reproduced");
        let span = (self.hi - lowest + 1).max(1);
        let shift = first_shift(&self.scales, range).ok_or_else(failed)?;
        let low = i32::try_from(range.lo).map_err(|_| failed())?;
        let mut lines = Vec::new();
        // First accumulators of all quotients of the channels that need them, behind a row for the channels whose line is right
        // as it is: no accumulator is below theirs.
        let mut firsts = vec![low; span as usize];
        let mut starts = Vec::new();
        for (s, (least, steps)) in self.scales.iter().zip(channels) {
            if let Some(line) = fit_one(*s, steps, i128::from(least - lowest), shift) {
                lines.push(line);
                starts.push(0);
                continue;
            }
            let m = (f64::from(*s) * f64::from(shift).exp2()).round() as i128;
            let quotients = || steps.iter().zip(1i128..).map(|(t, q)| (i128::from(*t), q + i128::from(least - lowest)));
            let b = quotients().map(|(t, q)| (q << shift) - m * t).max().unwrap_or(i128::from(least - lowest) << shift);
            if quotients().any(|(t, q)| m * (t - 2) + b >= q << shift) {
                return Err(failed());
            }
            lines.push(Line { m, b });
            starts.push(firsts.len() as i64);
            for q in 0..span {
                let index = q - (least - lowest) - 1;
                let first = usize::try_from(index).ok().and_then(|i| steps.get(i.min(steps.len().wrapping_sub(1))));
                firsts.push(first.map_or(Ok(low), |t| i32::try_from(*t)).map_err(|_| failed())?);
            }
        }
        let key = self.line(c, acc, &lines, shift)?;
        let rough = c.clamp(key, shift, (0, span - 1))?;
        // The place of channel and quotient in the table.
        let place = match self.axis.filter(|_| channels.len() > 1) {
            Some(axis) => {
                let shape = c.shape(acc);
                let mut along = vec![1; shape.len()];
                along[axis] = channels.len();
                let starts = constant(c, "channel", &along, &starts)?;
                let starts = c.broadcast(starts, &shape)?;
                c.linear(&[(rough, 1), (starts, 1)], 0)?
            }
            None => c.linear(&[(rough, 1)], starts.first().copied().unwrap_or(0))?,
        };
        let last = firsts.len() as i64 - 1;
        let table = firsts.clone();
        let f = Function {
            name: format!("first accumulators of {}", c.name),
            digest: 0,
            base: (0, last),
            values: Box::new(move |keys| Ok(keys.iter().map(|k| table[(*k).clamp(0, last) as usize]).collect())),
        };
        let first = c.lookup(place, 0, &f)?;
        let above = c.linear(&[(acc, 1), (first, -1)], 0)?;
        let f = Function {
            name: "is negative".to_owned(),
            digest: 0,
            base: (-1, 0),
            values: Box::new(|keys| Ok(keys.iter().map(|k| i32::from(*k < 0)).collect())),
        };
        let less = c.lookup(above, 0, &f)?;
        c.linear(&[(rough, 1), (less, -1)], 0)
    }
}

/// Width beyond which results are those of the nearest line.
const NARROW: i64 = 255;
/// Bits of a unit of the result that a multiplier may be off at the largest result.
const EXCESS: f64 = 4.0;

/// A shift, and lines `m acc + b` whose quotients are `round(acc * scale) + first`, for results from 0 to `most`. The error of
/// the rounded multiplier is at most a sixteenth of a unit at results that are not clamped.
pub(super) fn nearest(scales: &[f64], range: Interval, (first, most): (i64, i64)) -> Result<(u32, Vec<Line>)> {
    let refused = || ImportError::unsupported("a multiplier that is too large or too small for accumulators this wide");
    let least = scales.iter().copied().fold(f64::INFINITY, f64::min);
    let widest = range.hi.max(-range.lo).max(1);
    let reach = (most as f64 / least).min(widest as f64);
    let wanted = (reach.log2() + EXCESS - 1.0).ceil().max(0.0);
    let shift = if wanted <= f64::from(MAX_SHIFT) { wanted as u32 } else { return Err(refused()) };
    let lines = scales.iter().map(|s| {
        let m = (s * f64::from(shift).exp2()).round() as i128;
        let b = (i128::from(first) << shift) + ((1i128 << shift) >> 1);
        let room = m.checked_mul(widest)?.checked_add(b.abs())?;
        (room >> PRODUCT_BITS == 0).then_some(Line { m, b })
    });
    Ok((shift, lines.collect::<Option<_>>().ok_or_else(refused)?))
}

/// The least shift at which products are as fine as accumulators.
fn first_shift(scales: &[f32], range: Interval) -> Option<u32> {
    let least = scales.iter().copied().fold(f32::INFINITY, f32::min);
    let width = 128 - (range.hi - range.lo).max(1).leading_zeros();
    let shift = f64::from(width) - f64::from(least).log2().floor();
    (shift <= f64::from(MAX_SHIFT)).then_some(shift.max(0.0) as u32)
}

/// A shift and a line for each channel whose steps are the given ones.
fn fit(scales: &[f32], channels: &[(i64, Vec<i64>)], lowest: i64, range: Interval) -> Option<(u32, Vec<Line>)> {
    let start = first_shift(scales, range)?.saturating_sub(3);
    let widest = range.hi.max(-range.lo).max(1);
    (start..=(start + TRIED).min(MAX_SHIFT)).find_map(|shift| {
        let lines = scales.iter().zip(channels).map(|(s, (least, steps))| {
            let line = fit_one(*s, steps, i128::from(least - lowest), shift)?;
            let room = line.m.abs().checked_mul(widest)?.checked_add(line.b.abs())?;
            (room >> PRODUCT_BITS == 0).then_some(line)
        });
        lines.collect::<Option<Vec<_>>>().map(|l| (shift, l))
    })
}

/// A line whose quotients pass `first + 1, first + 2, ..` exactly at the given accumulators.
fn fit_one(scale: f32, steps: &[i64], first: i128, shift: u32) -> Option<Line> {
    let one = 1i128 << shift;
    let ideal = (f64::from(scale) * one as f64).round() as i128;
    if steps.is_empty() {
        return Some(Line { m: 0, b: first * one });
    }
    // For a slope, the offsets that are right: from the largest lower bound to the smallest upper bound.
    let bounds = |m: i128| {
        let (mut lo, mut hi) = (i128::MIN, i128::MAX);
        for (t, q) in steps.iter().zip(first + 1..) {
            let reach = q * one - m * i128::from(*t);
            lo = lo.max(reach);
            hi = hi.min(reach + m - 1);
        }
        (lo, hi)
    };
    let room = |m: i128| {
        let (lo, hi) = bounds(m);
        hi - lo
    };
    // The room is concave in the slope.
    let reach = (ideal >> 8) + 2;
    let (mut a, mut z) = ((ideal - reach).max(1), ideal + reach);
    while z - a > 2 {
        let (p, q) = (a + (z - a) / 3, z - (z - a) / 3);
        if room(p) < room(q) { a = p + 1 } else { z = q }
    }
    let m = (a..=z).max_by_key(|m| room(*m))?;
    let (lo, hi) = bounds(m);
    (lo <= hi).then_some(Line { m, b: lo + (hi - lo) / 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        *state >> 20
    }

    /// The line's quotients are those of float32 arithmetic at every accumulator.
    #[test]
    fn lines_round_as_float32_does() {
        let mut state = 5;
        let mut fitted = 0;
        for _ in 0..60 {
            let scale =
                (2f32).powi(-(drawn(&mut state) as i32 % 10) - 1) * (1.0 + drawn(&mut state) as f32 % 1e6 / 1e6);
            let (lo, hi) = if drawn(&mut state).is_multiple_of(2) { (-128, 127) } else { (0, 255) };
            let zero = lo + drawn(&mut state) as i64 % (hi - lo + 1);
            let r = Rescale { axis: None, scales: vec![scale], zero, lo, hi };
            let range = Interval { lo: -(1 << 15) - i128::from(drawn(&mut state) % 999), hi: 1 << 15 };
            let (least, steps) = r.steps(scale, range).unwrap();
            let Some((shift, lines)) = fit(&[scale], &[(least, steps)], least, range) else { continue };
            fitted += 1;
            for acc in range.lo as i64..=range.hi as i64 {
                let q = (lines[0].m * i128::from(acc) + lines[0].b) >> shift;
                let got = (q + i128::from(least)).clamp(i128::from(lo), i128::from(hi));
                assert_eq!(got, i128::from(r.at(acc, scale)), "{scale} {zero} {acc}");
            }
        }
        assert!(fitted > 50, "{fitted}");
    }

    /// Lines of results of 16 bits are within a unit of float32 arithmetic, and right but near ties, at every result.
    #[test]
    fn nearest_lines_are_within_a_unit() {
        let mut state = 11;
        for k in 0..40u32 {
            let scale =
                (2f64).powi(-(drawn(&mut state) as i32 % 16) - 2) * (1.0 + (drawn(&mut state) % 997) as f64 / 997.0);
            let range = Interval { lo: -(1 << (16 + k % 18)), hi: (1 << 34) - 7 };
            let (first, most) = (drawn(&mut state) as i64 % 65536, 65535);
            let (shift, lines) = nearest(&[scale], range, (first, most)).unwrap();
            for _ in 0..2000 {
                let inside = (drawn(&mut state) as i64 % 80_000 - 7_000 - first) as f64 / scale;
                let acc = (inside as i64).clamp(range.lo as i64, range.hi as i64);
                let q = ((lines[0].m * i128::from(acc) + lines[0].b) >> shift).clamp(0, i128::from(most));
                let exact = (acc as f64 * scale + first as f64).clamp(0.0, most as f64);
                assert!((q as f64 - exact).abs() <= 0.5 + 1.0 / 15.0, "{scale} {acc} {q} {exact}");
            }
        }
        // Multipliers of which too few bits would be left.
        assert!(nearest(&[1e-16], Interval { lo: 0, hi: 1 << 62 }, (0, 65535)).is_err());
    }

    /// Ties to even alternate: no line has them, and none is made up.
    #[test]
    fn alternating_ties_fit_no_line() {
        let r = Rescale { axis: None, scales: vec![0.25], zero: 0, lo: -128, hi: 127 };
        let range = Interval { lo: -1000, hi: 1000 };
        let (least, steps) = r.steps(0.25, range).unwrap();
        assert_eq!(steps.len(), 255);
        assert_eq!(fit(&[0.25], &[(least, steps)], least, range), None);
        assert_eq!([r.at(2, 0.25), r.at(6, 0.25), r.at(-2, 0.25), r.at(10, 0.25)], [0, 2, 0, 2]);
    }
}
