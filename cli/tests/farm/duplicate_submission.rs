//! The same work is submitted by several at once, and again: it is done once.

use crate::support::{Farm, Running, nats};
use std::collections::BTreeSet;

#[test]
fn it_is_done_once() {
    if !nats() {
        return;
    }
    let mut farm = Farm::new("duplicate", &["--lease", "1h"]);
    let mut submitters: Vec<Running> = (0..3)
        .map(|i| {
            let out = format!("out-{i}");
            let args = farm.submission(5, &["--output", &out, "--timeout", "400s", "--json"]);
            Running::start(farm.s.command(&args.iter().map(String::as_str).collect::<Vec<_>>()), &out)
        })
        .collect();
    let mut worker = farm.worker("a", &[]);
    let ids: Vec<BTreeSet<String>> = submitters
        .iter_mut()
        .map(|s| {
            let (code, last) = s.ends();
            assert_eq!((code, &last["accepted"]), (0, &5.into()), "{last:#}");
            s.said("submitted").iter().map(|e| e["job"].to_string()).collect()
        })
        .collect();
    assert!(ids.iter().all(|i| i.len() == 5 && *i == ids[0]));
    farm.collect(5);
    let status = farm.until("accepted", 5);
    assert_eq!(status["queued"], 0);
    assert_eq!((worker.all("proven", 5).len(), farm.up.all("accepted", 5).len()), (5, 5));
}
