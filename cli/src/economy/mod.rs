//! The token economy as commands see it: which chain, which deployment, and how amounts and times are written.

pub(crate) mod clock;
pub(crate) mod confidential;
pub(crate) mod inbox;
pub(crate) mod inputs;
pub(crate) mod shards;
pub(crate) mod story;
pub(crate) mod tasks;
pub(crate) mod training_story;
pub(crate) mod units;
pub(crate) mod work;

use crate::{
    chain::ChainArgs,
    error::{Failure, Outcome},
    files,
};
use assay_contracts::{
    Address, B256, Chain, Revert, RpcOptions,
    economy::{DEPLOYMENT_BYTES, DEPLOYMENT_FILE, Deployment, Entry, Job, Offer},
};
use clap::Args;
use clock::{Clock, Moment};
use std::path::{Path, PathBuf};

/// Which deployment, on which chain, and who pays.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Chain")]
pub(crate) struct EconomyArgs {
    /// Where the contracts are: the file that `assay chain up` wrote
    #[arg(long, value_name = "FILE", default_value = DEPLOYMENT_FILE)]
    pub(crate) deployment: PathBuf,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}

/// A deployment that was found on a chain.
pub(crate) struct System {
    pub(crate) chain: Box<dyn Chain>,
    pub(crate) at: Deployment,
}

impl EconomyArgs {
    /// Connects, and checks that the contracts are there. Without `sends` no account is needed.
    pub(crate) fn connect(&self, sends: bool) -> Outcome<System> {
        self.connect_with(sends, |_| {})
    }

    /// As [`connect`](Self::connect), with a node that is talked to in another way.
    pub(crate) fn connect_with(&self, sends: bool, change: impl FnOnce(&mut RpcOptions)) -> Outcome<System> {
        if self.chain.rpc.is_none() {
            return Err(Failure::new("which chain? pass the address of a node with --rpc URL")
                .help("`assay chain up` starts one on this machine, with everything deployed"));
        }
        let at = read_deployment(&self.deployment)?;
        let mut chain = self.chain.connect_with(sends, change)?;
        at.check(chain.as_mut()).map_err(|e| Failure::from(e).in_file(&self.deployment))?;
        Ok(System { chain, at })
    }
}

/// A deployment file, unchecked.
pub(crate) fn read_deployment(path: &Path) -> Outcome<Deployment> {
    let bytes = files::read(path, DEPLOYMENT_BYTES as u64).map_err(|f| {
        f.help("`assay chain up` deploys the contracts and writes this file; name another with --deployment")
    })?;
    Deployment::from_json(&String::from_utf8_lossy(&bytes)).map_err(|e| Failure::from(e).in_file(path))
}

impl System {
    /// The chain's time.
    pub(crate) fn moment(&mut self) -> Outcome<Moment> {
        Ok(Clock::default().read(self.chain.as_mut())?)
    }

    /// A job, or that there never was one.
    pub(crate) fn job(&mut self, id: u64) -> Outcome<Job> {
        let market = self.at.market();
        let posted = market.jobs(self.chain.as_mut())?;
        if id == 0 || id > posted {
            return Err(Failure::new(format!("there is no job {id}: {posted} were posted here so far"))
                .help("`assay job status` lists them; a chain that was reorganised may have lost the last ones"));
        }
        market.job(self.chain.as_mut(), id).map_err(explained)
    }

    /// The account that sends.
    pub(crate) fn sender(&self) -> Outcome<Address> {
        self.chain
            .sender()
            .ok_or_else(|| Failure::new("this needs an account").help("set ASSAY_PRIVATE_KEY, or pass --keystore FILE"))
    }

    /// The verifier to use for a model: the one that is named, or the active one of the smallest batch.
    pub(crate) fn verifier_of(&mut self, model_id: [u8; 32], named: Option<B256>) -> Outcome<(B256, Entry)> {
        let chain = self.chain.as_mut();
        let registry = self.at.registry();
        if let Some(id) = named {
            let entry = registry.entry(chain, id)?;
            if entry.modelId.0 != model_id {
                return Err(Failure::new(format!("verifier {id} is for another model")).help(format!(
                    "it proves model {}; this one is {}",
                    entry.modelId,
                    B256::from(model_id)
                )));
            }
            return Ok((id, entry));
        }
        let mut best: Option<(B256, Entry)> = None;
        for (id, entry) in registry.entries(chain)? {
            let better = best.as_ref().is_none_or(|(_, b)| entry.batch < b.batch);
            if entry.modelId.0 == model_id && better && registry.is_active(chain, id)? {
                best = Some((id, entry));
            }
        }
        best.ok_or_else(|| {
            Failure::new(format!("no verifier of model {} is registered here", B256::from(model_id)))
                .help("register it: assay model register MODEL")
        })
    }

    /// The offer to use for a model, and the other ones: the one that is named, or the oldest. Anybody may make offers for
    /// any model, so a second one means nothing.
    pub(crate) fn offer_of(&mut self, model_id: [u8; 32], named: Option<B256>) -> Outcome<(B256, Offer, usize)> {
        let models = self.at.models();
        if let Some(id) = named {
            let offer = models.get(self.chain.as_mut(), id)?;
            if offer.modelId.0 != model_id {
                return Err(Failure::new(format!("offer {id} is for another model")).help(format!(
                    "it is for model {}; this one is {}",
                    offer.modelId,
                    B256::from(model_id)
                )));
            }
            return Ok((id, offer, 0));
        }
        let head = self.chain.head()?.number;
        let mut all = models.offers_for(self.chain.as_mut(), model_id.into(), self.at.block, head)?;
        if all.is_empty() {
            return Err(Failure::new(format!("nobody offers model {} here", B256::from(model_id)))
                .help("make an offer: assay model register MODEL"));
        }
        let others = all.len() - 1;
        let (id, offer) = all.swap_remove(0);
        Ok((id, offer, others))
    }
}

/// 32 bytes in hexadecimal.
pub(crate) fn hash(text: &str) -> Result<B256, String> {
    crate::settlement::parse_hex::<32>(text)
        .map(B256::from)
        .ok_or_else(|| "expected 32 bytes: 0x and 64 hexadecimal digits".to_owned())
}

/// The failure of a call with what would help, by what the contract says.
pub(crate) fn explained(e: assay_contracts::Error) -> Failure {
    let help = match e.revert() {
        Some(Revert::Economy(_)) => help_for(&e),
        Some(Revert::Training(_)) => tasks::help_for(&e).or_else(|| help_for(&e)),
        _ => None,
    };
    let f = Failure::from(e);
    match help {
        Some(h) => f.help(h),
        None => f,
    }
}

fn help_for(e: &assay_contracts::Error) -> Option<&'static str> {
    use assay_contracts::economy::abi::Economy::EconomyErrors as E;
    Some(match e.economy()? {
        E::ERC20InsufficientBalance(_) => {
            "send the account tokens; `assay job claim` withdraws what the market owes it"
        }
        E::ERC20InsufficientAllowance(_) => "let the market take the tokens; assay does that before it posts or leases",
        E::NotOpen(_) => "`assay job status ID` tells what became of it",
        E::LeaseLive(_) => "wait until the lease ends, or take another job",
        E::BondTooHigh(_) => "look at the job again: `assay job status ID`",
        E::LeaseTooShort(_) => "take a job with a later deadline, or prove it without a lease",
        E::VerifierEnded(_) => "`assay job refund ID` gives the requester everything back",
        E::TooEarly(_) => "wait for the deadline, or let the requester ask",
        E::WrongPayout(_) => "prove it for the payout address of the lease: assay job prove ID MODEL",
        E::AccessManagedUnauthorized(_) | E::AccessManagedRequiredDelay(_) => {
            "adding verifiers takes a vote, or an account with the curator's role"
        }
        E::TooLarge(_) => "settle fewer inferences at once, show fewer values, or cut longer rows",
        E::OtherWeights(_) => "pass the stack of weights that this model was first registered with: --weights STACK",
        E::GovernorUnexpectedProposalState(_) | E::TimelockUnexpectedOperationState(_) => {
            "`assay vote show ID` tells where it is and what comes next"
        }
        E::GovernorAlreadyCastVote(_) => "an account votes once",
        _ => return None,
    })
}
