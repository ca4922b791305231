//! The specification of training: plain loops over integers, one row after the other.
//!
//! Fixed point: data and activations have `ACTIVATION_BITS` fraction bits, weights and biases `WEIGHT_BITS`, errors (what is
//! carried backward) `ERROR_BITS`. `rs(v, s) = floor((v + 2^(s-1)) / 2^s)` rounds, and every value that is kept is clamped to
//! `WIDTH` bits. All weights of a step change after all its gradients have been computed.

mod layers;
mod tokens;

use super::{
    ACTIVATION_BITS, ERROR_BITS, EXPONENTIAL_BITS, EXPONENTIAL_KEYS, LOGIT_WIDTH, Loss, PROBABILITY_BITS, Sampler,
    Spec, TrainError, WIDTH,
};
use crate::tensor::Tensor;
pub(super) use layers::{dividend, share};
pub(super) use tokens::{SCALE_BITS, scale};

/// How much finer a velocity is than the weight that it moves, as a shift.
pub(super) const VELOCITY_SHIFT: u32 = 4;

/// Weights, velocities and losses while training goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Weights and biases that are trained, in the order of [`super::Network::weights`].
    pub weights: Vec<Tensor>,
    /// Those that stay as they are, in the order of [`super::Network::base`].
    pub base: Vec<Tensor>,
    /// Their velocities; zero without momentum.
    pub velocities: Vec<Tensor>,
    /// For each step done, the sum over its rows and outputs of the squared difference between output (probability, for
    /// cross-entropy) and target, in units of `2^(-2 * ACTIVATION_BITS)` (or `2^(-2 * PROBABILITY_BITS)`).
    pub losses: Vec<i64>,
}

impl State {
    /// Nothing done yet.
    pub fn new(weights: Vec<Tensor>) -> Self {
        Self::over(weights, vec![])
    }

    /// Nothing done yet, over weights that stay as they are.
    pub fn over(weights: Vec<Tensor>, base: Vec<Tensor>) -> Self {
        let velocities = weights.iter().map(|w| Tensor::zeros(&w.shape)).collect();
        Self { weights, base, velocities, losses: vec![] }
    }
}

/// `floor((v + 2^(s-1)) / 2^s)`; a negative shift multiplies.
pub(super) fn rs(v: i64, s: i64) -> i64 {
    match s {
        0 => v,
        s if s < 0 => v << -s,
        s => (v + (1 << (s - 1))) >> s,
    }
}

/// A value kept: clamped to `WIDTH` bits.
pub(super) fn kept(v: i64) -> i64 {
    v.clamp(-(1 << (WIDTH - 1)), (1 << (WIDTH - 1)) - 1)
}

/// The lowest key of the table of exponentials; the highest is zero.
pub(super) const FARTHEST: i64 = 1 - (1 << EXPONENTIAL_KEYS);

/// `e^x` of a difference of logits in units of `2^-ACTIVATION_BITS`, as a whole number of `2^-EXPONENTIAL_BITS`: zero from some
/// distance on.
pub(super) fn power(difference: i64) -> i64 {
    let x = difference.clamp(FARTHEST, 0) as f64 / f64::from(1u32 << ACTIVATION_BITS);
    (x.exp() * f64::from(1u32 << EXPONENTIAL_BITS)).round() as i64
}

/// As [`power`], at least one.
pub(super) fn exponential(difference: i64) -> i64 {
    power(difference).max(1)
}

/// Softmax of logits, in units of `2^-PROBABILITY_BITS`, rounded. The largest logit is taken off first: without that, two logits
/// beyond the table would count as equal, and training past that point diverges.
fn softmax(logits: &[i64]) -> Vec<i64> {
    softmax_of(logits, exponential)
}

/// As [`softmax`], of other exponentials.
fn softmax_of(logits: &[i64], exponential: impl Fn(i64) -> i64) -> Vec<i64> {
    let half = 1i64 << (LOGIT_WIDTH - 1);
    let logits: Vec<i64> = logits.iter().map(|o| (*o).clamp(-half, half - 1)).collect();
    let largest = logits.iter().copied().max().unwrap_or(0);
    let powers: Vec<i64> = logits.iter().map(|o| exponential(o - largest)).collect();
    let sum: i64 = powers.iter().sum();
    powers.iter().map(|p| ((p << (PROBABILITY_BITS + 1)) + sum).div_euclid(2 * sum + 1)).collect()
}

/// The network's output for one row.
///
/// # Errors
/// A specification that is impossible.
pub fn infer(spec: &Spec, weights: &[Tensor], row: &[i64]) -> Result<Vec<i64>, TrainError> {
    infer_over(spec, weights, &[], row)
}

/// As [`infer`], over weights that stay as they are.
///
/// # Errors
/// A specification that is impossible, another number of weights.
pub fn infer_over(spec: &Spec, weights: &[Tensor], base: &[Tensor], row: &[i64]) -> Result<Vec<i64>, TrainError> {
    spec.network.shapes()?;
    let weights = spec.network.side_by_side(weights, base)?;
    Ok(layers::forward(&spec.network.layers, &spec.network.input, &weights, row).output().to_vec())
}

/// The error at the network's output, and the sum of its squares in the unit of [`State::losses`].
fn output_error(loss: Loss, output: &[i64], target: &[i64]) -> (Vec<i64>, i64) {
    let differences: Vec<i64> = match loss {
        Loss::SquaredError => output.iter().zip(target).map(|(o, y)| o - y).collect(),
        Loss::CrossEntropy => {
            let up = PROBABILITY_BITS - ACTIVATION_BITS;
            softmax(output).iter().zip(target).map(|(p, y)| p - (y << up)).collect()
        }
    };
    let unit = ERROR_BITS - loss.difference_bits();
    let squares = differences.iter().map(|d| d * d).sum();
    (differences.iter().map(|d| d << unit).collect(), squares)
}

/// One step: rows `step * batch ..` of the sampler's walk.
///
/// `data` is `[rows, ..input]`, `targets` `[rows, outputs]`, both integers of `ACTIVATION_BITS` fraction bits.
///
/// # Errors
/// A specification that is impossible; data that does not fit it.
pub fn step(spec: &Spec, state: &mut State, step: usize, data: &Tensor, targets: &Tensor) -> Result<(), TrainError> {
    spec.network.shapes()?;
    let network = &spec.network;
    let sampler = Sampler::new(&spec.seed, spec.rows as u64);
    let (width, classes) = (data.data.len() / spec.rows, targets.data.len() / spec.rows);
    let weights = network.side_by_side(&state.weights, &state.base)?;
    let mut gradients: Vec<Vec<i64>> = weights.iter().map(|w| vec![0; w.data.len()]).collect();
    let mut loss = 0i64;
    for b in 0..spec.batch() {
        let row = sampler.index((step * spec.batch() + b) as u64) as usize;
        let row_data = &data.data[row * width..(row + 1) * width];
        let trace = layers::forward(&network.layers, &network.input, &weights, row_data);
        let target = &targets.data[row * classes..(row + 1) * classes];
        let (error, squares) = output_error(spec.loss, trace.output(), target);
        loss += squares;
        layers::backward(&network.layers, &trace, &weights, &mut gradients, error);
    }
    let trained = gradients.iter().zip(network.parameters()).filter(|(_, p)| !p.frozen);
    for (k, (gradient, parameter)) in trained.enumerate() {
        let shift = spec.shift(parameter.gradient_bits);
        for (i, g) in gradient.iter().enumerate() {
            let w = state.weights[k].data[i];
            let v = state.velocities[k].data[i];
            let (w, v) = update(spec, shift, w, v, *g);
            state.weights[k].data[i] = w;
            state.velocities[k].data[i] = v;
        }
    }
    state.losses.push(loss);
    Ok(())
}

/// A weight and its velocity after a gradient.
fn update(spec: &Spec, shift: i64, w: i64, v: i64, g: i64) -> (i64, i64) {
    // `round((2^s w - g) / 2^s)`; with a negative shift the gradient is multiplied instead.
    let moved = |w: i64, g: i64, s: i64| {
        let (up, g) = if s >= 0 { (s, g) } else { (0, g << -s) };
        kept(rs((w << up) - g, up))
    };
    let Some(m) = spec.momentum_bits else { return (moved(w, g, shift), v) };
    let m = i64::from(m);
    let s = shift - i64::from(VELOCITY_SHIFT);
    let (up, g) = if s >= 0 { (s, g) } else { (0, g << -s) };
    let v = kept(rs(((((1 << m) - 1) * v) << up) + (g << m), up + m));
    (moved(w, v, VELOCITY_SHIFT.into()), v)
}

/// The loss of weights on all rows of a holdout: the sum in the unit of [`State::losses`].
///
/// # Errors
/// A specification that is impossible.
pub fn evaluate(spec: &Spec, weights: &[Tensor], data: &Tensor, targets: &Tensor) -> Result<i64, TrainError> {
    evaluate_over(spec, weights, &[], data, targets)
}

/// As [`evaluate`], over weights that stay as they are.
///
/// # Errors
/// A specification that is impossible, another number of weights.
pub fn evaluate_over(
    spec: &Spec,
    weights: &[Tensor],
    base: &[Tensor],
    data: &Tensor,
    targets: &Tensor,
) -> Result<i64, TrainError> {
    let classes = spec.outputs()?;
    let width = spec.network.input.iter().product();
    let mut loss = 0;
    for (row, target) in data.data.chunks(width).zip(targets.data.chunks(classes)) {
        loss += output_error(spec.loss, &infer_over(spec, weights, base, row)?, target).1;
    }
    Ok(loss)
}

/// All steps.
///
/// # Errors
/// Those of [`step()`].
pub fn train(spec: &Spec, weights: Vec<Tensor>, data: &Tensor, targets: &Tensor) -> Result<State, TrainError> {
    train_over(spec, weights, vec![], data, targets)
}

/// All steps, over weights that stay as they are.
///
/// # Errors
/// Those of [`step()`].
pub fn train_over(
    spec: &Spec,
    weights: Vec<Tensor>,
    base: Vec<Tensor>,
    data: &Tensor,
    targets: &Tensor,
) -> Result<State, TrainError> {
    spec.validate()?;
    let mut state = State::over(weights, base);
    for t in 0..spec.steps {
        step(spec, &mut state, t, data, targets)?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No entry of the table of exponentials is near enough to a tie for a platform's `exp` to matter.
    #[test]
    fn exponentials_are_far_from_ties() {
        for difference in FARTHEST..=0 {
            let x = (difference as f64 / 256.0).exp() * 32768.0;
            assert!(((x - x.floor()) - 0.5).abs() > 1e-6, "{difference}: {x}");
        }
    }

    #[test]
    fn probabilities_are_those_of_softmax() {
        for logits in [[0i64, 0, 0], [5000, 4000, -8000], [8191, 8191, 8000], [-8192, -8192, -8100], [700, -300, 450]] {
            let powers: Vec<f64> = logits.iter().map(|l| ((*l - 8192) as f64 / 256.0).exp()).collect();
            let sum: f64 = powers.iter().sum();
            for (got, power) in softmax(&logits).into_iter().zip(&powers) {
                assert!((got as f64 / 2048.0 - power / sum).abs() < 0.51 / 2048.0 + 1e-4, "{logits:?}: {got}");
            }
        }
    }
}
