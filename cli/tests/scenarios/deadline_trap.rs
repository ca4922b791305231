//! A deadline that a proof cannot meet once blocks are counted, with a bond as high as the price: the requester would get
//! half of it.

use crate::support::World;

#[test]
fn a_job_is_left_alone_whose_lease_would_end_too_soon() {
    let w = World::new("deadline-trap");
    // Blocks of 15 s, all that the worker looks back at. It is there when the job is posted: a deadline that is over is no trap.
    w.mine(14, 15);
    let mut worker = w.worker(1, &[]);
    worker.wait_for("started");
    let trap = w.post(&["--deadline", "60s", "--bond", "2"]);
    let skipped = worker.wait_for("skipped");
    assert_eq!(skipped["job_id"].as_u64(), Some(trap[0]));
    assert!(skipped["reason"].as_str().unwrap().contains("are needed"), "{skipped}");
    // Leases that are as short as the market allows, and a deadline that is far: the same trap in another form is no trap.
    let fair = w.post(&["--deadline", "30m", "--lease", "2m"]);
    assert_eq!(worker.wait_for("paid")["job_ids"][0].as_u64(), Some(fair[0]));
    w.only(&mut worker, "leased", 1);
    assert_eq!(w.counts(), (1, 0, 1));
}
