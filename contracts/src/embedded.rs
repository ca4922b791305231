//! An EVM in this process: no node, no keys, the same result every time.

use crate::{
    Error,
    abi::Revert,
    chain::{Block, Call, Chain, Event, Filter, Head, MAX_EVENTS, Receipt, TRANSACTION_GAS},
};
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, address, keccak256};
use revm::{
    Context, Database, DatabaseCommit, ExecuteEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{EVMError, ExecResultAndState, ExecutionResult, HaltReason, InvalidTransaction},
    },
    database::InMemoryDB,
    primitives::hardfork::SpecId,
    state::{AccountInfo, EvmState},
};
use std::time::Duration;

const CHAIN_ID: u64 = 31337;
const PLACE: &str = "the embedded EVM";
/// Wei in the default account: ten thousand ether.
const FUNDS: u128 = 10_000 * 1_000_000_000_000_000_000;
/// Seconds of the first block, and between blocks.
const GENESIS: u64 = 1_700_000_000;
const BLOCK_SECONDS: u64 = 12;
/// Gas of a block; a transaction gets no more than [`TRANSACTION_GAS`] of it.
const BLOCK_GAS: u64 = 30_000_000;

/// An EVM in memory under the rules of Osaka: chain 31337, one block per transaction, gas metered as on mainnet but
/// free.
#[derive(Debug)]
pub struct Embedded {
    db: InMemoryDB,
    sender: Address,
    block: u64,
    /// Time of the last block.
    now: u64,
    events: Vec<Event>,
    /// Times of all blocks.
    times: Vec<u64>,
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl Embedded {
    /// The account transactions come from unless another is set: the first one of development tools.
    pub const ACCOUNT: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

    /// The accounts that have funds: the first ones of development tools.
    pub const ACCOUNTS: [Address; 6] = [
        Self::ACCOUNT,
        address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
        address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
        address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
    ];

    /// A chain with nothing on it but the funded [`ACCOUNTS`](Self::ACCOUNTS).
    pub fn new() -> Self {
        let mut db = InMemoryDB::default();
        for account in Self::ACCOUNTS {
            db.insert_account_info(account, AccountInfo::from_balance(U256::from(FUNDS)));
        }
        Self { db, sender: Self::ACCOUNT, block: 0, now: GENESIS, events: Vec::new(), times: vec![GENESIS] }
    }

    /// Lets time pass: the next block comes this many seconds later than it would.
    pub fn advance(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(seconds);
    }

    /// Sends what follows from another account. Gas is free, so it needs no funds.
    pub fn set_sender(&mut self, sender: Address) {
        self.sender = sender;
    }

    /// Puts code at an address without running anything, as no transaction could.
    pub fn set_code(&mut self, address: Address, code: Bytes) {
        let info = self.account(address).with_code(Bytecode::new_raw(code));
        self.db.insert_account_info(address, info);
    }

    fn account(&mut self, address: Address) -> AccountInfo {
        let Ok(info) = self.db.basic(address);
        info.unwrap_or_default()
    }

    fn execute(&mut self, call: &Call) -> Result<ExecResultAndState<ExecutionResult, EvmState>, Error> {
        let sender = self.account(self.sender);
        let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
        cfg.chain_id = CHAIN_ID;
        let number = self.block + 1;
        let block = BlockEnv {
            number: U256::from(number),
            timestamp: U256::from(self.now + BLOCK_SECONDS),
            gas_limit: BLOCK_GAS,
            ..BlockEnv::default()
        };
        let tx = TxEnv {
            caller: self.sender,
            gas_limit: call.gas_limit.unwrap_or(TRANSACTION_GAS),
            kind: call.to.map_or(TxKind::Create, TxKind::Call),
            value: call.value,
            data: call.data.clone(),
            nonce: sender.nonce,
            chain_id: Some(CHAIN_ID),
            ..TxEnv::default()
        };
        let mut evm = Context::mainnet().with_db(&mut self.db).with_cfg(cfg).with_block(block).build_mainnet();
        evm.transact(tx).map_err(|e| match e {
            EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { fee, balance }) => {
                Error::InsufficientFunds {
                    account: self.sender,
                    place: PLACE.to_owned(),
                    balance: *balance,
                    needed: *fee,
                }
            }
            EVMError::Transaction(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            ) if call.gas_limit.is_none() => Error::GasLimit { place: PLACE.to_owned(), limit: TRANSACTION_GAS },
            e => Error::Rejected { place: PLACE.to_owned(), reason: e.to_string() },
        })
    }
}

/// Why an execution did not succeed; nothing if it did.
fn failure(result: &ExecutionResult) -> Option<Revert> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { output, .. } => Some(Revert::decode(output)),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => Some(Revert::Halted("out of gas".to_owned())),
        ExecutionResult::Halt { reason, .. } => Some(Revert::Halted(reason.to_string())),
    }
}

fn reverted(call: &Call, revert: Revert) -> Error {
    Error::Reverted { action: call.action(), address: call.address(), place: PLACE.to_owned(), revert }
}

impl Embedded {
    /// As [`Chain::gas`], but for the least that calldata is charged: what a call takes as a part of another transaction.
    pub(crate) fn gas_above_floor(&mut self, call: &Call) -> Result<u64, Error> {
        let result = self.execute(call)?.result;
        match failure(&result) {
            Some(revert) => Err(reverted(call, revert)),
            None => Ok(result.gas().spent_sub_refunded()),
        }
    }
}

impl Chain for Embedded {
    fn chain_id(&self) -> u64 {
        CHAIN_ID
    }

    fn place(&self) -> &str {
        PLACE
    }

    fn sender(&self) -> Option<Address> {
        Some(self.sender)
    }

    fn send(&mut self, call: &Call) -> Result<Receipt, Error> {
        let ExecResultAndState { result, state } = self.execute(call)?;
        let revert = failure(&result);
        if let (Some(revert), None) = (&revert, call.gas_limit) {
            return Err(reverted(call, revert.clone()));
        }
        self.db.commit(state);
        self.block += 1;
        self.now += BLOCK_SECONDS;
        self.times.push(self.now);
        let logs = if revert.is_none() { result.logs().to_vec() } else { Vec::new() };
        let hash = keccak256(self.block.to_be_bytes());
        let event = |(index, log): (usize, &Log)| Event {
            block: self.block,
            transaction: hash,
            index: index as u64,
            log: log.clone(),
        };
        self.events.extend(logs.iter().enumerate().map(event));
        let block = self.block;
        Ok(Receipt { hash, block, gas_used: result.tx_gas_used(), created: result.created_address(), logs, revert })
    }

    fn call(&mut self, call: &Call) -> Result<Bytes, Error> {
        let result = self.execute(call)?.result;
        match failure(&result) {
            Some(revert) => Err(reverted(call, revert)),
            None => Ok(result.into_output().unwrap_or_default()),
        }
    }

    fn gas(&mut self, call: &Call) -> Result<u64, Error> {
        let result = self.execute(call)?.result;
        match failure(&result) {
            Some(revert) => Err(reverted(call, revert)),
            None => Ok(result.tx_gas_used()),
        }
    }

    fn balance(&mut self, account: Address) -> Result<U256, Error> {
        Ok(self.account(account).balance)
    }

    fn code(&mut self, address: Address) -> Result<Bytes, Error> {
        let info = self.account(address);
        let Ok(code) = self.db.code_by_hash(info.code_hash);
        Ok(if info.code_hash == B256::ZERO { Bytes::new() } else { code.original_bytes() })
    }

    fn nonce(&mut self, account: Address) -> Result<u64, Error> {
        Ok(self.account(account).nonce)
    }

    fn head(&mut self) -> Result<Head, Error> {
        Ok(Head { number: self.block, timestamp: self.now })
    }

    fn block(&mut self, number: u64) -> Result<Option<Block>, Error> {
        let timestamp = usize::try_from(number).ok().and_then(|n| self.times.get(n)).copied();
        Ok(timestamp.map(|timestamp| Block { number, timestamp, hash: keccak256(number.to_be_bytes()) }))
    }

    fn next_timestamp(&mut self) -> Result<Option<u64>, Error> {
        Ok(Some(self.now + BLOCK_SECONDS))
    }

    fn gas_price(&mut self) -> Result<u128, Error> {
        Ok(0)
    }

    /// Every transaction is included at once.
    fn withdraw_after(&mut self, _: Option<Duration>) {}

    fn events(&mut self, filter: &Filter) -> Result<Vec<Event>, Error> {
        let range = filter.from..=filter.to;
        let found: Vec<Event> =
            self.events.iter().filter(|e| range.contains(&e.block) && filter.matches(&e.log)).cloned().collect();
        if found.len() > MAX_EVENTS {
            return Err(Error::TooManyEvents { place: PLACE.to_owned(), limit: MAX_EVENTS });
        }
        Ok(found)
    }
}
