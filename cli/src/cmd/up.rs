//! `assay chain up`: a chain with the whole market on it.

use crate::{
    App,
    chain::{ChainArgs, address},
    economy::units,
    error::{Failure, Outcome},
    files,
    output::{count, table},
    progress::Progress,
};
use assay_contracts::{
    Address, Chain, Embedded, Rpc, RpcOptions, U256,
    anvil::{self, Anvil},
    economy::{DEPLOYMENT_FILE, Deployed, Parameters, STEPS, amount, deploy},
    is_local,
};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Tokens that each of the first development accounts gets.
const GIFT: u64 = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Deploy on an EVM inside of this program, and print what each contract costs
    #[arg(long, conflicts_with_all = ["rpc", "anvil", "port"])]
    embedded: bool,
    /// The anvil program [default: the one that contracts/install fetched, else the one on the path]
    #[arg(long, value_name = "PATH", conflicts_with = "rpc")]
    anvil: Option<PathBuf>,
    /// Port of the new node
    #[arg(long, value_name = "N", default_value_t = 8545, conflicts_with = "rpc")]
    port: u16,
    /// Where to write the addresses
    #[arg(long, value_name = "FILE", default_value = DEPLOYMENT_FILE)]
    deployment: PathBuf,
    /// As for real use, even on a local chain: verifiers are added by votes, development powers of tau are refused
    #[arg(long)]
    standard: bool,
    /// Who can end verifiers and pause posting and leasing [default: the account that deploys]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    guardian: Option<Address>,
    /// Powers of tau whose canary is named, as `assay srs import` writes them [default: a development setup, on a development
    /// system]
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
    #[command(flatten)]
    chain: ChainArgs,
}

pub(crate) fn run(app: &App, args: &Up) -> Outcome<()> {
    if args.embedded {
        let deployed = put(app, args, &mut Embedded::new())?;
        return report(app, args, &deployed, None);
    }
    files::check_target(&args.deployment)?;
    if let Some(url) = &args.chain.rpc {
        let mut chain = args.chain.connect(true)?;
        let deployed = put(app, args, chain.as_mut())?;
        gifts(&deployed, chain.as_mut())?;
        write(app, args, &deployed)?;
        return report(app, args, &deployed, Some(url));
    }
    let mut node = start(app, args)?;
    let url = node.url().to_owned();
    let mut chain = Rpc::connect(RpcOptions::new(url.clone()), Some(anvil::signer()))?;
    let deployed = put(app, args, &mut chain)?;
    gifts(&deployed, &mut chain)?;
    write(app, args, &deployed)?;
    report(app, args, &deployed, Some(&url))?;
    app.output.say("\nrunning; Ctrl-C ends the node, and everything on it is gone then");
    node.wait();
    Err(Failure::new("the node ended by itself").help("look for another process on its port, or for too little memory"))
}

/// Starts anvil: the one that is named, else that of the checkout, else that on the path.
fn start(app: &App, args: &Up) -> Outcome<Anvil> {
    let port = args.port.to_string();
    let folder = Path::new(anvil::CONTRACTS);
    let progress = Progress::start(&app.output, "node", 2.0);
    progress.stage("starting anvil", 2.0);
    let started = match &args.anvil {
        Some(path) => Anvil::launch(path, &["--port", &port]),
        None if folder.join("node_modules").is_dir() => Anvil::launch(&folder.join("run"), &["anvil", "--port", &port]),
        None if on_path("anvil") => Anvil::launch(Path::new("anvil"), &["--port", &port]),
        None => {
            return Err(Failure::new("there is no anvil, the local Ethereum node").help(
                "run contracts/install in a checkout of Assay, or pass --anvil PATH; with --rpc URL a node that runs already \
                 is used, and --embedded needs none",
            ));
        }
    };
    started.map_err(|e| Failure::new(e).help(format!("is port {port} in use? choose another with --port")))
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(program).is_file()))
}

/// Deploys.
fn put(app: &App, args: &Up, chain: &mut dyn Chain) -> Outcome<Deployed> {
    let deployer = chain.sender().ok_or_else(|| {
        Failure::new("deploying needs an account").help("set ASSAY_PRIVATE_KEY, or pass --keystore FILE")
    })?;
    let allow = args.chain.allow_insecure_development_srs;
    let mut parameters = if !args.standard && (is_local(chain.chain_id()) || allow) {
        Parameters::development(deployer)
    } else {
        Parameters::standard(deployer, deployer)
    };
    parameters.guardian = args.guardian.unwrap_or(parameters.guardian);
    if parameters.development {
        app.output.warn(
            "DEVELOPMENT system: it takes proofs under development powers of tau, which ANYBODY CAN FORGE, and the account \
             that deploys adds verifiers without a vote. Nothing of value may depend on it",
        );
    }
    // Development powers have a canary that anybody can prove: it shows how, and is no loss where nothing has value. For real
    // use the powers are named, or the first canary takes a vote.
    let canary = match &args.srs {
        None if !parameters.development => {
            app.output.warn(
                "no canary is named: until a vote names one, nobody can stop a broken setup by proof; pass the powers of tau \
                 with --srs",
            );
            None
        }
        file => Some(super::govern::canary_key(app, file.as_deref())?),
    };
    let progress = Progress::start(&app.output, "deploy", 0.0);
    let mut done = 0;
    let mut step = |name: &str| {
        progress.set(name, done, STEPS as u64);
        done += 1;
    };
    Ok(deploy(chain, &parameters, canary.as_deref(), allow, &mut step)?)
}

/// Tokens for the first accounts of a development chain.
fn gifts(deployed: &Deployed, chain: &mut dyn Chain) -> Outcome<()> {
    let at = &deployed.deployment;
    if !is_local(at.chain_id) || chain.sender() != Some(at.parameters.genesis_holder) {
        return Ok(());
    }
    for account in Embedded::ACCOUNTS.into_iter().filter(|a| *a != at.deployer) {
        at.token().transfer(chain, account, amount::whole(GIFT))?;
    }
    Ok(())
}

fn write(app: &App, args: &Up, deployed: &Deployed) -> Outcome<()> {
    if args.deployment.exists() {
        app.output.warn(format!("'{}' was there and is replaced", args.deployment.display()));
    }
    files::write(&args.deployment, deployed.deployment.to_json().as_bytes())
}

fn report(app: &App, args: &Up, deployed: &Deployed, url: Option<&str>) -> Outcome<()> {
    let o = &app.output;
    let at = &deployed.deployment;
    let mut rows = vec![["contract", "address", "gas", "bytes"].map(str::to_owned).to_vec()];
    for c in &deployed.created {
        let cells = [c.name.as_str().to_owned(), c.address.to_string(), count(c.gas_used), count(c.code_bytes as u64)];
        rows.push(cells.to_vec());
    }
    let gas: u64 = deployed.created.iter().map(|c| c.gas_used).sum::<u64>() + deployed.wiring_gas;
    o.answer(table(&rows));
    o.say(format!("  roles and hand-over {} gas, {} in all", count(deployed.wiring_gas), count(gas)));
    let p = &at.parameters;
    o.say(format!(
        "supply   {} of at most {}, held by {}",
        units::shown(p.genesis_amount),
        units::shown(p.cap),
        p.genesis_holder
    ));
    o.say(format!(
        "epochs   of {}; fee {} for 10^9 multiply-adds",
        units::span(u64::from(p.epoch_seconds)),
        units::shown(p.fee_per_billion_units)
    ));
    if let Some(c) = at.canary {
        o.say(format!("canary   {} of powers {}", c.settlement_id, c.srs_hash));
    }
    if let Some(url) = url {
        let file = args.deployment.display();
        o.say(format!("wrote    {file}"));
        o.say("");
        o.say("next, in another terminal:");
        if is_local(at.chain_id) {
            o.say(format!(
                "  export ASSAY_PRIVATE_KEY=0x{}   # the first development account: public knowledge",
                anvil::PRIVATE_KEY
            ));
        }
        let tail =
            if args.deployment == Path::new(DEPLOYMENT_FILE) { String::new() } else { format!(" --deployment {file}") };
        o.say(format!("  assay model register MODEL --rpc {url}{tail}"));
        o.say(format!("  assay job post MODEL INPUT --max-price 2 --rpc {url}{tail}"));
        o.say(format!("  assay worker MODEL --rpc {url}{tail}"));
    }
    o.result(json!({
        "chain_id": at.chain_id,
        "rpc": url,
        "deployment": url.map(|_| args.deployment.display().to_string()),
        "deployer": at.deployer.to_string(),
        "development": p.development,
        "contracts": deployed.created.iter().map(|c| (c.name.as_str().to_owned(), json!({
            "address": c.address.to_string(), "gas": c.gas_used, "bytes": c.code_bytes,
        }))).collect::<serde_json::Map<String, Value>>(),
        "canary": at.canary.map(|c| c.settlement_id.to_string()),
        "wiring_gas": deployed.wiring_gas,
        "gas": gas,
        "gift": url.filter(|_| is_local(at.chain_id)).map(|_| U256::from(amount::whole(GIFT)).to_string()),
    }));
    Ok(())
}
