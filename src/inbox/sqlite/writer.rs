//! Keeps the writing connection fit: it checks that the files are still in place, limits the log, and reopens everything when the
//! log is in doubt. Does not know what is written.

use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tracing::error;

use crate::inbox::cursor::Cursor;
use crate::inbox::lock;
use crate::inbox::sqlite::append::Newest;
use crate::inbox::sqlite::error::Why;
use crate::inbox::sqlite::fingerprints::Fingerprints;
use crate::inbox::sqlite::log::{self, LogFiles};
use crate::inbox::sqlite::prune::{self, Pruning};
use crate::inbox::sqlite::{SqliteStore, advance, checkpoint, open};
use crate::inbox::store::StoreError;

/// What the writer caches of the file in memory.
const CACHE_KIB: i64 = 4096;

/// The writer of a store.
pub(super) struct WriterSlot {
    /// `None` if it could not be reopened.
    pub(super) writer: Option<SqliteWriter>,
    /// Whether data in the log may not be on the disk, or the writer may not know what is in the file. Then everything is reopened
    /// before the next write.
    pub(super) is_doubtful: bool,
}

/// The connection that writes, and what it knows about the file.
pub(super) struct SqliteWriter {
    pub(super) connection: Connection,
    pub(super) newest: Newest,
    /// New entries are later than this, as promised on the disk.
    pub(super) reached: Cursor,
    /// The number of the newest deleted entry.
    pub(super) deleted_number: i64,
    pub(super) fingerprints: Fingerprints,
    pub(super) pruning: Pruning,
    pub(super) log: LogFiles,
}

impl SqliteWriter {
    /// On `connection` to the file at `path`, which has the schema. Every commit is synced before it counts. After a failed sync the
    /// same data is written again: no later write follows one that may not be on the disk.
    pub(super) fn open(path: &Path, connection: Connection) -> Result<Self, Why> {
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(Why::NoLog);
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        advance::prepare(&connection)?;
        let reached = advance::reached(&connection)?;
        let mut newest = Newest::read(&connection)?;
        newest.cursor = newest.cursor.max(reached);
        let deleted_number = connection.query_row("SELECT deleted_number FROM inbox", [], |row| row.get(0))?;
        let fingerprints = Fingerprints::load(&connection)?;
        let log = LogFiles::of(path)?;
        Ok(Self { connection, newest, reached, deleted_number, fingerprints, pruning: Pruning::default(), log })
    }
}

impl SqliteStore {
    /// Writes with a writer that is fit. The result counts only if the log is still in place afterwards.
    pub(super) fn write<T>(&self, work: impl FnOnce(&mut SqliteWriter) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.check_place()?;
        let mut slot = lock(&self.writer);
        // After a panic the writer may not know what was committed.
        slot.is_doubtful |= self.checkpointer.take_failure() | self.writer.is_poisoned();
        self.writer.clear_poison();
        let result = self.fit_writer(&mut slot).and_then(|writer| {
            let result = work(writer)?;
            self.log_bytes.store(writer.log.bytes()?, Relaxed);
            Ok(result)
        });
        slot.is_doubtful |= result.as_ref().is_err_and(StoreError::leaves_doubt);
        result
    }

    /// Makes sure that no transaction is open, that the log is not in doubt, and that it has room.
    fn fit_writer<'a>(&self, slot: &'a mut WriterSlot) -> Result<&'a mut SqliteWriter, StoreError> {
        let known = self.log_bytes.load(Relaxed);
        if slot.writer.as_ref().is_some_and(|writer| writer.log.bytes().is_ok_and(|bytes| bytes < known)) {
            error!("another program has truncated the inbox's log (-wal): the newest events are lost, and a new log begins");
            slot.is_doubtful = true;
        }
        if slot.is_doubtful || slot.writer.is_none() {
            self.reopen(slot)?;
        }
        let writer = slot.writer.as_mut().ok_or(StoreError::Stalled)?;
        if !writer.connection.is_autocommit() {
            writer.connection.execute_batch("ROLLBACK")?;
        }
        if self.log_bytes.load(Relaxed) > log::FULL_BYTES {
            self.shorten_log(writer)?;
        }
        Ok(writer)
    }

    /// Closes all connections, so that SQLite reads the log again, and moves what it finds there to the file with a sync. After a
    /// failed sync, data that SQLite takes for synced may not be on the disk.
    fn reopen(&self, slot: &mut WriterSlot) -> Result<(), StoreError> {
        slot.is_doubtful = true;
        if let Some(writer) = &slot.writer
            && writer.log.bytes().is_err()
            && checkpoint::restart(&writer.connection)?.is_some()
        {
            // A removed log exists only as long as a connection to it, so this one has to stay open.
            return Err(StoreError::LogMoved);
        }
        let readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        readers.clear();
        self.checkpointer.use_connection(None);
        slot.writer = None;
        let connect = || open::connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        let writer = slot.writer.insert(SqliteWriter::open(&self.path, connect()?)?);
        self.checkpointer.use_connection(Some(connect()?));
        drop(readers);
        if checkpoint::restart(&writer.connection)?.is_some() {
            return Err(StoreError::Locked("the log cannot restart while another process uses the inbox".into()));
        }
        slot.is_doubtful = false;
        self.log_bytes.store(0, Relaxed);
        let bytes = prune::bytes(&writer.connection)?;
        self.set_usage(writer, bytes);
        Ok(())
    }

    /// Makes room in the log, so that it never exceeds its limit.
    fn shorten_log(&self, writer: &SqliteWriter) -> Result<(), StoreError> {
        let page: u32 = writer.connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        // First without waiting, because a log can be long on the disk and yet not full.
        for timeout in [Duration::ZERO, open::LOCK_TIMEOUT] {
            writer.connection.busy_timeout(timeout)?;
            let pages = checkpoint::restart(&writer.connection);
            writer.connection.busy_timeout(open::LOCK_TIMEOUT)?;
            match pages? {
                None => {
                    self.log_bytes.store(0, Relaxed);
                    return Ok(());
                }
                Some(pages) if pages.saturating_mul(page.into()) <= log::FULL_BYTES => return Ok(()),
                Some(_) => {}
            }
        }
        Err(StoreError::LogFull)
    }

    /// Checks that the file is still in place. Nobody would find what was written to a file that was moved or removed.
    fn check_place(&self) -> Result<(), StoreError> {
        match (std::fs::metadata(&self.path), self.locked.metadata()) {
            (Ok(there), Ok(ours)) if log::identity(&there) == log::identity(&ours) => Ok(()),
            _ => Err(StoreError::Moved),
        }
    }
}
