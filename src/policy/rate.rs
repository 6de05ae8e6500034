//! How often a rule gives tokens to one caller, such as `30/min`. Does not know who is counted.

use std::time::Duration;

/// So many in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// At least one.
    count: u32,
    period: Duration,
}

/// The most in one period. Nobody can tell more from no limit at all.
const MAX_COUNT: u32 = 1_000_000;
pub(crate) const EXPECTED: &str = "a number from 1 to 1000000 for each s, min or h, such as \"30/min\"";

impl Rate {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let period = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return None,
        };
        let is_plain = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|count| is_plain && (1..=MAX_COUNT).contains(count))?;
        Some(Self { count, period: Duration::from_secs(period) })
    }

    /// In nanoseconds.
    pub(crate) fn period(self) -> u64 {
        u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The nanoseconds from one to the next.
    pub(crate) fn interval(self) -> u64 {
        self.period().checked_div(self.count.into()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn rates_as_they_are_written() {
        for (text, interval) in [
            ("30/min", 2_000_000_000),
            ("5/s", 200_000_000),
            ("1000/h", 3_600_000_000),
            ("1000000/s", 1_000),
            ("1/h", 3_600_000_000_000),
        ] {
            assert_eq!(Rate::parse(text).map(Rate::interval), Some(interval), "{text}");
        }
        for text in
            ["", "30", "/min", "0/s", "-1/s", "+1/s", "1.5/s", "1/m", "1/hour", "1/ s", "1 /s", "1000001/s", "1/s/s", "1/S"]
        {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }
}
