//! An acknowledgement is no fence: one of a delivery that is long over removes the message of a job that is not done. The record knows
//! better, and whoever submits again puts the job back.

use crate::support::{Farm, client::Client, nats};

#[test]
fn the_record_knows_better() {
    if !nats() {
        return;
    }
    let farm = Farm::new("acknowledged", &[]);
    farm.send(2);
    let note = Client::new(&farm.url()).steal("core");
    // A note was sent and is gone; the job is not.
    let status = farm.status();
    assert_eq!(status["queued"], 2, "{note} {status:#}");
    farm.send(2);
    let _worker = farm.worker("a", &[]);
    farm.until("accepted", 2);
}
