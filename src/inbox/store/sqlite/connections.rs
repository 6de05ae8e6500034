//! Holds the connections to the file, and keeps the writing one usable: it checks that the files are still in place, limits the log, and
//! reopens everything when the log is in doubt. Does not know what is written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use rusqlite::Connection;
use tracing::error;

use crate::clock::UnixTime;
use crate::inbox::store::pool::Pool;
use crate::inbox::store::sqlite::entries::{self, Known};
use crate::inbox::store::sqlite::error::Why;
use crate::inbox::store::sqlite::log::{self, Checkpointer, LogFiles};
use crate::inbox::store::sqlite::open;
use crate::inbox::store::sqlite::prune::Pruning;
use crate::inbox::store::sqlite::schema;
use crate::inbox::store::{ReadError, StoreError, Usage, random_holder};
use crate::worker::{Workers, lock};

/// What the writer caches of the file in memory.
const CACHE_KIB: i64 = 8192;

/// An open file. Fields are dropped in order: closing any descriptor of a file releases SQLite's locks on it (a rule of POSIX), so
/// `locked` comes last.
pub(crate) struct SqliteStore {
    pub(super) path: PathBuf,
    pub(super) usage: Mutex<Usage>,
    pub(super) checkpointer: Checkpointer,
    /// Some connections are opened at the start, so that reads work even when no more can be opened. A read shares the lock; it is
    /// taken exclusively to close all connections.
    pub(super) readers: RwLock<Pool<Connection>>,
    pub(super) writer: Mutex<WriterSlot>,
    /// This opening of the file, as a holder of leases.
    pub(super) holder: String,
    /// Its lock keeps out other processes.
    locked: File,
}

/// The writer of a store.
pub(super) struct WriterSlot {
    /// `None` if it could not be reopened.
    pub(super) writer: Option<SqliteWriter>,
    /// Whether data in the log may not be on the disk. Then everything is reopened before the next write.
    is_doubtful: bool,
}

/// The connection that writes, and what it knows about the file.
pub(super) struct SqliteWriter {
    pub(super) connection: Connection,
    pub(super) known: Known,
    /// Whether the fingerprints are not loaded yet, or the last write failed or panicked, so that it is not known what is in the
    /// file.
    is_unsure: bool,
    pub(super) pruning: Pruning,
    log: LogFiles,
}

impl SqliteWriter {
    /// On `connection` to the file at `path`, which has the schema. Every commit is synced before it counts. After a failed sync the
    /// same data is written again: no later write follows one that may not be on the disk.
    fn open(path: &Path, connection: Connection) -> Result<Self, Why> {
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(Why::NoLog);
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let (known, log) = (Known::load(&connection)?, LogFiles::of(path)?);
        Ok(Self { connection, known, is_unsure: true, pruning: Pruning::default(), log })
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let (bytes, log_bytes) = (entries::bytes(&self.connection)?, Some(self.log.bytes()?));
        Ok(Usage { entries: self.known.entries(), bytes, log_bytes })
    }
}

impl SqliteStore {
    /// Opens the file at `path`, or creates it. If that fails, an existing file is left unchanged.
    pub(crate) fn open(path: &Path, now: UnixTime, workers: &Workers) -> Result<Self, Why> {
        // SQLite treats some names specially, such as `:memory:`, but no absolute path.
        let path = std::path::absolute(path)?;
        open::open(&path, now, |locked, connection| Self::start(&path, locked, connection, workers))
    }

    fn start(path: &Path, locked: File, mut connection: Connection, workers: &Workers) -> Result<Self, Why> {
        open::check(&mut connection)?;
        schema::upgrade(&mut connection)?;
        let writer = SqliteWriter::open(path, connection)?;
        // A crash may have left data in the log that was never synced. Nothing may be built on it.
        let is_doubtful = log::restart(&writer.connection).is_err_and(|error| StoreError::from(error).leaves_doubt());
        open::probe(&writer.connection)?;
        let checkpointer = Checkpointer::start(open::writer(path)?, workers)?;
        let readers = Pool::default();
        readers.add(0, open::reader(path)?);
        Ok(Self {
            path: path.to_owned(),
            usage: Mutex::new(writer.usage().map_err(Why::Store)?),
            checkpointer,
            readers: RwLock::new(readers),
            writer: Mutex::new(WriterSlot { writer: Some(writer), is_doubtful }),
            holder: random_holder()?,
            locked,
        })
    }

    /// Writes with a usable writer. The result counts only if the log is still in place afterwards.
    pub(super) fn write<T>(&self, work: impl FnOnce(&mut SqliteWriter) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.check_place()?;
        let mut slot = lock(&self.writer);
        slot.is_doubtful |= self.checkpointer.take_failure();
        let result = self.usable_writer(&mut slot).and_then(|writer| {
            writer.is_unsure = true;
            let result = work(writer)?;
            writer.is_unsure = false;
            *lock(&self.usage) = writer.usage()?;
            Ok(result)
        });
        slot.is_doubtful |= result.as_ref().is_err_and(StoreError::leaves_doubt);
        result
    }

    /// The writer, once the log is not in doubt and has room, no transaction is open, and the writer knows the file.
    fn usable_writer<'a>(&self, slot: &'a mut WriterSlot) -> Result<&'a mut SqliteWriter, StoreError> {
        let known = lock(&self.usage).log_bytes;
        if slot.writer.as_ref().is_some_and(|writer| writer.log.bytes().is_ok_and(|bytes| Some(bytes) < known)) {
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
        if writer.is_unsure {
            writer.known = Known::load(&writer.connection)?;
            // Through a reader, because what the writer has read would stay in its cache.
            let held = self.read_with(|reader| Ok(writer.known.fingerprints.hold(reader)?));
            held.map_err(|error| if let ReadError::Store(error) = error { error } else { StoreError::Stalled })?;
            writer.is_unsure = false;
        }
        if lock(&self.usage).log_bytes > Some(log::FULL_BYTES) {
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
            && log::restart(&writer.connection)?.is_some()
        {
            // A removed log exists only as long as a connection to it, so this one has to stay open.
            return Err(StoreError::LogMoved);
        }
        let readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        readers.clear();
        self.checkpointer.use_connection(None);
        slot.writer = None;
        let writer = slot.writer.insert(SqliteWriter::open(&self.path, open::writer(&self.path)?)?);
        drop(readers);
        if log::restart(&writer.connection)?.is_some() {
            return Err(StoreError::Locked("the log cannot restart while another process uses the inbox".into()));
        }
        self.checkpointer.use_connection(Some(open::writer(&self.path)?));
        slot.is_doubtful = false;
        *lock(&self.usage) = writer.usage()?;
        Ok(())
    }

    /// Makes room in the log, so that it never exceeds its limit.
    fn shorten_log(&self, writer: &SqliteWriter) -> Result<(), StoreError> {
        let _no_pass = self.checkpointer.pause(); // SQLite does not wait for another connection that moves data
        let page: u32 = writer.connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        // First without waiting, because a log can be long on the disk and yet not full.
        for timeout in [Duration::ZERO, open::LOCK_TIMEOUT] {
            writer.connection.busy_timeout(timeout)?;
            let pages = log::restart(&writer.connection);
            writer.connection.busy_timeout(open::LOCK_TIMEOUT)?;
            match pages? {
                None => {
                    lock(&self.usage).log_bytes = Some(0);
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
        match (fs::metadata(&self.path), self.locked.metadata()) {
            (Ok(there), Ok(ours)) if log::identity(&there) == log::identity(&ours) => Ok(()),
            _ => Err(StoreError::Moved),
        }
    }
}
