//! `assay chain canary`: the key that shows that powers of tau, circuit or verifier are broken.

use super::{ProposeArgs, act};
use crate::{
    App,
    economy::EconomyArgs,
    error::{Failure, Outcome},
    srs,
};
use assay_contracts::{
    B256,
    economy::{Registry, srs_hash},
    is_development,
};
use assay_prover::{
    Recorder,
    device::Cpu,
    settle::{SettlementProver, canary::setup_canary},
};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Enough powers of tau for the canary.
const CANARY_POWER: u32 = 12;

/// The canary's key under the powers of tau of a file, or the development ones: the same for everybody.
pub(crate) fn canary_key(app: &App, file: Option<&Path>) -> Outcome<Vec<u8>> {
    Ok(make_canary(app, file)?.key.descriptor.to_bytes())
}

fn make_canary(app: &App, file: Option<&Path>) -> Outcome<SettlementProver> {
    let powers = srs::choose(app, file, CANARY_POWER)?;
    Ok(setup_canary(&Cpu::default(), &powers, &Recorder::default())?)
}

#[derive(Debug, Args)]
pub(crate) struct Canary {
    /// Powers of tau, as `assay srs import` writes them [default: a development setup, which anybody can forge under]
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
    /// Name it, if it is not named: takes a vote after deployment
    #[arg(long)]
    set: bool,
    #[command(flatten)]
    propose: ProposeArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

/// Makes the canary's key again and compares it with the one that the registry has: exit code 1 if another is named, 2 if none
/// is.
pub(crate) fn canary(app: &App, args: &Canary) -> Outcome<()> {
    let sends = args.set || args.propose.propose.is_some();
    let mut system = args.economy.connect(sends)?;
    let (registry, verifier) = (system.at.registry(), system.at.verifier());
    let made = make_canary(app, args.srs.as_deref())?;
    let key = made.key.descriptor.to_bytes();
    let powers = srs_hash(&key).unwrap_or_default();
    let id = B256::from(made.key.id());
    let (named, stopped) = registry.canary(system.chain.as_mut(), verifier.address(), powers)?;
    app.output.say(format!("powers   {powers}"));
    if named.is_none() && sends {
        args.economy.chain.guard(system.chain.as_ref(), is_development(&key))?;
        verifier.register(system.chain.as_mut(), &key)?;
        let data = Registry::canary_data(verifier.address(), id);
        let what = format!("canary   {id}");
        return act(app, &mut system, &args.propose, (&what, registry.address(), data), |s| {
            registry.set_canary(s.chain.as_mut(), verifier.address(), id)
        });
    }
    let text = named.map_or_else(|| "none".to_owned(), |n| n.to_string());
    app.output.answer(format!("canary   {text}"));
    app.output.say(if stopped { "these powers were STOPPED: the impossible was proven" } else { "not stopped" });
    app.output.result(json!({
        "srs_hash": powers.to_string(),
        "canary": named.map(|n| n.to_string()),
        "expected": id.to_string(),
        "matches": named.map(|n| n == id),
        "stopped": stopped,
        "valid": named.map(|n| n == id),
    }));
    match named {
        Some(n) if n == id => Ok(()),
        Some(n) => Err(Failure::new(format!("the canary is {n}, and that of these powers is {id}"))
            .help("whoever named it can end all verifiers with these powers of tau: do not post here")
            .invalid()),
        None => Err(Failure::new("no canary is named for these powers of tau: nobody watches over them")
            .help("check the file that you pass with --srs; --set names it, and after deployment --propose WHY lets votes name it")),
    }
}
