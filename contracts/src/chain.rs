//! What a chain does for its users, and which chains are play money.

use crate::{Error, abi::Revert};
use alloy_primitives::{Address, B256, Bytes, Log, U256};
use std::time::Duration;

/// A message to a contract, or the creation of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The contract; none creates one.
    pub to: Option<Address>,
    /// Calldata, or creation code with its arguments.
    pub data: Bytes,
    /// Wei sent along.
    pub value: U256,
    /// Gas limit. Without one, a transaction that would revert is not sent.
    pub gas_limit: Option<u64>,
}

impl Call {
    /// A call without value, with the gas it needs.
    pub fn new(to: Address, data: impl Into<Bytes>) -> Self {
        Self { to: Some(to), data: data.into(), value: U256::ZERO, gas_limit: None }
    }

    /// The creation of a contract.
    pub fn create(data: impl Into<Bytes>) -> Self {
        Self { to: None, data: data.into(), value: U256::ZERO, gas_limit: None }
    }

    /// The address in error messages: zero for a creation.
    pub(crate) fn address(&self) -> Address {
        self.to.unwrap_or_default()
    }

    /// What is being done, in error messages.
    pub(crate) fn action(&self) -> &'static str {
        if self.to.is_some() { "a call" } else { "the deployment" }
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its identity. The embedded EVM has no signatures; there it is a hash of the transaction's number.
    pub hash: B256,
    /// The block that has it.
    pub block: u64,
    /// Gas charged.
    pub gas_used: u64,
    /// The contract it created.
    pub created: Option<Address>,
    /// Events, in order.
    pub logs: Vec<Log>,
    /// Why it failed, if it did.
    pub revert: Option<Revert>,
}

impl Receipt {
    /// The receipt of a transaction that did not fail.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with the reason.
    pub fn success(self, place: &str) -> Result<Self, Error> {
        match self.revert {
            None => Ok(self),
            Some(revert) => {
                Err(Error::Failed { hash: self.hash, place: place.to_owned(), revert, gas_used: self.gas_used })
            }
        }
    }
}

/// A block, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
}

/// A block that may be asked for by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
    /// Its identity, with which all blocks before it are fixed.
    pub hash: B256,
}

/// Which events are asked for: those of one contract in a range of blocks, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The contract.
    pub address: Address,
    /// The first block.
    pub from: u64,
    /// The last block.
    pub to: u64,
    /// What each topic must be; the first is the event's signature. None is anything.
    pub topics: Vec<Option<B256>>,
}

impl Filter {
    /// Whether a log is among those asked for, the blocks aside.
    pub fn matches(&self, log: &Log) -> bool {
        let topics = log.data.topics();
        let fits = |(i, wanted): (usize, &Option<B256>)| wanted.is_none_or(|w| topics.get(i) == Some(&w));
        log.address == self.address && self.topics.iter().enumerate().all(fits)
    }
}

/// An event and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: B256,
    /// Its position among all events of the block.
    pub index: u64,
    /// What was written.
    pub log: Log,
}

/// Most events of one question.
pub const MAX_EVENTS: usize = 1 << 17;

/// Where contracts run. Every method blocks until it has its answer.
pub trait Chain {
    /// EIP-155 chain identity.
    fn chain_id(&self) -> u64;

    /// The chain in words, for messages.
    fn place(&self) -> &str;

    /// The account transactions are sent from, if there is one.
    fn sender(&self) -> Option<Address>;

    /// Sends a transaction and waits until it is part of the chain.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if it would fail and [`Call::gas_limit`] is not set: it is not sent then. A transaction that
    /// fails on the chain is a receipt with [`Receipt::revert`]. Otherwise what went wrong on the way.
    fn send(&mut self, call: &Call) -> Result<Receipt, Error>;

    /// Runs a call without changing anything and gives what it returns. An account without code returns nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] with the reason, or what went wrong on the way.
    fn call(&mut self, call: &Call) -> Result<Bytes, Error>;

    /// Gas that a transaction takes. Exact on the embedded EVM; on a node its estimate, which is enough and may be more
    /// than is charged.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    fn gas(&mut self, call: &Call) -> Result<u64, Error>;

    /// Wei an account has.
    ///
    /// # Errors
    ///
    /// What went wrong on the way.
    fn balance(&mut self, account: Address) -> Result<U256, Error>;

    /// The code at an address; empty if there is no contract.
    ///
    /// # Errors
    ///
    /// What went wrong on the way.
    fn code(&mut self, address: Address) -> Result<Bytes, Error>;

    /// The number of transactions an account has sent.
    ///
    /// # Errors
    ///
    /// What went wrong on the way.
    fn nonce(&mut self, account: Address) -> Result<u64, Error>;

    /// The newest block.
    ///
    /// # Errors
    ///
    /// What went wrong on the way.
    fn head(&mut self) -> Result<Head, Error>;

    /// A block; none if the chain is not that long.
    ///
    /// # Errors
    ///
    /// What went wrong on the way.
    fn block(&mut self, number: u64) -> Result<Option<Block>, Error>;

    /// The time that the next block would have if it were made now; none if the node does not say. Later than the newest
    /// block's, and far later on a chain that makes blocks only when there is something in them.
    ///
    /// # Errors
    ///
    /// What went wrong on the way.
    fn next_timestamp(&mut self) -> Result<Option<u64>, Error>;

    /// What a transaction pays for gas at most if it is sent now, in wei per gas.
    ///
    /// # Errors
    ///
    /// [`Error::FeeTooHigh`], or what went wrong on the way.
    fn gas_price(&mut self) -> Result<u128, Error>;

    /// Transactions that are sent from now on and are not included after so long are replaced by ones that do nothing, if
    /// the chain can do that: they fail with [`Error::Withdrawn`] and have no effect later. None waits and raises the fee
    /// only.
    fn withdraw_after(&mut self, limit: Option<Duration>);

    /// Events in the order of the chain. A range that is too much for a node is asked for in parts.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyEvents`] for more than [`MAX_EVENTS`], or what went wrong on the way.
    fn events(&mut self, filter: &Filter) -> Result<Vec<Event>, Error>;
}

/// Most gas a transaction may ask for since EIP-7825.
pub const TRANSACTION_GAS: u64 = 1 << 24;

/// Gas of a transaction that does nothing.
pub const BASE_GAS: u64 = 21_000;

/// Gas charged for calldata: 4 per zero byte and 16 per other byte (EIP-2028).
pub fn calldata_gas(data: &[u8]) -> u64 {
    data.iter().map(|&b| if b == 0 { 4 } else { 16 }).sum()
}

/// The least gas a transaction with this calldata is charged: [`BASE_GAS`], and 10 per zero byte and 40 per other byte
/// (EIP-7623).
pub fn calldata_floor(data: &[u8]) -> u64 {
    BASE_GAS + data.iter().map(|&b| if b == 0 { 10 } else { 40 }).sum::<u64>()
}

/// Chains of development tools, where nothing is at stake.
pub const fn is_local(chain_id: u64) -> bool {
    matches!(chain_id, 31337 | 1337)
}

/// Refuses development powers of tau on a chain that is not local, unless that is allowed.
///
/// # Errors
///
/// [`Error::DevelopmentSrs`], which names the flag that allows it.
pub const fn guard_development(chain_id: u64, development: bool, allow: bool) -> Result<(), Error> {
    if development && !allow && !is_local(chain_id) { Err(Error::DevelopmentSrs { chain_id }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn development_powers_stay_on_local_chains() {
        for (chain, development, allow, passes) in [
            (31337, true, false, true),
            (1337, true, false, true),
            (1, true, false, false),
            (11155111, true, false, false),
            (0, true, false, false),
            (31338, true, false, false),
            (1, true, true, true),
            (1, false, false, true),
        ] {
            assert_eq!(guard_development(chain, development, allow).is_ok(), passes, "{chain} {development} {allow}");
        }
        let message = guard_development(1, true, false).expect_err("refused").to_string();
        assert!(message.contains("--allow-insecure-development-srs") && message.contains("chain 1 "), "{message}");
    }

    #[test]
    fn calldata_prices() {
        assert_eq!(calldata_gas(&[0, 0, 1]), 24);
        assert_eq!(calldata_floor(&[0, 0, 1]), 21_060);
        assert_eq!(calldata_floor(&[]), 21_000);
    }
}
