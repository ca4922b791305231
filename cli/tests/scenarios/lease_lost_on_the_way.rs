//! A lease that never reached the node, or reached it and comes out of its pool an hour later: nobody would prove for it.

use crate::support::{
    World, gift, once, part,
    proxy::{Fault, ask},
};
use assay_contracts::economy::abi::JobMarket;
use serde_json::json;
use std::sync::{Arc, Mutex};

#[test]
fn a_forgotten_lease_cannot_be_taken_later() {
    let w = World::new("lease-lost-on-the-way");
    w.post(&[]);
    let kept: Arc<Mutex<Option<String>>> = Arc::default();
    let raw = kept.clone();
    w.proxy.rule(move |a| {
        let mut kept = raw.lock().unwrap();
        if kept.is_none() && a.sends::<JobMarket::leaseCall>() {
            *kept = Some(a.params[0].as_str().unwrap().to_owned());
        }
        // The first form is kept back; none of the others arrives, nor a withdrawal.
        if kept.is_some() && a.is("eth_sendRawTransaction") { Fault::DropRequest } else { Fault::None }
    });
    let mut worker = w.worker(1, &["--receipt-timeout", "2s"]);
    w.until("the lease is kept back", || kept.lock().unwrap().is_some());
    // Not the trouble that there may have been before.
    worker.said("node_trouble");
    worker.wait_for("node_trouble");
    w.proxy.honest();
    assert_eq!(worker.wait_for("not_leased")["job_ids"][0].as_u64(), Some(1));
    // Its number is used: what was kept back is worth nothing now.
    let raw = kept.lock().unwrap().clone().unwrap();
    let again = std::panic::catch_unwind(|| ask(&w.node_url(), "eth_sendRawTransaction", &json!([raw])));
    assert!(again.is_err(), "the node took the old lease");
    worker.wait_for("paid");
    worker.kill();
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}

#[test]
fn a_crash_before_the_lease_was_sent_costs_nothing() {
    let w = World::new("lease-never-sent");
    w.post(&[]);
    w.proxy.rule(once(|a| a.sends::<JobMarket::leaseCall>(), || Fault::DropRequest));
    let mut worker = w.worker(1, &["--receipt-timeout", "1m"]);
    worker.wait_for("started");
    w.until("a lease is sent", || !w.proxy.seen(|a| a.sends::<JobMarket::leaseCall>()).is_empty());
    worker.kill();
    let mut worker = w.worker(1, &["--once"]);
    assert_eq!(worker.ends().0, 0);
    assert_eq!((w.counts().1, w.counts().2), (0, 1));
    assert_eq!(w.worth(1), gift() + part());
}
