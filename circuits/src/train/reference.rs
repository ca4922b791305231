//! The specification of training: plain loops over integers, one row after the other.
//!
//! Fixed point: data and activations have `ACTIVATION_BITS` fraction bits, weights and biases `WEIGHT_BITS`, errors (what is
//! carried backward) `ERROR_BITS`. `rs(v, s) = floor((v + 2^(s-1)) / 2^s)` rounds, and every value that is kept is clamped to
//! `WIDTH` bits. All weights of a step change after all its gradients have been computed.

use super::{
    ACTIVATION_BITS, ERROR_BITS, EXPONENTIAL_BITS, EXPONENTIAL_KEYS, LOGIT_WIDTH, Layer, Loss, PROBABILITY_BITS,
    RELU_KEYS, Sampler, Spec, TrainError, WEIGHT_BITS, WIDTH,
};
use crate::tensor::Tensor;

/// How much finer a velocity is than the weight that it moves, as a shift.
pub(super) const VELOCITY_SHIFT: u32 = 4;

/// Weights, velocities and losses while training goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Weights and biases, in the order of [`super::Network::weights`].
    pub weights: Vec<Tensor>,
    /// Their velocities; zero without momentum.
    pub velocities: Vec<Tensor>,
    /// For each step done, the sum over its rows and outputs of the squared difference between output (probability, for
    /// cross-entropy) and target, in units of `2^(-2 * ACTIVATION_BITS)` (or `2^(-2 * PROBABILITY_BITS)`).
    pub losses: Vec<i64>,
}

impl State {
    /// Nothing done yet.
    pub fn new(weights: Vec<Tensor>) -> Self {
        let velocities = weights.iter().map(|w| Tensor::zeros(&w.shape)).collect();
        Self { weights, velocities, losses: vec![] }
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

/// `e^x` of a difference of logits in units of `2^-ACTIVATION_BITS`, as a whole number of `2^-EXPONENTIAL_BITS`, at least one.
pub(super) fn exponential(difference: i64) -> i64 {
    let x = difference.clamp(FARTHEST, 0) as f64 / f64::from(1u32 << ACTIVATION_BITS);
    ((x.exp() * f64::from(1u32 << EXPONENTIAL_BITS)).round() as i64).max(1)
}

/// Softmax of logits, in units of `2^-PROBABILITY_BITS`, rounded. The largest logit is taken off first: without that, two logits
/// beyond the table would count as equal, and training past that point diverges.
fn softmax(logits: &[i64]) -> Vec<i64> {
    let half = 1i64 << (LOGIT_WIDTH - 1);
    let logits: Vec<i64> = logits.iter().map(|o| (*o).clamp(-half, half - 1)).collect();
    let largest = logits.iter().copied().max().unwrap_or(0);
    let powers: Vec<i64> = logits.iter().map(|o| exponential(o - largest)).collect();
    let sum: i64 = powers.iter().sum();
    powers.iter().map(|p| ((p << (PROBABILITY_BITS + 1)) + sum).div_euclid(2 * sum + 1)).collect()
}

fn relu(v: i64) -> i64 {
    v.clamp(0, (1 << (RELU_KEYS - 1)) - 1)
}

/// `[channels, height, width]` by three indices; zero outside.
fn pixel(data: &[i64], [c, h, w]: [usize; 3], channel: usize, y: i64, x: i64) -> i64 {
    if channel >= c || !(0..h as i64).contains(&y) || !(0..w as i64).contains(&x) {
        return 0;
    }
    data[(channel * h + y as usize) * w + x as usize]
}

fn image(shape: &[usize]) -> [usize; 3] {
    [shape[0], shape[1], shape[2]]
}

/// What a layer with weights computes before rounding, from its input.
fn accumulate(layer: &Layer, shape: &[usize], input: &[i64], w: &[i64], b: &[i64]) -> Vec<i64> {
    match layer {
        Layer::Dense { inputs, outputs } => (0..*outputs)
            .map(|o| {
                let sum: i64 = (0..*inputs).map(|i| input[i] * w[i * outputs + o]).sum();
                sum + (b[o] << ACTIVATION_BITS)
            })
            .collect(),
        Layer::Conv { inputs, outputs, kernel: [kh, kw], pads: [top, left, bottom, right] } => {
            let [_, h, width] = image(shape);
            let (oh, ow) = (h + top + bottom + 1 - kh, width + left + right + 1 - kw);
            let mut out = vec![];
            for (o, bias) in b.iter().enumerate().take(*outputs) {
                for y in 0..oh {
                    for x in 0..ow {
                        let mut sum = bias << ACTIVATION_BITS;
                        for c in 0..*inputs {
                            for dy in 0..*kh {
                                for dx in 0..*kw {
                                    let (py, px) = ((y + dy) as i64 - *top as i64, (x + dx) as i64 - *left as i64);
                                    let k = w[((o * inputs + c) * kh + dy) * kw + dx];
                                    sum += pixel(input, image(shape), c, py, px) * k;
                                }
                            }
                        }
                        out.push(sum);
                    }
                }
            }
            out
        }
        _ => vec![],
    }
}

/// Adds the gradients of one row to those of a layer's weights, and returns the error of its input before rounding.
fn propagate(
    layer: &Layer,
    shape: &[usize],
    (input, error): (&[i64], &[i64]),
    w: &[i64],
    (gw, gb): (&mut [i64], &mut [i64]),
) -> Vec<i64> {
    let mut back = vec![0i64; input.len()];
    match layer {
        Layer::Dense { inputs, outputs } => {
            for o in 0..*outputs {
                gb[o] += error[o];
                for i in 0..*inputs {
                    gw[i * outputs + o] += input[i] * error[o];
                    back[i] += error[o] * w[i * outputs + o];
                }
            }
        }
        Layer::Conv { inputs, outputs, kernel: [kh, kw], pads: [top, left, bottom, right] } => {
            let [_, h, width] = image(shape);
            let (oh, ow) = (h + top + bottom + 1 - kh, width + left + right + 1 - kw);
            for o in 0..*outputs {
                for y in 0..oh {
                    for x in 0..ow {
                        let e = error[(o * oh + y) * ow + x];
                        gb[o] += e;
                        for c in 0..*inputs {
                            for dy in 0..*kh {
                                for dx in 0..*kw {
                                    let (py, px) = ((y + dy) as i64 - *top as i64, (x + dx) as i64 - *left as i64);
                                    let k = ((o * inputs + c) * kh + dy) * kw + dx;
                                    gw[k] += e * pixel(input, image(shape), c, py, px);
                                    if (0..h as i64).contains(&py) && (0..width as i64).contains(&px) {
                                        back[(c * h + py as usize) * width + px as usize] += e * w[k];
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        _ => {}
    }
    back
}

/// Index of the square that an entry of the input belongs to.
fn square(shape: &[usize], size: usize, i: usize) -> usize {
    let [_, h, w] = image(shape);
    let (c, y, x) = (i / (h * w), i / w % h, i % w);
    (c * (h / size) + y / size) * (w / size) + x / size
}

/// Outputs of all layers for one row, the input first. Layers with weights are rounded where no ReLU follows; ReLU rounds
/// what it reads.
fn forward(spec: &Spec, shapes: &[Vec<usize>], weights: &[Tensor], row: &[i64]) -> Vec<Vec<i64>> {
    let mut out = vec![row.to_vec()];
    let mut sums = false;
    let mut k = 0;
    for (i, layer) in spec.network.layers.iter().enumerate() {
        let input = &out[i];
        let next = match layer {
            Layer::Dense { .. } | Layer::Conv { .. } => {
                let sum = accumulate(layer, &shapes[i], input, &weights[k].data, &weights[k + 1].data);
                k += 2;
                sums = matches!(spec.network.layers.get(i + 1), Some(Layer::Relu));
                if sums { sum } else { sum.iter().map(|v| kept(rs(*v, WEIGHT_BITS.into()))).collect() }
            }
            Layer::Relu => {
                let shift = if std::mem::take(&mut sums) { WEIGHT_BITS.into() } else { 0 };
                input.iter().map(|v| relu(rs(*v, shift))).collect()
            }
            Layer::AveragePool { size } => {
                let mut sum = vec![0i64; input.len() / (size * size)];
                input.iter().enumerate().for_each(|(j, v)| sum[square(&shapes[i], *size, j)] += v);
                sum.iter().map(|v| kept(rs(*v, 2 * i64::from(size.trailing_zeros())))).collect()
            }
            Layer::Flatten => input.clone(),
        };
        out.push(next);
    }
    out
}

/// The network's output for one row.
///
/// # Errors
/// A specification that is impossible.
pub fn infer(spec: &Spec, weights: &[Tensor], row: &[i64]) -> Result<Vec<i64>, TrainError> {
    Ok(forward(spec, &spec.network.shapes()?, weights, row).pop().unwrap_or_default())
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
    let shapes = spec.network.shapes()?;
    let layers = &spec.network.layers;
    let sampler = Sampler::new(&spec.seed, spec.rows as u64);
    let (width, classes) = (data.data.len() / spec.rows, targets.data.len() / spec.rows);
    let mut gradients: Vec<Vec<i64>> = state.weights.iter().map(|w| vec![0; w.data.len()]).collect();
    let mut loss = 0i64;
    for b in 0..spec.batch() {
        let row = sampler.index((step * spec.batch() + b) as u64) as usize;
        let values = forward(spec, &shapes, &state.weights, &data.data[row * width..(row + 1) * width]);
        let output = values.last().map(Vec::as_slice).unwrap_or_default();
        let (mut error, squares) = output_error(spec.loss, output, &targets.data[row * classes..(row + 1) * classes]);
        loss += squares;
        let mut k = state.weights.len();
        for (i, layer) in layers.iter().enumerate().rev() {
            error = match layer {
                Layer::Dense { .. } | Layer::Conv { .. } => {
                    k -= 2;
                    let (gw, gb) = gradients[k..].split_at_mut(1);
                    let w = &state.weights[k].data;
                    let back = propagate(layer, &shapes[i], (&values[i], &error), w, (&mut gw[0], &mut gb[0]));
                    back.iter().map(|v| kept(rs(*v, WEIGHT_BITS.into()))).collect()
                }
                Layer::Relu => {
                    error.iter().zip(&values[i + 1]).map(|(e, a)| if *a > 0 { kept(*e) } else { 0 }).collect()
                }
                Layer::AveragePool { size } => {
                    let small: Vec<i64> =
                        error.iter().map(|e| kept(rs(*e, 2 * i64::from(size.trailing_zeros())))).collect();
                    (0..values[i].len()).map(|j| small[square(&shapes[i], *size, j)]).collect()
                }
                Layer::Flatten => error,
            };
        }
    }
    for (k, gradient) in gradients.iter().enumerate() {
        let shift = if k % 2 == 0 { spec.weight_shift() } else { spec.bias_shift() };
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
    let classes = spec.outputs()?;
    let width = spec.network.input.iter().product();
    let mut loss = 0;
    for (row, target) in data.data.chunks(width).zip(targets.data.chunks(classes)) {
        loss += output_error(spec.loss, &infer(spec, weights, row)?, target).1;
    }
    Ok(loss)
}

/// All steps.
///
/// # Errors
/// Those of [`step()`].
pub fn train(spec: &Spec, weights: Vec<Tensor>, data: &Tensor, targets: &Tensor) -> Result<State, TrainError> {
    spec.validate()?;
    let mut state = State::new(weights);
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
