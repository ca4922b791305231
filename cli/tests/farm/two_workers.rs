//! Nothing goes wrong: two workers, core and settled proofs, collected and checked by the command that knows nothing of farms.

use crate::{
    common::digits,
    support::{Farm, nats, proven},
};
use std::collections::BTreeSet;

#[test]
fn core_proofs_are_shared_and_checked() {
    if !nats() {
        return;
    }
    let mut farm = Farm::new("two", &["--lease", "1h"]);
    let mut workers = [farm.worker("a", &[]), farm.worker("b", &[])];
    let all = farm.collect(6);
    assert_eq!((&all["jobs"], &all["accepted"], &all["known"]), (&6.into(), &6.into(), &0.into()), "{all:#}");
    farm.check(6);
    let status = farm.until("accepted", 6);
    assert_eq!((&status["queued"], &status["leased"], &status["failed"]), (&0.into(), &0.into(), &0.into()));
    // The same again does no work: the proofs are there.
    let again = farm.collect(6);
    assert_eq!((&again["known"], &again["accepted"]), (&6.into(), &6.into()));
    let mut jobs = proven(&mut workers, 6);
    assert_eq!((jobs.len(), jobs.drain(..).collect::<BTreeSet<_>>().len()), (6, 6));
    assert_eq!(farm.up.all("accepted", 6).len(), 6);
    // One of them, described.
    let job = farm.up.said("accepted")[0]["job"].as_str().unwrap().to_owned();
    let one = farm.job(&job);
    assert_eq!((&one["state"], &one["attempts"]), (&"accepted".into(), &1.into()));
}

#[test]
fn settled_proofs_carry_what_they_are_for() {
    if !nats() {
        return;
    }
    let farm = Farm::new("settled", &[]);
    let _worker = farm.worker("a", &["--kind", "settled"]);
    let url = farm.url();
    let fixed = [
        "farm",
        "submit",
        "model",
        &digits(),
        "--settle",
        "--count",
        "1",
        "--chain-id",
        "5",
        "--nats",
        &url,
        "-o",
        "out",
    ];
    let all = farm.s.json(&fixed);
    assert_eq!((&all["accepted"], &all["hiding"]), (&1.into(), &true.into()));
    let shown = farm.s.json(&["verify", "out/digits_test-00000.proof", "--key", "out/key"]);
    assert_eq!((&shown["valid"], &shown["chain_id"]), (&true.into(), &5.into()));
}
