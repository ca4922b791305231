//! `assay train`: optimizer steps in integers, and the proof that the trained weights are what they make of the weights before.

use crate::{
    App,
    args::{ContextArgs, SettleArgs},
    chain,
    error::{Failure, Outcome},
    files,
    progress::Progress,
    settlement, stacks as named,
    training::{self, Checked, Kind, Proof, Record, Runs},
};
use assay_circuits::{
    Tensor,
    onnx::training::Trainable,
    train::{Spec, base_schema, data_schema, reference, weights_schema},
};
use assay_prover::Stack;
use assay_verifier::core::hex;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The ONNX model whose weights training starts from
    model: PathBuf,
    /// The data: .npz with x (a row for each sample) and y (its class, or a row of targets), or the stack of data that a run before
    /// wrote (dataset.stack)
    data: PathBuf,
    /// A folder for what comes out: trained.onnx, trained.assay, training.json, proof, key, and the stacks of weights and data, which are secret
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    #[command(flatten)]
    hyper: training::HyperArgs,
    /// Chooses the rows of each step: 32 bytes in hexadecimal, from whoever is to be convinced [default: random]
    #[arg(long, value_name = "HEX")]
    seed: Option<String>,
    /// Train on features with mean 0 and deviation 1; the trained model takes the data as it is
    #[arg(long, value_enum, value_name = "HOW")]
    standardize: Option<Standardize>,
    /// Start from the weights in this stack (trained.stack of a run before) instead of the file's: proofs follow each other where
    /// one's trained stack is the next one's weights
    #[arg(long, value_name = "STACK")]
    weights: Option<PathBuf>,
    /// With --lora, take the weights that stay as they are from this stack (base.stack of a run before) instead of the file
    #[arg(long, value_name = "STACK", requires = "lora")]
    base: Option<PathBuf>,
    #[command(flatten)]
    lora: training::LoraArgs,
    /// log2 of the length of the stacks' rows: 8, 10, 12, 14, 16 or 18 [default: that of the stacks given, else 18 with --settle and
    /// what makes few rows without]
    #[arg(long, value_name = "N")]
    row_bits: Option<u8>,
    /// Settle the proof, so that a contract can check it: writes settled and settlement.key in the place of proof and key
    #[arg(long)]
    settle: bool,
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    srs: Option<PathBuf>,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    settlement: SettleArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Standardize {
    /// For networks that were trained: at the start it computes what the file computes
    Keep,
    /// For networks that were not: the file's weights are taken for standardized data
    Fresh,
}

fn seed(text: Option<&str>) -> Outcome<[u8; 32]> {
    match text {
        None => settlement::random(),
        Some(t) => settlement::parse_hex(t).ok_or_else(|| {
            Failure::new("the seed is not 32 bytes in hexadecimal").help("openssl rand -hex 32 makes one")
        }),
    }
}

/// What training is done on.
struct Given {
    spec: Spec,
    initial: Vec<Tensor>,
    /// Weights that stay as they are.
    base: Vec<Tensor>,
    data: training::Data,
    /// Stacks that were there before: of weights, of data, of what stays.
    stacks: [Option<Stack>; 3],
    /// What was taken off features, and what they were divided by.
    moments: (Vec<f32>, Vec<f32>),
    row_bits: u8,
}

fn given(args: &TrainArgs, source: &Trainable, seed: [u8; 32]) -> Outcome<Given> {
    let stack = |path: &Path| -> Outcome<Option<Stack>> {
        if files::kind(path)? == files::Kind::Stack { named::read(path).map(Some) } else { Ok(None) }
    };
    let held = stack(&args.data)?;
    if args.lora.is_used() && args.standardize.is_some() {
        return Err(Failure::new("--standardize moves weights that stay as they are with --lora")
            .help("scale the data by yourself and leave out --standardize"));
    }
    if held.is_some() && args.standardize.is_some() {
        return Err(Failure::new("--standardize with a stack, whose integers are what they are")
            .help("train on the .npz file, or leave out --standardize"));
    }
    let arrays = if held.is_none() { Some(training::arrays(&args.data, &source.network.input)?) } else { None };
    let rows = arrays.as_ref().map_or_else(|| held.as_ref().map_or(0, training::rows_of), |a| a.rows);
    let classes = arrays.as_ref().is_none_or(training::Arrays::classes);
    let spec = args.hyper.hyper().spec(source, rows, classes, seed)?;
    let features = source.network.input.iter().product();
    let moments = match (&arrays, args.standardize) {
        (Some(a), Some(_)) => training::moments(&a.x, features),
        _ => (vec![], vec![]),
    };
    let data = match (&arrays, &held) {
        (Some(a), _) => a.integers(&spec, &moments.0, &moments.1)?,
        (None, Some(stack)) => training::data_of(&spec, stack, &args.data)?,
        (None, None) => return Err(Failure::new("neither rows nor a stack of them").bug()),
    };
    let head = args.weights.as_deref().map(named::read).transpose()?;
    let initial = match (&head, &args.weights) {
        (Some(stack), Some(path)) => training::weights_of(&spec, stack, path)?,
        _ => {
            let mut weights = source.weights.clone();
            if args.standardize.is_some() {
                let help = "scale the data by yourself and leave out --standardize";
                source
                    .standardize(&mut weights, &moments.0, &moments.1, false)
                    .map_err(|e| Failure::new(e).help(help))?;
            }
            if args.standardize == Some(Standardize::Fresh) {
                weights.clone_from(&source.weights);
            }
            training::fixed_weights(&spec.network.weights(), &weights)?
        }
    };
    let path = args.base.as_deref().unwrap_or(&args.model);
    let kept = training::base_of(&spec, args.base.as_deref().map(named::read).transpose()?, path)?;
    let base = match &kept {
        Some(stack) => stack.values().to_vec(),
        None => training::fixed_weights(&spec.network.base(), &source.base)?,
    };
    let stacks = [head, held, kept];
    let of_stacks = stacks.iter().flatten().map(|s| s.schema().row_bits).next();
    let row_bits = match args.row_bits.or(of_stacks) {
        Some(bits) => bits,
        None => training::row_bits(&spec, args.settle)?,
    };
    Ok(Given { spec, initial, base, data, stacks, moments, row_bits })
}

pub(crate) fn run(app: &App, args: &TrainArgs) -> Outcome<()> {
    let o = &app.output;
    let seed = seed(args.seed.as_deref())?;
    let source = args.lora.adapted(training::load(&args.model)?, seed)?;
    let context = args.context.context()?;
    let Given { spec, initial, base, data, stacks: [head, held, kept], moments, row_bits } =
        given(args, &source, seed)?;
    let training = spec.training()?;
    let schemas = [weights_schema(&spec, row_bits)?, data_schema(&spec, spec.rows, row_bits)?];
    let of_base = base_schema(&spec, row_bits)?;
    for (stack, schema) in [&head, &held, &kept].into_iter().zip(schemas.iter().chain(&of_base)) {
        if stack.as_ref().is_some_and(|s| s.schema() != schema) {
            return Err(Failure::new("the stacks of weights and data have rows of other lengths")
                .help("commit to one of them anew: leave out --weights, or train on the .npz file"));
        }
    }
    // A file in the folder's place is found before the work, not after it.
    if !args.output.is_dir() {
        std::fs::create_dir(&args.output).map_err(|e| {
            Failure::new(format!("cannot make the folder '{}': {e}", args.output.display()))
                .help("name a folder that can be made, or one that is there")
        })?;
    }
    let (state, seconds_trained) = crate::flow::timed(|| steps(app, &spec, (initial.clone(), base.clone()), &data));
    let state = state?;
    let srs = args.srs.as_deref();
    let weights = head.map_or_else(|| training::commit(app, &schemas[0], initial.clone(), srs), Ok)?;
    let values = vec![data.rows.clone(), data.targets.clone()];
    let dataset = held.map_or_else(|| training::commit(app, &schemas[1], values, srs), Ok)?;
    let kept = match (kept, &of_base) {
        (None, Some(schema)) => Some(training::commit(app, schema, base.clone(), srs)?),
        (kept, _) => kept,
    };
    let runs = Runs::training(&training, row_bits)?.over(kept.clone());
    let (open, about) = (vec![spec.sampler().tensor()], vec![Some(weights), None, Some(dataset)]);
    let proof = if args.settle {
        Proof::settled(app, &runs, (open, about), (srs, &args.settlement), (&args.context, context))?
    } else {
        Proof::core(app, &runs, (open, about), srs)?
    };
    let [weights, trained_stack, dataset, ..] = &proof.stacks[..] else {
        return Err(Failure::new("a proof of training with fewer stacks than three").bug());
    };
    let record = Record::new(spec, [weights, trained_stack, dataset], kept.as_ref(), &state, moments)?;
    // What is proven is what was trained.
    let Checked { kind, line, .. } =
        record.check(proof.statement(), &proof.shown).map_err(|f| Failure::new(f.message).bug())?;
    if kind != Kind::Training || trained_stack.values() != state.weights {
        return Err(Failure::new("the proof is about other weights than those that were trained").bug());
    }
    let mut trained = training::floats(&state.weights);
    if args.standardize.is_some() {
        source.standardize(&mut trained, &record.mean, &record.scale, true).map_err(|e| Failure::new(e).bug())?;
    }
    let path = |name: &str| args.output.join(name);
    files::write(&path("trained.onnx"), &source.write(&trained))?;
    let all = [&state.weights[..], &base].concat();
    let model = record.spec.inference_model(&all, &record.mean, &record.scale)?;
    files::write(&path("trained.assay"), &model.to_bytes()?)?;
    record.write(&path("training.json"))?;
    for (name, stack) in [("weights.stack", weights), ("trained.stack", trained_stack), ("dataset.stack", dataset)] {
        named::write(&path(name), stack)?;
    }
    kept.as_ref().map_or(Ok(()), |stack| named::write(&path("base.stack"), stack))?;
    proof.write(&path)?;
    let before = training::accuracy(&record.spec, (&initial, &base), &data)?;
    let after = training::accuracy(&record.spec, (&state.weights, &base), &data)?;
    let s = &record.spec;
    let losses: Vec<f64> = record.losses.iter().map(|l| training::mean_loss(s.loss, *l, s.batch())).collect();
    o.say(format!("trained {line}"));
    if let (Some(b), Some(a)) = (before, after) {
        o.say(format!("data    {:.1} % to {:.1} % of its rows right (computed, not proven)", 100.0 * b, 100.0 * a));
    }
    o.say(format!("seed    {}", hex(&s.seed)));
    for (name, id) in [("weights", &record.weights), ("trained", &record.trained), ("dataset", &record.dataset)] {
        o.say(format!("stack   {name}: {id}"));
    }
    if let Some(id) = &record.base {
        o.say(format!("stack   base: {id}: it stays as it is"));
    }
    proof.say(app, seconds_trained);
    o.say(format!(
        "wrote   {}: trained.onnx, trained.assay, training.json, {}, and weights.stack, trained.stack and dataset.stack, which are secret",
        args.output.display(),
        proof.files()
    ));
    let mut result = json!({
        "valid": true,
        "steps": s.steps,
        "batch": s.batch(),
        "rows": s.rows,
        "seed": hex(&s.seed),
        "losses": losses,
        "accuracy_before": before,
        "accuracy_after": after,
        "train_seconds": seconds_trained,
        "model_id": hex(&runs.model().model_id()?),
        "row_bits": row_bits,
        "stacks": { "weights": record.weights, "trained": record.trained, "dataset": record.dataset },
    });
    if let Some(id) = &record.base {
        result["stacks"]["base"] = json!(id);
    }
    chain::merge(&mut result, proof.json());
    o.result(result);
    Ok(())
}

/// All steps, with the loss as they go.
fn steps(
    app: &App,
    spec: &Spec,
    (initial, base): (Vec<Tensor>, Vec<Tensor>),
    data: &training::Data,
) -> Outcome<reference::State> {
    let progress = Progress::start(&app.output, "train", 0.0);
    let mut state = reference::State::over(initial, base);
    for t in 0..spec.steps {
        reference::step(spec, &mut state, t, &data.rows, &data.targets)?;
        let loss = state.losses.last().map_or(0.0, |l| training::mean_loss(spec.loss, *l, spec.batch()));
        progress.share(&format!("step {}, loss {loss:.4}", t + 1), t as u64 + 1, spec.steps as u64);
        app.output.event("step", json!({ "step": t + 1, "loss": loss }));
    }
    Ok(state)
}
