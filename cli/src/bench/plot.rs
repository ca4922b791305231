//! Throughput as SVG: a bar for each case, on a logarithmic scale, cut by the shares of the prover's stages.

use std::fmt::Write;

const COLOURS: [&str; 9] =
    ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#eeca3b", "#bab0ac"];

/// One bar.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) per_second: f64,
    /// Names and shares of the stages; they add up to 1.
    pub(crate) shares: Vec<(&'static str, f64)>,
}

/// Text as XML has it.
fn escaped(text: &str) -> String {
    let clean = text.chars().filter(|c| !c.is_control());
    clean.fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}

/// Draws the bars. The axis runs from the power of ten below the slowest case to the one above the fastest.
pub(crate) fn bars(bars: &[Bar]) -> String {
    let (left, width, high, gap, top) = (330.0, 520.0, 22.0, 10.0, 62.0);
    let rates = || bars.iter().map(|b| b.per_second.max(1e-9));
    let low = (rates().reduce(f64::min).unwrap_or(1.0).log10() - 0.01).floor();
    let most = rates().reduce(f64::max).unwrap_or(1.0).log10().ceil().max(low + 1.0);
    let x = |rate: f64| left + (rate.max(1e-9).log10() - low) / (most - low) * width;
    let height = top + bars.len() as f64 * (high + gap) + 40.0;
    let mut stages: Vec<&str> = Vec::new();
    for (stage, _) in bars.iter().flat_map(|b| &b.shares) {
        if !stages.contains(stage) {
            stages.push(stage);
        }
    }
    let colour = |stage: &str| COLOURS[stages.iter().position(|s| *s == stage).unwrap_or(0) % COLOURS.len()];
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">",
        left + width + 110.0
    );
    let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>");
    let _ =
        writeln!(svg, "<text x=\"8\" y=\"20\" font-size=\"14\">inferences a second, by stages of the prover</text>");
    for (i, stage) in stages.iter().enumerate() {
        let at = 8.0 + i as f64 * 98.0;
        let _ = writeln!(svg, "<rect x=\"{at}\" y=\"32\" width=\"11\" height=\"11\" fill=\"{}\"/>", colour(stage));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"42\">{}</text>", at + 15.0, escaped(stage));
    }
    for power in low as i32..=most as i32 {
        let at = x(10f64.powi(power));
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
            height - 30.0
        );
        let label = if power < 0 { format!("{}", 10f64.powi(power)) } else { format!("{}", 10u64.pow(power as u32)) };
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", height - 14.0);
    }
    for (i, bar) in bars.iter().enumerate() {
        let y = top + i as f64 * (high + gap) + gap / 2.0;
        let _ = writeln!(svg, "<text x=\"8\" y=\"{}\">{}</text>", y + 15.0, escaped(&bar.name));
        let (mut at, length) = (left, x(bar.per_second) - left);
        for (stage, share) in &bar.shares {
            let part = share * length;
            let _ = writeln!(
                svg,
                "<rect x=\"{at:.1}\" y=\"{y}\" width=\"{part:.1}\" height=\"{high}\" fill=\"{}\"/>",
                colour(stage)
            );
            at += part;
        }
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\">{:.1}/s</text>", at + 6.0, y + 15.0, bar.per_second);
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_logarithm() {
        let bar = |name: &str, per_second| Bar { name: name.to_owned(), per_second, shares: vec![("commit", 1.0)] };
        let svg = bars(&[bar("slow <&> \"x\"\u{7}", 1.0), bar("fast", 100.0), bar("middle", 10.0)]);
        let lengths: Vec<f64> = svg
            .lines()
            .filter(|l| l.contains("height=\"22\""))
            .map(|l| l.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(lengths, [173.3, 520.0, 346.7]);
        assert!(svg.contains("slow &lt;&amp;&gt; &quot;x&quot;<") && svg.matches("<svg").count() == 1);
        assert!(!bars(&[]).contains("NaN"));
    }
}
