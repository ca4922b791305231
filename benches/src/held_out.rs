//! Inputs that calibration has not seen, and what the float model makes of them.

use crate::run::Failure;
use assay_circuits::{model::Model, onnx::load};
use npyz::npz::NpzArchive;
use serde_json::{Value, json};
use std::{fs::File, io::BufReader, path::Path};

fn open(path: &Path) -> Result<NpzArchive<BufReader<File>>, Failure> {
    Ok(NpzArchive::new(BufReader::new(File::open(path).map_err(|e| format!("{}: {e}", path.display()))?))?)
}

/// An array of floats or of 64-bit integers, as floats.
fn array(npz: &mut NpzArchive<BufReader<File>>, name: &str) -> Result<Option<Vec<f32>>, Failure> {
    let Some(array) = npz.by_name(name)? else { return Ok(None) };
    let npyz::DType::Plain(kind) = array.dtype() else { return Err(format!("'{name}' is a record").into()) };
    Ok(Some(match kind.type_char() {
        npyz::TypeChar::Float => array.into_vec()?,
        _ => array.into_vec::<i64>()?.into_iter().map(|v| v as f32).collect(),
    }))
}

/// Samples of a network's inputs, from arrays with their names.
pub(crate) fn named(onnx: &Path, path: &Path) -> Result<Vec<Vec<Vec<f32>>>, Failure> {
    let mut npz = open(path)?;
    let mut out: Vec<Vec<Vec<f32>>> = vec![];
    for (name, shape) in &load(onnx)?.inputs {
        let values = array(&mut npz, name)?.ok_or_else(|| format!("no array '{name}' in {}", path.display()))?;
        let len = shape.iter().product::<usize>().max(1);
        out.resize(values.len() / len, vec![]);
        out.iter_mut().zip(values.chunks_exact(len)).for_each(|(sample, v)| sample.push(v.to_vec()));
    }
    Ok(out)
}

/// The float model's first output, and where there is one the class that is right.
pub(crate) struct Expected {
    output: Vec<f32>,
    target: Option<Vec<f32>>,
}

/// The cross-entropy of a class, in nats.
fn surprise(logits: &[f64], class: usize) -> f64 {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|v| (v - top).exp()).sum();
    sum.ln() + top - logits.get(class).copied().unwrap_or(f64::NEG_INFINITY)
}

fn top(v: &[f64]) -> usize {
    (0..v.len()).fold(0, |best, i| if v[i] > v[best] { i } else { best })
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

impl Expected {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let mut npz = open(path)?;
        let output = array(&mut npz, "output")?.ok_or("no array 'output'")?;
        Ok(Self { output, target: array(&mut npz, "target")? })
    }

    /// Agreement of the largest entry, cosines, and perplexities where classes are known.
    pub(crate) fn compare(&self, model: &Model, samples: &[Vec<Vec<f32>>]) -> Result<Value, Failure> {
        let width = self.output.len() / samples.len().max(1);
        let (mut agree, mut least, mut sum) = (0usize, f64::INFINITY, 0.0);
        let (mut float_loss, mut integer_loss, mut float_right, mut integer_right) = (0.0, 0.0, 0usize, 0usize);
        for (i, sample) in samples.iter().enumerate() {
            let (inputs, _) = model.quantize_all(sample)?;
            let values = model.eval(&inputs)?;
            let outputs = values.outputs(&model.graph);
            let (spec, tensor) = model.outputs.iter().zip(&outputs).next().ok_or("a model without outputs")?;
            let got: Vec<f64> = spec.dequantize(tensor)?.into_iter().map(f64::from).collect();
            let want: Vec<f64> = self.output[i * width..(i + 1) * width].iter().map(|v| f64::from(*v)).collect();
            if got.len() != want.len() {
                return Err(format!("{} outputs, expected {}", got.len(), want.len()).into());
            }
            agree += usize::from(top(&got) == top(&want));
            let c = cosine(&got, &want);
            (least, sum) = (least.min(c), sum + c);
            if let Some(class) = self.target.as_ref().map(|t| t[i] as usize) {
                float_loss += surprise(&want, class);
                integer_loss += surprise(&got, class);
                float_right += usize::from(top(&want) == class);
                integer_right += usize::from(top(&got) == class);
            }
        }
        let n = samples.len() as f64;
        let mut out = json!({
            "samples": samples.len(),
            "top1_agreement": agree as f64 / n,
            "least_cosine": least,
            "mean_cosine": sum / n,
        });
        if self.target.is_some() {
            out["perplexity_float"] = json!((float_loss / n).exp());
            out["perplexity_integer"] = json!((integer_loss / n).exp());
            out["right_float"] = json!(float_right as f64 / n);
            out["right_integer"] = json!(integer_right as f64 / n);
        }
        Ok(out)
    }
}
