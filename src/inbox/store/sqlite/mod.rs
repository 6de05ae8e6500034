//! Stores the inbox in one SQLite file. One connection writes, others read concurrently (WAL), and one moves data from the log to the
//! file. Every commit is on the disk before it counts (`synchronous=FULL`). Does not know the writer thread or the readers.

mod connections;
mod entries;
mod error;
mod export;
mod fingerprints;
mod log;
mod open;
mod prune;
mod restore;
mod rooms;
mod schema;
mod targets;

use std::sync::PoisonError;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior::Immediate};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::store::{Committed, ReadError, Retention, Store, StoreError, Usage};
use crate::inbox::target::{OwedEvent, OwedState, SteeringRequest, TargetState};
use crate::inbox::target_write::TargetWrite;
use crate::inbox::trusted_time;
use crate::worker::{faults, lock};

use connections::SqliteWriter;
use entries::Known;

pub(crate) use connections::SqliteStore;
pub use error::{OpenError, Why};
pub(crate) use export::ExportedFile;
pub(crate) use restore::{RestoreError, Restored, restore};

/// Bytes committed at once; the last delivery may exceed it.
const BATCH: PageLimit = PageLimit { entries: usize::MAX, bytes: 8 << 20 };
/// About how many bytes an advance adds to the log.
const ADVANCE_BYTES: usize = 16 * 1024;

impl SqliteStore {
    fn read_with<T>(&self, read: impl FnMut(&mut Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        readers.read(0, || Ok(open::reader(&self.path)?), read)
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: &[Arrival], writes: &[TargetWrite], now: UnixTime) -> Result<Committed, StoreError> {
        self.write(|writer| {
            let mut transaction = writer.connection.transaction_with_behavior(Immediate)?;
            let appended = entries::append(&transaction, &mut writer.known, batch)?;
            let written = match targets::write(&mut transaction, writes, &self.holder, now).map_err(StoreError::from) {
                // Without the transaction, the deliveries are not there either.
                Err(error) if transaction.is_autocommit() || batch.is_empty() && error.leaves_doubt() => return Err(error),
                written => written,
            };
            transaction.commit()?;
            faults::point("inbox-committed");
            let bytes = batch.iter().map(|arrival| arrival.body().len()).chain(writes.iter().map(TargetWrite::bytes)).sum();
            self.checkpointer.written(bytes, &writer.connection);
            Ok(Committed { appended, written })
        })
    }

    fn target(&self, target: &str) -> Result<Option<TargetState>, ReadError> {
        self.read_with(|connection| Ok(targets::state(connection, target)?))
    }

    fn owed(&self, target: &str, state: Option<OwedState>, after: Cursor, limit: usize) -> Result<Vec<OwedEvent>, ReadError> {
        self.read_with(|connection| Ok(targets::owed(connection, target, state, after, limit)?))
    }

    fn owed_at(&self, target: &str, cursors: &[Cursor]) -> Result<Vec<OwedEvent>, ReadError> {
        self.read_with(|connection| Ok(targets::owed_at(connection, target, cursors)?))
    }

    fn steering(&self, target: &str) -> Result<Vec<SteeringRequest>, ReadError> {
        self.read_with(|connection| Ok(targets::steering(connection, target)?))
    }

    fn entries_after(&self, cursor: Cursor) -> Result<(u64, Option<UnixTime>), ReadError> {
        self.read_with(|connection| Ok(entries::after(connection, cursor)?))
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        self.read_with(|connection| entries::read(connection, after, filter, limit))
    }

    fn begin_at(&self, at: Cursor) -> Result<bool, StoreError> {
        self.write(|writer| {
            let begin = "UPDATE inbox SET deleted = ?1, settled = ?1, purged = ?1, indexed = ?1 WHERE deleted_number = 0
                         AND NOT EXISTS (SELECT 1 FROM entry) AND NOT EXISTS (SELECT 1 FROM reached WHERE cursor > 0)";
            let is_unused = writer.connection.execute(begin, [at.number()])? > 0;
            if is_unused {
                writer.known = Known::load(&writer.connection)?;
            }
            Ok(is_unused)
        })
    }

    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError> {
        self.write(|writer| {
            if to > writer.known.newest {
                writer.connection.execute("UPDATE reached SET cursor = ?", [to.number()])?;
                writer.known.newest = to;
                self.checkpointer.written(ADVANCE_BYTES, &writer.connection);
            }
            Ok(writer.known.newest)
        })
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        self.write(|writer| {
            let SqliteWriter { connection, known, pruning, .. } = writer;
            let mut more = pruning.search(connection, retention.age, now)?;
            let mut deleted = 0;
            if let Some((last, count)) = pruning.step(connection, retention)? {
                known.deleted_number = prune::delete(connection, last)?;
                known.fingerprints.deleted = last;
                (more, deleted) = (true, count);
            }
            let is_purge_due = known.fingerprints.purge(connection, deleted)?;
            self.checkpointer.written(if more { prune::WRITTEN_BYTES } else { 0 }, connection);
            // The rest of the index can wait, unless it is the excess.
            Ok(more || is_purge_due && entries::bytes(connection)? > retention.bytes)
        })
    }

    fn prune_targets(&self, since: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        self.write(|writer| {
            let has_more = targets::prune(&mut writer.connection, &self.holder, since, now)?;
            self.checkpointer.written(prune::WRITTEN_BYTES, &writer.connection);
            Ok(has_more)
        })
    }

    fn index(&self) -> Result<bool, StoreError> {
        let is_due = || lock(&self.writer).writer.as_ref().is_some_and(|writer| rooms::is_due(&writer.known));
        if is_due() {
            self.write(|writer| {
                rooms::index(&mut writer.connection, &mut writer.known)?;
                self.checkpointer.written(rooms::WRITTEN_BYTES, &writer.connection);
                Ok(())
            })?;
        }
        Ok(is_due())
    }

    fn known_time(&self) -> Result<Option<UnixTime>, StoreError> {
        self.write(|writer| {
            let up_to = |last: i64| {
                let newest = "SELECT received FROM entry WHERE cursor <= ? ORDER BY cursor DESC LIMIT 1";
                writer.connection.query_row(newest, [last], |row| row.get(0)).optional().map(|found| found.map(entries::time))
            };
            let Some(newest) = up_to(i64::MAX)? else { return Ok(None) };
            let earlier = match up_to(Cursor::at(trusted_time::before(newest)).number())? {
                Some(received) => received,
                // When the newest deleted entry was received; at first, when the file was created.
                None => entries::deleted(&writer.connection)?.time(),
            };
            Ok(Some(trusted_time::seen(newest, earlier)))
        })
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.write(|writer| Ok(open::probe(&writer.connection).map(drop)?))
    }

    fn batch_limit(&self) -> PageLimit {
        BATCH
    }

    fn usage(&self) -> Option<Usage> {
        Some(*lock(&self.usage))
    }

    fn close(&self) {
        self.checkpointer.close();
        if let Some(writer) = &lock(&self.writer).writer {
            log::finish(&writer.connection);
        }
    }
}
