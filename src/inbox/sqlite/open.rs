//! Owns the start: the lock against other processes, the schema, and every reason not to touch a file.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior::Immediate};

use crate::clock::UnixTime;
use crate::inbox::entry::Cursor;
use crate::inbox::sqlite::{SqliteStore, Writer};
use crate::inbox::store::{Cause, StoreError};

/// `application_id` of the file: "rmky".
const APPLICATION: i32 = 0x726d_6b79;
/// `user_version` of the file.
const SCHEMA: i32 = 1;
const TABLES: &str = "
    CREATE TABLE entry (
        cursor INTEGER PRIMARY KEY,    -- milliseconds since 1970 << 20 | a count
        identity BLOB NOT NULL UNIQUE, -- 16 bytes: what tells one event from all others
        received INTEGER NOT NULL,     -- milliseconds since 1970
        key TEXT NOT NULL,             -- the API key that signed
        id TEXT NOT NULL,              -- the event's; empty where it has none
        event TEXT NOT NULL,           -- its name, likewise
        room TEXT NOT NULL,            -- its room's name, likewise
        body BLOB NOT NULL             -- as it came, to the byte
    ) STRICT;
    CREATE TABLE inbox (
        deleted INTEGER NOT NULL       -- the cursor of the newest entry that was deleted; at first, of the file's beginning
    ) STRICT;
";
/// How long a lock of another process is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

impl SqliteStore {
    /// Opens the file at `path`, or makes it.
    pub(crate) fn open(path: &Path, now: UnixTime) -> Result<Self, OpenError> {
        let refused = |why: Why| OpenError::File { path: path.to_owned(), why };
        let locked = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| refused(Why::Io(error)))?;
        locked.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => refused(Why::InUse),
            TryLockError::Error(error) => refused(Why::Io(error)),
        })?;
        let connection = writer(path, now).map_err(refused)?;
        let writer = Mutex::new(Writer { connection, newest: None });
        Ok(Self { path: path.to_owned(), writer, readers: Mutex::default(), _locked: locked })
    }
}

fn writer(path: &Path, now: UnixTime) -> Result<Connection, Why> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    // What a crash left behind stays where it is until all is known to be well.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let schema = match (pragma("application_id")?, pragma("user_version")?, pragma("schema_version")?) {
        (0, 0, 0) => None,
        (APPLICATION, SCHEMA, _) => Some(SCHEMA),
        (APPLICATION, newer, _) if newer > SCHEMA => return Err(Why::Newer),
        _ => return Err(Why::Foreign),
    };
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    if schema.is_none() {
        let transaction = connection.transaction_with_behavior(Immediate)?;
        transaction.execute_batch(TABLES)?;
        transaction.execute("INSERT INTO inbox (deleted) VALUES (?)", [Cursor::at(now).number()])?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
        transaction.commit()?;
    }
    probe(&mut connection)?;
    Ok(connection)
}

/// A commit that changes nothing.
pub(super) fn probe(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.execute("UPDATE inbox SET deleted = deleted", [])?;
    transaction.commit()
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    Ok(connection)
}

/// Why an inbox cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be used.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: Why,
    },
    /// No thread can be had.
    Thread(io::Error),
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
    /// SQLite cannot use it.
    Store(StoreError),
}

impl From<rusqlite::Error> for Why {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, why } => write!(f, "cannot use {} as inbox: {why}", path.display()),
            Self::Thread(error) => write!(f, "cannot start a thread for the inbox: {error}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::InUse => f.write_str("another roomkey has it"),
            Self::Newer => f.write_str("a newer roomkey wrote it"),
            Self::Foreign => f.write_str("it is another program's"),
            Self::Store(error) => {
                let cause: Option<&Cause> = error.cause();
                error.fmt(f)?;
                cause.map_or(Ok(()), |cause| write!(f, " ({cause})"))
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { why: Why::Io(error), .. } | Self::Thread(error) => Some(error),
            Self::File { why: Why::Store(error), .. } => Some(error),
            Self::File { .. } => None,
        }
    }
}
