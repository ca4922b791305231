//! `assay srs`: powers of tau.

use crate::{
    App,
    error::{Failure, Outcome},
    files::{self, Kind},
    flow,
    output::{count, seconds},
    progress::Progress,
    srs,
};
use assay_prover::srs::{Ceremony, Contribution, MAX_POWER, Srs, import_ptau};
use assay_verifier::core::hex;
use clap::{Args, Subcommand};
use serde_json::json;
use std::{
    io::BufReader,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub(crate) struct SrsArgs {
    #[command(subcommand)]
    command: SrsCommand,
}

#[derive(Debug, Subcommand)]
enum SrsCommand {
    /// Make INSECURE development powers of tau, whose secret is public
    New {
        /// log2 of the number of points
        #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_POWER)))]
        power: u32,
        /// Where to write them
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Import powers of tau from a ceremony (snarkjs .ptau), with all checks
    Import {
        /// The ceremony's file
        file: PathBuf,
        /// log2 of the number of points to keep
        #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_POWER)))]
        power: u32,
        /// Where to write them
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Check that a file holds consecutive powers of one secret (pairing and subgroup checks)
    Verify {
        /// Powers of tau
        file: PathBuf,
    },
}

pub(crate) fn run(app: &App, args: &SrsArgs) -> Outcome<()> {
    match &args.command {
        SrsCommand::New { power, output } => {
            files::check_target(output)?;
            let (srs, s) = flow::timed(|| srs::development(app, *power));
            flow::warn_insecure(app, true);
            save(app, &srs?, None, output, s)
        }
        SrsCommand::Import { file, power, output } => {
            files::check_target(output)?;
            let kind = files::kind(file)?;
            if kind != Kind::Ptau {
                return Err(files::wrong_kind(file, Kind::Ptau, kind));
            }
            let input = files::open(file, u64::MAX)?;
            let progress = Progress::start(&app.output, "import", 0.0);
            progress.stage("reading and checking points", 0.0);
            let (srs, s) = flow::timed(|| import_ptau(BufReader::new(input), *power));
            let Ceremony { srs, contributions } = srs.map_err(|e| Failure::from(e).in_file(file))?;
            drop(progress);
            say_contributions(app, &contributions);
            if srs.power() < *power {
                let has = srs.power();
                return Err(Failure::new(format!(
                    "the ceremony has 2^{has} points, fewer than the 2^{power} asked for"
                ))
                .help(format!("pass --power {has}, or a file of a larger ceremony; nothing was written"))
                .in_file(file));
            }
            save(app, &srs, Some(&contributions), output, s)
        }
        SrsCommand::Verify { file } => {
            let srs = srs::from_file(file, MAX_POWER)?;
            let progress = Progress::start(&app.output, "verify", 0.0);
            progress.stage("checking points and pairing", 0.0);
            let (checked, s) = flow::timed(|| srs.verify());
            drop(progress);
            checked.map_err(|e| Failure::from(e).in_file(file).invalid())?;
            flow::warn_insecure(app, srs.insecure_dev);
            app.output.say(format!(
                "valid   {} powers of one secret, checked in {}",
                count(srs.g1_powers.len() as u64),
                seconds(s)
            ));
            app.output.say(format!("srs     {}", hex(&srs.hash)));
            result(app, &srs, None, Some(true), s);
            Ok(())
        }
    }
}

/// What the file says of its making, and what it cannot say.
fn say_contributions(app: &App, contributions: &[Contribution]) {
    let beacons = contributions.iter().filter(|c| c.beacon).count();
    let secrets = contributions.len() - beacons;
    app.output.say(format!(
        "made by {secrets} contribution{}{}, by the file's own account",
        if secrets == 1 { "" } else { "s" },
        match beacons {
            0 => String::new(),
            1 => " and a public beacon".to_owned(),
            n => format!(" and {n} public beacons"),
        }
    ));
    for c in contributions.iter().take(8).filter(|c| !c.name.is_empty()) {
        app.output.say(format!("        {}{}", c.name, if c.beacon { " (beacon)" } else { "" }));
    }
    if secrets == 1 {
        app.output.warn(
            "one person made these powers: whoever it was may know tau and can then forge every proof".to_owned(),
        );
    }
}

fn save(app: &App, srs: &Srs, contributions: Option<&[Contribution]>, path: &Path, s: f64) -> Outcome<()> {
    files::write_with(path, |mut out| srs.write(&mut out).map_err(|e| Failure::from(e).in_file(path)))?;
    app.output.say(format!("srs     {}", hex(&srs.hash)));
    app.output.say(format!("wrote   {} (2^{} points) in {}", path.display(), srs.power(), seconds(s)));
    result(app, srs, contributions, None, s);
    Ok(())
}

fn result(app: &App, srs: &Srs, contributions: Option<&[Contribution]>, valid: Option<bool>, s: f64) {
    let list =
        contributions.map(|all| all.iter().map(|c| json!({ "name": c.name, "beacon": c.beacon })).collect::<Vec<_>>());
    app.output.result(json!({
        "valid": valid,
        "srs_hash": hex(&srs.hash),
        "power": srs.power(),
        "insecure_srs": srs.insecure_dev,
        "contributions": list,
        "seconds": s,
    }));
}
