//! What PyTorch exports by default, from the file to a contract.

use super::common::{Sandbox, npy};

fn export(name: &str) -> String {
    format!("{}/../circuits/tests/pytorch/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn exports_are_settled() {
    let s = Sandbox::new("pytorch");
    // All four are proven; one of each exporter goes the whole way.
    for (name, shape, settled) in [
        ("mlp", "(1, 8)", false),
        ("cnn", "(1, 1, 8, 8)", false),
        ("residual_script", "(1, 3, 8, 8)", true),
        ("layernorm", "(1, 6)", true),
    ] {
        let n: usize = shape.split(|c: char| !c.is_ascii_digit()).filter_map(|d| d.parse::<usize>().ok()).product();
        let row: Vec<f32> = (0..n).map(|i| ((i * 37) % 23) as f32 / 11.5 - 1.0).collect();
        s.write("x.npy", npy(shape, &row));
        let (data, model) = (export(name.trim_end_matches("_script")).replace(".onnx", ".npz"), export(name));
        let args = ["run", &model, "x.npy", "--calibrate", &data];
        let v = s.json(&[&args[..], if settled { &["--settle"] } else { &[] }].concat());
        assert_eq!(v["valid"], true, "{name}: {v}");
        assert_eq!(v.get("gas").is_some() || v["settled"].get("gas").is_some(), settled, "{name}: {v}");
    }
}
