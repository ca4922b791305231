//! Layers of networks that are trained: what they hold, and the shapes that they make.

use super::{ACTIVATION_BITS, ERROR_BITS, NORMAL_BITS, WEIGHT_BITS, activation::Activation};
use serde::{Deserialize, Serialize};

/// Most branches inside branches.
pub(super) const MAX_DEPTH: usize = 8;

/// Most values that one normalization goes over.
const MAX_GROUP: usize = 1 << 14;

/// One layer of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// `y = x W + b` with `W` of shape `[inputs, outputs]`, along the last axis of the input.
    Dense {
        /// Number of inputs.
        inputs: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// A convolution over `[channels, height, width]` with a bias per channel; kernels are
    /// `[outputs, inputs, kernel[0], kernel[1]]`.
    Conv {
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Height and width of the kernel.
        kernel: [usize; 2],
        /// Zeros around the input: above, left, below, right.
        pads: [usize; 4],
        /// Steps of the kernel, down and to the right.
        strides: [usize; 2],
    },
    /// `max(x, 0)`.
    Relu,
    /// A smooth function of each value.
    Smooth(Activation),
    /// Means of `size` x `size` squares that do not overlap; `size` is a power of two. What fills no square is left out.
    AveragePool {
        /// Side of a square.
        size: usize,
    },
    /// The largest of `size` x `size` squares that do not overlap, the first of them where several are. What fills no square is left out.
    MaxPool {
        /// Side of a square.
        size: usize,
    },
    /// `gain * (x - mean) / sqrt(variance + epsilon) + bias` over groups of channels (the first axis): layer normalization of one
    /// axis with one group, group normalization of images. Gain and bias have one value a channel.
    Norm {
        /// Extent of the input's first axis.
        channels: usize,
        /// Number of groups; it divides the channels.
        groups: usize,
        /// What is added to the variance, in units of `2^-20`.
        epsilon: u32,
    },
    /// `body(x) + shortcut(x)`; a shortcut without layers is `x` itself.
    Residual {
        /// Layers of the body; one or more.
        body: Vec<Layer>,
        /// Layers of the shortcut.
        shortcut: Vec<Layer>,
    },
    /// All axes to one.
    Flatten,
    /// Layer normalization of the last axis; gain and bias have one value for each of its indices.
    TokenNorm {
        /// Extent of the last axis.
        width: usize,
        /// What is added to the variance, in units of `2^-20`.
        epsilon: u32,
    },
    /// Attention of tokens to each other: from `[tokens, 3 width]`, queries, keys and values beside each other, to `[tokens, width]`.
    /// Each head has `width / heads` of the values, and scores are divided by the root of that.
    Attention {
        /// Number of heads; it divides the width.
        heads: usize,
        /// Values of a token.
        width: usize,
        /// Whether tokens see none that come after them.
        causal: bool,
    },
    /// A dense layer whose matrix and bias stay as they are, with an adapter of low rank that is trained:
    /// `y = x W + b + 2^scale_bits (x A) B`, with `A` of shape `[inputs, rank]` and `B` of shape `[rank, outputs]`.
    Adapted {
        /// Number of inputs.
        inputs: usize,
        /// Number of outputs.
        outputs: usize,
        /// Rank of the adapter.
        rank: usize,
        /// log2 of what the adapter's part is multiplied by.
        scale_bits: u32,
    },
    /// A layer whose weights stay as they are.
    Fixed {
        /// One with weights of its own.
        layer: Box<Layer>,
    },
}

/// Most tokens that attend to each other.
const MAX_TOKENS: usize = 1 << 10;

/// A tensor of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    /// Its name within the layer.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Fraction bits of its gradient.
    pub(super) gradient_bits: u32,
    /// Whether training leaves it as it is.
    pub(super) frozen: bool,
}

/// All parameters of layers in a row, in the order of [`super::Network::weights`].
pub(super) fn parameters(layers: &[Layer], prefix: &str) -> Vec<Parameter> {
    let all = layers
        .iter()
        .enumerate()
        .flat_map(|(i, l)| l.parameters().into_iter().map(move |p| (i, p)).collect::<Vec<_>>());
    all.map(|(i, p)| Parameter { name: format!("{prefix}{i}.{}", p.name), ..p }).collect()
}

/// Shapes of the input and behind every layer; position, name and fault of the first that does not fit.
pub(super) fn shapes(layers: &[Layer], input: &[usize]) -> Result<Vec<Vec<usize>>, (usize, &'static str, String)> {
    let mut out = vec![input.to_vec()];
    for (i, layer) in layers.iter().enumerate() {
        let next = layer.apply(&out[i]).map_err(|reason| (i, layer.name(), reason))?;
        let count = next.iter().map(|d| *d as u128).product::<u128>();
        let weights = layer.parameters().iter().map(|p| p.shape.iter().map(|d| *d as u128).product::<u128>()).max();
        if count.max(weights.unwrap_or(0)) > 1 << 26 {
            return Err((i, layer.name(), "more than 2^26 values".to_owned()));
        }
        out.push(next);
    }
    Ok(out)
}

/// Whether what layers in a row give depends on weights, if what they read does (`learned`); position and name of one that computes
/// something of the data alone, which is no part of training.
pub(super) fn learns(layers: &[Layer], learned: bool) -> Result<bool, (usize, &'static str)> {
    let mut learned = learned;
    for (i, layer) in layers.iter().enumerate() {
        learned = match layer {
            Layer::Dense { .. } | Layer::Conv { .. } | Layer::Adapted { .. } | Layer::Fixed { .. } => true,
            Layer::Flatten => learned,
            Layer::Residual { body, shortcut } => {
                let branch = |layers| learns(layers, learned).map_err(|(_, name)| (i, name));
                branch(body)? | branch(shortcut)?
            }
            _ if learned => true,
            _ => return Err((i, layer.name())),
        };
    }
    Ok(learned)
}

/// Fraction bits that a layer's sums have beyond those of activations, where it makes sums that have to be rounded.
fn excess(layer: &Layer) -> Option<u32> {
    match layer {
        Layer::Dense { .. } | Layer::Conv { .. } | Layer::Adapted { .. } => Some(WEIGHT_BITS),
        Layer::Fixed { layer } => excess(layer),
        Layer::Norm { .. } | Layer::TokenNorm { .. } => Some(NORMAL_BITS + WEIGHT_BITS - ACTIVATION_BITS),
        Layer::Residual { .. } => Some(0),
        _ => None,
    }
}

/// By what the sums of a layer are rounded where they are made; `None` where nothing is, or where the layer behind it does it.
pub(super) fn rounds(layers: &[Layer], i: usize) -> Option<u32> {
    let behind = matches!(layers.get(i + 1), Some(Layer::Relu | Layer::Smooth(_)));
    excess(&layers[i]).filter(|_| !behind)
}

/// By what an activation function rounds what it reads.
pub(super) fn rounds_before(layers: &[Layer], i: usize) -> u32 {
    i.checked_sub(1).and_then(|i| excess(&layers[i])).unwrap_or(0)
}

impl Layer {
    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dense { .. } => "Dense",
            Self::Conv { .. } => "Conv",
            Self::Relu => "Relu",
            Self::Smooth(a) => a.name(),
            Self::AveragePool { .. } => "AveragePool",
            Self::MaxPool { .. } => "MaxPool",
            Self::Norm { .. } => "Norm",
            Self::Residual { .. } => "Residual",
            Self::Flatten => "Flatten",
            Self::TokenNorm { .. } => "TokenNorm",
            Self::Attention { .. } => "Attention",
            Self::Adapted { .. } => "Adapted",
            Self::Fixed { layer } => layer.name(),
        }
    }

    /// Whether it holds weights that training changes.
    pub fn trains(&self) -> bool {
        match self {
            Self::Dense { .. }
            | Self::Conv { .. }
            | Self::Norm { .. }
            | Self::TokenNorm { .. }
            | Self::Adapted { .. } => true,
            Self::Residual { body, shortcut } => body.iter().chain(shortcut).any(Self::trains),
            _ => false,
        }
    }

    /// The layer and whether its weights stay as they are.
    pub(super) fn thawed(&self) -> (&Self, bool) {
        match self {
            Self::Fixed { layer } => (layer, true),
            _ => (self, false),
        }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let pair = |shape: Vec<usize>, bias: usize, bits: u32| {
            let parameter = |name: &str, shape, gradient_bits| Parameter {
                name: name.to_owned(),
                shape,
                gradient_bits,
                frozen: false,
            };
            vec![parameter("weight", shape, bits + ERROR_BITS), parameter("bias", vec![bias], ERROR_BITS)]
        };
        match self {
            Self::Dense { inputs, outputs } => pair(vec![*inputs, *outputs], *outputs, ACTIVATION_BITS),
            Self::Conv { inputs, outputs, kernel: [h, w], .. } => {
                pair(vec![*outputs, *inputs, *h, *w], *outputs, ACTIVATION_BITS)
            }
            Self::Norm { channels: n, .. } | Self::TokenNorm { width: n, .. } => pair(vec![*n], *n, NORMAL_BITS),
            Self::Adapted { inputs, outputs, rank, scale_bits } => {
                let base = pair(vec![*inputs, *outputs], *outputs, ACTIVATION_BITS);
                let mut all: Vec<Parameter> = base.into_iter().map(|p| Parameter { frozen: true, ..p }).collect();
                let both = [("down", vec![*inputs, *rank], 0), ("up", vec![*rank, *outputs], *scale_bits)];
                all.extend(both.map(|(name, shape, up)| Parameter {
                    name: name.to_owned(),
                    shape,
                    gradient_bits: ACTIVATION_BITS + ERROR_BITS - up,
                    frozen: false,
                }));
                all
            }
            Self::Fixed { layer } => layer.parameters().into_iter().map(|p| Parameter { frozen: true, ..p }).collect(),
            Self::Residual { body, shortcut } => {
                let mut all = parameters(body, "body.");
                all.extend(parameters(shortcut, "shortcut."));
                all
            }
            _ => vec![],
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Residual { body, shortcut } => 1 + body.iter().chain(shortcut).map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Shape of its output.
    pub(crate) fn apply(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let image = || match input {
            [c, h, w] => Ok([*c, *h, *w]),
            _ => Err(format!("needs [channels, height, width], its input is {input:?}")),
        };
        let squares = |size: &usize| {
            let [c, h, w] = image()?;
            if *size == 0 || *size > 16 || h < *size || w < *size {
                return Err(format!("squares of {size} do not fit its input {input:?} (1 to 16 are possible)"));
            }
            Ok(vec![c, h / size, w / size])
        };
        let along = |inputs: usize, outputs: usize| match input.split_last() {
            Some((last, rest)) if *last == inputs && rest.len() < 4 && outputs > 0 => Ok([rest, &[outputs]].concat()),
            _ => Err(format!("needs {inputs} values along the last axis, its input is {input:?}")),
        };
        match self {
            Self::Dense { inputs, outputs } => along(*inputs, *outputs),
            Self::Adapted { inputs, outputs, rank, scale_bits } => {
                if *rank == 0 || *rank > (*inputs).min(*outputs) || *scale_bits > 8 {
                    return Err(format!(
                        "an adapter of rank {rank}, times 2^{scale_bits}: 1 to {} and 2^0 to 2^8 are possible",
                        (*inputs).min(*outputs)
                    ));
                }
                along(*inputs, *outputs)
            }
            Self::Fixed { layer } => match layer.as_ref() {
                Self::Dense { .. } | Self::Conv { .. } | Self::Norm { .. } | Self::TokenNorm { .. } => {
                    layer.apply(input)
                }
                other => Err(format!("'{}' has no weights of its own that could stay as they are", other.name())),
            },
            Self::TokenNorm { width, epsilon } => {
                if *epsilon == 0 || *epsilon >= 1 << 20 {
                    return Err("its epsilon must be from 2^-20 to 1".to_owned());
                }
                if *width > MAX_GROUP || input.len() > 4 {
                    return Err(format!("more than 2^14 values in a group, or more than four axes: {input:?}"));
                }
                along(*width, *width)
            }
            Self::Attention { heads, width, .. } => match input {
                [tokens, all] if *heads > 0 && width % heads == 0 && *width > 0 && *all == 3 * width => {
                    if *tokens == 0 || *tokens > MAX_TOKENS || width / heads > MAX_TOKENS {
                        return Err(format!(
                            "{tokens} tokens, heads of {}: 1 to {MAX_TOKENS} are possible",
                            width / heads
                        ));
                    }
                    Ok(vec![*tokens, *width])
                }
                _ => {
                    Err(format!("needs [tokens, {}] and heads that divide {width}, its input is {input:?}", 3 * width))
                }
            },
            Self::Conv { inputs, outputs, kernel: [kh, kw], pads: [t, l, b, r], strides } => {
                let [c, h, w] = image()?;
                let (h, w) = (h.saturating_add(*t).saturating_add(*b), w.saturating_add(*l).saturating_add(*r));
                if c != *inputs || *outputs == 0 || *kh == 0 || *kw == 0 || h < *kh || w < *kw {
                    return Err(format!("kernels of {inputs} x {kh} x {kw} do not fit its input {input:?}"));
                }
                if *t >= *kh || *b >= *kh || *l >= *kw || *r >= *kw {
                    return Err("its padding is as wide as its kernel".to_owned());
                }
                if strides.contains(&0) || strides[0] > 16 || strides[1] > 16 {
                    return Err(format!("strides of {strides:?}; 1 to 16 are possible"));
                }
                Ok(vec![*outputs, (h - kh) / strides[0] + 1, (w - kw) / strides[1] + 1])
            }
            Self::Relu | Self::Smooth(_) => Ok(input.to_vec()),
            Self::AveragePool { size } if !size.is_power_of_two() => {
                Err(format!("squares of {size}; 1, 2, 4, 8 and 16 are possible"))
            }
            Self::AveragePool { size } | Self::MaxPool { size } => squares(size),
            Self::Norm { channels, groups, epsilon } => {
                if input.first() != Some(channels) || !matches!(input.len(), 1 | 3) {
                    return Err(format!("needs {channels} values or channels, its input is {input:?}"));
                }
                if *groups == 0 || channels % groups != 0 {
                    return Err(format!("{groups} groups do not divide {channels} channels"));
                }
                if *epsilon == 0 || *epsilon >= 1 << 20 {
                    return Err("its epsilon must be from 2^-20 to 1".to_owned());
                }
                if input.iter().product::<usize>() / groups > MAX_GROUP {
                    return Err("more than 2^14 values in a group".to_owned());
                }
                Ok(input.to_vec())
            }
            Self::Residual { body, shortcut } => {
                if body.is_empty() {
                    return Err("its body has no layers".to_owned());
                }
                if self.depth() > MAX_DEPTH {
                    return Err(format!("more than {MAX_DEPTH} branches inside each other"));
                }
                let end = |layers: &[Self]| {
                    let all = shapes(layers, input)
                        .map_err(|(i, name, reason)| format!("layer {i} ({name}) in it: {reason}"))?;
                    Ok::<_, String>(all.last().cloned().unwrap_or_default())
                };
                let (a, b) = (end(body)?, end(shortcut)?);
                if a != b {
                    return Err(format!("its branches give {a:?} and {b:?}"));
                }
                Ok(a)
            }
            Self::Flatten => Ok(vec![input.iter().product()]),
        }
    }
}
