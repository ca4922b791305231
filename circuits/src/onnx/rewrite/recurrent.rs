//! RNN, LSTM and GRU: products with the input and biases for all steps at once, then the steps of each direction as an operator of
//! our own.

use super::{
    Rule,
    builder::{Builder, Result},
    table,
};
use crate::onnx::{
    check::volume,
    error::ImportError,
    own::{Activation, Cell, Kind, Recurrent},
};
use tract_onnx::pb::NodeProto;

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    table(node, &[("RNN", rnn, true), ("LSTM", lstm, true), ("GRU", gru, true)])
}

fn rnn(b: &mut Builder<'_>) -> Result<Vec<String>> {
    recurrent(b, Cell::Rnn, &["Tanh"])
}

fn lstm(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let peepholes = b.input(7).is_some();
    let coupled = b.int_or("input_forget", 0) != 0;
    recurrent(b, Cell::Lstm { coupled, peepholes }, &["Sigmoid", "Tanh", "Tanh"])
}

fn gru(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let reset_after = b.int_or("linear_before_reset", 0) != 0;
    recurrent(b, Cell::Gru { reset_after }, &["Sigmoid", "Tanh"])
}

/// Parameters of functions, taken in turn by those that have any.
struct Parameters {
    given: Vec<f64>,
    next: usize,
}

impl Parameters {
    fn take(&mut self, default: Option<f32>) -> f32 {
        let Some(default) = default else { return 0.0 };
        let value = self.given.get(self.next).map_or(default, |v| *v as f32);
        self.next += 1;
        value
    }
}

/// The activations of each direction.
fn activations(b: &Builder<'_>, directions: usize, standard: &[&str]) -> Result<Vec<Vec<Activation>>> {
    let mut names = b.texts("activations");
    if names.is_empty() {
        names = (0..directions).flat_map(|_| standard.iter().map(|s| (*s).to_owned())).collect();
    }
    if names.len() != directions * standard.len() {
        let needed = directions * standard.len();
        return Err(ImportError::unsupported(format!("{} activations; {needed} are needed", names.len())));
    }
    let parameters = |name: &str| Parameters { given: b.floats(name).unwrap_or_default(), next: 0 };
    let (mut alphas, mut betas) = (parameters("activation_alpha"), parameters("activation_beta"));
    let clip = Some(b.float_or("clip", 0.0)).filter(|c| *c > 0.0);
    let mut all = Vec::with_capacity(names.len());
    for name in &names {
        let (shape, alpha, beta) = Activation::named(name)
            .ok_or_else(|| ImportError::unsupported(format!("'{name}' is no activation of the ONNX standard")))?;
        let (alpha, beta) = (alphas.take(alpha), betas.take(beta));
        if !alpha.is_finite() || !beta.is_finite() {
            return Err(ImportError::unsupported(format!("'{name}' with a parameter that is no number")));
        }
        all.push(Activation { shape, alpha, beta, clip });
    }
    for list in [&alphas, &betas] {
        if list.given.len() > list.next {
            let what = format!("{} parameters for activations that take {}", list.given.len(), list.next);
            return Err(ImportError::unsupported(what));
        }
    }
    Ok(all.chunks(standard.len()).map(<[_]>::to_vec).collect())
}

/// A tensor of the given extents, or an error that names it.
fn expect(b: &Builder<'_>, i: usize, shape: &[usize]) -> Result<Option<String>> {
    let Some(name) = b.input(i) else { return Ok(None) };
    let got = b.shape(&name)?;
    if got == shape {
        return Ok(Some(name));
    }
    Err(ImportError::unsupported(format!("input {i} ('{name}') has the shape {got:?}; {shape:?} is needed")))
}

fn recurrent(b: &mut Builder<'_>, cell: Cell, standard: &[&str]) -> Result<Vec<String>> {
    let (x, w, r) = (b.need(0)?, b.need(1)?, b.need(2)?);
    let by_sequence = match b.int_or("layout", 0) {
        0 => false,
        1 => true,
        other => return Err(ImportError::unsupported(format!("layout {other}"))),
    };
    // [T, N, I]
    let x = if by_sequence { b.transpose(&x, &[1, 0, 2]) } else { x };
    let [first, second, features] = b.shape(&b.need(0)?)?[..] else {
        return Err(ImportError::unsupported("an input of another rank than three"));
    };
    let (steps, n) = if by_sequence { (second, first) } else { (first, second) };
    let [directions, wide, units] = b.shape(&r)?[..] else {
        return Err(ImportError::unsupported("recurrent weights of another rank than three"));
    };
    let reversed: &[bool] = match b.text_or("direction", "forward").as_str() {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(ImportError::unsupported(format!("direction '{other}'"))),
    };
    let gates = cell.gates();
    let named = b.int_or("hidden_size", units as i64);
    if reversed.len() != directions || wide != gates * units || named != units as i64 {
        let what =
            format!("recurrent weights of shape {:?} for {} directions of {named} units", b.shape(&r)?, reversed.len());
        return Err(ImportError::unsupported(what));
    }
    volume([steps, n, wide].map(|d| d as i64).into_iter()).map_err(ImportError::unsupported)?;
    expect(b, 1, &[directions, wide, features])?;
    let bias = expect(b, 3, &[directions, 2 * wide])?;
    full_length(b, steps, n)?;
    let state = if by_sequence { [n, directions, units] } else { [directions, n, units] };
    let starts = [expect(b, 5, &state)?, if cell.has_memory() { expect(b, 6, &state)? } else { None }];
    let starts = starts.map(|s| s.map(|s| if by_sequence { b.transpose(&s, &[1, 0, 2]) } else { s }));
    let peepholes = if cell.has_memory() { expect(b, 7, &[directions, 3 * units])? } else { None };
    let functions = activations(b, directions, standard)?;

    let mut all: [Vec<String>; 2] = [vec![], vec![]];
    let mut last: [Vec<String>; 2] = [vec![], vec![]];
    for (d, (reverse, activations)) in reversed.iter().zip(functions).enumerate() {
        let part = |b: &mut Builder<'_>, name: &str| b.slice(name, 0, d, d + 1);
        let w = part(b, &w);
        let w = b.squeeze(&w, &[0]);
        let w = b.transpose(&w, &[1, 0]);
        let mut pre = b.op("MatMul", &[&x, &w], vec![]);
        let mut extra = None;
        if let Some(bias) = &bias {
            let bias = part(b, bias);
            let bias = b.reshape(&bias, &[2, wide]);
            let halves = [0, 1].map(|h| b.slice(&bias, 0, h, h + 1)).map(|h| b.reshape(&h, &[wide]));
            let sum = if cell == (Cell::Gru { reset_after: true }) {
                // The recurrent bias of the hidden gate lies inside of the reset.
                let split = 2 * units;
                let outer = halves.clone().map(|h| b.slice(&h, 0, 0, split));
                let outer = b.op("Add", &[&outer[0], &outer[1]], vec![]);
                let hidden = b.slice(&halves[0], 0, split, wide);
                extra = Some(b.slice(&halves[1], 0, split, wide));
                b.concat(&[outer, hidden], 0)
            } else {
                b.op("Add", &[&halves[0], &halves[1]], vec![])
            };
            pre = b.op("Add", &[&pre, &sum], vec![]);
        } else if cell == (Cell::Gru { reset_after: true }) {
            extra = Some(b.tensor(&[units], &vec![0.0; units]));
        }
        if let Some(p) = &peepholes {
            let p = part(b, p);
            extra = Some(b.reshape(&p, &[3 * units]));
        }
        let r = part(b, &r);
        let mut inputs = vec![pre, b.squeeze(&r, &[0])];
        for start in starts.iter().take(if cell.has_memory() { 2 } else { 1 }) {
            inputs.push(match start {
                Some(s) => part(b, s),
                None => b.tensor(&[1, n, units], &vec![0.0; n * units]),
            });
        }
        inputs.extend(extra);
        let op = Recurrent { cell, units, reverse: *reverse, activations };
        let shapes = op.outputs(steps, n);
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let made = b.own_several(Kind::Recurrent(op), &inputs, &shapes)?;
        for (k, made) in made.iter().take(if cell.has_memory() { 2 } else { 1 }).enumerate() {
            all[k].push(made.clone());
            let at = if *reverse { 0 } else { steps - 1 };
            last[k].push(b.slice(made, 0, at, at + 1));
        }
    }
    // [T, D, N, H], or [N, T, D, H]
    let each: Vec<String> = all[0].iter().map(|h| b.unsqueeze(h, 1)).collect();
    let y = b.concat(&each, 1);
    let y = if by_sequence { b.transpose(&y, &[2, 0, 1, 3]) } else { y };
    let mut out = vec![y];
    for states in &last[..if cell.has_memory() { 2 } else { 1 }] {
        let joined = b.concat(states, 0);
        out.push(if by_sequence { b.transpose(&joined, &[1, 0, 2]) } else { joined });
    }
    Ok(out)
}

/// Sequences of other lengths would be masked step by step; only full ones are proven.
fn full_length(b: &Builder<'_>, steps: usize, n: usize) -> Result<()> {
    let Some(name) = b.input(4) else { return Ok(()) };
    let help =
        format!("'sequence_lens' must be a constant of {n} times {steps}, all steps; pad or cut the sequences outside");
    let lengths = b.values(&name).ok_or_else(|| ImportError::unsupported(help.clone()))?;
    if lengths.len() != n || lengths.iter().any(|l| *l != steps as f64) {
        return Err(ImportError::unsupported(help));
    }
    Ok(())
}
