//! Reads the inbox for one client of `/events`, a small batch at a time, in bounded memory. Does not know the form of the answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use crate::http::edge::Edge;
use crate::http::endpoints::events::large_bodies::{Allowance, Hold, weight};
use crate::http::endpoints::events::query::Beginning;
use crate::http::field_error::FieldError;
use crate::http::limits::{CURSOR_LEEWAY, READ_AHEAD_BYTES};
use crate::http::refusal::Refusal;
use crate::http::stop::Stop;
use crate::inbox::{Cursor, Filter, Follower, Inbox, Page, PageLimit, ReadError};

/// Between two reads while the store fails.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct BatchReader {
    inbox: Inbox,
    pub(super) follower: Follower,
    /// The cursor to begin at and its field's name, until it is known that this inbox issued the cursor.
    unchecked: Option<(&'static str, Cursor)>,
    allowance: Allowance,
    /// The weight of the next page, if it has to wait for memory.
    waiting_kib: Option<u32>,
    pub(super) stop: Arc<Stop>,
    redacts: bool,
}

/// A page, and the memory that it takes.
pub(super) struct Batch {
    pub(super) page: Page,
    pub(super) hold: Option<Hold>,
    /// Whether secrets in its events must be hidden from the client.
    pub(super) redacts: bool,
    pub(super) gap: Option<Gap>,
}

/// Entries were deleted before their reader came to them: those after `after`, up to `oldest`.
#[derive(Clone, Copy)]
pub(super) struct Gap {
    pub(super) after: Cursor,
    pub(super) oldest: Cursor,
}

/// Which batch to read.
#[derive(Clone, Copy)]
pub(super) enum Next {
    /// What there is now, at most so many entries.
    Now(usize),
    /// What comes within this time, at most so many entries.
    Within(Duration, usize),
    /// What comes next on a stream, as soon as there are entries or a later cursor. The wait ends when the server stops.
    Change,
}

impl BatchReader {
    pub(super) async fn new(edge: &Edge, start: Beginning, filter: Filter, allowance: Allowance, redacts: bool) -> Self {
        let (inbox, now) = (edge.inbox.clone(), edge.clock.now());
        let (after, unchecked) = match start {
            Beginning::Oldest => (None, None),
            // If the inbox cannot tell, nothing is being committed now, and later entries have later cursors.
            Beginning::Latest => (Some(inbox.latest().await.unwrap_or_else(|| Cursor::at(now))), None),
            Beginning::After(field, cursor) => {
                let is_ahead = cursor > Cursor::at(now.saturating_add(CURSOR_LEEWAY));
                (Some(cursor), is_ahead.then_some((field, cursor)))
            }
        };
        let (follower, stop) = (inbox.follow(after, filter), Arc::clone(&edge.stop));
        Self { inbox, follower, unchecked, allowance, waiting_kib: None, stop, redacts }
    }

    /// [`poll`](Self::poll), after a wait if there is nothing to read yet.
    pub(super) async fn read(&mut self, next: Next) -> Result<Batch, Refusal> {
        let stop = Arc::clone(&self.stop);
        match next {
            Next::Now(_) => self.poll(next).await,
            Next::Within(wait, entries) => {
                tokio::select! {
                    biased;
                    batch = self.poll(next) => return batch,
                    () = sleep(wait) => {}
                    () = stop.connections_end() => {}
                }
                self.poll(Next::Now(entries)).await
            }
            Next::Change => tokio::select! {
                biased;
                () = stop.connections_end() => Err(Refusal::Stopping),
                batch = self.poll_until_readable() => batch,
            },
        }
    }

    /// Reads a page. A large one waits for memory, for a limited time.
    pub(super) async fn poll(&mut self, next: Next) -> Result<Batch, Refusal> {
        // A reader with a cursor from the future would miss events. It is another inbox's, unless clocks differ or were set.
        if let Some((field, cursor)) = self.unchecked {
            if !self.inbox.has_reached(cursor).await.map_err(Refusal::Read)? {
                return Err(Refusal::Field(field, FieldError::CursorAhead));
            }
            self.unchecked = None;
        }
        let entries = if let Next::Now(entries) | Next::Within(_, entries) = next { entries } else { usize::MAX };
        let limit = PageLimit { entries, bytes: READ_AHEAD_BYTES };
        loop {
            let reserved = match self.waiting_kib {
                Some(kib) => Some(self.allowance.wait(kib).await.ok_or(Refusal::Overloaded)?),
                None => None,
            };
            let page = match next {
                Next::Within(..) if reserved.is_none() => self.follower.next(limit).await,
                Next::Change => self.follower.next_page(limit).await,
                Next::Now(_) | Next::Within(..) => self.follower.poll(limit).await,
            };
            let page = page.map_err(Refusal::Read)?;
            let weight = weight(&page);
            let hold = match (weight, reserved) {
                (Some(kib), None) => self.allowance.hold_now(kib).await,
                (_, reserved) => reserved.filter(|_| weight.is_some()),
            };
            self.waiting_kib = weight.filter(|_| hold.is_none());
            if self.waiting_kib.is_none() {
                return Ok(Batch { page, hold, redacts: self.redacts, gap: None });
            }
            // Nothing is held while it waits, so the page has to be read again.
            self.follower.undo();
        }
    }

    /// [`poll`](Self::poll) for a stream. If the next entries were deleted, the stream continues at the oldest entry left.
    pub(super) async fn poll_stream(&mut self, next: Next) -> Result<Batch, Refusal> {
        match self.poll(next).await {
            Err(Refusal::Read(ReadError::Gone { oldest })) => {
                let after = self.follower.cursor().unwrap_or(oldest);
                self.follower.skip_to(oldest);
                Ok(Batch { page: Page::empty(oldest), hold: None, redacts: self.redacts, gap: Some(Gap { after, oldest }) })
            }
            result => result,
        }
    }

    /// [`poll_stream`](Self::poll_stream) that tries again while the store fails or memory is in use: followers stay connected.
    async fn poll_until_readable(&mut self) -> Result<Batch, Refusal> {
        loop {
            match self.poll_stream(Next::Change).await {
                Err(Refusal::Overloaded) => {}
                Err(Refusal::Read(ReadError::Store(error))) => {
                    debug!(%error, "the inbox cannot be read; the follower waits");
                    sleep(RETRY).await;
                }
                result => return result,
            }
        }
    }
}
