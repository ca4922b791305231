//! The cells in floats: what calibration sees.

use super::{Cell, Recurrent};
use tract_onnx::prelude::*;

/// One direction of one recurrent operator on floats.
struct Run<'r> {
    op: &'r Recurrent,
    /// Hidden units.
    units: usize,
    /// `[units, gates * units]`, from the state to the gates.
    recurrent: Vec<f32>,
}

fn floats(inputs: &[TValue], i: usize) -> TractResult<Vec<f32>> {
    let t = inputs.get(i).ok_or_else(|| TractError::msg(format!("no input {i}")))?.cast_to::<f32>()?;
    Ok(t.to_plain_array_view::<f32>()?.iter().copied().collect())
}

impl Run<'_> {
    /// Adds the product of a state `[units]` with columns `from..to` of the weights to `out`.
    fn add(&self, state: &[f32], from: usize, to: usize, out: &mut [f32]) {
        let width = self.op.cell.gates() * self.units;
        for (v, row) in state.iter().zip(self.recurrent.chunks_exact(width)) {
            out.iter_mut().zip(&row[from..to]).for_each(|(o, w)| *o += v * w);
        }
    }
}

/// Values of all outputs of the node, in the order of [`Recurrent::outputs`].
pub(super) fn eval(op: &Recurrent, inputs: &[TValue]) -> TractResult<Vec<Tensor>> {
    let first = inputs.first().ok_or_else(|| TractError::msg("no input"))?;
    let [steps, n, width] = first.shape()[..] else { return Err(TractError::msg("gates of another rank than three")) };
    let units = op.units;
    if width != op.cell.gates() * units {
        return Err(TractError::msg(format!("{width} gates for {units} units")));
    }
    let pre = floats(inputs, 0)?;
    let weights = floats(inputs, 1)?;
    if weights.len() != width * units {
        return Err(TractError::msg("recurrent weights of another shape"));
    }
    let recurrent = (0..width * units).map(|i| weights[i % width * units + i / width]).collect();
    let run = Run { op, units, recurrent };
    let mut h = floats(inputs, 2)?;
    let mut c = if op.cell.has_memory() { floats(inputs, 3)? } else { vec![] };
    let extra = if op.cell.extras() > 0 { floats(inputs, inputs.len() - 1)? } else { vec![] };
    let mut outputs: Vec<Vec<f32>> = op.outputs(steps, n).iter().map(|s| vec![0.0; s.iter().product()]).collect();
    for k in 0..steps {
        let t = if op.reverse { steps - 1 - k } else { k };
        for b in 0..n {
            let row = t * n + b;
            let gates = &pre[row * width..][..width];
            let state = b * units..(b + 1) * units;
            let made = match op.cell {
                Cell::Rnn => run.rnn(gates, &mut h[state]),
                Cell::Lstm { coupled, .. } => run.lstm(gates, coupled, &extra, &mut h[state.clone()], &mut c[state]),
                Cell::Gru { reset_after } => run.gru(gates, reset_after, &extra, &mut h[state]),
            };
            for (all, one) in outputs.iter_mut().zip(&made) {
                all[row * one.len()..][..one.len()].copy_from_slice(one);
            }
        }
    }
    let shapes = op.outputs(steps, n);
    outputs.iter().zip(&shapes).map(|(v, s)| Tensor::from_shape(s, v)).collect()
}

impl Run<'_> {
    fn rnn(&self, gates: &[f32], h: &mut [f32]) -> Vec<Vec<f32>> {
        let mut sum = gates.to_vec();
        self.add(h, 0, self.units, &mut sum);
        h.iter_mut().zip(&sum).for_each(|(h, s)| *h = self.op.activations[0].at(*s));
        vec![h.to_vec(), sum]
    }

    fn lstm(&self, gates: &[f32], coupled: bool, peepholes: &[f32], h: &mut [f32], c: &mut [f32]) -> Vec<Vec<f32>> {
        let u = self.units;
        let [f, g, out] = [0, 1, 2].map(|k| self.op.activations[k]);
        let mut sum = gates.to_vec();
        self.add(h, 0, 4 * u, &mut sum);
        let peep = |k: usize, j: usize| peepholes.get(k * u + j).copied().unwrap_or(0.0);
        for j in 0..u {
            sum[j] += peep(0, j) * c[j];
            sum[2 * u + j] += peep(2, j) * c[j];
            let i = f.at(sum[j]);
            let forget = if coupled { 1.0 - i } else { f.at(sum[2 * u + j]) };
            c[j] = forget * c[j] + i * g.at(sum[3 * u + j]);
            sum[u + j] += peep(1, j) * c[j];
            h[j] = f.at(sum[u + j]) * out.at(c[j]);
        }
        vec![h.to_vec(), c.to_vec(), sum[..3 * u].to_vec(), sum[3 * u..].to_vec()]
    }

    fn gru(&self, gates: &[f32], reset_after: bool, bias: &[f32], h: &mut [f32]) -> Vec<Vec<f32>> {
        let u = self.units;
        let [f, g] = [0, 1].map(|k| self.op.activations[k]);
        let mut sum = gates.to_vec();
        self.add(h, 0, 2 * u, &mut sum[..2 * u]);
        let reset: Vec<f32> = sum[u..2 * u].iter().map(|v| f.at(*v)).collect();
        let seen = if reset_after {
            let mut q = bias.to_vec();
            q.resize(u, 0.0);
            self.add(h, 2 * u, 3 * u, &mut q);
            for j in 0..u {
                sum[2 * u + j] += reset[j] * q[j];
            }
            q
        } else {
            let seen: Vec<f32> = reset.iter().zip(h.iter()).map(|(r, h)| r * h).collect();
            self.add(&seen, 2 * u, 3 * u, &mut sum[2 * u..]);
            seen
        };
        for j in 0..u {
            let z = f.at(sum[j]);
            h[j] = (1.0 - z) * g.at(sum[2 * u + j]) + z * h[j];
        }
        vec![h.to_vec(), sum[..2 * u].to_vec(), sum[2 * u..].to_vec(), seen]
    }
}
