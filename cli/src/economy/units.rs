//! Amounts and times as people write them.

use assay_contracts::{U256, economy::amount};

/// An amount in tokens, for arguments; at most 96 bits, as contracts store them.
pub(crate) fn tokens(text: &str) -> Result<u128, String> {
    let units = amount::parse(text).ok_or("expected an amount of tokens, like 2 or 0.25 (18 decimals)")?;
    u128::try_from(units).ok().filter(|u| *u < 1 << 96).ok_or_else(|| "too many tokens".to_owned())
}

/// An amount with its name.
pub(crate) fn shown(units: impl TryInto<U256>) -> String {
    let units = units.try_into().unwrap_or(U256::MAX);
    format!("{} ASSAY", amount::tokens(units))
}

/// A duration, for arguments: `90`, `90s`, `15m`, `2h`, `7d`; in seconds.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    let bad = || "expected a duration, like 90s, 15m, 2h or 7d".to_owned();
    let text = text.trim();
    let (digits, factor) = match text.chars().last().ok_or_else(bad)? {
        's' => (text.trim_end_matches('s'), 1),
        'm' => (text.trim_end_matches('m'), 60),
        'h' => (text.trim_end_matches('h'), 3_600),
        'd' => (text.trim_end_matches('d'), 86_400),
        _ => (text, 1),
    };
    let number: u64 = digits.trim().parse().map_err(|_| bad())?;
    number.checked_mul(factor).filter(|s| *s <= 366 * 86_400).ok_or_else(|| "longer than a year".to_owned())
}

/// "2 h 5 min", "40 s".
pub(crate) fn span(seconds: u64) -> String {
    let (d, h, m, s) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let parts: Vec<String> = [(d, "d"), (h, "h"), (m, "min"), (s, "s")]
        .iter()
        .filter(|(n, _)| *n > 0)
        .take(2)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// "in 5 min", "2 h ago".
pub(crate) fn relative(time: u64, now: u64) -> String {
    if time >= now { format!("in {}", span(time - now)) } else { format!("{} ago", span(now - time)) }
}

/// 250 as "2.5 %".
pub(crate) fn percent(bps: u16) -> String {
    format!("{} %", f64::from(bps) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(seconds));
        }
        for bad in ["", "m", "1.5h", "-3s", "1w", "400d", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(span(0), "0 s");
        assert_eq!(span(125), "2 min 5 s");
        assert_eq!(span(90_061), "1 d 1 h");
        assert_eq!(relative(100, 40), "in 1 min");
        assert_eq!(relative(40, 100), "1 min ago");
    }

    #[test]
    fn amounts_of_arguments() {
        assert_eq!(tokens("1.5"), Ok(1_500_000_000_000_000_000));
        assert!(tokens("1e5").is_err() && tokens("100000000000").is_err());
        assert_eq!(shown(U256::from(1_500_000_000_000_000_000_u128)), "1.5 ASSAY");
        assert_eq!(percent(250), "2.5 %");
    }
}
