//! The demo, from nothing.

use super::common::Sandbox;

#[test]
fn demo_of_both_networks() {
    let s = Sandbox::with_own_cache("demo");
    for model in ["mlp", "cnn"] {
        let ran = s.ok(&["demo", "--model", model, "--images", "2"]);
        for word in ["██", "proven:", "prove ", "verify ", "NOT", "rejected", "top-1 agreement"] {
            assert!(ran.stdout.contains(word), "{ran:#?}");
        }
        assert!(ran.stderr.contains("INSECURE"), "{ran:#?}");
    }
    // The second time, keys and powers of tau are there.
    let v = s.json(&["demo", "--model", "mlp"]);
    assert_eq!(v["setup_cached"], true);
}

#[test]
fn demo_as_json() {
    let v = Sandbox::new("demo-json").json(&["demo", "--images", "3", "--threads", "1"]);
    assert_eq!(v["event"], "result");
    assert_eq!(v["valid"], true);
    for field in ["prove_seconds", "setup_seconds", "verify_seconds", "proof_bytes", "peak_memory_bytes"] {
        assert!(v[field].as_f64().is_some_and(|x| x > 0.0), "{field}: {v}");
    }
    assert_eq!(v["model_id"].as_str().map(str::len), Some(64));
    assert_eq!(v["outputs"].as_array().map(Vec::len), Some(3));
    assert_eq!(v["outputs"][0].as_array().map(Vec::len), Some(10));
    let list = |name: &str| v[name].as_array().unwrap().clone();
    assert_eq!(list("predictions").len(), 3);
    // The networks get 97 and 99 % of the test images right, and these three are among them.
    assert_eq!(list("predictions"), list("labels"));
    assert_eq!(v["forgery_rejected"], true);
    assert_eq!(v["hiding"], false);
    assert_eq!(v["insecure_srs"], true);
    assert!(v["report"]["top1"].as_f64().is_some_and(|x| x >= 0.99), "{v}");
    assert!(v["report"]["max_error"].as_f64().is_some_and(|x| x <= 0.01), "{v}");
    assert_eq!(v["report"]["generated"], false);
    // The market: the worker is paid, the copied proof is not.
    assert_eq!((v["theft_rejected"].as_bool(), v["accepted"].as_bool()), (Some(true), Some(true)));
    assert_eq!((v["job_id"].as_u64(), &v["job_answer"]), (Some(1), &v["predictions"][0]));
    let number = |name: &str| v[name].as_f64().unwrap_or_else(|| panic!("{name}: {v}"));
    let gained = number("worker_balance_after") - number("worker_balance_before");
    assert!((gained - number("payout") - number("reward")).abs() < 1e-9, "{v}");
    assert!((number("payout") - 3.0 * 2.0 * 0.93).abs() < 1e-9, "{v}");
    assert!((number("fees_burned") - 3.0 * number("work_fee")).abs() < 1e-12 && number("work_fee") > 0.0, "{v}");
    assert!((number("reward") - number("fees_burned") / 2.0).abs() < 1e-12, "{v}");
    // The same image as a confidential job.
    assert_eq!(v["confidential"]["answer"], v["predictions"][0]);
    assert!(v["confidential"]["fulfil_gas"].as_u64().is_some_and(|gas| gas > 400_000), "{v}");
}

/// Two contributors are paid for proven gains; whatever else is handed in is not paid.
#[test]
fn training_is_paid() {
    let v = Sandbox::with_own_cache("demo-train").json(&["demo", "--train"]);
    let amount = |v: &serde_json::Value| v.as_str().unwrap().parse::<u128>().unwrap();
    let token = 10u128.pow(18);
    for who in ["anne", "ben"] {
        assert!(amount(&v["paid"][who]) > 9 * token, "{v}");
        assert_eq!(amount(&v["balances"][who]), 1_000 * token + amount(&v["paid"][who]), "{v}");
    }
    let cheats = v["cheats_refused"].as_array().unwrap();
    assert!(cheats.len() >= 12, "{v}");
    let why = |what: &str| {
        let found = cheats.iter().find(|c| c["cheat"] == what);
        found.unwrap_or_else(|| panic!("{what}: {v}"))["why"].as_str().unwrap().to_owned()
    };
    for what in ["trained on another's data", "rows of a seed of one's own choice", "started from other weights"] {
        assert_eq!(why(what), "InvalidProof", "{v}");
    }
    assert_eq!(
        (why("the loss of one step less"), why("the same gain again")),
        ("WrongLosses".into(), "WrongPhase".into())
    );
    assert_eq!(why("another shard than the one in turn"), "WrongShard", "{v}");
    assert_eq!(why("the sponsor's escrow taken back in the middle"), "RoundLive", "{v}");
}
