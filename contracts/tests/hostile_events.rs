//! Events of nodes that refuse, lie or talk nonsense.

mod support;

use assay_contracts::{Address, B256, Chain, Error, Filter, Rpc, RpcOptions};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use support::{Asked, Reply, Server, error, result};

const CONTRACT: Address = Address::repeat_byte(7);
const TOPIC: B256 = B256::repeat_byte(9);

fn filter(from: u64, to: u64) -> Filter {
    Filter { address: CONTRACT, from, to, topics: vec![Some(TOPIC), None] }
}

/// An event of a block, as a node sends it.
fn event(block: u64, index: u64) -> Value {
    json!({
        "address": CONTRACT, "topics": [TOPIC, B256::ZERO], "data": "0x01", "removed": false,
        "blockNumber": format!("{block:#x}"), "logIndex": format!("{index:#x}"), "transactionHash": B256::repeat_byte(1),
    })
}

/// A node that answers questions for events; `answer` is given the blocks.
fn node(answer: impl Fn(&Asked, u64, u64) -> Reply + Send + Sync + 'static) -> (Server, Rpc) {
    let server = Server::new(move |asked| match asked.method.as_str() {
        "eth_getLogs" => {
            let block = |name: &str| {
                let text = asked.params[0][name].as_str().expect("a block");
                u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a number")
            };
            answer(asked, block("fromBlock"), block("toBlock"))
        }
        _ => result(&asked.id, "\"0x1\""),
    });
    let rpc = Rpc::connect(RpcOptions::new(&server.url), None).expect("a node");
    (server, rpc)
}

#[test]
fn a_range_that_is_refused_is_asked_for_in_parts() {
    let asked_for = Arc::new(AtomicUsize::new(0));
    let count = asked_for.clone();
    let (_server, mut rpc) = node(move |asked, from, to| {
        count.fetch_add(1, Ordering::SeqCst);
        if to - from >= 100 {
            return error(&asked.id, r#"{"code":-32005,"message":"query exceeds max block range 100"}"#);
        }
        let events: Vec<Value> = (from..=to).filter(|b| b % 50 == 0).map(|b| event(b, 0)).collect();
        result(&asked.id, &json!(events).to_string())
    });
    let events = rpc.events(&filter(0, 1_000)).expect("events");
    assert_eq!(events.iter().map(|e| e.block).collect::<Vec<_>>(), (0..=20).map(|i| i * 50).collect::<Vec<_>>());
    assert!(asked_for.load(Ordering::SeqCst) < 60, "{asked_for:?}");
}

#[test]
fn a_node_that_refuses_everything_is_left_alone() {
    let asked_for = Arc::new(AtomicUsize::new(0));
    let count = asked_for.clone();
    let (_server, mut rpc) = node(move |asked, _, _| {
        count.fetch_add(1, Ordering::SeqCst);
        error(&asked.id, r#"{"code":-32601,"message":"no such method"}"#)
    });
    let e = rpc.events(&filter(0, 1 << 40)).expect_err("refused");
    assert!(matches!(e, Error::Refused { .. }), "{e}");
    assert!(asked_for.load(Ordering::SeqCst) < 30, "{asked_for:?}");
}

#[test]
fn events_that_were_not_asked_for_are_no_events() {
    let with = |field: &str, value: Value| {
        let mut e = event(5, 0);
        e[field] = value;
        e
    };
    for bad in [
        with("address", json!(Address::repeat_byte(8))),
        with("topics", json!([B256::ZERO, B256::ZERO])),
        with("topics", json!([])),
        with("blockNumber", json!("0xb")),
        with("blockNumber", json!(format!("0x1{}", "0".repeat(20)))),
        with("blockNumber", Value::Null),
        with("data", json!("0x1")),
        json!("nonsense"),
    ] {
        let text = json!([bad]).to_string();
        let (_server, mut rpc) = node(move |asked, _, _| result(&asked.id, &text));
        let e = rpc.events(&filter(0, 10)).expect_err("refused");
        assert!(matches!(e, Error::BadAnswer { .. }), "{bad}: {e}");
    }
    // Taken back by a reorganisation, out of order, twice.
    let removed = with("removed", json!(true));
    let text = json!([event(6, 1), event(5, 0), removed, event(6, 1)]).to_string();
    let (_server, mut rpc) = node(move |asked, _, _| result(&asked.id, &text));
    let events = rpc.events(&filter(0, 10)).expect("events");
    assert_eq!(events.iter().map(|e| (e.block, e.index)).collect::<Vec<_>>(), [(5, 0), (6, 1)]);
}

#[test]
fn blocks_without_sense_are_refused() {
    for bad in ["null", "{}", r#"{"number":"0x1"}"#, r#"{"number":"0x1ffffffffffffffffff","timestamp":"0x1"}"#] {
        let server = Server::new(move |asked| match asked.method.as_str() {
            "eth_getBlockByNumber" => result(&asked.id, bad),
            _ => result(&asked.id, "\"0x1\""),
        });
        let mut rpc = Rpc::connect(RpcOptions::new(&server.url), None).expect("a node");
        let e = rpc.head().expect_err("refused");
        assert!(matches!(e, Error::BadAnswer { .. }), "{bad}: {e}");
    }
}
