//! Owns the form of Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): a stream that goes on
//! until its reader leaves, its token ends, or the server does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use crate::clock::{Clock, UnixTime};
use crate::http::Edge;
use crate::http::content::{Content, Stream};
use crate::http::endpoints::events::frames::{Frames, shown};
use crate::http::endpoints::events::pages::{Batch, Pages, Reading};
use crate::http::reply::Refusal;
use crate::inbox::Entry;

/// What a stream begins with: a reader that is cut comes back after a second.
const BEGIN: &[u8] = b"retry: 1000\n\n";
/// What is sent where there is nothing to send, so that whatever stands between does not take the stream for dead.
const COMMENT: &[u8] = b":\n\n";

/// The stream of what `pages` gives, until the token that it is given for ends.
pub(super) async fn stream(edge: &Edge, mut pages: Pages, until: UnixTime) -> Result<Content, Refusal> {
    // What can be refused is refused before the stream begins.
    let batch = pages.poll(usize::MAX).await.map_err(Refusal::Read)?;
    let mut ready = VecDeque::from([Bytes::from_static(BEGIN)]);
    ready.extend(render(&batch, pages.redacts));
    drop(batch);
    let (clock, silence) = (edge.clock.clone(), edge.limits.silence);
    let alarm = Box::pin(sleep(silence.min(until.since(clock.now()))));
    Ok(Content::Stream(Stream::endless(Events { ready, reading: Some(pages.into_next()), alarm, silence, clock, until })))
}

struct Events {
    /// Rendered, and not taken yet.
    ready: VecDeque<Bytes>,
    /// `None` once the stream ends.
    reading: Option<Reading>,
    /// Rings when the reader has heard nothing for long, or when the token ends.
    alarm: Pin<Box<Sleep>>,
    silence: Duration,
    clock: Clock,
    until: UnixTime,
}

impl Events {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            let now = self.clock.now();
            let Some(reading) = self.reading.as_mut().filter(|_| now < self.until) else { return Poll::Ready(None) };
            if let Poll::Ready((pages, next)) = reading.as_mut().poll(cx) {
                self.reading = None;
                if let Ok(batch) = next {
                    self.ready = render(&batch, pages.redacts);
                    self.reading = Some(pages.into_next());
                }
            } else {
                ready!(self.alarm.as_mut().poll(cx));
                self.ready.push_back(Bytes::from_static(COMMENT));
            }
            // Not beyond the token's end, and from time to time in any case: the clock may be set.
            self.alarm.as_mut().set(sleep(self.silence.min(self.until.since(now))));
        }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_next(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn render(batch: &Batch, redacts: bool) -> VecDeque<Bytes> {
    let mut frames = Frames::of(batch);
    for entry in &batch.entries {
        write(&mut frames, entry, shown(entry, redacts));
    }
    frames.finish()
}

/// Appends one event. Its name must not hold line breaks; in its body each begins a line of data (in JSON they are white space).
fn write(frames: &mut Frames, entry: &Entry, body: Bytes) {
    frames.text(format!("id: {}\n", entry.cursor));
    if !entry.event.is_empty() {
        frames.text("event: ");
        frames.text(entry.event.replace(['\r', '\n'], ""));
        frames.text("\n");
    }
    for line in lines(body) {
        frames.text("data: ");
        frames.bytes(line);
        frames.text("\n");
    }
    frames.text("\n");
}

/// The lines of `body`, which end with CR LF, LF or CR; at least one, and an empty one after a line end at the end.
fn lines(body: Bytes) -> impl Iterator<Item = Bytes> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let mut body = rest.take()?;
        if let Some(end) = body.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let is_pair = body.get(end..).is_some_and(|end| end.starts_with(b"\r\n"));
            let mut after = body.split_off(end);
            rest = Some(after.split_off(if is_pair { 2 } else { 1 }));
        }
        Some(body)
    })
}
