//! The lease was taken, and the worker was not told: it is its own, and must not be lost.

use crate::support::{World, gift, part, proxy::Fault};
use assay_contracts::economy::abi::JobMarket;

/// Loses the answer to the lease, and everything that could tell of it, for so many questions.
fn lose_the_lease(w: &World, questions: usize) {
    let mut lost = None;
    w.proxy.rule(move |a| {
        if a.sends::<JobMarket::leaseCall>() {
            lost = lost.or(Some(questions));
            return Fault::DropAnswer;
        }
        match &mut lost {
            Some(left) if *left > 0 && a.is("eth_getTransactionReceipt") => {
                *left -= 1;
                Fault::DropRequest
            }
            _ => Fault::None,
        }
    });
}

#[test]
fn a_lease_whose_answer_got_lost_is_found_by_its_payout() {
    let w = World::new("lease-answer-lost");
    w.post(&[]);
    lose_the_lease(&w, 1_000);
    let mut worker = w.worker(1, &["--once", "--receipt-timeout", "2s"]);
    worker.wait_for("node_trouble");
    // Not the trouble that there may have been before.
    while w.counts().0 == 0 {
        worker.wait_for("node_trouble");
    }
    w.proxy.honest();
    let (code, result) = worker.ends();
    assert_eq!((code, result["jobs_paid"].as_u64()), (0, Some(1)), "{result}");
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}

#[test]
fn it_is_found_by_the_next_start_too() {
    let w = World::new("lease-answer-lost-crash");
    w.post(&[]);
    lose_the_lease(&w, 1_000);
    let mut worker = w.worker(1, &["--receipt-timeout", "1m"]);
    worker.wait_for("started");
    w.until("a lease is taken", || w.counts().0 == 1);
    worker.kill();
    assert!(worker.said("leased").is_empty());
    w.proxy.honest();
    let mut worker = w.worker(1, &["--once"]);
    worker.wait_for("resumed");
    assert_eq!(worker.ends().0, 0);
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}
