//! Owns the inbox in one SQLite file: a connection that writes, some that read beside it (WAL), and one that moves what was
//! written from the log into the file. Every commit is on the disk before it counts (`synchronous=FULL`).

mod advance;
mod append;
mod checkpoint;
mod error;
mod fingerprints;
mod log;
mod open;
mod prune;
mod read;

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tracing::error;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};
use crate::inbox::{age, lock};
use append::Newest;
use checkpoint::Checkpointer;
use fingerprints::Fingerprints;
use log::Log;
use prune::Pruning;

pub use error::{OpenError, Why};

/// An open file. Fields are dropped in their order: closing any descriptor of a file drops the locks that SQLite has on it (POSIX
/// has it so), and so `locked` comes last.
pub(crate) struct SqliteStore {
    path: PathBuf,
    entries: AtomicU64,
    bytes: AtomicU64,
    /// Of the log, on the disk.
    log_bytes: AtomicU64,
    checkpointer: Checkpointer,
    /// Connections that nobody reads with now. Some are made at the start, so that reading goes on when none can be made. A read
    /// shares the outer lock; to close all connections, it is held alone.
    readers: RwLock<Mutex<Vec<Connection>>>,
    writing: Mutex<Writing>,
    /// Its lock keeps other processes off.
    locked: File,
}

struct Writing {
    /// `None` if it could not be opened again.
    writer: Option<Writer>,
    /// Whether what is in the log may not be on the disk, or the writer may not know what is in the file. Then all is opened anew
    /// before anything else is written.
    is_doubtful: bool,
}

struct Writer {
    connection: Connection,
    newest: Newest,
    /// What new entries are later than, as it is on the disk.
    reached: Cursor,
    /// Of the newest entry that was deleted.
    deleted_number: i64,
    fingerprints: Fingerprints,
    pruning: Pruning,
    log: Log,
}

impl Store for SqliteStore {
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        self.write(|writer| {
            let (appended, newest, bytes) =
                append::append(&mut writer.connection, writer.newest, &mut writer.fingerprints, batch)
                    .inspect_err(|_| writer.fingerprints.undone())?;
            writer.newest = newest;
            writer.fingerprints.committed();
            self.note(writer, bytes);
            self.checkpointer.note(batch.iter().map(|arrival| arrival.body().len()).sum(), &writer.connection);
            Ok(appended)
        })
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        let idle = lock(&readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.path)?,
        };
        let page = read::read(&connection, after, filter, limit);
        if !matches!(page, Err(ReadError::Store(_))) {
            lock(&readers).push(connection);
        }
        page
    }

    fn advance(&self, to: Cursor) -> Result<Cursor, StoreError> {
        self.write(|writer| {
            if to > writer.reached {
                advance::advance(&mut writer.connection, to)?;
                (writer.reached, writer.newest.cursor) = (to, writer.newest.cursor.max(to));
                self.checkpointer.note(advance::BYTES, &writer.connection);
            }
            Ok(writer.newest.cursor)
        })
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        self.write(|writer| {
            let Writer { connection, fingerprints, deleted_number, pruning, .. } = &mut *writer;
            let mut more = pruning.look(connection, retention.age, now)?;
            let mut deleted = 0;
            if let Some((last, number)) = pruning.step(connection, retention)? {
                *deleted_number = prune::delete(connection, last)?;
                fingerprints.forget(last);
                (more, deleted) = (true, number);
            }
            let is_purge_due = fingerprints.purge(connection, deleted)?;
            self.checkpointer.note(if more { prune::WRITTEN_BYTES } else { 0 }, connection);
            let bytes = prune::bytes(connection)?;
            // What is left of the index can wait, unless it is what is too much.
            more |= is_purge_due && bytes > retention.bytes;
            self.note(writer, bytes);
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
            let earlier = match up_to(Cursor::at(age::before(newest)).number())? {
                Some(received) => received,
                // When the newest one that was deleted came; at first, when the file was made.
                None => writer
                    .connection
                    .query_row("SELECT deleted FROM inbox", [], |row| row.get(0).map(Cursor::from_number))?
                    .time(),
            };
            Ok(Some(age::seen(newest, earlier)))
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
        if let Some(writer) = &lock(&self.writing).writer {
            checkpoint::finish(&writer.connection);
        }
    }
}

impl SqliteStore {
    /// Has `work` done by a writer that is fit for it. It counts only if the log is still at its place afterwards.
    fn write<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.check_place()?;
        let mut writing = lock(&self.writing);
        // After a panic the writer may not know what was committed.
        let has_panicked = self.writing.is_poisoned();
        self.writing.clear_poison();
        writing.is_doubtful |= self.checkpointer.has_failed() | has_panicked;
        let done = self.writer(&mut writing).and_then(|writer| {
            let done = work(writer)?;
            self.log_bytes.store(writer.log.bytes()?, Relaxed);
            Ok(done)
        });
        writing.is_doubtful |= done.as_ref().is_err_and(StoreError::leaves_doubt);
        done
    }

    /// The writer, with no transaction open, the log in no doubt, and room in it.
    fn writer<'a>(&self, writing: &'a mut Writing) -> Result<&'a mut Writer, StoreError> {
        let known = self.log_bytes.load(Relaxed);
        if writing.writer.as_ref().is_some_and(|writer| writer.log.bytes().is_ok_and(|bytes| bytes < known)) {
            error!("another program has shortened the inbox's log (-wal): the newest events are lost, and a new log begins");
            writing.is_doubtful = true;
        }
        if writing.is_doubtful || writing.writer.is_none() {
            self.renew(writing)?;
        }
        let writer = writing.writer.as_mut().ok_or(StoreError::Stalled)?;
        if !writer.connection.is_autocommit() {
            writer.connection.execute_batch("ROLLBACK")?;
        }
        if self.log_bytes.load(Relaxed) > log::FULL_BYTES {
            self.shorten(writer)?;
        }
        Ok(writer)
    }

    /// Closes all connections, so that SQLite reads the log anew, and moves what is found there into the file with a sync. After a
    /// failed sync, what SQLite takes for synced may not be on the disk.
    fn renew(&self, writing: &mut Writing) -> Result<(), StoreError> {
        writing.is_doubtful = true;
        if let Some(writer) = &writing.writer
            && writer.log.bytes().is_err()
            && checkpoint::restart(&writer.connection)?.is_some()
        {
            // A log that was removed lasts as long as a connection to it, and so that has to stay.
            return Err(StoreError::LogMoved);
        }
        let readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        lock(&readers).clear();
        self.checkpointer.use_connection(None);
        writing.writer = None;
        let connect = || open::connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        let writer = writing.writer.insert(Writer::open(&self.path, connect()?)?);
        self.checkpointer.use_connection(Some(connect()?));
        drop(readers);
        if checkpoint::restart(&writer.connection)?.is_some() {
            return Err(StoreError::Locked("the log cannot begin anew while another process uses the inbox".into()));
        }
        writing.is_doubtful = false;
        self.log_bytes.store(0, Relaxed);
        let bytes = prune::bytes(&writer.connection)?;
        self.note(writer, bytes);
        Ok(())
    }

    /// Makes room in the log, so that it never outgrows its limit.
    fn shorten(&self, writer: &Writer) -> Result<(), StoreError> {
        let page: u32 = writer.connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        // At first without waiting: it may be long on the disk, and yet not full.
        for patience in [Duration::ZERO, open::LOCK_PATIENCE] {
            writer.connection.busy_timeout(patience)?;
            let pages = checkpoint::restart(&writer.connection);
            writer.connection.busy_timeout(open::LOCK_PATIENCE)?;
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

    /// Whether the file is still at its place. What went into one that was moved or removed would be found by nobody.
    fn check_place(&self) -> Result<(), StoreError> {
        match (std::fs::metadata(&self.path), self.locked.metadata()) {
            (Ok(there), Ok(ours)) if log::identity(&there) == log::identity(&ours) => Ok(()),
            _ => Err(StoreError::Moved),
        }
    }

    /// Notes how much is kept.
    fn note(&self, writer: &Writer, bytes: u64) {
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
