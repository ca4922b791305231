//! Whole commands as people see them: exit code, standard output, standard error. Times, sizes of processes and random
//! digests are blotted out; everything else is pinned.

use super::common::{Sandbox, digits, digits_proof, mlp};

/// Replaces what differs from run to run.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        let split: Vec<&str> = line.split(' ').collect();
        for (i, w) in split.iter().enumerate() {
            let core = w.trim_matches(|c: char| "(),;".contains(c));
            let unit = |u: &str| ["s", "ms", "µs", "min"].contains(&u.trim_matches(|c: char| "(),;".contains(c)));
            let number = !core.is_empty() && core.chars().all(|c| c.is_ascii_digit() || c == '.');
            let timed = number && split.get(i + 1).is_some_and(|u| unit(u));
            // Float engines differ in the last bits from processor to processor.
            let percent = number && split.get(i + 1).is_some_and(|u| u.starts_with('%'));
            let digest = core.len() == 64 && core.chars().all(|c| c.is_ascii_hexdigit());
            // A unit goes with its number.
            if unit(w) && i > 0 && words.last().is_some_and(|p| p.ends_with("[TIME]")) {
                let tail: String = w.chars().filter(|c| "(),;".contains(*c)).collect();
                if let Some(p) = words.last_mut() {
                    p.push_str(&tail);
                }
            } else if timed {
                words.push(w.replace(core, "[TIME]"));
            } else if percent {
                words.push(w.replace(core, "[SHARE]"));
            } else if digest {
                words.push(w.replace(core, "[DIGEST]"));
            } else {
                words.push((*w).to_owned());
            }
        }
        out.push_str(words.join(" ").trim_end());
        out.push('\n');
    }
    out
}

fn whole(s: &Sandbox, args: &[&str]) -> String {
    let ran = s.assay(args);
    let shown: Vec<String> = args
        .iter()
        .map(|a| std::path::Path::new(a).file_name().map_or((*a).to_owned(), |n| n.to_string_lossy().into()))
        .collect();
    format!(
        "$ assay {}\nexit code {}\n----- stdout\n{}----- stderr\n{}",
        shown.join(" "),
        ran.code,
        steady(&ran.stdout),
        steady(&ran.stderr)
    )
}

#[test]
fn main_commands() {
    let s = digits_proof("whole");
    let fixed = ["--weight-bits", "8", "--activation-bits", "8"];
    let all = [
        whole(&s, &["inspect", &mlp()]),
        whole(&s, &[&["compile", &mlp(), "--calibrate", &digits(), "-o", "m"], &fixed[..]].concat()),
        whole(&s, &["setup", "model", "-o", "k"]),
        whole(&s, &["prove", "model", "input.json", "--key", "key", "-o", "p"]),
        whole(&s, &["verify", "proof", "--key", "key"]),
        whole(&s, &["verify", "proof", "--key", "key", "--quiet"]),
        whole(&s, &["show", "key"]),
        whole(&s, &["show", "proof"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn main_mistakes() {
    let s = digits_proof("whole-mistakes");
    s.ok(&["setup", "model", "--public-inputs", "-o", "other-key"]);
    s.write("short.json", "{\"input_data\": [[1, 2, 3]]}");
    s.write("nan.json", "{\"input_data\": [[NaN]]}");
    let nonzero = concat!(env!("CARGO_MANIFEST_DIR"), "/../circuits/tests/models/op_nonzero.onnx");
    s.write("nonzero.onnx", std::fs::read(nonzero).unwrap());
    let all = [
        whole(&s, &[]).lines().take(2).collect::<Vec<_>>().join("\n") + "\n",
        whole(&s, &["prof", "model"]),
        whole(&s, &["verify", "proof"]),
        whole(&s, &["verify", "proof", "--key", "other-key"]),
        whole(&s, &["verify", "key", "--key", "proof"]),
        whole(&s, &["prove", "model", "nowhere.json", "-o", "p"]),
        whole(&s, &["prove", "model", "short.json", "-o", "p"]),
        whole(&s, &["prove", "model", "nan.json", "-o", "p"]),
        whole(&s, &["prove", "input.json", "model", "-o", "p"]),
        whole(&s, &["compile", "nonzero.onnx", "-o", "m"]),
        whole(&s, &["setup", "model", "--row-bits", "99", "-o", "k"]),
        whole(&s, &["chain", "gas", "proof", "--key", "key"]),
        whole(&s, &["job", "status", "1", "--rpc", "http://127.0.0.1:9"]),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
