//! One machine needs no server: threads of one process, the same records, the same checks.

use crate::{common::digits, support::sandbox};

#[test]
fn the_same_proofs_without_a_server() {
    let s = sandbox("local");
    let data = digits();
    let fixed = ["farm", "submit", "model", &data, "--key", "key", "-o", "out"];
    for workers in ["1", "2"] {
        let all = s.json(&[&fixed[..], &["--count", "3", "--batch", "2", "--workers", workers]].concat());
        assert_eq!((&all["jobs"], &all["accepted"], &all["valid"]), (&3.into(), &3.into(), &true.into()), "{all:#}");
        for from in ["00000", "00002", "00004"] {
            let shown = s.json(&["verify", &format!("out/digits_test-{from}.proof"), "--key", "key"]);
            assert_eq!((&shown["valid"], &shown["batch"]), (&true.into(), &2.into()));
        }
    }
    // The same bytes as those of the command for one proof.
    s.ok(&["prove", "model", &data, "--batch", "2", "--from", "2", "--key", "key", "-o", "alone"]);
    assert_eq!(s.read("alone"), s.read("out/digits_test-00002.proof"));
    s.fails(2, &[&fixed[..], &["--batch", "7", "--from", "1"]].concat(), &["do not make proofs of 7 each"]);
    s.fails(
        2,
        &["farm", "status", "--nats", "nats://127.0.0.1:1"],
        &["cannot connect to nats://127.0.0.1:1", "assay farm up"],
    );
}
