//! Owns the reading of the inbox for a reader that follows it: from a cursor, a small page at a time, and where there is nothing
//! more, a wait for a commit and the same again. What is held for readers that do not take it is bounded.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use crate::http::edge::Edge;
use crate::http::endpoints::events::large_bodies::{Allowance, Hold, weight};
use crate::http::endpoints::events::query::Start;
use crate::http::limits::{CURSOR_LEEWAY, READ_AHEAD_BYTES};
use crate::http::refusal::{FieldError, Refusal};
use crate::http::stop::Stop;
use crate::inbox::{Cursor, Entry, Filter, Follower, Inbox, PageLimit, ReadError};

/// Between two reads of a store that fails.
const RETRY: Duration = Duration::from_secs(1);

/// A reader's way through the inbox.
#[derive(Debug)]
pub(super) struct Pages {
    inbox: Inbox,
    follower: Follower,
    /// Where it begins, and the field that says so, while it is not known whether that cursor was given here.
    doubtful: Option<(&'static str, Cursor)>,
    allowance: Allowance,
    /// What the entries weigh that come next, where they have to wait for memory.
    heavy: Option<u32>,
    /// Whether the last read came to the end.
    is_at_end: bool,
    stop: Arc<Stop>,
    pub(super) redacts: bool,
}

/// Some entries, or none and a later place.
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) next: Cursor,
    pub(super) is_last: bool,
    pub(super) hold: Option<Hold>,
    pub(super) gap: Option<Gap>,
}

/// Entries that were deleted before their reader came to them: those after `after`, up to `oldest`.
#[derive(Clone, Copy)]
pub(super) struct Gap {
    pub(super) after: Cursor,
    pub(super) oldest: Cursor,
}

impl Batch {
    /// The end, at `next`.
    pub(super) fn last(next: Cursor) -> Self {
        Self { entries: Vec::new(), next, is_last: true, hold: None, gap: None }
    }
}

/// Why there is no batch.
pub(super) enum NoBatch {
    /// The inbox says so.
    Read(ReadError),
    /// The cursor in this field was not given here.
    Ahead(&'static str),
    /// The memory for large bodies is taken.
    Crowded,
    /// The server stops.
    Stopping,
}

impl From<ReadError> for NoBatch {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<NoBatch> for Refusal {
    fn from(reason: NoBatch) -> Self {
        match reason {
            NoBatch::Read(error) => Self::Read(error),
            NoBatch::Ahead(field) => Self::Field(field, FieldError::CursorAhead),
            NoBatch::Crowded => Self::Overloaded,
            NoBatch::Stopping => Self::Stopping,
        }
    }
}

/// A read under way, which gives the reader back with its outcome.
pub(super) type Reading = Pin<Box<dyn Future<Output = (Pages, Result<Batch, NoBatch>)> + Send>>;

impl Pages {
    /// From `start` on.
    pub(super) async fn new(edge: &Edge, start: Start, filter: Filter, allowance: Allowance, redacts: bool) -> Self {
        let (inbox, now) = (edge.inbox.clone(), edge.clock.now());
        let after = match start {
            Start::Oldest => None,
            // Where the inbox cannot tell, nothing is committed now, and what will be has not come yet.
            Start::Latest => Some(inbox.latest().await.unwrap_or_else(|| Cursor::at(now))),
            Start::After(_, cursor) => Some(cursor),
        };
        let doubtful = match start {
            Start::After(field, cursor) if cursor > Cursor::at(now.saturating_add(CURSOR_LEEWAY)) => Some((field, cursor)),
            _ => None,
        };
        let (follower, stop) = (inbox.follow(after, filter), Arc::clone(&edge.stop));
        Self { inbox, follower, doubtful, allowance, heavy: None, is_at_end: false, stop, redacts }
    }

    /// Where a reader that comes back goes on, if that is known.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.follower.cursor()
    }

    /// What there is now, at most so many entries. Large ones wait for memory, for a while.
    pub(super) async fn poll(&mut self, entries: usize) -> Result<Batch, NoBatch> {
        let limit = PageLimit { entries, bytes: READ_AHEAD_BYTES };
        // A cursor from the future would make its reader pass over events, and cannot have been given here unless clocks differ
        // or were set.
        if let Some((field, cursor)) = self.doubtful {
            if !self.inbox.has_reached(cursor).await? {
                return Err(NoBatch::Ahead(field));
            }
            self.doubtful = None;
        }
        loop {
            let waited = match self.heavy {
                Some(kib) => Some(self.allowance.wait(kib).await.ok_or(NoBatch::Crowded)?),
                None => None,
            };
            let before = self.follower.place();
            let page = self.follower.poll(limit).await?;
            let hold = match (weight(&page), waited) {
                (None, _) => None,
                (_, Some(hold)) => Some(hold),
                (Some(kib), None) => {
                    let hold = self.allowance.hold_now(kib).await;
                    if hold.is_none() {
                        // Nothing is held while it waits, and then it is read again.
                        self.follower.rewind(before);
                        self.heavy = Some(kib);
                        continue;
                    }
                    hold
                }
            };
            (self.heavy, self.is_at_end) = (None, page.is_last);
            return Ok(Batch { entries: page.entries, next: page.next, is_last: page.is_last, hold, gap: None });
        }
    }

    /// [`poll`](Self::poll) for a stream, which goes on from the oldest entry where those before it were deleted.
    pub(super) async fn poll_stream(&mut self) -> Result<Batch, NoBatch> {
        match self.poll(usize::MAX).await {
            Err(NoBatch::Read(ReadError::Gone { oldest })) => {
                let after = self.cursor().unwrap_or(oldest);
                self.follower.skip_to(oldest);
                let gap = Some(Gap { after, oldest });
                Ok(Batch { entries: Vec::new(), next: oldest, is_last: false, hold: None, gap })
            }
            outcome => outcome,
        }
    }

    /// What comes within `wait`, at most so many entries: nothing, or all that a commit brought.
    async fn wait(&mut self, wait: Duration, entries: usize) -> Result<Batch, NoBatch> {
        let stop = Arc::clone(&self.stop);
        let mut over = pin!(async {
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.wait() => {}
            }
        });
        loop {
            tokio::select! {
                biased;
                () = &mut over => return self.poll(entries).await,
                changed = self.follower.changed() => changed?,
            }
            loop {
                let batch = self.poll(entries).await?;
                if !batch.entries.is_empty() {
                    return Ok(batch);
                }
                if batch.is_last {
                    break;
                }
            }
        }
    }

    /// What comes next, as soon as there is something: entries, or a later place. A store that fails is asked again, and memory
    /// that is taken is waited for again: whoever follows stays.
    async fn next(&mut self) -> Result<Batch, NoBatch> {
        loop {
            if std::mem::take(&mut self.is_at_end) {
                self.follower.changed().await?;
            }
            match self.poll_stream().await {
                Err(NoBatch::Crowded) => {}
                Err(NoBatch::Read(ReadError::Store(error))) => {
                    debug!(%error, "the inbox cannot be read, a follower waits");
                    sleep(RETRY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// [`poll`](Self::poll), as a future of its own.
    pub(super) fn into_poll(mut self, entries: usize) -> Reading {
        Box::pin(async move {
            let polled = self.poll(entries).await;
            (self, polled)
        })
    }

    /// [`wait`](Self::wait), as a future of its own.
    pub(super) fn into_wait(mut self, wait: Duration, entries: usize) -> Reading {
        Box::pin(async move {
            let waited = self.wait(wait, entries).await;
            (self, waited)
        })
    }

    /// [`next`](Self::next), as a future of its own. It ends when the server stops.
    pub(super) fn into_next(mut self) -> Reading {
        Box::pin(async move {
            let stop = Arc::clone(&self.stop);
            let next = tokio::select! {
                biased;
                () = stop.wait() => Err(NoBatch::Stopping),
                next = self.next() => next,
            };
            (self, next)
        })
    }

    /// Whether the server stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_told()
    }
}
