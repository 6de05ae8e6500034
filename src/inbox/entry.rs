//! Defines what the inbox holds: entries, the arrivals that become entries, and which entries a reader wants. Does not know where
//! they are stored.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::livekit::event::WebhookEvent;
use crate::livekit::event_summary::EventSummary;
use crate::livekit::webhook::Delivery;

/// Identifies an event by its id, or by its body if it has no id. SHA-256 cut to 128 bits: a collision takes an API key and 2^64
/// attempts, and affects only the attacker's own events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 16]);

/// In the order of the bytes, as a database sorts them. Comparing them as one number is much quicker than byte by byte.
impl Ord for Fingerprint {
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Fingerprint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Fingerprint {
    /// Of an event with this `id`, whose body has this `digest`.
    fn of(id: &str, digest: &[u8; 32]) -> Self {
        if id.is_empty() {
            return Self::cut(digest);
        }
        // The prefix keeps ids apart from bodies: either may be any text.
        Self::cut(&Sha256::new_with_prefix(b"event id\0").chain_update(id).finalize().into())
    }

    fn cut(digest: &[u8; 32]) -> Self {
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// A verified delivery on its way into the inbox, with its event parsed.
pub struct Arrival {
    /// The cursor that its entry must get. `None` for a new delivery, which gets the next one.
    pub(super) cursor: Option<Cursor>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) received: UnixTime,
    key: Arc<str>,
    digest: [u8; 32],
    is_event: bool,
    id: String,
    event: String,
    room: String,
    participant: String,
    body: Bytes,
}

impl Arrival {
    /// `delivery`, which was received at `received`.
    #[must_use]
    pub fn new<B: AsRef<[u8]> + Send + 'static>(delivery: Delivery<B>, received: UnixTime) -> Self {
        let (body, key, digest) = delivery.into_parts();
        Self::of(Bytes::from_owner(body), key, digest, received)
    }

    /// An entry that another inbox has exported, on its way into this one with the cursor that it had there. This is the one
    /// exception to the rule that only the receiver makes a delivery: the signature is not kept, so it cannot be verified again, and
    /// whoever imports it vouches for it.
    pub(super) fn imported(entry: Entry) -> Self {
        let Entry { cursor, id, event, room, received, key, body } = entry;
        let digest = Sha256::digest(&body).into();
        let fingerprint = Fingerprint::of(&id, &digest);
        Self { cursor: Some(cursor), fingerprint, id, event, room, ..Self::of(body, key.into(), digest, received) }
    }

    fn of(body: Bytes, key: Arc<str>, digest: [u8; 32], received: UnixTime) -> Self {
        let names = WebhookEvent::parse(&body).ok().map(|event| {
            let EventSummary { event, id, room, participant } = EventSummary::from(&event);
            [event, id, room, participant].map(str::to_owned)
        });
        let is_event = names.is_some();
        let [event, id, room, participant] = names.unwrap_or_default();
        let fingerprint = Fingerprint::of(&id, &digest);
        Self { cursor: None, fingerprint, received, key, digest, is_event, id, event, room, participant, body }
    }

    /// Whether the body is a JSON object.
    pub fn is_event(&self) -> bool {
        self.is_event
    }

    /// The event's id; empty if it has none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The event's name; empty if it has none.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The name of the event's room; empty if it has none.
    pub fn room(&self) -> &str {
        &self.room
    }

    /// The identity of the event's participant; empty if it has none.
    pub fn participant(&self) -> &str {
        &self.participant
    }

    /// The name of the API key that signed.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The body's SHA-256.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// About how many bytes it takes to store.
    pub(crate) fn bytes(&self) -> usize {
        [self.id(), self.event(), self.room()].iter().fold(self.body.len(), |sum, text| sum.saturating_add(text.len()))
    }

    /// The body, byte for byte. It may hold secrets.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Without the body, because it may hold secrets.
impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("id", &self.id()).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// One event in the inbox.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its position: a read after it continues with the next entry.
    pub cursor: Cursor,
    /// The event's id; empty if it has none.
    pub id: String,
    /// The event's name; empty if it has none.
    pub event: String,
    /// The name of the event's room; empty if it has none.
    pub room: String,
    /// When it was received, to the millisecond.
    pub received: UnixTime,
    /// The name of the API key that signed.
    pub key: String,
    /// The body of the verified delivery, byte for byte. It may hold secrets (`room.turnPassword`, `ingressInfo.streamKey`).
    pub body: Bytes,
}

/// Without the body, because it may hold secrets.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("cursor", &self.cursor)
            .field("id", &self.id)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Which entries a reader wants. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of this room.
    pub room: Option<String>,
    /// Only events with one of these names; all if it is empty.
    pub events: Vec<String>,
}

impl Filter {
    /// Whether an entry with these fields is wanted.
    #[must_use]
    pub fn wants(&self, room: &str, event: &str) -> bool {
        self.room.as_ref().is_none_or(|wanted| wanted == room)
            && (self.events.is_empty() || self.events.iter().any(|wanted| wanted == event))
    }
}

/// How much one read returns at most.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    /// The number of entries.
    pub entries: usize,
    /// The bytes of bodies after which no entry is added. The last body may exceed it.
    pub bytes: usize,
}

impl PageLimit {
    /// Uses up a part of the limit for an item of this size. `false` if nothing was left. (`read.lua` repeats this rule.)
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let has_room = self.entries > 0 && self.bytes > 0;
        (self.entries, self.bytes) = (self.entries.saturating_sub(1), self.bytes.saturating_sub(bytes));
        has_room
    }
}

/// The result of one read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Where this read began: at the given cursor, or before the oldest entry.
    pub after: Cursor,
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// Where the next read continues: after everything that this one looked at, whether the filter wants it or not.
    pub next: Cursor,
    /// Whether this read came to the end of the inbox. If not, there is no need to wait before the next one.
    pub is_last: bool,
}

impl Page {
    /// No entries yet, and not the end.
    pub(crate) fn empty(after: Cursor) -> Self {
        Self { after, entries: Vec::new(), next: after, is_last: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_entries_until_a_limit_is_reached_and_always_one() {
        let fits = |entries, bytes, sizes: &[usize]| {
            let mut left = PageLimit { entries, bytes };
            sizes.iter().take_while(|size| left.take(**size)).count()
        };
        assert_eq!(fits(2, 100, &[1, 1, 1]), 2);
        assert_eq!(fits(9, 100, &[60, 39, 60, 1]), 3, "the last one may exceed the bytes");
        assert_eq!(fits(9, 100, &[100, 1]), 1);
        assert_eq!(fits(9, 1, &[usize::MAX, 1]), 1);
        assert_eq!(fits(0, 100, &[1]), 0);
    }
}
