//! Amounts of tokens as people write them. The token has 18 decimals.

use alloy_primitives::U256;

/// Decimals of the token.
pub const DECIMALS: usize = 18;

/// Units of a whole number of tokens.
pub fn whole(tokens: u64) -> U256 {
    U256::from(tokens) * U256::from(10).pow(U256::from(DECIMALS))
}

/// An amount in units of 10^-18 tokens, as tokens: `1,234.5`.
pub fn tokens(units: U256) -> String {
    let text = units.to_string();
    let padded = format!("{text:0>width$}", width = DECIMALS + 1);
    let (whole, rest) = padded.split_at(padded.len() - DECIMALS);
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let rest = rest.trim_end_matches('0');
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out
}

/// Reads an amount in tokens, `1,234.5`; gives units of 10^-18 tokens. None if it is no such number.
pub fn parse(text: &str) -> Option<U256> {
    let text = text.trim().replace([',', '_'], "");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let usable = digits(whole) && digits(rest) && !(whole.is_empty() && rest.is_empty());
    if !usable || rest.len() > DECIMALS || whole.len() > 40 {
        return None;
    }
    let all = format!("{whole}{rest:0<DECIMALS$}");
    U256::from_str_radix(&all, 10).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_they_are_written() {
        for (units, text) in [
            ("0", "0"),
            ("1", "0.000000000000000001"),
            ("1000000000000000000", "1"),
            ("1500000000000000000", "1.5"),
            ("1234567000000000000000000", "1,234,567"),
            ("100000000000000000000000000", "100,000,000"),
        ] {
            let units = U256::from_str_radix(units, 10).expect("a number");
            assert_eq!(tokens(units), text);
            assert_eq!(parse(text), Some(units));
        }
        assert_eq!(parse(".5"), parse("0.50"));
        assert_eq!(parse("2."), Some(whole(2)));
        for bad in ["", ".", "-1", "1e3", "0x10", "1.0000000000000000001", "one", "1.2.3", &"9".repeat(41)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
