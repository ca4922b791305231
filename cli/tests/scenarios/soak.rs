//! Everything at once: three workers, a node that restarts and reorganises twice, one worker killed. Nothing is lost, nothing
//! paid twice, and no bond lost.
//!
//! The suite does it with few jobs; all of it is `ASSAY_SOAK_JOBS=40 cargo test --workspace --all-features
//! --test scenarios soak`.

use crate::support::{PATIENCE, World, gift, part};
use assay_contracts::{
    Address, U256,
    economy::{Status, abi::JobMarket},
};
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

#[test]
fn three_workers_in_bad_weather() {
    let jobs: u64 = std::env::var("ASSAY_SOAK_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(9);
    let mut w = World::new("soak");
    w.post(&["--count", &jobs.to_string(), "--lease", "30m"]);
    let more = ["--confirmations", "3", "--receipt-timeout", "20s", "--raise-after", "5s"];
    let mut first = w.worker(1, &more);
    let others = [w.worker(2, &more), w.worker(3, &more)];
    let done = |w: &World| {
        let mut chain = w.client(0);
        (1..=jobs).filter(|id| w.at.market().job(&mut chain, *id).is_ok_and(|j| j.status == Status::Fulfilled)).count()
            as u64
    };
    let start = Instant::now();
    let until = |w: &World, n: u64| {
        while done(w) < n {
            assert!(start.elapsed() < PATIENCE * 5, "{} of {jobs} are done", done(w));
            thread::sleep(Duration::from_millis(200));
        }
    };
    first.wait_for("proving");
    thread::sleep(Duration::from_millis(300));
    first.kill();
    let again = w.worker(1, &more);
    for part in 1..=2 {
        until(&w, jobs * part / 4);
        w.reorganise(2);
        until(&w, jobs * part / 3);
        w.stop_node();
        thread::sleep(Duration::from_secs(1));
        w.start_node();
        // What was there before a restart cannot be reorganised.
        w.mine(3, 1);
    }
    until(&w, jobs);
    // Payments become final when blocks are on top of them; what a reorganisation took is paid by then.
    w.mine(4, 1);
    thread::sleep(Duration::from_secs(2));
    until(&w, jobs);
    drop((again, others));

    let (_, lost, paid) = w.counts();
    assert_eq!((lost, paid as u64), (0, jobs));
    let who: BTreeMap<U256, Address> = w.events::<JobMarket::Fulfilled>().iter().map(|e| (e.jobId, e.payout)).collect();
    assert_eq!(who.len() as u64, jobs);
    let mut all = 0;
    for i in 1..=3 {
        let done = who.values().filter(|a| **a == crate::support::account(i)).count();
        all += done;
        println!("worker {i} did {done} jobs");
        assert_eq!(w.worth(i), gift() + part() * U256::from(done), "worker {i}");
    }
    assert_eq!(all as u64, jobs);
}
