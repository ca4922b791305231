//! A market with a history: more jobs were posted there, long ago, than one question to a node can bring. A worker that starts
//! reads the last days, and starts also when it is told to read everything.

use crate::support::{World, gift, part, proxy::Asked};
use assay_contracts::{
    B256, Bytes, U256,
    economy::{Spec, abi::JobMarket, time},
    sol_types::{SolEvent, SolValue},
};
use serde_json::json;

/// As many events as one question may bring.
const OLD: u64 = 131_072;
/// Events of one transaction, so that it keeps to the gas cap.
const EACH: u64 = 1_024;

/// In the market's place, writes events with rising numbers: `(first, end, signature, verifier, data)`. Real jobs by the hundred
/// thousand would take the node minutes.
const WRITER: &str = "608036038060805f375f355b6060353382604035855fa46001018060203511600b5700";

/// Puts a market's history on the chain: events of jobs that ended long ago, and their count.
fn history(w: &World) {
    let market = w.at.contracts.market.to_string();
    let code = w.node("eth_getCode", &json!([market, "latest"]));
    w.node("anvil_setCode", &json!([market, format!("0x{WRITER}")]));
    let now = w.node("eth_getBlockByNumber", &json!(["latest", false]))["timestamp"].clone();
    let now = u64::from_str_radix(now.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let spec = Spec {
        verifierId: w.verifier(),
        offerId: B256::repeat_byte(1),
        inputCommitment: B256::repeat_byte(2),
        minPrice: 1,
        maxPrice: 1,
        rampStart: time(now),
        rampEnd: time(now),
        deadline: time(now + 3_600),
        leaseSeconds: 60,
        bond: 1,
    };
    let data = (spec, 0_u128, B256::ZERO, Bytes::from(vec![0; 8])).abi_encode_params();
    for first in (1..=OLD).step_by(EACH as usize) {
        let head = (U256::from(first), U256::from(first + EACH), JobMarket::Posted::SIGNATURE_HASH, w.verifier());
        let input: Bytes = [head.abi_encode(), data.clone()].concat().into();
        let from = crate::support::account(5).to_string();
        w.transact(&json!({ "from": from, "to": market, "data": input.to_string(), "gas": "0xffffff" }));
    }
    w.node("anvil_setCode", &json!([market, code]));
    // The first slot: unburned fees, the treasury's share, and in the last 8 bytes the number of jobs.
    let pot = B256::from(U256::from(OLD) << 192);
    w.node("anvil_setStorageAt", &json!([market, "0x0", pot.to_string()]));
    assert_eq!(w.at.market().jobs(&mut w.client(0)), Ok(OLD));
    w.pass(8 * 86_400);
}

#[test]
fn a_worker_starts_where_very_many_jobs_were_posted() {
    let w = World::new("many-old-jobs");
    history(&w);
    let events = w.at.market().posted_for(&mut w.client(0), w.verifier(), w.at.block, w.at.block + 60).unwrap();
    assert!(!events.is_empty() && events.iter().all(|p| p.spec.bond == 1), "the history cannot be read");
    let id = w.post(&[])[0];
    assert_eq!(id, OLD + 1);
    let mut worker = w.worker(1, &["--once"]);
    let started = worker.wait_for("started");
    assert_eq!(worker.wait_for("paid")["job_ids"][0].as_u64(), Some(id));
    assert_eq!(worker.ends().0, 0);
    // It has not read what is older than a week.
    let first = started["from_block"].as_u64().unwrap();
    let logs = |a: &Asked| a.is("eth_getLogs");
    let from = |a: &Asked| u64::from_str_radix(a.params[0]["fromBlock"].as_str().unwrap().trim_start_matches("0x"), 16);
    assert!(first > w.at.block + OLD / EACH && w.proxy.seen(logs).iter().all(|a| from(a).unwrap() >= first));

    // Everything, since it is told to: more than one question can bring, and it gets to the end.
    let id = w.post(&[])[0];
    let mut worker = w.worker(2, &["--once", "--from-block", &w.at.block.to_string()]);
    assert_eq!(worker.wait_for("started")["from_block"].as_u64(), Some(w.at.block));
    assert_eq!(worker.wait_for("paid")["job_ids"][0].as_u64(), Some(id));
    assert_eq!(worker.ends().0, 0);
    assert!(worker.said("passed_over").is_empty());
    assert!(w.proxy.seen(|a| logs(a) && from(a).unwrap() == w.at.block).len() >= 2, "one question brought it all");
    assert_eq!((w.counts(), w.worth(1), w.worth(2)), ((2, 0, 2), gift() + part(), gift() + part()));
}
