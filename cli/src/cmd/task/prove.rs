//! `assay task submit`, `assay task settle`: hand in the two proofs of a round.

use super::show::losses;
use crate::{
    App,
    economy::{EconomyArgs, System, explained, units},
    error::{Failure, Outcome},
    output::count,
    settlement,
};
use assay_contracts::{
    B256, Error, Revert, U256,
    abi::ContractError,
    economy::{Phase, Round, RoundProof, Task, abi::Economy::EconomyErrors},
};
use assay_verifier::settle::key::SettledProof;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The task
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// The settled proof of training
    proof: PathBuf,
    /// Where the trained weights can be had
    #[arg(long, value_name = "URI", default_value = "")]
    uri: String,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Settle {
    /// The task
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// The settled proof of evaluation
    proof: PathBuf,
    #[command(flatten)]
    economy: EconomyArgs,
}

/// Ids in front of the values that a proof shows: weights before and after, and the data.
const IDS: usize = 3;

/// A proof's public values: the ids of its stacks, then integers.
struct Shown {
    ids: [B256; IDS],
    values: Vec<u8>,
}

impl Shown {
    fn of(proof: &SettledProof, integers: usize) -> Outcome<Self> {
        let (ids, values) = proof.public.split_at_checked(32 * IDS).unwrap_or((&proof.public, &[]));
        if ids.len() != 32 * IDS || values.len() < 8 * integers || values.len() % 8 != 0 {
            return Err(Failure::new(format!(
                "the proof shows {} bytes; one of a round shows the ids of {IDS} stacks and {integers} or more integers",
                proof.public.len()
            ))
            .help("settle the step graph, or the evaluation, over named stacks of weights and data"));
        }
        let id = |i: usize| ids.get(32 * i..32 * (i + 1)).map(B256::from_slice).unwrap_or_default();
        Ok(Self { ids: [id(0), id(1), id(2)], values: values.to_vec() })
    }

    fn integer(&self, i: usize) -> u64 {
        self.values.get(8 * i..8 * (i + 1)).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes)
    }
}

/// The task and its round, which must wait for this proof, made for this market and payout address.
fn due(system: &mut System, id: u64, kind: RoundProof, proof: &SettledProof) -> Outcome<(Task, Round)> {
    let market = system.at.training();
    let task = system.task(id)?;
    let what = if kind == RoundProof::Training { "training" } else { "evaluation" };
    if task.phase != if kind == RoundProof::Training { Phase::Seeded } else { Phase::Revealed } {
        return Err(Failure::new(format!("task {id} has no round that waits for a proof of {what}"))
            .help("`assay task show ID` tells where it is and what comes next"));
    }
    let round = market.round(system.chain.as_mut(), id).map_err(explained)?;
    let entry_id = if kind == RoundProof::Training { task.ids.trainId } else { task.ids.evaluateId };
    let entry = system.at.registry().entry(system.chain.as_mut(), entry_id).map_err(explained)?;
    if entry.settlementId.0 != proof.id {
        return Err(Failure::new(format!(
            "the proof was made for settlement key {}, and the task asks for {}",
            B256::from(proof.id),
            entry.settlementId
        ))
        .help("settle with the key of the task's verifier: the same graph, powers of tau and row length"));
    }
    let expected = assay_verifier::settle::key::Context {
        chain_id: system.at.chain_id,
        consumer: market.address().into_array(),
        job: kind.job(id, &task).0,
        recipient: round.payout.into_array(),
    };
    if proof.context != expected {
        return Err(Failure::new(format!(
            "the proof is bound to something else than round {} of task {id}, paid to {}",
            task.rounds, round.payout
        ))
        .help(format!(
            "settle with --chain-id {} --consumer {} --job {} --recipient {}",
            expected.chain_id,
            market.address(),
            B256::from(expected.job),
            round.payout
        )));
    }
    Ok((task, round))
}

/// Each id, and what it must be.
fn same(shown: &Shown, expected: &[(usize, &str, B256)]) -> Outcome<()> {
    for (i, what, id) in expected {
        let got = shown.ids.get(*i).copied().unwrap_or_default();
        if got != *id {
            return Err(Failure::new(format!("the proof is about {what} {got}, and this round about {id}"))
                .help("prove it over the stacks that `assay task show ID` names"));
        }
    }
    Ok(())
}

fn refused(e: Error) -> Failure {
    let invalid = matches!(e.revert(), Some(Revert::Contract(c)) if matches!(**c, ContractError::InvalidProof(_)));
    let over = matches!(e.economy(), Some(EconomyErrors::PhaseOver(_)));
    let f = explained(e);
    if invalid {
        f.help("the market does not accept the proof: nothing was paid").invalid()
    } else if over {
        f.help("the proof came too late: `assay task finish ID` ends the round")
    } else {
        f
    }
}

pub(crate) fn submit(app: &App, args: &Submit) -> Outcome<()> {
    let o = &app.output;
    let proof = settlement::read_proof(&args.proof)?;
    let shown = Shown::of(&proof, 3)?;
    let mut system = args.economy.connect(true)?;
    let (task, round) = due(&mut system, args.id, RoundProof::Training, &proof)?;
    same(&shown, &[(0, "weights", task.ids.head), (2, "dataset", round.dataset)])?;
    let market = system.at.training();
    let walk = market.walk(system.chain.as_mut(), args.id).map_err(explained)?;
    let got = (shown.integer(0), shown.integer(1));
    if got != walk {
        return Err(Failure::new(format!(
            "the proof walks through the data by factor {} from {}, and this round's seed says {} from {}",
            got.0, got.1, walk.0, walk.1
        ))
        .help("train with the seed that `assay task seed ID` gives"));
    }
    let curve = shown.values.get(16..).unwrap_or_default();
    let chain = system.chain.as_mut();
    let (trained, done) =
        market.submit(chain, args.id, shown.ids[1], curve, &proof.argument, &args.uri).map_err(refused)?;
    let curve = losses(curve);
    o.answer(format!(
        "paid     {} for round {} of task {}",
        units::shown(U256::from(trained.toWorker)),
        trained.round,
        args.id
    ));
    o.say(format!("to       {}, which can collect it: assay task withdraw --account {0}", trained.payout));
    o.say(format!("weights  {}", trained.trained));
    o.say(format!(
        "losses   {} to {} in {} steps",
        curve.first().unwrap_or(&0),
        curve.last().unwrap_or(&0),
        curve.len()
    ));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.say(format!("next     the sponsor reveals shard {}: assay task reveal {} --sealed FILE", trained.shard, args.id));
    o.result(json!({
        "task_id": args.id,
        "round": trained.round,
        "payout": trained.payout.to_string(),
        "to_worker": trained.toWorker.to_string(),
        "trained": trained.trained.to_string(),
        "shard": trained.shard,
        "losses": curve,
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
        "accepted": true,
    }));
    Ok(())
}

pub(crate) fn settle(app: &App, args: &Settle) -> Outcome<()> {
    let o = &app.output;
    let proof = settlement::read_proof(&args.proof)?;
    let shown = Shown::of(&proof, 2)?;
    let mut system = args.economy.connect(true)?;
    let (task, round) = due(&mut system, args.id, RoundProof::Evaluation, &proof)?;
    let expected = [(0, "weights", task.ids.head), (1, "trained weights", round.trained), (2, "shard", round.revealed)];
    same(&shown, &expected)?;
    let market = system.at.training();
    let pair = (shown.integer(0), shown.integer(1));
    let (e, done) = market.settle(system.chain.as_mut(), args.id, pair, &proof.argument).map_err(refused)?;
    let moved = e.head != task.ids.head;
    o.answer(format!("gain     {} for round {} of task {}", units::shown(U256::from(e.gain)), e.round, args.id));
    o.say(format!("loss     {} before, {} after", e.before, e.later));
    o.say(format!("head     {}{}", e.head, if moved { "" } else { ", as before: the gain is less than a step" }));
    o.say(format!("to       {}, with the bond: assay task withdraw --account {0}", e.payout));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.result(json!({
        "task_id": args.id,
        "round": e.round,
        "payout": e.payout.to_string(),
        "before": e.before,
        "after": e.later,
        "gain": e.gain.to_string(),
        "head": e.head.to_string(),
        "head_moved": moved,
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
        "accepted": true,
    }));
    Ok(())
}
