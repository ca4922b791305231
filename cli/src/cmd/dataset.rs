//! `assay dataset`: data that training can be paid for.

use crate::{
    App,
    chain::address,
    cmd::stack,
    economy::{EconomyArgs, System, explained, hash, units},
    error::{Failure, Outcome},
    files, flow,
    output::{count, table},
    stacks,
    training::{self, Hyper, LossName, SETTLED_ROW_BITS},
};
use assay_circuits::{canonical, train::data_schema};
use assay_contracts::{
    Address, B256,
    economy::{Dataset, DatasetTerms, abi::Economy::EconomyErrors, dataset_id},
    keccak256,
};
use assay_prover::Blinding;
use assay_verifier::curve::{g1_to_bytes, g2_to_bytes};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct DatasetCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Commit to rows and targets without training on them: a stack to register, to train on, or to hold out
    Commit(Commit),
    /// Register a stack of data, with its licence and the royalty for training on it
    Register(Register),
    /// Describe a dataset, or list all of them, newest first
    Show(Show),
    /// End new leases on a dataset of yours, for good
    Retire(Retire),
}

#[derive(Debug, Args)]
struct Commit {
    /// .npz with x (a row for each sample) and y (its class, or a row of targets)
    data: PathBuf,
    /// The ONNX model that is trained on it: it says what shape rows and targets have
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// Where to write the stack, which holds the rows: keep it to yourself
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// log2 of the length of a committed row: 8, 10, 12, 14, 16 or 18; all stacks of a run have one
    #[arg(long, value_name = "N", default_value_t = SETTLED_ROW_BITS)]
    row_bits: u8,
    /// Do not blind: anyone with the rows can recompute the id, and test guesses of them against it
    #[arg(long)]
    public: bool,
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    srs: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Register {
    /// The data, as `assay dataset commit` wrote it; only its commitments are sent
    stack: PathBuf,
    /// The licence's text, whose hash is registered
    #[arg(long, value_name = "FILE")]
    licence: PathBuf,
    /// Part of what training on the data is paid, in 1/10000: at most 5000
    #[arg(long, value_name = "BPS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=5000))]
    royalty: u16,
    /// Who gets the royalty [default: the account that sends]
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires = "royalty")]
    recipient: Option<Address>,
    /// Where to read about the data
    #[arg(long, value_name = "URI", default_value = "")]
    uri: String,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
struct Show {
    /// The dataset, 32 bytes in hexadecimal [default: all]
    #[arg(value_name = "ID", value_parser = hash)]
    id: Option<B256>,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
struct Retire {
    /// The dataset, 32 bytes in hexadecimal
    #[arg(value_name = "ID", value_parser = hash)]
    id: B256,
    #[command(flatten)]
    economy: EconomyArgs,
}

/// Most datasets that are listed.
const LISTED: usize = 50;
/// Largest text of a licence, in bytes.
const MAX_LICENCE: u64 = 1 << 24;

pub(crate) fn run(app: &App, args: &DatasetCommand) -> Outcome<()> {
    match &args.action {
        Action::Commit(a) => commit(app, a),
        Action::Register(a) => register(app, a),
        Action::Show(a) => show(app, a),
        Action::Retire(a) => retire(app, a),
    }
}

fn commit(app: &App, args: &Commit) -> Outcome<()> {
    files::check_target(&args.output)?;
    let source = training::load(&args.model)?;
    let arrays = training::arrays(&args.data, &source.network.input)?;
    // Steps, rate and loss say nothing about the data.
    let hyper = Hyper { steps: 1, batch: 1, rate_bits: 0, momentum_bits: None, loss: Some(LossName::CrossEntropy) };
    let spec = hyper.spec(&source, arrays.rows, true, [0; 32])?;
    let data = arrays.integers(&spec, &[], &[])?;
    let schema = data_schema(&spec, spec.rows, args.row_bits)?;
    let blinding = if args.public { Blinding::Public } else { Blinding::Random };
    let stack = training::commit_with(app, &schema, vec![data.rows, data.targets], args.srs.as_deref(), blinding)?;
    stacks::write(&args.output, &stack)?;
    stack::say(app, &stack)?;
    app.output.say(format!("wrote   {}", args.output.display()));
    app.output.result(stack::describe(&stack)?);
    Ok(())
}

fn register(app: &App, args: &Register) -> Outcome<()> {
    let o = &app.output;
    let stack = stacks::read(&args.stack)?;
    flow::warn_insecure(app, stack.srs().insecure_dev);
    let schema = stack.schema();
    let first = schema.tensors.first().and_then(|t| t.shape.first());
    if let Some(odd) = schema.tensors.iter().find(|t| t.shape.first() != first || t.shape.is_empty()) {
        return Err(Failure::new(format!(
            "tensor '{}' of shape {:?} has another number of examples than the first one",
            odd.name, odd.shape
        ))
        .help("the first axis of each tensor of a dataset counts its examples: commit to inputs and labels of the same rows"));
    }
    let licence = keccak256(files::read(&args.licence, MAX_LICENCE)?);
    let mut system = args.economy.connect(true)?;
    let owner = system.sender()?;
    let recipient = if args.royalty == 0 { Address::ZERO } else { args.recipient.unwrap_or(owner) };
    let terms = DatasetTerms { licenceHash: licence, royaltyBps: args.royalty, recipient };
    let bytes = canonical::to_bytes(schema)?;
    let srs_hash = keccak256(g2_to_bytes(&stack.srs().tau_g2));
    let rows: Vec<u8> = stack.rows().iter().flat_map(g1_to_bytes).collect();
    let stack_id = B256::from(stack.id()?);
    let id = dataset_id(stack_id, owner, &terms);
    let sent = system.at.datasets().register(system.chain.as_mut(), (&bytes, srs_hash, &rows), &terms, &args.uri);
    let done = match sent {
        Ok((registered, done)) if registered == id => Some(done),
        Ok((registered, _)) => {
            return Err(Failure::new(format!("the registry calls the dataset {registered}, and this program {id}"))
                .help("the stack's id is computed in another way there: do not use this deployment, and report it"));
        }
        Err(e) if matches!(e.economy(), Some(EconomyErrors::AlreadyRegistered(_))) => None,
        Err(e) => return Err(explained(e)),
    };
    let entry = system.at.datasets().get(system.chain.as_mut(), id).map_err(explained)?;
    o.answer(format!("dataset  {id}"));
    say(app, &entry);
    match &done {
        Some(done) => o.say(format!("gas      {}", count(done.gas_used))),
        None => o.say("it was registered already"),
    }
    o.say("note     registering shows that you know the stack's commitments, not that the data is yours or any good");
    let mut result = fields(id, &entry);
    result["registered_now"] = json!(done.is_some());
    result["gas"] = json!(done.as_ref().map(|d| d.gas_used));
    result["transaction"] = json!(done.as_ref().map(|d| d.hash.to_string()));
    o.result(result);
    Ok(())
}

fn say(app: &App, d: &Dataset) {
    let o = &app.output;
    o.say(format!("stack    {}", d.stackId));
    o.say(format!("holds    {} examples, {} values", count(u64::from(d.examples)), count(d.values)));
    o.say(format!("licence  {}", d.licenceHash));
    if d.royaltyBps == 0 {
        o.say("royalty  none");
    } else {
        o.say(format!("royalty  {} to {}", units::percent(d.royaltyBps), d.recipient));
    }
    o.say(format!("owner    {}", d.owner));
}

fn fields(id: B256, d: &Dataset) -> Value {
    json!({
        "dataset_id": id.to_string(),
        "stack_id": d.stackId.to_string(),
        "owner": d.owner.to_string(),
        "examples": d.examples,
        "values": d.values,
        "licence_hash": d.licenceHash.to_string(),
        "royalty_bps": d.royaltyBps,
        "recipient": (!d.recipient.is_zero()).then(|| d.recipient.to_string()),
        "since": d.since.to::<u64>(),
        "retired": (!d.retired.is_zero()).then(|| d.retired.to::<u64>()),
    })
}

fn show(app: &App, args: &Show) -> Outcome<()> {
    let mut system = args.economy.connect(false)?;
    match args.id {
        Some(id) => one(app, &mut system, id),
        None => all(app, &mut system),
    }
}

fn one(app: &App, system: &mut System, id: B256) -> Outcome<()> {
    let o = &app.output;
    let entry = system.at.datasets().get(system.chain.as_mut(), id).map_err(explained)?;
    let moment = system.moment()?;
    let from = system.at.block;
    let registered = system.at.datasets().registration(system.chain.as_mut(), id, from, moment.head.number)?;
    o.answer(format!("dataset  {id}"));
    say(app, &entry);
    o.say(format!("since    {}", units::relative(entry.since.to(), moment.now)));
    if !entry.retired.is_zero() {
        o.say(format!("retired  {}: no new leases", units::relative(entry.retired.to(), moment.now)));
    }
    let mut result = fields(id, &entry);
    if let Some(r) = registered {
        if !r.uri.is_empty() {
            o.say(format!("read     {}", r.uri));
        }
        result["uri"] = json!(r.uri);
        result["schema"] = json!(r.schema.to_string());
    }
    o.result(result);
    Ok(())
}

fn all(app: &App, system: &mut System) -> Outcome<()> {
    let o = &app.output;
    let entries = system.at.datasets().all(system.chain.as_mut())?;
    let mut rows = vec![["dataset", "examples", "values", "royalty", "state"].map(str::to_owned).to_vec()];
    for (id, d) in entries.iter().rev().take(LISTED) {
        rows.push(vec![
            id.to_string(),
            count(u64::from(d.examples)),
            count(d.values),
            units::percent(d.royaltyBps),
            if d.retired.is_zero() { "offered" } else { "retired" }.to_owned(),
        ]);
    }
    if entries.is_empty() {
        o.answer("no datasets were registered yet");
    } else {
        o.answer(table(&rows));
    }
    if entries.len() > LISTED {
        o.say(format!("... and {} older ones", entries.len() - LISTED));
    }
    let list: Vec<Value> = entries.iter().rev().take(LISTED).map(|(id, d)| fields(*id, d)).collect();
    o.result(json!({ "datasets": list, "count": entries.len() }));
    Ok(())
}

fn retire(app: &App, args: &Retire) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    let done = system.at.datasets().retire(system.chain.as_mut(), args.id).map_err(explained)?;
    o.answer(format!("retired  {}, for good; leases that run go on", args.id));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.result(json!({ "dataset_id": args.id.to_string(), "gas": done.gas_used, "transaction": done.hash.to_string() }));
    Ok(())
}
