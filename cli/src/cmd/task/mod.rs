//! `assay task`: have a network trained, and train for others, paid for proven gains.

mod end;
pub(crate) mod lease;
mod post;
mod prove;
mod reveal;
mod seed;
mod show;
pub(crate) mod work;

use crate::{App, error::Outcome};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct TaskCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Have weights trained: pay for proven steps, and for what they gain on data that nobody has seen
    Post(Box<post::Post>),
    /// Describe a task, its round, and what the next proof must be bound to
    Show(show::Show),
    /// List tasks, newest first
    List(show::List),
    /// Take the next round of a task, for a bond
    Lease(lease::Lease),
    /// Fix the seed of a round from the block that its lease named
    Seed(seed::Seed),
    /// Hand in the proof of training; anybody may, it pays whom the proof says
    Submit(prove::Submit),
    /// Open the next sealed shard of held-out data, as the sponsor
    Reveal(reveal::Reveal),
    /// Hand in the proof of evaluation; anybody may, it pays for the gain and moves the head
    Settle(prove::Settle),
    /// Train for tokens: lease rounds of tasks of a network, train, prove, hand in; and settle what was revealed
    Work(Box<work::Work>),
    /// End a round whose time is over
    Finish(end::Finish),
    /// Give the sponsor back what is left of a task, and close it
    Refund(end::Refund),
    /// Collect what the market for training owes an account
    Withdraw(end::Withdraw),
}

pub(crate) fn run(app: &App, args: &TaskCommand) -> Outcome<()> {
    match &args.action {
        Action::Post(a) => post::run(app, a),
        Action::Show(a) => show::show(app, a),
        Action::List(a) => show::list(app, a),
        Action::Lease(a) => lease::run(app, a),
        Action::Seed(a) => seed::run(app, a),
        Action::Submit(a) => prove::submit(app, a),
        Action::Reveal(a) => reveal::run(app, a),
        Action::Settle(a) => prove::settle(app, a),
        Action::Work(a) => work::run(app, a),
        Action::Finish(a) => end::finish(app, a),
        Action::Refund(a) => end::refund(app, a),
        Action::Withdraw(a) => end::withdraw(app, a),
    }
}
