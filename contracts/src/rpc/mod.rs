//! A JSON-RPC node.

mod endpoint;
mod events;
mod fee;
mod http;
mod relay;
mod sender;
mod web;
mod wire;

pub use relay::{BlockTag, LogFilter, Never, Question, Relay, ViewCall};
pub use web::{WebError, WebFolder};

use crate::{
    Error, Signer,
    abi::{Revert, printable},
    chain::{Block, Call, Chain, Event, Filter, Head, Receipt},
};
use alloy_json_rpc::{ErrorPayload, RpcError, RpcRecv, RpcSend};
use alloy_primitives::{Address, Bytes, U256};
use alloy_rpc_client::RpcClient;
use alloy_transport::TransportErrorKind;
use endpoint::Endpoint;
use http::Http;
use std::{fmt, time::Duration};
use tokio::runtime::{Builder, Handle, Runtime};
use wire::{NodeBlock, PendingBlock, Request};

/// How a node is talked to.
#[derive(Clone)]
pub struct RpcOptions {
    /// Its address, `http` or `https`. It may hold credentials, and is only shown without them.
    pub url: String,
    /// The chain it must be on.
    pub chain_id: Option<u64>,
    /// How long one answer may take.
    pub request_timeout: Duration,
    /// How long a transaction may take to be included.
    pub receipt_timeout: Duration,
    /// Most wei paid per gas. A node that asks for more is refused: what it asks is paid, whether or not it is the
    /// price.
    pub max_fee_per_gas: u128,
    /// How long a transaction waits until it offers more for gas.
    pub raise_after: Duration,
    /// Nothing else sends from this account: what an earlier process left behind, and is not included, is replaced. Else a
    /// transaction waits behind it.
    pub sole_sender: bool,
}

impl RpcOptions {
    /// The node at an address: any chain, 30 s for an answer, 180 s for a transaction, 500 gwei per gas, more is offered
    /// after 40 s.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            chain_id: None,
            request_timeout: Duration::from_secs(30),
            receipt_timeout: Duration::from_secs(180),
            max_fee_per_gas: 500 * GWEI,
            raise_after: Duration::from_secs(40),
            sole_sender: false,
        }
    }
}

impl fmt::Debug for RpcOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Endpoint::parse(&self.url);
        let url = url.as_ref().map_or("(not an address)", |e| e.shown());
        f.debug_struct("RpcOptions")
            .field("url", &url)
            .field("chain_id", &self.chain_id)
            .field("request_timeout", &self.request_timeout)
            .field("receipt_timeout", &self.receipt_timeout)
            .field("max_fee_per_gas", &self.max_fee_per_gas)
            .field("raise_after", &self.raise_after)
            .field("sole_sender", &self.sole_sender)
            .finish()
    }
}

const GWEI: u128 = 1_000_000_000;
/// Waits between questions for a receipt grow from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(2);
/// JSON-RPC: the node does not know the method.
const METHOD_NOT_FOUND: i64 = -32601;

/// A chain behind a JSON-RPC node. With a [`Signer`] it can send transactions; each is waited for.
pub struct Rpc {
    client: RpcClient,
    /// Taken only when this is dropped.
    runtime: Option<Runtime>,
    endpoint: Endpoint,
    place: String,
    options: RpcOptions,
    chain_id: u64,
    signer: Option<Signer>,
    withdraw_after: Option<Duration>,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rpc")
            .field("endpoint", &self.endpoint)
            .field("chain_id", &self.chain_id)
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

impl Drop for Rpc {
    fn drop(&mut self) {
        // A name lookup that hangs would otherwise be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Rpc {
    /// Connects to a node and asks which chain it is on.
    ///
    /// # Errors
    ///
    /// [`Error::Url`], [`Error::WrongChain`], [`Error::InsideRuntime`], or what went wrong with the node.
    pub fn connect(options: RpcOptions, signer: Option<Signer>) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(&options.url)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| Error::Setup(e.to_string()))?;
        let http = Http::new(endpoint.clone(), options.request_timeout)?;
        let mut this = Self {
            client: RpcClient::new(http, endpoint.is_loopback()),
            runtime: Some(runtime),
            place: format!("the node at {}", endpoint.shown()),
            endpoint,
            options,
            chain_id: 0,
            signer,
            withdraw_after: None,
        };
        let found: U256 = this.ask("eth_chainId", ())?;
        let found = u64::try_from(found).map_err(|_| this.bad("its chain id is not a 64-bit number"))?;
        if let Some(expected) = this.options.chain_id
            && expected != found
        {
            return Err(Error::WrongChain { endpoint: this.shown(), expected, found });
        }
        this.chain_id = found;
        this.place = format!("chain {found} ({})", this.endpoint.shown());
        Ok(this)
    }

    fn shown(&self) -> String {
        self.endpoint.shown().to_owned()
    }

    fn small(&self, n: U256) -> Result<u64, Error> {
        u64::try_from(n).map_err(|_| self.bad("a block of it is out of all proportion"))
    }

    fn bad(&self, what: &str) -> Error {
        Error::BadAnswer { endpoint: self.shown(), what: what.to_owned() }
    }

    /// One request and its answer.
    fn raw<P: RpcSend + 'static, R: RpcRecv>(
        &self,
        method: &'static str,
        parameters: P,
    ) -> Result<R, RpcError<TransportErrorKind>> {
        let custom = |e: Error| RpcError::Transport(TransportErrorKind::Custom(Box::new(e)));
        if Handle::try_current().is_ok() {
            return Err(custom(Error::InsideRuntime));
        }
        let runtime = self.runtime.as_ref().ok_or_else(|| custom(Error::InsideRuntime))?;
        runtime.block_on(async { self.client.request(method, parameters).await })
    }

    fn ask<P: RpcSend + 'static, R: RpcRecv>(&self, method: &'static str, parameters: P) -> Result<R, Error> {
        self.raw(method, parameters).map_err(|e| self.explain(method, e))
    }

    fn explain(&self, method: &'static str, e: RpcError<TransportErrorKind>) -> Error {
        match e {
            RpcError::Transport(TransportErrorKind::Custom(e)) => match e.downcast::<Error>() {
                Ok(e) => *e,
                Err(e) => self.bad(&printable(&e.to_string())),
            },
            RpcError::ErrorResp(e) => {
                Error::Refused { endpoint: self.shown(), method, code: e.code, message: printable(&e.message) }
            }
            RpcError::DeserError { err, .. } => {
                self.bad(&format!("what it answers to {method} is of another form ({})", printable(&err.to_string())))
            }
            RpcError::NullResp => self.bad(&format!("it answers nothing to {method}")),
            e => self.bad(&printable(&e.to_string())),
        }
    }

    /// A request that runs code, whose errors may be reverts.
    fn run<P: RpcSend + 'static, R: RpcRecv>(
        &self,
        method: &'static str,
        parameters: P,
        call: &Call,
    ) -> Result<R, Error> {
        self.raw(method, parameters).map_err(|e| match e.as_error_resp().and_then(revert_in) {
            Some(revert) => {
                Error::Reverted { action: call.action(), address: call.address(), place: self.place.clone(), revert }
            }
            None => self.explain(method, e),
        })
    }

    fn request_of(&self, call: &Call) -> Request {
        Request {
            from: self.sender(),
            to: call.to,
            input: call.data.clone(),
            value: (!call.value.is_zero()).then_some(call.value),
            gas: call.gas_limit.map(U256::from),
        }
    }
}

/// The revert behind a node's error, if that is what it is.
fn revert_in(e: &ErrorPayload) -> Option<Revert> {
    if let Some(data) = e.as_revert_data() {
        return Some(Revert::decode(&data));
    }
    let message = e.message.to_lowercase();
    if message.contains("revert") {
        return Some(Revert::Empty);
    }
    let stopped = ["out of gas", "outofgas", "invalid opcode", "invalid jump", "evm error", "stack"];
    stopped.iter().any(|s| message.contains(s)).then(|| Revert::Halted(printable(&e.message)))
}

impl Chain for Rpc {
    fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn sender(&self) -> Option<Address> {
        self.signer.as_ref().map(Signer::address)
    }

    fn send(&mut self, call: &Call) -> Result<Receipt, Error> {
        self.transact(call)
    }

    fn call(&mut self, call: &Call) -> Result<Bytes, Error> {
        self.run("eth_call", (self.request_of(call), "latest"), call)
    }

    fn gas(&mut self, call: &Call) -> Result<u64, Error> {
        self.estimate(call)
    }

    fn balance(&mut self, account: Address) -> Result<U256, Error> {
        self.ask("eth_getBalance", (account, "latest"))
    }

    fn code(&mut self, address: Address) -> Result<Bytes, Error> {
        self.ask("eth_getCode", (address, "latest"))
    }

    fn nonce(&mut self, account: Address) -> Result<u64, Error> {
        let nonce: U256 = self.ask("eth_getTransactionCount", (account, "latest"))?;
        u64::try_from(nonce).map_err(|_| self.bad("its transaction count is out of all proportion"))
    }

    fn head(&mut self) -> Result<Head, Error> {
        let block: NodeBlock = self.ask("eth_getBlockByNumber", ("latest", false))?;
        Ok(Head { number: self.small(block.number)?, timestamp: self.small(block.timestamp)? })
    }

    fn block(&mut self, number: u64) -> Result<Option<Block>, Error> {
        let Some(block): Option<NodeBlock> = self.ask("eth_getBlockByNumber", (U256::from(number), false))? else {
            return Ok(None);
        };
        if block.number != U256::from(number) {
            return Err(self.bad("it sends another block than was asked for"));
        }
        let hash = block.hash.ok_or_else(|| self.bad("a block of the chain has no hash"))?;
        Ok(Some(Block { number, timestamp: self.small(block.timestamp)?, hash }))
    }

    fn next_timestamp(&mut self) -> Result<Option<u64>, Error> {
        match self.ask::<_, Option<PendingBlock>>("eth_getBlockByNumber", ("pending", false)) {
            Ok(block) => block.map(|b| self.small(b.timestamp)).transpose(),
            // Not all nodes know such a block.
            Err(Error::Refused { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn gas_price(&mut self) -> Result<u128, Error> {
        self.fee().map(|f| f.most())
    }

    fn withdraw_after(&mut self, limit: Option<Duration>) {
        self.withdraw_after = limit;
    }

    fn events(&mut self, filter: &Filter) -> Result<Vec<Event>, Error> {
        events::events(self, filter)
    }
}
