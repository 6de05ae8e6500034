//! Owns the inbox: the durable, deduplicated record of verified deliveries. What is appended is committed before the append is
//! done, once, and every reader can follow from any cursor. Knows nothing of requests.

mod age;
mod cursor;
mod entry;
mod follower;
mod health;
mod mark;
mod pruner;
mod queue;
mod redis;
mod sqlite;
mod statistics;
mod store;
mod tail;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tracing::error;

pub use cursor::{Cursor, MalformedCursor};
pub use entry::{Arrival, Entry, Filter, Page, PageLimit};
pub use follower::{Follower, Place};
pub use queue::AppendError;
pub use redis::{MalformedRedisUrl, RedisUrl};
pub use sqlite::{OpenError, Why};
pub use statistics::{Histogram, Statistics};
pub use store::{Appended, Cause, ReadError, Retention, StoreError, Usage};

use crate::clock::Clock;
use crate::worker::{Workers, faults};
use mark::Mark;
use store::Store;
use tail::Tail;
use writer::Writer;

/// Reads at once; the others wait their turn.
const READERS: usize = 4;
/// For a read, its turn included.
const READ_PATIENCE: Duration = Duration::from_secs(4);

/// A handle to the inbox, cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` keeps nothing.
    kept: Option<Kept>,
    statistics: Arc<Statistics>,
    changed: watch::Sender<()>,
    mark: Arc<Mark>,
}

#[derive(Debug)]
struct Kept {
    writer: Writer,
    retention: Retention,
    store: Arc<dyn Store>,
    readers: Arc<Semaphore>,
    tail: Tail,
    workers: Workers,
}

impl Inbox {
    /// An inbox that keeps nothing: deliveries are verified and forgotten.
    #[must_use]
    pub fn none() -> Self {
        let (changed, mark) = (watch::Sender::new(()), Arc::new(Mark::new(Duration::ZERO)));
        Self(Arc::new(Inner { kept: None, statistics: Arc::new(Statistics::new()), changed, mark }))
    }

    /// The inbox in the SQLite file at `path`, which is made where there is none.
    ///
    /// # Errors
    /// Where the file cannot be used. It stays as it is then.
    pub fn sqlite(path: &Path, retention: Retention, clock: Clock) -> Result<Self, OpenError> {
        let workers = Workers::default();
        let store = sqlite::SqliteStore::open(path, clock.now(), &workers)?;
        Self::start(Arc::new(store), watch::Sender::new(()), retention, clock, workers)
            .map_err(|error| OpenError::no_thread(path, error))
    }

    /// The inbox in the Redis at `url`, which other roomkeys may share. It need not be there yet: what comes before it is refused.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn redis(url: RedisUrl, retention: Retention, clock: Clock) -> std::io::Result<Self> {
        let (changed, workers) = (watch::Sender::new(()), Workers::default());
        let store = redis::RedisStore::open(url, retention, changed.clone(), clock.clone(), &workers)?;
        Self::start(Arc::new(store), changed, retention, clock, workers)
    }

    /// An inbox over `store`, which may itself tell `changed` of what others have committed.
    fn start(
        store: Arc<dyn Store>,
        changed: watch::Sender<()>,
        retention: Retention,
        clock: Clock,
        workers: Workers,
    ) -> std::io::Result<Self> {
        let (statistics, mark) = (Arc::new(Statistics::new()), Arc::new(Mark::new(retention.age)));
        let (told, moved) = (changed.clone(), Arc::clone(&mark));
        let writer = Writer::start(&workers, Arc::clone(&store), retention, clock, Arc::clone(&statistics), told, moved)?;
        let readers = Arc::new(Semaphore::new(READERS));
        let kept = Kept { writer, retention, store, readers, tail: Tail::default(), workers };
        Ok(Self(Arc::new(Inner { kept: Some(kept), statistics, changed, mark })))
    }

    /// Commits `arrival`. Once this is done it survives the end of the process and of the machine.
    ///
    /// # Errors
    /// Where it is not committed, or not known to be. The sender should come again.
    pub async fn append(&self, arrival: Arrival) -> Result<Appended, AppendError> {
        match &self.0.kept {
            Some(kept) => kept.writer.append(arrival).await,
            None => Ok(Appended::NotKept),
        }
    }

    /// The entries after `after` that `filter` wants, from the oldest where it is `None`. Looks at a bounded number of them, so
    /// that a page may be empty and yet not the last.
    ///
    /// # Errors
    /// Where entries after `after` have been deleted, or the store fails.
    pub async fn read(&self, after: Option<Cursor>, filter: &Arc<Filter>, limit: PageLimit) -> Result<Page, ReadError> {
        let kept = self.0.kept.as_ref().ok_or(ReadError::NotKept)?;
        let reading = async {
            let permit = Arc::clone(&kept.readers).acquire_owned().await;
            let (store, filter) = (Arc::clone(&kept.store), Arc::clone(filter));
            let read = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                faults::point("inbox-read");
                store.read(after, &filter, limit)
            });
            read.await.unwrap_or_else(|error| {
                error!(%error, "a read of the inbox panicked");
                Err(ReadError::Store(StoreError::Panicked))
            })
        };
        tokio::time::timeout(READ_PATIENCE, reading).await.unwrap_or(Err(ReadError::Store(StoreError::Stalled)))
    }

    /// [`read`](Self::read) for one who has just heard of a commit, as all who follow have: they share what was read for the first.
    async fn read_newest(&self, after: Cursor, filter: &Arc<Filter>, limit: PageLimit) -> Result<Page, ReadError> {
        let kept = self.0.kept.as_ref().ok_or(ReadError::NotKept)?;
        let read = async |after, all, limit| self.read(Some(after), &all, limit).await;
        if let Some(mark) = self.0.mark.current()
            && let Some(page) = kept.tail.read(after, mark, filter, limit, || self.0.changed.subscribe(), read).await?
        {
            return Ok(page);
        }
        self.read(Some(after), filter, limit).await
    }

    /// Whether `cursor` may have been given here: it is not later than the newest entry, or than what readers were given.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn has_reached(&self, cursor: Cursor) -> Result<bool, ReadError> {
        if self.0.mark.current().is_some_and(|mark| cursor <= mark) {
            return Ok(true);
        }
        let limit = PageLimit { entries: 1, bytes: 1 };
        match self.read(Some(cursor.before()), &Arc::default(), limit).await {
            Ok(page) => Ok(!page.entries.is_empty()),
            Err(ReadError::Gone { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The mark, which readers at the end go on from; see [`mark`].
    fn mark(&self) -> &Mark {
        &self.0.mark
    }

    /// A reader that goes on from `after`, or from the oldest entry.
    #[must_use]
    pub fn follow(&self, after: Option<Cursor>, filter: Filter) -> Follower {
        Follower::new(self.clone(), after, filter, self.0.changed.subscribe())
    }

    /// Whether appends work, all threads of the inbox run, and the store keeps to its bound, about.
    ///
    /// # Errors
    /// Where they do not: why.
    pub fn is_ready(&self) -> Result<(), Arc<StoreError>> {
        let Some(kept) = &self.0.kept else { return Ok(()) };
        if kept.workers.down().is_some() {
            return Err(Arc::new(StoreError::Panicked));
        }
        if let Some(outage) = kept.writer.outage() {
            return Err(outage);
        }
        let is_too_large = kept.store.usage().is_some_and(|usage| usage.bytes > kept.retention.most_bytes());
        if is_too_large { Err(Arc::new(StoreError::TooLarge)) } else { Ok(()) }
    }

    /// Done once the inbox cannot be used by this roomkey any more, however long it waits: why. The process should end then.
    pub async fn lost(&self) -> Arc<StoreError> {
        match &self.0.kept {
            Some(kept) => kept.writer.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Whether anything is kept at all.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.0.kept.is_some()
    }

    /// How much is kept, where that is known.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.0.kept.as_ref()?.store.usage()
    }

    /// What was done since the start.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.0.statistics
    }

    /// Takes no more, commits what waits, and ends the store in good order.
    pub async fn close(&self) {
        if let Some(kept) = &self.0.kept {
            kept.writer.close().await;
        }
    }
}

/// A panic elsewhere leaves nothing half done here: the locks are held for single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
