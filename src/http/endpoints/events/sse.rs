//! Owns the form of Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): a stream that goes on
//! until its reader leaves, its token ends, or the server does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep, timeout};

use crate::http::content::{Content, Stream};
use crate::http::endpoints::events::frames::{Frames, shown};
use crate::http::endpoints::events::pages::{Batch, Gap, NoBatch, Pages, Reading};
use crate::http::endpoints::events::right::Right;
use crate::http::refusal::Refusal;
use crate::inbox::{Cursor, ReadError};

/// How a stream is shown.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Without the secrets in events.
    pub(super) redacts: bool,
    /// With the names of events, for which `onmessage` does not hear them.
    pub(super) is_named: bool,
}

/// For a first read, before the stream begins without it.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a stream begins with: a reader that is cut comes back after a second.
const BEGIN: &[u8] = b"retry: 1000\n\n";
/// What is sent where there is nothing to send and no later cursor, so that no proxy takes the stream for dead.
const COMMENT: &[u8] = b":\n\n";

/// The stream of what `pages` gives, until `right` ends, to a reader that knows the cursor `told`.
pub(super) async fn stream(
    mut pages: Pages,
    form: Form,
    told: Option<Cursor>,
    right: Right,
    silence: Duration,
) -> Result<Content, Refusal> {
    let next = pages.cursor();
    // What can be refused is refused before the stream begins. What has to wait, for memory or for the store, does so in it: an
    // `EventSource` never comes back after a 503.
    let first = match timeout(PATIENCE, pages.poll_stream()).await {
        Err(_) | Ok(Err(NoBatch::Crowded | NoBatch::Read(ReadError::Store(_)))) => None,
        Ok(first) => Some(first?),
    };
    let over = right.clone().ended();
    let mut events = Events {
        ready: VecDeque::from([Bytes::from_static(BEGIN)]),
        reading: None,
        alarm: Box::pin(sleep(silence)),
        silence,
        right,
        form,
        told,
        next,
    };
    // A reader that begins now has to come back to the same place, even if nothing has come.
    if told.is_none() && next.is_some() {
        let place = events.sign_of_life();
        events.ready.push_back(place);
    }
    if let Some(first) = first {
        events.take(&first);
    }
    events.reading = Some(pages.into_next());
    Ok(Content::Stream(Stream::new(events, over).endless()))
}

struct Events {
    /// Rendered, and not taken yet.
    ready: VecDeque<Bytes>,
    /// `None` once the stream ends.
    reading: Option<Reading>,
    /// Rings when the reader has heard nothing for long.
    alarm: Pin<Box<Sleep>>,
    silence: Duration,
    right: Right,
    form: Form,
    /// The last cursor that the reader was told, and the one that it can go on from.
    told: Option<Cursor>,
    next: Option<Cursor>,
}

impl Events {
    fn take(&mut self, batch: &Batch) {
        self.ready.extend(render(batch, self.form));
        let last = batch.entries.last().map(|entry| entry.cursor);
        self.told = last.or(batch.gap.map(|gap| gap.oldest)).or(self.told);
        if batch.is_last {
            self.next = Some(batch.next);
        }
    }

    /// What is sent where there is nothing to send: that its reader can go on from later. An event that has no data is none
    /// (<https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage>), but its id counts.
    fn sign_of_life(&mut self) -> Bytes {
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
            if let Poll::Ready((pages, next)) = reading.as_mut().poll(cx) {
                self.reading = None;
                let Ok(batch) = next else { continue };
                self.take(&batch);
                self.reading = Some(pages.into_next());
                if self.ready.is_empty() {
                    continue; // the silence goes on
                }
            } else {
                ready!(self.alarm.as_mut().poll(cx));
                let sign = self.sign_of_life();
                self.ready.push_back(sign);
            }
            self.alarm.as_mut().set(sleep(self.silence));
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

fn render(batch: &Batch, form: Form) -> VecDeque<Bytes> {
    let mut frames = Frames::of(batch);
    if let Some(Gap { after, oldest }) = batch.gap {
        let gap = format!(r#"{{"after":"{after}","oldest":"{oldest}"}}"#);
        let (name, data) = if form.is_named { ("gap", gap) } else { ("", format!(r#"{{"gap":{gap}}}"#)) };
        write(&mut frames, oldest, name, data.into());
    }
    for entry in &batch.entries {
        let name = if form.is_named { &*entry.event } else { "" };
        write(&mut frames, entry.cursor, name, shown(entry, form.redacts));
    }
    frames.finish()
}

/// Appends one event. Its name must not hold line breaks; in its body each begins a line of data (in JSON they are white space).
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
