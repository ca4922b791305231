//! From the float model to the quantized one: lower, choose tables, compare.

use super::{
    calibrate::{Stats, check_samples, generate_samples, measure},
    convert::STAND_IN,
    error::ImportError,
    guard::guarded,
    load::FloatModel,
    lower::{Lowering, Result, Widths},
    report::{Trace, compare},
    tables::{Plan, choose_limb_bits},
    walk::lower_model,
};
use crate::{
    graph::Graph,
    model::{Model, QuantReport},
    ops::Op,
    program::{Program, Visibility},
};
use tract_onnx::prelude::{TypedModel, TypedNode};

/// How to quantize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileOptions {
    /// Width of weights, 2 to 16; `None` tries 8 to 12.
    pub weight_bits: Option<u32>,
    /// Width of activations, 4 to 14; `None` tries 8 to 12.
    pub activation_bits: Option<u32>,
    /// Whether outputs are rounded to the activation width by a lookup, instead of being raw accumulators.
    pub private_output: bool,
    /// Seed of the samples that stand in for missing calibration data.
    pub seed: u64,
    /// Width of a remainder's limb, 4 to 16; `None` chooses the cheapest.
    pub limb_bits: Option<u32>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self { weight_bits: None, activation_bits: None, private_output: false, seed: 1, limb_bits: None }
    }
}

/// Widths (weights, activations) that are tried in turn.
const ATTEMPTS: [(u32, u32); 5] = [(8, 8), (10, 9), (11, 10), (12, 11), (12, 12)];
/// An attempt is good enough from this top-1 agreement on.
const TARGET_TOP1: f64 = 0.99;
/// And up to this error, relative to the output's range.
const TARGET_ERROR: f64 = 0.01;
/// Samples compared while searching for widths, and at the end.
const SEARCH_SAMPLES: usize = 32;
const REPORT_SAMPLES: usize = 512;
const GENERATED_SAMPLES: usize = 32;

/// Calibration data: for each sample, for each input, its values in row-major order.
pub type Samples<'a> = &'a [Vec<Vec<f32>>];

/// Quantizes a float model.
///
/// `progress(stage, done, total)` is called as work advances.
///
/// # Errors
/// An operator that cannot be proven, calibration data that does not fit, widths out of range, or a model whose worst-case
/// values leave 61 bits.
pub fn compile(
    model: &FloatModel,
    options: &CompileOptions,
    calibration: Option<Samples<'_>>,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Model> {
    check_options(options)?;
    let typed = model.typed()?;
    let made_up;
    let samples = match calibration {
        Some(s) if !s.is_empty() => s,
        _ => {
            made_up = generate_samples(model, options.seed, GENERATED_SAMPLES);
            &made_up
        }
    };
    check_samples(model, samples)?;
    let generated = calibration.is_none_or(<[_]>::is_empty);
    let stats = measure(model, typed, samples, generated, progress)?;
    if model.infinities {
        infinite_results(model, typed, &stats)?;
    }
    let attempts: Vec<(u32, u32)> = match (options.weight_bits, options.activation_bits) {
        (Some(w), Some(a)) => vec![(w, a)],
        (w, a) => {
            let mut v: Vec<_> = ATTEMPTS.iter().map(|(x, y)| (w.unwrap_or(*x), a.unwrap_or(*y))).collect();
            v.dedup();
            v
        }
    };
    let mut best: Option<(Model, Trace)> = None;
    for (k, (weight, activation)) in attempts.iter().enumerate() {
        progress("quantize", k as u64, attempts.len() as u64);
        let widths = Widths { weight: *weight, activation: *activation, limb: options.limb_bits.unwrap_or(8) };
        let (mut candidate, trace) = guarded("lowering the model", || quantize(model, typed, &stats, widths, options))?;
        if attempts.len() > 1 {
            let few = &samples[..samples.len().min(SEARCH_SAMPLES)];
            candidate.report = compare(model, typed, &candidate, &trace, few, progress)?;
        }
        let good = candidate.report.top1() >= TARGET_TOP1 && candidate.report.max_error() <= TARGET_ERROR;
        let better = best.as_ref().is_none_or(|(b, _)| quality(&candidate.report) > quality(&b.report));
        if good || better {
            best = Some((candidate, trace));
        }
        if good && attempts.len() > 1 {
            break;
        }
    }
    progress("quantize", attempts.len() as u64, attempts.len() as u64);
    let Some((mut out, trace)) = best else {
        return Err(ImportError::Malformed { reason: "no widths to try".to_owned() });
    };
    let reported = &samples[..samples.len().min(REPORT_SAMPLES)];
    out.report = compare(model, typed, &out, &trace, reported, progress)?;
    out.report.weight_bits = trace.widths.weight;
    out.report.activation_bits = trace.widths.activation;
    out.report.limits = trace.lookup_limits(&out.graph);
    out.report.generated = calibration.is_none_or(<[_]>::is_empty);
    out.report.notes = model.notes.clone();
    if reported.len() < samples.len() {
        out.report.notes.push(format!(
            "ranges come from all {} calibration samples, the accuracy from the first {}",
            samples.len(),
            reported.len()
        ));
    }
    if out.report.generated {
        out.report.notes.push(
            "no calibration data: ranges come from made-up samples; give real ones for a dependable model".to_owned(),
        );
    }
    out.validate()?;
    // Rehearses the proof's layout: what compiles can be proven.
    Program::inference(&out.graph, 1, Visibility::default())?;
    Ok(out)
}

/// Refuses a model in which an infinity reaches an output.
fn infinite_results(source: &FloatModel, model: &TypedModel, stats: &Stats) -> Result<()> {
    for (name, outlet) in source.outputs.iter().zip(&model.outputs) {
        let (lo, hi) = stats.range(*outlet);
        if hi.max(-lo) >= f64::from(STAND_IN) / 2.0 {
            let reason = "an infinite constant reaches this output; it cannot be proven".to_owned();
            return Err(ImportError::Tensor { tensor: name.clone(), reason });
        }
    }
    Ok(())
}

/// Ranks attempts: agreement first, then error.
fn quality(r: &QuantReport) -> f64 {
    r.top1().min(TARGET_TOP1) - r.max_error()
}

fn check_options(o: &CompileOptions) -> Result<()> {
    let check =
        |name: &'static str, v: Option<u32>, range: std::ops::RangeInclusive<u32>, allowed: &'static str| match v {
            Some(v) if !range.contains(&v) => {
                Err(ImportError::Option { name, got: v.to_string(), allowed: allowed.to_owned() })
            }
            _ => Ok(()),
        };
    check("weight_bits", o.weight_bits, 2..=16, "2 to 16")?;
    check("activation_bits", o.activation_bits, 4..=14, "4 to 14")?;
    check("limb_bits", o.limb_bits, 4..=16, "4 to 16")
}

fn quantize(
    source: &FloatModel,
    typed: &TypedModel,
    stats: &Stats,
    widths: Widths,
    options: &CompileOptions,
) -> Result<(Model, Trace)> {
    let mut widths = widths;
    let mut plan = Plan::default();
    let mut strict = |_: &mut Lowering<'_>, _: &TypedNode, e: ImportError| Err(e);
    let mut out = lower_model(source, typed, stats, widths, options.private_output, &plan, &mut strict)?;
    // Tables widen ranges a little and limbs change what aligning costs: a second round settles both.
    for _ in 0..2 {
        let next = Plan::choose(out.requests.iter());
        let limb = options.limb_bits.unwrap_or_else(|| choose_limb_bits(&shifts(&out.graph)));
        if next == plan && limb == widths.limb {
            break;
        }
        plan = next;
        widths.limb = limb;
        out = lower_model(source, typed, stats, widths, options.private_output, &plan, &mut strict)?;
    }
    let model = Model {
        graph: out.graph,
        weights: out.weights,
        inputs: out.inputs,
        outputs: out.outputs,
        report: QuantReport::default(),
    };
    Ok((model, Trace { widths, nodes: out.traces, limits: out.limits }))
}

/// Compiles with the narrowest widths from a few made-up samples, to see whether that can be done at all.
///
/// # Errors
/// Those of [`compile()`].
pub(super) fn rehearse(model: &FloatModel) -> Result<Model> {
    const SAMPLES: usize = 2;
    let typed = model.typed()?;
    let samples = generate_samples(model, 1, SAMPLES);
    let stats = measure(model, typed, &samples, true, &mut |_, _, _| {})?;
    let widths = Widths { weight: 8, activation: 8, limb: 8 };
    let (out, _) =
        guarded("lowering the model", || quantize(model, typed, &stats, widths, &CompileOptions::default()))?;
    out.validate()?;
    Program::inference(&out.graph, 1, Visibility::default())?;
    Ok(out)
}

fn shifts(graph: &Graph) -> Vec<(u32, u64)> {
    graph
        .nodes()
        .iter()
        .filter_map(|n| match &n.op {
            Op::Lookup(l) => Some((l.shift, n.shape.iter().product::<usize>() as u64)),
            _ => None,
        })
        .collect()
}
