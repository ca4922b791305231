//! `assay explorer`: a read-only page about a deployment of the token economy.

use crate::{
    App,
    chain::address,
    error::{Failure, Outcome},
    explorer::{Addresses, Server},
};
use assay_contracts::{Address, Relay, RpcOptions};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct ExplorerArgs {
    /// Address of the JSON-RPC node to read; it is never shown to the page, so it may hold credentials
    #[arg(long, value_name = "URL")]
    rpc: String,
    /// The deployment's file
    #[arg(long, value_name = "FILE", default_value = "assay-deployment.json")]
    deployment: PathBuf,
    /// Port of this machine to serve the page on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8647)]
    port: u16,
}

pub(crate) fn run(app: &App, args: &ExplorerArgs) -> Outcome<()> {
    let o = &app.output;
    let addresses = read_deployment(&args.deployment)?;
    let relay = Relay::new(&RpcOptions::new(args.rpc.clone()))?;
    let node = relay.endpoint().to_owned();
    let server = Server::bind(args.port, relay, addresses)?;
    if let Some(why) = server.trouble()? {
        o.warn(format!("{why}; the page will say so until it answers"));
    }
    o.answer(format!("page  {}", server.url()));
    o.say(format!("node  {node}"));
    o.say("It only reads. End it with Ctrl+C.");
    o.event("listening", json!({ "url": server.url(), "node": node }));
    server.serve()
}

/// Format of a deployment's file.
const FORMAT: &str = "assay.deployment.v1";

/// The addresses in a deployment's file.
fn read_deployment(path: &Path) -> Outcome<Addresses> {
    const HELP: &str = "pass the file that the deployment of the economy wrote";
    const LIMIT: u64 = 1 << 20;
    let size = std::fs::metadata(path).map(|m| m.len()).map_err(|e| Failure::new(e).help(HELP).in_file(path))?;
    if size > LIMIT {
        return Err(Failure::new(format!("{size} bytes is too long for a deployment's file")).help(HELP).in_file(path));
    }
    let text = std::fs::read_to_string(path).map_err(|e| Failure::new(e).help(HELP).in_file(path))?;
    let file: Value = serde_json::from_str(&text)
        .map_err(|e| Failure::new(format!("not a deployment's file: {e}")).help(HELP).in_file(path))?;
    let part = |what: &str| file.pointer(what).filter(|v| !v.is_null());
    let missing = |what: &str| Failure::new(format!("the deployment has no {what}")).help(HELP).in_file(path);
    if part("/format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(Failure::new(format!("not a deployment's file of the format {FORMAT}")).help(HELP).in_file(path));
    }
    let number = |name: &str| part(&format!("/{name}")).and_then(Value::as_u64).ok_or_else(|| missing(name));
    let contract = |name: &str| -> Outcome<Address> {
        let text = part(&format!("/contracts/{name}")).and_then(Value::as_str).ok_or_else(|| missing(name))?;
        address(text).map_err(|e| Failure::new(format!("{name}: {e}")).help(HELP).in_file(path))
    };
    Ok(Addresses {
        chain_id: number("chain_id")?,
        block: number("block")?,
        verifier: contract("verifier")?,
        registry: contract("registry")?,
        models: contract("models")?,
        token: contract("token")?,
        emission: contract("emission")?,
        market: contract("market")?,
    })
}
