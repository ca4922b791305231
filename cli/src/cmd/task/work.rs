//! `assay task work`: trains for tokens.

use crate::{
    App,
    args::SettleArgs,
    chain::address,
    economy::{EconomyArgs, hash, units},
    error::Outcome,
    training, worker,
};
use assay_contracts::{Address, B256};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Work {
    /// The ONNX model whose network is trained: with steps, batch and rate it says which tasks these are
    pub(crate) model: PathBuf,
    /// A stack at hand, repeatable: the dataset to train on (the first of its kind), weights to train from, with --lora those that stay
    /// as they are, and shards that were revealed; what each is follows from what it holds
    #[arg(long = "stack", value_name = "STACK", required = true)]
    pub(crate) stacks: Vec<PathBuf>,
    /// A folder for what rounds give: trained weights, proofs, records, and the journal
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) hyper: training::HyperArgs,
    #[command(flatten)]
    pub(crate) lora: training::LoraArgs,
    /// The dataset as it is registered [default: the one of the stack, if there is one]
    #[arg(long, value_name = "ID", value_parser = hash)]
    pub(crate) dataset: Option<B256>,
    /// All datasets that tasks take, if they do not take any
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = hash)]
    pub(crate) allowed: Vec<B256>,
    /// Who is paid [default: the account that sends]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) payout: Option<Address>,
    /// Lease no round that pays less for its proof, in tokens
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    pub(crate) min_price: Option<u128>,
    /// Lease no round that asks for a larger bond, in tokens
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    pub(crate) max_bond: Option<u128>,
    /// End when so many rounds are paid
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<u64>,
    /// End when nothing is left to do at the moment
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds between looks at the chain
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub(crate) poll: u64,
    /// Lease nothing more after so many lost bonds or refused proofs one after another
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_failures: u32,
    /// Forget failures of before
    #[arg(long)]
    pub(crate) reset_failures: bool,
    #[command(flatten)]
    pub(crate) sending: worker::SendingArgs,
    /// Powers of tau [default: development ones, INSECURE]
    #[arg(long, value_name = "SRS")]
    pub(crate) srs: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settlement: SettleArgs,
    #[command(flatten)]
    pub(crate) economy: EconomyArgs,
}

pub(crate) fn run(app: &App, args: &Work) -> Outcome<()> {
    worker::tasks::run(app, args)
}
