//! A node that answers from a list: events and results of calls, encoded by alloy from the contracts' own interfaces.

use alloy_primitives::{Address, B256, Bytes, U256, hex::encode_prefixed as hex, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

pub(crate) mod sol {
    #![allow(missing_docs, clippy::pub_underscore_fields, clippy::too_many_arguments, unreachable_pub)]

    use alloy_sol_types::sol;

    sol!("../contracts/sol/economy/IDatasetRegistry.sol");
    sol!("../contracts/sol/economy/IEmissionController.sol");
    sol!("../contracts/sol/economy/IJobMarket.sol");
    sol!("../contracts/sol/economy/ILedger.sol");
    sol!("../contracts/sol/economy/IModelRegistry.sol");
    sol!("../contracts/sol/economy/IVerifierRegistry.sol");
    sol! {
        interface IToken {
            event Transfer(address indexed from, address indexed to, uint256 value);
            function totalSupply() external view returns (uint256);
            function cap() external view returns (uint256);
            function symbol() external view returns (string memory);
            function decimals() external view returns (uint8);
        }
        interface IVerifier {
            function acceptsDevelopmentSrs() external view returns (bool);
            function keyOf(bytes32 modelId) external view returns (address);
        }
    }
}

/// What the chain is like.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) block: u64,
    pub(crate) time: u64,
    /// Distinguishes histories.
    pub(crate) history: u64,
    logs: Vec<Value>,
    results: HashMap<(Address, Vec<u8>), Vec<u8>>,
    receipts: HashMap<B256, Value>,
    sent: HashMap<B256, (Address, Vec<u8>)>,
    codes: HashMap<Address, Vec<u8>>,
    /// More blocks than this in one question for events are refused.
    pub(crate) most_blocks: Option<u64>,
    /// Everything that was asked.
    pub(crate) asked: Vec<String>,
}

impl World {
    pub(crate) fn new(block: u64) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self { block, time, ..Self::default() }
    }

    pub(crate) fn event(&mut self, at: Address, block: u64, event: &impl SolEvent) -> B256 {
        self.event_in(at, block, keccak256(format!("transaction {}", self.logs.len())), event)
    }

    pub(crate) fn event_in(&mut self, at: Address, block: u64, transaction: B256, event: &impl SolEvent) -> B256 {
        let data = event.encode_log_data();
        self.raw(at, block, transaction, data.topics().to_vec(), data.data.clone());
        transaction
    }

    pub(crate) fn raw(&mut self, at: Address, block: u64, transaction: B256, topics: Vec<B256>, data: Bytes) {
        self.logs.push(json!({
            "address": at,
            "blockNumber": format!("{block:#x}"),
            "logIndex": format!("{:#x}", self.logs.len()),
            "transactionHash": transaction,
            "topics": topics,
            "data": data,
            "removed": false,
        }));
        let gas = 400_000 + 1000 * self.logs.len();
        self.receipts.insert(
            transaction,
            json!({ "transactionHash": transaction, "blockNumber": format!("{block:#x}"), "gasUsed": format!("{gas:#x}") }),
        );
    }

    pub(crate) fn result<C: SolCall>(&mut self, at: Address, call: &C, result: &C::Return) {
        self.results.insert((at, call.abi_encode()), C::abi_encode_returns(result));
    }

    pub(crate) fn raw_result<C: SolCall>(&mut self, at: Address, call: &C, result: &[u8]) {
        self.results.insert((at, call.abi_encode()), result.to_vec());
    }

    /// What a transaction was: a call of a contract.
    pub(crate) fn send(&mut self, transaction: B256, to: Address, call: &impl SolCall) {
        self.sent.insert(transaction, (to, call.abi_encode()));
    }

    pub(crate) fn code(&mut self, at: Address, code: Vec<u8>) {
        self.codes.insert(at, code);
    }

    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, (i64, String)> {
        self.asked.push(method.to_owned());
        let number = |v: &Value| -> u64 {
            let text = v.as_str().unwrap_or_default();
            u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(self.block)
        };
        match method {
            "eth_chainId" => Ok(json!("0x7a69")),
            "eth_blockNumber" => Ok(json!(format!("{:#x}", self.block))),
            "eth_getBlockByNumber" => {
                let n = number(&params[0]);
                // A chain that took another turn, and is shorter now, has no such block.
                let Some(behind) = self.block.checked_sub(n) else { return Ok(Value::Null) };
                let hash = keccak256(format!("block {n} of {}", self.history));
                let time = self.time - 12 * behind;
                Ok(json!({ "number": format!("{n:#x}"), "timestamp": format!("{time:#x}"), "hash": hash }))
            }
            "eth_call" => {
                let to: Address = serde_json::from_value(params[0]["to"].clone()).unwrap();
                let data: Bytes = serde_json::from_value(params[0]["data"].clone()).unwrap();
                let result = self.results.get(&(to, data.to_vec()));
                result.map(|r| json!(Bytes::copy_from_slice(r))).ok_or((3, "execution reverted".to_owned()))
            }
            "eth_getLogs" => {
                let filter = &params[0];
                let (from, to) = (number(&filter["fromBlock"]), number(&filter["toBlock"]));
                if self.most_blocks.is_some_and(|most| to.saturating_sub(from) >= most) {
                    return Err((-32005, "query exceeds the range of blocks".to_owned()));
                }
                let fits = |log: &&Value| {
                    let block = number(&log["blockNumber"]);
                    let topics = filter["topics"].as_array().unwrap();
                    (from..=to).contains(&block)
                        && filter["address"].as_array().unwrap().contains(&log["address"])
                        && topics.iter().enumerate().all(|(i, t)| t.is_null() || *t == log["topics"][i])
                };
                Ok(self.logs.iter().filter(fits).cloned().collect())
            }
            "eth_getTransactionReceipt" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                Ok(self.receipts.get(&hash).cloned().unwrap_or_default())
            }
            "eth_getTransactionByHash" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                let sent = self.sent.get(&hash);
                Ok(sent.map_or(Value::Null, |(to, input)| json!({ "hash": hash, "to": to, "input": hex(input) })))
            }
            "eth_getCode" => {
                let at: Address = serde_json::from_value(params[0].clone()).unwrap();
                Ok(json!(hex(self.codes.get(&at).map_or(&[][..], Vec::as_slice))))
            }
            _ => Err((-32601, format!("unknown method {method}"))),
        }
    }
}

/// The node of a world.
pub(crate) struct Stub {
    pub(crate) url: String,
    pub(crate) world: Arc<Mutex<World>>,
    /// While set, connections are cut.
    pub(crate) down: Arc<AtomicBool>,
}

impl Stub {
    pub(crate) fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let this = Self { url, world: Arc::new(Mutex::new(world)), down: Arc::default() };
        let (world, down) = (Arc::clone(&this.world), Arc::clone(&this.down));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if down.load(Ordering::SeqCst) {
                    let _ = stream.shutdown(Shutdown::Both);
                    continue;
                }
                let world = Arc::clone(&world);
                thread::spawn(move || serve(stream, &world));
            }
        });
        this
    }
}

fn serve(mut stream: TcpStream, world: &Mutex<World>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request: Value = serde_json::from_slice(&body).ok()?;
    let mut answer = json!({ "jsonrpc": "2.0", "id": request["id"] });
    match world.lock().ok()?.answer(request["method"].as_str()?, &request["params"]) {
        Ok(result) => answer["result"] = result,
        Err((code, message)) => answer["error"] = json!({ "code": code, "message": message }),
    }
    let body = answer.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).ok()
}

/// An amount of whole tokens, in thousandths.
pub(crate) fn milli(n: u64) -> u128 {
    u128::from(n) * 1_000_000_000_000_000
}

pub(crate) fn wide(n: u128) -> U256 {
    U256::from(n)
}
