//! A worker that was down until its lease was over has a proof, and nobody else has done the job.

use crate::{
    common::KEYS,
    support::{World, account, bond, gift, part, proxy::Fault},
};
use assay_contracts::economy::abi::JobMarket;

/// A worker whose proof does not get through, killed.
fn held_up(w: &mut World) {
    w.proxy.rule(|a| if a.sends::<JobMarket::fulfilCall>() { Fault::DropRequest } else { Fault::None });
    let mut worker = w.worker(1, &[]);
    worker.wait_for("proven");
    worker.kill();
    w.another_proxy();
}

#[test]
fn a_late_proof_brings_the_price_and_half_of_the_bond() {
    let mut w = World::new("late-worker-rescued");
    w.post(&["--lease", "15m"]);
    held_up(&mut w);
    w.pass(901);
    let mut worker = w.worker(1, &["--once"]);
    worker.wait_for("resumed");
    assert_eq!(worker.wait_for("paid")["late"], true);
    assert_eq!(worker.ends().0, 0);
    assert_eq!(w.counts(), (1, 1, 1));
    assert_eq!(w.worth(1), gift() + part() - bond() / assay_contracts::U256::from(2));
}

#[test]
fn it_waits_for_the_end_of_the_next_lease() {
    let mut w = World::new("late-worker-waits");
    let id = w.post(&["--lease", "15m"])[0].to_string();
    held_up(&mut w);
    w.pass(901);
    // Somebody leases it, and does nothing.
    w.s.key = Some(KEYS[2]);
    w.json(&["job", "lease", &id]);
    w.s.key = Some(KEYS[0]);
    let mut worker = w.worker(1, &["--once"]);
    worker.wait_for("started");
    w.only(&mut worker, "gave_up", 0);
    assert!(worker.said("paid").is_empty());
    w.pass(901);
    assert_eq!(worker.wait_for("paid")["job_ids"][0].to_string(), id);
    assert_eq!(w.counts(), (2, 2, 1));
    assert_eq!(w.job(id.parse().unwrap()).payout, account(1));
}
