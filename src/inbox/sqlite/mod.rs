//! Owns the inbox in one SQLite file: a connection that writes, some that read beside it (WAL), and one that moves what was
//! written from the log into the file. Every committed batch is on the disk (`synchronous=FULL`).

mod append;
mod checkpoint;
mod error;
mod fingerprints;
mod open;
mod prune;
mod read;

use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use rusqlite::Connection;

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::entry::{Arrival, Filter, Page, PageLimit};
use crate::inbox::lock;
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};
use append::Newest;
use checkpoint::Checkpointer;
use fingerprints::Fingerprints;

pub use error::{OpenError, Why};

/// An open file. Fields are dropped in their order: closing any descriptor of a file drops the locks that SQLite has on it (POSIX
/// has it so), and so `locked` comes last.
pub(crate) struct SqliteStore {
    path: PathBuf,
    entries: AtomicU64,
    bytes: AtomicU64,
    checkpointer: Checkpointer,
    /// Connections that nobody reads with now. Some are made at the start, so that reading goes on when none can be made.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Writer>,
    /// Its lock keeps other processes off.
    locked: File,
}

struct Writer {
    connection: Connection,
    newest: Newest,
    /// Of the newest entry that was deleted.
    deleted_number: i64,
    fingerprints: Fingerprints,
    /// Whether each commit is synced, and no transaction is left open.
    is_safe: bool,
}

impl Writer {
    /// What it knows of the file: `newest`, `deleted_number` and `fingerprints`.
    fn read(connection: &Connection) -> rusqlite::Result<(Newest, i64, Fingerprints)> {
        let deleted_number = connection.query_row("SELECT deleted_number FROM inbox", [], |row| row.get(0))?;
        Ok((Newest::read(connection)?, deleted_number, Fingerprints::load(connection)?))
    }

    /// After this, no transaction that could not even be undone is open, and each commit is synced.
    fn be_safe(&mut self) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        if !self.is_safe {
            self.connection.pragma_update(None, "synchronous", "FULL")?;
            self.is_safe = true;
        }
        Ok(())
    }
}

impl Store for SqliteStore {
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        self.check_place()?;
        let mut writer = self.writer()?;
        let Writer { connection, newest, fingerprints, .. } = &mut *writer;
        let appended = match append::append(connection, *newest, fingerprints, batch) {
            Ok((appended, now_newest)) => {
                *newest = now_newest;
                fingerprints.committed();
                appended
            }
            Err(error) => {
                fingerprints.undone();
                return Err(error.into());
            }
        };
        self.count(&writer);
        self.checkpointer.note(batch.iter().map(|arrival| arrival.body().len()).sum(), &writer.connection);
        Ok(appended)
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        let idle = lock(&self.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.path)?,
        };
        let page = read::read(&connection, after, filter, limit);
        if !matches!(page, Err(ReadError::Store(_))) {
            lock(&self.readers).push(connection);
        }
        page
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        let mut writer = self.writer()?;
        self.measure(&writer)?;
        let Writer { connection, fingerprints, deleted_number, is_safe, .. } = &mut *writer;
        let due = prune::due(connection, retention, now)?;
        if due.is_none() && !fingerprints.is_purge_due() {
            return Ok(false);
        }
        self.check_place()?;
        // Not synced: what a crash undoes of it is deleted again.
        *is_safe = false;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        if let Some(last) = due {
            *deleted_number = prune::delete(connection, last)?;
            fingerprints.forget(last);
        }
        let more = fingerprints.purge(connection)? || due.is_some();
        self.measure(&writer)?;
        self.checkpointer.note(prune::STEP_BYTES, &writer.connection);
        Ok(more)
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.check_place()?;
        let mut writer = self.writer()?;
        Ok(open::probe(&mut writer.connection)?)
    }

    fn usage(&self) -> Option<Usage> {
        Some(Usage { entries: self.entries.load(Relaxed), bytes: self.bytes.load(Relaxed) })
    }

    fn close(&self) {
        self.checkpointer.close();
        checkpoint::finish(&lock(&self.writer).connection);
    }
}

impl SqliteStore {
    /// The writer, safe to write with. After a panic it may not know what was committed, and reads it from the file.
    fn writer(&self) -> rusqlite::Result<MutexGuard<'_, Writer>> {
        let mut writer = lock(&self.writer);
        writer.be_safe()?;
        if self.writer.is_poisoned() {
            (writer.newest, writer.deleted_number, writer.fingerprints) = Writer::read(&writer.connection)?;
            self.writer.clear_poison();
        }
        Ok(writer)
    }

    /// Whether the file is still at its place. What went into one that was moved or removed would be found by nobody.
    fn check_place(&self) -> Result<(), StoreError> {
        match (std::fs::metadata(&self.path), self.locked.metadata()) {
            (Ok(there), Ok(ours)) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(()),
            _ => Err(StoreError::Moved),
        }
    }

    /// Notes how much is kept.
    fn measure(&self, writer: &Writer) -> rusqlite::Result<()> {
        self.count(writer);
        self.bytes.store(prune::bytes(&writer.connection)?, Relaxed);
        Ok(())
    }

    fn count(&self, writer: &Writer) {
        let entries = writer.newest.number.saturating_sub(writer.deleted_number);
        self.entries.store(entries.try_into().unwrap_or(0), Relaxed);
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
