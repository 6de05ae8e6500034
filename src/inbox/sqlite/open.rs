//! Owns the start: the lock against other processes, the schema, and every reason not to touch a file.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior::Immediate};

use crate::clock::UnixTime;
use crate::inbox::cursor::Cursor;
use crate::inbox::lock;
use crate::inbox::sqlite::checkpoint::Checkpointer;
use crate::inbox::sqlite::error::{OpenError, Why};
use crate::inbox::sqlite::{SqliteStore, Writer};
use crate::worker::Workers;

/// `application_id` of the file: "rmky".
const APPLICATION: i32 = 0x726d_6b79;
/// `user_version` of the file.
const SCHEMA: i32 = 1;
const TABLES: &str = "
    CREATE TABLE entry (
        cursor INTEGER PRIMARY KEY,  -- milliseconds since 1970 << 20 | a count
        number INTEGER NOT NULL,     -- from 1, without gaps
        fingerprint BLOB NOT NULL,      -- 16 bytes: what tells one event from all others
        received INTEGER NOT NULL,   -- milliseconds since 1970
        key TEXT NOT NULL,           -- the API key that signed
        id TEXT NOT NULL,            -- the event's; empty where it has none
        event TEXT NOT NULL,         -- its name, likewise
        room TEXT NOT NULL,          -- its room's name, likewise
        body BLOB NOT NULL           -- as it came, to the byte
    ) STRICT;
    CREATE TABLE fingerprint (          -- an index of entry, which the newest entries come into later
        fingerprint BLOB PRIMARY KEY,
        cursor INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE inbox (             -- one row of cursors; at first, of the time when the file was made
        deleted INTEGER NOT NULL,    -- entries up to here are deleted
        deleted_number INTEGER NOT NULL, -- and so many of them there were
        settled INTEGER NOT NULL,    -- entries up to here are in the index
        purged INTEGER NOT NULL      -- deleted entries up to here are no longer in the index
    ) STRICT;
";
/// Bytes of a page. Several bodies fit into one, and few of the index have to be written at a time.
const PAGE: i32 = 8192;
/// What the writer keeps of the file in memory at most.
const WRITER_CACHE_KIB: i64 = 4096;
/// Connections that read, from the start.
const READERS: usize = 1;
/// How long a lock of another process is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How long the start looks for damage: all of a small file is checked, and the beginning of a large one.
const CHECK: Duration = Duration::from_millis(200);
/// Steps of SQLite's between two looks at the clock while it checks.
const CHECK_STEPS: i32 = 1000;

impl SqliteStore {
    /// Opens the file at `path`, or makes it. Where that fails, a file that was there stays as it is.
    pub(crate) fn open(path: &Path, now: UnixTime, workers: &Workers) -> Result<Self, OpenError> {
        let refused = |why: Why| OpenError { path: path.to_owned(), why };
        // To SQLite some names are not those of files, such as `:memory:`; those that begin at the root all are.
        let path = &std::path::absolute(path).map_err(Why::Io).map_err(refused)?;
        let is_new = !path.exists();
        let locked = lock_file(path).map_err(refused)?;
        let opened = open(path, &locked, now, workers);
        if is_new && opened.is_err() {
            remove(path);
        }
        let (writer, readers, checkpointer) = opened.map_err(refused)?;
        let store = Self {
            path: path.to_owned(),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            checkpointer,
            readers: Mutex::new(readers),
            writer: Mutex::new(writer),
            locked,
        };
        store.measure(&lock(&store.writer)).map_err(|error| OpenError { path: path.to_owned(), why: error.into() })?;
        Ok(store)
    }
}

/// The file, locked against other processes that use it as an inbox, for as long as it is open.
fn lock_file(path: &Path) -> Result<File, Why> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(Why::Io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Why::InUse),
        Err(TryLockError::Error(error)) => Err(Why::Io(error)),
    }
}

/// Removes what a failed start has made.
fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let _ = std::fs::remove_file(name); // perhaps there is none
    }
}

fn open(path: &Path, file: &File, now: UnixTime, workers: &Workers) -> Result<(Writer, Vec<Connection>, Checkpointer), Why> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let is_new = match (pragma("page_count")?, pragma("application_id")?, pragma("user_version")?) {
        (0, ..) => true,
        (_, APPLICATION, SCHEMA) => false,
        (_, APPLICATION, version) if version > SCHEMA => return Err(Why::Newer),
        _ => return Err(Why::Foreign),
    };
    // The start is not synced step by step. The first append's sync of the log is one of all before it, too.
    connection.pragma_update(None, "synchronous", if is_new { "OFF" } else { "NORMAL" })?;
    if is_new {
        connection.pragma_update(None, "page_size", PAGE)?;
    } else {
        check(&mut connection)?;
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Why::NoLog);
    }
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    if is_new {
        create(&mut connection, now)?;
        // An empty file would make SQLite throw the log away.
        file.sync_all().map_err(Why::Io)?;
    }
    probe(&mut connection)?;

    let (newest, deleted_number, fingerprints) = Writer::read(&connection)?;
    let checkpointer = Checkpointer::start(connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?, workers).map_err(Why::Io)?;
    let readers = (0..READERS).map(|_| reader(path)).collect::<Result<_, _>>()?;
    Ok((Writer { connection, newest, deleted_number, fingerprints, is_safe: false }, readers, checkpointer))
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    // What a crash has left in the log stays there until all is known to be well.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // SQLite opens what it needs at the first read.
    connection.query_row("SELECT deleted FROM inbox", [], |_| Ok(()))?;
    Ok(connection)
}

/// Looks for damage, for a while.
fn check(connection: &mut Connection) -> Result<(), Why> {
    let begin = Instant::now();
    connection.progress_handler(CHECK_STEPS, Some(move || begin.elapsed() > CHECK))?;
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    connection.progress_handler(0, None::<fn() -> bool>)?;
    match checked {
        Ok(sound) if sound == "ok" => Ok(()),
        Ok(_) => Err(Why::Damaged),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn create(connection: &mut Connection, now: UnixTime) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.execute("INSERT INTO inbox VALUES (?1, 0, ?1, ?1)", [Cursor::at(now).number()])?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

/// A commit that changes nothing.
pub(super) fn probe(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(Immediate)?;
    transaction.execute("UPDATE inbox SET deleted = deleted", [])?;
    transaction.commit()
}
