//! Owns moments and durations in words, for people.

use std::time::{Duration, UNIX_EPOCH};

use crate::clock::UnixTime;

/// The last second that a calendar of four digits has.
pub(super) const END_OF_CALENDAR: u64 = 253_402_300_799;

/// Such as `2026-11-22 03:23:34 UTC`.
pub(super) fn utc(moment: UnixTime) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(moment.as_secs())) {
        Some(time) if moment.as_secs() <= END_OF_CALENDAR => {
            humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC")
        }
        _ => "after the year 9999".to_owned(),
    }
}

/// Such as `in 5 minutes` or `3 days 2 hours ago`.
pub(super) fn relative(moment: UnixTime, now: UnixTime) -> String {
    let (ahead, behind) = (moment.as_secs().saturating_sub(now.as_secs()), now.as_secs().saturating_sub(moment.as_secs()));
    match (ahead, behind) {
        (0, 0) => "now".to_owned(),
        (0, behind) => format!("{} ago", span(behind)),
        (ahead, _) => format!("in {}", span(ahead)),
    }
}

/// `seconds` in the two largest units that they have, such as `6 hours` or `1 day 2 hours`.
pub(super) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (size, unit) in UNITS {
        let (count, remainder) = (rest.checked_div(size).unwrap_or(0), rest.checked_rem(size).unwrap_or(0));
        rest = remainder;
        match count {
            0 if words.is_empty() => continue,
            0 => {}
            1 => words.push(format!("1 {unit}")),
            _ => words.push(format!("{count} {unit}s")),
        }
        if words.len() == 2 {
            break;
        }
    }
    if words.is_empty() { "0 seconds".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_time() {
        assert_eq!(utc(UnixTime::from_secs(1_795_317_315)), "2026-11-22 03:15:15 UTC");
        assert_eq!(utc(UnixTime::from_secs(END_OF_CALENDAR)), "9999-12-31 23:59:59 UTC");
        assert_eq!(utc(UnixTime::from_secs(u64::MAX)), "after the year 9999");
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (300, "5 minutes"),
            (21_600, "6 hours"),
            (93_784, "1 day 2 hours"),
            (86_460, "1 day 1 minute"),
            (3_661, "1 hour 1 minute"),
        ] {
            assert_eq!(span(seconds), words);
        }
        let at = UnixTime::from_secs;
        assert_eq!(
            [relative(at(5), at(5)), relative(at(5), at(6)), relative(at(65), at(5))],
            ["now", "1 second ago", "in 1 minute"]
        );
    }
}
