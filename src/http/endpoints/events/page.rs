//! Renders a page of JSON: `{"events":[{"cursor","receivedAt","event"},…],"next"}`. A long page is sent while it is being read.
//! Does not know where events come from.

use std::mem::take;
use std::time::Duration;

use bytes::Bytes;

use crate::http::content::{Content, Outlet, Stream};
use crate::http::endpoints::events::batches::{Batch, BatchReader, Next};
use crate::http::endpoints::events::frames::Frames;
use crate::http::endpoints::events::permission::Permission;
use crate::http::refusal::Refusal;
use crate::http::rfc3339;
use crate::inbox::{Cursor, Entry};

const BEGIN: &str = r#"{"events":["#;

/// At most `limit` events. If there are none now, the page waits up to `wait` for the first commit.
pub(super) async fn page(
    mut reader: BatchReader,
    limit: usize,
    wait: Duration,
    permission: Permission,
) -> Result<Content, Refusal> {
    // Errors have to come before the page begins.
    let first = reader.poll(Next::Now(limit)).await?;
    let mut page = JsonPage { pieces: Vec::new(), limit, wait, count: 0, next: first.page.next };
    let more = page.take(&first, &reader);
    // Most pages are complete at once, so their length is known.
    if let (None, [whole]) = (more, &*page.pieces) {
        return Ok(Content::Whole(whole.clone()));
    }
    let ended = permission.clone().ended();
    let send = |outlet| async move { page.send(&mut reader, more, permission, &outlet).await };
    Ok(Content::Stream(Stream::new(ended, false, send)))
}

struct JsonPage {
    /// Rendered and not yet sent.
    pieces: Vec<Bytes>,
    limit: usize,
    /// How long it may still wait for its first event.
    wait: Duration,
    /// Events rendered so far.
    count: usize,
    /// After everything that was read.
    next: Cursor,
}

impl JsonPage {
    async fn send(&mut self, reader: &mut BatchReader, mut more: Option<Next>, mut permission: Permission, outlet: &Outlet) {
        loop {
            for piece in take(&mut self.pieces) {
                outlet.put(piece).await;
            }
            let Some(next) = more else { return };
            let batch = tokio::select! {
                biased;
                () = permission.over() => None,
                batch = reader.read(next) => batch.ok(),
            };
            more = match batch {
                Some(batch) => self.take(&batch, reader),
                None => {
                    // The page ends early. The request for the next one is told the reason.
                    self.end(Frames::default());
                    None
                }
            };
        }
    }

    /// Renders `batch`, and returns what to read next. If that is nothing, the page is complete.
    fn take(&mut self, batch: &Batch, reader: &BatchReader) -> Option<Next> {
        self.next = batch.page.next;
        let is_last = batch.page.is_last || reader.stop.ends_connections();
        if batch.page.entries.is_empty() && self.count == 0 && self.limit > 0 {
            if !is_last {
                return Some(Next::Now(self.limit));
            }
            if !self.wait.is_zero() {
                return Some(Next::Within(take(&mut self.wait), self.limit));
            }
        }
        let mut frames = Frames::of(batch);
        for entry in &batch.page.entries {
            frames.text(if self.count == 0 { BEGIN } else { "," });
            write(&mut frames, entry, batch.shown(entry));
            self.count = self.count.saturating_add(1);
        }
        let left = self.limit.saturating_sub(self.count);
        if is_last || left == 0 {
            self.end(frames);
            return None;
        }
        self.pieces = frames.finish();
        Some(Next::Now(left))
    }

    fn end(&mut self, mut frames: Frames) {
        if self.count == 0 {
            frames.text(BEGIN);
        }
        frames.text(format!(r#"],"next":"{}"}}"#, self.next));
        self.pieces = frames.finish();
    }
}

/// Appends one event.
fn write(frames: &mut Frames, entry: &Entry, body: Bytes) {
    frames.text(format!(r#"{{"cursor":"{}","receivedAt":""#, entry.cursor));
    frames.text(rfc3339::format(entry.received));
    frames.text(r#"","event":"#);
    frames.bytes(body);
    frames.text("}");
}
