//! DFT and STFT: one product with a matrix of cosines and sines.
//!
//! A row of the matrix is an entry in time and its part (real, imaginary), a column a frequency and its part.

use super::{
    Rule, axis,
    builder::{Builder, Result, int},
    table,
};
use crate::onnx::error::ImportError;
use std::f64::consts::TAU;
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("DFT", dft, true), ("STFT", stft, true)])
}

/// Most entries of a matrix.
const MAX_ENTRIES: usize = 1 << 23;

/// What becomes of `times` entries of `parts` parts: `frequencies` of a transform of `length` entries.
struct Transform {
    times: usize,
    parts: usize,
    length: usize,
    frequencies: usize,
    inverse: bool,
}

impl Transform {
    /// `[times * parts, frequencies * 2]`, rows weighted by a window.
    fn matrix(&self, b: &mut Builder<'_>, window: impl Fn(usize) -> f64) -> Result<String> {
        let (rows, columns) = (self.times * self.parts, 2 * self.frequencies);
        if rows == 0 || columns == 0 || rows.checked_mul(columns).is_none_or(|n| n > MAX_ENTRIES) {
            return Err(ImportError::unsupported(format!(
                "a transform of {} entries to {} frequencies; its matrix has at most {MAX_ENTRIES}",
                self.times, self.frequencies
            )));
        }
        let unit = if self.inverse { 1.0 / self.length as f64 } else { 1.0 };
        let turn = if self.inverse { 1.0 } else { -1.0 };
        let mut data = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            let (t, imaginary) = (row / self.parts, row % self.parts == 1);
            let weight = unit * window(t);
            for f in 0..self.frequencies {
                // The angle modulo a turn is exact.
                let angle = turn * TAU * ((t * f) % self.length) as f64 / self.length as f64;
                let (re, im) = (weight * angle.cos(), weight * angle.sin());
                data.extend(if imaginary { [-im as f32, re as f32] } else { [re as f32, im as f32] });
            }
        }
        Ok(b.tensor(&[rows, columns], &data))
    }
}

/// `[frequencies * 2, length]`: real entries from the lower half of their frequencies; the upper half is what is conjugate to it.
fn real_inverse(b: &mut Builder<'_>, frequencies: usize, length: usize) -> Result<String> {
    if frequencies.checked_mul(2 * length).is_none_or(|n| n > MAX_ENTRIES) {
        return Err(ImportError::unsupported(format!("a transform of {frequencies} frequencies to {length} entries")));
    }
    let mut data = Vec::with_capacity(2 * frequencies * length);
    for row in 0..2 * frequencies {
        let (f, imaginary) = (row / 2, row % 2 == 1);
        let weight = if f == 0 || 2 * f == length { 1.0 } else { 2.0 } / length as f64;
        for t in 0..length {
            let angle = TAU * ((t * f) % length) as f64 / length as f64;
            data.push((weight * if imaginary { -angle.sin() } else { angle.cos() }) as f32);
        }
    }
    Ok(b.tensor(&[2 * frequencies, length], &data))
}

/// A length that is a constant from 1 on.
fn length(v: f64) -> Result<usize> {
    if (1.0..=MAX_ENTRIES as f64).contains(&v) && v.fract() == 0.0 {
        return Ok(v as usize);
    }
    Err(ImportError::unsupported(format!("a transform of {v} entries")))
}

/// How many parts the last axis has: real numbers one, complex ones two.
fn parts(shape: &[usize]) -> Result<usize> {
    shape.last().copied().filter(|p| (1..=2).contains(p)).ok_or_else(|| {
        ImportError::unsupported(format!("numbers of shape {shape:?}; the last axis has one part or two"))
    })
}

fn dft(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let shape = b.shape(&x)?;
    let parts = parts(&shape)?;
    let along = match b.first(2)? {
        Some(a) => a as i64,
        None => b.int_or("axis", if b.opset < 20 { 1 } else { -2 }),
    };
    let at = axis(along, shape.len())?;
    let last = shape.len() - 1;
    let (inverse, onesided) = (b.int_or("inverse", 0) != 0, b.int_or("onesided", 0) != 0);
    let to_real = onesided && inverse;
    if at == last || (onesided && (parts == 2) != inverse) {
        return Err(ImportError::unsupported("the axis of parts, or one side of what has two"));
    }
    let length = match b.first(1)? {
        Some(n) => length(n)?,
        None if to_real => length(2.0 * (shape[at] as f64 - 1.0))?,
        None => shape[at],
    };
    let half = length / 2 + 1;
    let (times, frequencies, parts_out) = match (onesided, to_real) {
        (_, true) => (shape[at].min(half), length, 1),
        (true, _) => (shape[at].min(length), half, 2),
        _ => (shape[at].min(length), length, 2),
    };
    let matrix = if to_real {
        real_inverse(b, times, length)?
    } else {
        Transform { times, parts, length, frequencies, inverse }.matrix(b, |_| 1.0)?
    };
    let x = if times < shape[at] { b.slice(&x, at, 0, times) } else { x };
    // The axis next to the parts.
    let mut order: Vec<usize> = (0..last).filter(|a| *a != at).collect();
    order.extend([at, last]);
    let x = b.transpose(&x, &order);
    let outer: Vec<usize> = order[..last - 1].iter().map(|a| shape[*a]).collect();
    let flat = b.reshape(&x, &[outer.iter().product(), times * parts]);
    let y = b.op("MatMul", &[&flat, &matrix], vec![]);
    let y = b.reshape(&y, &[&outer[..], &[frequencies, parts_out]].concat());
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, a)| back[*a] = i);
    Ok(vec![b.transpose(&y, &back)])
}

fn stft(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let mut shape = b.shape(&x)?;
    if shape.len() == 2 {
        shape.push(1);
    }
    let &[batch, entries, _] = shape.as_slice() else {
        return Err(ImportError::unsupported(format!("a signal of shape {shape:?}")));
    };
    let parts = parts(&shape)?;
    let step = length(b.first(1)?.unwrap_or(0.0))?;
    let window = b.optional(2)?;
    let frame = match (b.first(3)?, &window) {
        (Some(n), _) => length(n)?,
        (None, Some(w)) => w.len(),
        (None, None) => return Err(ImportError::unsupported("neither a window nor a frame length")),
    };
    let onesided = b.int_or("onesided", 1) != 0;
    if frame == 0 || frame > entries || window.as_ref().is_some_and(|w| w.len() != frame) || (onesided && parts == 2) {
        let of_window = window.map_or(frame, |w| w.len());
        return Err(ImportError::unsupported(format!(
            "frames of {frame} of {entries} entries with a window of {of_window}, one side: {onesided}, {parts} parts"
        )));
    }
    let frames = (entries - frame) / step + 1;
    let frequencies = if onesided { frame / 2 + 1 } else { frame };
    let transform = Transform { times: frame, parts, length: frame, frequencies, inverse: false };
    let matrix = transform.matrix(b, |t| window.as_ref().map_or(1.0, |w| w[t]))?;
    if frames.checked_mul(frame).is_none_or(|n| n > MAX_ENTRIES) {
        return Err(ImportError::unsupported(format!("{frames} frames of {frame} entries")));
    }
    let signal = b.reshape(&x, &[batch, entries, parts]);
    let places: Vec<i64> = (0..frames * frame).map(|i| (i / frame * step + i % frame) as i64).collect();
    let places = b.vector(&places);
    let cut = b.op("Gather", &[&signal, &places], vec![int("axis", 1)]);
    let flat = b.reshape(&cut, &[batch, frames, frame * parts]);
    let y = b.op("MatMul", &[&flat, &matrix], vec![]);
    Ok(vec![b.reshape(&y, &[batch, frames, frequencies, 2])])
}
