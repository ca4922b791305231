//! Mistakes that people make, and whether the answer names what to do.

use super::{
    common::{Sandbox, cnn, digits, digits_proof, image, mlp, npy},
    proto,
};

#[test]
fn swapped_arguments_are_recognised() {
    let s = digits_proof("swapped");
    s.write("image.npy", npy("(1, 64)", &image(3)));
    for (args, words) in [
        (vec!["verify", "key", "--key", "proof"], &["swapped", "PROOF --key KEY"][..]),
        (vec!["prove", "input.json", "model", "-o", "p"], &["is JSON", "swapped", "MODEL comes before INPUT"]),
        (vec!["run", "image.npy", "model"], &["is a NumPy array", "MODEL comes before INPUT"]),
        (vec!["prove", "model", "model", "-o", "p"], &["it is a compiled model; expected numbers", "swapped"]),
        (vec!["inspect", "input.json"], &["'input.json' is JSON", "torch.onnx.export"]),
        (vec!["compile", "model", "-o", "m"], &["is a compiled model; expected an ONNX model"]),
        (vec!["verify", "model", "--key", "key"], &["assay prove MODEL INPUT"]),
        (vec!["show", "input.json"], &["is JSON", "prove, run or settle"]),
    ] {
        s.fails(2, &args, words);
    }
    s.fails(2, &["prove", "model", &mlp(), "-o", "p"], &["it is an ONNX model; expected numbers", "swapped"]);
}

#[test]
fn inputs_in_other_forms_are_taken() {
    let s = digits_proof("forms");
    let row = image(5);
    let key = ["--key", "key", "-o", "p"];
    let outputs = |file: &str| s.json(&[&["prove", "model", file], &key[..]].concat())["outputs"].clone();
    let expected = outputs("input.json");
    // A flat list.
    s.write("flat.json", format!("{{\"input_data\": {row:?}}}"));
    assert_eq!(outputs("flat.json"), expected);
    // 16-bit floats: these have at most four bits.
    let sixteenths: Vec<f32> = row.iter().map(|x| (x * 16.0).round() / 16.0).collect();
    let half: Vec<u8> = sixteenths
        .iter()
        .flat_map(|x| {
            let bits = x.to_bits();
            let half = if *x == 0.0 { 0 } else { ((bits >> 23) - 112) << 10 | (bits & 0x7f_ffff) >> 13 };
            (half as u16).to_le_bytes()
        })
        .collect();
    let mut file = npy("(1, 64)", &[]);
    let at = file.windows(3).position(|w| w == b"<f4").unwrap();
    file[at + 2] = b'2';
    s.write("half.npy", [file, half].concat());
    s.write("whole.npy", npy("(1, 64)", &sixteenths));
    assert_eq!(outputs("half.npy"), outputs("whole.npy"));
}

#[test]
fn a_softmax_at_the_end_can_be_left_out() {
    let s = Sandbox::new("softmax");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../circuits/tests/models/op_softmax.onnx");
    // Without the flag it is proven as it stands, for more lookups.
    let whole = s.json(&["compile", model, "-o", "m"]);
    assert!(!whole["report"]["notes"].to_string().contains("logits"), "{whole}");
    let seen = s.json(&["inspect", model, "--drop-softmax"]);
    assert_eq!(seen["supported"], true);
    assert!(seen["notes"][0].as_str().is_some_and(|n| n.contains("logits")), "{seen}");
    assert!(s.ok(&["inspect", model, "--drop-softmax"]).stdout.contains("What is proven are the values"));
    let v = s.json(&["compile", model, "--drop-softmax", "-o", "m"]);
    assert!(v["report"]["notes"].to_string().contains("logits"), "{v}");
    s.fails(2, &["estimate", "m", "--drop-softmax"], &["compiled already"]);
    // A model without one is what it was.
    let ids = [&[][..], &["--drop-softmax"]].map(|flags| {
        let fixed =
            ["compile", &cnn(), "--calibrate", &digits(), "--weight-bits", "8", "--activation-bits", "8", "-o", "m"];
        s.json(&[&fixed[..], flags].concat())["model_id"].clone()
    });
    assert_eq!(ids[0], ids[1]);
}

/// The name of the library that reads ONNX files helps nobody.
#[test]
fn no_message_names_the_engine() {
    let s = Sandbox::new("engine");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../circuits/tests/models");
    let names = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w.eq_ignore_ascii_case("tract"));
    let good = std::fs::read(mlp()).unwrap();
    let broken = (0..24).map(|i| {
        let mut b = good.clone();
        let at = 40 + i * 977 % (b.len() - 40);
        b[at] ^= 0x55;
        b
    });
    for (i, bytes) in broken.chain([good[..good.len() / 2].to_vec(), b"nonsense".to_vec()]).enumerate() {
        s.write("broken.onnx", bytes);
        let ran = s.assay(&["inspect", "broken.onnx"]);
        assert!(!names(&ran.stderr) && !names(&ran.stdout), "{i}: {ran:#?}");
    }
    let ran = s.assay(&["inspect", &format!("{folder}/op_nonzero.onnx")]);
    assert!(ran.code == 2 && !names(&ran.stderr) && !names(&ran.stdout), "{ran:#?}");
}

#[test]
fn the_warning_about_development_powers_is_short_and_appears_once() {
    let s = digits_proof("warning");
    for args in [
        vec!["run", "model", "input.json"],
        vec!["run", "model", "input.json", "--settle"],
        vec!["verify", "proof", "--key", "key"],
        vec!["prove", "model", "input.json", "-o", "p"],
    ] {
        let ran = s.ok(&args);
        let lines: Vec<&str> = ran.stderr.lines().filter(|l| l.contains("INSECURE")).collect();
        assert!(lines.len() == 1 && lines[0].len() <= 110, "{args:?}: {ran:#?}");
    }
}

/// Without a place to keep the secret that blinds weights, the same model would settle under another id each time.
#[test]
fn a_secret_that_cannot_be_kept_is_refused() {
    let mut s = digits_proof("no-cache");
    // A folder cannot be made inside of a file, not even by root.
    s.write("file", b"");
    s.use_cache(s.path("file").join("cache"));
    let settle = ["settle", "model", "input.json", "-o", "out.settled"];
    let said = s.fails(2, &settle, &["cannot be kept", "another settlement id", "--secret FILE", "ASSAY_CACHE"]);
    assert!(!said.contains("settlement id 0x"), "{said}");
    assert!(!s.path("out.settled").exists());
    let ran = s.fails(2, &[&settle[..], &["--secret", "file"]].concat(), &["32 bytes", "openssl rand -hex 32"]);
    assert!(ran.contains("cannot be used"), "{ran}");
}

/// A name that would make a terminal write over what it shows, or add a line to it.
#[test]
fn names_cannot_write_over_what_is_shown() {
    let s = Sandbox::new("names");
    for name in ["y\u{1b}[2K\u{1b}[1Avalid", "y\nvalid   1 inference", "y\u{9b}2K"] {
        let mut m = proto::Model::default();
        m.add(&proto::node("", "Relu", "r", &["x"], &[name], &[]));
        s.write("m.onnx", m.finish(&[("x", &[1, 2])], name));
        let said = s.fails(2, &["compile", "m.onnx", "-o", "m"], &["control characters"]);
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
    }
    // Of a node in between it is replaced.
    let mut m = proto::Model::default();
    m.add(&proto::node("", "Relu", "r\u{1b}[2K\nvalid", &["x"], &["r\u{1b}[2K"], &[]));
    m.add(&proto::node("", "Tanh", "t", &["r\u{1b}[2K"], &["y"], &[]));
    s.write("m.onnx", m.finish(&[("x", &[1, 2])], "y"));
    let said = s.ok(&["compile", "m.onnx", "-o", "m", "--accept-accuracy"]);
    let shown = s.ok(&["inspect", "m.onnx"]);
    for text in [said.stdout, said.stderr, shown.stdout, s.ok(&["show", "m"]).stdout] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

/// Steps are no part of a model's id: a key with others would have its proofs read in another way than they were made.
#[test]
fn a_key_describes_inputs_and_outputs_as_the_model_does() {
    let s = digits_proof("specs");
    let model = assay_circuits::model::Model::from_bytes(&s.read("model")).unwrap();
    for k in 0..2 {
        let mut other = model.clone();
        let specs = if k == 0 { &mut other.inputs } else { &mut other.outputs };
        specs[0].scale_bits += 1;
        assert_eq!(other.model_id().unwrap(), model.model_id().unwrap());
        s.write("other", other.to_bytes().unwrap());
        s.fails(2, &["prove", "other", "input.json", "--key", "key", "-o", "p"], &["otherwise than the model"]);
        assert!(!s.path("p").exists());
    }
}
