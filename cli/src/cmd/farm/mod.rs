//! `assay farm`: many machines prove for one.

mod drain;
mod status;
mod submit;
mod up;
mod worker;

use crate::{
    App,
    error::{Failure, Outcome},
    farm::nats::{Nats, Place},
    files,
};
use clap::{Args, Subcommand};
use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

#[derive(Debug, Args)]
pub(crate) struct FarmCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start a farm: its server, and the keeper that checks what workers hand in
    Up(Box<up::Up>),
    /// Prove jobs of a farm until stopped
    Worker(worker::Work),
    /// Prove many inferences, on this machine or by a farm, one proof each or in batches
    Submit(Box<submit::Submit>),
    /// Count a farm's jobs and say why some failed, or describe one
    Status(status::StatusArgs),
    /// Let workers finish what they have and end; what waits stays
    Drain(drain::Drain),
}

pub(crate) fn run(app: &App, args: &FarmCommand) -> Outcome<()> {
    match &args.action {
        Action::Up(a) => up::run(app, a),
        Action::Worker(a) => worker::run(app, a),
        Action::Submit(a) => submit::run(app, a),
        Action::Status(a) => status::run(app, a),
        Action::Drain(a) => drain::run(app, a),
    }
}

/// Environment variable with a farm's token.
const TOKEN: &str = "ASSAY_FARM_TOKEN";

/// Which farm.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Farm")]
struct FarmArgs {
    /// Name of the farm: a server may have several
    #[arg(long, value_name = "NAME", default_value = "main", value_parser = name)]
    farm: String,
    /// File with the token that the server asks for [default: what is in ASSAY_FARM_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Names go into subjects and streams.
fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 40 && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err("expected at most 40 letters, digits, - and _".to_owned())
    }
}

impl FarmArgs {
    fn token(&self) -> Outcome<Option<String>> {
        let text = match &self.token_file {
            Some(path) => String::from_utf8_lossy(&files::read(path, 4_096)?).into_owned(),
            None => match std::env::var(TOKEN) {
                Ok(token) => token,
                Err(_) => return Ok(None),
            },
        };
        let token = text.trim().to_owned();
        if token.is_empty() {
            return Err(
                Failure::new("the farm's token is empty").help("make one: openssl rand -hex 32 > FILE; chmod 600 FILE")
            );
        }
        Ok(Some(token))
    }

    fn place(&self, url: &str, patience: Duration, ending: Arc<AtomicBool>) -> Outcome<Place> {
        Ok(Place { url: url.to_owned(), farm: self.farm.clone(), token: self.token()?, patience, ending })
    }

    /// Connects for one question.
    fn ask(&self, url: &str) -> Outcome<Nats> {
        Nats::open(self.place(url, Duration::from_secs(2), Arc::default())?)
    }
}
