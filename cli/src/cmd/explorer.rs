//! `assay explorer`: a read-only page about a deployment of the token economy.

use crate::{App, economy::read_deployment, error::Outcome, explorer::Server};
use assay_contracts::{Relay, RpcOptions, economy::DEPLOYMENT_FILE};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ExplorerArgs {
    /// Address of the JSON-RPC node to read; it is never shown to the page, so it may hold credentials
    #[arg(long, value_name = "URL")]
    rpc: String,
    /// Where the contracts are: the file that `assay chain up` wrote
    #[arg(long, value_name = "FILE", default_value = DEPLOYMENT_FILE)]
    deployment: PathBuf,
    /// Port of this machine to serve the page on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8647)]
    port: u16,
}

pub(crate) fn run(app: &App, args: &ExplorerArgs) -> Outcome<()> {
    let o = &app.output;
    let deployment = read_deployment(&args.deployment)?;
    let relay = Relay::new(&RpcOptions::new(args.rpc.clone()))?;
    let node = relay.endpoint().to_owned();
    let server = Server::bind(args.port, relay, &deployment)?;
    if let Some(why) = server.trouble()? {
        o.warn(format!("{why}; the page will say so until it answers"));
    }
    o.answer(format!("page  {}", server.url()));
    o.say(format!("node  {node}"));
    o.say("It only reads. End it with Ctrl+C.");
    o.event("listening", json!({ "url": server.url(), "node": node }));
    server.serve()
}
