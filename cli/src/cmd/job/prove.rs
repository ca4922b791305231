//! `assay job prove`: the settled proof of jobs, bound to chain, market, jobs and payout.

use super::lease::list;
use crate::{
    App,
    args::QuantArgs,
    chain::address,
    economy::{
        EconomyArgs, System,
        inbox::{Inbox, Location},
        inputs::{Secret, Secrets},
        work::{Offered, RegisteredKeyArgs, Served, slots},
    },
    error::{Failure, Outcome},
    files, flow, settlement,
};
use assay_contracts::{
    Address, B256,
    economy::{Job, Status},
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The jobs, separated by commas; as many as the verifier's batch, or fewer
    #[arg(
        required = true, num_args = 1, value_name = "ID", value_delimiter = ',',
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    ids: Vec<u64>,
    /// A compiled model, or an ONNX model
    model: PathBuf,
    /// Where to write the settled proof
    #[arg(long, short, value_name = "PROOF")]
    output: PathBuf,
    /// Who is paid [default: the payout address of the lease]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    payout: Option<Address>,
    /// File with salt and input from the requester, for jobs with private input
    #[arg(long, value_name = "FILE")]
    private_input: Vec<PathBuf>,
    /// Where the openings of confidential jobs are, a folder or an address
    #[arg(long, value_name = "FOLDER|URL")]
    inbox: Option<Location>,
    #[command(flatten)]
    key: RegisteredKeyArgs,
    #[command(flatten)]
    quant: QuantArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Prove) -> Outcome<()> {
    let o = &app.output;
    files::check_target(&args.output)?;
    let mut system = args.economy.connect(false)?;
    let model = flow::load_model(app, &args.model, &args.quant, false)?.model;
    let secrets = Secrets::read(&args.private_input)?;
    let jobs = open_jobs(&mut system, &args.ids)?;
    let first = jobs
        .first()
        .ok_or_else(|| Failure::new("there is no job to prove").help("name at least one: assay job prove ID MODEL"))?
        .clone();
    let payout = args.payout.or_else(|| (first.leaseEnd.to::<u64>() > 0).then_some(first.payout)).ok_or_else(|| {
        Failure::new("nobody leased the job: say who is paid with --payout ADDRESS")
            .help("lease it first, so that nobody else is paid meanwhile: assay job lease ID --payout ADDRESS")
    })?;
    let mut inbox = Inbox::new(args.inbox.as_ref())?;
    let offered = if args.inbox.is_some() { Offered::confidential(&model)? } else { Offered::plain(&model)? };
    let (verifier_id, entry) =
        system.verifier_of(offered.model().model_id()?, Some(first.verifierId)).map_err(|f| {
            if args.inbox.is_some() {
                f
            } else {
                f.help("pass the model that it was posted for; a confidential job is proven with --inbox FOLDER")
            }
        })?;
    let served = Served::new(app, offered, verifier_id, entry, &args.key)?;
    let slots = slots(&args.ids, served.batch())?;
    let ids: Vec<u64> = slots.iter().copied().filter(|id| *id != 0).collect();
    let mut inputs = Vec::with_capacity(ids.len());
    for id in &ids {
        let job = system.job(*id)?;
        let secret = secret_of(&mut system, &secrets, *id, &job)?;
        let task = served.task(&secret.input, &mut inbox).map_err(|e| {
            Failure::new(format!("job {id} cannot be proven: {e}")).help(if served.is_confidential() {
                "ask the requester for its file, and put it into the inbox"
            } else {
                "it asks for something that this model does not take; leave it, or pass the model it was posted for"
            })
        })?;
        inputs.push(task);
    }
    let market = (system.at.chain_id, system.at.contracts.market);
    let settled = served.prove(app, &inputs, &slots, market, payout)?;
    files::write(&args.output, &settled.bytes)?;
    // Of confidential jobs nothing but the masked output is known to anybody else.
    let outputs: &[Vec<Vec<f32>>] =
        if served.is_confidential() { &[] } else { settled.outputs.get(..ids.len()).unwrap_or_default() };
    flow::say_outputs(app, &model.outputs, outputs, "output");
    settlement::say(app, &served.prepared, &settled);
    o.say(format!("for      {} of the market {}, paid to {payout}", list(&ids), market.1));
    o.say(format!("wrote    {}", args.output.display()));
    o.say(format!("next     assay job fulfil {}", args.output.display()));
    let mut result = settlement::json(&served.prepared, &settled);
    result["valid"] = json!(true);
    result["job_ids"] = json!(ids);
    result["payout"] = json!(payout.to_string());
    result["outputs"] = flow::samples_json(outputs);
    result["confidential"] = json!(served.is_confidential());
    o.result(result);
    Ok(())
}

fn open_jobs(system: &mut System, ids: &[u64]) -> Outcome<Vec<Job>> {
    let mut jobs: Vec<Job> = Vec::with_capacity(ids.len());
    for id in ids {
        let job = system.job(*id)?;
        if job.status != Status::Open {
            return Err(
                Failure::new(format!("job {id} is not open any more")).help(format!("see assay job status {id}"))
            );
        }
        if let Some(first) = jobs.first()
            && (first.verifierId, first.offerId) != (job.verifierId, job.offerId)
        {
            return Err(Failure::new(format!(
                "job {id} has another verifier or offer than job {}",
                ids.first().unwrap_or(&0)
            ))
            .help("one proof is for jobs of one verifier and one offer"));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

/// Salt and input of a job: from the requester's file, or from the chain.
pub(super) fn secret_of(system: &mut System, secrets: &Secrets, id: u64, job: &Job) -> Outcome<Secret> {
    if let Some(s) = secrets.open(job.inputCommitment) {
        return Ok(s.clone());
    }
    let head = system.chain.head()?.number;
    let posted = system.at.market().posting(system.chain.as_mut(), id, system.at.block, head)?;
    match posted {
        Some(p)
            if p.is_public() && assay_contracts::economy::input_commitment(p.salt, &p.input) == job.inputCommitment =>
        {
            Ok(Secret { salt: p.salt, input: p.input })
        }
        Some(_) => Err(Failure::new(format!("the input of job {id} is private"))
            .help("ask the requester for the file with salt and input, and pass it with --private-input FILE")),
        None => Err(Failure::new(format!("the node does not tell how job {id} was posted"))
            .help("use a node that keeps events since the deployment")),
    }
}

/// The salts of jobs, in their order.
pub(super) fn salts_of(system: &mut System, secrets: &Secrets, ids: &[u64]) -> Outcome<Vec<B256>> {
    let mut salts = Vec::with_capacity(ids.len());
    for id in ids.iter().filter(|id| **id != 0) {
        let job = system.job(*id)?;
        salts.push(secret_of(system, secrets, *id, &job)?.salt);
    }
    Ok(salts)
}
