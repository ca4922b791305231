//! `assay job post`: asks for proven inferences.

use crate::{
    App,
    args::QuantArgs,
    economy::{
        EconomyArgs, System,
        confidential::Sealer,
        explained, hash,
        inbox::{Location, Source},
        inputs, units,
        work::{self, Offered},
    },
    error::{Failure, Outcome},
    files, flow, input,
    output::count,
    progress::Progress,
};
use assay_contracts::{
    B256, U256,
    economy::{Spec, input_commitment, time},
};
use clap::Args;
use rand::{RngCore, rngs::OsRng};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Post {
    /// A compiled model, or an ONNX model; it must be registered
    model: PathBuf,
    /// The inputs, as floats: JSON {"input_data": [[...]]}, .npy or .npz
    input: PathBuf,
    /// Most to pay for one inference, in tokens
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    max_price: u128,
    /// What the price starts at; it rises to the highest until somebody takes the job [default: a tenth of the highest]
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    min_price: Option<u128>,
    /// How long the price rises [default: half of the time to the deadline]
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    ramp: Option<u64>,
    /// When the job must be done
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = units::duration)]
    deadline: u64,
    /// How long a worker may hold the job, 1 minute to 7 days
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = units::duration)]
    lease: u64,
    /// What a worker pledges, a twentieth of the highest price to all of it [default: a tenth]
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    bond: Option<u128>,
    /// Put only a commitment on the chain, and write salt and input to a file for workers
    #[arg(long, value_name = "FILE")]
    private_input: Option<PathBuf>,
    /// Neither input nor output is ever on the chain: the input stays in a stack, the output is masked by a pad in it. The stack's
    /// file is written to --inbox; workers need it, and `assay job result` does
    #[arg(long, requires = "inbox", conflicts_with = "private_input")]
    confidential: bool,
    /// Where to write what opens confidential jobs, a file each: a folder to keep it in, and (given again) an address that workers
    /// read
    #[arg(long, value_name = "FOLDER|URL", requires = "confidential")]
    inbox: Vec<Location>,
    /// Powers of tau of a confidential job's verifier [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS", requires = "confidential")]
    srs: Option<PathBuf>,
    /// First sample of the input file
    #[arg(long, value_name = "I", default_value_t = 0)]
    from: usize,
    /// Number of samples, a job each
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: usize,
    /// Which verifier proves it [default: the one of the smallest batch]
    #[arg(long, value_name = "ID", value_parser = hash)]
    verifier: Option<B256>,
    /// Whose offer is used [default: the only one]
    #[arg(long, value_name = "ID", value_parser = hash)]
    offer: Option<B256>,
    #[command(flatten)]
    quant: QuantArgs,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Post) -> Outcome<()> {
    let o = &app.output;
    if let Some(path) = &args.private_input {
        files::check_target(path)?;
        inputs::check_new(path)?;
    }
    let mut system = args.economy.connect(true)?;
    let model = flow::load_model(app, &args.model, &args.quant, false)?.model;
    let offered = if args.confidential { Offered::confidential(&model)? } else { Offered::plain(&model)? };
    let places = args.inbox.iter().map(Location::open).collect::<Outcome<Vec<_>>>()?;
    if args.confidential && !places.iter().any(Source::is_folder) {
        return Err(Failure::new("what opens a confidential job would be nowhere but on a server")
            .help("name a folder of yours as well, since `assay job result` needs it: --inbox FOLDER --inbox URL"));
    }
    let samples = input::read(app, &args.input, &model.inputs, input::Role::Input)?;
    let samples = input::take(samples, args.from, Some(args.count), &args.input)?;
    let tensors = flow::quantize(app, &model, &samples)?;
    let model_id = offered.model().model_id()?;
    let (verifier_id, entry) = system.verifier_of(model_id, args.verifier)?;
    let (offer_id, offer, others) = system.offer_of(model_id, args.offer)?;
    if others > 0 {
        let plural = if others == 1 { "there is another offer" } else { "there are other offers" };
        o.warn(format!(
            "the offer used is the oldest one, {offer_id} of {}, royalty {}; {plural} for this model ({others}): choose one with \
             --offer ID",
            offer.owner,
            units::percent(offer.royaltyBps)
        ));
    }
    let work_fee = system.at.market().ledger().work_fee(system.chain.as_mut(), verifier_id)?;
    let openings = match &offered {
        Offered::Plain(_) => vec![],
        Offered::Confidential(of) => {
            let sealer = Sealer::new(app, &mut system, of, (verifier_id, &entry), args.srs.as_deref())?;
            tensors.iter().map(|t| sealer.seal(app, t)).collect::<Outcome<Vec<_>>>()?
        }
    };
    let secrets = if args.confidential {
        openings.iter().map(|s| salted(s.id()?.to_vec())).collect::<Outcome<Vec<_>>>()?
    } else {
        tensors.iter().map(|t| salted(work::input_bytes(t))).collect::<Outcome<Vec<_>>>()?
    };
    let each = U256::from(args.max_price) + U256::from(work_fee);
    let total = each * U256::from(secrets.len());
    approve(&mut system, total)?;
    // Before the money is spent: without salt and input nobody could do the job.
    if let Some(path) = &args.private_input {
        inputs::write(path, secrets.clone())?;
    }
    // Folders first: what cannot be kept is sent nowhere.
    let (folders, addresses): (Vec<Source>, Vec<Source>) = places.into_iter().partition(Source::is_folder);
    let (mut written, mut sent) = (Vec::with_capacity(openings.len()), 0);
    for folder in &folders {
        for stack in &openings {
            written.push(folder.put(stack)?);
        }
    }
    // Where nothing was posted, what was written opens nothing.
    let undo = || {
        for path in args.private_input.iter().map(PathBuf::as_path).chain(written.iter().map(Path::new)) {
            let _ = std::fs::remove_file(path);
        }
    };
    for address in &addresses {
        for stack in &openings {
            address.put(stack).inspect_err(|_| undo())?;
            sent += 1;
        }
    }
    let mut ids = Vec::with_capacity(secrets.len());
    let mut gas = 0;
    let progress = Progress::start(&app.output, "post", 0.0);
    for (i, s) in secrets.iter().enumerate() {
        progress.set("sending", i as u64, secrets.len() as u64);
        let now = system.moment()?.now;
        let spec = spec(args, verifier_id, offer_id, input_commitment(s.salt, &s.input), now)?;
        // The salt of a private input stays private: a short input could be guessed with it.
        let (salt, shown) =
            if args.private_input.is_some() { (B256::ZERO, &[][..]) } else { (s.salt, s.input.as_ref()) };
        let (id, done) = system.at.market().post(system.chain.as_mut(), &spec, salt, shown).map_err(|e| {
            if let ([], Some(_)) = (ids.as_slice(), e.revert()) {
                undo();
            }
            posted_before(explained(e), &ids)
        })?;
        gas += done.gas_used;
        ids.push(id);
        o.event("posted", json!({ "job_id": id, "gas": done.gas_used, "transaction": done.hash.to_string() }));
    }
    drop(progress);
    match ids.as_slice() {
        [one] => o.answer(format!("job      {one}")),
        _ => o.answer(format!("jobs     {} to {}", ids.first().unwrap_or(&0), ids.last().unwrap_or(&0))),
    }
    let min = min_price(args);
    o.say(format!(
        "price    {} rising to {}, each",
        units::shown(U256::from(min)),
        units::shown(U256::from(args.max_price))
    ));
    o.say(format!("fee      {} each, burned when it is settled", units::shown(U256::from(work_fee))));
    o.say(format!("deadline {}", units::relative(args.deadline, 0)));
    o.say(format!("gas      {}", count(gas)));
    if let Some(path) = &args.private_input {
        o.say(format!(
            "send     {} to the worker: it has salt and input, and whoever has it can read the input",
            path.display()
        ));
    }
    if let Some(first) = written.first() {
        let more = if written.len() > 1 { format!(" and {} more", written.len() - 1) } else { String::new() };
        if sent == 0 {
            o.say(format!("send     {first}{more} to the worker: whoever has it can read input and output"));
        } else {
            o.say(format!("sent     {first}{more}: whoever has it can read input and output"));
        }
        o.say("keep     it too: `assay job result ID MODEL --inbox FOLDER` needs it");
    }
    if entry.batch > 1 {
        o.say(format!(
            "note     this verifier settles up to {} jobs at once, so workers may wait for more",
            entry.batch
        ));
    }
    o.say(format!("next     assay job status {}", ids.first().unwrap_or(&0)));
    o.result(json!({
        "job_id": ids.first(),
        "job_ids": ids,
        "verifier_id": verifier_id.to_string(),
        "offer_id": offer_id.to_string(),
        "min_price": min.to_string(),
        "max_price": args.max_price.to_string(),
        "work_fee": work_fee.to_string(),
        "private": args.private_input.is_some(),
        "confidential": args.confidential,
        "openings": written,
        "openings_sent": sent,
        "gas": gas,
    }));
    Ok(())
}

/// A failure in the middle: what was posted stays posted.
fn posted_before(f: Failure, ids: &[u64]) -> Failure {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return f };
    let text = format!("{}; jobs {first} to {last} were posted before that", f.message);
    let help = format!("{}; look at them before you post again: assay job status", f.help);
    Failure { message: text, help, exit: f.exit }
}

/// A fresh salt with what a job is about.
fn salted(input: Vec<u8>) -> Outcome<inputs::Secret> {
    let mut salt = B256::ZERO;
    OsRng.try_fill_bytes(salt.as_mut_slice()).map_err(|e| {
        Failure::new(format!("no random numbers from the system: {e}")).help("check that /dev/urandom can be read here")
    })?;
    Ok(inputs::Secret { salt, input: input.into() })
}

fn min_price(args: &Post) -> u128 {
    args.min_price.unwrap_or_else(|| (args.max_price / 10).max(1))
}

fn spec(args: &Post, verifier_id: B256, offer_id: B256, commitment: B256, now: u64) -> Outcome<Spec> {
    let lease = u32::try_from(args.lease)
        .map_err(|_| Failure::new("--lease is too long").help("give at most 136 years, as in --lease 30m"))?;
    let time = |seconds: u64| time(now.saturating_add(seconds));
    Ok(Spec {
        verifierId: verifier_id,
        offerId: offer_id,
        inputCommitment: commitment,
        minPrice: min_price(args),
        maxPrice: args.max_price,
        rampStart: time(0),
        rampEnd: time(args.ramp.unwrap_or(args.deadline / 2)),
        deadline: time(args.deadline),
        leaseSeconds: lease,
        bond: args.bond.unwrap_or_else(|| args.max_price.div_ceil(10)),
    })
}

/// Lets the market take what posting costs.
fn approve(system: &mut System, total: U256) -> Outcome<()> {
    let (token, market) = (system.at.token(), system.at.market().address());
    let sender = system.sender()?;
    let balance = token.balance(system.chain.as_mut(), sender)?;
    if balance < total {
        return Err(Failure::new(format!(
            "account {sender} has {} and posting costs {}",
            units::shown(balance),
            units::shown(total)
        ))
        .help("send it tokens, or offer less; on a chain of `assay chain up` its first accounts have some"));
    }
    token.ensure_allowance(system.chain.as_mut(), market, total, total).map_err(explained)?;
    Ok(())
}
