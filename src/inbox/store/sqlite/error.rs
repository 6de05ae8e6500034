//! Translates the errors of SQLite: at the start, when the file cannot be used, and while it runs. Does not handle them.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

use crate::inbox::store::StoreError;

/// A file cannot be used as an inbox.
#[derive(Debug, thiserror::Error)]
#[error("the inbox {} cannot be used: {why}", path.display())]
#[non_exhaustive]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    #[source]
    pub why: Why,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The operating system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a directory, a device or a pipe.
    #[error("it is not a regular file")]
    NotRegular,
    /// Another roomkey uses it.
    #[error("another roomkey uses it")]
    InUse,
    /// It was written by a newer roomkey.
    #[error("it was written by a newer roomkey")]
    Newer,
    /// It belongs to another program.
    #[error("it belongs to another program")]
    Foreign,
    /// It is damaged.
    #[error("it is damaged or not an inbox")]
    Damaged,
    /// SQLite cannot keep a log beside it.
    #[error("SQLite cannot keep its log beside it")]
    NoLog,
    /// SQLite cannot use it.
    #[error("{}", describe(.0))]
    Store(#[source] StoreError),
}

fn describe(error: &StoreError) -> String {
    match error {
        StoreError::Locked(_) => "another process holds its lock".to_owned(),
        StoreError::Full(_) => "the disk is full".to_owned(),
        error => std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string),
    }
}

impl From<rusqlite::Error> for Why {
    fn from(error: rusqlite::Error) -> Self {
        match error.into() {
            StoreError::Corrupt(_) => Self::Damaged,
            error => Self::Store(error),
        }
    }
}

/// When it is reopened while it runs.
impl From<Why> for StoreError {
    fn from(why: Why) -> Self {
        match why {
            Why::Store(error) => error,
            Why::Io(error) => Self::Io(error.into()),
            Why::Damaged => Self::Corrupt(why.into()),
            why => Self::Broken(why.into()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // SQLite calls it an I/O error if there is no room for the index of the log.
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
