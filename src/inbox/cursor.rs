//! Defines the cursor: the order of entries, and a reader's position in it. Does not know the stores.

use std::fmt;
use std::str::FromStr;

use crate::clock::UnixTime;

/// A position in the inbox: after one entry and before the next. Cursors strictly increase, as values and as text, even if a store
/// is lost and replaced by a new one, because they begin with the time. Readers treat them as opaque.
///
/// ```
/// use roomkey::inbox::Cursor;
///
/// let cursor: Cursor = "0001d2a0b3c40000".parse()?;
/// assert_eq!(cursor.to_string(), "0001d2a0b3c40000");
/// assert!("42".parse::<Cursor>().is_err());
/// # Ok::<(), roomkey::inbox::MalformedCursor>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(u64);

/// The low bits count within a millisecond; the others are the milliseconds since 1970.
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// The largest cursor. SQLite's integers are signed.
const LAST: u64 = i64::MAX as u64;
/// The latest time in a new cursor, in the year 2213. However wrong the clock is, 2^60 later cursors are left.
const LATEST_MILLIS: u64 = (LAST >> COUNT_BITS) - (1 << 40);

impl Cursor {
    /// The first cursor of a millisecond.
    pub(crate) fn at(time: UnixTime) -> Self {
        Self(time.as_millis().min(LATEST_MILLIS) << COUNT_BITS)
    }

    /// The cursor of an entry received at `time`, after the entry at `self`.
    pub(crate) fn next(self, time: UnixTime) -> Self {
        Self(self.0.saturating_add(1).min(LAST)).max(Self::at(time))
    }

    /// The previous cursor, whether or not an entry has it.
    pub(crate) fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// As a number, at most `i64::MAX`.
    pub(crate) fn number(self) -> i64 {
        self.0.try_into().unwrap_or(i64::MAX)
    }

    /// When its entry was received, if the clock was right.
    pub(crate) fn time(self) -> UnixTime {
        UnixTime::from_millis(self.parts().0)
    }

    /// The milliseconds since 1970, and the count within the millisecond.
    pub(crate) fn parts(self) -> (u64, u64) {
        (self.0 >> COUNT_BITS, self.0 & COUNT_MASK)
    }

    /// The inverse of [`parts`](Self::parts); `None` if the parts are out of range.
    pub(crate) fn from_parts(millis: u64, count: u64) -> Option<Self> {
        (millis <= LAST >> COUNT_BITS && count <= COUNT_MASK).then_some(Self(millis << COUNT_BITS | count))
    }

    /// The inverse of [`number`](Self::number).
    pub(crate) fn from_number(number: i64) -> Self {
        Self(number.try_into().unwrap_or(0))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = MalformedCursor;

    fn from_str(text: &str) -> Result<Self, MalformedCursor> {
        let cursor = u64::from_str_radix(text, 16).map(Self).or(Err(MalformedCursor))?;
        // Each cursor has only one text.
        if cursor.0 <= LAST && cursor.to_string() == text { Ok(cursor) } else { Err(MalformedCursor) }
    }
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is malformed")]
#[non_exhaustive]
pub struct MalformedCursor;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_at_the_end_of_time_does_not_end_the_counting() {
        let end = UnixTime::from_millis(u64::MAX);
        let mut cursor = Cursor::at(UnixTime::from_secs(1_795_317_315));
        for time in [end, end, UnixTime::from_secs(1_795_317_316), UnixTime::from_millis(1 << 43), end] {
            let next = cursor.next(time);
            assert!(next > cursor && next.to_string() > cursor.to_string());
            cursor = next;
        }
        assert!(LAST - cursor.0 > 1 << 59, "there is room for more");
        assert_eq!(Cursor::from_parts(cursor.parts().0, cursor.parts().1), Some(cursor));
    }
}
