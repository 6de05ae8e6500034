//! Stores the inbox in one SQLite file. One connection writes, others read concurrently (WAL), and one moves data from the log to the
//! file. Every commit is on the disk before it counts (`synchronous=FULL`). Does not know the writer thread or the readers.

mod advance;
mod append;
mod checkpoint;
mod error;
mod fingerprints;
mod log;
mod open;
mod prune;
mod read;
mod writer;

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, RwLock};

use rusqlite::{Connection, OptionalExtension};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::pool::Pool;
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};
use crate::inbox::{lock, trusted_time};
use checkpoint::Checkpointer;
use writer::{SqliteWriter, WriterSlot};

pub use error::{OpenError, Why};

/// An open file. Fields are dropped in order: closing any descriptor of a file releases SQLite's locks on it (a rule of POSIX), so
/// `locked` comes last.
pub(crate) struct SqliteStore {
    path: PathBuf,
    entries: AtomicU64,
    bytes: AtomicU64,
    /// The size of the log on the disk.
    log_bytes: AtomicU64,
    checkpointer: Checkpointer,
    /// Some connections are opened at the start, so that reads work even when no more can be opened. A read shares the lock; it is
    /// taken exclusively to close all connections.
    readers: RwLock<Pool<Connection>>,
    writer: Mutex<WriterSlot>,
    /// Its lock keeps out other processes.
    locked: File,
}

impl Store for SqliteStore {
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        self.write(|writer| {
            let (appended, newest, bytes) =
                append::append(&mut writer.connection, writer.newest, &mut writer.fingerprints, batch)
                    .inspect_err(|_| writer.fingerprints.rolled_back())?;
            writer.newest = newest;
            writer.fingerprints.committed();
            self.set_usage(writer, bytes);
            self.checkpointer.written(batch.iter().map(|arrival| arrival.body().len()).sum(), &writer.connection);
            Ok(appended)
        })
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        let connect = || Ok(open::reader(&self.path)?);
        readers.read(0, connect, |connection| read::read(connection, after, filter, limit))
    }

    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError> {
        self.write(|writer| {
            if to > writer.reached {
                advance::advance(&mut writer.connection, to)?;
                (writer.reached, writer.newest.cursor) = (to, writer.newest.cursor.max(to));
                self.checkpointer.written(advance::BYTES, &writer.connection);
            }
            Ok(writer.newest.cursor)
        })
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        self.write(|writer| {
            let SqliteWriter { connection, fingerprints, deleted_number, pruning, .. } = &mut *writer;
            let mut more = pruning.search(connection, retention.age, now)?;
            let mut deleted = 0;
            if let Some((last, count)) = pruning.step(connection, retention)? {
                *deleted_number = prune::delete(connection, last)?;
                fingerprints.set_deleted(last);
                (more, deleted) = (true, count);
            }
            let is_purge_due = fingerprints.purge(connection, deleted)?;
            self.checkpointer.written(if more { prune::WRITTEN_BYTES } else { 0 }, connection);
            let bytes = prune::bytes(connection)?;
            // The rest of the index can wait, unless it is the excess.
            more |= is_purge_due && bytes > retention.bytes;
            self.set_usage(writer, bytes);
            Ok(more)
        })
    }

    fn known_time(&self) -> Result<Option<UnixTime>, StoreError> {
        self.write(|writer| {
            let up_to = |last: i64| {
                let newest = "SELECT received FROM entry WHERE cursor <= ? ORDER BY cursor DESC LIMIT 1";
                writer.connection.query_row(newest, [last], |row| row.get(0)).optional().map(|found| found.map(prune::time))
            };
            let Some(newest) = up_to(i64::MAX)? else { return Ok(None) };
            let earlier = match up_to(Cursor::at(trusted_time::before(newest)).number())? {
                Some(received) => received,
                // When the newest deleted entry was received; at first, when the file was created.
                None => open::deleted(&writer.connection)?.time(),
            };
            Ok(Some(trusted_time::seen(newest, earlier)))
        })
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.write(|writer| Ok(open::probe(&mut writer.connection)?))
    }

    fn usage(&self) -> Option<Usage> {
        let [entries, bytes, log_bytes] = [&self.entries, &self.bytes, &self.log_bytes].map(|number| number.load(Relaxed));
        Some(Usage { entries, bytes, log_bytes: Some(log_bytes) })
    }

    fn close(&self) {
        self.checkpointer.close();
        if let Some(writer) = &lock(&self.writer).writer {
            checkpoint::finish(&writer.connection);
        }
    }
}

impl SqliteStore {
    fn set_usage(&self, writer: &SqliteWriter, bytes: u64) {
        let entries = writer.newest.number.saturating_sub(writer.deleted_number);
        self.entries.store(entries.try_into().unwrap_or(0), Relaxed);
        self.bytes.store(bytes, Relaxed);
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
