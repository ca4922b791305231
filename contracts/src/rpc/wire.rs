//! The parts of JSON-RPC objects that are used here. Nodes of other chains have more fields, and lack some.

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256};
use serde::{Deserialize, Serialize};

/// A call or transaction to be run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Address>,
    pub(super) input: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gas: Option<U256>,
}

/// Base fees of the last block and the one after it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeeHistory {
    #[serde(default)]
    pub(super) base_fee_per_gas: Vec<U256>,
}

/// A receipt.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeReceipt {
    pub(super) transaction_hash: B256,
    pub(super) block_number: U256,
    pub(super) status: Option<U256>,
    pub(super) gas_used: U256,
    pub(super) contract_address: Option<Address>,
    pub(super) logs: Vec<NodeLog>,
}

/// An event.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodeLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

impl From<NodeLog> for Log {
    fn from(log: NodeLog) -> Self {
        Self { address: log.address, data: LogData::new_unchecked(log.topics, log.data) }
    }
}

/// A block.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodeBlock {
    pub(super) number: U256,
    pub(super) timestamp: U256,
    /// A block that is not made yet has none.
    #[serde(default)]
    pub(super) hash: Option<B256>,
}

/// The block that would be made now, whose other fields differ from node to node.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PendingBlock {
    pub(super) timestamp: U256,
}

/// Which events are asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogsRequest {
    pub(super) address: Address,
    pub(super) from_block: U256,
    pub(super) to_block: U256,
    pub(super) topics: Vec<Option<B256>>,
}

/// An event with its place.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeEvent {
    pub(super) block_number: U256,
    pub(super) transaction_hash: B256,
    pub(super) log_index: U256,
    #[serde(default)]
    pub(super) removed: bool,
    #[serde(flatten)]
    pub(super) log: NodeLog,
}
