//! Owns what the inbox holds: entries, the cursors that order them, and which of them a reader wants. Does not know where they
//! are kept.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::clock::UnixTime;
use crate::livekit::event::WebhookEvent;
use crate::livekit::webhook::Delivery;

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

/// What tells one event from all others: its id, or its body where it has none. Cut to 128 bits, which only one who holds a key
/// and tries 2^64 times could make collide, with an event of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint(pub(crate) [u8; 16]);

impl Fingerprint {
    fn of_id(id: &str) -> Self {
        // Set apart from the digests of bodies: a body may be any text, an id too.
        Self::cut(&Sha256::new_with_prefix(b"event id\0").chain_update(id).finalize().into())
    }

    fn cut(digest: &[u8; 32]) -> Self {
        let mut cut = [0; 16];
        cut.iter_mut().zip(digest).for_each(|(cut, byte)| *cut = *byte);
        Self(cut)
    }
}

/// A verified delivery on its way into the inbox, its event's outline read.
pub struct Arrival {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) received: UnixTime,
    key: Arc<str>,
    id: String,
    event: String,
    room: String,
    body: Bytes,
}

impl Arrival {
    /// `delivery`, which came at `received`.
    #[must_use]
    pub fn new<B: AsRef<[u8]> + Send + 'static>(delivery: Delivery<B>, received: UnixTime) -> Self {
        let (body, key, digest) = delivery.into_parts();
        let body = Bytes::from_owner(body);
        let outline = WebhookEvent::outline(&body).map(|event| {
            let room = event.room_name().unwrap_or_default().to_owned();
            (event.id.into_owned(), event.event.into_owned(), room)
        });
        let (id, event, room) = outline.unwrap_or_default();
        let fingerprint = if id.is_empty() { Fingerprint::cut(&digest) } else { Fingerprint::of_id(&id) };
        Self { fingerprint, received, key, id, event, room, body }
    }

    /// The event's id; empty where it has none.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What happened; empty where the body does not say.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The name of the room that it is about; empty where there is none.
    #[must_use]
    pub fn room(&self) -> &str {
        &self.room
    }

    /// The name of the API key that signed.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The body, as it came. It may hold secrets.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The body stays untold: it may hold secrets.
impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("id", &self.id).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// One event in the inbox. Its body is a verified delivery's, to the byte.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its place: reading after it goes on with the next entry.
    pub cursor: Cursor,
    /// The event's id; empty where it has none.
    pub id: String,
    /// What happened; empty where the body does not say.
    pub event: String,
    /// The name of the room that it is about; empty where there is none.
    pub room: String,
    /// When it came, to the millisecond.
    pub received: UnixTime,
    /// The name of the API key that signed.
    pub key: String,
    /// The body. It may hold secrets (`room.turnPassword`, `ingressInfo.streamKey`).
    pub body: Bytes,
}

/// The body stays untold: it may hold secrets.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("cursor", &self.cursor)
            .field("id", &self.id)
            .field("event", &self.event)
            .field("room", &self.room)
            .field("received", &self.received)
            .field("key", &self.key)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Which entries a reader wants. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those about this room.
    pub room: Option<String>,
    /// Only those with one of these names; with any where it is empty.
    pub events: Vec<String>,
}

impl Filter {
    /// Whether an entry about `room` and with the name `event` is wanted.
    #[must_use]
    pub fn wants(&self, room: &str, event: &str) -> bool {
        self.room.as_ref().is_none_or(|wanted| wanted == room)
            && (self.events.is_empty() || self.events.iter().any(|wanted| wanted == event))
    }
}

/// How much one read gives at most.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    /// So many entries.
    pub entries: usize,
    /// No more entries once their bodies have so many bytes; a single larger body is given nevertheless.
    pub bytes: usize,
}

/// What one read gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// Where the next read goes on, behind all that this one has looked at, wanted or not.
    pub next: Cursor,
    /// Whether this read came to the end of what there was. Where it did not, the next one need not wait.
    pub is_last: bool,
}
