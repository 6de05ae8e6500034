//! Stores the inbox in one SQLite file. One connection writes, others read concurrently (WAL), and one moves data from the log to the
//! file. Every commit is on the disk before it counts (`synchronous=FULL`). Does not know the writer thread or the readers.

mod append;
mod connections;
mod error;
mod fingerprints;
mod log;
mod open;
mod prune;
mod read;

use std::fmt;

use rusqlite::OptionalExtension;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};
use crate::inbox::trusted_time;

use connections::SqliteWriter;

pub(crate) use connections::SqliteStore;
pub use error::{OpenError, Why};

/// Bytes committed at once; the last delivery may exceed it.
const BATCH: PageLimit = PageLimit { entries: usize::MAX, bytes: 8 << 20 };

impl Store for SqliteStore {
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        self.write(|writer| {
            let (appended, bytes) = append::append(&mut writer.connection, &mut writer.known, batch)?;
            self.count(writer, bytes);
            self.checkpointer.written(batch.iter().map(|arrival| arrival.body().len()).sum(), &writer.connection);
            Ok(appended)
        })
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        self.read_on(|connection| read::read(connection, after, filter, limit))
    }

    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError> {
        self.write(|writer| {
            if to > writer.known.newest {
                append::advance(&mut writer.connection, to)?;
                writer.known.newest = to;
                self.checkpointer.written(append::ADVANCE_BYTES, &writer.connection);
            }
            Ok(writer.known.newest)
        })
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        self.write(|writer| {
            let SqliteWriter { connection, known, pruning, .. } = &mut *writer;
            let mut more = pruning.search(connection, retention.age, now)?;
            let mut deleted = 0;
            if let Some((last, count)) = pruning.step(connection, retention)? {
                known.deleted_number = prune::delete(connection, last)?;
                known.fingerprints.set_deleted(last);
                (more, deleted) = (true, count);
            }
            let is_purge_due = known.fingerprints.purge(connection, deleted)?;
            self.checkpointer.written(if more { prune::WRITTEN_BYTES } else { 0 }, connection);
            let bytes = prune::bytes(connection)?;
            // The rest of the index can wait, unless it is the excess.
            more |= is_purge_due && bytes > retention.bytes;
            self.count(writer, bytes);
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

    fn batch_limit(&self) -> PageLimit {
        BATCH
    }

    fn usage(&self) -> Option<Usage> {
        Some(self.counted())
    }

    fn close(&self) {
        self.finish();
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
