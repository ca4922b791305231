//! Layers for one row: values, and errors from the output to the input.

use super::{
    kept, rs,
    tokens::{self, Adapter, Heads},
};
use crate::{
    tensor::Tensor,
    train::{
        ACTIVATION_BITS, CENTERED_BITS, LOGIT_WIDTH, Layer, NORMAL_BITS, RECIPROCAL_BITS, RELU_KEYS, SLOPE_BITS,
        WEIGHT_BITS,
        layer::{rounds, rounds_before},
    },
};

/// What a layer computed, and what its gradient needs.
struct Step {
    value: Vec<i64>,
    shape: Vec<usize>,
    memory: Memory,
}

enum Memory {
    Nothing,
    /// Keys of a smooth function.
    Keys(Vec<i64>),
    /// Where the largest of each square is.
    First(Vec<usize>),
    /// Normalized values, and the reciprocal of the deviation of each group.
    Normal(Vec<i64>, Vec<i64>),
    /// Probabilities of an attention, or what an adapter made of the input.
    Inner(Vec<i64>),
    /// Body and shortcut.
    Branches(Box<[Trace; 2]>),
}

/// Values of layers in a row.
pub(super) struct Trace {
    input: Vec<i64>,
    shape: Vec<usize>,
    steps: Vec<Step>,
}

impl Trace {
    /// What the last layer gives.
    pub(super) fn output(&self) -> &[i64] {
        self.steps.last().map_or(&self.input, |s| &s.value)
    }

    /// Value and shape that layer `i` reads.
    fn before(&self, i: usize) -> (&[i64], &[usize]) {
        match i.checked_sub(1).and_then(|i| self.steps.get(i)) {
            Some(s) => (&s.value, &s.shape),
            None => (&self.input, &self.shape),
        }
    }
}

/// Factor and shift by which a sum over `n` values becomes a mean: `2^shift / n`, rounded to 15 bits.
pub(in crate::train) fn share(n: usize) -> (i64, u32) {
    let shift = n.next_power_of_two().trailing_zeros() + 14;
    let n = n as i64;
    (((2i64 << shift) / n + 1) / 2, shift)
}

/// The dividend of the reciprocal of a deviation of `n` values: `2^(RECIPROCAL_BITS + CENTERED_BITS + 4)` times the root of `n`.
pub(in crate::train) fn dividend(n: usize) -> i64 {
    ((n as u128) << (2 * (RECIPROCAL_BITS + CENTERED_BITS + 4))).isqrt() as i64
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

/// One product of a convolution: indices of kernel entry and output, channel and place of the input.
struct Tap {
    kernel: usize,
    output: usize,
    channel: usize,
    place: (i64, i64),
}

/// All products of a convolution.
fn each_tap(layer: &Layer, out: &[usize], mut visit: impl FnMut(Tap)) {
    let Layer::Conv { inputs, kernel: [kh, kw], pads, strides, .. } = layer else { return };
    let [outputs, oh, ow] = image(out);
    for o in 0..outputs {
        for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
            let output = (o * oh + y) * ow + x;
            for channel in 0..*inputs {
                for (dy, dx) in (0..*kh).flat_map(|dy| (0..*kw).map(move |dx| (dy, dx))) {
                    let kernel = ((o * inputs + channel) * kh + dy) * kw + dx;
                    let along = |i: usize, k: usize, axis: usize| (i * strides[axis] + k) as i64 - pads[axis] as i64;
                    visit(Tap { kernel, output, channel, place: (along(y, dy, 0), along(x, dx, 1)) });
                }
            }
        }
    }
}

/// Index of the square that an entry of the input belongs to; `None` for what fills no square.
fn square(shape: &[usize], size: usize, i: usize) -> Option<usize> {
    let [_, h, w] = image(shape);
    let (c, y, x) = (i / (h * w), i / w % h / size, i % w / size);
    (y < h / size && x < w / size).then(|| (c * (h / size) + y) * (w / size) + x)
}

/// Number of tokens of a shape, its last axis aside, and that axis.
fn tokens_of(shape: &[usize]) -> (usize, usize) {
    let last = shape.last().copied().unwrap_or(1);
    (shape.iter().product::<usize>() / last.max(1), last)
}

/// The channel of an entry, of layers that have one gain a channel or one for each index of the last axis.
fn gain_of(layer: &Layer, shape: &[usize], i: usize) -> usize {
    if let Layer::TokenNorm { width, .. } = layer { i % width } else { channel(shape, i) }
}

/// Groups of a normalization.
fn groups_of(layer: &Layer, shape: &[usize]) -> usize {
    match layer {
        Layer::Norm { groups, .. } => *groups,
        _ => tokens_of(shape).0,
    }
}

fn adapter(layer: &Layer) -> Option<Adapter> {
    let Layer::Adapted { inputs, outputs, rank, scale_bits } = layer else { return None };
    Some(Adapter { inputs: *inputs, outputs: *outputs, rank: *rank, scale_bits: *scale_bits })
}

fn heads(layer: &Layer) -> Option<Heads> {
    let Layer::Attention { heads, width, causal } = layer else { return None };
    Some(Heads { heads: *heads, width: *width, causal: *causal })
}

/// Channel of an entry.
fn channel(shape: &[usize], i: usize) -> usize {
    i / shape[1..].iter().product::<usize>()
}

/// Values of layers in a row, for one input.
pub(super) fn forward(layers: &[Layer], shape: &[usize], mut weights: &[Tensor], input: &[i64]) -> Trace {
    let mut trace = Trace { input: input.to_vec(), shape: shape.to_vec(), steps: vec![] };
    for (i, layer) in layers.iter().enumerate() {
        let (own, rest) = weights.split_at(layer.parameters().len());
        weights = rest;
        let (x, shape) = trace.before(i);
        let out = layer.apply(shape).unwrap_or_default();
        let (mut value, memory) = values(layer, (x, shape), &out, own, rounds_before(layers, i));
        if let Some(bits) = rounds(layers, i) {
            value.iter_mut().for_each(|v| *v = kept(rs(*v, bits.into())));
        }
        trace.steps.push(Step { value, shape: out, memory });
    }
    trace
}

/// What one layer computes, before its sums are rounded.
fn values(
    layer: &Layer,
    (x, shape): (&[i64], &[usize]),
    out: &[usize],
    weights: &[Tensor],
    bits: u32,
) -> (Vec<i64>, Memory) {
    let shift = i64::from(bits);
    let count = out.iter().product::<usize>();
    match layer {
        Layer::Fixed { layer } => values(layer, (x, shape), out, weights, bits),
        Layer::Adapted { .. } => match adapter(layer) {
            Some(a) => {
                let (value, low) = tokens::adapted(a, x, weights);
                (value, Memory::Inner(low))
            }
            None => (vec![], Memory::Nothing),
        },
        Layer::Attention { .. } => match heads(layer) {
            Some(a) => {
                let (value, probabilities) = tokens::attend(a, x, tokens_of(shape).0);
                (value, Memory::Inner(probabilities))
            }
            None => (vec![], Memory::Nothing),
        },
        Layer::Dense { inputs, outputs } => {
            let (w, b) = (&weights[0].data, &weights[1].data);
            let sum = |x: &[i64], o: usize| (0..*inputs).map(|i| x[i] * w[i * outputs + o]).sum::<i64>();
            let token = |x| (0..*outputs).map(move |o| sum(x, o) + (b[o] << ACTIVATION_BITS));
            (x.chunks(*inputs).flat_map(token).collect(), Memory::Nothing)
        }
        Layer::Conv { .. } => {
            let (w, b) = (&weights[0].data, &weights[1].data);
            let mut value: Vec<i64> = (0..count).map(|i| b[channel(out, i)] << ACTIVATION_BITS).collect();
            each_tap(layer, out, |t| {
                value[t.output] += pixel(x, image(shape), t.channel, t.place.0, t.place.1) * w[t.kernel];
            });
            (value, Memory::Nothing)
        }
        Layer::Relu => (x.iter().map(|v| relu(rs(*v, shift))).collect(), Memory::Nothing),
        Layer::Smooth(a) => {
            let half = 1i64 << (LOGIT_WIDTH - 1);
            let keys: Vec<i64> = x.iter().map(|v| rs(*v, shift).clamp(-half, half - 1)).collect();
            (keys.iter().map(|k| a.value(*k)).collect(), Memory::Keys(keys))
        }
        Layer::AveragePool { size } => {
            let mut sum = vec![0i64; count];
            x.iter().enumerate().for_each(|(i, v)| {
                if let Some(s) = square(shape, *size, i) {
                    sum[s] += v;
                }
            });
            let shift = 2 * i64::from(size.trailing_zeros());
            (sum.iter().map(|v| kept(rs(*v, shift))).collect(), Memory::Nothing)
        }
        Layer::MaxPool { size } => {
            let mut first: Vec<Option<usize>> = vec![None; count];
            for (i, v) in x.iter().enumerate() {
                if let Some(s) = square(shape, *size, i)
                    && first[s].is_none_or(|j| x[j] < *v)
                {
                    first[s] = Some(i);
                }
            }
            let first: Vec<usize> = first.into_iter().flatten().collect();
            (first.iter().map(|i| x[*i]).collect(), Memory::First(first))
        }
        Layer::Norm { epsilon, .. } | Layer::TokenNorm { epsilon, .. } => {
            let n = x.len() / groups_of(layer, shape);
            let (factor, shift) = share(n);
            let (mut normal, mut reciprocals) = (vec![], vec![]);
            for group in x.chunks(n) {
                let sum: i64 = group.iter().sum();
                let up = i64::from(shift) + i64::from(ACTIVATION_BITS) - i64::from(CENTERED_BITS);
                let centered: Vec<i64> = group.iter().map(|v| kept(rs((n as i64 * v - sum) * factor, up))).collect();
                let squares: i64 = centered.iter().map(|c| c * c).sum();
                let deviation = ((squares + n as i64 * i64::from(*epsilon)) << 8).isqrt();
                let reciprocal = (2 * dividend(n) + deviation).div_euclid(2 * deviation);
                let shift = i64::from(RECIPROCAL_BITS + CENTERED_BITS - NORMAL_BITS);
                normal.extend(centered.iter().map(|c| kept(rs(c * reciprocal, shift))));
                reciprocals.push(reciprocal);
            }
            let (gain, bias) = (&weights[0].data, &weights[1].data);
            let value = |(i, v): (usize, &i64)| {
                let c = gain_of(layer, shape, i);
                v * gain[c] + (bias[c] << NORMAL_BITS)
            };
            (normal.iter().enumerate().map(value).collect(), Memory::Normal(normal, reciprocals))
        }
        Layer::Residual { body, shortcut } => {
            let (own, rest) = weights.split_at(crate::train::layer::parameters(body, "").len());
            let branches = [forward(body, shape, own, x), forward(shortcut, shape, rest, x)];
            let sum = branches[0].output().iter().zip(branches[1].output()).map(|(a, b)| a + b).collect();
            (sum, Memory::Branches(Box::new(branches)))
        }
        Layer::Flatten => (x.to_vec(), Memory::Nothing),
    }
}

/// Sends the error at the output of layers in a row to their input, and adds the gradients of one row to those of their weights.
pub(super) fn backward(
    layers: &[Layer],
    trace: &Trace,
    weights: &[Tensor],
    gradients: &mut [Vec<i64>],
    error: Vec<i64>,
) -> Vec<i64> {
    let mut error = error;
    let mut end = weights.len();
    for (i, layer) in layers.iter().enumerate().rev() {
        let start = end - layer.parameters().len();
        error = error_before(layer, trace, i, &weights[start..end], &mut gradients[start..end], error);
        end = start;
    }
    error
}

fn error_before(
    layer: &Layer,
    trace: &Trace,
    i: usize,
    weights: &[Tensor],
    gradients: &mut [Vec<i64>],
    error: Vec<i64>,
) -> Vec<i64> {
    let (x, shape) = trace.before(i);
    let Step { value, shape: out, memory } = &trace.steps[i];
    let mut back = vec![0i64; x.len()];
    let (layer, _) = layer.thawed();
    match (layer, memory) {
        (Layer::Adapted { .. }, Memory::Inner(low)) => match adapter(layer) {
            Some(a) => tokens::adapted_back(a, (x, low), weights, gradients, &error),
            None => back,
        },
        (Layer::Attention { .. }, Memory::Inner(p)) => match heads(layer) {
            Some(a) => tokens::attend_back(a, x, p, &error, tokens_of(shape).0),
            None => back,
        },
        (Layer::Dense { inputs, outputs }, _) => {
            let each = x.chunks(*inputs).zip(error.chunks(*outputs)).zip(back.chunks_mut(*inputs));
            for ((x, error), back) in each {
                for o in 0..*outputs {
                    gradients[1][o] += error[o];
                    for i in 0..*inputs {
                        gradients[0][i * outputs + o] += x[i] * error[o];
                        back[i] += error[o] * weights[0].data[i * outputs + o];
                    }
                }
            }
            back.iter().map(|v| kept(rs(*v, WEIGHT_BITS.into()))).collect()
        }
        (Layer::Conv { .. }, _) => {
            let [c, h, w] = image(shape);
            error.iter().enumerate().for_each(|(i, e)| gradients[1][channel(out, i)] += e);
            each_tap(layer, out, |t| {
                let (e, (y, z)) = (error[t.output], t.place);
                gradients[0][t.kernel] += e * pixel(x, [c, h, w], t.channel, y, z);
                if (0..h as i64).contains(&y) && (0..w as i64).contains(&z) {
                    back[(t.channel * h + y as usize) * w + z as usize] += e * weights[0].data[t.kernel];
                }
            });
            back.iter().map(|v| kept(rs(*v, WEIGHT_BITS.into()))).collect()
        }
        (Layer::Relu, _) => error.iter().zip(value).map(|(e, a)| if *a > 0 { kept(*e) } else { 0 }).collect(),
        (Layer::Smooth(a), Memory::Keys(keys)) => {
            error.iter().zip(keys).map(|(e, k)| kept(rs(e * a.slope(*k), SLOPE_BITS.into()))).collect()
        }
        (Layer::AveragePool { size }, _) => {
            let shift = 2 * i64::from(size.trailing_zeros());
            let small: Vec<i64> = error.iter().map(|e| kept(rs(*e, shift))).collect();
            (0..x.len()).map(|j| square(shape, *size, j).map_or(0, |s| small[s])).collect()
        }
        (Layer::MaxPool { .. }, Memory::First(first)) => {
            first.iter().zip(&error).for_each(|(i, e)| back[*i] = kept(*e));
            back
        }
        (Layer::Norm { .. } | Layer::TokenNorm { .. }, Memory::Normal(normal, reciprocals)) => {
            let n = x.len() / groups_of(layer, shape);
            let (factor, shift) = share(n);
            let mut scaled = vec![];
            for (i, (e, v)) in error.iter().zip(normal).enumerate() {
                let c = gain_of(layer, shape, i);
                gradients[0][c] += e * v;
                gradients[1][c] += e;
                scaled.push(kept(rs(e * weights[0].data[c], WEIGHT_BITS.into())));
            }
            let mut out = vec![];
            for ((e, v), reciprocal) in scaled.chunks(n).zip(normal.chunks(n)).zip(reciprocals) {
                let mean = kept(rs(e.iter().sum::<i64>() * factor, shift.into()));
                let along: i64 = e.iter().zip(v).map(|(e, v)| e * v).sum();
                let along = kept(rs(along * factor, i64::from(shift + NORMAL_BITS)));
                out.extend(e.iter().zip(v).map(|(e, v)| {
                    let free = kept(rs(((e - mean) << NORMAL_BITS) - v * along, NORMAL_BITS.into()));
                    kept(rs(free * reciprocal, RECIPROCAL_BITS.into()))
                }));
            }
            out
        }
        (Layer::Residual { body, shortcut }, Memory::Branches(branches)) => {
            let own = crate::train::layer::parameters(body, "").len();
            let (to_body, to_shortcut) = gradients.split_at_mut(own);
            let a = backward(body, &branches[0], &weights[..own], to_body, error.clone());
            let b = backward(shortcut, &branches[1], &weights[own..], to_shortcut, error);
            a.iter().zip(&b).map(|(a, b)| kept(a + b)).collect()
        }
        (Layer::Flatten, _) => error,
        // A trace is made by the same layers.
        (
            Layer::Smooth(_)
            | Layer::MaxPool { .. }
            | Layer::Norm { .. }
            | Layer::TokenNorm { .. }
            | Layer::Attention { .. }
            | Layer::Adapted { .. }
            | Layer::Fixed { .. }
            | Layer::Residual { .. },
            _,
        ) => back,
    }
}
