//! `assay model`: puts a model on the market.

use crate::{
    App,
    args::QuantArgs,
    chain::address,
    economy::{
        EconomyArgs, System, explained, units,
        work::{Offered, RegisteredKeyArgs},
    },
    error::{Failure, Outcome},
    flow,
    output::count,
    settlement::Prepared,
};
use assay_circuits::model::Model;
use assay_contracts::{
    Address, B256,
    economy::{NewEntry, Terms, abi::Economy::EconomyErrors, offer_id},
    is_development,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ModelCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the settlement key, register it, and offer the model
    Register(Box<Register>),
    /// End a verifier's entry for good, as the guardian
    Tombstone(super::govern::Tombstone),
}

#[derive(Debug, Args)]
struct Register {
    /// A compiled model, or an ONNX model
    model: PathBuf,
    /// Inferences in one proof: up to so many jobs are settled at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// The owner's part of each price, in 1/10000
    #[arg(long, value_name = "BPS", default_value_t = 500, value_parser = clap::value_parser!(u16).range(0..=5000))]
    royalty: u16,
    /// Who is paid for the training data
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires = "data_royalty")]
    data_recipient: Option<Address>,
    /// The part of each price for the training data, in 1/10000
    #[arg(long, value_name = "BPS", requires = "data_recipient", value_parser = clap::value_parser!(u16).range(1..=5000))]
    data_royalty: Option<u16>,
    /// Where to read about the model
    #[arg(long, value_name = "URI", default_value = "")]
    uri: String,
    /// For confidential jobs: inputs stay in stacks, and outputs are masked. Up to 16 of them in one proof
    #[arg(long)]
    confidential: bool,
    /// Make no offer: only the verifier's entry
    #[arg(long)]
    no_offer: bool,
    #[command(flatten)]
    key: RegisteredKeyArgs,
    #[command(flatten)]
    quant: QuantArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &ModelCommand) -> Outcome<()> {
    match &args.action {
        Action::Register(a) => register(app, a),
        Action::Tombstone(a) => super::govern::tombstone(app, a),
    }
}

/// What registering did.
struct Registered {
    settlement_id: B256,
    verifier_id: B256,
    key_gas: Option<u64>,
    entry_gas: Option<u64>,
}

fn register(app: &App, args: &Register) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(true)?;
    let owner = system.sender()?;
    let model = flow::load_model(app, &args.model, &args.quant, false)?.model;
    let offered = if args.confidential { Offered::confidential(&model)? } else { Offered::plain(&model)? };
    let batch = usize::try_from(args.batch).unwrap_or(usize::MAX);
    let prepared = offered.prepare(app, &args.key, batch)?;
    args.economy.chain.guard(system.chain.as_ref(), is_development(&prepared.prover.key.descriptor.to_bytes()))?;
    let units = work_units(&model)?;
    let model_id = B256::from(offered.model().model_id()?);
    o.say(format!("model      {model_id}{}", if args.confidential { ", confidential" } else { "" }));
    o.say(format!("work       {} multiply-adds an inference", count(units)));
    let registered = add(app, &mut system, &prepared, model_id, args.batch, units)?;
    let offer = if args.no_offer {
        None
    } else {
        Some(make_offer(&mut system, args, model_id, registered.verifier_id, owner)?)
    };
    o.answer(format!("settlement {}", registered.settlement_id));
    o.answer(format!("verifier   {}", registered.verifier_id));
    if let Some((id, _)) = &offer {
        o.answer(format!("offer      {id}"));
    }
    let gas = |what: &str, gas: Option<u64>| match gas {
        Some(g) => format!("{} to {what}", count(g)),
        None => format!("nothing to {what}, it was done already"),
    };
    let offer_gas = offer.as_ref().and_then(|(_, g)| *g);
    let mut lines = vec![gas("register the key", registered.key_gas), gas("add the verifier", registered.entry_gas)];
    if offer.is_some() {
        lines.push(gas("offer the model", offer_gas));
    }
    o.say(format!("gas        {}", lines.join("; ")));
    o.say(format!(
        "fee        {} burned a job",
        units::shown(system.at.market().ledger().work_fee(system.chain.as_mut(), registered.verifier_id)?)
    ));
    o.result(json!({
        "model_id": model_id.to_string(),
        "settlement_id": registered.settlement_id.to_string(),
        "verifier_id": registered.verifier_id.to_string(),
        "offer_id": offer.map(|(id, _)| id.to_string()),
        "owner": owner.to_string(),
        "batch": args.batch,
        "confidential": args.confidential,
        "work_units": units,
        "key_gas": registered.key_gas,
        "entry_gas": registered.entry_gas,
        "offer_gas": offer_gas,
        "insecure_srs": prepared.prover.key.descriptor.insecure_dev,
    }));
    Ok(())
}

/// Multiply-adds of the integer graph for one inference.
fn work_units(model: &Model) -> Outcome<u64> {
    let units = model.graph.multiply_adds();
    match u64::try_from(units) {
        Ok(0) => Err(Failure::new("the model has no multiply-adds, so its proofs are no work to pay for")
            .help("offer a model with a dense, convolution or matrix product layer")),
        Ok(u) => Ok(u),
        Err(_) => Err(Failure::new(format!("{units} multiply-adds an inference; the market counts to 2^64"))
            .help("offer a smaller model")),
    }
}

/// Stores the key with the verifier contract and adds the registry's entry, each unless it is there.
fn add(
    app: &App,
    system: &mut System,
    prepared: &Prepared,
    model_id: B256,
    batch: u32,
    work_units: u64,
) -> Outcome<Registered> {
    let chain = system.chain.as_mut();
    let (verifier, registry) = (system.at.verifier(), system.at.registry());
    let key = prepared.prover.key.descriptor.to_bytes();
    let stored = verifier.register(chain, &key)?;
    let key_gas = stored.transaction.map(|t| t.measured.gas_used);
    let settlement_id = stored.model_id;
    let entry = NewEntry { verifier: verifier.address(), settlement_id, model_id, batch, work_units };
    let known = registry
        .entries(chain)?
        .into_iter()
        .find(|(_, e)| e.settlementId == settlement_id && e.modelId == model_id && e.verifier == verifier.address());
    if let Some((verifier_id, e)) = known {
        if e.batch != batch || e.workUnits != work_units {
            return Err(Failure::new(format!(
                "verifier {verifier_id} of this key says batch {} and {} multiply-adds; they are {batch} and {work_units}",
                e.batch, e.workUnits
            ))
            .help("do not use it; its entry is wrong, and the guardian can end it"));
        }
        return Ok(Registered { settlement_id, verifier_id, key_gas, entry_gas: None });
    }
    match registry.add(chain, &entry) {
        Ok((verifier_id, done)) => {
            Ok(Registered { settlement_id, verifier_id, key_gas, entry_gas: Some(done.gas_used) })
        }
        Err(e) if needs_a_vote(&e) => Err(proposal(app, system, &entry, &e)),
        Err(e) => Err(explained(e)),
    }
}

fn needs_a_vote(e: &assay_contracts::Error) -> bool {
    matches!(
        e.economy(),
        Some(EconomyErrors::AccessManagedUnauthorized(_) | EconomyErrors::AccessManagedRequiredDelay(_))
    )
}

/// The key is registered; the entry needs somebody with more rights. Says what he must send.
fn proposal(app: &App, system: &System, entry: &NewEntry, e: &assay_contracts::Error) -> Failure {
    let o = &app.output;
    let (target, data) = (system.at.contracts.registry, entry.calldata());
    o.answer(format!("settlement {}", entry.settlement_id));
    o.answer(format!("target     {target} (VerifierRegistry)"));
    o.answer(format!("calldata   {data}"));
    o.event(
        "proposal",
        json!({
            "target": target.to_string(),
            "calldata": data.to_string(),
            "settlement_id": entry.settlement_id.to_string(),
            "governor": system.at.contracts.governor.to_string(),
            "timelock": system.at.contracts.timelock.to_string(),
            "access_manager": system.at.contracts.manager.to_string(),
            "required_delay": match e.economy() {
                Some(EconomyErrors::AccessManagedRequiredDelay(d)) => json!(d.delay),
                _ => Value::Null,
            },
        }),
    );
    let how = match e.economy() {
        Some(EconomyErrors::AccessManagedRequiredDelay(d)) => format!(
            "this account is a curator with a delay of {}: call schedule(target, calldata, 0) of the AccessManager at {}, and \
             run this again after the delay has passed and execute(target, calldata) was called",
            units::span(u64::from(d.delay)),
            system.at.contracts.manager
        ),
        _ => format!(
            "the settlement key is stored; for the entry, propose one call (target and calldata above) at the governor {}: \
             propose([target], [0], [calldata], description). Run this again when the vote was executed",
            system.at.contracts.governor
        ),
    };
    Failure::new("adding a verifier takes a right that this account does not have: nothing was offered yet").help(how)
}

/// The offer's id, and the gas if it was made now.
fn make_offer(
    system: &mut System,
    args: &Register,
    model_id: B256,
    verifier_id: B256,
    owner: Address,
) -> Outcome<(B256, Option<u64>)> {
    let terms = Terms {
        royalty_bps: args.royalty,
        data_recipient: args.data_recipient.unwrap_or_default(),
        data_bps: args.data_royalty.unwrap_or_default(),
        uri: args.uri.clone(),
    };
    let id = offer_id(model_id, owner, &terms);
    match system.at.models().offer(system.chain.as_mut(), verifier_id, &terms) {
        Ok((id, done)) => Ok((id, Some(done.gas_used))),
        Err(e) if matches!(e.economy(), Some(EconomyErrors::AlreadyOffered(_))) => Ok((id, None)),
        Err(e) => Err(explained(e)),
    }
}
