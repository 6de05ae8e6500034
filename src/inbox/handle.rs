//! The handle to the inbox, through which everything else uses it. Opens each backend. Does not know what the backends do.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tracing::error;

use crate::clock::Clock;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::queue::AppendError;
use crate::inbox::shared::Shared;
use crate::inbox::statistics::Statistics;
use crate::inbox::store::redis::{RedisStore, RedisUrl};
use crate::inbox::store::sqlite::{OpenError, SqliteStore};
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};
use crate::inbox::tail::{TAIL_READ, Tail};
use crate::inbox::writer;
use crate::worker::{Workers, faults};

/// Concurrent reads; others wait.
const READERS: usize = 4;
/// How long a read may take, including the wait for others.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(4);

/// A handle to the inbox, cheap to clone.
#[derive(Clone)]
pub struct Inbox(pub(super) Arc<Inner>);

pub(super) struct Inner {
    /// `None` if nothing is kept.
    pub(super) kept: Option<Kept>,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Kept {
    retention: Retention,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    readers: Arc<Semaphore>,
    tail: Tail,
    workers: Workers,
}

impl Inbox {
    /// An inbox that keeps nothing: deliveries are verified and forgotten.
    #[must_use]
    pub fn none() -> Self {
        let shared = Shared::new(watch::Sender::new(()), Duration::ZERO, None);
        Self(Arc::new(Inner { kept: None, shared: Arc::new(shared) }))
    }

    /// The inbox in the SQLite file at `path`, which is created if it does not exist.
    ///
    /// # Errors
    /// If the file cannot be used. It is left unchanged then.
    pub fn sqlite(path: &Path, retention: Retention, clock: Clock) -> Result<Self, OpenError> {
        let workers = Workers::default();
        SqliteStore::open(path, clock.now(), &workers)
            .and_then(|store| Ok(Self::start(Arc::new(store), watch::Sender::new(()), retention, clock, workers)?))
            .map_err(|why| OpenError { path: path.to_owned(), why })
    }

    /// The inbox in the Redis at `url`, which other roomkeys may share. It may be unreachable at first: deliveries are refused until
    /// it is reached.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn redis(url: RedisUrl, retention: Retention, clock: Clock) -> std::io::Result<Self> {
        let (changed, workers) = (watch::Sender::new(()), Workers::default());
        let store = RedisStore::open(url, changed.clone(), clock.clone(), &workers)?;
        Self::start(Arc::new(store), changed, retention, clock, workers)
    }

    /// An inbox over `store`, which may itself notify `changed` of what others have committed.
    fn start(
        store: Arc<dyn Store>,
        changed: watch::Sender<()>,
        retention: Retention,
        clock: Clock,
        workers: Workers,
    ) -> std::io::Result<Self> {
        // A file was probed when it was opened.
        let outage = store.is_remote().then_some(StoreError::Unreached);
        let shared = Arc::new(Shared::new(changed, retention.age, outage));
        writer::start(&workers, Arc::clone(&store), retention, clock.clone(), &shared)?;
        let kept = Kept { retention, store, clock, readers: Arc::new(Semaphore::new(READERS)), tail: Tail::default(), workers };
        Ok(Self(Arc::new(Inner { kept: Some(kept), shared })))
    }

    /// Commits `arrival`. Once this returns, it survives the end of the process and of the machine.
    ///
    /// # Errors
    /// If it is not committed, or not known to be. The sender should try again.
    pub async fn append(&self, arrival: Arrival) -> Result<Appended, AppendError> {
        if self.keeps() { self.0.shared.append(arrival).await } else { Ok(Appended::NotKept) }
    }

    /// The entries after `after` that `filter` wants; from the oldest if `after` is `None`. Looks at a bounded number of entries, so
    /// a page may be empty although there are more.
    ///
    /// # Errors
    /// If entries after `after` have been deleted, or the store fails.
    pub async fn read(&self, after: Option<Cursor>, filter: &Arc<Filter>, limit: PageLimit) -> Result<Page, ReadError> {
        let filter = Arc::clone(filter);
        self.read_with(move |store| store.read(after, &filter, limit)).await
    }

    /// Has a thread read from the store.
    pub(super) async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let kept = self.0.kept.as_ref().ok_or(ReadError::NotKept)?;
        let reading = async {
            let permit = Arc::clone(&kept.readers).acquire_owned().await;
            let store = Arc::clone(&kept.store);
            let read = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                faults::point("inbox-read");
                read(&*store)
            });
            read.await.unwrap_or_else(|error| {
                error!(%error, "a read of the inbox panicked");
                Err(ReadError::Store(StoreError::Panicked))
            })
        };
        tokio::time::timeout(READ_TIMEOUT, reading).await.unwrap_or(Err(ReadError::Store(StoreError::Stalled)))
    }

    /// [`read`](Self::read) after a notification of a commit, which all live followers get at once: they share one read.
    pub(super) async fn read_newest(&self, after: Cursor, filter: &Arc<Filter>, limit: PageLimit) -> Result<Page, ReadError> {
        let kept = self.0.kept.as_ref().ok_or(ReadError::NotKept)?;
        let all = Arc::default();
        let read = |after| self.read(Some(after), &all, TAIL_READ);
        if let Some(mark) = self.0.shared.mark.current()
            && let Some(page) = kept.tail.read(after, mark, filter, limit, &self.0.shared.changed, read).await?
        {
            return Ok(page);
        }
        self.read(Some(after), filter, limit).await
    }

    /// Whether this inbox may have issued `cursor`: it is not later than the newest entry or the mark.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn has_reached(&self, cursor: Cursor) -> Result<bool, ReadError> {
        if self.0.shared.mark.current().is_some_and(|mark| cursor <= mark) {
            return Ok(true);
        }
        let limit = PageLimit { entries: 1, bytes: 1 };
        match self.read(Some(cursor.before()), &Arc::default(), limit).await {
            Ok(page) => Ok(!page.entries.is_empty()),
            Err(ReadError::Gone { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Checks that appends work, that all threads of the inbox run, and that the store is not far larger than its limit.
    ///
    /// # Errors
    /// The reason why the inbox is not ready.
    pub fn is_ready(&self) -> Result<(), Arc<StoreError>> {
        let Some(kept) = &self.0.kept else { return Ok(()) };
        if kept.workers.down().is_some() {
            return Err(Arc::new(StoreError::Panicked));
        }
        if let Some(outage) = self.0.shared.health.outage() {
            return Err(outage);
        }
        let is_too_large = kept.store.usage().is_some_and(|usage| usage.bytes > kept.retention.most_bytes());
        if is_too_large { Err(Arc::new(StoreError::TooLarge)) } else { Ok(()) }
    }

    /// Returns once this roomkey can never use the inbox again, with the reason. The process should end then.
    pub async fn lost(&self) -> Arc<StoreError> {
        self.0.shared.health.lost().await
    }

    /// Whether this inbox keeps deliveries.
    pub fn keeps(&self) -> bool {
        self.0.kept.is_some()
    }

    /// The set of the inbox's own workers, which work on it belongs to as well.
    pub(crate) fn workers(&self) -> Workers {
        self.0.kept.as_ref().map(|kept| kept.workers.clone()).unwrap_or_default()
    }

    /// How much is stored, if known.
    pub fn usage(&self) -> Option<Usage> {
        self.0.kept.as_ref()?.store.usage()
    }

    /// What the inbox has done since the start.
    pub fn statistics(&self) -> &Statistics {
        &self.0.shared.statistics
    }

    /// Accepts no more deliveries, commits the queued ones, and closes the store.
    pub async fn close(&self) {
        if self.keeps() {
            self.0.shared.close().await;
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("keeps", &self.keeps()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}
