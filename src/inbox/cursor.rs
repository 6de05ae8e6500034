//! Owns the cursor: the order of entries, and a reader's place in it.

use std::fmt;
use std::str::FromStr;

use crate::clock::UnixTime;

/// A place in the inbox: after one entry and before the next. Cursors strictly increase, as values and as text, and go on
/// increasing where a store is lost and begun anew, for they begin with the time. To readers they are opaque.
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

/// Bits of a cursor that count within a millisecond; the others are that millisecond, counted from 1970.
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// The largest cursor: SQLite's integers have a sign.
const LAST: u64 = i64::MAX as u64;
/// Hexadecimal digits of a cursor.
const CURSOR_CHARS: usize = 16;

impl Cursor {
    /// The first one of the millisecond that `time` is in.
    pub(crate) fn at(time: UnixTime) -> Self {
        Self(time.as_millis().min(LAST >> COUNT_BITS) << COUNT_BITS)
    }

    /// The cursor of an entry received at `time`, where `self` is the entry's before.
    pub(crate) fn next(self, time: UnixTime) -> Self {
        Self(self.0.saturating_add(1).min(LAST)).max(Self::at(time))
    }

    /// The one before, of an entry or not.
    pub(crate) fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// As a number, at most `i64::MAX`.
    pub(crate) fn number(self) -> i64 {
        self.0.try_into().unwrap_or(i64::MAX)
    }

    /// The millisecond, counted from 1970, and the count within it.
    pub(crate) fn parts(self) -> (u64, u64) {
        (self.0 >> COUNT_BITS, self.0 & COUNT_MASK)
    }

    /// Of what [`parts`](Self::parts) gave; `None` where it cannot have.
    pub(crate) fn from_parts(millis: u64, count: u64) -> Option<Self> {
        (millis <= LAST >> COUNT_BITS && count <= COUNT_MASK).then_some(Self(millis << COUNT_BITS | count))
    }

    /// Of a number that [`number`](Self::number) gave.
    pub(crate) fn from_number(number: i64) -> Self {
        Self(number.try_into().unwrap_or(0))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = CURSOR_CHARS)
    }
}

impl FromStr for Cursor {
    type Err = MalformedCursor;

    fn from_str(text: &str) -> Result<Self, MalformedCursor> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != CURSOR_CHARS || !text.bytes().all(is_digit) {
            return Err(MalformedCursor);
        }
        let number = u64::from_str_radix(text, 16).or(Err(MalformedCursor))?;
        if number > LAST { Err(MalformedCursor) } else { Ok(Self(number)) }
    }
}

/// A text is no cursor of any inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MalformedCursor;

impl fmt::Display for MalformedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cursor is malformed")
    }
}

impl std::error::Error for MalformedCursor {}
