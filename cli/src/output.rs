//! Where results go: text for people, one JSON object a line for programs, or the program that this one runs inside of.

use crate::{
    embed::Host,
    error::{Exit, Failure},
};
use serde_json::{Map, Value, json};
use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

/// How to talk to the caller.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    warnings: Mutex<Vec<String>>,
    /// Whether values that leave the calibrated range are an error (`--strict`).
    pub(crate) strict: AtomicBool,
    /// Gets what would be printed.
    pub(crate) host: Option<Arc<Host>>,
}

/// Fields of a JSON line.
pub(crate) type Fields = Map<String, Value>;

/// Writes a line; a reader that went away is no reason to fail.
fn line(stream: &mut dyn Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(b"\n")).and_then(|()| stream.flush());
}

/// Text with its control characters spelled out, but for ends of lines: names come from whoever made a file, and a terminal obeys them.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, ..Self::default() }
    }

    /// Nothing is printed: the result, warnings and progress go to the host.
    pub(crate) fn embedded(host: Arc<Host>) -> Self {
        Self { json: true, host: Some(host), ..Self::default() }
    }

    /// All warnings so far.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().map(|w| w.clone()).unwrap_or_default()
    }

    /// A line for people, on standard output.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        if !self.json && !self.quiet {
            line(&mut std::io::stdout(), &visible(text.as_ref()));
        }
    }

    /// A line that is the purpose of the command: standard output, even with `--quiet`.
    pub(crate) fn answer(&self, text: impl AsRef<str>) {
        if !self.json {
            line(&mut std::io::stdout(), &visible(text.as_ref()));
        }
    }

    /// A warning: standard error, or a JSON line.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        if let Ok(mut w) = self.warnings.lock() {
            if w.contains(&text) {
                return;
            }
            w.push(text.clone());
        }
        if self.json {
            self.event("warning", json!({ "message": text }));
        } else if !self.quiet {
            line(&mut std::io::stderr(), &visible(&format!("warning: {text}")));
        }
    }

    /// A JSON line about progress.
    pub(crate) fn event(&self, name: &str, fields: Value) {
        if self.json {
            let mut all = Fields::new();
            all.insert("event".to_owned(), name.into());
            if let Value::Object(fields) = fields {
                all.extend(fields);
            }
            match &self.host {
                Some(host) => host.event(name, all),
                None => line(&mut std::io::stdout(), &Value::Object(all).to_string()),
            }
        }
    }

    /// The last JSON line: the result of the command, with peak memory and all warnings.
    pub(crate) fn result(&self, fields: Value) {
        let mut all = Fields::new();
        if let Value::Object(fields) = fields {
            all.extend(fields);
        }
        all.insert("peak_memory_bytes".to_owned(), peak_memory_bytes().map_or(Value::Null, Value::from));
        all.insert("warnings".to_owned(), json!(self.warnings()));
        self.event("result", Value::Object(all));
    }

    /// The last words of a command that failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let valid = if failure.exit == Exit::Invalid { Value::Bool(false) } else { Value::Null };
            self.event("error", json!({ "valid": valid, "error": failure.message, "help": failure.help }));
            return;
        }
        let failure = &Failure { message: visible(&failure.message), help: visible(&failure.help), exit: failure.exit };
        let mut text = String::new();
        let theme = if std::io::stderr().is_terminal() && !plain() {
            miette::GraphicalTheme::unicode()
        } else {
            miette::GraphicalTheme::unicode_nocolor()
        };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false);
        if handler.render_report(&mut text, failure).is_err() {
            text = format!("error: {failure}");
        }
        line(&mut std::io::stderr(), text.trim_end());
    }
}

/// Whether the terminal is to get text alone: it says that it can do no more, or the user asks for no colours
/// (<https://no-color.org>).
pub(crate) fn plain() -> bool {
    is_plain(|name| std::env::var(name).ok())
}

fn is_plain(var: impl Fn(&str) -> Option<String>) -> bool {
    var("TERM").is_some_and(|t| t == "dumb") || var("NO_COLOR").is_some_and(|v| !v.is_empty())
}

/// The largest resident size of this process so far, where the system tells.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|k| k * 1024)
}

/// Forgets the largest resident size, where the system lets a process do so.
pub(crate) fn reset_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// "1.2 s", "350 ms".
pub(crate) fn seconds(s: f64) -> String {
    match s {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{:.0} min {:.0} s", (s / 60.0).floor(), s % 60.0),
    }
}

/// "3.4 kB", "12 MB": powers of a thousand.
pub(crate) fn bytes(n: u64) -> String {
    let x = n as f64;
    match n {
        0..1_000 => format!("{n} B"),
        1_000..10_000 => format!("{:.1} kB", x / 1e3),
        10_000..1_000_000 => format!("{:.0} kB", x / 1e3),
        1_000_000..10_000_000 => format!("{:.1} MB", x / 1e6),
        10_000_000..1_000_000_000 => format!("{:.0} MB", x / 1e6),
        _ => format!("{:.1} GB", x / 1e9),
    }
}

/// 1234567 as "1,234,567".
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

/// Rows of cells as aligned text; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut text = String::from(" ");
        for (cell, w) in row.iter().zip(&widths) {
            text.push(' ');
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', w - cell.chars().count() + 1));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out.pop();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1234567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1234), "1.2 kB");
        assert_eq!(bytes(12_345_678), "12 MB");
        assert_eq!(seconds(0.0123), "12 ms");
        assert_eq!(seconds(61.25), "61.2 s");
        assert_eq!(seconds(125.0), "2 min 5 s");
    }

    #[test]
    fn terminals_that_can_do_nothing_get_plain_text() {
        let with = |name: &'static str, value: &'static str| move |n: &str| (n == name).then(|| value.to_owned());
        assert!(is_plain(with("TERM", "dumb")) && is_plain(with("NO_COLOR", "1")));
        assert!(!is_plain(with("TERM", "xterm")) && !is_plain(with("NO_COLOR", "")) && !is_plain(|_| None));
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".into(), "bcd".into()], vec!["long".into(), "e".into()]];
        assert_eq!(table(&rows), "  a     bcd\n  long  e");
    }
}
