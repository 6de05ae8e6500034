//! Renders the bodies of events, and joins them and text into the pieces that are sent. Does not know the form of the answer.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::http::endpoints::events::batches::Batch;
use crate::http::endpoints::events::large_bodies::Hold;
use crate::http::large::keeping;
use crate::http::limits::READ_AHEAD_BYTES;
use crate::inbox::Entry;
use crate::json;
use crate::livekit::redaction::redact;

/// Bodies from this size on are not copied.
const LARGE: usize = READ_AHEAD_BYTES / 2;

/// The pieces of an answer in order.
#[derive(Default)]
pub(super) struct Frames {
    complete: Vec<Bytes>,
    open: Vec<u8>,
    hold: Option<Hold>,
}

impl Frames {
    pub(super) fn of(batch: &Batch) -> Self {
        let sizes = batch.page.entries.iter().map(|entry| entry.body.len().saturating_add(128));
        let open = Vec::with_capacity(sizes.fold(0, usize::saturating_add).min(READ_AHEAD_BYTES.saturating_mul(2)));
        Self { complete: Vec::new(), open, hold: batch.hold.clone() }
    }

    pub(super) fn text(&mut self, text: impl AsRef<[u8]>) {
        self.open.extend_from_slice(text.as_ref());
    }

    /// Appends `bytes`. They are copied only if they are few.
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
        self.complete.push(match &self.hold {
            Some(hold) => keeping(bytes, Hold::clone(hold)),
            None => bytes,
        });
    }

    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.complete
    }
}

impl Batch {
    /// The body of `entry` as JSON: byte for byte, unless secrets are removed from it. A body that is not JSON becomes a string.
    pub(super) fn shown(&self, entry: &Entry) -> Bytes {
        if !is_json(entry) {
            let mut text = Vec::with_capacity(entry.body.len().saturating_add(2));
            json::write(&mut text, &*String::from_utf8_lossy(&entry.body));
            return text.into();
        }
        match if self.redacts { redact(&entry.body) } else { Cow::Borrowed(&*entry.body) } {
            Cow::Borrowed(_) => entry.body.clone(),
            Cow::Owned(redacted) => redacted.into(),
        }
    }
}

/// Whether the body of `entry` is JSON. If the entry has a field from its body, the whole body was parsed before.
fn is_json(entry: &Entry) -> bool {
    let is_parsed = !(entry.event.is_empty() && entry.id.is_empty() && entry.room.is_empty());
    is_parsed || serde_json::from_slice::<&RawValue>(&entry.body).is_ok()
}
