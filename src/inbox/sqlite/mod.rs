//! Owns the inbox in one SQLite file: a connection that writes, and some that read beside it (WAL). Every committed batch is on
//! the disk (`synchronous=FULL`).

mod append;
mod open;
mod prune;
mod read;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode};

use crate::clock::UnixTime;
use crate::inbox::entry::{Arrival, Cursor, Filter, Page, PageLimit};
use crate::inbox::store::{Appended, ReadError, Retention, Store, StoreError, Usage};

pub use open::OpenError;

/// An open file.
pub(crate) struct SqliteStore {
    path: PathBuf,
    writer: Mutex<Writer>,
    /// Connections that nobody reads with now.
    readers: Mutex<Vec<Connection>>,
    /// Its lock keeps other processes off. Declared last: closed after all connections, for closing any descriptor of a file
    /// drops the locks of POSIX that SQLite has on it.
    _locked: File,
}

struct Writer {
    connection: Connection,
    /// Of the newest entry; `None` where it has to be looked up.
    newest: Option<Cursor>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for SqliteStore {
    fn append(&self, batch: &[Arrival]) -> Result<Vec<Appended>, StoreError> {
        let mut writer = lock(&self.writer);
        let newest = writer.newest.take();
        let (appended, newest) = append::append(&mut writer.connection, newest, batch)?;
        writer.newest = Some(newest);
        Ok(appended)
    }

    fn read(&self, after: Option<Cursor>, filter: &Filter, limit: PageLimit) -> Result<Page, ReadError> {
        let idle = lock(&self.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.path).map_err(StoreError::from)?,
        };
        let page = read::read(&connection, after, filter, limit);
        if !matches!(page, Err(ReadError::Store(_))) {
            lock(&self.readers).push(connection);
        }
        page
    }

    fn prune(&self, retention: &Retention, now: UnixTime) -> Result<bool, StoreError> {
        Ok(prune::step(&mut lock(&self.writer).connection, retention, now)?)
    }

    fn probe(&self) -> Result<(), StoreError> {
        Ok(open::probe(&mut lock(&self.writer).connection)?)
    }

    fn usage(&self) -> Option<Usage> {
        None
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.into()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(error.into()),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(error.into()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.into()),
            _ => Self::Broken(error.into()),
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
