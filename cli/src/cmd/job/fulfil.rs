//! `assay job fulfil`: hands in a settled proof.

use super::{lease::list, prove::salts_of};
use crate::{
    App,
    economy::{EconomyArgs, System, explained, inputs::Secrets, units, work::slots},
    error::{Failure, Outcome},
    output::count,
    settlement,
};
use assay_contracts::{Address, B256, Revert, U256, abi::ContractError, economy::context_job};
use assay_verifier::settle::key::SettledProof;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Fulfil {
    /// The settled proof
    proof: PathBuf,
    /// The jobs that it is for [default: the one that it names, for a batch of one]
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Vec<u64>,
    /// File with salt and input from the requester, for jobs with private input
    #[arg(long, value_name = "FILE")]
    private_input: Vec<PathBuf>,
    #[command(flatten)]
    economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Fulfil) -> Outcome<()> {
    let o = &app.output;
    let proof = settlement::read_proof(&args.proof)?;
    let secrets = Secrets::read(&args.private_input)?;
    let mut system = args.economy.connect(true)?;
    let market = system.at.market();
    let c = &proof.context;
    if c.chain_id != system.at.chain_id || c.consumer != market.address().into_array() {
        return Err(Failure::new(format!(
            "the proof is for chain {} and contract {}, not for the market {} of chain {}",
            c.chain_id,
            Address::from(c.consumer),
            market.address(),
            system.at.chain_id
        ))
        .help("make one for this market: assay job prove ID MODEL -o PROOF"));
    }
    let slots = slots_of(&mut system, &proof, &args.jobs)?;
    let salts = salts_of(&mut system, &secrets, &slots)?;
    let payout = Address::from(c.recipient);
    let (paid, done) =
        market.fulfil(system.chain.as_mut(), &slots, &salts, payout, &proof.public, &proof.argument).map_err(|e| {
            let invalid =
                matches!(e.revert(), Some(Revert::Contract(c)) if matches!(**c, ContractError::InvalidProof(_)));
            let f = explained(e);
            if invalid { f.help("the market does not accept the proof: nothing was paid").invalid() } else { f }
        })?;
    let total: U256 = paid.iter().map(|p| U256::from(p.to_worker)).sum();
    let ids: Vec<u64> = paid.iter().map(|p| p.id).collect();
    o.answer(format!("paid     {} for {}", units::shown(total), list(&ids)));
    o.say(format!("to       {payout}, which can withdraw it: assay job claim --account {payout}"));
    o.say(format!("gas      {}", count(done.gas_used)));
    o.result(json!({
        "job_ids": ids,
        "payout": payout.to_string(),
        "to_worker": total.to_string(),
        "price": paid.iter().map(|p| U256::from(p.price)).sum::<U256>().to_string(),
        "gas": done.gas_used,
        "transaction": done.hash.to_string(),
        "accepted": true,
    }));
    Ok(())
}

/// The ids that the proof's context hashes.
fn slots_of(system: &mut System, proof: &SettledProof, named: &[u64]) -> Outcome<Vec<u64>> {
    let wanted = B256::from(proof.context.job);
    let chain = system.chain.as_mut();
    let entries = system.at.registry().entries(chain)?;
    let batch = entries.iter().find(|(_, e)| e.settlementId.0 == proof.id).map(|(_, e)| e.batch).ok_or_else(|| {
        Failure::new("the proof's settlement key is not registered here")
            .help("it is for another deployment, or was made with a secret or powers of tau that are not registered")
    })?;
    let batch = usize::try_from(batch).unwrap_or(usize::MAX);
    let candidate = match (named, u64::try_from(U256::from_be_bytes(wanted.0))) {
        ([], Ok(id)) if batch == 1 => vec![id],
        ([], _) => {
            return Err(Failure::new(format!("the proof is for a batch of up to {batch} jobs"))
                .help("name them, in the order in which they were proven: --jobs IDS"));
        }
        (ids, _) => slots(ids, batch)?,
    };
    if context_job(&candidate) != wanted {
        return Err(Failure::new(format!("the proof is not for {}", list(named)))
            .help("name the jobs it was proven for, all of them"));
    }
    Ok(candidate)
}
