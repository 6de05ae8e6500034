//! Follows the inbox: read from a cursor, wait for a change since that read, read again. Replaying old events and waiting for new
//! ones is the same loop. Does not know the readers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Filter, Page, PageLimit};
use crate::inbox::handle::{Inbox, READ_TIMEOUT};
use crate::inbox::mark::{Mark, Move};
use crate::inbox::shared::Shared;
use crate::inbox::store::ReadError;

/// How long a reader that can use an older mark waits for a newer one.
const MARK_TIMEOUT: Duration = Duration::from_secs(1);

/// One reader's position in the inbox. It holds no entries, so a slow reader costs nothing and misses nothing. It fails as
/// [`Inbox::read`] does, and continues from the same position afterwards.
#[derive(Debug)]
pub struct Follower {
    inbox: Inbox,
    position: Position,
    /// The position before the last page.
    previous: Position,
    filter: Arc<Filter>,
    changed: watch::Receiver<()>,
    /// Whether the last read came to the end of the inbox, so that there is nothing more before the next change.
    is_at_end: bool,
    /// Whether it has waited at the end before.
    is_live: bool,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    /// After everything that was looked at, whether the filter wants it or not.
    looked_at: Option<Cursor>,
    /// What the reader is told. It does not depend on entries that the filter does not want.
    told: Option<Cursor>,
}

impl Follower {
    /// Where a new reader with the same filter continues. `None` before the first read if it began at the oldest entry.
    pub fn cursor(&self) -> Option<Cursor> {
        self.position.told
    }

    /// What there is now, which may be nothing. The page's `next` is the cursor of its last entry; at the end of the inbox it
    /// advances with the clock. It does not reveal entries that the filter does not want.
    pub async fn poll(&mut self, limit: PageLimit) -> Result<Page, ReadError> {
        let marks = &self.inbox.0.shared.mark;
        // If nobody has read for a while, an infrequent reader is told a recent mark. An older one will do.
        if !self.is_live && !marks.is_fresh() && self.inbox.is_working() {
            self.inbox.move_mark(Move::Later, MARK_TIMEOUT, Mark::is_fresh).await;
        }
        // `changed` sees every commit after this line, whether or not the read sees it too.
        self.changed.mark_unchanged();
        // A read that begins later sees all entries up to the mark.
        let mark = marks.current();
        let page = match self.position.looked_at {
            Some(cursor) if self.is_live => self.inbox.read_newest(cursor, &self.filter, limit).await?,
            cursor => self.inbox.read(cursor, &self.filter, limit).await?,
        };
        let mut told = page.entries.last().map(|entry| entry.cursor).or(self.position.told).unwrap_or(page.after);
        if page.is_last {
            told = mark.map_or(told, |mark| mark.max(told));
            marks.request(Move::Later);
        }
        self.previous = self.position;
        self.position = Position { looked_at: Some(page.next), told: Some(told) };
        self.is_at_end = page.is_last;
        Ok(Page { next: told, ..page })
    }

    /// [`poll`](Self::poll), after a wait if the last page came to the end: for a commit, or until there is a later cursor to
    /// tell. The page may be empty. Dropping the future loses nothing.
    pub async fn next_page(&mut self, limit: PageLimit) -> Result<Page, ReadError> {
        if self.is_at_end {
            let _ = self.changed.changed().await; // the inbox holds the sender
            (self.is_at_end, self.is_live) = (false, true);
        }
        self.poll(limit).await
    }

    /// The next entries, as soon as there are some: at least one. Dropping the future loses nothing.
    pub async fn next(&mut self, limit: PageLimit) -> Result<Page, ReadError> {
        loop {
            let page = self.next_page(limit).await?;
            if !page.entries.is_empty() {
                return Ok(page);
            }
        }
    }

    /// Takes the last page back: the next one begins where it did.
    pub fn undo(&mut self) {
        self.position = self.previous;
        self.is_at_end = false;
    }

    /// Continues after `cursor`, for example after a [gap](ReadError::Gone).
    pub fn skip_to(&mut self, cursor: Cursor) {
        self.position = Position { looked_at: Some(cursor), told: Some(cursor) };
        self.is_at_end = false;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.inbox.statistics().followers.fetch_sub(1, Relaxed);
    }
}

impl Inbox {
    /// A reader that continues after `after`, or from the oldest entry.
    #[must_use]
    pub fn follow(&self, after: Option<Cursor>, filter: Filter) -> Follower {
        self.statistics().followers.fetch_add(1, Relaxed);
        let position = Position { looked_at: after, told: after };
        Follower {
            inbox: self.clone(),
            position,
            previous: position,
            filter: Arc::new(filter),
            changed: self.0.shared.changed.subscribe(),
            is_at_end: false,
            is_live: false,
        }
    }

    /// The end of the inbox at a moment during this call: after all entries committed before it, before all entries committed
    /// after it. It reveals nothing about entries. `None` if it cannot be determined now.
    pub async fn latest(&self) -> Option<Cursor> {
        let (mark, begin) = (&self.0.shared.mark, Instant::now());
        if self.is_working() {
            self.move_mark(Move::Now, READ_TIMEOUT, |mark| mark.is_at_end_of(begin)).await;
        }
        if mark.is_at_end_of(begin) { mark.current() } else { None }
    }

    /// Whether the writer can move the mark.
    fn is_working(&self) -> bool {
        self.keeps() && self.0.shared.health.outage().is_none()
    }

    /// Requests a move of the mark, and waits for a limited time until `is_done`.
    async fn move_mark(&self, requested: Move, timeout: Duration, is_done: impl Fn(&Mark) -> bool) {
        let Shared { changed, mark, queue, .. } = &*self.0.shared;
        let mut changed = changed.subscribe();
        mark.request(requested);
        queue.wake();
        let moved = async { while !is_done(mark) && changed.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(timeout, moved).await;
    }
}
