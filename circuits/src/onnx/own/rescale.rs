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
        requantize::clamp_exact,
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
struct Line {
    m: i128,
    b: i128,
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
        let mut channels = Vec::new();
        for s in &self.scales {
            channels.push(self.steps(*s, range)?);
        }
        let lowest = channels.iter().map(|(l, _)| *l).min().unwrap_or(self.lo);
        let id = match fit(&self.scales, &channels, lowest, range) {
            Some((shift, lines)) => {
                let key = self.line(c, acc, &lines, shift)?;
                clamp_exact(c, key, shift, (self.lo - lowest, self.hi - lowest))?
            }
            None => self.corrected(c, acc, &channels, lowest, range)?,
        };
        let id = c.linear(&[(id, 1)], lowest)?;
        Ok(c.result(OutletId::new(node.id, 0), id, 1.0))
    }

    /// `m acc + b - 2^(shift - 1)`, which a lookup of this shift rounds down to the quotient.
    fn line(&self, c: &mut Lowering<'_>, acc: NodeId, lines: &[Line], shift: u32) -> Result<NodeId> {
        let narrow =
            |v: i128| i64::try_from(v).map_err(|_| ImportError::unsupported("a multiplier of more than 64 bits"));
        let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
        let m = lines.iter().map(|l| narrow(l.m)).collect::<Result<Vec<_>>>()?;
        let b = lines.iter().map(|l| narrow(l.b - half)).collect::<Result<Vec<_>>>()?;
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
        let mut lines = Vec::new();
        // First accumulators of all quotients of all channels; below the lowest there is none.
        let mut firsts = vec![0i32; channels.len() * span as usize];
        for (k, (s, (least, steps))) in self.scales.iter().zip(channels).enumerate() {
            let m = (f64::from(*s) * f64::from(shift).exp2()).round() as i128;
            let quotients = || steps.iter().zip(1i128..).map(|(t, q)| (i128::from(*t), q + i128::from(least - lowest)));
            let b = quotients().map(|(t, q)| (q << shift) - m * t).max().unwrap_or(i128::from(least - lowest) << shift);
            if quotients().any(|(t, q)| m * (t - 2) + b >= q << shift) {
                return Err(failed());
            }
            lines.push(Line { m, b });
            let low = i32::try_from(range.lo).map_err(|_| failed())?;
            for q in 0..span {
                let index = q - (least - lowest) - 1;
                let first = usize::try_from(index).ok().and_then(|i| steps.get(i.min(steps.len().wrapping_sub(1))));
                let slot = &mut firsts[k * span as usize + q as usize];
                *slot = first.map_or(Ok(low), |t| i32::try_from(*t)).map_err(|_| failed())?;
            }
        }
        let key = self.line(c, acc, &lines, shift)?;
        let rough = clamp_exact(c, key, shift, (0, span - 1))?;
        // The place of channel and quotient in the table.
        let mut place = rough;
        if let Some(axis) = self.axis.filter(|_| channels.len() > 1) {
            let shape = c.shape(acc);
            let mut along = vec![1; shape.len()];
            along[axis] = channels.len();
            let starts: Vec<i64> = (0..channels.len() as i64).map(|k| k * span).collect();
            let starts = constant(c, "channel", &along, &starts)?;
            let starts = c.broadcast(starts, &shape)?;
            place = c.linear(&[(rough, 1), (starts, 1)], 0)?;
        }
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
