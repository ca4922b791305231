//! `assay chain`: the verifier contract on the embedded EVM or on a node.

mod segments;

pub(super) use segments::LocalSegments;

use crate::{
    App,
    chain::{ChainArgs, address, measured_json, merge},
    error::{Failure, Outcome},
    files::{self, Kind},
    output::count,
    settlement,
};
use assay_contracts::{Address, B256, BASE_GAS, Chain, Embedded, Measured, Verifier, is_development};
use assay_verifier::{core::hex, settle::key::Context};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ChainCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start a local node and deploy the whole market on it, with tokens for the first accounts
    Up(Box<super::up::Up>),
    /// Deploy the verifier contract
    Deploy(Deploy),
    /// Store a settlement key with the contract, once for each model and batch size
    Register(Register),
    /// Ask the contract whether it accepts a settled proof: exit code 0 yes, 1 no
    Verify(Verify),
    /// What verification costs, on the embedded EVM
    Gas(Gas),
    /// Check who may do what in a deployment: exit code 1 if it is not as its file says
    Check(super::govern::Check),
    /// Compare the canary with that of the powers of tau: exit code 1 if it is another
    Canary(super::govern::Canary),
    /// Stop posting and leasing, as the guardian
    Pause(super::govern::Pause),
    /// Allow posting and leasing again, by vote
    Unpause(super::govern::Pause),
}

#[derive(Debug, Args)]
struct Deploy {
    /// The contract takes keys made with development powers of tau
    #[arg(long, conflicts_with = "segments")]
    accept_development_srs: bool,
    /// Deploy the contract that takes settled proofs of all segments of a split model together, on top of the verifier at this
    /// address
    #[arg(long, value_name = "VERIFIER", value_parser = address)]
    segments: Option<Address>,
    #[command(flatten)]
    chain: ChainArgs,
}

#[derive(Debug, Args)]
struct Register {
    /// The settlement key, or the settlement keys of a split model
    key: PathBuf,
    /// Address of the contract; of a split model, of the one that `deploy --segments` made [default: one deployed for this command,
    /// on the embedded EVM]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    contract: Option<Address>,
    #[command(flatten)]
    chain: ChainArgs,
}

#[derive(Debug, Args)]
struct Verify {
    /// The settled proof, or settled proofs of all segments of a split model
    proof: PathBuf,
    /// The settlement key [default: the contract must know it]; the settlement keys of a split model are always needed
    #[arg(long, value_name = "KEY")]
    key: Option<PathBuf>,
    /// Address of the contract; of a split model, of the one that `deploy --segments` made [default: one deployed for this command,
    /// on the embedded EVM]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    contract: Option<Address>,
    /// Send a transaction that leaves the event `Verified` (of a split model `SegmentsVerified`); the proof must be bound to this
    /// contract as consumer
    #[arg(long)]
    submit: bool,
    #[command(flatten)]
    chain: ChainArgs,
}

#[derive(Debug, Args)]
struct Gas {
    /// The settled proof
    proof: PathBuf,
    /// The settlement key
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
}

pub(crate) fn run(app: &App, args: &ChainCommand) -> Outcome<()> {
    match &args.action {
        Action::Up(a) => super::up::run(app, a),
        Action::Deploy(a) => deploy(app, a),
        Action::Register(a) => register(app, a),
        Action::Verify(a) => verify(app, a),
        Action::Gas(a) => gas(app, a),
        Action::Check(a) => super::govern::check(app, a),
        Action::Canary(a) => super::govern::canary(app, a),
        Action::Pause(a) => super::govern::pause(app, a, true),
        Action::Unpause(a) => super::govern::pause(app, a, false),
    }
}

/// The contract at an address, or a new one on the embedded EVM.
fn contract(chain: &mut dyn Chain, args: &ChainArgs, at: Option<Address>) -> Outcome<Verifier> {
    match at {
        Some(a) => Ok(Verifier::at(chain, a)?),
        None if args.rpc.is_some() => Err(Failure::new("which contract? pass its address with --contract")
            .help("`assay chain deploy --rpc URL` deploys one and prints its address")),
        None => Ok(Verifier::deploy(chain, true)?.0),
    }
}

/// A proof can be submitted to the contract that it is bound to.
fn check_consumer(chain: &dyn Chain, contract: Address, c: &Context) -> Outcome<()> {
    if c.consumer == contract.into_array() && c.chain_id == chain.chain_id() {
        return Ok(());
    }
    Err(Failure::new("the proof is bound to another contract or chain, so it cannot be submitted here")
        .help(format!("settle with --chain-id {} --consumer {contract}", chain.chain_id())))
}

fn deploy(app: &App, args: &Deploy) -> Outcome<()> {
    if let Some(verifier) = args.segments {
        return segments::deploy(app, args, verifier);
    }
    let o = &app.output;
    let mut chain = args.chain.connect(true)?;
    args.chain.guard(chain.as_ref(), args.accept_development_srs)?;
    let (verifier, measured) = Verifier::deploy(chain.as_mut(), args.accept_development_srs)?;
    o.answer(format!("contract {}", verifier.address()));
    o.say(format!("chain    {} ({})", chain.chain_id(), chain.place()));
    o.say(format!("gas      {}; {} bytes of code", count(measured.gas_used), count(measured.contract_bytes as u64)));
    let mut result = json!({
        "contract": verifier.address().to_string(),
        "chain_id": chain.chain_id(),
        "accepts_development_srs": args.accept_development_srs,
    });
    merge(&mut result, measured_json(&measured));
    o.result(result);
    Ok(())
}

fn register(app: &App, args: &Register) -> Outcome<()> {
    if files::kind(&args.key)? == Kind::SegmentKeys {
        return segments::register(app, args);
    }
    let o = &app.output;
    let key = settlement::read_key(&args.key)?;
    let words = key.descriptor.to_bytes();
    let mut chain = args.chain.connect(true)?;
    args.chain.guard(chain.as_ref(), is_development(&words))?;
    let verifier = contract(chain.as_mut(), &args.chain, args.contract)?;
    let registered = verifier.register(chain.as_mut(), &words)?;
    o.answer(format!("id       {}", registered.model_id));
    o.say(format!("contract {}", verifier.address()));
    match &registered.transaction {
        Some(t) => o.say(format!("gas      {}", count(t.measured.gas_used))),
        None => o.say("it was registered already"),
    }
    let mut result = json!({
        "settlement_id": hex(registered.model_id.as_slice()),
        "contract": verifier.address().to_string(),
        "data_contract": registered.data.to_string(),
        "development_srs": registered.development_srs,
        "registered_now": registered.transaction.is_some(),
        "transaction": registered.transaction.map(|t| t.hash.to_string()),
    });
    if let Some(t) = &registered.transaction {
        merge(&mut result, measured_json(&t.measured));
    }
    o.result(result);
    Ok(())
}

fn verify(app: &App, args: &Verify) -> Outcome<()> {
    if files::kind(&args.proof)? == Kind::SegmentProofs {
        return segments::verify(app, args);
    }
    let o = &app.output;
    let proof = settlement::read_proof(&args.proof)?;
    let key = args.key.as_deref().map(settlement::read_key).transpose()?;
    let registers = key.is_some() && args.chain.rpc.is_none();
    let mut chain = args.chain.connect(args.submit)?;
    let chain = chain.as_mut();
    let verifier = contract(chain, &args.chain, args.contract)?;
    let id = B256::from(proof.id);
    if let Some(key) = &key {
        if key.id() != proof.id {
            return Err(Failure::new("the proof was made for another settlement key")
                .help("use the key that the proof was made with; `assay show` prints the id of both")
                .invalid());
        }
        if registers {
            verifier.register(chain, &key.descriptor.to_bytes())?;
        }
    }
    let context = proof.context.digest();
    let accepted = verifier.verify(chain, id, &proof.public, context, &proof.argument)?;
    if !accepted {
        return Err(Failure::new("the contract does not accept the proof")
            .help("do not trust what the proof claims, and check that it was made for this key")
            .invalid());
    }
    let measured: Measured = if args.submit {
        let job = B256::from(proof.context.job);
        let recipient = Address::from(proof.context.recipient);
        check_consumer(chain, verifier.address(), &proof.context)?;
        verifier.submit(chain, id, &proof.public, job, recipient, &proof.argument)?.transaction.measured
    } else {
        verifier.verify_cost(chain, id, &proof.public, context, &proof.argument)?
    };
    o.answer("accepted");
    say_asked(app, verifier.address(), chain, &measured);
    let mut result = json!({
        "accepted": true,
        "valid": true,
        "submitted": args.submit,
        "settlement_id": hex(&proof.id),
        "contract": verifier.address().to_string(),
        "chain_id": chain.chain_id(),
    });
    merge(&mut result, measured_json(&measured));
    o.result(result);
    Ok(())
}

/// Which contract was asked, and what that takes.
fn say_asked(app: &App, contract: Address, chain: &dyn Chain, measured: &Measured) {
    app.output.say(format!("contract {contract} on {}", chain.place()));
    app.output.say(format!(
        "gas      {}; {} bytes of calldata",
        count(measured.gas_used),
        count(measured.calldata_bytes as u64)
    ));
}

fn gas(app: &App, args: &Gas) -> Outcome<()> {
    let o = &app.output;
    let proof = settlement::read_proof(&args.proof)?;
    let key = settlement::read_key(&args.key)?;
    let mut chain = Embedded::new();
    let (verifier, deployed) = Verifier::deploy(&mut chain, true)?;
    let registered = verifier.register(&mut chain, &key.descriptor.to_bytes())?;
    let context = proof.context.digest();
    if !verifier.verify(&mut chain, registered.model_id, &proof.public, context, &proof.argument)? {
        return Err(Failure::new("the contract does not accept the proof")
            .help("do not trust what the proof claims, and check that it was made for this key")
            .invalid());
    }
    let m = verifier.verify_cost(&mut chain, registered.model_id, &proof.public, context, &proof.argument)?;
    let register = registered.transaction.map_or(0, |t| t.measured.gas_used);
    o.answer(format!("verify   {} gas in all", count(m.gas_used)));
    o.say("         21,000 for the transaction");
    o.say(format!("         {} for {} bytes of calldata", count(m.calldata_gas), count(m.calldata_bytes as u64)));
    o.say(format!("         {} executed", count(m.gas_used.saturating_sub(BASE_GAS + m.calldata_gas))));
    o.say(format!(
        "deploy   {} gas, {} bytes of code",
        count(deployed.gas_used),
        count(deployed.contract_bytes as u64)
    ));
    o.say(format!("register {} gas, once for each model and batch size", count(register)));
    let mut result = json!({
        "accepted": true,
        "settlement_id": hex(&proof.id),
        "executed_gas": m.gas_used.saturating_sub(BASE_GAS + m.calldata_gas),
        "deploy_gas": deployed.gas_used,
        "register_gas": register,
        "batch": key.batch,
    });
    merge(&mut result, measured_json(&m));
    o.result(result);
    Ok(())
}
