//! Renders Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): a stream that lasts until the
//! client disconnects, its token expires, or the server stops. Does not know where events come from.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use crate::http::content::{Content, Outlet, Stream};
use crate::http::endpoints::events::batches::{Batch, BatchReader, Gap, Next};
use crate::http::endpoints::events::frames::Frames;
use crate::http::endpoints::events::permission::Permission;
use crate::http::refusal::Refusal;
use crate::inbox::{Cursor, ReadError};

/// How long the first read may take before the stream begins without it.
const FIRST_READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The beginning of each stream: a client that is disconnected reconnects after a second.
const BEGIN: &[u8] = b"retry: 1000\n\n";
/// Sent on a silent stream, so that no proxy closes it.
const COMMENT: &[u8] = b":\n\n";

/// A stream of events for a client that knows the cursor `told`. `EventSource.onmessage` receives only events that are not named.
pub(super) async fn stream(
    mut reader: BatchReader,
    is_named: bool,
    told: Option<Cursor>,
    permission: Permission,
    silence: Duration,
) -> Result<Content, Refusal> {
    let next = reader.follower.cursor();
    // Errors have to come before the stream begins. But if only memory or the store is missing, the stream begins and waits,
    // because an `EventSource` does not reconnect after a 503.
    let first = match timeout(FIRST_READ_TIMEOUT, reader.poll_stream(Next::Now(usize::MAX))).await {
        Err(_) | Ok(Err(Refusal::Overloaded | Refusal::Read(ReadError::Store(_)))) => None,
        Ok(first) => Some(first?),
    };
    let ended = permission.clone().ended();
    let mut events = EventStream { silence, permission, is_named, told, next };
    let mut pieces = vec![Bytes::from_static(BEGIN)];
    // A client that begins at the end has to be able to resume there, even if no event has come.
    if told.is_none() && next.is_some() {
        pieces.push(events.keep_alive());
    }
    pieces.extend(first.iter().flat_map(|first| events.take(first)));
    // By reference, because the future of an async function holds its arguments twice.
    let send = |outlet| async move { events.send(pieces, &mut reader, &outlet).await };
    Ok(Content::Stream(Stream::new(ended, true, send)))
}

struct EventStream {
    /// The time without an event before something else is sent.
    silence: Duration,
    permission: Permission,
    is_named: bool,
    /// The last cursor that the client was told, and the one that it can resume from.
    told: Option<Cursor>,
    next: Option<Cursor>,
}

impl EventStream {
    async fn send(&mut self, mut pieces: Vec<Bytes>, reader: &mut BatchReader, outlet: &Outlet) {
        let mut silence = pin!(sleep(self.silence));
        loop {
            for piece in pieces {
                if self.permission.is_over() {
                    return;
                }
                outlet.put(piece).await;
            }
            let mut reading = pin!(reader.read(Next::Change));
            pieces = loop {
                tokio::select! {
                    biased;
                    () = self.permission.over() => return,
                    batch = &mut reading => match batch {
                        Ok(batch) => break self.take(&batch),
                        Err(_) => return,
                    },
                    () = &mut silence => {
                        outlet.put(self.keep_alive()).await;
                        silence.set(sleep(self.silence));
                    }
                }
            };
            if !pieces.is_empty() {
                silence.set(sleep(self.silence));
            }
        }
    }

    /// Renders `batch`.
    fn take(&mut self, batch: &Batch) -> Vec<Bytes> {
        let last = batch.page.entries.last().map(|entry| entry.cursor);
        self.told = last.or(batch.gap.map(|gap| gap.oldest)).or(self.told);
        if batch.page.is_last {
            self.next = Some(batch.page.next);
        }
        let mut frames = Frames::of(batch);
        if let Some(Gap { after, oldest }) = batch.gap {
            let gap = format!(r#"{{"after":"{after}","oldest":"{oldest}"}}"#);
            let (name, data) = if self.is_named { ("gap", gap) } else { ("", format!(r#"{{"gap":{gap}}}"#)) };
            write(&mut frames, oldest, name, data.into());
        }
        for entry in &batch.page.entries {
            let name = if self.is_named { &*entry.event } else { "" };
            write(&mut frames, entry.cursor, name, batch.shown(entry));
        }
        frames.finish()
    }

    /// What to send on a silent stream: a later cursor if there is one. A client does not dispatch a message without data, but it
    /// remembers the id (<https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage>).
    fn keep_alive(&mut self) -> Bytes {
        match self.next.filter(|next| self.told.is_none_or(|told| told < *next)) {
            Some(next) => {
                self.told = Some(next);
                format!("id: {next}\n\n").into()
            }
            None => Bytes::from_static(COMMENT),
        }
    }
}

/// Appends one event. Line breaks in its name are removed. In its body, which is JSON, each begins a new `data` line.
fn write(frames: &mut Frames, cursor: Cursor, name: &str, body: Bytes) {
    frames.text(format!("id: {cursor}\n"));
    if !name.is_empty() {
        frames.text(format!("event: {}\n", name.replace(['\r', '\n'], "")));
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
