//! Moves entries out of one inbox and into another, with their cursors, so that readers continue there. Does not know the form in which
//! they travel.

use std::io;
use std::mem::take;
use std::path::Path;

use tokio::sync::watch;

use crate::clock::{Clock, UnixTime};
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Entry, Filter, Page, PageLimit};
use crate::inbox::store::redis::{RedisStore, RedisUrl};
use crate::inbox::store::sqlite::{ExportedFile, OpenError, SqliteStore};
use crate::inbox::store::{Appended, ReadError, Store, StoreError};
use crate::worker::Workers;

/// What one read for an export returns.
const PAGE: PageLimit = PageLimit { entries: 1000, bytes: 4 << 20 };
/// Entries in a batch of an import, at most.
const BATCH_ENTRIES: usize = 1024;

/// Reads an inbox that a server may be using.
pub(crate) enum Exporter {
    Sqlite(ExportedFile),
    Redis(Box<RedisStore>),
}

impl Exporter {
    pub(crate) fn sqlite(path: &Path) -> Result<Self, OpenError> {
        ExportedFile::open(path).map(Self::Sqlite).map_err(|why| OpenError { path: path.to_owned(), why })
    }

    pub(crate) fn redis(url: RedisUrl) -> io::Result<Self> {
        Ok(Self::Redis(Box::new(redis(url, Clock::system())?)))
    }

    /// Everything committed up to now has a cursor up to this one, and everything later a later one.
    pub(crate) fn end(&self) -> Result<Cursor, StoreError> {
        match self {
            Self::Sqlite(file) => file.latest(),
            Self::Redis(store) => store.advance(Cursor::at(BEGINNING)),
        }
    }

    /// The entries after `after`, or from the oldest.
    pub(crate) fn read(&self, after: Option<Cursor>) -> Result<Page, ReadError> {
        match self {
            Self::Sqlite(file) => file.read(after, PAGE),
            Self::Redis(store) => store.read(after, &Filter::default(), PAGE),
        }
    }
}

/// Writes to an inbox that no server uses yet.
pub(crate) struct Importer {
    store: Box<dyn Store>,
    batch: Vec<Arrival>,
    limit: PageLimit,
    /// What the batch can still take.
    left: PageLimit,
    imported: Imported,
}

/// What was imported so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Imported {
    pub(crate) new: u64,
    /// Those that were there before.
    pub(crate) known: u64,
    /// Those that were there before with another body, which stays.
    pub(crate) different: u64,
}

/// Why an import stops. What was committed before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ImportError {
    /// Events are missing between the two.
    #[error("the export continues after {begin}, but the inbox ends at {end}: import the earlier export first")]
    Gap { begin: Cursor, end: Cursor },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Importer {
    pub(crate) fn sqlite(path: &Path) -> Result<Self, OpenError> {
        let store = SqliteStore::open(path, BEGINNING, &Workers::default());
        store.map(|store| Self::new(Box::new(store))).map_err(|why| OpenError { path: path.to_owned(), why })
    }

    pub(crate) fn redis(url: RedisUrl) -> io::Result<Self> {
        // All times come from the export: after an outage, the store would advance to its clock, past what is still to come.
        Ok(Self::new(Box::new(redis(url, Clock::from_fn(|| BEGINNING))?)))
    }

    fn new(store: Box<dyn Store>) -> Self {
        let limit = store.batch_limit();
        let limit = PageLimit { entries: limit.entries.min(BATCH_ENTRIES), ..limit };
        Self { store, batch: Vec::new(), limit, left: limit, imported: Imported::default() }
    }

    /// Begins with the entries after `begin`. The inbox must have those up to there, unless it is unused: then it begins there too.
    pub(crate) fn begin(&self, begin: Cursor) -> Result<(), ImportError> {
        let is_unused = self.store.begin_at(begin)?;
        let end = self.store.advance(Cursor::at(BEGINNING))?;
        if is_unused || begin <= end { Ok(()) } else { Err(ImportError::Gap { begin, end }) }
    }

    /// Adds an entry, which is later than the ones before. It may not be committed before [`finish`](Self::finish).
    pub(crate) fn add(&mut self, entry: Entry) -> Result<(), ImportError> {
        let arrival = Arrival::imported(entry);
        if !self.left.take(arrival.bytes()) {
            self.commit()?;
            self.left.take(arrival.bytes());
        }
        self.batch.push(arrival);
        Ok(())
    }

    /// Commits the rest. From now on, new entries are later than `end`.
    pub(crate) fn finish(&mut self, end: Cursor) -> Result<(), ImportError> {
        self.commit()?;
        self.store.advance(end)?;
        Ok(())
    }

    pub(crate) fn imported(&self) -> Imported {
        self.imported
    }

    fn commit(&mut self) -> Result<(), ImportError> {
        self.left = self.limit;
        for outcome in self.store.commit(&take(&mut self.batch), &[], BEGINNING)?.appended {
            let counter = match outcome {
                Appended::Committed => &mut self.imported.new,
                Appended::Conflict => &mut self.imported.different,
                Appended::Duplicate | Appended::NotKept => &mut self.imported.known,
            };
            *counter = counter.saturating_add(1);
        }
        Ok(())
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        self.store.close();
    }
}

const BEGINNING: UnixTime = UnixTime::from_secs(0);

fn redis(url: RedisUrl, clock: Clock) -> io::Result<RedisStore> {
    RedisStore::open(url, watch::Sender::new(()), clock, &Workers::default())
}
