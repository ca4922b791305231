//! From the float model to the quantized one: lower, choose tables, compare.

use super::{
    calibrate::{Measured, Stats, check_samples, generate_samples, measure},
    convert::STAND_IN,
    equalize::Equalized,
    error::ImportError,
    guard::guarded,
    load::FloatModel,
    lower::{Lowering, Result, Widths},
    report::{Trace, Truth, Until, cause, compare},
    rounded::Rounded,
    tables::{Plan, choose_limb_bits},
    walk::{Settings, lower_model},
};
use crate::{
    graph::Graph,
    model::{Attempt, MAX_ERROR, MIN_AGREEMENT, Model, QuantReport},
    ops::Op,
    program::{Program, Visibility},
};
use std::rc::Rc;
use tract_onnx::prelude::{TypedModel, TypedNode};

/// How to quantize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileOptions {
    /// Width of weights, 2 to 16; `None` tries 8 to 14.
    pub weight_bits: Option<u32>,
    /// Width of activations, 4 to 14; `None` tries 8 to 13.
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
const ATTEMPTS: [(u32, u32); 6] = [(8, 8), (10, 9), (11, 10), (12, 11), (12, 12), (14, 13)];
/// Samples compared while searching for widths; at the end all are.
const SEARCH_SAMPLES: usize = 64;
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
    let mut rewritten = Equalized::new(model, typed)?;
    let made_up;
    let samples = match calibration {
        Some(s) if !s.is_empty() => s,
        _ => {
            // Made-up numbers are as a network likes them, which is normalized.
            let normal = generate_samples(model, options.seed, GENERATED_SAMPLES);
            made_up = normal.iter().map(|s| rewritten.denormalize(model, s)).collect::<Vec<_>>();
            &made_up
        }
    };
    check_samples(model, samples)?;
    let generated = calibration.is_none_or(<[_]>::is_empty);
    let mut measured = measure(model, typed, samples, generated, progress)?;
    if model.infinities {
        infinite_results(model, typed, &measured.stats())?;
    }
    let outputs = measured.outputs.clone();
    if rewritten.changed {
        measured = measure_rewritten(model, &rewritten, samples, generated, progress)?;
    }
    let before = std::mem::take(&mut rewritten.changed);
    guarded("equalizing channels", || rewritten.equalize(model, &mut measured.entries))?;
    if rewritten.changed {
        measured = measure_rewritten(model, &rewritten, samples, generated, progress)?;
    }
    rewritten.changed |= before;
    let stats = measured.stats();
    let truth = Truth { source: model, rewritten: &rewritten, samples, outputs: &outputs, measured: &measured };
    let attempts: Vec<(u32, u32)> = match (options.weight_bits, options.activation_bits) {
        (Some(w), Some(a)) => vec![(w, a)],
        (w, a) => {
            let mut v: Vec<_> = ATTEMPTS.iter().map(|(x, y)| (w.unwrap_or(*x), a.unwrap_or(*y))).collect();
            v.dedup();
            v
        }
    };
    let mut tried: Vec<Attempt> = vec![];
    let mut best: Option<(Model, Trace)> = None;
    let rounded = Rounded::default();
    // Widths that do not do are mostly given away by the first samples. Where none does, all are measured whole, to tell
    // which one is best.
    for whole in if attempts.len() > 1 { &[false, true][..] } else { &[true] } {
        (tried, best) = (vec![], None);
        let mut good = false;
        for (k, widths) in attempts.iter().enumerate() {
            let last = tried.last();
            if !whole && last.is_some_and(|t: &Attempt| hopeless(t, *widths)) {
                continue;
            }
            // The first widths are mostly too narrow; two samples take hardly longer than one where there are threads.
            let until = if *whole { Until::End } else { Until::Missed { first: 1 + usize::from(last.is_some()) } };
            progress("quantize", k as u64, attempts.len() as u64);
            let (mut candidate, trace) =
                attempt(&truth, (&stats, &rounded), *widths, (options, until), &mut tried, progress)?;
            good = candidate.report.is_near();
            if good && candidate.report.samples < samples.len() as u64 {
                // What does for the first samples may not do for all of them; wider ones may.
                candidate.report = compare(&truth, &candidate, &trace, samples.len(), Until::End, progress)?;
                good = candidate.report.is_near();
                if let Some(t) = tried.last_mut() {
                    *t = Attempt::of(*widths, &candidate.report);
                }
            }
            let better = best.as_ref().is_none_or(|(b, _)| quality(&candidate.report) > quality(&b.report));
            if good || (better && *whole) {
                best = Some((candidate, trace));
            }
            if good {
                break;
            }
        }
        if good {
            break;
        }
    }
    progress("quantize", attempts.len() as u64, attempts.len() as u64);
    let Some((mut out, trace)) = best else {
        return Err(ImportError::Malformed { reason: "no widths to try".to_owned() });
    };
    if out.report.samples < samples.len() as u64 {
        out.report = compare(&truth, &out, &trace, samples.len(), Until::End, progress)?;
    }
    if !out.report.is_near() {
        out.report.cause = cause(&truth, &out, &trace);
        // Advice is only worth giving if it was followed once.
        let wider = (trace.widths.weight.max(14), trace.widths.activation.max(12));
        if !tried.iter().any(|t| (t.weight_bits, t.activation_bits) == wider) {
            // What cannot be lowered at these widths is no advice.
            let _ = attempt(&truth, (&stats, &rounded), wider, (options, Until::End), &mut tried, progress);
        }
    }
    out.report.tried = tried;
    out.report.weight_bits = trace.widths.weight;
    out.report.activation_bits = trace.widths.activation;
    out.report.limits = trace.lookup_limits(&out.graph);
    out.report.generated = calibration.is_none_or(<[_]>::is_empty);
    out.report.notes = model.notes.clone();
    if out.report.generated {
        out.report.notes.push(
            "no calibration data: ranges come from made-up samples; give real ones for a dependable model".to_owned(),
        );
    }
    out.check_description()?;
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

/// Whether these widths miss the gate even if a bit more of either kind makes half of the error of an attempt. It makes less: in
/// the median of 74 models twice what this expects is left, and none of 308 got other widths for it than by trying all.
fn hopeless(before: &Attempt, (weight, activation): (u32, u32)) -> bool {
    let bits = weight.saturating_sub(before.weight_bits).max(activation.saturating_sub(before.activation_bits));
    before.max_error / f64::from(bits).exp2() > MAX_ERROR
}

/// Ranks attempts: agreement first, then error.
fn quality(r: &QuantReport) -> f64 {
    r.top1().min(MIN_AGREEMENT) - r.max_error()
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

/// Quantizes at given widths and measures the result on a few samples.
fn attempt(
    truth: &Truth<'_>,
    known: (&Stats, &Rounded),
    (weight, activation): (u32, u32),
    (options, until): (&CompileOptions, Until),
    tried: &mut Vec<Attempt>,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<(Model, Trace)> {
    let widths = Widths { weight, activation, limb: options.limb_bits.unwrap_or(8) };
    let (mut model, trace) =
        guarded("lowering the model", || quantize(truth.source, truth.rewritten, known, widths, options))?;
    model.report = compare(truth, &model, &trace, SEARCH_SAMPLES, until, progress)?;
    tried.push(Attempt::of((weight, activation), &model.report));
    Ok((model, trace))
}

fn measure_rewritten(
    model: &FloatModel,
    rewritten: &Equalized,
    samples: &[Vec<Vec<f32>>],
    generated: bool,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Measured> {
    let normal: Vec<_> = samples.iter().map(|s| rewritten.normalize(model, s)).collect();
    measure(model, &rewritten.model, &normal, generated, progress)
}

fn quantize(
    source: &FloatModel,
    typed: &Equalized,
    (stats, rounded): (&Stats, &Rounded),
    widths: Widths,
    options: &CompileOptions,
) -> Result<(Model, Trace)> {
    let mut widths = widths;
    let mut plan = Plan::default();
    let mut strict = |_: &mut Lowering<'_>, _: &TypedNode, e: ImportError| Err(e);
    let private_output = options.private_output;
    let settings = Settings { widths, private_output, plan: &plan, rounded };
    let mut out = lower_model(source, typed, stats, settings, &mut strict)?;
    // Tables widen ranges a little and limbs change what aligning costs: a second round settles both.
    for _ in 0..2 {
        let next = Plan::choose(out.requests.iter());
        let limb = options.limb_bits.unwrap_or_else(|| choose_limb_bits(&shifts(&out.graph)));
        if next == plan && limb == widths.limb {
            break;
        }
        plan = next;
        widths.limb = limb;
        let settings = Settings { widths, private_output, plan: &plan, rounded };
        out = lower_model(source, typed, stats, settings, &mut strict)?;
    }
    rounded.give_up();
    let model = Model {
        graph: out.graph,
        weights: out.weights.into_iter().map(Rc::unwrap_or_clone).collect(),
        inputs: out.inputs,
        outputs: out.outputs,
        report: QuantReport::default(),
    };
    Ok((model, Trace { widths, nodes: out.traces, limits: out.limits, steps: out.steps }))
}

/// Compiles with the narrowest widths from a few made-up samples, to see whether that can be done at all.
///
/// # Errors
/// Those of [`compile()`].
pub(super) fn rehearse(model: &FloatModel) -> Result<Model> {
    const SAMPLES: usize = 2;
    let typed = model.typed()?;
    let samples = generate_samples(model, 1, SAMPLES);
    let stats = measure(model, typed, &samples, true, &mut |_, _, _| {})?.stats();
    let widths = Widths { weight: 8, activation: 8, limb: 8 };
    let (out, _) = guarded("lowering the model", || {
        quantize(
            model,
            &Equalized::plain(model, typed),
            (&stats, &Rounded::default()),
            widths,
            &CompileOptions::default(),
        )
    })?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_passed_over_only_where_the_bits_more_are_too_few() {
        let before = |max_error: f64| Attempt { weight_bits: 8, activation_bits: 8, max_error, ..Attempt::default() };
        // Three bits more of one kind make an eighth at best.
        assert!(hopeless(&before(8.1 * MAX_ERROR), (11, 10)) && !hopeless(&before(7.9 * MAX_ERROR), (11, 10)));
        assert!(hopeless(&before(8.1 * MAX_ERROR), (10, 11)) && hopeless(&before(4.1 * MAX_ERROR), (10, 9)));
        // Widths that agree too seldom for another reason are no hint.
        assert!(!hopeless(&before(0.0), (10, 9)));
    }
}
