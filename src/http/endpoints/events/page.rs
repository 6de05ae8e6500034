//! Owns the form of a page of JSON: `{"events":[{"cursor","receivedAt","event"},…],"next"}`. A long one goes out while it is read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use crate::http::content::{Content, Stream};
use crate::http::endpoints::events::frames::{Frames, shown};
use crate::http::endpoints::events::pages::{Batch, Pages, Reading};
use crate::http::endpoints::events::right::Right;
use crate::http::refusal::Refusal;
use crate::inbox::{Cursor, Entry};

/// The end of the year 9999, up to which RFC 3339 goes, in milliseconds since 1970.
const LAST_MILLIS: u64 = 253_402_300_799_999;

/// At most `limit` events of `pages`. Where there is none now, those that the first commit within `wait` brings.
pub(super) async fn page(mut pages: Pages, limit: usize, wait: Duration, right: Right) -> Result<Content, Refusal> {
    // What can be refused is refused before the page begins.
    let first = pages.poll(limit).await?;
    let next = first.next;
    let over = right.clone().ended();
    let mut page = Page { ready: VecDeque::new(), reading: None, right, limit, wait, given: 0, is_begun: false, next };
    page.take(pages, first);
    // Most pages are known whole, and so is their length.
    if page.reading.is_none() && page.ready.len() == 1 {
        return Ok(Content::Whole(page.ready.pop_front().unwrap_or_default()));
    }
    Ok(Content::Stream(Stream::new(page, over)))
}

struct Page {
    /// Rendered, and not taken yet.
    ready: VecDeque<Bytes>,
    /// `None` once all is read.
    reading: Option<Reading>,
    right: Right,
    limit: usize,
    /// How long it may still wait for its first event.
    wait: Duration,
    given: usize,
    is_begun: bool,
    /// Behind all that was read.
    next: Cursor,
}

impl Page {
    /// Renders `batch`, and reads on or ends.
    fn take(&mut self, pages: Pages, batch: Batch) {
        self.next = batch.next;
        if batch.entries.is_empty() && self.given == 0 && self.limit > 0 {
            if !batch.is_last && !pages.is_stopping() {
                self.reading = Some(pages.into_poll(self.limit));
                return;
            }
            if !self.wait.is_zero() {
                self.reading = Some(pages.into_wait(std::mem::take(&mut self.wait), self.limit));
                return;
            }
        }
        let mut frames = Frames::of(&batch);
        self.begin(&mut frames);
        for entry in &batch.entries {
            if self.given > 0 {
                frames.text(",");
            }
            write(&mut frames, entry, shown(entry, pages.redacts));
            self.given = self.given.saturating_add(1);
        }
        let left = self.limit.saturating_sub(self.given);
        if batch.is_last || left == 0 || pages.is_stopping() {
            self.end(&mut frames);
        } else {
            self.reading = Some(pages.into_poll(left));
        }
        self.ready = frames.finish();
    }

    fn begin(&mut self, frames: &mut Frames) {
        if !std::mem::replace(&mut self.is_begun, true) {
            frames.text(r#"{"events":["#);
        }
    }

    fn end(&self, frames: &mut Frames) {
        frames.text(format!(r#"],"next":"{}"}}"#, self.next));
    }

    /// The rest of a page that is not read to its end. It is a shorter one: when it is gone on with, the reader is told why.
    fn cut_short(&mut self) {
        let mut frames = Frames::of(&Batch::last(self.next));
        self.begin(&mut frames);
        self.end(&mut frames);
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
            match read {
                Some((pages, Ok(batch))) => self.take(pages, batch),
                Some((_, Err(_))) | None => self.cut_short(),
            }
        }
    }
}

impl Body for Page {
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
