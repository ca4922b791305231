//! `assay farm submit`: jobs in, proofs out.

use super::FarmArgs;
use crate::{
    App,
    args::{BatchArgs, ContextArgs, KeyArgs, QuantArgs, SettleArgs},
    economy::units,
    error::{Failure, Outcome},
    farm::{
        backend::Backend,
        local,
        nats::Nats,
        prove::Means,
        record::{Kind, Purpose},
        segments::Segments,
        shelf::secret_digest,
        submit::{self, Collected, Sending, Target, Work},
    },
    files, flow,
    output::seconds,
    settlement, signals,
    split::{
        Split, check,
        own::Own,
        prove::{allows, core_keys, settled_keys},
    },
    stacks::CommitArgs,
};
use assay_circuits::model::Model;
use assay_verifier::{VerifyingKey, segments::SegmentKeys, settle::key::SettlementKey};
use clap::Args;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

#[derive(Debug, Args)]
pub(super) struct Submit {
    /// A compiled model, an ONNX model, or the folder of a split model, whose segments are jobs
    model: PathBuf,
    /// The inputs, as floats: JSON {"input_data": [[...]]}, .npy or .npz
    input: PathBuf,
    /// Address of a farm's server [default: the jobs are done by threads of this process]
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Folder for the proofs and their key; waits for all of them. Without it the jobs are sent, and the same command with it
    /// collects them later
    #[arg(long, short, value_name = "FOLDER", required_unless_present = "nats")]
    output: Option<PathBuf>,
    /// Settled proofs, instead of core proofs
    #[arg(long)]
    settle: bool,
    /// Inferences in each proof
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch: u32,
    /// First sample to take
    #[arg(long, value_name = "I", default_value_t = 0)]
    from: usize,
    /// Number of jobs [default: all samples of the file]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Refuse inputs outside of the calibrated range instead of clamping them
    #[arg(long)]
    strict: bool,
    /// A verifying key, or with --settle a settlement key [default: one from the cache, or a new one]
    #[arg(long, value_name = "KEY", conflicts_with_all = ["public_inputs", "private_outputs", "public_weights", "row_bits"])]
    key: Option<PathBuf>,
    /// Give jobs that failed all their attempts once more
    #[arg(long, requires = "nats")]
    retry: bool,
    /// Stop waiting after that time; the jobs go on
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    timeout: Option<u64>,
    /// Without a farm: jobs at the same time, which share the threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), conflicts_with = "nats")]
    workers: u16,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    new_key: KeyArgs,
    #[command(flatten)]
    settling: SettleArgs,
    #[command(flatten)]
    quant: QuantArgs,
    #[command(flatten)]
    farm: FarmArgs,
}

pub(super) fn run(app: &App, args: &Submit) -> Outcome<()> {
    let o = &app.output;
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder).map_err(|e| {
            Failure::new(format!("cannot make the folder '{}': {e}", folder.display()))
                .help("choose a folder that can be written")
        })?;
    }
    let work =
        if Split::is_at(&args.model) { Jobs::Segments(segments(app, args)?) } else { Jobs::Whole(work(app, args)?) };
    let start = Instant::now();
    let target = |folder| Target {
        folder,
        srs: args.new_key.srs.as_deref(),
        end: args.timeout.map(|t| start + Duration::from_secs(t)),
    };
    let key_file = args.output.as_ref().map(|f| f.join("key"));
    if let Some(path) = &key_file {
        let key = work.key()?;
        keep_other_key(path, &key)?;
        files::write(path, &key)?;
    }
    let mut result = json!({});
    let collected = match (&args.nats, &args.output) {
        (None, Some(folder)) => {
            let means = Means { srs: args.new_key.srs.clone(), secret: args.settling.secret.clone() };
            let options = local::Options { workers: usize::from(args.workers), means, target: target(folder) };
            let (collected, jobs) = local::run(app, |farm| work.send(app, farm, false), &options)?;
            result["jobs"] = json!(jobs);
            Some(collected)
        }
        (Some(url), folder) => {
            let place = args.farm.place(url, Duration::from_secs(60), signals::ending()?)?;
            let ending = Arc::clone(&place.ending);
            let farm = Nats::open(place)?;
            let sending = work.send(app, &farm, args.retry)?;
            let sent = sending.sent.len();
            o.say(format!(
                "sent    {sent} job{} to {}{}{}",
                if sent == 1 { "" } else { "s" },
                farm.shown(),
                if sending.known > 0 { format!("; it knew {} of them", sending.known) } else { String::new() },
                if sending.retried > 0 { format!("; {} are tried again", sending.retried) } else { String::new() },
            ));
            result["jobs"] = json!(sent);
            result["known"] = json!(sending.known);
            result["retried"] = json!(sending.retried);
            match folder {
                Some(folder) => Some(submit::collect(app, &farm, &sending.sent, &target(folder), || {
                    if ending.load(std::sync::atomic::Ordering::Relaxed) {
                        return Err(
                            Failure::new("stopped").help("the jobs go on: the same command collects them later")
                        );
                    }
                    Ok(())
                })?),
                None => None,
            }
        }
        (None, None) => return Err(Failure::new("where are the proofs to go?").help("pass --output FOLDER")),
    };
    let Some(mut collected) = collected else {
        o.say("the same command with --output FOLDER collects the proofs");
        o.result(result);
        return Ok(());
    };
    if let (None, Jobs::Segments(all), Some(folder)) = (collected.problem(), &work, &args.output) {
        all.join(&mut collected, folder)?;
    }
    finish(app, args, &collected, start, result)
}

/// What a key is: keys of the same model and kind of proofs may differ in their own proofs, which are made anew.
fn key_id(bytes: &[u8]) -> Option<(files::Kind, [u8; 32])> {
    let kind = files::Kind::of(bytes);
    let id = match kind {
        files::Kind::Key => VerifyingKey::from_bytes(bytes).ok()?.digest().ok()?,
        files::Kind::SettlementKey => SettlementKey::from_bytes(bytes).ok()?.id(),
        files::Kind::SegmentKeys => SegmentKeys::from_bytes(bytes).ok()?.id().ok()?,
        _ => return None,
    };
    Some((kind, id))
}

/// Refuses to replace the key of other proofs, which may lie beside it and would have none.
fn keep_other_key(path: &Path, new: &[u8]) -> Outcome<()> {
    if !path.exists() {
        return Ok(());
    }
    let there = files::read(path, files::MAX_LARGE_BYTES)?;
    let known = key_id(&there);
    if there == new || known.is_some() && known == key_id(new) {
        return Ok(());
    }
    let what = known.map_or("something that is no key", |_| "the key of another model, or of other proofs");
    Err(Failure::new(format!("'{}' is there and holds {what}", path.display()))
        .help("name another folder with --output, or move that file with the proofs that belong to it"))
}

fn finish(
    app: &App,
    args: &Submit,
    collected: &Collected,
    start: Instant,
    mut result: serde_json::Value,
) -> Outcome<()> {
    let o = &app.output;
    if let Some(problem) = collected.problem() {
        return Err(problem);
    }
    let taken = start.elapsed().as_secs_f64();
    let n = collected.proofs.len();
    let folder = args.output.clone().unwrap_or_default();
    o.say(format!("proofs  {n} in {}, each checked here; {} of proving", seconds(taken), seconds(collected.seconds)));
    for (worker, n) in &collected.workers {
        o.say(format!("        {n} by {worker}"));
    }
    if !args.settle {
        o.say("core proofs are sound, but NOT hiding");
    }
    let ending = if Split::is_at(&args.model) { "proofs" } else { "proof" };
    o.say(format!("wrote   {}/*.{ending} and {}/key", folder.display(), folder.display()));
    if let (serde_json::Value::Object(all), serde_json::Value::Object(more)) = (&mut result, collected.json()) {
        all.extend(more);
    }
    result["valid"] = json!(true);
    result["hiding"] = json!(args.settle);
    result["seconds"] = json!(taken);
    result["folder"] = json!(folder);
    o.result(result);
    Ok(())
}

/// What is sent: a job for each proof of a model, or of each segment of one.
enum Jobs {
    Whole(Work),
    Segments(Segments),
}

impl Jobs {
    fn key(&self) -> Outcome<Vec<u8>> {
        match self {
            Self::Whole(work) => Ok(work.key.clone()),
            Self::Segments(all) => Ok(all.keys.to_bytes()?),
        }
    }

    fn send(&self, app: &App, farm: &dyn Backend, retry: bool) -> Outcome<Sending> {
        match self {
            Self::Whole(work) => submit::send(app, farm, work, retry),
            Self::Segments(all) => all.send(app, farm, retry),
        }
    }
}

/// The samples to take, which must make whole proofs.
fn range(args: &Submit) -> BatchArgs {
    let wanted = args.count.map(|n| (n as usize).saturating_mul(args.batch as usize));
    BatchArgs { batch: wanted, from: args.from, strict: args.strict }
}

fn check_batches(samples: usize, batch: usize) -> Outcome<()> {
    if samples.is_multiple_of(batch) {
        return Ok(());
    }
    Err(Failure::new(format!("{samples} samples do not make proofs of {batch} each"))
        .help("choose --batch, --from and --count so that they do"))
}

/// All that a farm needs to know of a split model.
fn segments(app: &App, args: &Submit) -> Outcome<Segments> {
    allows(&CommitArgs::default(), args.quant.is_used())?;
    let split = Split::read(&args.model)?;
    let batch = args.batch as usize;
    let (mut own, samples) = Own::read(app, &split, Some(&args.input), &CommitArgs::default(), range(args))?;
    check_batches(samples.len(), batch)?;
    let keys = match &args.key {
        Some(path) => check::read_keys(path)?,
        None if args.settle => settled_keys(app, &split, &args.new_key, &args.settling, batch)?,
        None => core_keys(app, &split, &mut own, &args.new_key, batch)?,
    };
    keys.wires()?;
    if keys.len() != split.len() || matches!(keys, SegmentKeys::Settled(_)) != args.settle {
        return Err(Failure::new(format!(
            "the keys are of {} segments, or of the other kind of proofs; the model has {} segments",
            keys.len(),
            split.len()
        ))
        .help("leave --key out, or make keys of this split: assay setup FOLDER -o KEYS"));
    }
    if let Some(stack) = keys.named().first() {
        return Err(Failure::new(format!("the keys are about the stack '{}', which no job has", stack.name))
            .help("make keys without --commit: assay setup FOLDER -o KEYS"));
    }
    let purpose = if args.settle { Some((&args.context.context()?).into()) } else { None };
    let secret = match &keys {
        SegmentKeys::Settled(all) if all.iter().any(|k| !k.visibility.weights) => {
            let visibility = args.new_key.shape.visibility();
            Some(secret_digest(&settlement::secret(app, visibility, args.settling.secret.as_deref())?))
        }
        _ => None,
    };
    let (name, first) = (plain_name(&args.input), args.from);
    Ok(Segments { split, keys, secret, purpose, srs: args.new_key.srs.clone(), samples, batch, name, first })
}

/// All that a farm needs to know.
fn work(app: &App, args: &Submit) -> Outcome<Work> {
    let model = flow::load_model(app, &args.model, &args.quant, args.new_key.shape.private_outputs)?.model;
    let batch = args.batch as usize;
    let samples = flow::read_samples(app, &model, &args.input, range(args))?;
    check_batches(samples.len(), batch)?;
    let samples = flow::quantize(app, &model, &samples)?;
    let (key, secret, purpose) = if args.settle {
        settlement_key(app, args, &model, batch)?
    } else {
        (core_key(app, args, &model)?, None, None)
    };
    let work = Work {
        kind: if args.settle { Kind::Settled } else { Kind::Core },
        model: model.to_bytes()?,
        key,
        secret,
        purpose,
        samples,
        batch,
        name: plain_name(&args.input),
        first: args.from,
    };
    submit::preflight(app, &work)?;
    Ok(work)
}

/// The input's name, as far as it can be part of any file's name.
fn plain_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain: String = stem.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(60).collect();
    if plain.is_empty() { "sample".to_owned() } else { plain }
}

fn core_key(app: &App, args: &Submit, model: &Model) -> Outcome<Vec<u8>> {
    let prepared = match &args.key {
        Some(path) => flow::load_key(app, model, path, args.new_key.srs.as_deref())?,
        None => flow::prepare(app, model, &args.new_key, true)?,
    };
    Ok(prepared.key.verifying.to_bytes()?)
}

type Settling = (Vec<u8>, Option<assay_contracts::B256>, Option<Purpose>);

fn settlement_key(app: &App, args: &Submit, model: &Model, batch: usize) -> Outcome<Settling> {
    let key = match &args.key {
        Some(path) => settlement::read_key(path)?,
        None => {
            settlement::prepare(app, model, batch, &args.new_key.shape, args.new_key.srs.as_deref(), &args.settling)?
                .prover
                .key
        }
    };
    // Public weights are blinded by nothing.
    let secret = match key.visibility.weights {
        true => None,
        false => Some(secret_digest(&settlement::secret(app, key.visibility, args.settling.secret.as_deref())?)),
    };
    Ok((key.to_bytes()?, secret, Some((&args.context.context()?).into())))
}
