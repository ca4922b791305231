//! `assay train`: optimizer steps in integers, and the proof that the trained weights are what they make of the weights before.

use crate::{
    App,
    error::{Failure, Outcome},
    files,
    output::{bytes, seconds},
    progress::Progress,
    settlement,
    training::{self, Record},
};
use assay_circuits::{
    onnx::training::{Trainable, trainable},
    train::{Loss, Spec, reference},
};
use assay_verifier::core::hex;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The ONNX model whose weights training starts from
    model: PathBuf,
    /// The data: .npz with x (a row for each sample) and y (its class, or a row of targets)
    data: PathBuf,
    /// A folder for what comes out: trained.onnx, training.json, proof, key
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    /// Number of optimizer steps
    #[arg(long, value_name = "T", default_value_t = 32)]
    steps: usize,
    /// Rows of a step: a power of two
    #[arg(long, value_name = "B", default_value_t = 32)]
    batch: usize,
    /// Learning rate: a power of two, as 2^-4 or 0.0625
    #[arg(long, value_name = "RATE", default_value = "2^-4", value_parser = rate)]
    lr: u32,
    /// Momentum: 1 minus a power of two, as 0.875 [default: plain SGD]
    #[arg(long, value_name = "M", value_parser = momentum)]
    momentum: Option<u32>,
    /// What is made small [default: cross-entropy for classes, squared-error for targets]
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    /// Chooses the rows of each step: 32 bytes in hexadecimal, from whoever is to be convinced [default: random]
    #[arg(long, value_name = "HEX")]
    seed: Option<String>,
    /// Train on features with mean 0 and deviation 1; the trained model takes the data as it is
    #[arg(long, value_enum, value_name = "HOW")]
    standardize: Option<Standardize>,
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    srs: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Standardize {
    /// For networks that were trained: at the start it computes what the file computes
    Keep,
    /// For networks that were not: the file's weights are taken for standardized data
    Fresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LossName {
    /// Cross-entropy of softmax
    CrossEntropy,
    /// Sum of squared differences
    SquaredError,
}

/// `k` of a rate `2^-k`.
fn rate(text: &str) -> Result<u32, String> {
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
fn momentum(text: &str) -> Result<u32, String> {
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

fn seed(text: Option<&str>) -> Outcome<[u8; 32]> {
    match text {
        None => settlement::random(),
        Some(t) => settlement::parse_hex(t).ok_or_else(|| {
            Failure::new("the seed is not 32 bytes in hexadecimal").help("openssl rand -hex 32 makes one")
        }),
    }
}

pub(crate) fn run(app: &App, args: &TrainArgs) -> Outcome<()> {
    let o = &app.output;
    let source = load(&args.model)?;
    if !args.batch.is_power_of_two() {
        return Err(Failure::new(format!("a batch of {} rows", args.batch)).help("choose a power of two: --batch 32"));
    }
    let given = training::arrays(&args.data, &source.network.input)?;
    let loss = match args.loss {
        Some(LossName::CrossEntropy) => Loss::CrossEntropy,
        None if given.classes() => Loss::CrossEntropy,
        _ => Loss::SquaredError,
    };
    if source.tail.is_some() && loss != Loss::CrossEntropy {
        return Err(Failure::new("a network that ends with Softmax is trained with cross-entropy")
            .help("use --loss cross-entropy, or export the model without Softmax"));
    }
    let spec = Spec {
        network: source.network.clone(),
        loss,
        steps: args.steps,
        batch_bits: args.batch.trailing_zeros(),
        rate_bits: args.lr,
        momentum_bits: args.momentum,
        rows: given.rows,
        seed: seed(args.seed.as_deref())?,
    };
    spec.validate()?;
    let (mean, scale) = if args.standardize.is_some() {
        training::moments(&given.x, source.network.input.iter().product())
    } else {
        (vec![], vec![])
    };
    let mut weights = source.weights.clone();
    if args.standardize.is_some() {
        let help = "scale the data by yourself and leave out --standardize";
        source.standardize(&mut weights, &mean, &scale, false).map_err(|e| Failure::new(e).help(help))?;
    }
    if args.standardize == Some(Standardize::Fresh) {
        weights.clone_from(&source.weights);
    }
    let data = given.integers(&spec, &mean, &scale)?;
    let initial = training::fixed_weights(&spec, &weights)?;
    // A file in the folder's place is found before the work, not after it.
    if !args.output.is_dir() {
        std::fs::create_dir(&args.output).map_err(|e| {
            Failure::new(format!("cannot make the folder '{}': {e}", args.output.display()))
                .help("name a folder that can be made, or one that is there")
        })?;
    }
    let (state, seconds_trained) = crate::flow::timed(|| steps(app, &spec, initial.clone(), &data));
    let state = state?;
    let model = spec.training()?.model(data.rows.clone(), data.targets.clone())?;
    let (prepared, proven, shown) = training::prove(app, &model, initial.clone(), args.srs.clone())?;
    let record = Record::new(spec, &initial, &state, mean, scale);
    // What is proven is what was trained.
    let line = record.check(&prepared.key.verifying, &shown).map_err(|f| Failure::new(f.message).bug())?;
    let mut trained = training::floats(&record.trained);
    if args.standardize.is_some() {
        source.standardize(&mut trained, &record.mean, &record.scale, true).map_err(|e| Failure::new(e).bug())?;
    }
    let path = |name: &str| args.output.join(name);
    files::write(&path("trained.onnx"), &source.write(&trained))?;
    record.write(&path("training.json"))?;
    files::write(&path("proof"), &proven.bytes)?;
    files::write(&path("key"), &prepared.key.verifying.to_bytes().map_err(Failure::from)?)?;
    let accuracy = [&initial, &state.weights].map(|w| training::accuracy(&record.spec, w, &data));
    let [before, after] = accuracy;
    let (before, after) = (before?, after?);
    let s = &record.spec;
    let losses: Vec<f64> = record.losses.iter().map(|l| training::mean_loss(s.loss, *l, s.batch())).collect();
    o.say(format!("trained {line}"));
    if let (Some(b), Some(a)) = (before, after) {
        o.say(format!("data    {:.1} % to {:.1} % of its rows right (computed, not proven)", 100.0 * b, 100.0 * a));
    }
    o.say(format!("seed    {}", hex(&s.seed)));
    o.say(format!(
        "time    trained in {}, key {}, proof {} ({}), verified in {}",
        seconds(seconds_trained),
        seconds(prepared.seconds),
        seconds(proven.prove_seconds),
        bytes(proven.bytes.len() as u64),
        seconds(proven.verify_seconds)
    ));
    o.say(format!("wrote   {}: trained.onnx, training.json, proof, key", args.output.display()));
    o.result(json!({
        "valid": true,
        "steps": s.steps,
        "batch": s.batch(),
        "rows": s.rows,
        "seed": hex(&s.seed),
        "losses": losses,
        "accuracy_before": before,
        "accuracy_after": after,
        "train_seconds": seconds_trained,
        "setup_seconds": prepared.seconds,
        "prove_seconds": proven.prove_seconds,
        "verify_seconds": proven.verify_seconds,
        "proof_bytes": proven.bytes.len(),
        "model_id": hex(&model.model_id()?),
        "insecure_srs": prepared.key.verifying.srs.insecure_dev,
        "hiding": false,
    }));
    Ok(())
}

/// All steps, with the loss as they go.
fn steps(
    app: &App,
    spec: &Spec,
    initial: Vec<assay_circuits::Tensor>,
    data: &training::Data,
) -> Outcome<reference::State> {
    let progress = Progress::start(&app.output, "train", 0.0);
    let mut state = reference::State::new(initial);
    for t in 0..spec.steps {
        reference::step(spec, &mut state, t, &data.rows, &data.targets)?;
        let loss = state.losses.last().map_or(0.0, |l| training::mean_loss(spec.loss, *l, spec.batch()));
        progress.share(&format!("step {}, loss {loss:.4}", t + 1), t as u64 + 1, spec.steps as u64);
        app.output.event("step", json!({ "step": t + 1, "loss": loss }));
    }
    Ok(state)
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
