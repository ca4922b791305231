//! What the program says about itself, and about mistakes in its arguments.

use super::common::Sandbox;

#[test]
fn help_of_every_command() {
    let s = Sandbox::new("help");
    let mut all = s.ok(&["--help"]).stdout;
    let commands = [
        &["demo"][..],
        &["inspect"],
        &["compile"],
        &["split"],
        &["setup"],
        &["prove"],
        &["verify"],
        &["run"],
        &["train"],
        &["evaluate"],
        &["estimate"],
        &["srs"],
        &["srs", "new"],
        &["srs", "import"],
        &["srs", "verify"],
        &["show"],
        &["chain"],
        &["chain", "up"],
        &["chain", "check"],
        &["chain", "canary"],
        &["chain", "pause"],
        &["model", "register"],
        &["model", "tombstone"],
        &["vote"],
        &["vote", "propose"],
        &["vote", "cast"],
        &["token"],
        &["token", "transfer"],
        &["job"],
        &["job", "post"],
        &["job", "lease"],
        &["job", "prove"],
        &["job", "fulfil"],
        &["job", "claim"],
        &["job", "refund"],
        &["job", "status"],
        &["job", "result"],
        &["dataset"],
        &["dataset", "register"],
        &["task"],
        &["task", "post"],
        &["task", "lease"],
        &["task", "seed"],
        &["task", "submit"],
        &["worker"],
        &["farm"],
        &["farm", "up"],
        &["farm", "worker"],
        &["farm", "submit"],
        &["farm", "status"],
        &["farm", "drain"],
        &["explorer"],
        &["doctor"],
        &["completions"],
    ];
    for c in commands {
        all += &format!("\n----- assay {}\n", c.join(" "));
        all += &s.ok(&[c, &["-h"]].concat()).stdout;
    }
    insta::assert_snapshot!(all);
}

#[test]
fn version() {
    let out = Sandbox::new("version").ok(&["--version"]).stdout;
    assert_eq!(out, format!("assay {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mistakes_in_arguments_end_with_2() {
    let s = Sandbox::new("usage");
    for args in [
        &["nonsense"][..],
        &["verify", "proof"],
        &["prove", "model", "input"],
        &["demo", "--images", "0"],
        &["demo", "--images", "-1"],
        &["demo", "--threads", "0"],
        &["compile", "m.onnx", "-o", "x", "--weight-bits", "99"],
        &["srs", "new", "--power", "40", "-o", "x"],
        &["setup", "m", "-o", "x", "--row-bits", "29"],
        &["prove", "m", "i", "-o", "x", "--key", "k", "--public-inputs"],
        &["job", "post", "m", "i", "--max-price", "-1"],
        &["job", "post", "m", "i", "--max-price", "1", "--deadline", "soon"],
        &["job", "lease", "0"],
        &["task", "lease", "1"],
        &["task", "post", "--max-price", "1"],
        &["task", "show", "0"],
        &["dataset", "show", "0x12"],
        &["explorer", "--port", "70000"],
        &["worker"],
        &["explorer"],
        &["worker", "m", "--poll", "0"],
        &["chain", "up", "--embedded", "--rpc", "http://127.0.0.1:1"],
    ] {
        let ran = s.assay(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:#?}");
        assert!(ran.stderr.starts_with("error: "), "{args:?}: {ran:#?}");
        let json = s.assay(&[args, &["--json"]].concat());
        let last = json.last_json();
        assert_eq!((json.code, last["event"].as_str(), json.stderr.as_str()), (2, Some("error"), ""));
        assert!(last["error"].as_str().is_some_and(|e| !e.is_empty()) && last["help"].is_string());
    }
    // Nothing at all: help, and no success.
    assert_eq!(s.assay(&[]).code, 2);
}

#[test]
fn completions_for_every_shell() {
    let s = Sandbox::new("completions");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = s.ok(&["completions", shell]).stdout;
        assert!(script.contains("assay") && script.contains("estimate"), "{shell}");
    }
}

#[test]
fn doctor_reports() {
    let s = Sandbox::new("doctor");
    let v = s.json(&["doctor", "--threads", "1"]);
    assert_eq!(v["event"], "result");
    assert_eq!(v["threads"], 1);
    assert_eq!(v["cache_writable"], true);
    assert!(v["cores"].as_u64().unwrap() >= 1);
    let text = s.ok(&["doctor"]).stdout;
    for word in ["cores", "memory", "cache", "srs", "kernels"] {
        assert!(text.contains(word), "{text}");
    }
}
