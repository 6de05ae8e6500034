//! Times and durations in words, for people. Does not know what they are about.

use std::time::{Duration, UNIX_EPOCH};

use crate::clock::UnixTime;

/// The last second that a calendar with years of four digits has.
pub(super) const END_OF_CALENDAR: u64 = 253_402_300_799;

/// Such as `2026-11-22 03:23:34 UTC`.
pub(super) fn utc(time: UnixTime) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs())) {
        Some(date) if time.as_secs() <= END_OF_CALENDAR => {
            humantime::format_rfc3339_seconds(date).to_string().replace('T', " ").replace('Z', " UTC")
        }
        _ => "after the year 9999".to_owned(),
    }
}

/// Such as `in 5 minutes` or `3 days 2 hours ago`.
pub(super) fn relative(time: UnixTime, now: UnixTime) -> String {
    match (time.since(now).as_secs(), now.since(time).as_secs()) {
        (0, 0) => "now".to_owned(),
        (0, past) => format!("{} ago", span(past)),
        (future, _) => format!("in {}", span(future)),
    }
}

/// `seconds` in their two largest units, such as `6 hours` or `1 day 2 hours`.
pub(super) fn span(seconds: u64) -> String {
    let units =
        [(seconds / 86_400, "day"), (seconds / 3_600 % 24, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
    let counts = units.into_iter().filter(|(count, _)| *count > 0).take(2);
    let words: Vec<_> = counts.map(|(count, unit)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" })).collect();
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
