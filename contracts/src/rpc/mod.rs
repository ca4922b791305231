//! A JSON-RPC node.

mod endpoint;
mod events;
mod http;
mod relay;
mod wire;

pub use relay::{BlockTag, LogFilter, Never, Question, Relay, ViewCall};

use crate::{
    Error, Signer,
    abi::{Revert, printable},
    chain::{Call, Chain, Event, Filter, Head, Receipt, TRANSACTION_GAS},
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxLegacy, transaction::RlpEcdsaEncodableTx};
use alloy_json_rpc::{ErrorPayload, RpcError, RpcRecv, RpcSend};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_rpc_client::RpcClient;
use alloy_transport::TransportErrorKind;
use endpoint::Endpoint;
use http::Http;
use std::{
    fmt,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Handle, Runtime};
use wire::{FeeHistory, NodeBlock, NodeReceipt, Request};

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
}

impl RpcOptions {
    /// The node at an address: any chain, 30 s for an answer, 180 s for a transaction, 500 gwei per gas.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            chain_id: None,
            request_timeout: Duration::from_secs(30),
            receipt_timeout: Duration::from_secs(180),
            max_fee_per_gas: 500 * GWEI,
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

/// What a transaction offers for gas.
enum Fee {
    /// Priority fee and most in total, wei per gas.
    Dynamic(u128, u128),
    /// Before EIP-1559.
    Legacy(u128),
}

impl Fee {
    fn most(&self) -> u128 {
        match self {
            Self::Dynamic(_, most) | Self::Legacy(most) => *most,
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

    fn quantity(&self, what: &str, value: U256) -> Result<u128, Error> {
        u128::try_from(value).map_err(|_| self.bad(&format!("its {what} is out of all proportion")))
    }

    fn estimate(&self, call: &Call) -> Result<u64, Error> {
        let gas: U256 = self.run("eth_estimateGas", (self.request_of(call),), call)?;
        u64::try_from(gas).map_err(|_| self.bad("its gas estimate is out of all proportion"))
    }

    /// The price of the next block with room for it to double, within the limit.
    fn fee(&self) -> Result<Fee, Error> {
        let history: Result<FeeHistory, Error> =
            self.ask("eth_feeHistory", (U256::from(1), "latest", Vec::<u8>::new()));
        let base = match history {
            Ok(history) => history.base_fee_per_gas.last().copied().unwrap_or_default(),
            Err(Error::Refused { .. }) => U256::ZERO,
            Err(e) => return Err(e),
        };
        let base = self.quantity("base fee", base)?;
        let fee = if base == 0 {
            Fee::Legacy(self.quantity("gas price", self.ask("eth_gasPrice", ())?)?)
        } else {
            let tip = match self.ask("eth_maxPriorityFeePerGas", ()) {
                Ok(tip) => self.quantity("priority fee", tip)?,
                Err(Error::Refused { code: METHOD_NOT_FOUND, .. }) => GWEI,
                Err(e) => return Err(e),
            };
            Fee::Dynamic(tip, base.saturating_mul(2).saturating_add(tip))
        };
        let limit = self.options.max_fee_per_gas;
        match fee {
            // Room to double is given up before the transaction is.
            Fee::Dynamic(tip, most) if most > limit && base.saturating_add(tip) <= limit => {
                Ok(Fee::Dynamic(tip, limit))
            }
            fee if fee.most() > limit => Err(Error::FeeTooHigh { endpoint: self.shown(), asked: fee.most(), limit }),
            fee => Ok(fee),
        }
    }

    /// Signs a transaction; gives its bytes.
    fn sign(&self, signer: &Signer, call: &Call, gas_limit: u64, nonce: u64, fee: &Fee) -> Result<Vec<u8>, Error> {
        let to = call.to.map_or(TxKind::Create, TxKind::Call);
        let (value, input) = (call.value, call.data.clone());
        let mut out = Vec::new();
        match *fee {
            Fee::Dynamic(max_priority_fee_per_gas, max_fee_per_gas) => {
                let tx = TxEip1559 {
                    chain_id: self.chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list: Default::default(),
                    input,
                };
                tx.eip2718_encode(&signer.sign(&tx.signature_hash())?, &mut out);
            }
            Fee::Legacy(gas_price) => {
                let tx = TxLegacy { chain_id: Some(self.chain_id), nonce, gas_price, gas_limit, to, value, input };
                tx.eip2718_encode(&signer.sign(&tx.signature_hash())?, &mut out);
            }
        }
        Ok(out)
    }

    /// Waits for a receipt. Questions that fail are asked again until the time is over: the transaction is under way.
    fn wait(&self, hash: B256) -> Result<NodeReceipt, Error> {
        let started = Instant::now();
        let limit = self.options.receipt_timeout;
        let mut wait = FIRST_WAIT;
        loop {
            let last = match self.ask::<_, Option<NodeReceipt>>("eth_getTransactionReceipt", (hash,)) {
                Ok(Some(receipt)) if receipt.transaction_hash == hash => return Ok(receipt),
                Ok(Some(_)) => Some(self.bad("it sends the receipt of another transaction")),
                Ok(None) => None,
                Err(e) => Some(e),
            };
            if started.elapsed() + wait > limit {
                let (endpoint, seconds) = (self.shown(), limit.as_secs());
                return Err(Error::Pending { hash, endpoint, seconds, last: last.map(Box::new) });
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    /// Why a transaction of the chain failed, found by running it again after its block.
    fn reason(&self, call: &Call, gas_limit: u64, block: U256) -> Revert {
        let request = Request { gas: Some(U256::from(gas_limit)), ..self.request_of(call) };
        match self.run::<_, Bytes>("eth_call", (request, block), call) {
            Err(Error::Reverted { revert, .. }) => revert,
            _ => Revert::Halted("it fails no more when it is run again".to_owned()),
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
        let Some(signer) = &self.signer else { return Err(Error::NoSigner { place: self.place.clone() }) };
        let account = signer.address();
        let gas_limit = match call.gas_limit {
            Some(limit) => limit,
            None => {
                let gas = self.estimate(call)?;
                // Other transactions may come first and make this one dearer.
                let more = gas.saturating_add(gas / 8);
                if gas <= TRANSACTION_GAS { more.min(TRANSACTION_GAS) } else { more }
            }
        };
        let fee = self.fee()?;
        let needed = (U256::from(gas_limit) * U256::from(fee.most())).saturating_add(call.value);
        let balance: U256 = self.ask("eth_getBalance", (account, "latest"))?;
        if balance < needed {
            return Err(Error::InsufficientFunds { account, place: self.place.clone(), balance, needed });
        }
        let nonce: U256 = self.ask("eth_getTransactionCount", (account, "pending"))?;
        let nonce = u64::try_from(nonce).map_err(|_| self.bad("its transaction count is out of all proportion"))?;
        let bytes = self.sign(signer, call, gas_limit, nonce, &fee)?;
        let hash = keccak256(&bytes);
        match self.ask::<_, B256>("eth_sendRawTransaction", (Bytes::from(bytes),)) {
            Ok(_) => {}
            Err(e @ Error::Refused { .. }) => return Err(e),
            Err(e) => return Err(Error::Unsure { hash, reason: Box::new(e) }),
        }
        let receipt = self.wait(hash)?;
        let gas_used = u64::try_from(receipt.gas_used).map_err(|_| self.bad("the receipt has no sensible gas"))?;
        let success = match receipt.status {
            Some(status) if status == U256::ZERO => false,
            Some(status) if status == U256::from(1) => true,
            _ => return Err(self.bad("the receipt has no status")),
        };
        let created = (success && call.to.is_none()).then(|| account.create(nonce));
        if created.is_some() && receipt.contract_address != created {
            return Err(self.bad("the receipt names another contract than the transaction creates"));
        }
        let revert = (!success).then(|| self.reason(call, gas_limit, receipt.block_number));
        Ok(Receipt { hash, gas_used, created, logs: receipt.logs.into_iter().map(Into::into).collect(), revert })
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
        let small = |n: U256| u64::try_from(n).map_err(|_| self.bad("its newest block is out of all proportion"));
        Ok(Head { number: small(block.number)?, timestamp: small(block.timestamp)? })
    }

    fn events(&mut self, filter: &Filter) -> Result<Vec<Event>, Error> {
        events::events(self, filter)
    }
}
