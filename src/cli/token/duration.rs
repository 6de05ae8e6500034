//! Durations as Go writes them (`time.ParseDuration`), such as `1h10m` and `1.5h`, and also days. `humantime` accepts more than `lk`
//! does, such as blanks and weeks.

use std::time::Duration;

/// Go counts nanoseconds in 64 bits.
const MAX: Duration = Duration::from_nanos(u64::MAX);

/// Parses the value of a flag. The error continues a sentence that begins with the flag's name.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    let duration = seconds(text).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let is_allowed = |duration: &Duration| (Duration::from_secs(1)..=MAX).contains(duration);
    duration.filter(is_allowed).ok_or("must be a duration of a second or more, such as 90s, 5m, 1h10m or 1.5h")
}

fn seconds(text: &str) -> Option<f64> {
    let is_number = |character: char| character.is_ascii_digit() || character == '.';
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum = 0.0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|character| !is_number(character)).unwrap_or(rest.len()));
        let (unit, next) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * unit;
        rest = next;
    }
    Some(sum)
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
