//! The opening of a confidential job is on a server, and is deleted when the worker has a lease. The worker kept it.

use crate::{
    common::digits,
    support::{World, proxy::Fault, shelf::Shelf},
};
use assay_contracts::economy::abi::JobMarket;
use serde_json::json;

/// Files of a folder with a worker's openings.
fn kept(w: &World) -> usize {
    let folder = std::fs::read_dir(w.s.path("journal-1.openings")).unwrap();
    folder.flatten().filter(|f| f.path().extension().is_some_and(|e| e == "stack")).count()
}

#[test]
fn an_opening_that_vanishes_costs_no_bond() {
    let w = World::new("opening-vanishes");
    w.json(&["model", "register", "model", "--confidential"]);
    std::fs::create_dir(w.s.path("mine")).unwrap();
    let (shelf, data) = (Shelf::new(), digits());
    let url = shelf.url();
    let ask = ["job", "post", "model", &data, "--max-price", "2", "--lease", "30m", "--confidential", "--inbox", &url];
    let rpc = ["--rpc", &w.node_url()];
    // Nothing is posted that only a server has, or that it did not take.
    w.s.fails(2, &[&ask[..], &rpc[..]].concat(), &["nowhere but on a server"]);
    shelf.answer(Some(507));
    let said =
        w.s.fails(2, &[&ask[..], &["--inbox", "mine"], &rpc[..]].concat(), &["status 507", "nothing was posted"]);
    assert!(!said.contains("password") && !said.contains("credential"), "{said}");
    assert_eq!(std::fs::read_dir(w.s.path("mine")).unwrap().count(), 0, "nothing opens nothing");
    shelf.answer(None);

    let posted = w.json(&[&ask[..], &["--inbox", "mine"]].concat());
    let file = w.s.path(posted["openings"][0].as_str().unwrap());
    let name = format!("/inbox/{}?key=credential", file.file_name().unwrap().to_str().unwrap());
    assert_eq!(shelf.files().into_iter().collect::<Vec<_>>(), [(name, std::fs::read(&file).unwrap())]);
    assert_eq!((&posted["openings_sent"], &posted["job_ids"]), (&json!(1), &json!([1])));

    // A server that is away is no reason to stop, nor to lease.
    shelf.answer(Some(503));
    let mut worker = w.worker(1, &["--inbox", &url]);
    assert!(worker.wait_for("no_opening")["reason"].as_str().unwrap().contains("status 503"));
    worker.kill();
    shelf.answer(None);
    // It does not learn of its lease, so that it has no proof either when it is killed.
    let mut leased = false;
    w.proxy.rule(move |a| {
        leased |= a.sends::<JobMarket::leaseCall>();
        if leased && (a.is("eth_sendRawTransaction") || a.is("eth_getTransactionReceipt")) {
            return Fault::DropAnswer;
        }
        Fault::None
    });
    let mut worker = w.worker(1, &["--inbox", &url]);
    w.until("a lease is taken", || w.counts().0 == 1);
    worker.kill();
    w.proxy.honest();
    let mut said = worker.seen.iter().map(|v| v.to_string()).collect::<String>();
    assert_eq!((w.counts(), kept(&w)), ((1, 0, 0), 1));
    // The requester, or somebody who broke into the server, would like the bond.
    shelf.clear();
    let mut worker = w.worker(1, &["--inbox", &url, "--once"]);
    worker.wait_for("paid");
    assert_eq!(worker.ends().0, 0);
    said.extend(worker.seen.iter().map(|v| v.to_string()));
    assert_eq!((w.counts(), kept(&w)), ((1, 0, 1), 0));
    assert!(!said.contains("password") && !said.contains("credential"), "{said}");
    w.json(&["job", "result", "1", "model", "--inbox", "mine"]);
}
