//! `bench` and `estimate`: what is predicted is what comes.

use super::common::{Sandbox, cnn, digits, digits_proof, mlp};

#[test]
fn bench_measures_and_estimate_learns() {
    let s = Sandbox::with_own_cache("bench");
    s.ok(&["compile", &mlp(), "--calibrate", &digits(), "--weight-bits", "8", "--activation-bits", "8", "-o", "m"]);
    let before = s.json(&["estimate", "m", "--threads", "2"]);
    assert_eq!(before["measured"], false);
    let args = ["bench", "m", "--batch", "1,3", "--with-threads", "1,2", "--kernels", "cpu,portable", "--repeats", "2"];
    let ran = s.ok(&[&args[..], &["--plot", "p.svg", "--json"]].concat());
    let v = ran.last_json();
    let all = v["measurements"].as_array().unwrap();
    assert_eq!(all.len(), 8, "{v}");
    assert_eq!(ran.stdout.lines().filter(|l| l.contains("\"event\":\"measurement\"")).count(), 8);
    for m in all {
        let f = |name: &str| m[name].as_f64().unwrap_or_else(|| panic!("{name}: {m}"));
        assert_eq!((m["model"].as_str(), m["repeats"].as_u64()), (Some("m"), Some(2)));
        assert!(f("median_seconds") > 0.0 && f("p95_seconds") >= f("median_seconds"), "{m}");
        assert!((f("inferences_per_second") - f("batch") / f("median_seconds")).abs() < 1e-6, "{m}");
        assert!((f("macs_per_second") / f("inferences_per_second") - f("macs")).abs() < 1e-3, "{m}");
        assert_eq!(m["kernels"] == "portable", m["device"] == "portable" || v["kernels"] == "portable");
    }
    // The proofs are the ones that `estimate` predicts.
    let one = all.iter().find(|m| m["batch"] == 3).unwrap();
    let after = s.json(&["estimate", "m", "--batch", "3", "--threads", "2"]);
    assert_eq!((&after["measured"], &after["proof_bytes"]), (&true.into(), &one["proof_bytes"]));
    assert_eq!(s.json(&["estimate", "m", "--threads", "2"])["measured"], true);
    // Another number of threads was not measured.
    assert_eq!(s.json(&["estimate", "m", "--threads", "3"])["measured"], false);
    let svg = String::from_utf8(s.read("p.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("m core, batch 3, 1 thread, cpu"));
    let text = s.ok(&["bench", "m", "--batch", "1", "--repeats", "1"]).stdout;
    for word in ["inferences/s", "multiply-adds/s", "p95", "peak memory", "core"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn bench_brings_models_and_settles_them() {
    let s = Sandbox::new("bench-settle");
    let v = s.json(&["bench", "--batch", "1", "--settle", "--repeats", "1"]);
    let all = v["measurements"].as_array().unwrap();
    let kinds: Vec<_> = all.iter().map(|m| (m["model"].as_str().unwrap(), m["settled"].as_bool().unwrap())).collect();
    assert_eq!(kinds, [("digits_mlp", false), ("digits_mlp", true), ("digits_cnn", false), ("digits_cnn", true)]);
    s.fails(2, &["bench", "--calibrate", "x"], &["need a model"]);
    s.fails(2, &["bench", "nowhere.onnx"], &["no such file"]);
    s.fails(2, &["bench", "--plot", "no/such/p.svg"], &["no folder"]);
    // A card that is not there: nothing else is measured in its place.
    s.fails(2, &["bench", "--device", "cuda:4000", "--repeats", "1"], &["leave out --device"]);
    s.fails(
        2,
        &["bench", "--device", "cuda:4000", "--kernels", "cpu,cuda", "--batch", "1", "--repeats", "1"],
        &["leave out --device"],
    );
}

/// Bytes and the gas of the contract's code are exact; the whole is the most it can be, and close.
#[test]
fn the_estimate_of_a_settlement_is_what_the_contract_charges() {
    let s = Sandbox::new("estimate-settlement");
    for (model, flags, batch, values) in [
        (mlp(), &[][..], "1", 10),
        (mlp(), &["--public-inputs"], "3", 3 * 74),
        (cnn(), &["--optimize", "time"], "2", 20),
        (cnn(), &["--public-weights"], "5", 50),
    ] {
        let fixed = ["--calibrate", &digits(), "--weight-bits", "8", "--activation-bits", "8"];
        s.ok(&[&["compile", &model, "-o", "m"], &fixed[..]].concat());
        let e = s.json(&[&["estimate", "m", "--batch", batch], flags].concat());
        let e = &e["settlement"];
        let settled =
            s.json(&[&["settle", "m", &digits(), "--batch", batch, "-o", "p", "--key-out", "k"], flags].concat());
        let gas = s.json(&["chain", "gas", "p", "--key", "k"]);
        assert_eq!(e["executed_gas"], gas["executed_gas"], "{model} {flags:?}");
        assert_eq!(e["calldata_bytes"], gas["calldata_bytes"]);
        assert_eq!(e["deploy_gas"], gas["deploy_gas"]);
        assert_eq!((&e["circuit_k"], &e["row_bits"]), (&settled["circuit_k"], &settled["row_bits"]));
        assert_eq!(e["key_bytes"].as_u64(), Some(s.read("k").len() as u64));
        assert_eq!(e["proof_bytes"].as_u64(), Some(s.read("p").len() as u64));
        let (most, real) = (e["gas"].as_u64().unwrap(), gas["gas"].as_u64().unwrap());
        // Zeros: any byte of a public value may be one, and one in 256 of the proof's.
        let zeros = 8 * values + e["calldata_bytes"].as_u64().unwrap() / 100;
        assert!(real <= most && most - real <= 12 * zeros, "{real} of at most {most}");
        // Calldata of the key has zeros in other places.
        let (a, b) = (e["register_gas"].as_u64().unwrap(), gas["register_gas"].as_u64().unwrap());
        assert!(a.abs_diff(b) <= b / 100, "{a} {b}");
    }
}

/// The same of proofs about stacks: given inputs, pinned weights.
#[test]
fn the_estimate_about_stacks_is_what_the_contract_charges() {
    let s = Sandbox::with_own_cache("estimate-stacks");
    s.ok(&["compile", &mlp(), "--calibrate", &digits(), "--weight-bits", "8", "--activation-bits", "8", "-o", "m"]);
    let rows = ["--row-bits", "10"];
    s.ok(&[&["stack", "commit", &digits(), "--model", "m", "--batch", "3", "-o", "x.stack"], &rows[..]].concat());
    s.ok(&[&["stack", "commit", "m", "-o", "w.stack"], &rows[..]].concat());
    let (input, weights) = (["--commit", "input=x.stack"], ["--commit", "weights=w.stack"]);
    for stacks in [&input[..], &weights, &[&input[..], &weights].concat()] {
        let e = s.json(&[&["estimate", "m"], stacks].concat());
        let data = digits();
        let input: &[&str] = if stacks.contains(&"input=x.stack") { &[] } else { &[&data, "--batch", "1"] };
        let settled = s.json(&[&["settle", "m"], input, &["-o", "p", "--key-out", "k"], stacks].concat());
        let gas = s.json(&["chain", "gas", "p", "--key", "k"]);
        let of = &e["settlement"];
        assert_eq!(of["executed_gas"], gas["executed_gas"], "{stacks:?}");
        assert_eq!(of["calldata_bytes"], gas["calldata_bytes"]);
        assert_eq!((&of["circuit_k"], &of["row_bits"]), (&settled["circuit_k"], &settled["row_bits"]));
        assert_eq!(of["key_bytes"].as_u64(), Some(s.read("k").len() as u64));
        assert_eq!(of["proof_bytes"].as_u64(), Some(s.read("p").len() as u64));
        let prove = [&["prove", "m"], input, &["-o", "core"], stacks].concat();
        let proven = s.json(&prove);
        assert_eq!((&e["proof_bytes"], proven["setup_cached"].as_bool()), (&proven["proof_bytes"], Some(false)));
        // The key of a core proof about stacks is kept like any.
        assert_eq!(s.json(&prove)["setup_cached"], true, "{stacks:?}");
    }
    s.ok(&["setup", "m", "-o", "key"]);
    s.fails(2, &["estimate", "key", "--commit", "input=x.stack"], &["a key says itself"]);
}

#[test]
fn what_cannot_be_settled_is_estimated_all_the_same() {
    let s = digits_proof("estimate-key");
    let v = s.json(&["estimate", "key"]);
    assert!(v["settlement"]["gas"].as_u64().is_some_and(|g| g > 300_000), "{v}");
    // Rows that are too short for a contract.
    let v = s.json(&["estimate", "model", "--row-bits", "1"]);
    assert!(v["settlement"].is_null() && v["proof_bytes"].as_u64().is_some(), "{v}");
    assert!(v["warnings"][0].as_str().is_some_and(|w| w.contains("cannot be settled")), "{v}");
}

/// Memory of proofs of few and of many inferences, in processes of their own with a key that was made before.
#[test]
fn the_forecast_of_memory_is_near_the_peak() {
    let s = Sandbox::with_own_cache("estimate-memory");
    s.ok(&["compile", &cnn(), "--calibrate", &digits(), "-o", "m", "--accept-accuracy"]);
    s.ok(&["prove", "m", &digits(), "--batch", "1", "-o", "p"]);
    let mut before = 0;
    for batch in ["1", "16", "128"] {
        let forecast = s.json(&["estimate", "m", "--batch", batch])["memory_bytes"].as_u64().unwrap();
        let peak = s.json(&["prove", "m", &digits(), "--batch", batch, "-o", "p"])["peak_memory_bytes"].as_u64();
        if let Some(peak) = peak {
            let ratio = forecast as f64 / peak as f64;
            assert!((0.7..1.6).contains(&ratio), "{batch}: {forecast} and {peak}");
        }
        assert!(forecast > before, "{batch}: {forecast}");
        before = forecast;
    }
}
