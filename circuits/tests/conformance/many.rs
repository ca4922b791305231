//! Models that are exact: every output of every sample is the runtime's, bit for bit.
//!
//! A folder holds `model.onnx`, `inputs.pb` and `outputs.pb`, whose first axis counts samples; `outputs_1.pb` and so on are further
//! outputs. The oracle is onnxruntime.

use super::tensor::{Values, read};
use assay_circuits::{
    Op,
    onnx::{CompileOptions, compile, load_bytes},
};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::TensorProto;

/// Samples that the compiler may see.
const CALIBRATION: usize = 50;

fn values(path: &Path) -> Option<Values> {
    read(&TensorProto::decode(&*std::fs::read(path).ok()?).ok()?)
}

/// From the smallest to the largest of the runtime's results.
pub(crate) fn range(folder: &Path) -> f64 {
    let all = values(&folder.join("outputs.pb")).expect("outputs").data;
    let ends = all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (v.min(lo), v.max(hi)));
    ends.1 - ends.0
}

/// Whether the gate takes a model, by the samples that the compiler may see; what is said where it is refused before.
pub(crate) fn taken(folder: &Path) -> Result<bool, String> {
    let bytes = std::fs::read(folder.join("model.onnx")).expect("the model can be read");
    let inputs = values(&folder.join("inputs.pb")).expect("inputs");
    let width = inputs.data.len() / inputs.shape[0];
    let all: Vec<f32> = inputs.data.iter().map(|v| *v as f32).collect();
    let samples: Vec<_> = all.chunks(width).take(CALIBRATION).map(|s| vec![s.to_vec()]).collect();
    let float = load_bytes(&bytes).map_err(|e| e.to_string())?;
    let model = compile(&float, &CompileOptions::default(), Some(&samples), &mut |_, _, _| ());
    model.map(|m| m.report.passes()).map_err(|e| e.to_string())
}

/// How far a model is from the runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Entries that differ.
    pub(crate) wrong: usize,
    /// Labels that differ.
    pub(crate) labels: usize,
    /// All entries.
    pub(crate) all: usize,
    /// The largest difference.
    pub(crate) largest: f64,
    /// Whether rows are gathered by data.
    pub(crate) gathers: bool,
}

/// Compiles a model with the given floats or labels, and compares all samples: how many entries of how many differ.
///
/// Outputs of integers (labels) are compared exactly. Returned are the entries that differ by more than the tolerance, those of the
/// labels among them, and all.
pub(crate) fn run(folder: &Path, tolerance: f64) -> Outcome {
    let bytes = std::fs::read(folder.join("model.onnx")).expect("the model can be read");
    let float = load_bytes(&bytes).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let inputs = values(&folder.join("inputs.pb")).expect("inputs");
    let n = inputs.shape[0];
    let width = inputs.data.len() / n;
    let sample =
        |i: usize| vec![inputs.data[i * width..(i + 1) * width].iter().map(|v| *v as f32).collect::<Vec<f32>>()];
    let samples: Vec<_> = (0..n).map(sample).collect();
    let model = compile(&float, &CompileOptions::default(), Some(&samples[..CALIBRATION.min(n)]), &mut |_, _, _| ())
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let expected: Vec<Values> = (0..model.outputs.len())
        .map(|k| folder.join(if k == 0 { "outputs.pb".to_owned() } else { format!("outputs_{k}.pb") }))
        .map(|p| values(&p).unwrap_or_else(|| panic!("{}", p.display())))
        .collect();
    let gathers = model.graph.nodes().iter().any(|n| matches!(n.op, Op::Gather(_)));
    let mut out = Outcome { gathers, ..Outcome::default() };
    for (i, s) in samples.iter().enumerate() {
        let (quantized, _) = model.quantize_all(s).expect("inputs fit");
        let run = model.eval(&quantized).expect("the graph can be run");
        for ((spec, t), e) in model.outputs.iter().zip(run.outputs(&model.graph)).zip(&expected) {
            let got = spec.dequantize(&t).expect("an output");
            let (of, exact) = (e.data.len() / n, e.exact);
            assert_eq!(got.len(), of, "{}", folder.display());
            for (g, e) in got.iter().zip(&e.data[i * of..(i + 1) * of]) {
                let error = (f64::from(*g) - e).abs();
                out.all += 1;
                out.labels += usize::from(exact && error != 0.0);
                out.wrong += usize::from(error > if exact { 0.0 } else { tolerance });
                out.largest = out.largest.max(error);
            }
        }
    }
    println!("{}: over {n} samples {out:?}", folder.display());
    out
}
