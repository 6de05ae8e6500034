//! Owns the reading of the inbox for a reader that follows it: from a cursor, a small page at a time, and where there is nothing
//! more, a wait for a commit and the same again. What is held for readers that do not take it is bounded.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use crate::http::Edge;
use crate::http::endpoints::events::large_bodies::{Allowance, Hold, weight};
use crate::http::limits::READ_AHEAD_BYTES;
use crate::http::reply::Refusal;
use crate::http::stop::Stop;
use crate::inbox::{Cursor, Entry, Filter, Follower, PageLimit, ReadError};

/// Between two reads of a store that fails.
const RETRY: Duration = Duration::from_secs(1);

/// A reader's way through the inbox.
#[derive(Debug)]
pub(super) struct Pages {
    follower: Follower,
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
}

impl Batch {
    /// The end, at `next`.
    pub(super) fn last(next: Cursor) -> Self {
        Self { entries: Vec::new(), next, is_last: true, hold: None }
    }
}

/// Why there is no batch.
pub(super) enum NoBatch {
    /// The inbox says so.
    Read(ReadError),
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
            NoBatch::Crowded => Self::Overloaded,
            NoBatch::Stopping => Self::Stopping,
        }
    }
}

/// A read under way, which gives the reader back with its outcome.
pub(super) type Reading = Pin<Box<dyn Future<Output = (Pages, Result<Batch, NoBatch>)> + Send>>;

impl Pages {
    pub(super) fn new(edge: &Edge, after: Option<Cursor>, filter: Filter, allowance: Allowance, redacts: bool) -> Self {
        let follower = edge.inbox.follow(after, filter);
        Self { follower, allowance, heavy: None, is_at_end: false, stop: Arc::clone(&edge.stop), redacts }
    }

    /// What there is now, at most so many entries. Large ones wait for memory, for a while.
    pub(super) async fn poll(&mut self, entries: usize) -> Result<Batch, NoBatch> {
        let limit = PageLimit { entries, bytes: READ_AHEAD_BYTES };
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
            return Ok(Batch { entries: page.entries, next: page.next, is_last: page.is_last, hold });
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
            match self.poll(usize::MAX).await {
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
