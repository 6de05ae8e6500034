//! Owns how an entry's body is shown, and the pieces that an answer goes out in: small ones are copied together, large bodies go
//! as they are.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::http::endpoints::events::large_bodies::{Held, Hold};
use crate::http::endpoints::events::pages::Batch;
use crate::http::limits::READ_AHEAD_BYTES;
use crate::inbox::Entry;
use crate::json;
use crate::livekit::redaction::redact;

/// From here on a body is not copied.
const LARGE: usize = READ_AHEAD_BYTES / 2;

/// Pieces of an answer, in their order.
pub(super) struct Frames {
    whole: VecDeque<Bytes>,
    open: Vec<u8>,
    hold: Option<Hold>,
}

impl Frames {
    /// For the entries of `batch`.
    pub(super) fn of(batch: &Batch) -> Self {
        let bytes = batch.entries.iter().map(|entry| entry.body.len().saturating_add(128)).fold(0, usize::saturating_add);
        let open = Vec::with_capacity(bytes.min(READ_AHEAD_BYTES.saturating_mul(2)));
        Self { whole: VecDeque::new(), open, hold: batch.hold.clone() }
    }

    pub(super) fn text(&mut self, text: impl AsRef<[u8]>) {
        self.open.extend_from_slice(text.as_ref());
    }

    /// Appends `bytes`, without a copy where they are many.
    pub(super) fn bytes(&mut self, bytes: Bytes) {
        if bytes.len() < LARGE {
            self.open.extend_from_slice(&bytes);
            if self.open.len() >= READ_AHEAD_BYTES.saturating_mul(2) {
                self.close();
            }
        } else {
            self.close();
            self.push(bytes);
        }
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.push(open.into());
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.whole.push_back(match &self.hold {
            Some(hold) => Bytes::from_owner(Held { bytes, _hold: Hold::clone(hold) }),
            None => bytes,
        });
    }

    /// The pieces.
    pub(super) fn finish(mut self) -> VecDeque<Bytes> {
        self.close();
        self.whole
    }
}

/// The body of `entry` as JSON: to the byte, but for secrets where `redacts`; and as a string where it is no JSON.
pub(super) fn shown(entry: &Entry, redacts: bool) -> Bytes {
    if !is_json(entry) {
        let mut text = Vec::with_capacity(entry.body.len().saturating_add(2));
        json::write(&mut text, &*String::from_utf8_lossy(&entry.body));
        return text.into();
    }
    match if redacts { redact(&entry.body) } else { Cow::Borrowed(&*entry.body) } {
        Cow::Borrowed(_) => entry.body.clone(),
        Cow::Owned(redacted) => redacted.into(),
    }
}

/// Whether the body of `entry` is JSON. One that something was read from is: it was parsed whole for that.
fn is_json(entry: &Entry) -> bool {
    let is_read = !(entry.event.is_empty() && entry.id.is_empty() && entry.room.is_empty());
    is_read || serde_json::from_slice::<&RawValue>(&entry.body).is_ok()
}
