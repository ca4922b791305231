//! One node test: compile, run the integer interpreter, compare with the expected outputs.

use super::tensor::{Values, read};
use assay_circuits::onnx::{CompileOptions, ImportError, compile, load_bytes};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::{ModelProto, TensorProto, type_proto};

/// What became of a case.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Every output is right.
    Right,
    /// The importer says that it cannot, and why.
    Refused(String),
    /// An output is wrong.
    Wrong(String),
}

/// Largest error of a float output, relative to its largest magnitude.
const TOLERANCE: f64 = 0.01;

/// Runs a case as it is; where that is refused, once more with the integer and boolean inputs (shapes, axes, indices) as
/// constants, the way exporters write them (where all are integers, but for the first); and where that is refused as well, with
/// all inputs as constants but for the first (scales, kernels, zero points).
pub(crate) fn run(folder: &Path) -> Verdict {
    let bytes = std::fs::read(folder.join("model.onnx")).expect("the model can be read");
    let Ok(proto) = ModelProto::decode(&*bytes) else { return Verdict::Refused("unreadable protobuf".to_owned()) };
    let Some(graph) = &proto.graph else { return Verdict::Refused("no graph".to_owned()) };
    let tensors = graph.input.iter().chain(&graph.output).all(|v| {
        let value = v.r#type.as_ref().and_then(|t| t.value.as_ref());
        matches!(value, Some(type_proto::Value::TensorType(t)) if t.elem_type != 8)
    });
    if !tensors {
        return Verdict::Refused("an input or output is no tensor of numbers".to_owned());
    }
    let set = folder.join("test_data_set_0");
    let file = |kind: &str, i: usize| -> Option<TensorProto> {
        TensorProto::decode(&*std::fs::read(set.join(format!("{kind}_{i}.pb"))).ok()?).ok()
    };
    let mut inputs: Vec<(String, TensorProto)> = Vec::new();
    for (i, v) in graph.input.iter().enumerate() {
        let Some(t) = file("input", i) else { continue };
        inputs.push((v.name.clone(), t));
    }
    let mut expected = Vec::new();
    for (i, v) in graph.output.iter().enumerate() {
        let Some(values) = file("output", i).as_ref().and_then(read) else {
            return Verdict::Refused("an expected output of a type without numbers".to_owned());
        };
        expected.push((v.name.clone(), values));
    }
    let first = attempt(&bytes, &inputs, &expected);
    let integral = |t: &TensorProto| matches!(t.data_type, 2..=7 | 9 | 12 | 13);
    let all = inputs.iter().all(|(_, t)| integral(t));
    let integers: Vec<bool> = inputs.iter().enumerate().map(|(i, (_, t))| integral(t) && !(all && i == 0)).collect();
    let rest: Vec<bool> = (0..inputs.len()).map(|i| i > 0).collect();
    let mut verdict = first;
    for baked in [integers, rest] {
        if !matches!(verdict, Verdict::Refused(_)) || !baked.contains(&true) {
            continue;
        }
        let next = attempt_with(&proto, &inputs, &baked, &expected);
        // What is refused either way is refused for the reason that it has as it is.
        if !matches!(next, Verdict::Refused(_)) {
            verdict = next;
        }
    }
    verdict
}

/// A case with some of its inputs as constants.
fn attempt_with(
    proto: &ModelProto,
    inputs: &[(String, TensorProto)],
    baked: &[bool],
    expected: &[(String, Values)],
) -> Verdict {
    let mut proto = proto.clone();
    let (held, rest): (Vec<_>, Vec<_>) = inputs.iter().zip(baked).partition(|(_, b)| **b);
    if let Some(graph) = proto.graph.as_mut() {
        graph.input.retain(|v| !held.iter().any(|((n, _), _)| *n == v.name));
        graph.initializer.extend(held.iter().map(|((n, t), _)| TensorProto { name: n.clone(), ..t.clone() }));
    }
    let rest: Vec<_> = rest.into_iter().map(|(i, _)| i.clone()).collect();
    attempt(&proto.encode_to_vec(), &rest, expected)
}

fn attempt(bytes: &[u8], inputs: &[(String, TensorProto)], expected: &[(String, Values)]) -> Verdict {
    let exact: Vec<bool> = expected.iter().map(|(_, e)| e.exact).collect();
    match outputs(bytes, inputs, &exact) {
        Ok(got) => compare(&got, expected),
        Err(why) => Verdict::Refused(why),
    }
}

type Named = (String, Vec<usize>, Vec<f32>);

fn outputs(bytes: &[u8], inputs: &[(String, TensorProto)], exact: &[bool]) -> Result<Vec<Named>, String> {
    let text = |e: ImportError| e.to_string().replace('\n', " ").chars().take(220).collect::<String>();
    let float = load_bytes(bytes).map_err(text)?;
    let mut sample = Vec::new();
    for (name, _) in &float.inputs {
        let t = inputs.iter().find(|(n, _)| n == name).ok_or(format!("no value for the input '{name}'"))?;
        let values = read(&t.1).ok_or("an input of a type without numbers")?;
        sample.push(values.data.iter().map(|v| *v as f32).collect::<Vec<f32>>());
    }
    let options = CompileOptions { weight_bits: Some(16), activation_bits: Some(14), ..CompileOptions::default() };
    let model = compile(&float, &options, Some(&[sample.clone()]), &mut |_, _, _| ()).map_err(text)?;
    if model.outputs.len() != exact.len() {
        return Err(format!("constant outputs are left out: {}", float.notes.join("; ")));
    }
    for (report, exact) in model.report.outputs.iter().zip(exact) {
        if report.max_error > if *exact { 0.0 } else { TOLERANCE } {
            return Err(format!("too inaccurate: the report itself says {:.2e}", report.max_error));
        }
    }
    let (quantized, _) = model.quantize_all(&sample).map_err(|e| e.to_string())?;
    let values = model.eval(&quantized).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    for (spec, t) in model.outputs.iter().zip(values.outputs(&model.graph)) {
        out.push((spec.name.clone(), spec.shape.clone(), spec.dequantize(&t).map_err(|e| e.to_string())?));
    }
    Ok(out)
}

fn compare(got: &[Named], expected: &[(String, Values)]) -> Verdict {
    for (name, e) in expected.iter().filter(|(n, _)| !n.is_empty()) {
        let Some((_, shape, values)) = got.iter().find(|(n, _, _)| n == name) else {
            return Verdict::Wrong(format!("there is no output '{name}'"));
        };
        if *shape != e.shape {
            return Verdict::Wrong(format!("'{name}' has shape {shape:?}, expected {:?}", e.shape));
        }
        let top = e.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let allowed = if e.exact { 0.0 } else { TOLERANCE * top + 1e-6 };
        for (i, (g, e)) in values.iter().zip(&e.data).enumerate() {
            let error = (f64::from(*g) - e).abs();
            if error.is_nan() || error > allowed {
                return Verdict::Wrong(format!("'{name}' at {i} is {g}, expected {e} (largest {top})"));
            }
        }
    }
    Verdict::Right
}
