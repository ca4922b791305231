//! Anybody may offer any model: a second offer, by a stranger, must not keep people from posting jobs, nor get their royalties.

use crate::{common::digits, support::World};
use assay_contracts::economy::Terms;

#[test]
fn jobs_are_posted_under_the_oldest_offer() {
    let w = World::new("stranger-second-offer");
    let data = digits();
    let post = ["job", "post", "model", &data, "--max-price", "2"];
    let before = w.json(&post);
    let terms = Terms { royalty_bps: 4_000, ..Terms::default() };
    let (strange, _) = w.at.models().offer(&mut w.client(3), w.verifier(), &terms).unwrap();
    let after = w.json(&post);
    assert_eq!(after["offer_id"], before["offer_id"]);
    let warnings = after["warnings"].to_string();
    assert!(warnings.contains("oldest") && warnings.contains("--offer"), "{warnings}");
    let chosen = w.json(&[&post[..], &["--offer", &strange.to_string()]].concat());
    assert_eq!(chosen["offer_id"].as_str(), Some(strange.to_string().as_str()));
}
