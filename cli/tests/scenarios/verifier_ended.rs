//! A verifier ends while a lease on one of its jobs is live: nobody is paid any more, and the bond can be had.

use crate::support::{World, gift, once, proxy::Fault};
use assay_contracts::economy::abi::JobMarket;

#[test]
fn the_bond_comes_back() {
    let w = World::new("verifier-ended");
    w.post(&[]);
    let (at, verifier, mut guardian) = (w.at.clone(), w.verifier(), w.client(0));
    w.proxy.rule(once(
        |a| a.is("eth_estimateGas") && a.carries::<JobMarket::fulfilCall>(),
        move || {
            at.registry().tombstone(&mut guardian, verifier).unwrap();
            Fault::None
        },
    ));
    let mut worker = w.worker(1, &[]);
    let refunded = worker.wait_for("refunded");
    assert_eq!(refunded["amount"].as_str(), Some("200000000000000000"));
    assert_eq!(worker.wait_for("gave_up")["failure"], false);
    w.only(&mut worker, "leased", 1);
    assert_eq!((w.counts().2, w.worth(1)), (0, gift()));
}
