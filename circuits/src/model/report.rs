//! The accuracy report: how far the integer graph is from the float model, and whether that is near enough.

use serde::{Deserialize, Serialize};

/// Agreement from which on a model passes, as a share of samples.
pub const MIN_AGREEMENT: f64 = 0.99;
/// Error up to which a model passes, relative to the output's own range.
pub const MAX_ERROR: f64 = 0.01;
/// One step, and what float32 adds to a difference of one.
const STEP_ROOM: f64 = 1.001;

/// What agreement means for an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    /// The largest entry is the same.
    #[default]
    Top1,
    /// One value, on both sides of zero: the sign is the same.
    Sign,
    /// One value in [0, 1], on both sides of one half: the side is the same.
    Threshold,
    /// One value that decides nothing: there is no agreement to speak of, only errors.
    Regression,
}

/// How well one output of the integer graph follows the float model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputReport {
    /// Name of the output.
    pub name: String,
    /// What agreement means.
    pub metric: Metric,
    /// Share of samples that agree, 0 to 1.
    pub top1: f64,
    /// The class with the least agreement, and its share, where classes differ: the float model's decisions counted apart.
    pub worst_class: Option<(u64, f64)>,
    /// Mean absolute error, relative to the range of the output, or of the element where that is more than eight times smaller;
    /// of the element where it is largest.
    pub mean_error: f64,
    /// Largest absolute error, relative to the same range. Elements that are further off than they may be come before all others.
    pub max_error: f64,
    /// The element (its number in row-major order) with the largest error, where elements were measured apart.
    pub worst_element: Option<u64>,
    /// One step of the output's own type, relative to the same range, where the output is a quantized model's integers. Such types
    /// have steps that may be more than [`MAX_ERROR`]; one of them now and then is how far the runtimes of such a model are apart,
    /// and more of them show in the mean.
    // Version 3 of the model file has it behind the report.
    #[serde(skip)]
    pub step: Option<f64>,
    /// Share of the float output's variance that the integer output explains (R squared), of the worst element.
    pub explained: f64,
    /// The float output's range over all elements: largest minus smallest value.
    pub range: f64,
}

impl OutputReport {
    /// The largest error that the output may have: [`MAX_ERROR`], or one step of its own type where that is more.
    pub fn allowed(&self) -> f64 {
        self.step.map_or(MAX_ERROR, |step| MAX_ERROR.max(step * STEP_ROOM))
    }

    /// Whether errors are small enough. One that is more than [`MAX_ERROR`] has to be rare as well: the mean keeps to that.
    pub fn is_near(&self) -> bool {
        self.max_error <= MAX_ERROR || (self.max_error <= self.allowed() && self.mean_error <= MAX_ERROR)
    }
}

/// The tensor in which a large channel leaves few bits to the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// Name of the node.
    pub node: String,
    /// The channel with the largest values.
    pub channel: u64,
    /// Its largest magnitude.
    pub largest: f64,
    /// The largest magnitude of the channel in the middle.
    pub typical: f64,
    /// Integer steps that the channel in the middle has for its values.
    pub steps: f64,
}

/// Widths that were tried, and what they gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Width of weights.
    pub weight_bits: u32,
    /// Width of activations.
    pub activation_bits: u32,
    /// Smallest agreement of an output.
    pub top1: f64,
    /// Largest error of an output.
    pub max_error: f64,
    /// Number of samples compared.
    pub samples: u64,
}

#[cfg(feature = "onnx")]
impl Attempt {
    /// What widths (weights, activations) came to.
    pub(crate) fn of((weight_bits, activation_bits): (u32, u32), report: &QuantReport) -> Self {
        let (top1, max_error) = (report.top1(), report.max_error());
        Self { weight_bits, activation_bits, top1, max_error, samples: report.samples }
    }
}

/// How the float model was quantized, and how far the result is from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QuantReport {
    /// Width of weights.
    pub weight_bits: u32,
    /// Width of activations.
    pub activation_bits: u32,
    /// Number of samples compared.
    pub samples: u64,
    /// Whether the samples were made up for want of calibration data.
    pub generated: bool,
    /// One entry per output.
    pub outputs: Vec<OutputReport>,
    /// The intermediate tensor that is furthest off, with its error relative to its range.
    pub worst_layer: Option<(String, f64)>,
    /// Where bits ran out, if the report does not pass.
    pub cause: Option<Cause>,
    /// All widths tried.
    pub tried: Vec<Attempt>,
    /// Lookups at which values were clamped although that changed them, with how many over all samples.
    pub saturations: Vec<(String, u64)>,
    /// For each lookup, in the graph's order, the smallest and largest key that is no clamped value. Empty where unknown.
    pub limits: Vec<(i64, i64)>,
    /// Remarks for people.
    pub notes: Vec<String>,
}

impl QuantReport {
    /// The smallest agreement over all outputs, 0 to 1.
    pub fn top1(&self) -> f64 {
        self.outputs.iter().map(|o| o.top1).fold(1.0, f64::min)
    }

    /// The largest error over all outputs, relative to the range of the element concerned.
    pub fn max_error(&self) -> f64 {
        self.outputs.iter().map(|o| o.max_error).fold(0.0, f64::max)
    }

    /// The output whose error is the most beyond what it may be, or the least below.
    pub fn worst(&self) -> Option<&OutputReport> {
        let key = |o: &OutputReport| (!o.is_near(), o.max_error / o.allowed());
        self.outputs.iter().max_by(|a, b| key(a).0.cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)))
    }

    /// Whether the integer graph follows the float model closely enough on the samples, whatever these are ([`MIN_AGREEMENT`],
    /// [`OutputReport::is_near`]).
    pub fn is_near(&self) -> bool {
        self.top1() >= MIN_AGREEMENT && self.outputs.iter().all(OutputReport::is_near)
    }

    /// Whether the model is accepted: [`Self::is_near`], but for made-up samples, which prove nothing either way.
    pub fn passes(&self) -> bool {
        self.generated || self.is_near()
    }
}
