//! Everything comes late, in both directions, and connections break: it takes longer.

use crate::support::{Farm, nats};
use std::{thread, time::Duration};

#[test]
fn it_takes_longer() {
    if !nats() {
        return;
    }
    let farm = Farm::new("slow", &[]);
    farm.proxy.delay(Duration::from_millis(60));
    let mut workers = [farm.worker("a", &[]), farm.worker("b", &[])];
    farm.send(4);
    workers[0].wait_for("leased");
    farm.proxy.cut();
    thread::sleep(Duration::from_millis(300));
    farm.proxy.cut();
    let all = farm.collect(4);
    assert_eq!(all["accepted"], 4);
    farm.check(4);
}
