//! `assay farm up`: a farm's server and its keeper.

use super::FarmArgs;
use crate::{
    App,
    economy::units,
    error::{Failure, Outcome},
    farm::{
        backend::{Backend, Terms},
        keeper,
        nats::{Nats, Plan},
        server::{Server, Settings, program},
    },
    signals,
};
use clap::Args;
use serde_json::json;
use std::{path::PathBuf, sync::Arc, time::Duration};

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Use the NATS server at this address instead of starting one; it needs JetStream
    #[arg(long, value_name = "URL", conflicts_with_all = ["listen", "port", "store", "max_store", "sync", "nats_server"])]
    nats: Option<String>,
    /// Address to listen on; one that others can reach needs a token
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    listen: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 4222)]
    port: u16,
    /// Folder where jobs and files are kept
    #[arg(long, value_name = "FOLDER", default_value = "assay-farm")]
    store: PathBuf,
    /// Most that is kept there: 500MB, 20GB [default: three quarters of the disk's free space]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_store: Option<u64>,
    /// Write each step to the disk before it counts, not within a second: a power cut loses nothing, each job takes longer
    #[arg(long)]
    sync: bool,
    /// The nats-server program [default: what cli/deploy/install-nats fetched, else the one on the path]
    #[arg(long, value_name = "PATH")]
    nats_server: Option<PathBuf>,
    /// How long nobody hears of a worker until its job is given to another
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration)]
    lease: u64,
    /// Attempts at a job until it has failed
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    tries: u32,
    /// How long jobs, proofs, models and keys are kept
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = units::duration)]
    keep: u64,
    /// Powers of tau of keys that were not made with development ones, to check settlement keys
    #[arg(long, value_name = "SRS")]
    srs: Option<PathBuf>,
    #[command(flatten)]
    farm: FarmArgs,
}

/// A size, for arguments: `500MB`, `20GB`.
fn size(text: &str) -> Result<u64, String> {
    let bad = || "expected a size, like 500MB or 20GB".to_owned();
    let text = text.trim();
    let (digits, factor) = match text.get(text.len().saturating_sub(2)..) {
        Some("kB" | "KB") => (text.get(..text.len() - 2), 1_000),
        Some("MB") => (text.get(..text.len() - 2), 1_000_000),
        Some("GB") => (text.get(..text.len() - 2), 1_000_000_000),
        _ => (Some(text), 1),
    };
    let number: u64 = digits.ok_or_else(bad)?.trim().parse().map_err(|_| bad())?;
    number.checked_mul(factor).filter(|n| *n > 0).ok_or_else(bad)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn run(app: &App, args: &Up) -> Outcome<()> {
    let o = &app.output;
    if args.lease == 0 || args.keep < 60 {
        return Err(Failure::new("--lease is at least a second, --keep a minute").help("give longer ones"));
    }
    let ending = signals::ending()?;
    let token = args.farm.token()?;
    let mut server = None;
    let url = match &args.nats {
        Some(url) => url.clone(),
        None => {
            if token.is_none() && !is_loopback(&args.listen) {
                return Err(Failure::new(format!(
                    "everybody who reaches {} could take jobs and hand proofs in",
                    args.listen
                ))
                .help("pass a token: --token-file FILE (openssl rand -hex 32 > FILE), or listen on 127.0.0.1"));
            }
            let started = Server::start(&Settings {
                program: program(args.nats_server.as_deref())?,
                host: args.listen.clone(),
                port: args.port,
                store: args.store.clone(),
                max_store: args.max_store,
                token: token.clone(),
                sync: args.sync,
            })?;
            let host = if args.listen.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
                "127.0.0.1"
            } else {
                &args.listen
            };
            let url = format!("nats://{host}:{}", started.port());
            server = Some(started);
            url
        }
    };
    let plan = Plan {
        terms: Terms { lease: Duration::from_secs(args.lease), tries: args.tries },
        keep: Duration::from_secs(args.keep),
    };
    let nats = Nats::make(args.farm.place(&url, Duration::from_secs(60), Arc::clone(&ending))?, &plan)?;
    let shown = nats.shown();
    let backend: Arc<dyn Backend> = Arc::new(nats);
    if backend.is_draining()? {
        o.warn("the farm drains: workers take no jobs until `assay farm drain --undo`");
    }
    o.event("listening", json!({ "url": shown, "farm": args.farm.farm }));
    o.answer(format!("farm    {} on {shown}", args.farm.farm));
    o.say("It checks what workers hand in. End it with Ctrl+C; what is kept stays.");
    let options = keeper::Options { srs: args.srs.clone(), ending };
    keeper::keep(app, &backend, &options, || {
        if server.as_mut().is_none_or(Server::is_alive) {
            return Ok(());
        }
        Err(Failure::new("nats-server ended by itself")
            .help("look for too little memory or room on the disk, and start the farm again"))
    })?;
    o.result(json!({ "ended": true }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!((size("500MB"), size("20GB"), size("7")), (Ok(500_000_000), Ok(20_000_000_000), Ok(7)));
        assert!(size("").is_err() && size("MB").is_err() && size("0").is_err() && size("-1").is_err());
        assert!(is_loopback("127.0.0.1") && is_loopback("::1") && is_loopback("localhost") && !is_loopback("0.0.0.0"));
    }
}
