//! A bar for each network, cut by stage, as SVG.

use serde_json::Value;
use std::fmt::Write;

const COLOURS: [&str; 7] = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d"];
const STAGES: [&str; 7] = ["evaluate", "witness", "commit", "lookups", "operators", "reduction", "opening"];

/// Draws the shares of proving time of each line, with its total in seconds.
pub fn stages(lines: &[Value]) -> String {
    let (left, width, bar, gap) = (110.0, 560.0, 26.0, 16.0);
    let height = 70.0 + lines.len() as f64 * (bar + gap);
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">",
        left + width + 130.0
    );
    let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>");
    for (i, (stage, colour)) in STAGES.iter().zip(COLOURS).enumerate() {
        let x = left + i as f64 * 92.0;
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"14\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"25\">{stage}</text>", x + 17.0);
    }
    for (row, line) in lines.iter().enumerate() {
        let y = 50.0 + row as f64 * (bar + gap);
        let total = line["prove_seconds"].as_f64().unwrap_or(0.0).max(1e-9);
        let name = line["network"].as_str().unwrap_or("?");
        let _ = writeln!(svg, "<text x=\"8\" y=\"{}\">{name}</text>", y + 18.0);
        let mut x = left;
        for (stage, colour) in STAGES.iter().zip(COLOURS) {
            let share = line["prove_stages"][stage].as_f64().unwrap_or(0.0) / total * width;
            let _ =
                writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{share:.1}\" height=\"{bar}\" fill=\"{colour}\"/>");
            x += share;
        }
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{total:.3} s</text>", left + width + 10.0, y + 18.0);
    }
    svg.push_str("</svg>\n");
    svg
}
