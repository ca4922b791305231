//! A chain made anew has the same number and, from the same accounts, the same addresses: what a journal says of the old one
//! must not be taken for true of it.

use crate::support::World;
use assay_contracts::anvil::Anvil;

#[test]
fn a_journal_of_the_old_chain_is_refused() {
    let w = World::new("same-addresses-new-chain");
    w.post(&[]);
    let mut worker = w.worker(1, &["--once"]);
    assert_eq!(worker.ends().0, 0);
    let node = Anvil::start().unwrap();
    let before = w.s.read("assay-deployment.json");
    w.s.json(&["chain", "up", "--rpc", node.url()]);
    let after = w.s.read("assay-deployment.json");
    let contracts = |bytes: &[u8]| -> serde_json::Value {
        serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["contracts"].clone()
    };
    assert_eq!(contracts(&before), contracts(&after), "the test needs the same addresses");
    w.s.json(&["model", "register", "model", "--rpc", node.url()]);
    let run = ["worker", "model", "--journal", "journal-1", "--rpc", node.url()];
    let mut s = crate::common::Sandbox::new("same-addresses-other-folder");
    for file in ["model", "assay-deployment.json", "journal-1"] {
        s.write(file, w.s.read(file));
    }
    s.key = Some(crate::common::KEYS[1]);
    s.fails(2, &run, &["of another chain with the same number and addresses", "--journal"]);
}
