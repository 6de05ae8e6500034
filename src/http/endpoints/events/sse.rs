//! Renders Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): a stream that lasts until the client
//! disconnects, its token expires, or the server stops. Does not know where events come from.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep, timeout};

use crate::http::content::{Content, Stream};
use crate::http::endpoints::events::batches::{Batch, BatchReader, Gap, Next, Reading};
use crate::http::endpoints::events::frames::{Frames, shown};
use crate::http::endpoints::events::right::Right;
use crate::http::refusal::Refusal;
use crate::inbox::{Cursor, ReadError};

/// How events are rendered.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Whether secrets are removed from events.
    pub(super) redacts: bool,
    /// Whether events have names. `EventSource.onmessage` receives only events without one.
    pub(super) is_named: bool,
}

/// How long the first read may take before the stream begins without it.
const FIRST_READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The beginning of each stream: a client that is disconnected reconnects after a second.
const BEGIN: &[u8] = b"retry: 1000\n\n";
/// Sent on a silent stream, so that no proxy closes it.
const COMMENT: &[u8] = b":\n\n";

/// A stream of events until `right` ends, for a client that knows the cursor `told`.
pub(super) async fn stream(
    mut reader: BatchReader,
    form: Form,
    told: Option<Cursor>,
    right: Right,
    silence: Duration,
) -> Result<Content, Refusal> {
    let next = reader.cursor();
    // Errors have to come before the stream begins. But if only memory or the store is missing, the stream begins and waits,
    // because an `EventSource` does not reconnect after a 503.
    let first = match timeout(FIRST_READ_TIMEOUT, reader.poll_stream(Next::Now(usize::MAX))).await {
        Err(_) | Ok(Err(Refusal::Overloaded | Refusal::Read(ReadError::Store(_)))) => None,
        Ok(first) => Some(first?),
    };
    let over = right.clone().ended();
    let mut events = EventStream {
        ready: VecDeque::from([Bytes::from_static(BEGIN)]),
        reading: None,
        keep_alive_timer: Box::pin(sleep(silence)),
        silence,
        right,
        form,
        told,
        next,
    };
    // A client that begins at the end has to be able to resume there, even if no event has come.
    if told.is_none() && next.is_some() {
        let cursor = events.keep_alive();
        events.ready.push_back(cursor);
    }
    if let Some(first) = first {
        events.take(&first);
    }
    events.reading = Some(reader.read(Next::Change));
    Ok(Content::Stream(Stream::new(events, over).endless()))
}

struct EventStream {
    /// Rendered and not yet sent.
    ready: VecDeque<Bytes>,
    /// `None` at the end of the stream.
    reading: Option<Reading>,
    /// Fires when nothing was sent for `silence`.
    keep_alive_timer: Pin<Box<Sleep>>,
    silence: Duration,
    right: Right,
    form: Form,
    /// The last cursor that the client was told, and the one that it can resume from.
    told: Option<Cursor>,
    next: Option<Cursor>,
}

impl EventStream {
    fn take(&mut self, batch: &Batch) {
        self.ready.extend(render(batch, self.form));
        let last = batch.page.entries.last().map(|entry| entry.cursor);
        self.told = last.or(batch.gap.map(|gap| gap.oldest)).or(self.told);
        if batch.page.is_last {
            self.next = Some(batch.page.next);
        }
    }

    /// Sent on a silent stream: a later cursor if there is one. A message without data is not dispatched as an event, but its id
    /// counts (<https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage>).
    fn keep_alive(&mut self) -> Bytes {
        match self.next.filter(|next| self.told.is_none_or(|told| told < *next)) {
            Some(next) => {
                self.told = Some(next);
                format!("id: {next}\n\n").into()
            }
            None => Bytes::from_static(COMMENT),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.right.is_over() {
                return Poll::Ready(None);
            }
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            let Some(reading) = self.reading.as_mut() else { return Poll::Ready(None) };
            if let Poll::Ready((reader, batch)) = reading.as_mut().poll(cx) {
                self.reading = None;
                let Ok(batch) = batch else { continue };
                self.take(&batch);
                self.reading = Some(reader.read(Next::Change));
                if self.ready.is_empty() {
                    continue; // still silent
                }
            } else {
                ready!(self.keep_alive_timer.as_mut().poll(cx));
                let message = self.keep_alive();
                self.ready.push_back(message);
            }
            self.keep_alive_timer.as_mut().set(sleep(self.silence));
        }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_next(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn render(batch: &Batch, form: Form) -> VecDeque<Bytes> {
    let mut frames = Frames::of(batch);
    if let Some(Gap { after, oldest }) = batch.gap {
        let gap = format!(r#"{{"after":"{after}","oldest":"{oldest}"}}"#);
        let (name, data) = if form.is_named { ("gap", gap) } else { ("", format!(r#"{{"gap":{gap}}}"#)) };
        write(&mut frames, oldest, name, data.into());
    }
    for entry in &batch.page.entries {
        let name = if form.is_named { &*entry.event } else { "" };
        write(&mut frames, entry.cursor, name, shown(entry, form.redacts));
    }
    frames.finish()
}

/// Appends one event. Line breaks are removed from its name; in its body, each begins a new `data` line (in JSON they are white
/// space).
fn write(frames: &mut Frames, cursor: Cursor, name: &str, body: Bytes) {
    frames.text(format!("id: {cursor}\n"));
    if !name.is_empty() {
        frames.text("event: ");
        frames.text(name.replace(['\r', '\n'], ""));
        frames.text("\n");
    }
    for line in lines(body) {
        frames.text("data: ");
        frames.bytes(line);
        frames.text("\n");
    }
    frames.text("\n");
}

/// The lines of `body`, separated by CR LF, LF or CR. There is at least one, and the last may be empty.
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
