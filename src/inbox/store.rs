//! Owns what the inbox asks of a backend, and how a backend fails while it runs. Does not know the backends.

use std::fmt;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};

/// A place that keeps entries. Everything here may block; the inbox calls it on threads of its own, `append`, `advance`,
/// `prune` and `probe` on one alone.
pub(crate) trait Store: fmt::Debug + Send + Sync + 'static {
    /// Commits, in their order, those of `batch` that are new, all or none, and says of each how it went. Returns once they would
    /// survive the end of the process and of the machine. After an error they may be committed or not.
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError>;

    /// The entries after `after` that `filter` wants, from the oldest where it is `None`. Looks at a bounded number of them.
    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError>;

    /// From now on, entries that are committed have later cursors than `to`, also after a restart, and whichever roomkey commits
    /// them. Gives the cursor that they are later than: `to`, or the newest entry's where that is later. Returns once the promise
    /// is as safe as an entry.
    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError>;

    /// Takes one step in deleting what is not to be kept at `now`; whether another one is due. A step for each batch keeps pace.
    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError>;

    /// The time, as far as the dates of its entries tell it, by the rule of [`seen`](crate::inbox::age::seen). `None` without entries.
    fn known_time(&self) -> Result<Option<UnixTime>, StoreError>;

    /// Whether a commit would go through now, tried out.
    fn probe(&self) -> Result<(), StoreError>;

    /// Whether it may go away while nobody appends, and so has to be probed all the time.
    fn is_remote(&self) -> bool {
        false
    }

    /// How much is kept now, where it is known.
    fn usage(&self) -> Option<Usage>;

    /// Ends in good order what is under way between appends.
    fn close(&self) {}
}

/// How the append of a delivery went. In each case LiveKit may be told 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Appended {
    /// It is an entry now.
    Committed,
    /// It was one already.
    Duplicate,
    /// Its id is that of an entry with another body, which stays.
    Conflict,
    /// This inbox keeps nothing.
    NotKept,
}

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Entries that came earlier than this ago go.
    pub age: Duration,
    /// While the store is larger than this, in bytes, its oldest entries go.
    pub bytes: u64,
}

impl Retention {
    /// A store with more bytes than this is not ready: deleting does not keep up, or does not work.
    #[must_use]
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

/// How much a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// The bytes that they and what belongs to them take.
    pub bytes: u64,
    /// The bytes of the log beside the store, if it has one.
    pub log_bytes: Option<u64>,
}

/// How a running store fails. Each may pass, unless it [is final](Self::is_final).
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk, or the memory of the server that keeps the entries, is full.
    Full(Cause),
    /// Another process holds the lock.
    Locked(Cause),
    /// It may not be written to.
    ReadOnly(Cause),
    /// What is stored is damaged.
    Corrupt(Cause),
    /// What is stored at its place is not an inbox.
    Foreign(Cause),
    /// A newer roomkey has changed how it is stored. This does not pass.
    Newer,
    /// The file is no longer where it was.
    Moved,
    /// The log beside the file was removed or replaced.
    LogMoved,
    /// The log beside the file is at its limit.
    LogFull,
    /// It is far larger than its bound.
    TooLarge,
    /// It was not reached yet, since the start.
    Unreached,
    /// It does not answer in time.
    Stalled,
    /// A thread that works on it panicked.
    Panicked,
    /// The disk that it is on fails.
    Io(Cause),
    /// Anything else.
    Broken(Cause),
}

impl StoreError {
    /// Whether what was written before may not have reached the disk, although it can be read.
    pub(crate) fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Io(_) | Self::LogMoved)
    }

    /// What the backend's own library says, if anything.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Full(cause)
            | Self::Locked(cause)
            | Self::ReadOnly(cause)
            | Self::Corrupt(cause)
            | Self::Foreign(cause)
            | Self::Io(cause)
            | Self::Broken(cause) => Some(cause),
            Self::Newer
            | Self::Moved
            | Self::LogMoved
            | Self::LogFull
            | Self::TooLarge
            | Self::Unreached
            | Self::Stalled
            | Self::Panicked => None,
        }
    }

    /// Whether it cannot pass, so that waiting is of no use.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Newer)
    }
}

/// What a backend's own library says.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the inbox is full: there is no room left where it is stored",
            Self::Locked(_) => "the inbox is locked by another process",
            Self::ReadOnly(_) => "the inbox may not be written to",
            Self::Corrupt(_) => "the inbox is damaged",
            Self::Foreign(_) => "the inbox's place holds the data of another program",
            Self::Newer => "the inbox was written by a newer roomkey, and this version cannot use it",
            Self::Moved => "the inbox is no longer at its place",
            Self::LogMoved => "the inbox's log (-wal or -shm) was removed or replaced: leave these files alone while roomkey runs",
            Self::LogFull => {
                "the inbox's log (-wal) is at its limit: another process has been reading the inbox in one transaction and has to end it"
            }
            Self::TooLarge => "the inbox is far larger than its bound, because old events cannot be deleted fast enough",
            Self::Unreached => "the inbox is not reached yet",
            Self::Stalled => "the inbox does not answer in time",
            Self::Panicked => "a part of the inbox failed and is started again",
            Self::Io(_) => "the disk that the inbox is on fails",
            Self::Broken(_) => "the inbox cannot be used",
        })
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().map(|cause| &**cause as _)
    }
}

/// Why there is nothing to read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// Entries after the cursor have been deleted.
    Gone {
        /// What is left begins after this one.
        oldest: Cursor,
    },
    /// The store fails.
    Store(StoreError),
    /// This inbox keeps nothing.
    NotKept,
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { oldest } => write!(f, "entries after the cursor are deleted: what is left begins after {oldest}"),
            Self::Store(error) => error.fmt(f),
            Self::NotKept => f.write_str("this server keeps no events"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}
