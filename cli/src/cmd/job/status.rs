//! `assay job status`: lists jobs, or describes one.

use crate::{
    App,
    args::QuantArgs,
    economy::{
        EconomyArgs, System, explained, units,
        work::{self, Offered},
    },
    error::Outcome,
    flow,
    output::table,
};
use assay_contracts::{
    U256,
    economy::{Job, Status},
};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Most jobs that are listed.
const LISTED: u64 = 50;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The job [default: all, newest first]
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    id: Option<u64>,
    /// The model, to show the proven answer as numbers
    #[arg(long, value_name = "MODEL", requires = "id")]
    model: Option<PathBuf>,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &StatusArgs) -> Outcome<()> {
    let mut system = args.economy.connect(false)?;
    match args.id {
        Some(id) => one(app, args, &mut system, id),
        None => all(app, &mut system),
    }
}

/// Where a job is, in a word or two.
fn state(job: &Job, now: u64) -> &'static str {
    let (lease_end, deadline) = (job.leaseEnd.to::<u64>(), job.deadline.to::<u64>());
    match job.status {
        Status::Open if now >= deadline => "expired",
        Status::Open if now < lease_end => "leased",
        Status::Open if lease_end > 0 => "lease lost",
        Status::Open => "open",
        Status::Fulfilled => "fulfilled",
        Status::Closed => "closed",
        _ => "unknown",
    }
}

fn amount(units: u128) -> String {
    units::shown(U256::from(units))
}

/// Fields for programs; amounts in units of 10^-18 tokens.
fn fields(id: u64, job: &Job, price: Option<u128>, now: u64) -> Value {
    json!({
        "job_id": id,
        "status": state(job, now),
        "requester": job.requester.to_string(),
        "payout": job.payout.to_string(),
        "price": price.map(|p| p.to_string()),
        "min_price": job.minPrice.to_string(),
        "max_price": job.maxPrice.to_string(),
        "work_fee": job.workFee.to_string(),
        "bond": job.bond.to_string(),
        "rescue": job.rescue.to_string(),
        "deadline": job.deadline.to::<u64>(),
        "lease_end": job.leaseEnd.to::<u64>(),
        "lease_seconds": job.leaseSeconds,
        "verifier_id": job.verifierId.to_string(),
        "offer_id": job.offerId.to_string(),
        "input_commitment": job.inputCommitment.to_string(),
    })
}

/// What would be paid now, was locked, or was paid.
fn price(system: &mut System, id: u64, job: &Job) -> Outcome<Option<u128>> {
    Ok(match job.status {
        Status::Open => Some(system.at.market().current_price(system.chain.as_mut(), id).map_err(explained)?),
        _ if job.price > 0 => Some(job.price),
        _ => None,
    })
}

fn all(app: &App, system: &mut System) -> Outcome<()> {
    let o = &app.output;
    let market = system.at.market();
    let count = market.jobs(system.chain.as_mut())?;
    let now = system.moment()?.now;
    let mut rows = vec![["job", "status", "price", "deadline", "worker"].map(str::to_owned).to_vec()];
    let mut list = Vec::new();
    for id in (1..=count).rev().take(usize::try_from(LISTED).unwrap_or(50)) {
        let job = market.job(system.chain.as_mut(), id).map_err(explained)?;
        let price = price(system, id, &job)?;
        let worker = if job.payout.is_zero() { String::new() } else { job.payout.to_string() };
        rows.push(vec![
            id.to_string(),
            state(&job, now).to_owned(),
            price.map_or_else(String::new, amount),
            units::relative(job.deadline.to(), now),
            worker,
        ]);
        list.push(fields(id, &job, price, now));
    }
    if list.is_empty() {
        o.answer("no jobs were posted yet");
    } else {
        o.answer(table(&rows));
    }
    if count > LISTED {
        o.say(format!("... and {} older ones", count - LISTED));
    }
    o.result(json!({ "jobs": list, "count": count }));
    Ok(())
}

fn one(app: &App, args: &StatusArgs, system: &mut System, id: u64) -> Outcome<()> {
    let o = &app.output;
    let market = system.at.market();
    let job = system.job(id)?;
    let moment = system.moment()?;
    let (head, now) = (moment.head, moment.now);
    let price = price(system, id, &job)?;
    let mut result = fields(id, &job, price, now);
    o.answer(format!("job      {id}: {}", state(&job, now)));
    o.say(format!("price    {}", describe_price(&job, price)));
    o.say(format!("fee      {}", amount(job.workFee)));
    o.say(format!("deadline {}", units::relative(job.deadline.to(), now)));
    o.say(format!(
        "lease    {} at a time, for a bond of {}",
        units::span(u64::from(job.leaseSeconds)),
        amount(job.bond)
    ));
    if job.leaseEnd.to::<u64>() > 0 {
        let ends = if now < job.leaseEnd.to::<u64>() { "ends" } else { "ended" };
        o.say(format!("worker   {}, whose lease {ends} {}", job.payout, units::relative(job.leaseEnd.to(), now)));
    } else if job.status == Status::Fulfilled {
        o.say(format!("worker   {}", job.payout));
    }
    o.say(format!("by       {}", job.requester));
    o.say(format!("verifier {}", job.verifierId));
    o.say(format!("offer    {}", job.offerId));
    let paid = market.payments(system.chain.as_mut(), Some(id), system.at.block, head.number)?;
    if let Some(paid) = paid.first() {
        o.say(format!("paid     {} to {}, with bond and what others lost", amount(paid.to_worker), paid.payout));
        result["to_worker"] = json!(paid.to_worker.to_string());
        result["output"] = json!(paid.output.to_string());
        result["transaction"] = json!(paid.transaction.to_string());
        if let Some(path) = &args.model {
            let model = flow::load_model(app, path, &QuantArgs::default(), false)?.model;
            let entry = system.at.registry().entry(system.chain.as_mut(), job.verifierId)?;
            let plain = entry.modelId.0 == model.model_id()?;
            if !plain && Offered::confidential(&model)?.model().model_id()? == entry.modelId.0 {
                o.say(format!("answer   masked; the requester reads it: assay job result {id} MODEL --inbox FOLDER"));
                result["masked"] = json!(true);
            } else if !plain {
                system.verifier_of(model.model_id()?, Some(job.verifierId))?;
            } else if let Some(values) = work::output_floats(&model, &paid.output) {
                result["outputs"] = flow::samples_json(&[vec![values.clone()]]);
                flow::say_outputs(app, &model.outputs, &[vec![values]], "answer");
            }
        } else {
            o.say(format!("answer   {} proven values (--model MODEL shows them)", paid.output.len() / 8));
        }
    }
    o.result(result);
    Ok(())
}

fn describe_price(job: &Job, price: Option<u128>) -> String {
    let range = format!("{} to {}", amount(job.minPrice), amount(job.maxPrice));
    match (job.status, price) {
        (Status::Open, Some(p)) if job.leaseEnd.to::<u64>() > 0 => format!("{} locked (of {range})", amount(p)),
        (Status::Open, Some(p)) => format!("{} now, rising ({range})", amount(p)),
        (_, Some(p)) => format!("{} (of {range})", amount(p)),
        (_, None) => range,
    }
}
