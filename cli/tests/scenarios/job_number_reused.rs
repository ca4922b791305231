//! The chain is reorganised, and a job's number stands for another job, whose bond is its price and whose input nobody
//! knows: whoever leases it by its number loses.

use crate::{
    common::digits,
    support::{World, gift, proxy::Fault},
};
use assay_contracts::economy::abi::JobMarket;

#[test]
fn a_job_is_taken_only_when_blocks_are_on_top_of_it() {
    let w = World::new("job-number-reused");
    let depth = ["--depth", "2"];
    let mut worker = w.worker(1, &depth);
    worker.wait_for("started");
    let id = w.post(&[])[0];
    w.only(&mut worker, "leased", 0);
    w.reorganise(1);
    let data = digits();
    let trap = ["job", "post", "model", &data, "--max-price", "2", "--bond", "2", "--private-input", "secret.json"];
    assert_eq!(w.json(&trap)["job_id"].as_u64(), Some(id));
    w.mine(3, 1);
    assert_eq!(worker.wait_for("skipped")["job_id"].as_u64(), Some(id));
    assert_eq!(w.counts().0, 0);
    let fair = w.post(&[])[0];
    w.mine(3, 1);
    assert_eq!(worker.wait_for("leased")["job_ids"][0].as_u64(), Some(fair));
}

#[test]
fn a_lease_that_is_on_another_job_now_is_not_asked_for_again() {
    // As above in the worst moment: between the look at the job and the lease.
    let w = World::new("job-number-reused-late");
    let id = w.post(&[])[0];
    let (node, dir) = (w.node_url(), w.s.dir.clone());
    let requester = w.client(0);
    drop(requester);
    let data = digits();
    let binary = env!("CARGO_BIN_EXE_assay");
    w.proxy.rule(crate::support::once(
        |a| a.is("eth_estimateGas") && a.carries::<JobMarket::leaseCall>(),
        move || {
            crate::support::proxy::ask(&node, "anvil_reorg", &serde_json::json!([2, []]));
            let post =
                ["job", "post", "model", &data, "--max-price", "2", "--bond", "2", "--private-input", "secret.json"];
            let done = std::process::Command::new(binary)
                .args(post)
                .args(["--rpc", &node])
                .current_dir(&dir)
                .env("ASSAY_PRIVATE_KEY", crate::common::KEYS[0])
                .output()
                .unwrap();
            assert!(done.status.success(), "{done:?}");
            Fault::None
        },
    ));
    let mut worker = w.worker(1, &["--max-bond", "1"]);
    let refused = worker.wait_for("not_leased");
    assert_eq!(refused["job_ids"][0].as_u64(), Some(id));
    // It looks again after some seconds.
    w.pass(6);
    w.only(&mut worker, "leased", 0);
    assert_eq!((w.counts().0, w.worth(1)), (0, gift()));
}
