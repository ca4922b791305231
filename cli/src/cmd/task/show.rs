//! `assay task show`, `assay task list`.

use crate::{
    App,
    economy::{EconomyArgs, System, explained, tasks::state, units},
    error::Outcome,
    output::table,
};
use assay_contracts::{
    U256,
    economy::{Phase, Round, RoundProof, Task, TaskEvent},
};
use clap::Args;
use serde_json::{Value, json};

/// Most tasks that are listed.
const LISTED: u64 = 50;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The task
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    #[command(flatten)]
    economy: EconomyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    economy: EconomyArgs,
}

fn amount(units: impl TryInto<u128>) -> String {
    units::shown(U256::from(units.try_into().unwrap_or(u128::MAX)))
}

fn fields(id: u64, t: &Task, r: &Round, price: u128, now: u64) -> Value {
    json!({
        "task_id": id,
        "status": state(t, r.until.to(), now),
        "sponsor": t.sponsor.to_string(),
        "head": t.ids.head.to_string(),
        "heads": t.heads,
        "rounds": t.rounds,
        "shards": t.shards,
        "shards_used": t.used,
        "price": price.to_string(),
        "eta": t.eta,
        "max_steps": t.maxSteps,
        "rate": t.ratePerStep.to_string(),
        "bond": t.bond.to_string(),
        "escrow": t.escrow.to_string(),
        "rescue": t.rescue.to_string(),
        "train_fee": t.trainFee.to_string(),
        "evaluate_fee": t.evaluateFee.to_string(),
        "deadline": t.deadline.to::<u64>(),
        "lease_seconds": t.leaseSeconds,
        "reveal_seconds": t.revealSeconds.to::<u32>(),
        "evaluate_seconds": t.evaluateSeconds,
        "train_id": t.ids.trainId.to_string(),
        "evaluate_id": t.ids.evaluateId.to_string(),
        "holdout": t.ids.holdout.to_string(),
        "datasets": (!t.ids.datasets.is_zero()).then(|| t.ids.datasets.to_string()),
        "round": (t.phase != Phase::None).then(|| json!({
            "number": t.rounds,
            "payout": r.payout.to_string(),
            "until": r.until.to::<u64>(),
            "price": r.price.to_string(),
            "bond": r.bond.to_string(),
            "pinned": r.pinned.to::<u64>(),
            "examples": r.examples,
            "dataset": r.dataset.to_string(),
            "seed": (!r.seed.is_zero()).then(|| r.seed.to_string()),
            "trained": (!r.trained.is_zero()).then(|| r.trained.to_string()),
            "shard": matches!(t.phase, Phase::Trained | Phase::Revealed).then_some(r.shard),
            "revealed": (!r.revealed.is_zero()).then(|| r.revealed.to_string()),
        })),
    })
}

pub(crate) fn list(app: &App, args: &List) -> Outcome<()> {
    let o = &app.output;
    let mut system = args.economy.connect(false)?;
    let market = system.at.training();
    let count = market.tasks(system.chain.as_mut())?;
    let now = system.moment()?.now;
    let mut rows = vec![["task", "status", "price", "a step", "heads", "shards", "escrow"].map(str::to_owned).to_vec()];
    let mut list = Vec::new();
    for id in (1..=count).rev().take(usize::try_from(LISTED).unwrap_or(50)) {
        let (t, r, price) = look(&mut system, id)?;
        rows.push(vec![
            id.to_string(),
            state(&t, r.until.to(), now).to_owned(),
            amount(price),
            amount(t.ratePerStep),
            t.heads.to_string(),
            format!("{} of {}", t.used, t.shards),
            amount(t.escrow),
        ]);
        list.push(fields(id, &t, &r, price, now));
    }
    if list.is_empty() {
        o.answer("no tasks were opened yet");
    } else {
        o.answer(table(&rows));
    }
    if count > LISTED {
        o.say(format!("... and {} older ones", count - LISTED));
    }
    o.result(json!({ "tasks": list, "count": count }));
    Ok(())
}

fn look(system: &mut System, id: u64) -> Outcome<(Task, Round, u128)> {
    let (market, chain) = (system.at.training(), system.chain.as_mut());
    let task = market.task(chain, id).map_err(explained)?;
    let round = market.round(chain, id).map_err(explained)?;
    let price = market.current_price(chain, id).map_err(explained)?;
    Ok((task, round, price))
}

pub(crate) fn show(app: &App, args: &Show) -> Outcome<()> {
    let o = &app.output;
    let id = args.id;
    let mut system = args.economy.connect(false)?;
    system.task(id)?;
    let (t, r, price) = look(&mut system, id)?;
    let moment = system.moment()?;
    let now = moment.now;
    let mut result = fields(id, &t, &r, price, now);
    o.answer(format!("task     {id}: {}", state(&t, r.until.to(), now)));
    o.say(format!("head     {}, which advanced {} times in {} rounds", t.ids.head, t.heads, t.rounds));
    o.say(format!(
        "pays     {} now for a proof of training, and {} for each fall of the loss by {}, at most {}",
        amount(price),
        amount(t.ratePerStep),
        t.eta,
        t.maxSteps
    ));
    o.say(format!("escrow   {}; {} of {} shards were used", amount(t.escrow), t.used, t.shards));
    o.say(format!("deadline {}", units::relative(t.deadline.to(), now)));
    o.say(format!("lease    {} at a time, for a bond of {}", units::span(u64::from(t.leaseSeconds)), amount(t.bond)));
    o.say(format!(
        "datasets {}",
        if t.ids.datasets.is_zero() { "any".to_owned() } else { format!("those under {}", t.ids.datasets) }
    ));
    o.say(format!("by       {}", t.sponsor));
    o.say(format!("train    {}", t.ids.trainId));
    o.say(format!("evaluate {}", t.ids.evaluateId));
    if t.phase != Phase::None {
        o.say(format!(
            "round    {} of {}, whose time {} {}",
            t.rounds,
            r.payout,
            if now < r.until.to::<u64>() { "ends" } else { "ended" },
            units::relative(r.until.to(), now)
        ));
        binding(app, &mut system, id, &t, &r, &mut result)?;
    }
    let market = system.at.training();
    let history = market.history(system.chain.as_mut(), id, system.at.block, moment.head.number)?;
    let told: Vec<(String, Value)> = history.iter().filter_map(|(_, e)| tell(e)).collect();
    for (text, _) in &told {
        o.say(format!("         {text}"));
    }
    result["history"] = told.into_iter().map(|(_, v)| v).collect();
    o.result(result);
    Ok(())
}

/// What the next proof must be bound to, and what it must show.
pub(super) fn binding(
    app: &App,
    system: &mut System,
    id: u64,
    task: &Task,
    round: &Round,
    result: &mut Value,
) -> Outcome<()> {
    let o = &app.output;
    let Some(kind) = RoundProof::due(task.phase) else { return Ok(()) };
    let market = system.at.training();
    let (chain_id, consumer, job) = (system.at.chain_id, market.address(), kind.job(id, task));
    result["proof"] = json!({
        "of": if kind == RoundProof::Training { "training" } else { "evaluation" },
        "chain_id": chain_id,
        "consumer": consumer.to_string(),
        "job": job.to_string(),
        "recipient": round.payout.to_string(),
        "context": market.context(system.chain.as_mut(), id).map_err(explained)?.to_string(),
    });
    if task.phase == Phase::Seeded {
        let (factor, start) = market.walk(system.chain.as_mut(), id).map_err(explained)?;
        o.say(format!("walk     example {start}, then every {factor}th of {}, around and around", round.examples));
        result["factor"] = json!(factor);
        result["start"] = json!(start);
    }
    let what = if kind == RoundProof::Training { "training" } else { "evaluation" };
    o.say(format!(
        "due      a proof of {what}: --chain-id {chain_id} --consumer {consumer} --job {job} --recipient {}",
        round.payout
    ));
    Ok(())
}

/// An event of a task in a line, and as fields.
fn tell(e: &TaskEvent) -> Option<(String, Value)> {
    Some(match e {
        TaskEvent::RoundLeased(e) => (
            format!("round {}: leased by {}", e.round, e.payout),
            json!({ "event": "leased", "round": e.round, "payout": e.payout.to_string(), "dataset_id": e.datasetId.to_string(),
                "price": e.price.to_string() }),
        ),
        TaskEvent::Trained(e) => (
            format!("round {}: trained, {} to {}", e.round, amount(e.toWorker), e.payout),
            json!({ "event": "trained", "round": e.round, "payout": e.payout.to_string(), "trained": e.trained.to_string(),
                "to_worker": e.toWorker.to_string(), "losses": losses(&e.losses), "uri": e.uri }),
        ),
        TaskEvent::Revealed(e) => (
            format!("round {}: shard {} is stack {}", e.round, e.shard, e.stackId),
            json!({ "event": "revealed", "round": e.round, "shard": e.shard, "stack_id": e.stackId.to_string(), "uri": e.uri }),
        ),
        TaskEvent::Evaluated(e) => (
            format!("round {}: the loss was {}, is {}, gains {}", e.round, e.before, e.later, amount(e.gain)),
            json!({ "event": "evaluated", "round": e.round, "payout": e.payout.to_string(), "before": e.before,
                "later": e.later, "gain": e.gain.to_string(), "head": e.head.to_string() }),
        ),
        TaskEvent::RoundLost(e) => (
            format!("round {}: lost by {}, {} burned", e.round, e.payout, amount(e.burned)),
            json!({ "event": "lost", "round": e.round, "payout": e.payout.to_string(), "burned": e.burned.to_string(),
                "kept": e.kept.to_string() }),
        ),
        TaskEvent::NotRevealed(e) => (
            format!("round {}: no shard was revealed, {} to {}", e.round, amount(e.gain), e.payout),
            json!({ "event": "not revealed", "round": e.round, "payout": e.payout.to_string(), "gain": e.gain.to_string() }),
        ),
        TaskEvent::NotEvaluated(e) => (
            format!("round {}: nobody proved the evaluation", e.round),
            json!({ "event": "not evaluated", "round": e.round, "payout": e.payout.to_string() }),
        ),
        TaskEvent::RoundVoid(e) => (
            format!("round {}: void, a verifier has ended", e.round),
            json!({ "event": "void", "round": e.round, "payout": e.payout.to_string() }),
        ),
        TaskEvent::TaskRefunded(e) => (
            format!("closed, {} left for its sponsor", amount(e.amount.saturating_to::<u128>())),
            json!({ "event": "refunded", "sponsor": e.sponsor.to_string(), "amount": e.amount.to_string() }),
        ),
        _ => return None,
    })
}

/// Losses of the steps, as integers.
pub(super) fn losses(bytes: &[u8]) -> Vec<i64> {
    bytes.chunks_exact(8).map(|c| i64::from_be_bytes(c.try_into().unwrap_or_default())).collect()
}
