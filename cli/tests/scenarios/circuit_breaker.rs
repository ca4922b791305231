//! A machine that has become too slow loses bond after bond: it stops, says why, and stays stopped until a person has looked.

use crate::support::{World, proxy::Fault};
use assay_contracts::economy::{Status, abi::JobMarket};

#[test]
fn after_lost_bonds_no_lease_is_taken() {
    let mut w = World::new("circuit-breaker");
    let jobs = w.post(&["--count", "2", "--lease", "15m"]);
    w.proxy.rule(|a| if a.sends::<JobMarket::fulfilCall>() { Fault::DropRequest } else { Fault::None });
    let limit = ["--max-failures", "1"];
    let mut worker = w.worker(1, &limit);
    let first = worker.wait_for("proven")["job_ids"][0].as_u64().unwrap();
    worker.kill();
    w.another_proxy();
    w.pass(901);

    // Paid, but late: half of the bond is gone.
    let mut worker = w.worker(1, &limit);
    let (code, last) = worker.ends();
    assert_eq!(worker.said("paid")[0]["late"], true);
    assert!(worker.said("breaker")[0]["failures"] == 1, "{:?}", worker.seen);
    assert_eq!(code, 2);
    assert!(last["error"].as_str().unwrap().contains("stopped after 1 failure"), "{last}");
    assert!(last["help"].as_str().unwrap().contains("--reset-failures"), "{last}");
    let other = *jobs.iter().find(|id| **id != first).unwrap();
    assert_eq!(w.job(other).status, Status::Open);
    assert_eq!(w.counts(), (1, 1, 1));

    // A supervisor that starts it again does not burn another bond.
    let mut worker = w.worker(1, &limit);
    assert_eq!(worker.ends().0, 2);
    assert_eq!(w.counts(), (1, 1, 1));
    let mut worker = w.worker(1, &["--max-failures", "1", "--reset-failures", "--once"]);
    assert_eq!(worker.ends().0, 0);
    assert_eq!(w.counts(), (2, 1, 2));
}
