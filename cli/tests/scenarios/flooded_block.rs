//! Blocks that are full of other people's transactions, which offer more: what the worker sends does not fit until it offers more
//! than they do.

use crate::support::{
    World, account, gift, part,
    proxy::{Fault, ask},
};
use assay_contracts::economy::abi::JobMarket;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// The most gas of one transaction.
const MOST: u64 = 1 << 24;
/// What the others offer to whoever makes the block: three times what a node recommends.
const TIP: u64 = 3_000_000_000;
/// Less gas than any transaction takes.
const LEFT: u64 = 20_000;
/// A contract that burns all the gas that it gets: JUMPDEST, PUSH0, JUMP.
const BURNER: &str = "0x00000000000000000000000000000000000b0b0b";

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Fills one block with transactions of others, and makes it; whether nothing else was in it.
fn flood(node: &str) -> bool {
    let latest = ask(node, "eth_getBlockByNumber", &json!(["latest", false]));
    let mut room = number(&latest["gasLimit"]) - LEFT;
    let most = 2 * number(&latest["baseFeePerGas"]) + TIP;
    let mut sent = 0;
    while room > 0 {
        // The last one must not be too small to be sent at all.
        let gas = if room > MOST && room < MOST + 50_000 { room / 2 } else { room.min(MOST) };
        let call = json!([{
            "from": account(3).to_string(), "to": BURNER, "gas": format!("0x{gas:x}"),
            "maxFeePerGas": format!("0x{most:x}"), "maxPriorityFeePerGas": format!("0x{TIP:x}"),
        }]);
        ask(node, "eth_sendTransaction", &call);
        (room, sent) = (room - gas, sent + 1);
    }
    // Gas gets no dearer by it: a proof that takes long would be one that no offer brings in.
    ask(node, "anvil_setNextBlockBaseFeePerGas", &json!([latest["baseFeePerGas"]]));
    ask(node, "evm_mine", &json!([]));
    let made = ask(node, "eth_getBlockByNumber", &json!(["latest", false]));
    made["transactions"].as_array().unwrap().len() == sent
        && number(&made["gasUsed"]) + LEFT == number(&made["gasLimit"])
}

#[test]
fn a_higher_offer_gets_in_where_blocks_are_full() {
    let w = World::new("flooded-block");
    let node = w.node_url();
    w.node("anvil_setCode", &json!([BURNER, "0x5b5f56"]));
    w.node("anvil_setBalance", &json!([account(3).to_string(), "0xd3c21bcecceda1000000"]));
    w.post(&["--lease", "30m", "--deadline", "1h"]);
    // From the first lease that is sent on, every block is full. A second form of it waits until the first was left out of two.
    let (flooding, over, full) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (begin, left_out, at) = (flooding.clone(), full.clone(), node.clone());
    let mut first = None;
    w.proxy.rule(move |a| {
        if !a.sends::<JobMarket::leaseCall>() {
            return Fault::None;
        }
        if first.is_none() {
            first = Some(a.params[0].clone());
            ask(&at, "evm_setAutomine", &json!([false]));
            begin.store(true, SeqCst);
        } else if first.as_ref() != Some(&a.params[0]) {
            let since = Instant::now();
            while left_out.load(SeqCst) < 2 && since.elapsed() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(50));
            }
        }
        Fault::None
    });
    let others = {
        let (flooding, over, full) = (flooding.clone(), over.clone(), full.clone());
        thread::spawn(move || {
            while !over.load(SeqCst) {
                if flooding.load(SeqCst) {
                    full.fetch_add(u64::from(flood(&node)), SeqCst);
                }
                thread::sleep(Duration::from_millis(700));
            }
        })
    };
    let terms = ["--jobs", "1", "--raise-after", "1s", "--receipt-timeout", "4m", "--withdraw-at", "1000"];
    let mut worker = w.worker(1, &terms);
    worker.wait_for("leased");
    worker.wait_for("paid");
    over.store(true, SeqCst);
    others.join().unwrap();
    drop(worker);
    w.node("evm_setAutomine", &json!([true]));
    // A withdrawal may be on its way: between two questions the money must not move from one answer to the other.
    w.node("evm_mine", &json!([]));
    let start = Instant::now();
    while w.worth(1) != gift() + part() && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(300));
    }
    // The lease was sent in several forms, each dearer than the last, and one of them was included. By the time of the proof the
    // node may recommend what the others offer.
    let leases: BTreeSet<String> = w
        .proxy
        .seen(|a| a.sends::<JobMarket::leaseCall>())
        .iter()
        .map(|a| a.params[0].as_str().unwrap().to_owned())
        .collect();
    assert!(leases.len() >= 2, "the first form of the lease got in");
    assert!(full.load(SeqCst) >= 2, "only {} blocks were full of others", full.load(SeqCst));
    assert_eq!((w.counts(), w.worth(1)), ((1, 0, 1), gift() + part()));
}
