//! Renders a page of JSON: `{"events":[{"cursor","receivedAt","event"},…],"next"}`. A long one is sent while it is read. Does not
//! know where events come from.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use crate::http::content::{Content, Stream};
use crate::http::endpoints::events::batches::{Batch, BatchReader, Next, Reading};
use crate::http::endpoints::events::frames::{Frames, shown};
use crate::http::endpoints::events::right::Right;
use crate::http::refusal::Refusal;
use crate::inbox::{Cursor, Entry};

/// The end of the year 9999, the last that RFC 3339 can express, in milliseconds since 1970.
const LAST_MILLIS: u64 = 253_402_300_799_999;

/// At most `limit` events. If there are none now, the page waits up to `wait` for the first commit.
pub(super) async fn page(mut reader: BatchReader, limit: usize, wait: Duration, right: Right) -> Result<Content, Refusal> {
    // Errors have to come before the page begins.
    let first = reader.poll(Next::Now(limit)).await?;
    let next = first.page.next;
    let over = right.clone().ended();
    let mut page = JsonPage { ready: VecDeque::new(), reading: None, right, limit, wait, count: 0, is_begun: false, next };
    page.take(reader, first);
    // Most pages are complete at once, so their length is known.
    if page.reading.is_none() && page.ready.len() == 1 {
        return Ok(Content::Whole(page.ready.pop_front().unwrap_or_default()));
    }
    Ok(Content::Stream(Stream::new(page, over)))
}

struct JsonPage {
    /// Rendered and not yet sent.
    ready: VecDeque<Bytes>,
    /// `None` after the last read.
    reading: Option<Reading>,
    right: Right,
    limit: usize,
    /// How long it may still wait for its first event.
    wait: Duration,
    /// Events rendered so far.
    count: usize,
    is_begun: bool,
    /// After everything that was read.
    next: Cursor,
}

impl JsonPage {
    /// Renders `batch`, then reads on or ends the page.
    fn take(&mut self, reader: BatchReader, batch: Batch) {
        self.next = batch.page.next;
        let is_last = batch.page.is_last;
        if batch.page.entries.is_empty() && self.count == 0 && self.limit > 0 {
            if !is_last && !reader.is_stopping() {
                self.reading = Some(reader.read(Next::Now(self.limit)));
                return;
            }
            if !self.wait.is_zero() {
                self.reading = Some(reader.read(Next::Within(std::mem::take(&mut self.wait), self.limit)));
                return;
            }
        }
        let mut frames = Frames::of(&batch);
        self.begin(&mut frames);
        for entry in &batch.page.entries {
            if self.count > 0 {
                frames.text(",");
            }
            write(&mut frames, entry, shown(entry, reader.redacts));
            self.count = self.count.saturating_add(1);
        }
        let left = self.limit.saturating_sub(self.count);
        if is_last || left == 0 || reader.is_stopping() {
            self.end(frames);
        } else {
            self.ready = frames.finish();
            self.reading = Some(reader.read(Next::Now(left)));
        }
    }

    fn begin(&mut self, frames: &mut Frames) {
        if !std::mem::replace(&mut self.is_begun, true) {
            frames.text(r#"{"events":["#);
        }
    }

    fn end(&mut self, mut frames: Frames) {
        frames.text(format!(r#"],"next":"{}"}}"#, self.next));
        self.ready = frames.finish();
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
            let read = if self.right.is_over() { None } else { Some(ready!(reading.as_mut().poll(cx))) };
            self.reading = None;
            if let Some((reader, Ok(batch))) = read {
                self.take(reader, batch);
            } else {
                // The page ends early. The request for the next one is told the reason.
                let mut frames = Frames::default();
                self.begin(&mut frames);
                self.end(frames);
            }
        }
    }
}

impl Body for JsonPage {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_next(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Appends one event.
fn write(frames: &mut Frames, entry: &Entry, body: Bytes) {
    frames.text(format!(r#"{{"cursor":"{}","receivedAt":""#, entry.cursor));
    let received = UNIX_EPOCH.checked_add(Duration::from_millis(entry.received.as_millis().min(LAST_MILLIS)));
    frames.text(humantime::format_rfc3339_millis(received.unwrap_or(UNIX_EPOCH)).to_string());
    frames.text(r#"","event":"#);
    frames.bytes(body);
    frames.text("}");
}
