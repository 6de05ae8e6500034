//! Times as text (RFC 3339). Does not know what they are about.

use std::time::Duration;

use crate::clock::UnixTime;

/// A time since 1970, with any offset from UTC.
pub(crate) fn parse(text: &str) -> Option<UnixTime> {
    let text = text.to_ascii_uppercase();
    if text.ends_with('Z') {
        return humantime::parse_rfc3339(&text).ok().map(UnixTime::from);
    }
    let (local, offset) = text.rfind(['+', '-']).and_then(|sign| text.split_at_checked(sign))?;
    let local = if local.ends_with('Z') { None } else { humantime::parse_rfc3339(&format!("{local}Z")).ok() };
    let local = UnixTime::from(local?);
    let (sign, offset) = offset.split_at_checked(1)?;
    let offset = offset_of(offset)?;
    Some(if sign == "+" { local.saturating_sub(offset) } else { local.saturating_add(offset) })
}

/// Such as `05:30`.
fn offset_of(text: &str) -> Option<Duration> {
    let number = |text: &str, end: u64| -> Option<u64> {
        let is_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_digits.then(|| text.parse().ok())?.filter(|number| *number < end)
    };
    let (hours, minutes) = text.split_once(':')?;
    Some(Duration::from_secs(number(hours, 24)?.saturating_mul(3600).saturating_add(number(minutes, 60)?.saturating_mul(60))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_every_offset_are_read() {
        for (text, time) in [
            ("2026-11-22T03:15:15Z", "2026-11-22T03:15:15.000Z"),
            ("2026-11-22t03:15:15.123456z", "2026-11-22T03:15:15.123Z"),
            ("2026-11-22T05:15:15.5+02:00", "2026-11-22T03:15:15.500Z"),
            ("2026-11-21T21:45:15-05:30", "2026-11-22T03:15:15.000Z"),
            ("2026-11-22T03:15:15+00:00", "2026-11-22T03:15:15.000Z"),
        ] {
            assert_eq!(parse(text).map(|time| time.to_rfc3339().to_string()).as_deref(), Some(time), "{text}");
        }
    }

    #[test]
    fn all_else_is_no_time() {
        for text in [
            "",
            "now",
            "2026-11-22",
            "2026-11-22T03:15:15",
            "2026-11-22 03:15:15Z",
            "2026-13-22T03:15:15Z",
            "2026-11-22T03:15:15+2:00",
            "2026-11-22T03:15:15+24:00",
            "2026-11-22T03:15:15+0200",
            "2026-11-22T03:15:15Z+02:00",
            "2026-11-22T03:15:15+02:é",
            "1969-11-22T03:15:15Z",
            "1795317315",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
