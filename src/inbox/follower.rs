//! Owns following: reading from a cursor, waiting for a change since that read, reading again. Replay and live are one path.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::watch;

use crate::inbox::Inbox;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Filter, Page, PageLimit};
use crate::inbox::store::ReadError;

/// One reader's place in the inbox. It holds no entries, so a slow one costs nothing and loses nothing.
#[derive(Debug)]
pub struct Follower {
    inbox: Inbox,
    cursor: Option<Cursor>,
    filter: Arc<Filter>,
    changed: watch::Receiver<()>,
    /// Whether it has come to the end once, and waited there.
    is_live: bool,
}

impl Follower {
    pub(crate) fn new(inbox: Inbox, after: Option<Cursor>, filter: Filter, changed: watch::Receiver<()>) -> Self {
        inbox.statistics().followers.fetch_add(1, Relaxed);
        Self { inbox, cursor: after, filter: Arc::new(filter), changed, is_live: false }
    }

    /// Behind all that was given or passed over. `None` before the first read, where it began at the oldest entry.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// What there is now, perhaps nothing.
    ///
    /// # Errors
    /// As [`Inbox::read`].
    pub async fn poll(&mut self, limit: PageLimit) -> Result<Page, ReadError> {
        // What is committed after this is a change that `wait` sees, whether the read sees it or not.
        self.changed.mark_unchanged();
        let page = match self.cursor {
            Some(cursor) if self.is_live => self.inbox.read_newest(cursor, &self.filter, limit).await?,
            cursor => self.inbox.read(cursor, &self.filter, limit).await?,
        };
        self.cursor = Some(page.next);
        Ok(page)
    }

    /// Done when something was committed since the last [`poll`](Self::poll) began.
    ///
    /// # Errors
    /// Where there is no inbox any more, and so never will be.
    pub async fn changed(&mut self) -> Result<(), ReadError> {
        self.changed.changed().await.or(Err(ReadError::NotKept))?;
        self.is_live = true;
        Ok(())
    }

    /// Goes back to a place where it was, so that the next [`poll`](Self::poll) gives what followed there once more.
    pub fn rewind(&mut self, to: Option<Cursor>) {
        self.cursor = to;
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

impl Drop for Follower {
    fn drop(&mut self) {
        self.inbox.statistics().followers.fetch_sub(1, Relaxed);
    }
}
