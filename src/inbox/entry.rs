//! Owns what the inbox holds: entries, what they are before, and which of them a reader wants. Does not know where they are kept.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::livekit::event::WebhookEvent;
use crate::livekit::webhook::Delivery;

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

/// A verified delivery on its way into the inbox, its event read.
pub struct Arrival {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) received: UnixTime,
    key: Arc<str>,
    digest: [u8; 32],
    told: Option<Told>,
    body: Bytes,
}

/// What a body tells that is a JSON object.
struct Told {
    id: String,
    event: String,
    room: String,
    participant: String,
}

impl Arrival {
    /// `delivery`, which came at `received`.
    #[must_use]
    pub fn new<B: AsRef<[u8]> + Send + 'static>(delivery: Delivery<B>, received: UnixTime) -> Self {
        let (body, key, digest) = delivery.into_parts();
        let body = Bytes::from_owner(body);
        let told = WebhookEvent::parse(&body).ok().map(|event| Told {
            room: event.room_name().unwrap_or_default().to_owned(),
            id: event.id.into_owned(),
            event: event.event.into_owned(),
            participant: event.participant.map(|participant| participant.identity.into_owned()).unwrap_or_default(),
        });
        let fingerprint = match &told {
            Some(told) if !told.id.is_empty() => Fingerprint::of_id(&told.id),
            _ => Fingerprint::cut(&digest),
        };
        Self { fingerprint, received, key, digest, told, body }
    }

    /// Whether the body is a JSON object.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.told.is_some()
    }

    /// The event's id; empty where it has none.
    #[must_use]
    pub fn id(&self) -> &str {
        self.told.as_ref().map_or("", |told| &told.id)
    }

    /// What happened; empty where the body does not say.
    #[must_use]
    pub fn event(&self) -> &str {
        self.told.as_ref().map_or("", |told| &told.event)
    }

    /// The name of the room that it is about; empty where there is none.
    #[must_use]
    pub fn room(&self) -> &str {
        self.told.as_ref().map_or("", |told| &told.room)
    }

    /// The identity of the participant that it is about; empty where there is none.
    #[must_use]
    pub fn participant(&self) -> &str {
        self.told.as_ref().map_or("", |told| &told.participant)
    }

    /// The name of the API key that signed.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The body's SHA-256.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
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
        f.debug_struct("Arrival").field("id", &self.id()).field("bytes", &self.body.len()).finish_non_exhaustive()
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
    /// Where this read began: at the cursor that was given, or before the oldest entry.
    pub after: Cursor,
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// Where the next read goes on, behind all that this one has looked at, wanted or not.
    pub next: Cursor,
    /// Whether this read came to the end of what there was. Where it did not, the next one need not wait.
    pub is_last: bool,
}
