//! Defines what the inbox requires of a backend, and the ways in which a backend can fail while it runs. Each folder beside this file
//! is a backend. Does not know the backends.

mod pool;
pub(super) mod redis;
pub(super) mod sqlite;

use std::error::Error;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::target::{OwedEvent, OwedState, SteeringRequest, TargetState};
use crate::inbox::target_write::{TargetWrite, Written};

/// Stores entries, and what the relay keeps beside them. All methods may block. `commit`, `begin_at`, `advance`, `prune`,
/// `prune_targets`, `index`, `known_time` and `probe` are called by one thread only.
pub(crate) trait Store: Send + Sync + 'static {
    /// Commits the arrivals in `batch` that are new, in order, all or none, and returns the outcome of each. Once this returns, they
    /// survive the end of the process and of the machine. After an error they may or may not be committed. Imported ones come in the
    /// order of their cursors; if one is new but not later than everything before, none is committed. The `writes` of the relay at the
    /// time `now` follow in order; a failure of theirs does not affect the arrivals.
    fn commit(&self, batch: &[Arrival], writes: &[TargetWrite], now: UnixTime) -> Result<Committed, StoreError>;

    /// The state of a target of the relay; `None` before its first commit.
    fn target(&self, target: &str) -> Result<Option<TargetState>, ReadError>;

    /// Up to `limit` owed events of `target` after a cursor, in order: those in `state`, or all.
    fn owed(&self, target: &str, state: Option<OwedState>, after: Cursor, limit: usize) -> Result<Vec<OwedEvent>, ReadError>;

    /// What `target` owes of the events at `cursors`.
    fn owed_at(&self, target: &str, cursors: &[Cursor]) -> Result<Vec<OwedEvent>, ReadError>;

    /// The requests that wait for the holder of `target`, in order.
    fn steering(&self, target: &str) -> Result<Vec<SteeringRequest>, ReadError>;

    /// The number of entries after `cursor`, and when the first of them was received.
    fn entries_after(&self, cursor: Cursor) -> Result<(u64, Option<UnixTime>), ReadError>;

    /// How much one batch holds at most; its last delivery may exceed the bytes. Old entries are deleted between two batches.
    fn batch_limit(&self) -> PageLimit;

    /// The entries after `after` that `filter` wants; from the oldest if `after` is `None`. Looks at a bounded number of entries.
    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError>;

    /// If the inbox is unused, which means that it never had an entry and no server has opened it, it begins after `at` from now on.
    /// Returns whether it is.
    fn begin_at(&self, at: Cursor) -> Result<bool, StoreError>;

    /// From now on, new entries have later cursors than `to`, also after a restart and whichever roomkey commits them. Returns the
    /// cursor that they will be later than: `to`, or the newest entry's if that is later. As durable as an entry.
    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError>;

    /// Deletes some of what exceeds `retention` at `now`, and returns whether there is more. One step for each batch keeps up.
    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError>;

    /// Notes that targets whose leases this holds are in use at `now`. Deletes a part of what is kept of a target that nobody has
    /// used since `since`, and returns whether there may be more.
    fn prune_targets(&self, since: UnixTime, now: UnixTime) -> Result<bool, StoreError>;

    /// Adds some entries to an index that makes reads faster, if there are enough of them. Returns whether there are more.
    fn index(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The time according to the entries; see [`seen`](crate::inbox::trusted_time::seen). `None` without entries.
    fn known_time(&self) -> Result<Option<UnixTime>, StoreError>;

    /// Tries whether a commit would succeed now.
    fn probe(&self) -> Result<(), StoreError>;

    /// Whether it may become unreachable between appends, so that it has to be probed.
    fn is_remote(&self) -> bool {
        false
    }

    /// How much is stored now, if known.
    fn usage(&self) -> Option<Usage>;

    /// Finishes background work.
    fn close(&self) {}
}

/// The outcomes of a commit.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Of each arrival.
    pub(crate) appended: Vec<Appended>,
    /// Of each write of the relay. If they failed, none may be committed, or some.
    pub(crate) written: Result<Vec<Written>, StoreError>,
}

/// Identifies one opening of a store, among all that hold leases of targets.
fn random_holder() -> std::io::Result<String> {
    Ok(format!("{:016x}", getrandom::u64()?))
}

/// The outcome of an append. In each case LiveKit may be answered with 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Appended {
    /// It is now an entry.
    Committed,
    /// It was an entry before.
    Duplicate,
    /// An entry has the same id but another body. That entry stays.
    Conflict,
    /// This inbox keeps nothing.
    NotKept,
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Entries that were received longer ago than this are deleted.
    pub age: Duration,
    /// While the store is larger than this, in bytes, its oldest entries are deleted.
    pub bytes: u64,
}

impl Retention {
    /// A store larger than this is not ready: deleting does not keep up, or fails.
    pub fn most_bytes(&self) -> u64 {
        self.bytes.saturating_add(self.bytes / 2).saturating_add(16 << 20)
    }
}

impl Default for Retention {
    /// 30 days, 4 GiB.
    fn default() -> Self {
        Self { age: Duration::from_secs(30 * 24 * 60 * 60), bytes: 4 << 30 }
    }
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The number of entries.
    pub entries: u64,
    /// Their size in bytes, including overhead.
    pub bytes: u64,
    /// The size of the log beside the store, if it has one.
    pub log_bytes: Option<u64>,
}

/// The error of a backend's own library.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a store fails while it runs. Every error may be temporary, unless it [is final](Self::is_final).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk, or the memory of the Redis server, is full.
    #[error("the inbox is full: there is no room left where it is stored")]
    Full(#[source] Cause),
    /// Another process holds a lock.
    #[error("the inbox is locked by another process")]
    Locked(#[source] Cause),
    /// Writing is not permitted.
    #[error("the inbox is read-only")]
    ReadOnly(#[source] Cause),
    /// The stored data is damaged.
    #[error("the inbox is damaged")]
    Corrupt(#[source] Cause),
    /// The stored data is not an inbox.
    #[error("the inbox's place holds the data of another program")]
    Foreign(#[source] Cause),
    /// A newer roomkey has changed the format. This is final.
    #[error("the inbox was written by a newer roomkey, and this version cannot use it")]
    Newer,
    /// The file was moved or removed.
    #[error("the inbox's file was moved or removed")]
    Moved,
    /// The log beside the file was removed or replaced.
    #[error("the inbox's log (-wal or -shm) was removed or replaced: leave these files alone while roomkey runs")]
    LogMoved,
    /// The log beside the file is at its limit.
    #[error(
        "the inbox's log (-wal) is at its limit: another process has been reading the inbox in one transaction and has to end it"
    )]
    LogFull,
    /// The store is far larger than its limit.
    #[error("the inbox is far larger than its limit, because old events cannot be deleted fast enough")]
    TooLarge,
    /// An imported entry is missing, and its place in the order is already past.
    #[error(
        "an event to import is missing here, although the inbox has later ones, or has told readers later cursors: import into a new inbox, before a server uses it"
    )]
    Misplaced,
    /// There was no connection since the start.
    #[error("the inbox has not been reached yet")]
    Unreached,
    /// No sentinel leads to a primary.
    #[error("no sentinel leads to a primary of the Redis")]
    NoPrimary,
    /// It is committed, but a failover would lose it.
    #[error("too few replicas of the Redis have what was written last")]
    Unreplicated,
    /// The store does not answer in time.
    #[error("the inbox does not answer in time")]
    Stalled,
    /// A thread of the inbox panicked.
    #[error("a part of the inbox failed and is being restarted")]
    Panicked,
    /// The disk fails.
    #[error("the inbox's disk fails")]
    Io(#[source] Cause),
    /// Any other reason.
    #[error("the inbox cannot be used")]
    Broken(#[source] Cause),
}

impl StoreError {
    /// Whether data that was written before may not be on the disk, although it can be read.
    pub(crate) fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Io(_) | Self::LogMoved)
    }

    /// Whether it is permanent, so that there is no point in waiting.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Newer)
    }
}

/// Why a read returns nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Entries after the cursor have been deleted.
    #[error("entries after the cursor are deleted: what is left begins after {oldest}")]
    Gone {
        /// The remaining entries begin after this cursor.
        oldest: Cursor,
    },
    /// The store fails.
    #[error(transparent)]
    Store(StoreError),
    /// This inbox keeps nothing.
    #[error("this server keeps no events")]
    NotKept,
}

impl<E: Into<StoreError>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}
