//! `assay task post`: opens a task of training.

use crate::{
    App,
    economy::{
        EconomyArgs, System, explained, hash,
        shards::Shards,
        tasks::{StackRef, allowed},
        units,
    },
    error::{Failure, Outcome},
    output::count,
};
use assay_contracts::{
    B256, U256,
    economy::{TaskSpec, time},
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Post {
    /// The registered verifier of the step graph
    #[arg(long, value_name = "ID", value_parser = hash)]
    train: B256,
    /// The registered verifier of the evaluation graph
    #[arg(long, value_name = "ID", value_parser = hash)]
    evaluate: B256,
    /// The weights to begin with: the id of a stack, or its file
    #[arg(long, value_name = "STACK")]
    head: StackRef,
    /// A part of the held-out data, the id of a stack or its file; one is shown for each round, in this order
    #[arg(long = "shard", value_name = "STACK", required = true)]
    shards: Vec<StackRef>,
    /// Where to write the salts of the shards: a new file, to keep until the task is closed
    #[arg(long, value_name = "FILE")]
    sealed: PathBuf,
    /// A dataset that may be trained on, as registered [default: any]
    #[arg(long = "dataset", value_name = "ID", value_parser = hash)]
    datasets: Vec<B256>,
    /// The least fall of the loss that is paid, and the step in which it is: in units of the evaluation's output
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    eta: u64,
    /// Pay for each step of --eta
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    rate: u128,
    /// Most steps that a round is paid for
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    max_steps: u32,
    /// Most to pay for a proof of training, whatever it gains
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    max_price: u128,
    /// What that price starts at, for each round anew [default: a tenth of the highest]
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    min_price: Option<u128>,
    /// How long the price rises
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = units::duration)]
    ramp: u64,
    /// When the last round must have begun
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = units::duration)]
    deadline: u64,
    /// How long a worker has for the proof of training, 1 minute to 7 days
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = units::duration)]
    lease: u64,
    /// What a worker pledges, a twentieth of the highest price to all of it [default: a tenth]
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    bond: Option<u128>,
    /// How long you have to reveal a shard; afterwards the round is paid as if it had gained the most
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = units::duration)]
    reveal_time: u64,
    /// How long a worker has for the proof of evaluation
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = units::duration)]
    evaluate_time: u64,
    /// Rounds to pay for in advance, at the most that each can cost [default: one for each shard]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Where to read about the task
    #[arg(long, value_name = "URI", default_value = "")]
    uri: String,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Post) -> Outcome<()> {
    let o = &app.output;
    Shards::check_new(&args.sealed)?;
    let head = args.head.id()?;
    let stacks = args.shards.iter().map(StackRef::id).collect::<Outcome<Vec<_>>>()?;
    if stacks.contains(&head) {
        return Err(
            Failure::new("the head is named as a shard").help("shards are stacks of held-out data, not of weights")
        );
    }
    let shards = Shards::seal(&stacks)?;
    let mut system = args.economy.connect(true)?;
    for id in &args.datasets {
        let dataset = system.at.datasets().get(system.chain.as_mut(), *id).map_err(explained)?;
        if !dataset.retired.is_zero() {
            o.warn(format!("dataset {id} was retired: nobody can lease with it"));
        }
    }
    sealed(&mut system, &stacks)?;
    let (datasets, tree) = allowed(&args.datasets);
    let each = most(&mut system, args)?;
    let rounds = args.rounds.unwrap_or_else(|| u32::try_from(shards.len()).unwrap_or(u32::MAX));
    let escrow = each.checked_mul(u128::from(rounds)).filter(|e| *e < 1 << 96).ok_or_else(|| {
        Failure::new("the escrow of all rounds takes more than 96 bits").help("pay for fewer rounds: --rounds N")
    })?;
    let now = system.moment()?.now;
    let after = |seconds: u64| time(now.saturating_add(seconds));
    let spec = TaskSpec {
        trainId: args.train,
        evaluateId: args.evaluate,
        head,
        holdout: shards.root(),
        shards: u32::try_from(shards.len()).unwrap_or(u32::MAX),
        datasets: tree.map(|t| t.root()).unwrap_or_default(),
        eta: args.eta,
        maxSteps: args.max_steps,
        ratePerStep: args.rate,
        minPrice: min_price(args),
        maxPrice: args.max_price,
        rampStart: after(0),
        rampEnd: after(args.ramp),
        deadline: after(args.deadline),
        leaseSeconds: seconds(args.lease, "--lease")?,
        bond: args.bond.unwrap_or_else(|| args.max_price.div_ceil(10)),
        revealSeconds: seconds(args.reveal_time, "--reveal-time")?,
        evaluateSeconds: seconds(args.evaluate_time, "--evaluate-time")?,
        escrow,
    };
    let market = system.at.training();
    super::lease::approve(&mut system, U256::from(escrow), "opening this task costs")?;
    // Before the money is spent: without the salts no shard could be revealed.
    shards.write(&args.sealed)?;
    let (id, done) = market.open(system.chain.as_mut(), &spec, &args.uri).map_err(|e| {
        if e.revert().is_some() {
            // Nothing was opened, so its salts open nothing.
            let _ = std::fs::remove_file(&args.sealed);
        }
        explained(e)
    })?;
    o.answer(format!("task     {id}"));
    o.say(format!(
        "escrow   {}, for {rounds} round{} at the most that each can cost",
        units::shown(U256::from(escrow)),
        if rounds == 1 { "" } else { "s" }
    ));
    o.say(format!(
        "pays     {} rising to {} for a proof of training, and {} for each fall of the loss by {}, at most {}",
        units::shown(U256::from(spec.minPrice)),
        units::shown(U256::from(spec.maxPrice)),
        units::shown(U256::from(args.rate)),
        args.eta,
        args.max_steps
    ));
    o.say(format!("deadline {}", units::relative(args.deadline, 0)));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.say(format!(
        "keep     {}: when training was proven you have {} to reveal a shard with it, or pay the most: assay task reveal {id} \
         --sealed {0}",
        args.sealed.display(),
        units::span(args.reveal_time)
    ));
    if !datasets.is_empty() {
        let ids: Vec<String> = datasets.iter().map(B256::to_string).collect();
        o.say(format!("tell     workers what the task takes: --allowed {}", ids.join(",")));
    }
    o.say(format!("next     assay task show {id}"));
    o.result(json!({
        "task_id": id,
        "head": head.to_string(),
        "holdout": spec.holdout.to_string(),
        "shards": spec.shards,
        "sealed": args.sealed.display().to_string(),
        "datasets": datasets.iter().map(B256::to_string).collect::<Vec<_>>(),
        "escrow": escrow.to_string(),
        "most_of_a_round": each.to_string(),
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
    }));
    Ok(())
}

/// Refuses held-out data that is known: a contributor could train on what he is measured by. The market cannot, since it learns of a shard
/// when it is shown.
fn sealed(system: &mut System, stacks: &[B256]) -> Outcome<()> {
    let (from, to) = (system.at.block, system.moment()?.head.number);
    let market = system.at.training();
    let shown = market.revealed(system.chain.as_mut(), from, to).map_err(explained)?;
    if let Some(e) = shown.iter().find(|e| stacks.contains(&e.stackId)) {
        return Err(Failure::new(format!("shard {} was shown already, by task {}", e.stackId, e.taskId))
            .help("name stacks of rows that nobody has seen with --shard"));
    }
    let registered = system.at.datasets().all(system.chain.as_mut()).map_err(explained)?;
    if let Some((id, d)) = registered.iter().find(|(_, d)| stacks.contains(&d.stackId)) {
        return Err(Failure::new(format!("shard {} is registered to be trained on, as dataset {id}", d.stackId))
            .help("name stacks of rows that nobody has seen with --shard"));
    }
    Ok(())
}

fn min_price(args: &Post) -> u128 {
    args.min_price.unwrap_or_else(|| (args.max_price / 10).max(1))
}

fn seconds(of: u64, flag: &str) -> Outcome<u32> {
    u32::try_from(of).map_err(|_| Failure::new(format!("{flag} is too long")).help("give at most 7 days, as in 12h"))
}

/// The most that a round can cost.
fn most(system: &mut System, args: &Post) -> Outcome<u128> {
    let ledger = system.at.training().ledger();
    let mut fees = 0u128;
    for id in [args.train, args.evaluate] {
        system.at.registry().entry(system.chain.as_mut(), id).map_err(explained)?;
        fees = fees.saturating_add(ledger.work_fee(system.chain.as_mut(), id)?);
    }
    let gain = args.rate.checked_mul(u128::from(args.max_steps));
    gain.and_then(|g| g.checked_add(args.max_price)?.checked_add(fees)).ok_or_else(|| {
        Failure::new("a round could cost more than there are tokens").help("lower --rate or --max-steps")
    })
}
