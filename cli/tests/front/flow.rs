//! The commands one after another, as an engineer would use them.

use super::{
    common::{Sandbox, cnn, digits, digits_proof, image, mlp, npy},
    proto,
};

#[test]
fn compile_setup_prove_verify() {
    let s = digits_proof("chain");
    let v = s.json(&["verify", "proof", "--key", "key"]);
    assert_eq!(v["valid"], true);
    assert_eq!(v["batch"], 1);
    assert_eq!(v["inputs"], serde_json::Value::Null);
    assert_eq!(v["outputs"][0].as_array().map(Vec::len), Some(10));
    assert_eq!(v["proof_bytes"].as_u64(), Some(s.read("proof").len() as u64));
    let id = v["model_id"].as_str().unwrap();
    s.ok(&["verify", "proof", "--key", "key", "--model-id", id]);
    s.fails(1, &["verify", "proof", "--key", "key", "--model-id", &"0".repeat(64)], &["is of model"]);

    // The outputs that it prints are the outputs that it accepts.
    s.write("out.json", format!("{{\"output_data\": {}}}", v["outputs"]));
    s.ok(&["verify", "proof", "--key", "key", "--output", "out.json"]);
    let mut other = v["outputs"].clone();
    other[0][3] = (other[0][3].as_f64().unwrap() + 0.5).into();
    s.write("other.json", format!("{{\"output_data\": {other}}}"));
    s.fails(1, &["verify", "proof", "--key", "key", "--output", "other.json"], &["another output", "value 3"]);
    s.fails(2, &["verify", "proof", "--key", "key", "--input", "input.json"], &["do not show the inputs"]);

    // Every file can be described.
    for (file, kind) in [("model", "model"), ("key", "key"), ("proof", "proof")] {
        let v = s.json(&["show", file]);
        assert_eq!(v["kind"], kind);
    }
    assert!(s.ok(&["show", "proof"]).stdout.contains("NOT hiding"));
    assert!(s.ok(&["show", "key"]).stdout.contains("INSECURE"));
    assert!(s.ok(&["show", "model", "--nodes"]).stdout.contains("Contraction"));

    // The estimate of the proof's size is exact.
    for file in ["model", "key"] {
        let e = s.json(&["estimate", file]);
        assert_eq!(e["proof_bytes"], v["proof_bytes"], "{e}");
        assert!(e["prove_seconds"].as_f64().is_some_and(|x| x > 0.0));
        for count in ["lookups", "table_rows", "messages", "permutations", "witness_rows", "memory_bytes"] {
            assert!(e[count].as_u64().is_some_and(|x| x > 0), "{count}: {e}");
        }
    }
}

#[test]
fn public_inputs_and_batches() {
    let s = Sandbox::new("batch");
    s.ok(&["compile", &mlp(), "--calibrate", &digits(), "--weight-bits", "8", "--activation-bits", "8", "-o", "model"]);
    let rows: Vec<f32> = (0..3).flat_map(image).collect();
    s.write("three.npy", npy("(3, 64)", &rows));
    let args = ["prove", "model", "three.npy", "-o", "proof", "--key-out", "key", "--public-inputs"];
    let v = s.json(&args);
    assert_eq!((v["valid"].as_bool(), v["batch"].as_u64()), (Some(true), Some(3)));
    assert_eq!(v["outputs"].as_array().map(Vec::len), Some(3));
    s.ok(&["verify", "proof", "--key", "key", "--input", "three.npy"]);
    // The same samples as lists, and other samples.
    s.write("three.json", format!("{:?}", (0..3).map(image).collect::<Vec<_>>()));
    s.ok(&["verify", "proof", "--key", "key", "--input", "three.json"]);
    let mut other = rows.clone();
    other[70] += 0.25;
    s.write("other.npy", npy("(3, 64)", &other));
    s.fails(1, &["verify", "proof", "--key", "key", "--input", "other.npy"], &["another input", "inference 1"]);
    s.write("two.npy", npy("(2, 64)", &rows[..128]));
    s.fails(1, &["verify", "proof", "--key", "key", "--input", "two.npy"], &["about 3 inferences"]);

    // A part of a file; the key is the one from the cache.
    let v = s.json(&["prove", "model", &digits(), "-o", "p2", "--public-inputs", "--batch", "2", "--from", "7"]);
    assert_eq!((v["batch"].as_u64(), v["setup_cached"].as_bool()), (Some(2), Some(true)));
    s.ok(&["verify", "p2", "--key", "key"]);
    s.fails(2, &["prove", "model", "three.npy", "-o", "p3", "--batch", "4"], &["holds 3 samples"]);
    s.fails(2, &["prove", "model", "three.npy", "-o", "p3", "--from", "3"], &["holds 3 samples"]);
    assert!(!s.path("p3").exists());
}

#[test]
fn run_does_it_all() {
    let s = Sandbox::new("run");
    let v = s.json(&["run", &cnn(), &digits(), "--calibrate", &digits(), "--batch", "1", "-o", "p", "--key-out", "k"]);
    for field in
        ["prove_seconds", "setup_seconds", "verify_seconds", "proof_bytes", "peak_memory_bytes", "compile_seconds"]
    {
        assert!(v[field].as_f64().is_some_and(|x| x > 0.0), "{field}: {v}");
    }
    assert_eq!(v["valid"], true);
    let w = s.json(&["verify", "p", "--key", "k"]);
    assert_eq!(v["outputs"], w["outputs"]);
    assert_eq!(v["model_id"], w["model_id"]);
}

#[test]
fn private_outputs_need_a_model_compiled_for_them() {
    let s = digits_proof("private");
    s.fails(2, &["setup", "model", "--private-outputs", "-o", "k"], &["private output", "--private-output"]);
    // Rounded outputs of eight bits are just off by more than the gate lets through.
    let quant = ["--calibrate", &digits(), "--weight-bits", "8", "--activation-bits", "8", "--accept-accuracy"];
    s.ok(&[&["compile", &mlp(), "--private-output", "-o", "m2"], &quant[..]].concat());
    let v = s.json(&["prove", "m2", "input.json", "--private-outputs", "-o", "p2", "--key-out", "k2"]);
    assert_eq!(v["outputs"][0].as_array().map(Vec::len), Some(10));
    let v = s.json(&["verify", "p2", "--key", "k2"]);
    assert_eq!((v["valid"].as_bool(), v["outputs"].is_null()), (Some(true), true));
    s.write("out.json", "{\"output_data\": [[0,0,0,0,0,0,0,0,0,0]]}");
    s.fails(2, &["verify", "p2", "--key", "k2", "--output", "out.json"], &["do not show the outputs"]);
}

#[test]
fn clamped_inputs_are_proven_with_a_warning() {
    let s = digits_proof("clamp");
    let big: Vec<f32> = image(1).iter().map(|v| v * 1000.0).collect();
    s.write("big.json", format!("[{big:?}]"));
    let ran = s.ok(&["prove", "model", "big.json", "--key", "key", "-o", "p"]);
    assert!(ran.stderr.contains("outside of the calibrated range"), "{ran:#?}");
    s.ok(&["verify", "p", "--key", "key"]);
    // A brighter image than any real one: within the inputs' range, but not within those of the layers.
    s.write("white.json", format!("[{:?}]", vec![1.0; 64]));
    let ran = s.ok(&["prove", "model", "white.json", "--key", "key", "-o", "p"]);
    assert!(ran.stderr.contains("at node 'relu1_relu'"), "{ran:#?}");
    s.ok(&["verify", "p", "--key", "key"]);
    // And a real image: nothing is clamped.
    let ran = s.ok(&["prove", "model", &digits(), "--batch", "1", "--key", "key", "-o", "p"]);
    assert!(!ran.stderr.contains("clamped"), "{ran:#?}");
}

#[test]
fn a_damaged_cache_is_made_again() {
    let s = Sandbox::with_own_cache("cache");
    s.ok(&["compile", &mlp(), "--calibrate", &digits(), "--weight-bits", "8", "--activation-bits", "8", "-o", "model"]);
    s.ok(&["setup", "model", "-o", "key"]);
    let key = s.read("key");
    let entries: Vec<_> = std::fs::read_dir(s.cache()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(entries.len(), 2, "{entries:?}");
    for path in &entries {
        let whole = std::fs::read(path).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        for bytes in [damaged, whole[..middle].to_vec(), vec![]] {
            std::fs::write(path, bytes).unwrap();
            let ran = s.ok(&["setup", "model", "-o", "key"]);
            assert!(ran.stderr.contains("is damaged"), "{ran:#?}");
            assert_eq!(s.read("key"), key);
            assert_eq!(std::fs::read(path).unwrap(), whole);
        }
    }
    assert_eq!(s.json(&["setup", "model", "-o", "key"])["setup_cached"], true);
}

#[test]
fn an_unusable_cache_is_no_obstacle() {
    let s = Sandbox::with_own_cache("unusable-cache");
    s.write("cache", "a file, not a folder");
    let ran = s.ok(&["demo", "--images", "1", "--model", "mlp"]);
    assert!(ran.stderr.contains("cannot be used"), "{ran:#?}");
}

#[test]
fn inspect_lists_operators() {
    let s = Sandbox::new("inspect");
    let v = s.json(&["inspect", &cnn()]);
    assert_eq!((v["supported"].as_bool(), v["parameters"].as_u64()), (Some(true), Some(1898)));
    let ops: Vec<&str> = v["nodes"].as_array().unwrap().iter().map(|n| n["op"].as_str().unwrap()).collect();
    assert!(ops.contains(&"Conv") && ops.contains(&"Gemm") && ops.contains(&"MaxPool"), "{ops:?}");
    assert!(s.ok(&["inspect", &mlp()]).stdout.contains("6,570 parameters"));
}

#[test]
fn quiet_is_quiet() {
    let s = digits_proof("quiet");
    let ran = s.ok(&["verify", "proof", "--key", "key", "--quiet"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = s.ok(&["prove", "model", "input.json", "--key", "key", "-o", "p", "-q"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
}

#[test]
fn a_model_that_is_too_far_off_is_refused() {
    let s = Sandbox::new("gate");
    let model = mlp();
    let narrow = ["--calibrate", &digits(), "--weight-bits", "2", "--activation-bits", "4"];
    let text = s.fails(
        2,
        &[&["compile", &model, "-o", "model"], &narrow[..]].concat(),
        &["agrees with the float model", "--accept-accuracy", "was tried"],
    );
    assert!(!s.path("model").exists(), "nothing is written: {text}");
    s.write("one.npy", npy("(1, 64)", &image(0)));
    s.fails(2, &[&["run", &model, "one.npy"], &narrow[..]].concat(), &["agrees with the float model"]);
    // Accepted, it says so wherever it is used, and the report goes with it.
    let all = [&["compile", &model, "-o", "model", "--accept-accuracy"], &narrow[..]].concat();
    let v = s.json(&all);
    assert_eq!(v["report"]["passes"], false);
    assert!(v["warnings"].to_string().contains("accepted although"), "{v}");
    assert_eq!(s.json(&["show", "model"])["report"]["passes"], false);
    let v = s.json(&["prove", "model", "one.npy", "-o", "proof"]);
    assert_eq!(v["report"]["passes"], false);
    assert!(v["warnings"].to_string().contains("was accepted although"), "{v}");
}

#[test]
fn strict_refuses_inputs_that_would_be_clamped() {
    let s = digits_proof("strict");
    let mut far = image(1);
    far[20] = 1e4;
    s.write("far.npy", npy("(1, 64)", &far));
    s.ok(&["prove", "model", "far.npy", "-o", "p"]);
    s.fails(
        2,
        &["prove", "model", "far.npy", "-o", "p2", "--strict"],
        &["sample 0", "outside of the calibrated range"],
    );
    let said = &["sample 0", "outside of the calibrated range"];
    s.fails(2, &["run", "model", "far.npy", "--strict"], said);
    s.fails(2, &["settle", "model", "far.npy", "-o", "p2", "--strict"], said);
    assert!(!s.path("p2").exists());
    s.write("near.npy", npy("(1, 64)", &image(1)));
    s.ok(&["prove", "model", "near.npy", "-o", "p3", "--strict"]);
}

#[test]
fn every_kind_of_kernel_gives_the_same_bytes() {
    let s = digits_proof("kernels");
    let args = ["prove", "model", "input.json", "--key", "key", "-o", "portable"];
    let out = s.command(&args).env("ASSAY_CPU", "portable").output().unwrap();
    assert!(out.status.success(), "{out:#?}");
    assert_eq!(s.read("portable"), s.read("proof"));

    let doctor = s.command(&["doctor", "--json"]).env("ASSAY_CPU", "portable").output().unwrap();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains(r#""kernels":"portable""#), "{doctor:#?}");
    let unknown = s.command(&["doctor"]).env("ASSAY_CPU", "fast").output().unwrap();
    let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(2), "{text}");
    assert!(text.contains(r#"ASSAY_CPU is "fast"; expected auto, portable, avx2 or avx512"#), "{text}");
    assert!(text.contains("unset ASSAY_CPU"), "{text}");
}

/// Functions whose result is bounded, or whose table is, tell as well when a value leaves the calibrated range.
#[test]
fn values_beyond_the_calibrated_range_are_told_of() {
    let s = Sandbox::new("beyond");
    let list = |v: &[f32]| v.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    // A sum that is small in calibration although its terms are not.
    let a: Vec<f32> = (0..60).map(|i| (i % 20) as f32 / 10.0 - 1.0).collect();
    let b: Vec<f32> = a.iter().enumerate().map(|(i, v)| 0.02 * (i % 7) as f32 - v).collect();
    s.write("sums.json", format!("{{\"input_data\":[[{}],[{}]]}}", list(&a), list(&b)));
    s.write("far.json", "{\"input_data\":[[0.9,0.5,0.1],[0.9,0.5,0.1]]}");
    s.write("near.json", format!("{{\"input_data\":[[{}],[{}]]}}", list(&a[..3]), list(&b[..3])));
    for op in ["Sigmoid", "Tanh", "Exp", "Softplus"] {
        let mut m = proto::Model::default();
        let sum = m.node("Add", &["a", "b"], &[]);
        let out = m.node(op, &[&sum], &[]);
        s.write("m.onnx", m.finish(&[("a", &[1, 3]), ("b", &[1, 3])], &out));
        s.ok(&["compile", "m.onnx", "--calibrate", "sums.json", "-o", "m"]);
        let near = s.ok(&["prove", "m", "near.json", "-o", "p", "--strict"]);
        assert!(!near.stderr.contains("calibrated range"), "{op}: {near:#?}");
        let far = s.ok(&["prove", "m", "far.json", "-o", "p"]);
        assert!(far.stderr.contains("left the calibrated range"), "{op}: {far:#?}");
        s.fails(2, &["prove", "m", "far.json", "-o", "p2", "--strict"], &["calibrated range"]);
    }
    // A step of an integer input, whose table ends where its results did.
    let mut m = proto::Model::default();
    m.initializer(&proto::tensor("two", &[], &[2.0]));
    let float = m.node("Cast", &["c"], &[proto::int("to", 1)]);
    let half = m.node("Div", &[&float, "two"], &[]);
    let out = m.node("Floor", &[&half], &[]);
    s.write("m.onnx", m.finish_typed(&[("c", &[1, 3], 7)], &out));
    let c: Vec<f32> = (0..30).map(|i| (i % 8) as f32).collect();
    s.write("ages.json", format!("{{\"input_data\":[[{}]]}}", list(&c)));
    s.ok(&["compile", "m.onnx", "--calibrate", "ages.json", "-o", "m"]);
    s.write("old.json", "{\"input_data\":[[9,30,8]]}");
    let old = s.ok(&["prove", "m", "old.json", "-o", "p"]);
    assert!(old.stderr.contains("calibrated range"), "{old:#?}");
    s.fails(2, &["prove", "m", "old.json", "-o", "p2", "--strict"], &["calibrated range"]);
    s.write("young.json", "{\"input_data\":[[7,3,0]]}");
    s.ok(&["prove", "m", "young.json", "-o", "p", "--strict"]);
}
