//! Postings by the thousand: in place of the market, for a moment, code that writes events like its own.

use super::{PATIENCE, World};
use assay_contracts::{
    B256, Bytes, U256,
    economy::{Spec, abi::JobMarket, time},
    sol_types::SolEvent,
};
use serde_json::json;
use std::{
    thread,
    time::{Duration, Instant},
};

/// Writes the events of so many jobs that were posted for a verifier and are over, so many to a block.
pub(crate) fn post_old(w: &World, verifier: B256, blocks: u64, each: u64) {
    let market = w.at.contracts.market.to_string();
    let code = w.node("eth_getCode", &json!([market, "latest"]));
    let event = JobMarket::Posted {
        jobId: U256::ZERO,
        requester: w.at.deployer,
        verifierId: verifier,
        spec: Spec {
            verifierId: verifier,
            offerId: B256::repeat_byte(1),
            inputCommitment: B256::repeat_byte(2),
            minPrice: 1,
            maxPrice: 2,
            rampStart: time(1),
            rampEnd: time(2),
            deadline: time(3),
            leaseSeconds: 60,
            bond: 1,
        },
        workFee: 1,
        salt: B256::ZERO,
        input: Bytes::new(),
    };
    w.node("anvil_setCode", &json!([market, Bytes::from(writer(each, &event)).to_string()]));
    for block in 0..blocks {
        // Numbers of jobs that no other block has, far above real ones.
        let first = U256::from((1u64 << 40) + block * each);
        let data = [first.to_be_bytes::<32>().to_vec(), event.encode_data()].concat();
        let call = json!({ "from": w.at.deployer.to_string(), "to": market, "data": Bytes::from(data).to_string(),
                           "gas": "0x1c00000" });
        let hash = w.node("eth_sendTransaction", &json!([call]));
        // The code must be there until it has run.
        let start = Instant::now();
        let receipt = loop {
            assert!(start.elapsed() < PATIENCE, "the flood does not fit into a block");
            let receipt = w.node("eth_getTransactionReceipt", &json!([hash]));
            if !receipt.is_null() {
                break receipt;
            }
            thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(
            receipt["logs"].as_array().map(Vec::len),
            Some(usize::try_from(each).unwrap()),
            "{}",
            receipt["status"]
        );
    }
    w.node("anvil_setCode", &json!([market, code]));
}

/// Code that writes `count` events with the data behind the first word of its calldata, numbered from that word on.
fn writer(count: u64, event: &JobMarket::Posted) -> Vec<u8> {
    let mut code = vec![
        // The data to memory: calldatacopy(0, 32, calldatasize - 32).
        0x60, 32, 0x36, 0x03, 0x60, 32, 0x5f, 0x37, // PUSH1 32 CALLDATASIZE SUB PUSH1 32 PUSH0 CALLDATACOPY
        0x5f, // PUSH0: the counter
    ];
    let start = code.len() as u8;
    code.push(0x5b); // JUMPDEST
    // log4(0, size, signature, number, requester, verifier)
    code.push(0x7f);
    code.extend(event.verifierId.as_slice());
    code.push(0x73);
    code.extend(event.requester.as_slice());
    code.extend([0x82, 0x5f, 0x35, 0x01]); // DUP3 (counter) PUSH0 CALLDATALOAD ADD
    code.push(0x7f);
    code.extend(JobMarket::Posted::SIGNATURE_HASH.as_slice());
    code.extend([0x60, 32, 0x36, 0x03, 0x5f, 0xa4]); // PUSH1 32 CALLDATASIZE SUB PUSH0 LOG4
    code.extend([0x60, 1, 0x01]); // counter + 1
    code.push(0x80); // DUP1
    code.push(0x63); // PUSH4 count
    code.extend((count as u32).to_be_bytes());
    code.extend([0x11, 0x60, start, 0x57, 0x00]); // GT (count > counter) PUSH1 start JUMPI STOP
    code
}
