//! A price that looks like pay and is less than what it costs: owner's and treasury's parts, and gas.

use crate::support::World;

#[test]
fn what_is_left_counts_and_not_the_price() {
    let w = World::new("unprofitable");
    // 2 tokens, of which 7 % go to others.
    let id = w.post(&[])[0];
    let mut worker = w.worker(1, &["--min-price", "1.9"]);
    let skipped = worker.wait_for("skipped");
    assert!(skipped["job_id"] == id && skipped["reason"].as_str().unwrap().contains("1.86"), "{skipped}");
    drop(worker);
    // Gas counts when ether has a price.
    let mut worker = w.worker(2, &["--ether-price", "100000"]);
    assert_eq!(worker.wait_for("skipped")["job_id"], id);
    drop(worker);
    let mut worker = w.worker(3, &["--min-price", "1.8", "--once"]);
    assert_eq!(worker.ends().0, 0);
    assert_eq!(w.counts(), (1, 0, 1));
}
