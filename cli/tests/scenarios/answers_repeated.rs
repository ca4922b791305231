//! A node that gets every transaction twice, and answers to the second: "already known", "nonce too low". And one that takes
//! its time.

use crate::support::{World, gift, part, proxy::Fault};
use std::time::Duration;

#[test]
fn transactions_that_are_delivered_twice_happen_once() {
    let w = World::new("answers-repeated");
    w.post(&[]);
    w.proxy.rule(|a| match a.method.as_str() {
        "eth_sendRawTransaction" => Fault::Repeat,
        "eth_getTransactionReceipt" => Fault::Delay(Duration::from_millis(300)),
        _ => Fault::None,
    });
    let mut worker = w.worker(1, &["--once"]);
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}
