//! Reading questions from elsewhere, passed on to a node: eight methods, each with the one form of parameters that is
//! needed, so that nothing can be sent, simulated with another state, or traced through it.

use super::{RpcOptions, endpoint::Endpoint, http::Http};
use crate::{Error, abi::printable};
use alloy_json_rpc::{Id, Request, RequestPacket, ResponsePacket, ResponsePayload};
use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What may be asked. As in JSON-RPC, with `method` and `params`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "method", content = "params")]
pub enum Question {
    /// Which chain.
    #[serde(rename = "eth_chainId")]
    ChainId(),
    /// The number of the last block.
    #[serde(rename = "eth_blockNumber")]
    BlockNumber(),
    /// A block without its transactions: the second parameter must be false.
    #[serde(rename = "eth_getBlockByNumber")]
    Block(BlockTag, Never),
    /// A call that changes nothing.
    #[serde(rename = "eth_call")]
    Call(ViewCall, BlockTag),
    /// Events.
    #[serde(rename = "eth_getLogs")]
    Logs((LogFilter,)),
    /// What became of a transaction.
    #[serde(rename = "eth_getTransactionReceipt")]
    Receipt((B256,)),
    /// What was sent: receiver and calldata, among the rest.
    #[serde(rename = "eth_getTransactionByHash")]
    Transaction((B256,)),
    /// The code of a contract.
    #[serde(rename = "eth_getCode")]
    Code(Address, BlockTag),
}

impl Question {
    /// Its name in JSON-RPC.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::ChainId() => "eth_chainId",
            Self::BlockNumber() => "eth_blockNumber",
            Self::Block(..) => "eth_getBlockByNumber",
            Self::Call(..) => "eth_call",
            Self::Logs(_) => "eth_getLogs",
            Self::Receipt(_) => "eth_getTransactionReceipt",
            Self::Transaction(_) => "eth_getTransactionByHash",
            Self::Code(..) => "eth_getCode",
        }
    }
}

/// A call of a contract: no sender, value, gas or state of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ViewCall {
    to: Address,
    data: Bytes,
}

/// Which events: of some contracts, in a range of blocks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogFilter {
    address: Vec<Address>,
    from_block: BlockTag,
    to_block: BlockTag,
    #[serde(default)]
    topics: Vec<Option<B256>>,
}

/// `latest` or a number in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct BlockTag(String);

impl TryFrom<String> for BlockTag {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_prefix("0x").unwrap_or_default();
        let number = (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if number || text == "latest" { Ok(Self(text)) } else { Err("a block is \"latest\" or a number as 0x...") }
    }
}

/// The value false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct Never;

impl TryFrom<bool> for Never {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value { Err("only false is taken here") } else { Ok(Self) }
    }
}

impl From<Never> for bool {
    fn from(_: Never) -> Self {
        false
    }
}

/// A node that only answers [`Question`]s. To be used inside of an asynchronous runtime.
pub struct Relay {
    http: Http,
    endpoint: Endpoint,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Relay {
    /// The node at an address; nothing is asked yet. Of the options only the address and the time for an answer matter.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] and [`Error::Setup`].
    pub fn new(options: &RpcOptions) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(&options.url)?;
        let http = Http::new(endpoint.clone(), options.request_timeout)?;
        Ok(Self { http, endpoint })
    }

    /// Its address without anything secret.
    pub fn endpoint(&self) -> &str {
        self.endpoint.shown()
    }

    /// One question and its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the node answers with an error, which for a call is mostly a revert, or what went wrong on
    /// the way.
    pub async fn ask(&self, question: &Question) -> Result<Value, Error> {
        let bad = |what: String| Error::BadAnswer { endpoint: self.endpoint().to_owned(), what: printable(&what) };
        let method = question.method();
        let mut fields = serde_json::to_value(question).map_err(|e| bad(e.to_string()))?;
        let params = fields.get_mut("params").map(Value::take).unwrap_or_default();
        let request = Request::new(method, Id::Number(1), params).serialize().map_err(|e| bad(e.to_string()))?;
        let ResponsePacket::Single(response) = self.http.clone().request(RequestPacket::Single(request)).await? else {
            return Err(bad("it answers many requests".to_owned()));
        };
        match response.payload {
            ResponsePayload::Success(value) => serde_json::from_str(value.get()).map_err(|e| bad(e.to_string())),
            ResponsePayload::Failure(e) => Err(Error::Refused {
                endpoint: self.endpoint().to_owned(),
                method,
                code: e.code,
                message: printable(&e.message),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn question(method: &str, params: Value) -> Option<Question> {
        let q = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        serde_json::from_value(q).ok()
    }

    #[test]
    fn what_is_asked_goes_on_unchanged() {
        let (to, hash) = (format!("0x{}", "ab".repeat(20)), format!("0x{}", "cd".repeat(32)));
        for (method, params) in [
            ("eth_chainId", json!([])),
            ("eth_blockNumber", json!([])),
            ("eth_getBlockByNumber", json!(["0x1f", false])),
            ("eth_call", json!([{ "to": to, "data": "0x01020304" }, "latest"])),
            (
                "eth_getLogs",
                json!([{ "address": [to], "fromBlock": "0x0", "toBlock": "latest", "topics": [null, hash] }]),
            ),
            ("eth_getTransactionReceipt", json!([hash])),
            ("eth_getTransactionByHash", json!([hash])),
            ("eth_getCode", json!([to, "latest"])),
        ] {
            let q = question(method, params.clone()).expect(method);
            assert_eq!(q.method(), method);
            assert_eq!(serde_json::to_value(&q).expect(method), json!({ "method": method, "params": params }));
        }
    }

    #[test]
    fn nothing_else_can_be_asked() {
        let to = format!("0x{}", "ab".repeat(20));
        for (method, params) in [
            ("eth_sendRawTransaction", json!(["0x00"])),
            ("eth_accounts", json!([])),
            ("anvil_setBalance", json!([to, "0x1"])),
            ("debug_traceCall", json!([{ "to": to, "data": "0x" }, "latest"])),
            ("eth_chainId", json!([1])),
            ("eth_getBlockByNumber", json!(["latest", true])),
            ("eth_getBlockByNumber", json!(["pending", false])),
            ("eth_getBlockByNumber", json!(["0x", false])),
            ("eth_call", json!([{ "to": to, "data": "0x" }])),
            ("eth_call", json!([{ "to": to, "data": "0x", "from": to }, "latest"])),
            ("eth_call", json!([{ "to": to, "data": "0x" }, "latest", {}])),
            ("eth_call", json!([{ "data": "0x" }, "latest"])),
            ("eth_getLogs", json!([{ "address": [], "blockHash": "0x0" }])),
            ("eth_getTransactionReceipt", json!(["0x1234"])),
            ("eth_getTransactionByHash", json!(["0x1234"])),
            ("eth_getCode", json!([to])),
            ("eth_getCode", json!([to, "pending"])),
            ("eth_getStorageAt", json!([to, "0x0", "latest"])),
        ] {
            assert_eq!(question(method, params.clone()), None, "{method} {params}");
        }
    }
}
