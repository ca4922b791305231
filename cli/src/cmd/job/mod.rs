//! `assay job`: post jobs, work on them by hand, get paid.

mod claim;
mod fulfil;
mod lease;
mod post;
mod prove;
mod refund;
mod result;
mod status;

use crate::{App, error::Outcome};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct JobCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask for proven inferences, and pay for them in advance
    Post(Box<post::Post>),
    /// Take the sole right to be paid for jobs, for a while; takes a bond
    Lease(lease::Lease),
    /// Prove jobs: a settled proof that pays one address
    Prove(Box<prove::Prove>),
    /// Hand in a proof; anybody may, it pays whom the proof says
    Fulfil(fulfil::Fulfil),
    /// Collect what the market owes an account, and rewards of epochs that are over
    Claim(claim::Claim),
    /// Get back what is left of jobs
    Refund(refund::Refund),
    /// List jobs, or describe one
    Status(status::StatusArgs),
    /// The output of a confidential job, unmasked with what was kept when it was posted
    Result(result::ResultArgs),
}

pub(crate) fn run(app: &App, args: &JobCommand) -> Outcome<()> {
    match &args.action {
        Action::Post(a) => post::run(app, a),
        Action::Lease(a) => lease::run(app, a),
        Action::Prove(a) => prove::run(app, a),
        Action::Fulfil(a) => fulfil::run(app, a),
        Action::Claim(a) => claim::run(app, a),
        Action::Refund(a) => refund::run(app, a),
        Action::Status(a) => status::run(app, a),
        Action::Result(a) => result::run(app, a),
    }
}
