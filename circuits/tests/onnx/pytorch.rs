//! Networks as PyTorch exports them, by both of its exporters. `circuits/tests/pytorch/export.py` makes them.

use crate::support::{npz, path};
use assay_circuits::onnx::{CompileOptions, compile, inspect, load};

const NETWORKS: [&str; 4] = ["mlp", "cnn", "residual", "layernorm"];

#[test]
fn default_exports_compute_what_pytorch_does() {
    for name in NETWORKS {
        let data = npz(&format!("circuits/tests/pytorch/{name}.npz"));
        for file in [name.to_owned(), format!("{name}_script")] {
            let float = load(path(&format!("circuits/tests/pytorch/{file}.onnx"))).expect("the model loads");
            assert!(inspect(&float).supported(), "{file}: {:?}", inspect(&float));
            let n: usize = float.inputs[0].1.iter().product();
            let rows: Vec<Vec<Vec<f32>>> = data["x"].1.chunks(n).map(|r| vec![r.to_vec()]).collect();
            let outputs = data["y"].1.len() / rows.len();
            // Half of the rows calibrate, all are compared with PyTorch's own results.
            let model = compile(&float, &CompileOptions::default(), Some(&rows[..16]), &mut |_, _, _| {});
            let model = model.unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(model.report.passes(), "{file}: {:?}", model.report);
            let (lo, hi) =
                data["y"].1.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            for (x, y) in rows.iter().zip(data["y"].1.chunks(outputs)) {
                for (have, want) in float.run(x).expect("the float model runs")[0].iter().zip(y) {
                    assert!((have - want).abs() <= 1e-4 * (1.0 + want.abs()), "{file}: {have} for {want}");
                }
                let (q, _) = model.quantize_all(x).expect("finite");
                let got = model.eval(&q).expect("evaluates").outputs(&model.graph);
                let got = model.dequantize(&model.outputs[0], &got[0]).expect("its shape");
                for (have, want) in got.iter().zip(y) {
                    assert!((have - want).abs() <= 0.03 * (hi - lo), "{file}: proven {have} for {want}");
                }
            }
        }
    }
}
