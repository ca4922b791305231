//! The block with the payment is gone: the worker notices, and has kept the proof.

use crate::support::{World, gift, part};

#[test]
fn a_payment_that_vanished_is_asked_for_again() {
    let w = World::new("payment-reorged");
    let id = w.post(&[])[0];
    let mut worker = w.worker(1, &["--once", "--confirmations", "4", "--withdraw-at", "1000"]);
    worker.wait_for("paid");
    w.reorganise(1);
    assert_eq!(worker.wait_for("vanished")["job_ids"][0].as_u64(), Some(id));
    worker.wait_for("paid");
    // It stays until the payment is for good, also through a crash.
    w.only(&mut worker, "result", 0);
    worker.kill();
    let mut worker = w.worker(1, &["--confirmations", "4", "--jobs", "1"]);
    worker.wait_for("started");
    w.mine(2, 1);
    w.only(&mut worker, "confirmed", 0);
    w.mine(2, 1);
    worker.wait_for("confirmed");
    worker.kill();
    assert_eq!(w.counts(), (1, 0, 1));
    assert_eq!(w.worth(1), gift() + part());
}
