//! Owns how SQLite fails: at the start, where the file cannot be used, and while it runs.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

use crate::inbox::store::{ReadError, StoreError};

/// A file cannot be used as an inbox.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

impl OpenError {
    pub(crate) fn no_thread(path: &Path, error: io::Error) -> Self {
        Self { path: path.to_owned(), why: Why::Io(error) }
    }
}

/// Why a file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Why {
    /// The system does not let us.
    Io(io::Error),
    /// Another roomkey has it.
    InUse,
    /// It was written by a newer roomkey.
    Newer,
    /// It is another program's.
    Foreign,
    /// It is damaged.
    Damaged,
    /// It lies where SQLite cannot keep a log beside it.
    NoLog,
    /// SQLite cannot use it.
    Store(StoreError),
}

impl From<rusqlite::Error> for Why {
    fn from(error: rusqlite::Error) -> Self {
        match error.into() {
            StoreError::Corrupt(_) => Self::Damaged,
            error => Self::Store(error),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the inbox {} cannot be used: {}", self.path.display(), self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::InUse => f.write_str("another roomkey has it"),
            Self::Newer => f.write_str("a newer roomkey wrote it"),
            Self::Foreign => f.write_str("it is another program's"),
            Self::Damaged => f.write_str("it is damaged or no inbox"),
            Self::NoLog => f.write_str("it lies where SQLite cannot keep its log"),
            Self::Store(StoreError::Locked(_)) => f.write_str("another process holds its lock"),
            Self::Store(StoreError::Full(_)) => f.write_str("the disk is full"),
            Self::Store(error) => match error.cause() {
                Some(cause) => cause.fmt(f),
                None => error.fmt(f),
            },
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Io(error) => Some(error),
            Why::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// How opening it again fails while it runs.
impl From<Why> for StoreError {
    fn from(why: Why) -> Self {
        match why {
            Why::Store(error) => error,
            Why::Io(error) => Self::Io(error.into()),
            Why::Damaged => Self::Corrupt(why.to_string().into()),
            why => Self::Broken(why.to_string().into()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // That there is no room for the index of the log, SQLite calls an I/O error.
        if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE) {
            return Self::Full(error.into());
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.into()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(error.into()),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(error.into()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.into()),
            Some(ErrorCode::SystemIoFailure) => Self::Io(error.into()),
            _ => Self::Broken(error.into()),
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
