//! Training as a statement: *these weights are what T integer optimizer steps make of those weights, on rows of this data
//! chosen by this public seed*.
//!
//! [`Spec`] says what is trained and how; everything else follows from it alone, so that a verifier who knows the
//! specification rebuilds the graph and compares. Weights at the start and at the end, data and held-out data are named stacks, each
//! committed to once; public are the sampler's walk and the loss of every step (docs/training.md).
//!
//! | file | what |
//! |---|---|
//! | `spec` | network, loss, optimizer |
//! | `layer` | layers: what they hold, shapes |
//! | `activation` | smooth activation functions and their derivatives |
//! | `sampler` | which rows a step reads |
//! | `reference` | the specification: plain loops over integers |
//! | `step` | the same as a graph over `Delay` |
//! | `layers` | values and gradients of layers, as graph nodes |
//! | `loss` | errors at the output, as graph nodes |
//! | `nodes` | what all of these build from |
//! | `evaluate` | losses of two sets of weights on held-out rows |
//! | `infer` | the trained network as a model of its own |
//! | `stacks` | what the named stacks of both are called and hold |

mod activation;
mod evaluate;
mod infer;
mod layer;
mod layers;
mod loss;
mod nodes;
pub mod reference;
mod sampler;
mod spec;
mod stacks;
mod step;

pub use activation::Activation;
pub use evaluate::Evaluation;
pub use layer::Layer;
pub use sampler::Sampler;
pub use spec::{Loss, MAX_ROWS, MAX_STEPS, Network, Spec, TrainError};
pub use stacks::{BASE, DATASET, HOLDOUT, TRAINED, WEIGHTS, base_schema, data_schema, weights_schema};
pub use step::Training;

/// Fraction bits of activations and data.
pub const ACTIVATION_BITS: u32 = 8;
/// Fraction bits of weights and biases.
pub const WEIGHT_BITS: u32 = 12;
/// Fraction bits of errors: what is carried backward.
pub const ERROR_BITS: u32 = 12;
/// Width of weights, of values between layers, and of errors: they are clamped to it, never wrapped.
pub const WIDTH: u32 = 16;
/// Key bits of the table of ReLU: activations are clamped below `2^(RELU_KEYS - 1)`.
pub const RELU_KEYS: usize = 14;
/// Width of the data's integers.
pub const DATA_WIDTH: u32 = 14;
/// Fraction bits of probabilities.
pub const PROBABILITY_BITS: u32 = 11;
/// Fraction bits of exponentials of what logits lie below the largest one.
pub const EXPONENTIAL_BITS: u32 = 15;
/// Width of logits for softmax: clamped to it, plus or minus 32.
pub const LOGIT_WIDTH: u32 = 14;
/// Key bits of the table of exponentials: what lies further below the largest logit counts as if it were 16 below.
pub const EXPONENTIAL_KEYS: usize = 12;
/// Fraction bits of derivatives of smooth activation functions.
pub const SLOPE_BITS: u32 = 12;
/// Fraction bits of what a normalization takes the mean off.
pub const CENTERED_BITS: u32 = 10;
/// Fraction bits of normalized values.
pub const NORMAL_BITS: u32 = 12;
/// Fraction bits of the reciprocal of a deviation.
pub const RECIPROCAL_BITS: u32 = 14;
