//! Owns following: reading from a cursor, waiting for a change since that read, reading again. Replay and live are one path.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Filter, Page, PageLimit};
use crate::inbox::mark::{Mark, Wish};
use crate::inbox::store::ReadError;
use crate::inbox::{Inbox, Kept, READ_PATIENCE};

/// For the mark to move on where a reader can do with an older one.
const MARK_PATIENCE: Duration = Duration::from_secs(1);

/// One reader's place in the inbox. It holds no entries, so a slow one costs nothing and loses nothing.
#[derive(Debug)]
pub struct Follower {
    inbox: Inbox,
    place: Place,
    filter: Arc<Filter>,
    changed: watch::Receiver<()>,
    /// Whether it has come to the end once, and waited there.
    is_live: bool,
}

/// Where a [`Follower`] is, to [go back](Follower::rewind) to.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Behind all that was looked at, wanted or not.
    looked_at: Option<Cursor>,
    /// What its reader is told. It does not depend on entries that are not wanted.
    told: Option<Cursor>,
}

impl Follower {
    pub(crate) fn new(inbox: Inbox, after: Option<Cursor>, filter: Filter, changed: watch::Receiver<()>) -> Self {
        inbox.statistics().followers.fetch_add(1, Relaxed);
        let place = Place { looked_at: after, told: after };
        Self { inbox, place, filter: Arc::new(filter), changed, is_live: false }
    }

    /// Where a new reader with the same filter goes on. `None` before the first read, where it began at the oldest entry.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.place.told
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// What there is now, perhaps nothing. `next` of the page is that of the last entry given, and at the end of the inbox it moves
    /// on by the clock. It does not tell of entries that are not wanted.
    ///
    /// # Errors
    /// As [`Inbox::read`].
    pub async fn poll(&mut self, limit: PageLimit) -> Result<Page, ReadError> {
        if !self.is_live {
            self.inbox.refresh_mark().await;
        }
        // What is committed after this is a change that `changed` sees, whether the read sees it or not.
        self.changed.mark_unchanged();
        // A read that begins later sees all entries up to the mark.
        let mark = self.inbox.mark().current();
        let page = match self.place.looked_at {
            Some(cursor) if self.is_live => self.inbox.read_newest(cursor, &self.filter, limit).await?,
            cursor => self.inbox.read(cursor, &self.filter, limit).await?,
        };
        let before = self.place.told.unwrap_or(page.after);
        let mut told = page.entries.last().map_or(before, |entry| entry.cursor);
        if page.is_last {
            told = mark.map_or(told, |mark| mark.max(told));
            self.inbox.mark().want(Wish::Later);
        }
        self.place = Place { looked_at: Some(page.next), told: Some(told) };
        Ok(Page { next: told, ..page })
    }

    /// Done when something was committed since the last [`poll`](Self::poll) began, or when there is a later cursor to tell.
    ///
    /// # Errors
    /// Where there is no inbox any more, and so never will be.
    pub async fn changed(&mut self) -> Result<(), ReadError> {
        self.changed.changed().await.or(Err(ReadError::NotKept))?;
        self.is_live = true;
        Ok(())
    }

    /// Goes back to a place where it was, so that the next [`poll`](Self::poll) gives what followed there once more.
    pub fn rewind(&mut self, to: Place) {
        self.place = to;
    }

    /// Goes on behind `cursor`, as after a [gap](ReadError::Gone).
    pub fn skip_to(&mut self, cursor: Cursor) {
        self.place = Place { looked_at: Some(cursor), told: Some(cursor) };
    }

    /// The next entries, as soon as there are some: at least one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`Inbox::read`].
    pub async fn next(&mut self, limit: PageLimit) -> Result<Page, ReadError> {
        loop {
            let page = self.poll(limit).await?;
            if !page.entries.is_empty() {
                return Ok(page);
            }
            if page.is_last {
                self.changed().await?;
            }
        }
    }
}

impl Inbox {
    /// Has the mark moved on where nobody has read for a while, so that a reader that comes seldom is told a late one.
    async fn refresh_mark(&self) {
        let Some(kept) = self.0.kept.as_ref().filter(|kept| !self.0.mark.is_fresh() && kept.writer.outage().is_none()) else {
            return;
        };
        self.move_mark(kept, Wish::Later, MARK_PATIENCE, Mark::is_fresh).await; // an older one will do
    }

    /// Has the mark moved, and waits until that `is_done`, for a while.
    async fn move_mark(&self, kept: &Kept, wish: Wish, patience: Duration, is_done: impl Fn(&Mark) -> bool) {
        let mut changed = self.0.changed.subscribe();
        self.0.mark.want(wish);
        kept.writer.nudge();
        let moved = async { while !is_done(&self.0.mark) && changed.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(patience, moved).await;
    }

    /// The end of the inbox at a moment of this call: behind all entries that were committed before it, and before all that are
    /// committed after it. It does not tell of entries. `None` where it cannot be told now.
    pub async fn latest(&self) -> Option<Cursor> {
        let kept = self.0.kept.as_ref().filter(|kept| kept.writer.outage().is_none())?;
        let begin = Instant::now();
        let is_done = |mark: &Mark| mark.is_at_end_of(begin);
        self.move_mark(kept, Wish::Now, READ_PATIENCE, is_done).await;
        if is_done(&self.0.mark) { self.0.mark.current() } else { None }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.inbox.statistics().followers.fetch_sub(1, Relaxed);
    }
}
