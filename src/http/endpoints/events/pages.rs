//! Owns the reading of the inbox for one who follows it: from a cursor, a small page at a time, and where there is nothing more,
//! a wait for a commit and the same again. What is held for all who do not take it is bounded.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tracing::debug;

use crate::http::Edge;
use crate::http::limits::{LARGE_BODY_BYTES, READ_AHEAD_BYTES};
use crate::http::stop::Stop;
use crate::inbox::{Cursor, Entry, Filter, Follower, Page, PageLimit, ReadError};

/// The unit in which large bodies are counted.
const KIB: usize = 1024;
/// Between two reads of a store that fails.
const RETRY: Duration = Duration::from_secs(1);

/// The right to hold bodies that are larger than what is read ahead for anyone.
#[derive(Clone, Debug)]
pub(crate) struct LargeBodies(Arc<Semaphore>);

impl Default for LargeBodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_BODY_BYTES / KIB)))
    }
}

/// A share of that right. It lives as long as the bytes of the body.
pub(super) type Share = Arc<OwnedSemaphorePermit>;

/// A reader's way through the inbox.
#[derive(Debug)]
pub(super) struct Pages {
    follower: Follower,
    large: LargeBodies,
    stop: Arc<Stop>,
    pub(super) redacts: bool,
}

/// Some entries.
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) next: Cursor,
    pub(super) is_last: bool,
    pub(super) share: Option<Share>,
}

impl Batch {
    /// The end, at `next`.
    pub(super) fn last(next: Cursor) -> Self {
        Self { entries: Vec::new(), next, is_last: true, share: None }
    }
}

/// A read under way, which gives the reader back with its outcome.
pub(super) type Reading = Pin<Box<dyn Future<Output = (Pages, Result<Batch, ReadError>)> + Send>>;

impl Pages {
    pub(super) fn new(edge: &Edge, after: Option<Cursor>, filter: Filter, redacts: bool) -> Self {
        let follower = edge.inbox.follow(after, filter);
        Self { follower, large: edge.large_bodies.clone(), stop: Arc::clone(&edge.stop), redacts }
    }

    /// What there is now, at most so many entries.
    pub(super) async fn poll(&mut self, entries: usize) -> Result<Batch, ReadError> {
        let limit = PageLimit { entries, bytes: READ_AHEAD_BYTES };
        let before = self.follower.cursor();
        let mut page = self.follower.poll(limit).await?;
        let mut share = None;
        if let Some(weight) = large(&page) {
            let permits = Arc::clone(&self.large.0);
            let permit = match Arc::clone(&permits).try_acquire_many_owned(weight) {
                Ok(permit) => permit,
                Err(_) => {
                    // Others hold too much. Nothing is held while waiting for them, and then it is read again.
                    drop(page);
                    self.follower.rewind(before);
                    let permit = permits.acquire_many_owned(weight).await.or(Err(ReadError::NotKept))?;
                    page = self.follower.poll(limit).await?;
                    permit
                }
            };
            share = Some(Arc::new(permit));
        }
        Ok(Batch { entries: page.entries, next: page.next, is_last: page.is_last, share })
    }

    /// What comes within `wait`, at most so many entries: nothing, or all that a commit brought.
    async fn wait(&mut self, wait: Duration, entries: usize) -> Result<Batch, ReadError> {
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

    /// The next entries, as soon as there are some. A store that fails is asked again: who follows it stays.
    async fn next(&mut self) -> Result<Batch, ReadError> {
        loop {
            match self.poll(usize::MAX).await {
                Ok(batch) if !batch.entries.is_empty() => return Ok(batch),
                Ok(batch) if batch.is_last => self.follower.changed().await?,
                Ok(_) => {}
                Err(ReadError::Store(error)) => {
                    debug!(%error, "the inbox cannot be read, a follower waits");
                    sleep(RETRY).await;
                }
                Err(gone) => return Err(gone),
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

    /// The next entries, as a future of its own. `NotKept` where the server stops before there are some.
    pub(super) fn into_next(mut self) -> Reading {
        Box::pin(async move {
            let stop = Arc::clone(&self.stop);
            let next = tokio::select! {
                biased;
                () = stop.wait() => Err(ReadError::NotKept),
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

/// What `page` weighs, in KiB, where that is more than anyone may hold.
fn large(page: &Page) -> Option<u32> {
    let bytes = page.entries.iter().map(|entry| entry.body.len()).fold(0, usize::saturating_add);
    let is_large = bytes > READ_AHEAD_BYTES.saturating_mul(2);
    is_large.then(|| bytes.min(LARGE_BODY_BYTES).div_ceil(KIB).try_into().unwrap_or(u32::MAX))
}

/// A body with the share that it is held under.
pub(super) struct Shared {
    pub(super) bytes: Bytes,
    pub(super) _share: Share,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
