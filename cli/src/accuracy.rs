//! The accuracy report: as text, as JSON, and as a gate.

use crate::{
    App,
    error::{Failure, Outcome},
    output::count,
};
use assay_circuits::model::{Attempt, Cause, MAX_ERROR, MIN_AGREEMENT, Metric, Model, OutputReport, QuantReport};
use serde_json::{Value, json};

/// Refuses a model that was compiled now and is too far from the float model.
pub(crate) fn gate(app: &App, model: &Model, accept: bool) -> Outcome<()> {
    let r = &model.report;
    if r.passes() {
        return Ok(());
    }
    if accept {
        app.output.warn(format!("accepted although {}", shortfall(r)));
        return Ok(());
    }
    let cause = r.cause.as_ref().map(|c| format!("; {}", cause_text(c))).unwrap_or_default();
    Err(Failure::new(format!("{}{cause}", shortfall(r))).help(format!(
        "{}to use the model all the same, pass --accept-accuracy",
        advice(r).map(|a| format!("{a}; ")).unwrap_or_default()
    )))
}

/// Says so where a compiled model was accepted in spite of its accuracy.
pub(crate) fn remind(app: &App, model: &Model) {
    if !model.report.passes() {
        app.output.warn(format!("this model was accepted although {}", shortfall(&model.report)));
    }
}

fn percent(v: f64) -> String {
    format!("{:.2} %", 100.0 * v)
}

fn shortfall(r: &QuantReport) -> String {
    let none = OutputReport::default();
    let worst = r.worst().unwrap_or(&none);
    // Where one step of the output's type may be off, the mean is what misses the gate.
    let often = !worst.is_near() && worst.max_error <= worst.allowed();
    let mean = format!(", {} on average (at most {})", percent(worst.mean_error), percent(MAX_ERROR));
    format!(
        "the quantized model agrees with the float model on {} of {} samples (at least {} are asked for), with an error of \
         up to {} of an output's range (at most {}){}",
        percent(r.top1()),
        r.samples,
        percent(MIN_AGREEMENT),
        percent(worst.max_error),
        percent(worst.step.unwrap_or_default().max(MAX_ERROR)),
        if often { mean.as_str() } else { "" }
    )
}

/// What was tried and did better than what was chosen.
fn advice(r: &QuantReport) -> Option<String> {
    let chosen = |t: &&Attempt| (t.weight_bits, t.activation_bits) == (r.weight_bits, r.activation_bits);
    let given = r.tried.iter().find(chosen)?;
    let better =
        |t: &&Attempt| t.top1.min(MIN_AGREEMENT) - t.max_error > given.top1.min(MIN_AGREEMENT) - given.max_error;
    match r.tried.iter().filter(better).max_by(|a, b| (a.top1 - a.max_error).total_cmp(&(b.top1 - b.max_error))) {
        Some(t) => Some(format!(
            "--weight-bits {} --activation-bits {} was tried: {} agreement, error up to {}",
            t.weight_bits,
            t.activation_bits,
            percent(t.top1),
            percent(t.max_error)
        )),
        None => Some(format!("{} widths were tried and none did better", r.tried.len())),
    }
}

fn cause_text(c: &Cause) -> String {
    format!(
        "at '{}' channel {} reaches {:.3e} and leaves {:.1} steps to the others, which are about {:.3e}",
        c.node, c.channel, c.largest, c.steps, c.typical
    )
}

fn metric_name(m: Metric) -> &'static str {
    match m {
        Metric::Top1 => "top1",
        Metric::Sign => "sign",
        Metric::Threshold => "threshold",
        Metric::Regression => "regression",
    }
}

fn output_line(o: &OutputReport) -> String {
    let agreement = match o.metric {
        Metric::Top1 => format!("top-1 agreement {}", percent(o.top1)),
        Metric::Sign => format!("sign agreement {}", percent(o.top1)),
        Metric::Threshold => format!("agreement at 0.5 {}", percent(o.top1)),
        Metric::Regression => format!("explains {:.3} % of the variance", 100.0 * o.explained),
    };
    let class = o.worst_class.map(|(c, a)| format!(" (class {c}: {})", percent(a))).unwrap_or_default();
    let element = o.worst_element.map(|e| format!(" at element {e}")).unwrap_or_default();
    let step = o.step.map(|s| format!(" (one step of its type is {:.3} %)", 100.0 * s)).unwrap_or_default();
    format!(
        "  output '{}': {agreement}{class}, error of the range: mean {:.3} %, largest {:.3} %{element}{step}",
        o.name,
        100.0 * o.mean_error,
        100.0 * o.max_error
    )
}

/// The report as lines for people.
pub(crate) fn lines(model: &Model) -> Vec<String> {
    let r = &model.report;
    let kind = if r.generated { "made-up" } else { "calibration" };
    let mut out = vec![format!(
        "quantized to {}-bit weights and {}-bit activations; against the float model on {} {kind} samples:",
        r.weight_bits, r.activation_bits, r.samples
    )];
    out.extend(r.outputs.iter().map(output_line));
    if let Some((name, error)) = &r.worst_layer {
        out.push(format!("  worst layer '{name}': largest error {:.3} % of its range", 100.0 * error));
    }
    out.extend(r.cause.iter().map(|c| format!("  cause: {}", cause_text(c))));
    for (name, n) in &r.saturations {
        out.push(format!("  '{name}': {} values were clamped", count(*n)));
    }
    out.extend(r.notes.iter().map(|n| format!("  note: {n}")));
    out
}

/// The report on one line, for commands that have other things to say.
pub(crate) fn line(model: &Model) -> String {
    let r = &model.report;
    if r.generated || r.samples == 0 {
        return "accuracy was never measured on real inputs".to_owned();
    }
    format!(
        "accuracy {} agreement with the float model, error up to {} of the range ({} calibration samples)",
        percent(r.top1()),
        percent(r.max_error()),
        r.samples
    )
}

/// The report for programs.
pub(crate) fn to_json(model: &Model) -> Value {
    let r = &model.report;
    let output = |o: &OutputReport| {
        json!({
            "name": o.name,
            "metric": metric_name(o.metric),
            "top1": o.top1,
            "worst_class": o.worst_class.map(|(c, a)| json!({ "class": c, "agreement": a })),
            "mean_error": o.mean_error,
            "max_error": o.max_error,
            "worst_element": o.worst_element,
            "step": o.step,
            "explained_variance": o.explained,
            "range": o.range,
        })
    };
    let attempt = |t: &Attempt| {
        json!({
            "weight_bits": t.weight_bits,
            "activation_bits": t.activation_bits,
            "top1": t.top1,
            "max_error": t.max_error,
            "samples": t.samples,
        })
    };
    json!({
        "weight_bits": r.weight_bits,
        "activation_bits": r.activation_bits,
        "samples": r.samples,
        "generated": r.generated,
        "passes": r.passes(),
        "top1": r.top1(),
        "max_error": r.max_error(),
        "outputs": r.outputs.iter().map(output).collect::<Vec<_>>(),
        "worst_layer": r.worst_layer.as_ref().map(|(n, e)| json!({ "name": n, "max_error": e })),
        "cause": r.cause.as_ref().map(|c| json!({
            "node": c.node, "channel": c.channel, "largest": c.largest, "typical": c.typical, "steps": c.steps,
        })),
        "tried": r.tried.iter().map(attempt).collect::<Vec<_>>(),
        "saturations": r.saturations.iter().map(|(n, c)| json!({ "name": n, "count": c })).collect::<Vec<_>>(),
        "notes": r.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outputs: Vec<OutputReport>) -> QuantReport {
        QuantReport { samples: 50, outputs, ..QuantReport::default() }
    }

    fn output(max_error: f64, mean_error: f64, step: Option<f64>) -> OutputReport {
        let name = "y".to_owned();
        OutputReport { name, top1: 1.0, max_error, mean_error, step, metric: Metric::Regression, ..Default::default() }
    }

    #[test]
    fn an_error_of_one_step_is_shown_as_it_is_with_the_step() {
        let o = output(0.05, 0.001, Some(0.05));
        let line = output_line(&o);
        assert!(line.ends_with("mean 0.100 %, largest 5.000 % (one step of its type is 5.000 %)"), "{line}");
        assert!(report(vec![o]).passes());
        let line = output_line(&output(0.005, 0.001, None));
        assert!(line.ends_with("largest 0.500 %"), "{line}");
    }

    #[test]
    fn what_misses_the_gate_is_said_beside_what_is_allowed() {
        let one = output(0.05, 0.001, Some(0.05));
        for (other, text) in [
            (output(0.02, 0.001, None), "up to 2.00 % of an output's range (at most 1.00 %)"),
            (output(0.20, 0.001, Some(0.1)), "up to 20.00 % of an output's range (at most 10.00 %)"),
            (
                output(0.05, 0.02, Some(0.05)),
                "up to 5.00 % of an output's range (at most 5.00 %), 2.00 % on average (at most 1.00 %)",
            ),
        ] {
            // An output that may be further off does not stand for the one that misses.
            for outputs in [vec![one.clone(), other.clone()], vec![other, one.clone()]] {
                let r = report(outputs);
                let said = shortfall(&r);
                assert!(!r.passes() && said.ends_with(text), "{said}");
            }
        }
    }
}
