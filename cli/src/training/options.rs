//! What commands are told about training: rates, momentum, loss; and the network of a file.

use crate::{
    error::{Failure, Outcome},
    files,
};
use assay_circuits::{
    onnx::training::{Adapters, Trainable, trainable},
    train::{Loss, Spec},
};
use clap::{Args, ValueEnum};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::path::Path;

/// What is made small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossName {
    /// Cross-entropy of softmax
    CrossEntropy,
    /// Sum of squared differences
    SquaredError,
}

/// `k` of a rate `2^-k`.
pub(crate) fn rate(text: &str) -> Result<u32, String> {
    let value = match text.strip_prefix("2^") {
        Some(power) => power.parse::<i32>().map(|p| 2f64.powi(p)).ok(),
        None => text.parse::<f64>().ok(),
    };
    let bits = value.map_or(f64::NAN, |v| -v.log2());
    if bits.fract() == 0.0 && (0.0..=12.0).contains(&bits) {
        return Ok(bits as u32);
    }
    Err("a power of two from 2^-12 to 1 is needed, as 2^-4 or 0.0625".to_owned())
}

/// `m` of a momentum `1 - 2^-m`.
pub(crate) fn momentum(text: &str) -> Result<u32, String> {
    let bits = text.parse::<f64>().map_or(f64::NAN, |v| -(1.0 - v).log2());
    if bits.fract() == 0.0 && (1.0..=8.0).contains(&bits) {
        return Ok(bits as u32);
    }
    Err("1 minus a power of two is needed: 0.5, 0.75, 0.875, 0.9375, ...".to_owned())
}

/// The network of a file, or which of its nodes cannot be trained.
pub(crate) fn load(path: &Path) -> Outcome<Trainable> {
    let kind = files::kind(path)?;
    if !kind.may_be_onnx() {
        return Err(files::wrong_kind(path, files::Kind::Onnx, kind));
    }
    let (rules, network) = trainable(path).map_err(|e| Failure::from(e).in_file(path))?;
    network.ok_or_else(|| {
        let bad: Vec<_> = rules.iter().filter(|r| r.help.is_some()).collect();
        let first = bad.first().map(|r| format!("node '{}' ({})", r.name, r.op)).unwrap_or_default();
        let more = if bad.len() > 1 { format!(" (and {} more nodes)", bad.len() - 1) } else { String::new() };
        Failure::new(format!("'{}' cannot be trained: {first}{more}", path.display()))
            .help(bad.first().and_then(|r| r.help.clone()).unwrap_or_default())
    })
}

/// Adapters in the place of training all weights.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Adapters")]
pub(crate) struct LoraArgs {
    /// Train adapters of this rank (LoRA); the file's weights stay as they are, in a stack of their own
    #[arg(long, value_name = "RANK")]
    lora: Option<usize>,
    /// What the adapters' part is multiplied by: a power of two
    #[arg(long, value_name = "N", requires = "lora", default_value_t = 2)]
    lora_scale: u32,
    /// A node whose matrix gets an adapter; repeatable [default: all whose matrices have more rows and columns than the rank]
    #[arg(long = "adapt", value_name = "NODE", requires = "lora")]
    nodes: Vec<String>,
}

impl LoraArgs {
    /// Whether adapters are trained.
    pub(crate) fn is_used(&self) -> bool {
        self.lora.is_some()
    }

    /// The network with adapters, if they are wanted, whose first values follow from 32 bytes.
    pub(crate) fn adapted(&self, source: Trainable, seed: [u8; 32]) -> Outcome<Trainable> {
        let Some(rank) = self.lora else { return Ok(source) };
        if !self.lora_scale.is_power_of_two() || self.lora_scale > 256 {
            return Err(
                Failure::new(format!("--lora-scale {}", self.lora_scale)).help("choose a power of two from 1 to 256")
            );
        }
        let adapters = Adapters { rank, scale_bits: self.lora_scale.trailing_zeros(), nodes: self.nodes.clone() };
        let mut rng = StdRng::from_seed(seed);
        source.adapt(&adapters, &mut || rng.gen_range(-1.0f32..1.0)).map_err(|e| {
            Failure::new(e).help("`assay inspect MODEL --train` lists the nodes; choose a rank below their extents")
        })
    }
}

/// Steps, and how they are made, as commands are told.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct HyperArgs {
    /// Number of optimizer steps
    #[arg(long, value_name = "T", default_value_t = 32)]
    pub(crate) steps: usize,
    /// Rows of a step: a power of two
    #[arg(long, value_name = "B", default_value_t = 32)]
    pub(crate) batch: usize,
    /// Learning rate: a power of two, as 2^-4 or 0.0625
    #[arg(long, value_name = "RATE", default_value = "2^-4", value_parser = rate)]
    pub(crate) lr: u32,
    /// Momentum: 1 minus a power of two, as 0.875 [default: plain SGD]
    #[arg(long, value_name = "M", value_parser = momentum)]
    pub(crate) momentum: Option<u32>,
    /// What is made small [default: cross-entropy for classes, squared-error for targets]
    #[arg(long, value_enum)]
    pub(crate) loss: Option<LossName>,
}

impl HyperArgs {
    pub(crate) fn hyper(&self) -> Hyper {
        Hyper {
            steps: self.steps,
            batch: self.batch,
            rate_bits: self.lr,
            momentum_bits: self.momentum,
            loss: self.loss,
        }
    }
}

/// Steps, and how they are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hyper {
    pub(crate) steps: usize,
    /// Rows of a step.
    pub(crate) batch: usize,
    pub(crate) rate_bits: u32,
    pub(crate) momentum_bits: Option<u32>,
    pub(crate) loss: Option<LossName>,
}

impl Hyper {
    /// The specification of training a network so on data of so many rows, whose targets are classes or not.
    pub(crate) fn spec(&self, source: &Trainable, rows: usize, classes: bool, seed: [u8; 32]) -> Outcome<Spec> {
        if !self.batch.is_power_of_two() {
            return Err(
                Failure::new(format!("a batch of {} rows", self.batch)).help("choose a power of two: --batch 32")
            );
        }
        let loss = match self.loss {
            Some(LossName::CrossEntropy) => Loss::CrossEntropy,
            None if classes => Loss::CrossEntropy,
            _ => Loss::SquaredError,
        };
        if source.tail.is_some() && loss != Loss::CrossEntropy {
            return Err(Failure::new("a network that ends with Softmax is trained with cross-entropy")
                .help("use --loss cross-entropy, or export the model without Softmax"));
        }
        let spec = Spec {
            network: source.network.clone(),
            loss,
            steps: self.steps,
            batch_bits: self.batch.trailing_zeros(),
            rate_bits: self.rate_bits,
            momentum_bits: self.momentum_bits,
            rows,
            seed,
        };
        spec.validate()?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_powers_of_two() {
        assert_eq!([rate("2^-4"), rate("0.0625"), rate("1"), rate("2^0")], [Ok(4), Ok(4), Ok(0), Ok(0)]);
        assert!(["0.1", "2", "2^-13", "0", "-1", "nan", "inf", "2^x", ""].iter().all(|t| rate(t).is_err()));
        assert_eq!([momentum("0.5"), momentum("0.875")], [Ok(1), Ok(3)]);
        assert!(["0.9", "0", "1", "1.5", "nan", ""].iter().all(|t| momentum(t).is_err()));
    }
}
