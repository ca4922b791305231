//! `assay stack`: tensors that are committed once and that any number of proofs are about.

use crate::{
    App,
    args::{BatchArgs, QuantArgs},
    device::on_device,
    error::{Failure, Outcome},
    files::{self, Kind},
    flow,
    output::count,
    srs, stacks, training,
};
use assay_prover::{Blinding, Stack};
use assay_verifier::core::hex;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct StackArgs {
    #[command(subcommand)]
    command: StackCommand,
}

#[derive(Debug, Subcommand)]
enum StackCommand {
    /// Commit to inputs, or to the weights of a model. The file holds the values and what blinds them: keep it to yourself
    Commit(Box<CommitCommand>),
    /// Describe a stack: its id, and what it holds
    Show {
        /// What `assay stack commit` wrote
        file: PathBuf,
    },
    /// Check that a stack's commitments are those of its values: exit code 0 they are, 1 they are not, 2 could not check
    Verify {
        /// What `assay stack commit` wrote
        file: PathBuf,
        /// Powers of tau [default: development ones, INSECURE]
        #[arg(long, value_name = "SRS")]
        srs: Option<PathBuf>,
        /// Also check that this is the stack's id, in hexadecimal
        #[arg(long, value_name = "HEX")]
        id: Option<String>,
    },
}

#[derive(Debug, Args)]
struct CommitCommand {
    /// Inputs as floats (JSON {"input_data": [[...]]}, .npy or .npz; needs --model), or a compiled model, for its weights, or with
    /// --train an ONNX model, for the weights that training starts from
    source: PathBuf,
    /// Where to write the stack
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The compiled model that the inputs are for: it says how they are quantized
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The source is an ONNX model: commit to its weights as `assay train` starts from them
    #[arg(long, conflicts_with = "model")]
    train: bool,
    /// Do not blind: anyone with the values can recompute the id, and test guesses of them against it
    #[arg(long)]
    public: bool,
    /// log2 of the length of a committed row: 8, 10, 12, 14, 16 or 18 [default: the shortest with at most four rows]
    #[arg(long, value_name = "N")]
    row_bits: Option<u8>,
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    srs: Option<PathBuf>,
    #[command(flatten)]
    batch: BatchArgs,
}

pub(crate) fn run(app: &App, args: &StackArgs) -> Outcome<()> {
    match &args.command {
        StackCommand::Commit(args) => commit(app, args),
        StackCommand::Show { file } => show(app, file),
        StackCommand::Verify { file, srs, id } => verify(app, file, srs.as_deref(), id.as_deref()),
    }
}

fn commit(app: &App, args: &CommitCommand) -> Outcome<()> {
    files::check_target(&args.output)?;
    let load = |path: &Path| flow::load_model(app, path, &QuantArgs::default(), false).map(|c| c.model);
    let (schema, values) = match (&args.model, files::kind(&args.source)?) {
        _ if args.train => training::initial(&args.source, args.row_bits)?,
        (Some(model), kind) if kind != Kind::Model => {
            let model = load(model)?;
            let samples = flow::read_samples(app, &model, &args.source, args.batch)?;
            stacks::inputs(app, &model, &samples, args.row_bits)?
        }
        (Some(_), _) => {
            return Err(Failure::new(format!(
                "'{}' is a compiled model, and --model names another",
                args.source.display()
            ))
            .help("leave out --model to commit to the weights; name a file of inputs to commit to those"));
        }
        (None, Kind::Model) => stacks::weights(&load(&args.source)?, args.row_bits)?,
        (None, kind) => {
            return Err(Failure::new(format!(
                "'{}' is {}; expected a compiled model",
                args.source.display(),
                kind.name()
            ))
            .help("to commit to inputs, say which model they are for: --model MODEL"));
        }
    };
    let srs = srs::choose(app, args.srs.as_deref(), u32::from(schema.row_bits) + 1)?;
    flow::warn_insecure(app, srs.insecure_dev);
    let blinding = if args.public { Blinding::Public } else { Blinding::Random };
    let card = app.devices.card(app, 0, schema.rows() << schema.row_bits)?;
    let stack = on_device!(app, card, |device| Stack::commit(device, &schema, values.clone(), &srs, blinding))?;
    stacks::write(&args.output, &stack)?;
    say(app, &stack)?;
    app.output.say(format!("wrote   {}", args.output.display()));
    app.output.result(describe(&stack)?);
    Ok(())
}

/// Describes a stack file.
pub(crate) fn show(app: &App, path: &Path) -> Outcome<()> {
    let stack = stacks::read(path)?;
    flow::warn_insecure(app, stack.srs().insecure_dev);
    say(app, &stack)?;
    app.output.result(describe(&stack)?);
    Ok(())
}

fn verify(app: &App, path: &Path, srs_file: Option<&Path>, id: Option<&str>) -> Outcome<()> {
    let stack = stacks::read(path)?;
    let own = stacks::id(&stack)?;
    if let Some(expected) = id
        && !expected.trim_start_matches("0x").eq_ignore_ascii_case(&own)
    {
        return Err(Failure::new(format!("the stack's id is {own}, not {expected}"))
            .help("this file is another stack")
            .invalid());
    }
    let srs = srs::of_key(app, stack.srs(), srs_file, u32::from(stack.schema().row_bits) + 1)?;
    flow::warn_insecure(app, srs.insecure_dev);
    let card = app.devices.card(app, 0, stack.schema().rows() << stack.schema().row_bits)?;
    on_device!(app, card, |device| stack.check(device, &srs)).map_err(|e| {
        let false_rows = matches!(e, assay_prover::StackError::Row { .. });
        let f = Failure::from(e).in_file(path);
        if false_rows { f.invalid() } else { f }
    })?;
    say(app, &stack)?;
    app.output.say("valid   every row is the commitment to its values");
    let mut result = describe(&stack)?;
    result["valid"] = json!(true);
    app.output.result(result);
    Ok(())
}

pub(super) fn say(app: &App, stack: &Stack) -> Outcome<()> {
    let (o, schema) = (&app.output, stack.schema());
    o.say(format!("stack   {}", stacks::id(stack)?));
    for t in &schema.tensors {
        o.say(format!("holds   '{}' {:?}, {} bits", t.name, t.shape, t.bits));
    }
    let blinding = if stack.blinded() {
        "blinded: the id says nothing about them"
    } else {
        "PUBLIC: the id can be recomputed from them"
    };
    o.say(format!(
        "        {} values in {} row{} of 2^{}, {blinding}",
        count(schema.values() as u64),
        schema.rows(),
        if schema.rows() == 1 { "" } else { "s" },
        schema.row_bits
    ));
    Ok(())
}

pub(super) fn describe(stack: &Stack) -> Outcome<Value> {
    let schema = stack.schema();
    let tensors: Vec<Value> =
        schema.tensors.iter().map(|t| json!({ "name": t.name, "shape": t.shape, "bits": t.bits })).collect();
    Ok(json!({
        "kind": "stack",
        "stack_id": stacks::id(stack)?,
        "schema_digest": hex(&schema.digest()?),
        "tensors": tensors,
        "values": schema.values(),
        "rows": schema.rows(),
        "row_bits": schema.row_bits,
        "blinded": stack.blinded(),
        "stack_bytes": stack.to_bytes()?.len(),
        "srs_hash": hex(&stack.srs().srs_hash),
        "insecure_srs": stack.srs().insecure_dev,
    }))
}
