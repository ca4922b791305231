//! A newcomer has no tokens for a bond, and a machine that can prove.

use crate::support::{World, account, gift, part};

#[test]
fn jobs_are_done_without_a_lease() {
    let w = World::new("tokens-missing");
    let mut poor = w.client(1);
    w.at.token().transfer(&mut poor, account(0), gift()).unwrap();
    w.post(&[]);
    let mut worker = w.worker(1, &["--once"]);
    worker.wait_for("unleased");
    assert_eq!(worker.ends().0, 0);
    assert_eq!(w.counts(), (0, 0, 1));
    assert_eq!(w.worth(1), part());
    // What the first job brought is the bond of the next; exactly that is approved.
    w.post(&["--count", "2"]);
    let mut worker = w.worker(1, &["--jobs", "2"]);
    worker.wait_for("leased");
    assert_eq!(worker.ends().0, 0);
    assert_eq!(w.counts(), (2, 0, 3));
    let market = w.at.contracts.market;
    assert!(w.at.token().allowance(&mut w.client(1), account(1), market).unwrap().is_zero());
}

#[test]
fn unless_that_is_not_wanted() {
    let w = World::new("tokens-missing-leases-only");
    let mut poor = w.client(1);
    w.at.token().transfer(&mut poor, account(0), gift()).unwrap();
    w.post(&[]);
    let mut worker = w.worker(1, &["--leases-only"]);
    while !worker.wait_for("warning")["message"].as_str().unwrap().contains("send it tokens") {}
    w.only(&mut worker, "proving", 0);
}
