//! Chains: the embedded EVM, or a node and the account that pays.

use crate::{
    App,
    error::{Failure, Outcome},
    flow::timed,
    output::count,
    settlement::{self, Prepared, Settled, parse_hex},
};
use assay_contracts::{
    Address, B256, Chain, Embedded, Measured, Registered, Rpc, RpcOptions, Signer, Submitted, Verifier,
    guard_development,
};
use assay_verifier::settle::key::Context;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Which chain, and who pays.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Chain")]
pub(crate) struct ChainArgs {
    /// Address of a JSON-RPC node [default: an EVM inside of this program, gone when it ends]
    #[arg(long, value_name = "URL")]
    pub(crate) rpc: Option<String>,
    /// Refuse a node on another chain than this one
    #[arg(long, value_name = "ID")]
    pub(crate) expect_chain: Option<u64>,
    /// Keystore file of the account that pays [default: the key in ASSAY_PRIVATE_KEY]; its password is in
    /// ASSAY_KEYSTORE_PASSWORD or in --password-file
    #[arg(long, value_name = "FILE")]
    pub(crate) keystore: Option<PathBuf>,
    /// File with the keystore's password
    #[arg(long, value_name = "FILE", requires = "keystore")]
    pub(crate) password_file: Option<PathBuf>,
    /// Let development powers of tau onto a chain that is not local: ANYBODY CAN FORGE PROOFS there
    #[arg(long)]
    pub(crate) allow_insecure_development_srs: bool,
}

impl ChainArgs {
    /// Connects. Without a signer nothing can be sent.
    pub(crate) fn connect(&self, sends: bool) -> Outcome<Box<dyn Chain>> {
        self.connect_with(sends, |_| {})
    }

    /// As [`connect`](Self::connect), with a node that is talked to in another way.
    pub(crate) fn connect_with(&self, sends: bool, change: impl FnOnce(&mut RpcOptions)) -> Outcome<Box<dyn Chain>> {
        let Some(url) = &self.rpc else {
            return Ok(Box::new(Embedded::new()));
        };
        let signer = match &self.keystore {
            // Reading needs no account: what is wrong with one that is not used is no matter.
            _ if !sends => Signer::from_environment().unwrap_or(None),
            Some(path) => Some(Signer::from_keystore(path, self.password_file.as_deref())?),
            None => Signer::from_environment()?,
        };
        if sends && signer.is_none() {
            return Err(Failure::new("a transaction needs an account that pays for it")
                .help("set ASSAY_PRIVATE_KEY, or pass --keystore FILE"));
        }
        let mut options = RpcOptions { chain_id: self.expect_chain, ..RpcOptions::new(url.clone()) };
        change(&mut options);
        Ok(Box::new(Rpc::connect(options, signer)?))
    }

    pub(crate) fn guard(&self, chain: &dyn Chain, development: bool) -> Outcome<()> {
        Ok(guard_development(chain.chain_id(), development, self.allow_insecure_development_srs)?)
    }
}

/// An address in hexadecimal.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    parse_hex::<20>(text)
        .map(Address::from)
        .ok_or_else(|| "expected an address: 0x and 40 hexadecimal digits".to_owned())
}

/// What a transaction costs, for programs.
pub(crate) fn measured_json(m: &Measured) -> Value {
    json!({
        "gas": m.gas_used,
        "calldata_bytes": m.calldata_bytes,
        "calldata_gas": m.calldata_gas,
        "contract_bytes": m.contract_bytes,
    })
}

/// A fresh chain with the contract on it: proofs are bound to its address before they are made.
pub(crate) struct Local {
    chain: Embedded,
    verifier: Verifier,
    deployed: Measured,
}

/// What became of a proof on the embedded EVM.
pub(crate) struct OnChain {
    pub(crate) deployed: Measured,
    pub(crate) registered: Registered,
    pub(crate) submitted: Submitted,
    pub(crate) seconds: f64,
}

impl Local {
    pub(crate) fn deploy() -> Outcome<Self> {
        let mut chain = Embedded::new();
        let (verifier, deployed) = Verifier::deploy(&mut chain, true)?;
        Ok(Self { chain, verifier, deployed })
    }

    /// A context for [`Self::submit`].
    pub(crate) fn context(&self, job: [u8; 32]) -> Context {
        Context {
            chain_id: self.chain.chain_id(),
            consumer: self.verifier.address().into_array(),
            job,
            recipient: Embedded::ACCOUNT.into_array(),
        }
    }

    /// Registers the key and submits the proof.
    pub(crate) fn submit(mut self, prepared: &Prepared, settled: &Settled) -> Outcome<OnChain> {
        let key = prepared.prover.key.descriptor.to_bytes();
        let proof = &settled.proof;
        let (submitted, seconds) = timed(|| {
            let registered = self.verifier.register(&mut self.chain, &key)?;
            let submitted = self.verifier.submit(
                &mut self.chain,
                registered.model_id,
                &proof.public,
                B256::from(proof.context.job),
                Address::from(proof.context.recipient),
                &proof.argument,
            )?;
            Ok::<_, assay_contracts::Error>((registered, submitted))
        });
        let (registered, submitted) = submitted?;
        Ok(OnChain { deployed: self.deployed, registered, submitted, seconds })
    }
}

/// Says what the contract did.
pub(crate) fn say(app: &App, c: &OnChain) {
    let o = &app.output;
    let m = &c.submitted.transaction.measured;
    o.say(format!(
        "chain   accepted by the contract on the embedded EVM: {} gas, {} bytes of calldata; contract {} bytes",
        count(m.gas_used),
        count(m.calldata_bytes as u64),
        count(m.contract_bytes as u64)
    ));
    let register = c.registered.transaction.map_or(0, |t| t.measured.gas_used);
    o.say(format!(
        "        once: {} gas to deploy, {} gas to register the model",
        count(c.deployed.gas_used),
        count(register)
    ));
}

/// Adds the contract's verdict to a result.
pub(crate) fn add_json(result: &mut Value, c: &OnChain) {
    let m = &c.submitted.transaction.measured;
    result["gas"] = json!(m.gas_used);
    result["calldata_bytes"] = json!(m.calldata_bytes);
    result["calldata_gas"] = json!(m.calldata_gas);
    result["contract_bytes"] = json!(m.contract_bytes);
    result["deploy_gas"] = json!(c.deployed.gas_used);
    result["register_gas"] = json!(c.registered.transaction.map(|t| t.measured.gas_used));
    result["chain_seconds"] = json!(c.seconds);
    result["accepted"] = json!(true);
}

/// Puts the fields of one object into another.
pub(crate) fn merge(result: &mut Value, more: Value) {
    if let (Some(target), Value::Object(fields)) = (result.as_object_mut(), more) {
        target.extend(fields);
    }
}

/// The fields of settlement and contract.
pub(crate) fn settled_json(result: &mut Value, prepared: &Prepared, settled: &Settled, c: &OnChain) {
    merge(result, settlement::json(prepared, settled));
    add_json(result, c);
}
