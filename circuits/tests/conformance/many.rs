//! Models that are exact: every output of every sample is the runtime's, bit for bit.
//!
//! A folder holds `model.onnx`, `inputs.pb` and `outputs.pb`, whose first axis counts samples; `outputs_1.pb` and so on are further
//! outputs. The oracle is onnxruntime.

use super::tensor::{Values, read};
use assay_circuits::onnx::{CompileOptions, compile, load_bytes};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::TensorProto;

/// Samples that the compiler may see.
const CALIBRATION: usize = 50;

fn values(path: &Path) -> Option<Values> {
    read(&TensorProto::decode(&*std::fs::read(path).ok()?).ok()?)
}

/// Compiles a model with the given floats or labels, and compares all samples: how many entries of how many differ.
pub(crate) fn run(folder: &Path, tolerance: f64) -> (usize, usize) {
    let bytes = std::fs::read(folder.join("model.onnx")).expect("the model can be read");
    let float = load_bytes(&bytes).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let inputs = values(&folder.join("inputs.pb")).expect("inputs");
    let n = inputs.shape[0];
    let width = inputs.data.len() / n;
    let sample = |i: usize| vec![inputs.data[i * width..(i + 1) * width].iter().map(|v| *v as f32).collect::<Vec<f32>>()];
    let samples: Vec<_> = (0..n).map(sample).collect();
    let model = compile(&float, &CompileOptions::default(), Some(&samples[..CALIBRATION.min(n)]), &mut |_, _, _| ())
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let expected: Vec<Values> = (0..model.outputs.len())
        .map(|k| folder.join(if k == 0 { "outputs.pb".to_owned() } else { format!("outputs_{k}.pb") }))
        .map(|p| values(&p).unwrap_or_else(|| panic!("{}", p.display())))
        .collect();
    let (mut wrong, mut all) = (0, 0);
    for (i, s) in samples.iter().enumerate() {
        let (quantized, _) = model.quantize_all(s).expect("inputs fit");
        let run = model.eval(&quantized).expect("the graph can be run");
        for ((spec, t), e) in model.outputs.iter().zip(run.outputs(&model.graph)).zip(&expected) {
            let got = spec.dequantize(&t).expect("an output");
            let of = e.data.len() / n;
            assert_eq!(got.len(), of, "{}", folder.display());
            for (g, e) in got.iter().zip(&e.data[i * of..(i + 1) * of]) {
                all += 1;
                wrong += usize::from((f64::from(*g) - e).abs() > tolerance);
            }
        }
    }
    println!("{}: {wrong} of {all} entries differ over {n} samples", folder.display());
    (wrong, all)
}
