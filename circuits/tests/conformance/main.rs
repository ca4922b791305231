//! The ONNX project's own node tests against the integer interpreter: every case is right or refused by name, none wrong.
//!
//! `install` beside this file fetches the cases. A case is compiled with its own inputs as calibration data, at 14 bits;
//! its expected outputs are the oracle. `refused.txt` lists the refused cases with the reason; with
//! `ASSAY_CONFORMANCE=update` in the environment the test rewrites it. `ASSAY_CONFORMANCE_CASES` runs cases whose names
//! contain the given text, and prints them all.

mod case;
mod many;
mod tensor;

use assay_circuits::onnx::catalogue::{Fate, operators};
use case::Verdict;
use prost::Message;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tract_onnx::pb::ModelProto;

/// Fewest cases that must be right: a floor against silent losses.
const FLOOR: usize = 1_230;
const RANDOM_FLOOR: usize = 400;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The cases in a folder that are chosen by name.
fn run_all(folder: &Path) -> BTreeMap<String, Verdict> {
    let filter = std::env::var("ASSAY_CONFORMANCE_CASES").ok();
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder can be listed")
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.join("model.onnx").exists())
        .filter(|p| filter.as_ref().is_none_or(|f| p.to_string_lossy().contains(f.as_str())))
        .collect();
    cases.sort();
    let next = AtomicUsize::new(0);
    let verdicts: Mutex<BTreeMap<String, Verdict>> = Mutex::default();
    std::thread::scope(|s| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            s.spawn(|| {
                while let Some(path) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                    let verdict = case::run(path);
                    verdicts.lock().expect("no thread has panicked").insert(name, verdict);
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().expect("no thread has panicked");
    if filter.is_some() {
        verdicts.iter().for_each(|(n, v)| println!("{n}: {v:?}"));
    }
    verdicts
}

/// Checks verdicts against the committed list of refused cases.
fn judge(title: &str, verdicts: &BTreeMap<String, Verdict>, list: &str, floor: usize) {
    let mut refused = String::new();
    let mut wrong = Vec::new();
    let mut right = 0;
    for (name, v) in verdicts {
        match v {
            Verdict::Right => right += 1,
            Verdict::Refused(why) => refused.push_str(&format!("{name}: {why}\n")),
            Verdict::Wrong(why) => wrong.push(format!("{name}: {why}")),
        }
    }
    let unnamed = |l: &&str| l.contains("''") || l.contains(" ()") || l.trim_end().ends_with(':');
    assert_eq!(refused.lines().find(unnamed), None, "a refusal without a name, or without a cause");
    println!("{title}: right / refused / wrong = {right} / {} / {}", refused.lines().count(), wrong.len());
    let some = std::env::var_os("ASSAY_CONFORMANCE_CASES").is_some();
    let list = folder().join(list);
    if !some && std::env::var("ASSAY_CONFORMANCE").is_ok_and(|v| v == "update") {
        std::fs::write(&list, &refused).expect("the list can be written");
    }
    assert!(wrong.is_empty(), "wrong answers:\n{}", wrong.join("\n"));
    if some {
        return;
    }
    let known = std::fs::read_to_string(&list).unwrap_or_default();
    let names = |t: &str| t.lines().filter_map(|l| Some(l.split_once(':')?.0.to_owned())).collect::<Vec<_>>();
    let (known, now) = (names(&known), names(&refused));
    let lost: Vec<_> = now.iter().filter(|n| !known.contains(n)).collect();
    let won: Vec<_> = known.iter().filter(|n| !now.contains(n)).collect();
    assert!(
        lost.is_empty() && won.is_empty(),
        "the list of refused cases differs; newly refused {lost:?}, now right {won:?}"
    );
    assert!(right >= floor, "{right} cases are right");
}

/// Whether a set of cases is installed; where it must be and is not, the test fails.
fn installed(set: &str) -> bool {
    let there = folder().join(set).join(".version").exists();
    if !there {
        assert!(
            std::env::var_os("ASSAY_REQUIRE_CONFORMANCE").is_none(),
            "circuits/tests/conformance/install has not been run"
        );
        eprintln!("SKIPPED: {set} is not installed; run circuits/tests/conformance/install");
    }
    there
}

#[test]
fn no_node_test_is_wrong() {
    if installed("node") {
        let at = folder().join("node");
        let verdicts = run_all(&at);
        judge("ONNX node tests", &verdicts, "refused.txt", FLOOR);
        if std::env::var_os("ASSAY_CONFORMANCE_CASES").is_none() {
            agrees_with_catalogue(&at, &verdicts);
        }
    }
}

/// Proven operators whose own node tests all hold a NaN, texts, sequences or types without numbers; random graphs cover them.
const ELSEWHERE: [&str; 4] = ["Cast", "CastLike", "If", "LabelEncoder"];

/// What docs/operators.md says is what happens: of a refused operator no test of its own is right, of a proven one that has any at
/// least one is.
fn agrees_with_catalogue(folder: &Path, verdicts: &BTreeMap<String, Verdict>) {
    let mut seen: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    for (name, verdict) in verdicts {
        let bytes = std::fs::read(folder.join(name).join("model.onnx")).expect("the model can be read");
        let nodes = ModelProto::decode(&*bytes).ok().and_then(|m| m.graph).map(|g| g.node).unwrap_or_default();
        if let [node] = nodes.as_slice() {
            let (right, all) = seen.entry((node.domain.clone(), node.op_type.clone())).or_default();
            *right += usize::from(matches!(verdict, Verdict::Right));
            *all += 1;
        }
    }
    let mut differs = Vec::new();
    for (domain, name, fate) in operators() {
        let Some((right, all)) = seen.get(&(domain.to_owned(), name.to_owned())) else { continue };
        let agrees = match fate {
            Fate::Proven(..) => *right > 0 || ELSEWHERE.contains(&name),
            Fate::Constant(_) => true,
            Fate::Refused(_) => *right == 0,
        };
        if !agrees {
            differs.push(format!("{name}: {fate:?}, but {right} of {all} tests are right"));
        }
    }
    assert!(differs.is_empty(), "the list of operators is wrong:\n{}", differs.join("\n"));
}

#[test]
fn no_graph_checked_by_onnxruntime_is_wrong() {
    if installed("random") {
        judge("graphs run by onnxruntime", &run_all(&folder().join("random")), "refused_random.txt", RANDOM_FLOOR);
    }
}

/// Networks that onnxruntime quantized itself: its integers, on 1,000 random inputs each.
#[test]
fn quantized_networks_are_exact() {
    if installed("many") {
        for name in ["qdq_plain", "qdq_residual", "qdq_both", "qoperator"] {
            let out = many::run(&folder().join("many").join(name), 0.0);
            assert_eq!((out.wrong, out.all), (0, 10_000), "{name}");
        }
    }
}

/// With activations of 16 bits, which onnxruntime computes in floats: within two units of the 65,536 of the result.
#[test]
fn a_network_quantized_to_16_bits_is_within_two_units() {
    if installed("many") {
        let at = folder().join("many/qdq_16_bits");
        let out = many::run(&at, 0.0);
        let unit = many::range(&at) / 65_535.0;
        assert!(out.all == 10_000 && out.largest <= 2.5 * unit, "{out:?}, in units {}", out.largest / unit);
    }
}

/// Between its products a transformer computes floats, which are rounded to steps again: no two runtimes agree in all of them. With 16
/// bits such a network is within a percent of the range on inputs that calibration does not see. With 8 bits onnxruntime's own
/// optimizations change results by some percent of the range; the gate does not take what is as far from the file.
#[test]
fn quantized_vision_transformers_are_right_or_refused_by_name() {
    if installed("many") {
        let at = folder().join("many/vit_qdq_16_bits");
        let out = many::run(&at, 0.01 * many::range(&at));
        assert_eq!((out.wrong, out.all), (0, 3_000), "{out:?}");
        assert_eq!(many::taken(&at), Ok(true));
        for name in ["vit_qdq", "vit_qdq_signed", "vit_qoperator"] {
            let at = folder().join("many").join(name);
            let taken = many::taken(&at).unwrap_or_else(|e| panic!("{name}: {e}"));
            let out = many::run(&at, 0.01 * many::range(&at));
            println!("{name}: taken {taken}, {out:?}");
            assert!(!taken || out.wrong * 100 <= out.all, "{name} is taken, and wrong: {out:?}");
        }
    }
}

/// Models in the folder that `ASSAY_MANY` names, printed: what differs.
#[test]
#[ignore = "for models that somebody has at hand"]
fn models_at_hand() {
    let Some(at) = std::env::var_os("ASSAY_MANY") else { return };
    let mut all: Vec<PathBuf> = std::fs::read_dir(at).expect("a folder").filter_map(|e| Some(e.ok()?.path())).collect();
    all.sort();
    for path in all {
        if let Err(e) = std::panic::catch_unwind(|| many::run(&path, 1e-3)) {
            println!("{}: {:?}", path.display(), e.downcast_ref::<String>());
        }
    }
}

/// Ensembles of trees with every comparison, on rows of which many hold thresholds: labels are onnxruntime's, and
/// nearly all scores.
#[test]
fn trees_decide_as_onnxruntime_does() {
    if installed("many") {
        for (name, tolerance) in [
            ("trees_three_none", 1e-5),
            ("trees_three_softmax", 0.01),
            ("trees_two_positive", 1e-5),
            ("trees_two_mixed", 1e-5),
            ("trees_two_logistic", 0.01),
            ("trees_two_positive_logistic", 0.01),
            ("trees_sum", 1e-5),
            ("trees_average", 1e-5),
            ("trees_deep_three", 1e-5),
            ("trees_deep_two", 1e-5),
            ("trees_deep_sum", 1e-5),
            ("trees_equal", 1e-5),
            ("trees_equal_chain", 1e-5),
            ("trees_two_opposite", 1e-5),
            ("trees_two_opposite_logistic", 0.01),
            ("trees_numbers_of_leaves", 1e-5),
        ] {
            let out = many::run(&folder().join("many").join(name), tolerance);
            assert_eq!(out.labels, 0, "{name}: {out:?}");
            // A value within a step of a threshold may be taken for it.
            assert!(out.wrong * 200 <= out.all, "{name}: {out:?}");
            assert!(out.all >= 200, "{name}");
            // Small trees are decided split by split, large ones walked from the root.
            if !name.starts_with("trees_equal") {
                assert_eq!(out.gathers, name.starts_with("trees_deep"), "{name}");
            }
        }
    }
}
