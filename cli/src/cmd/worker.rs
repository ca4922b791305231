//! `assay worker`: watches a node and works on the jobs it can prove.

use crate::{
    App,
    args::QuantArgs,
    chain::address,
    economy::{EconomyArgs, inbox::Location, units, work::RegisteredKeyArgs},
    error::Outcome,
    worker,
};
use assay_contracts::Address;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Compiled models, or ONNX models: jobs of other models are left alone
    #[arg(required = true, value_name = "MODEL")]
    pub(crate) models: Vec<PathBuf>,
    /// Who is paid [default: the account that sends]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) payout: Option<Address>,
    /// What the worker does is written here first, so that it goes on after a crash: one file for each worker
    #[arg(long, value_name = "FILE", default_value = "assay-worker.journal")]
    pub(crate) journal: PathBuf,
    /// Seconds between looks at the chain
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = poll)]
    pub(crate) poll: f64,
    /// Take no job that leaves less, in tokens: without what goes to owner, data and treasury, and without the gas if
    /// --ether-price says what it is worth
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    pub(crate) min_price: Option<u128>,
    /// What an ether is worth in tokens, to count gas. This or --min-price must be said where gas costs something
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    pub(crate) ether_price: Option<u128>,
    /// Withdraw when the market owes so much [default: after each payment, or with --ether-price when it is twenty times the
    /// gas]
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    pub(crate) withdraw_at: Option<u128>,
    /// Take no job that asks for a larger bond, in tokens
    #[arg(long, value_name = "TOKENS", value_parser = units::tokens)]
    pub(crate) max_bond: Option<u128>,
    /// For verifiers of many jobs at once: how long to wait for more jobs before slots stay empty
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = units::duration)]
    pub(crate) fill: u64,
    /// Attempts at one job, crashes included, before it is given up
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) tries: u32,
    /// Never prove a job without a lease; else that is done when the tokens for its bond are missing
    #[arg(long)]
    pub(crate) leases_only: bool,
    /// Blocks on top of a job until it is taken: a reorganised chain may have another job of the same number [default: 2; 0 on
    /// a local chain]
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) depth: Option<u64>,
    /// Look for jobs from this block on [default: that of --days ago, or of the last start if that is later]
    #[arg(long, value_name = "BLOCK")]
    pub(crate) from_block: Option<u64>,
    /// How many days back jobs are looked for at the start
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=90), conflicts_with = "from_block")]
    pub(crate) days: u64,
    /// Lost bonds and failed proofs, one after another, after which no more leases are taken
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_failures: u32,
    /// Forget the failures that the journal has, after their cause was found
    #[arg(long)]
    pub(crate) reset_failures: bool,
    #[command(flatten)]
    pub(crate) sending: worker::SendingArgs,
    /// Files with salt and input from requesters, for jobs with private input
    #[arg(long, value_name = "FILE")]
    pub(crate) private_input: Vec<PathBuf>,
    /// Where requesters put the openings of confidential jobs, a folder or an address; without it those jobs are left to others
    #[arg(long, value_name = "FOLDER|URL")]
    pub(crate) inbox: Option<Location>,
    /// Stop after one proof
    #[arg(long, conflicts_with = "jobs")]
    pub(crate) once: bool,
    /// Stop after so many jobs were paid
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) jobs: Option<u64>,
    #[command(flatten)]
    pub(crate) key: RegisteredKeyArgs,
    #[command(flatten)]
    pub(crate) quant: QuantArgs,
    #[command(flatten)]
    pub(crate) economy: EconomyArgs,
}

fn poll(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|s| (0.05..=3_600.0).contains(s)).ok_or_else(|| "expected 0.05 to 3600 seconds".to_owned())
}

pub(crate) fn run(app: &App, args: &WorkerArgs) -> Outcome<()> {
    worker::run(app, args)
}
