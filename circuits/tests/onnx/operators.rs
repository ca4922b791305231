//! The list of operators in docs/operators.md is the one in the code.

use crate::support::path;
use assay_circuits::onnx::catalogue::{document, operators};

#[test]
fn operators_are_documented() {
    let file = path("docs/operators.md");
    let text = document();
    if std::env::var("ASSAY_OPERATORS").is_ok_and(|v| v == "update") {
        std::fs::write(&file, &text).expect("the document can be written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(known == text, "docs/operators.md differs from the code; its head says how it is made again");
}

#[test]
fn operators_are_listed_once() {
    let all = operators();
    for w in all.windows(2) {
        assert_ne!((w[0].0, w[0].1), (w[1].0, w[1].1));
    }
    assert!(all.len() > 200, "{} operators", all.len());
}
