//! Owns durations as Go writes them (`time.ParseDuration`), such as `1h10m` and `1.5h`, and days beyond it.

use std::time::Duration;

/// The duration that `text` tells; for a flag's value, so that the error continues a sentence that begins with its name.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    match nanoseconds(text).map(Duration::from_nanos) {
        Some(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        _ => Err("must be a duration of a second or more, such as 90s, 5m, 1h10m or 1.5h"),
    }
}

fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split_at_first(rest, |letter| !letter.is_ascii_digit() && letter != '.');
        let (unit, next) = split_at_first(after, |letter| letter.is_ascii_digit() || letter == '.');
        sum = sum.checked_add(times(number, unit_nanoseconds(unit)?)?)?;
        rest = next;
    }
    Some(sum)
}

fn split_at_first(text: &str, is_it: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_it).unwrap_or(text.len()))
}

fn unit_nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    })
}

/// `number`, a decimal, times `unit`, what is smaller than a nanosecond left out.
fn times(number: &str, unit: u64) -> Option<u64> {
    const FRACTION_DIGITS: usize = 15;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut share = u128::from(unit);
    let mut part: u128 = 0;
    for digit in fraction.chars().take(FRACTION_DIGITS) {
        part = part.checked_mul(10)?.checked_add(u128::from(digit.to_digit(10)?))?;
        share = share.checked_mul(10)?;
    }
    let scale = share.checked_div(u128::from(unit))?;
    let part = part.checked_mul(u128::from(unit))?.checked_div(scale)?;
    whole.checked_mul(unit)?.checked_add(part.try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, seconds) in [
            ("5m", 300.0),
            ("1h10m", 4200.0),
            ("1.5h", 5400.0),
            ("90s", 90.0),
            (".5h", 1800.0),
            ("1.h", 3600.0),
            ("+2m", 120.0),
            ("1h1m1.5s", 3661.5),
            ("1500ms", 1.5),
            ("1000000us", 1.0),
            ("1000000µs", 1.0),
            ("2d", 172_800.0),
            ("5m5m", 600.0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in [
            "",
            "0",
            "0s",
            "5",
            "m",
            "-5m",
            "1.5",
            "1h 10m",
            "1,5h",
            "999ms",
            ".h",
            "1..5h",
            "1w",
            "five",
            "1H",
            "9999999999h",
            "٣h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
