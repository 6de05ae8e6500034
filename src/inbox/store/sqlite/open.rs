//! Opens or creates the file: the lock against other processes, the check for damage, and all reasons to leave a file alone. Does not
//! know the tables.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::clock::UnixTime;
use crate::inbox::store::sqlite::entries;
use crate::inbox::store::sqlite::error::Why;
use crate::inbox::store::sqlite::log::{beside, identity};
use crate::inbox::store::sqlite::schema;

/// Bytes of a page. Several bodies fit into one, and few pages of the index have to be written at a time.
const PAGE: i32 = 8192;
/// What a reader caches of the file in memory. Each commit makes its cache useless, and what it reads in order it reads once.
const READER_CACHE_KIB: i64 = 64;
/// How long to wait for another process's lock.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the start looks for damage: enough for all of a small file. A large one would take minutes, so only its beginning is
/// checked, and the start stays short.
const CHECK_TIME: Duration = Duration::from_millis(200);
const SHORT_CHECK_TIME: Duration = Duration::from_millis(2);
/// A file is large if it uses more bytes than this.
const LARGE: u64 = 16 << 20;
/// SQLite's steps between two looks at the clock during that check.
const CHECK_STEPS: i32 = 1000;
/// A larger file of zeros is not taken for an unfinished inbox.
const MOST_ZEROS: u64 = 1 << 20;

/// Locks the file at `path`, creates it if it does not exist, and calls `start` with it and a connection to it. If that fails, an
/// existing file is left unchanged, and a new one is removed.
pub(super) fn open<T>(path: &Path, now: UnixTime, start: impl FnOnce(File, Connection) -> Result<T, Why>) -> Result<T, Why> {
    let is_new = !path.exists();
    let locked = lock_file(path)?;
    let opened = complete(path, locked, now).and_then(|(locked, connection)| start(locked, connection));
    if is_new && opened.is_err() {
        remove(path, &["", "-wal", "-shm"]);
    }
    opened
}

/// The file, locked as long as it is open against other processes that would use it as an inbox. It may hold secrets; SQLite gives
/// the same permissions to the files that it creates beside it.
pub(super) fn lock_file(path: &Path) -> Result<File, Why> {
    check_kind(path)?;
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        // Another process may have replaced the file by a new one, and locked that.
        Ok(()) if identity(&file.metadata()?) != identity(&path.metadata()?) => Err(Why::InUse),
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Why::InUse),
        Err(TryLockError::Error(error)) => Err(Why::Io(error)),
    }
}

/// Refuses what is there, if it is not a regular file. If it were opened, a device would be replaced, and a pipe would block.
pub(super) fn check_kind(path: &Path) -> Result<(), Why> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) { Err(Why::NotRegular) } else { Ok(()) }
}

pub(super) fn remove(path: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        let _ = fs::remove_file(beside(path, suffix)); // it may not exist
    }
}

/// The `locked` file and a connection to it. A file without content is replaced by a new inbox.
fn complete(path: &Path, locked: File, now: UnixTime) -> Result<(File, Connection), Why> {
    if !is_blank(&locked)? {
        let connection = writer(path)?;
        if !schema::is_empty(&connection)? {
            return Ok((locked, connection));
        }
    }
    Ok((create(path, now)?, writer(path)?))
}

/// Whether the file is empty, or full of zeros, as a power cut can leave a file that was being created.
fn is_blank(mut file: &File) -> io::Result<bool> {
    if file.metadata()?.len() > MOST_ZEROS {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// A connection that writes.
pub(super) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    // What a crash has left in the log stays there until the file is known to be sound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// A connection that reads, to any file.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// A connection that reads, to an inbox.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = read_only(path)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    entries::deleted(&connection)?; // SQLite opens its files at the first read
    Ok(connection)
}

/// Looks for damage, for a limited time.
pub(super) fn check(connection: &mut Connection) -> Result<(), Why> {
    let time = if entries::bytes(connection)? > LARGE { SHORT_CHECK_TIME } else { CHECK_TIME };
    let begin = Instant::now();
    connection.progress_handler(CHECK_STEPS, Some(move || begin.elapsed() > time))?;
    let sound = is_sound(connection);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    match sound {
        Ok(true) => Ok(()),
        Ok(false) => Err(Why::Damaged),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether there is no damage in the whole file.
pub(super) fn is_sound(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA quick_check(1)", [], |row| Ok(row.get::<_, String>(0)? == "ok"))
}

/// Creates an inbox in a separate file, which replaces the one at `path` once all of it is on the disk. Returns it locked.
fn create(path: &Path, now: UnixTime) -> Result<File, Why> {
    let path = &path.canonicalize()?; // replaces the file, not a link to it
    let new = &beside(path, "-new");
    remove(new, &["", "-journal"]);
    let locked = lock_file(new)?;
    let mut connection = writer(new)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    schema::upgrade(&mut connection)?;
    schema::begin(&connection, now)?;
    drop(connection);
    replace(path, new, &locked)?;
    Ok(locked)
}

/// Moves the file `new` to `path`, so that even after a power cut one of the two is there, complete.
pub(super) fn replace(path: &Path, new: &Path, file: &File) -> io::Result<()> {
    let directory = File::open(path.parent().unwrap_or(Path::new("/")))?;
    file.sync_all()?;
    // SQLite would apply files of these names to whatever file is at `path`.
    remove(path, &["-journal", "-wal", "-shm"]);
    directory.sync_all()?;
    fs::rename(new, path)?;
    directory.sync_all()
}

/// A commit that changes nothing.
pub(super) fn probe(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute("UPDATE inbox SET deleted = deleted", [])
}
